//! Rows ↔ sealed records.

use super::keys;
use crate::{
    faces::Stamp,
    fhir::{Interval, Key},
    gate::{Row, Sealed},
    label::Marks,
    policy::Facts,
    statute::Labels,
    store::{
        StoreError,
        session::{Columns, Session},
        sql::{Value, values},
    },
};
use std::collections::{HashMap, hash_map::Entry};

/// What decisions ask of a record `r`; `named` joins whose it is.
macro_rules! facts {
    () => {
        "r.rid, r.kind, r.id, r.labels, r.conditional, r.protected, r.c_protected, r.review, \
         r.p_labels, r.p_conditional, r.p_protected, r.p_c_protected, r.served_from, r.served_to, \
         r.subjects, r.deleted, r.author, r.organization, COALESCE(r.sole, q.patient)"
    };
}

/// A record's own patients, one row each. Who has one alone stands in the record itself.
macro_rules! beside {
    () => {
        " LEFT JOIN record_patient q ON r.sole IS NULL AND q.rid = r.rid AND q.own = 1 "
    };
}

macro_rules! named {
    () => {
        concat!(" FROM record r", beside!(), "WHERE ")
    };
}

/// The rest of a record.
macro_rules! whole {
    () => {
        ", r.seq, r.version, r.updated, r.h_version, r.h_updated, r.parts, r.body, r.h_body"
    };
}

/// A record with its number.
#[derive(Debug)]
pub struct Found {
    /// Its number.
    pub rid: i64,
    /// The number of its version, from 1.
    pub seq: i64,
    /// Whether its current version is a deletion.
    pub deleted: bool,
    /// The record.
    pub sealed: Sealed,
    /// Whose it is, by number.
    pub patients: Vec<i64>,
}

fn labels(row: &dyn Columns, at: usize) -> Result<Labels, StoreError> {
    Ok(Labels::from_column(row.get(at)?))
}

fn stamp(row: &dyn Columns, version: usize, updated: usize) -> Result<Stamp, StoreError> {
    Ok(Stamp {
        version: row.get::<&str>(version)?.into(),
        updated: row.get(updated)?,
    })
}

/// What decisions ask of the record in this row; whose it is, whoever made it and where come at the end.
fn facts_of(row: &dyn Columns) -> Result<Facts, StoreError> {
    Ok(Facts {
        key: keys::key(row.get(1)?, row.get(2)?).ok_or(StoreError::Damaged)?,
        patients: Vec::new(),
        whole: Marks {
            labels: labels(row, 3)?,
            conditional: labels(row, 4)?,
            protected: labels(row, 5)?,
            conditional_protected: labels(row, 6)?,
            review: row.get(7)?,
        },
        parts: Vec::new(),
        serviced: match (row.get(12)?, row.get(13)?) {
            (Some(start), Some(end)) => Some(Interval { start, end }),
            _ => None,
        },
        author: None,
        organization: None,
    })
}

/// Whether the record must name patients.
fn has_patients(row: &dyn Columns) -> Result<bool, StoreError> {
    Ok(row.get::<i64>(14)? > 0 && !row.get::<bool>(15)?)
}

/// The record of that number.
pub fn by_number(read: &dyn Session, rid: i64) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!("SELECT ", facts!(), whole!(), named!(), "r.rid = ?1");
    found(read, SQL, &values![rid])
}

/// The records of those numbers, in that order: asked together, where that saves round trips.
pub fn by_numbers(read: &dyn Session, rids: &[i64]) -> Result<Vec<Found>, StoreError> {
    const SQL: &str = concat!("SELECT ", facts!(), whole!(), named!(), "r.rid IN (");
    let at_once = read.at_once();
    if at_once <= 1 || rids.len() <= 1 {
        let found = rids.iter().map(|rid| by_number(read, *rid));
        return found.filter_map(Result::transpose).collect();
    }
    let mut found: HashMap<i64, Reading> = HashMap::new();
    for some in rids.chunks(at_once) {
        // Few lengths, so that statements stay prepared: the rest is filled with the last.
        let length = some.len().next_power_of_two();
        let filled = some
            .iter()
            .chain(std::iter::repeat(some.last().unwrap_or(&0)));
        let values: Vec<Value> = filled
            .take(length)
            .map(|rid| Value::Integer(*rid))
            .collect();
        let sql = format!("{SQL}{})", vec!["?"; length].join(","));
        read.rows(&sql, &values, &mut |row| {
            let reading = match found.entry(row.get(0)?) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Reading::begin(row)?),
            };
            reading.patient(row)?;
            Ok(true)
        })?;
    }
    let found = rids.iter().filter_map(|rid| found.remove(rid));
    found.map(|reading| reading.end(read)).collect()
}

/// The record of that type and id.
pub fn by_key(read: &dyn Session, key: &Key) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        facts!(),
        whole!(),
        named!(),
        "r.kind = ?1 AND r.id = ?2"
    );
    found(read, SQL, &values![key.kind.number(), key.id.as_str()])
}

/// A record from its first row, and its patients, one a row.
struct Reading {
    rid: i64,
    seq: i64,
    deleted: bool,
    expected: bool,
    author: Option<i64>,
    organization: Option<i64>,
    whole: Row,
    patients: Vec<i64>,
}

impl Reading {
    fn begin(row: &dyn Columns) -> Result<Reading, StoreError> {
        Ok(Reading {
            rid: row.get(0)?,
            seq: row.get(19)?,
            deleted: row.get(15)?,
            expected: has_patients(row)?,
            author: row.get(16)?,
            organization: row.get(17)?,
            whole: Row {
                facts: facts_of(row)?,
                full: stamp(row, 20, 21)?,
                household: stamp(row, 22, 23)?,
                parts: row.get(24)?,
                body: row.get(25)?,
                household_body: row.get(26)?,
                targets: Vec::new(),
            },
            patients: Vec::new(),
        })
    }

    fn patient(&mut self, row: &dyn Columns) -> Result<(), StoreError> {
        let patient: Option<i64> = row.get(18)?;
        self.patients.extend(patient.filter(|_| self.expected));
        Ok(())
    }

    /// A record that has subjects and names none is damaged; a deleted one has none.
    fn end(mut self, read: &dyn Session) -> Result<Found, StoreError> {
        if self.expected && self.patients.is_empty() {
            return Err(StoreError::Damaged);
        }
        let name = |rid: i64| keys::key_of(read, rid)?.ok_or(StoreError::Damaged);
        self.patients.sort_unstable();
        let patients = self.patients.iter().map(|patient| name(*patient));
        self.whole.facts.patients = patients.collect::<Result<_, _>>()?;
        self.whole.facts.author = self.author.map(name).transpose()?;
        self.whole.facts.organization = self.organization.map(name).transpose()?;
        Ok(Found {
            rid: self.rid,
            seq: self.seq,
            deleted: self.deleted,
            patients: self.patients,
            sealed: Sealed::from_row(self.whole).map_err(|_| StoreError::Damaged)?,
        })
    }
}

/// What one statement tells of a record.
pub struct Glance {
    /// The number under which things are remembered.
    pub generation: i64,
    reading: Option<Reading>,
}

impl Glance {
    /// The record, if there is one, with the names of whom it names.
    pub fn found(self, read: &dyn Session) -> Result<Option<Found>, StoreError> {
        self.reading.map(|reading| reading.end(read)).transpose()
    }
}

/// The record of that type and id by one statement, for who asks nothing else.
pub fn glance(read: &dyn Session, key: &Key) -> Result<Glance, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        facts!(),
        whole!(),
        ", g.number FROM standing_generation g LEFT JOIN record r ON r.kind = ?1 AND r.id = ?2",
        beside!(),
        "WHERE g.one = 1"
    );
    let (mut generation, mut reading) = (None, None);
    let values = values![key.kind.number(), key.id.as_str()];
    read.rows(SQL, &values, &mut |row| {
        generation = Some(row.get(27)?);
        if row.get::<Option<i64>>(0)?.is_none() {
            return Ok(true);
        }
        let reading: &mut Reading = match &mut reading {
            Some(reading) => reading,
            none => none.insert(Reading::begin(row)?),
        };
        reading.patient(row)?;
        Ok(true)
    })?;
    Ok(Glance {
        generation: generation.ok_or(StoreError::Damaged)?,
        reading,
    })
}

fn found(read: &dyn Session, sql: &str, values: &[Value]) -> Result<Option<Found>, StoreError> {
    let mut reading: Option<Reading> = None;
    read.rows(sql, values, &mut |row| {
        let reading = match &mut reading {
            Some(reading) => reading,
            none => none.insert(Reading::begin(row)?),
        };
        reading.patient(row)?;
        Ok(reading.expected)
    })?;
    reading.map(|reading| reading.end(read)).transpose()
}

/// Adds the facts of the records that it refers to: a member's restriction is tested on them, so that
/// no reference leads to what it hides.
pub fn with_targets(read: &dyn Session, rid: i64, sealed: Sealed) -> Result<Sealed, StoreError> {
    let sql = "SELECT target FROM reference WHERE rid = ?1";
    let targets = by_numbers(read, &read.numbers(sql, &values![rid])?)?;
    let targets = targets.iter().filter(|found| !found.deleted);
    let facts = targets.map(|found| found.sealed.facts().clone());
    Ok(sealed.referring_to(facts.collect()))
}
