//! Rows ↔ sealed records.

use super::keys;
use crate::{
    faces::Stamp,
    fhir::{Interval, Key},
    gate::{Row, Sealed},
    label::Marks,
    policy::Facts,
    statute::Labels,
    store::StoreError,
};
use rusqlite::{Connection, Row as Columns, Rows, params};

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

fn labels(row: &Columns<'_>, at: usize) -> rusqlite::Result<Labels> {
    Ok(Labels::from_column(row.get(at)?))
}

fn stamp(row: &Columns<'_>, version: usize, updated: usize) -> rusqlite::Result<Stamp> {
    Ok(Stamp {
        version: row.get_ref(version)?.as_str()?.into(),
        updated: row.get(updated)?,
    })
}

fn key(row: &Columns<'_>, kind: usize, id: usize) -> Result<Option<Key>, StoreError> {
    let Some(kind) = row.get(kind)? else {
        return Ok(None);
    };
    let id = row.get_ref(id)?.as_str().map_err(|_| StoreError::Damaged)?;
    Ok(keys::key(kind, id))
}

/// What decisions ask of the record in this row; its patients come row by row.
fn facts_of(row: &Columns<'_>) -> Result<Facts, StoreError> {
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
        author: key(row, 16, 17)?,
        organization: key(row, 18, 19)?,
    })
}

/// The patients of the rows from this one on. A record that has subjects and names none is damaged;
/// a deleted one has none.
fn patients_of(
    rows: &mut Rows<'_>,
    expected: bool,
    first: Option<(i64, Option<Key>)>,
) -> Result<(Vec<i64>, Vec<Key>), StoreError> {
    let (mut numbers, mut found) = (Vec::new(), Vec::new());
    let mut next = first.filter(|_| expected);
    while let Some((number, key)) = next {
        numbers.push(number);
        found.push(key.ok_or(StoreError::Damaged)?);
        next = rows.next()?.map(patient_of).transpose()?.flatten();
    }
    if expected && numbers.is_empty() {
        return Err(StoreError::Damaged);
    }
    Ok((numbers, found))
}

/// Whether the record must name patients.
fn has_patients(row: &Columns<'_>) -> Result<bool, StoreError> {
    Ok(row.get::<_, i64>(14)? > 0 && !row.get::<_, bool>(15)?)
}

fn patient_of(row: &Columns<'_>) -> Result<Option<(i64, Option<Key>)>, StoreError> {
    let Some(number) = row.get(20)? else {
        return Ok(None);
    };
    Ok(Some((number, key(row, 21, 22)?)))
}

/// The record of that number.
pub fn by_number(read: &Connection, rid: i64) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!("SELECT ", facts!(), whole!(), named!(), "r.rid = ?1");
    found(read.prepare_cached(SQL)?.query([rid])?)
}

/// The record of that type and id.
pub fn by_key(read: &Connection, key: &Key) -> Result<Option<Found>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        facts!(),
        whole!(),
        named!(),
        "r.kind = ?1 AND r.id = ?2"
    );
    let mut query = read.prepare_cached(SQL)?;
    found(query.query(params![key.kind.number(), key.id.as_str()])?)
}

/// What decisions ask of a record; what its parts reveal is read with them.
fn facts(read: &Connection, rid: i64) -> Result<Option<Facts>, StoreError> {
    let found = by_number(read, rid)?.filter(|found| !found.deleted);
    Ok(found.map(|found| found.sealed.facts().clone()))
}

fn found(mut rows: Rows<'_>) -> Result<Option<Found>, StoreError> {
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut whole = Row {
        facts: facts_of(row)?,
        full: stamp(row, 24, 25)?,
        household: stamp(row, 26, 27)?,
        parts: row.get(28)?,
        body: row.get(29)?,
        household_body: row.get(30)?,
        targets: Vec::new(),
    };
    let (rid, deleted, seq) = (row.get(0)?, row.get(15)?, row.get(23)?);
    let (expected, first) = (has_patients(row)?, patient_of(row)?);
    let (patients, keys) = patients_of(&mut rows, expected, first)?;
    whole.facts.patients = keys;
    Ok(Some(Found {
        rid,
        seq,
        deleted,
        patients,
        sealed: Sealed::from_row(whole).map_err(|_| StoreError::Damaged)?,
    }))
}

/// Adds the facts of the records that it refers to: a member's restriction is tested on them, so that
/// no reference leads to what it hides.
pub fn with_targets(read: &Connection, rid: i64, sealed: Sealed) -> Result<Sealed, StoreError> {
    let mut query = read.prepare_cached("SELECT target FROM reference WHERE rid = ?1")?;
    let mut rows = query.query([rid])?;
    let mut targets = Vec::new();
    while let Some(row) = rows.next()? {
        targets.extend(facts(read, row.get(0)?)?);
    }
    Ok(sealed.referring_to(targets))
}
