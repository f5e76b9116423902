//! What a read connection remembers from one question to the next: who a requester is, and what holds
//! of a patient whatever the time and whoever asks. It is exact: an engine gives each snapshot a mark
//! that is another after every commit (SQLite's `data_version`, PostgreSQL's snapshot itself), and it is
//! asked in each question's own snapshot. So nothing is remembered past a change of any directive, label
//! or link.

use super::{
    keys,
    shapes::{Asked, Shapes},
    standing::{self, Names},
};
use crate::{
    consent::Directive,
    fhir::Key,
    policy::Requester,
    statute::Labels,
    store::{
        StoreError,
        session::{Each, Session},
        sql::{Value, values},
        visible::Lens,
    },
};
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    fmt,
    rc::Rc,
};

/// The most requesters, and the most patients, that a connection remembers.
const MOST: usize = 4096;

/// What was read since the last commit.
#[derive(Debug, Default)]
pub struct Remembered {
    mark: Option<Value>,
    requesters: usize,
    names: HashMap<Option<Key>, HashMap<Option<Key>, Rc<Names>>>,
    patients: HashMap<i64, Rc<Patient>>,
    keys: HashMap<i64, Option<Key>>,
    numbers: HashMap<Key, Option<i64>>,
    with_directives: Option<Rc<Vec<i64>>>,
    /// No content of the store: they outlast commits.
    shapes: Shapes,
}

/// A read connection in one snapshot, with what it remembers of it.
#[derive(Clone, Copy)]
pub struct Snapshot<'s> {
    read: &'s dyn Session,
    remembered: &'s RefCell<Remembered>,
}

/// What holds of a patient.
#[derive(Debug)]
pub struct Patient {
    rid: i64,
    /// Type and id.
    pub key: Key,
    /// The day of birth, where it is known.
    pub born: Option<jiff::civil::Date>,
    /// Classes with a current hit.
    pub hits: Labels,
    /// Labels put on everything of the patient until a pending change is done.
    pub tightening: Labels,
    directives: OnceCell<Vec<Directive>>,
}

impl Remembered {
    fn names_of(&self, requester: &Requester) -> Option<Rc<Names>> {
        let of = self.names.get(&requester.user)?;
        of.get(&requester.organization).cloned()
    }
}

impl Patient {
    /// The directives in force.
    pub fn directives(&self, read: &dyn Session) -> Result<&[Directive], StoreError> {
        if let Some(known) = self.directives.get() {
            return Ok(known);
        }
        let found = standing::directives(read, self.rid)?;
        Ok(self.directives.get_or_init(|| found))
    }
}

impl<'s> Snapshot<'s> {
    /// Of a connection whose transaction has begun, with the snapshot's mark; forgets what was remembered
    /// under another.
    pub fn of(
        read: &'s dyn Session,
        remembered: &'s RefCell<Remembered>,
        mark: Value,
    ) -> Snapshot<'s> {
        let mut all = remembered.borrow_mut();
        if all.mark.as_ref() != Some(&mark) {
            *all = Remembered {
                mark: Some(mark),
                shapes: std::mem::take(&mut all.shapes),
                ..Remembered::default()
            };
        }
        Snapshot { read, remembered }
    }

    /// The names of a requester.
    pub fn names(&self, requester: &Requester) -> Result<Rc<Names>, StoreError> {
        if let Some(known) = self.remembered.borrow().names_of(requester) {
            return Ok(known);
        }
        let names = Rc::new(standing::names(self, requester)?);
        let mut all = self.remembered.borrow_mut();
        if all.requesters >= MOST {
            all.names.clear();
            all.requesters = 0;
        }
        all.requesters += 1;
        let of = all.names.entry(requester.user.clone()).or_default();
        of.insert(requester.organization.clone(), names.clone());
        Ok(names)
    }

    /// Patients with directives in force.
    pub fn with_directives(&self) -> Result<Rc<Vec<i64>>, StoreError> {
        if let Some(known) = &self.remembered.borrow().with_directives {
            return Ok(known.clone());
        }
        let found = Rc::new(standing::with_directives(self)?);
        self.remembered.borrow_mut().with_directives = Some(found.clone());
        Ok(found)
    }

    /// Text and values of a first page ([`Shapes::page`]).
    pub fn page_text(
        &self,
        lens: &Lens,
        asked: Asked<'_>,
        patient: i64,
    ) -> Option<(Rc<str>, Vec<Value>)> {
        self.remembered
            .borrow_mut()
            .shapes
            .page(lens, asked, patient)
    }

    /// The number of a record that exists or is pointed at.
    pub fn number(&self, key: &Key) -> Result<Option<i64>, StoreError> {
        if let Some(known) = self.remembered.borrow().numbers.get(key) {
            return Ok(*known);
        }
        let number = keys::find(self, key)?;
        let mut all = self.remembered.borrow_mut();
        if all.numbers.len() >= MOST {
            all.numbers.clear();
        }
        all.numbers.insert(key.clone(), number);
        Ok(number)
    }

    /// Type and id behind a number.
    pub fn key(&self, rid: i64) -> Result<Option<Key>, StoreError> {
        if let Some(known) = self.remembered.borrow().keys.get(&rid) {
            return Ok(known.clone());
        }
        let key = keys::key_of(self, rid)?;
        let mut all = self.remembered.borrow_mut();
        if all.keys.len() >= MOST {
            all.keys.clear();
        }
        all.keys.insert(rid, key.clone());
        Ok(key)
    }

    /// The patient of that number.
    pub fn patient(&self, rid: i64) -> Result<Option<Rc<Patient>>, StoreError> {
        if let Some(known) = self.remembered.borrow().patients.get(&rid) {
            return Ok(Some(known.clone()));
        }
        let Some(patient) = self.look_up(rid)? else {
            return Ok(None);
        };
        let patient = Rc::new(patient);
        let mut all = self.remembered.borrow_mut();
        if all.patients.len() >= MOST {
            all.patients.clear();
        }
        all.patients.insert(rid, patient.clone());
        Ok(Some(patient))
    }

    fn look_up(&self, rid: i64) -> Result<Option<Patient>, StoreError> {
        let Some(key) = keys::key_of(self, rid)? else {
            return Ok(None);
        };
        let sql = "SELECT born, hits, tightening FROM patient_state WHERE patient = ?1";
        let row: Option<(Option<String>, i64, i64)> =
            self.read.first(sql, &values![rid], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let (born, hits, tightening) = row.unwrap_or_default();
        Ok(Some(Patient {
            rid,
            key,
            born: born.and_then(|born| born.parse().ok()),
            hits: Labels::from_column(hits),
            tightening: Labels::from_column(tightening),
            directives: OnceCell::new(),
        }))
    }
}

impl Session for Snapshot<'_> {
    fn run(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.read.run(sql, values)
    }

    fn rows(&self, sql: &str, values: &[Value], each: Each<'_>) -> Result<(), StoreError> {
        self.read.rows(sql, values, each)
    }

    fn at_once(&self) -> usize {
        self.read.at_once()
    }

    fn later(
        &self,
        table: &'static str,
        width: usize,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        self.read.later(table, width, values)
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}
