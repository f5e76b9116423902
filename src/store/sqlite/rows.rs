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
use rusqlite::{Connection, OptionalExtension as _, Row as Columns};

/// The columns of a record that [`sealed`] reads, in its order.
pub const COLUMNS: &str = "r.rid, r.kind, r.id, r.version, r.updated, r.h_version, r.h_updated, \
    r.labels, r.conditional, r.protected, r.c_protected, r.review, \
    r.p_labels, r.p_conditional, r.p_protected, r.p_c_protected, \
    r.served_from, r.served_to, r.author, r.organization, r.subjects, r.parts, r.body, r.h_body, r.seq, r.deleted";

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

struct Raw {
    rid: i64,
    seq: i64,
    deleted: bool,
    row: Row,
    author: Option<i64>,
    organization: Option<i64>,
    subjects: i64,
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

fn raw(row: &Columns<'_>) -> rusqlite::Result<Raw> {
    let key = keys::key(row.get(1)?, row.get_ref(2)?.as_str()?);
    let facts = Facts {
        key: key.ok_or(rusqlite::Error::InvalidQuery)?,
        patients: Vec::new(),
        whole: Marks {
            labels: labels(row, 7)?,
            conditional: labels(row, 8)?,
            protected: labels(row, 9)?,
            conditional_protected: labels(row, 10)?,
            review: row.get(11)?,
        },
        parts: Vec::new(),
        serviced: match (row.get(16)?, row.get(17)?) {
            (Some(start), Some(end)) => Some(Interval { start, end }),
            _ => None,
        },
        author: None,
        organization: None,
    };
    Ok(Raw {
        rid: row.get(0)?,
        author: row.get(18)?,
        organization: row.get(19)?,
        subjects: row.get(20)?,
        seq: row.get(24)?,
        deleted: row.get(25)?,
        row: Row {
            facts,
            full: stamp(row, 3, 4)?,
            household: stamp(row, 5, 6)?,
            parts: row.get(21)?,
            body: row.get(22)?,
            household_body: row.get(23)?,
            targets: Vec::new(),
        },
    })
}

/// The record of that number.
pub fn by_number(read: &Connection, rid: i64) -> Result<Option<Found>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM record r WHERE r.rid = ?1");
    let raw = read
        .prepare_cached(&sql)?
        .query_row([rid], raw)
        .optional()?;
    raw.map(|raw| found(read, raw)).transpose()
}

/// The record of that type and id.
pub fn by_key(read: &Connection, key: &Key) -> Result<Option<Found>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM record r WHERE r.kind = ?1 AND r.id = ?2");
    let raw = read
        .prepare_cached(&sql)?
        .query_row(rusqlite::params![key.kind.number(), key.id.as_str()], raw)
        .optional()?;
    raw.map(|raw| found(read, raw)).transpose()
}

/// What decisions ask of a record, without its body.
pub fn facts(read: &Connection, rid: i64) -> Result<Option<Facts>, StoreError> {
    Ok(by_number(read, rid)?
        .filter(|found| !found.deleted)
        .map(|found| found.sealed.facts().clone()))
}

fn found(read: &Connection, raw: Raw) -> Result<Found, StoreError> {
    let mut row = raw.row;
    let mut patients = Vec::new();
    // A deleted record names nobody any more.
    if raw.subjects > 0 && !raw.deleted {
        let sql = "SELECT q.patient, l.kind, l.id FROM record_patient q JOIN locator l ON l.rid = q.patient \
                   WHERE q.rid = ?1 AND q.own = 1";
        let mut query = read.prepare_cached(sql)?;
        let mut rows = query.query([raw.rid])?;
        while let Some(columns) = rows.next()? {
            let key = keys::key(
                columns.get(1)?,
                columns
                    .get_ref(2)?
                    .as_str()
                    .map_err(|_| StoreError::Damaged)?,
            );
            row.facts.patients.push(key.ok_or(StoreError::Damaged)?);
            patients.push(columns.get(0)?);
        }
        if patients.is_empty() {
            return Err(StoreError::Damaged);
        }
    }
    if let Some(author) = raw.author {
        row.facts.author = keys::key_of(read, author)?;
    }
    if let Some(organization) = raw.organization {
        row.facts.organization = keys::key_of(read, organization)?;
    }
    Ok(Found {
        rid: raw.rid,
        seq: raw.seq,
        deleted: raw.deleted,
        patients,
        sealed: Sealed::from_row(row).map_err(|_| StoreError::Damaged)?,
    })
}

/// As [`by_number`], with the facts of the records that it refers to: a member's restriction is
/// tested on them, so that no reference leads to what it hides.
pub fn with_targets(read: &Connection, rid: i64) -> Result<Option<Found>, StoreError> {
    let Some(found) = by_number(read, rid)? else {
        return Ok(None);
    };
    let targets: Vec<i64> = read
        .prepare_cached("SELECT target FROM reference WHERE rid = ?1")?
        .query_map([rid], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut row = found.sealed.into_row();
    for target in targets {
        row.targets.extend(facts(read, target)?);
    }
    Ok(Some(Found {
        sealed: Sealed::from_row(row).map_err(|_| StoreError::Damaged)?,
        ..found
    }))
}
