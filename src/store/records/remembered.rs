//! What a read connection remembers from one question to the next: who a requester is, and what holds
//! of a patient or between the two, whatever the time. It is exact: every transaction that changes what
//! this is read from moves a number in the store ([`moves`]), and each question reads that number in its
//! own snapshot. So nothing is remembered past a change of any directive, coverage, hit or link, on this
//! node or another.

use super::{
    keys,
    shapes::{Asked, Shapes},
    standing::{self, Between, Flagged, Granted, Names, Policy},
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
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    fmt,
    rc::Rc,
};

/// The most requesters, and the most patients, that a connection remembers.
const MOST: usize = 4096;

/// Asks for the number under which things are remembered.
pub const GENERATION: &str = "SELECT number FROM standing_generation WHERE one = 1";

/// Says that the transaction changes what is remembered: coverage and what else stands beside records
/// ([`sources`](crate::store::sources)), directives, or states of patients.
pub fn moves(write: &dyn Session) -> Result<(), StoreError> {
    if let Some(memo) = write.memo()
        && std::mem::replace(&mut memo.borrow_mut().moves, true)
    {
        return Ok(());
    }
    let sql = "UPDATE standing_generation SET number = number + 1";
    write.run(sql, &[]).map(drop)
}

/// The most records whose name or number a connection remembers.
const NAMED: usize = 16_384;

/// The longest list that is remembered.
const LONGEST: usize = 1024;

/// What was read since that number moved.
#[derive(Debug, Default)]
pub struct Remembered {
    generation: Option<i64>,
    requesters: usize,
    names: HashMap<Option<Key>, HashMap<Option<Key>, Rc<Names>>>,
    patients: HashMap<i64, Rc<Patient>>,
    /// By requester (a person or an organization) and patient.
    between: HashMap<(i64, i64), Rc<Between>>,
    granted: HashMap<i64, Rc<Vec<Granted>>>,
    /// By query and the number it asks of.
    lists: HashMap<(&'static str, i64), Rc<[i64]>>,
    with_directives: Option<Rc<Vec<i64>>>,
    /// Numbers of records by name: they never change.
    numbers: HashMap<Key, i64>,
    /// And the way back.
    keys: HashMap<i64, Key>,
    /// No content of the store: they outlast changes.
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
    policies: OnceCell<Vec<Policy>>,
    flags: OnceCell<Vec<Flagged>>,
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
        let find = || standing::directives(read, self.rid);
        known(&self.directives, find).map(Vec::as_slice)
    }

    /// The policies under which the patient was ever covered.
    pub fn policies(&self, read: &dyn Session) -> Result<&[Policy], StoreError> {
        known(&self.policies, || standing::policies(read, self.rid)).map(Vec::as_slice)
    }

    /// What was ever flagged of the patient.
    pub fn flags(&self, read: &dyn Session) -> Result<&[Flagged], StoreError> {
        known(&self.flags, || standing::flagged(read, self.rid)).map(Vec::as_slice)
    }
}

/// What a cell holds, found where it holds nothing yet.
pub(super) fn known<T>(
    cell: &OnceCell<T>,
    find: impl FnOnce() -> Result<T, StoreError>,
) -> Result<&T, StoreError> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let found = find()?;
    Ok(cell.get_or_init(|| found))
}

impl<'s> Snapshot<'s> {
    /// Of a connection whose transaction has begun, with what [`GENERATION`] says in it; forgets what was
    /// remembered under another number.
    pub fn of(
        read: &'s dyn Session,
        remembered: &'s RefCell<Remembered>,
        generation: i64,
    ) -> Snapshot<'s> {
        let mut all = remembered.borrow_mut();
        if all.generation != Some(generation) {
            *all = Remembered {
                generation: Some(generation),
                numbers: std::mem::take(&mut all.numbers),
                keys: std::mem::take(&mut all.keys),
                shapes: std::mem::take(&mut all.shapes),
                ..Remembered::default()
            };
        }
        Snapshot { read, remembered }
    }

    /// What is remembered under this number and no other, for who asks nothing more: `None` where that is
    /// not what is remembered.
    pub fn still(
        silent: &'s Silent,
        remembered: &'s RefCell<Remembered>,
        generation: i64,
    ) -> Option<Snapshot<'s>> {
        let same = remembered.borrow().generation == Some(generation);
        same.then_some(Snapshot {
            read: silent,
            remembered,
        })
    }

    /// The number of a record that exists or is pointed at.
    pub fn number(&self, key: &Key) -> Result<Option<i64>, StoreError> {
        if let Some(known) = self.remembered.borrow().numbers.get(key) {
            return Ok(Some(*known));
        }
        let found = keys::find(self, key)?;
        if let Some(rid) = found {
            let numbers = &mut self.remembered.borrow_mut().numbers;
            if numbers.len() >= NAMED {
                numbers.clear();
            }
            numbers.insert(key.clone(), rid);
        }
        Ok(found)
    }

    /// The names of a requester.
    pub fn names(&self, requester: &Requester) -> Result<Rc<Names>, StoreError> {
        if let Some(known) = self.remembered.borrow().names_of(requester) {
            return Ok(known);
        }
        let names = Rc::new(standing::names(self, requester)?);
        // Someone may be heard of without anything else moving.
        if !names.are_known(requester) {
            return Ok(names);
        }
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

    /// What stands between a person or an organization and a patient.
    pub fn between(&self, one: i64, patient: i64) -> Rc<Between> {
        if let Some(known) = self.remembered.borrow().between.get(&(one, patient)) {
            return known.clone();
        }
        let found = Rc::new(Between::default());
        let mut all = self.remembered.borrow_mut();
        if all.between.len() >= MOST {
            all.between.clear();
        }
        all.between.insert((one, patient), found.clone());
        found
    }

    /// All that an organization was ever granted.
    pub fn granted(&self, organization: i64) -> Result<Rc<Vec<Granted>>, StoreError> {
        if let Some(known) = self.remembered.borrow().granted.get(&organization) {
            return Ok(known.clone());
        }
        let found = Rc::new(standing::all_granted(self, organization)?);
        let mut all = self.remembered.borrow_mut();
        if all.granted.len() >= MOST {
            all.granted.clear();
        }
        all.granted.insert(organization, found.clone());
        Ok(found)
    }

    /// The numbers that a query gives for one (`?1`). It reads only what [`moves`] speaks of.
    pub fn list(&self, sql: &'static str, of: i64) -> Result<Rc<[i64]>, StoreError> {
        if let Some(known) = self.remembered.borrow().lists.get(&(sql, of)) {
            return Ok(known.clone());
        }
        let read: &dyn Session = self;
        let found: Rc<[i64]> = read.numbers(sql, &values![of])?.into();
        if found.len() <= LONGEST {
            let mut all = self.remembered.borrow_mut();
            if all.lists.len() >= MOST {
                all.lists.clear();
            }
            all.lists.insert((sql, of), found.clone());
        }
        Ok(found)
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
            policies: OnceCell::new(),
            flags: OnceCell::new(),
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

    fn recall(&self, rid: i64) -> Option<Key> {
        self.remembered.borrow().keys.get(&rid).cloned()
    }

    fn remember(&self, rid: i64, key: &Key) {
        let keys = &mut self.remembered.borrow_mut().keys;
        if keys.len() >= NAMED {
            keys.clear();
        }
        keys.insert(rid, key.clone());
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

/// A session that answers nothing, and knows whether it was asked.
#[derive(Debug, Default)]
pub struct Silent(Cell<bool>);

impl Silent {
    /// Whether anything was asked.
    pub fn was_asked(&self) -> bool {
        self.0.get()
    }

    fn refuse<T>(&self) -> Result<T, StoreError> {
        self.0.set(true);
        Err(StoreError::Away("nothing more is asked".into()))
    }
}

impl Session for Silent {
    fn run(&self, _: &str, _: &[Value]) -> Result<u64, StoreError> {
        self.refuse()
    }

    fn rows(&self, _: &str, _: &[Value], _: Each<'_>) -> Result<(), StoreError> {
        self.refuse()
    }

    fn later(&self, _: &'static str, _: usize, _: Vec<Value>) -> Result<(), StoreError> {
        self.refuse()
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot")
    }
}
