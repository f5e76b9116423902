//! Rows ↔ sealed records.

use super::{keys, remembered::Snapshot};
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

/// What decisions ask of a record `r`, with the keys behind its numbers; `named` joins them.
macro_rules! facts {
    () => {
        "r.rid, r.kind, r.id, r.labels, r.conditional, r.protected, r.c_protected, r.review, \
         r.p_labels, r.p_conditional, r.p_protected, r.p_c_protected, r.served_from, r.served_to, \
         r.subjects, r.deleted, a.kind, a.id, o.kind, o.id, q.patient, p.kind, p.id"
    };
}

/// A record's own patients, one row each, its author and its organization.
macro_rules! named {
    () => {
        " FROM record r LEFT JOIN locator a ON a.rid = r.author \
         LEFT JOIN locator o ON o.rid = r.organization \
         LEFT JOIN record_patient q ON q.rid = r.rid AND q.own = 1 \
         LEFT JOIN locator p ON p.rid = q.patient WHERE "
    };
}

/// The same of a record alone, with the numbers in the place of the keys, and whose it is where it is one
/// patient's.
macro_rules! numbered {
    () => {
        "r.rid, r.kind, r.id, r.labels, r.conditional, r.protected, r.c_protected, r.review, \
         r.p_labels, r.p_conditional, r.p_protected, r.p_c_protected, r.served_from, r.served_to, \
         r.subjects, r.deleted, r.author, NULL, r.organization, NULL, r.sole, NULL, NULL"
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

fn key(row: &dyn Columns, kind: usize, id: usize) -> Result<Option<Key>, StoreError> {
    let Some(kind) = row.get(kind)? else {
        return Ok(None);
    };
    Ok(keys::key(kind, row.get(id)?))
}

/// What decisions ask of the record in this row; its patients come row by row.
fn facts_of(row: &dyn Columns) -> Result<Facts, StoreError> {
    Ok(Facts {
        key: key(row, 1, 2)?.ok_or(StoreError::Damaged)?,
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

fn patient_of(row: &dyn Columns) -> Result<Option<(i64, Option<Key>)>, StoreError> {
    let Some(number) = row.get(20)? else {
        return Ok(None);
    };
    Ok(Some((number, key(row, 21, 22)?)))
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
                Entry::Vacant(entry) => {
                    let mut reading = Reading::begin(row)?;
                    reading.name(row)?;
                    entry.insert(reading)
                }
            };
            reading.patient(row)?;
            Ok(true)
        })?;
    }
    let found = rids.iter().filter_map(|rid| found.remove(rid));
    found.map(Reading::end).collect()
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

/// [`by_number`] in a snapshot that remembers keys: of most records it takes one row.
pub fn shown_by_number(read: &Snapshot<'_>, rid: i64) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        numbered!(),
        whole!(),
        " FROM record r WHERE r.rid = ?1"
    );
    shown(read, SQL, &values![rid], &|| by_number(read, rid))
}

/// [`by_numbers`] in a snapshot that remembers keys.
pub fn shown_by_numbers(read: &Snapshot<'_>, rids: &[i64]) -> Result<Vec<Found>, StoreError> {
    if read.at_once() > 1 {
        return by_numbers(read, rids);
    }
    let found = rids.iter().map(|rid| shown_by_number(read, *rid));
    found.filter_map(Result::transpose).collect()
}

/// [`by_key`] in a snapshot that remembers keys.
pub fn shown_by_key(read: &Snapshot<'_>, key: &Key) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        numbered!(),
        whole!(),
        " FROM record r WHERE r.kind = ?1 AND r.id = ?2"
    );
    if read.at_once() > 1 {
        return by_key(read, key);
    }
    let values = values![key.kind.number(), key.id.as_str()];
    shown(read, SQL, &values, &|| by_key(read, key))
}

/// A record by one row of its own; what names several patients, or is whole only with other rows, `joined`
/// reads.
fn shown(
    read: &Snapshot<'_>,
    sql: &str,
    values: &[Value],
    joined: &dyn Fn() -> Result<Option<Found>, StoreError>,
) -> Result<Option<Found>, StoreError> {
    let session: &dyn Session = read;
    let found = session.first(sql, values, |row| {
        let numbers: [Option<i64>; 3] = [row.get(16)?, row.get(18)?, row.get(20)?];
        Ok((Reading::begin(row)?, numbers))
    })?;
    let Some((mut reading, [author, organization, sole])) = found else {
        return Ok(None);
    };
    let key_of = |number: Option<i64>| match number {
        Some(number) => read.key(number),
        None => Ok(None),
    };
    if reading.expected {
        let (Some(number), Some(key)) = (sole, key_of(sole)?) else {
            return joined();
        };
        reading.patients.push((number, key));
    }
    reading.whole.facts.author = key_of(author)?;
    reading.whole.facts.organization = key_of(organization)?;
    reading.end().map(Some)
}

/// A record from its first row, and its patients, one a row.
struct Reading {
    rid: i64,
    seq: i64,
    deleted: bool,
    expected: bool,
    whole: Row,
    patients: Vec<(i64, Key)>,
}

impl Reading {
    fn begin(row: &dyn Columns) -> Result<Reading, StoreError> {
        Ok(Reading {
            rid: row.get(0)?,
            seq: row.get(23)?,
            deleted: row.get(15)?,
            expected: has_patients(row)?,
            whole: Row {
                facts: facts_of(row)?,
                full: stamp(row, 24, 25)?,
                household: stamp(row, 26, 27)?,
                parts: row.get(28)?,
                body: row.get(29)?,
                household_body: row.get(30)?,
                targets: Vec::new(),
            },
            patients: Vec::new(),
        })
    }

    /// Its author and its organization.
    fn name(&mut self, row: &dyn Columns) -> Result<(), StoreError> {
        self.whole.facts.author = key(row, 16, 17)?;
        self.whole.facts.organization = key(row, 18, 19)?;
        Ok(())
    }

    fn patient(&mut self, row: &dyn Columns) -> Result<(), StoreError> {
        if let Some((number, key)) = patient_of(row)?.filter(|_| self.expected) {
            self.patients
                .push((number, key.ok_or(StoreError::Damaged)?));
        }
        Ok(())
    }

    /// A record that has subjects and names none is damaged; a deleted one has none.
    fn end(mut self) -> Result<Found, StoreError> {
        if self.expected && self.patients.is_empty() {
            return Err(StoreError::Damaged);
        }
        self.patients.sort_unstable_by_key(|(number, _)| *number);
        let (patients, keys) = self.patients.into_iter().unzip();
        self.whole.facts.patients = keys;
        Ok(Found {
            rid: self.rid,
            seq: self.seq,
            deleted: self.deleted,
            patients,
            sealed: Sealed::from_row(self.whole).map_err(|_| StoreError::Damaged)?,
        })
    }
}

fn found(read: &dyn Session, sql: &str, values: &[Value]) -> Result<Option<Found>, StoreError> {
    let mut reading: Option<Reading> = None;
    read.rows(sql, values, &mut |row| {
        let reading = match &mut reading {
            Some(reading) => reading,
            none => {
                let reading = none.insert(Reading::begin(row)?);
                reading.name(row)?;
                reading
            }
        };
        reading.patient(row)?;
        Ok(reading.expected)
    })?;
    reading.map(Reading::end).transpose()
}

/// Adds the facts of the records that it refers to: a member's restriction is tested on them, so that
/// no reference leads to what it hides.
pub fn with_targets(read: &Snapshot<'_>, rid: i64, sealed: Sealed) -> Result<Sealed, StoreError> {
    let sql = "SELECT target FROM reference WHERE rid = ?1";
    let targets = {
        let session: &dyn Session = read;
        shown_by_numbers(read, &session.numbers(sql, &values![rid])?)?
    };
    let targets = targets.iter().filter(|found| !found.deleted);
    let facts = targets.map(|found| found.sealed.facts().clone());
    Ok(sealed.referring_to(facts.collect()))
}
