//! Numbers of records.

use crate::{
    fhir::{Id, Key, Kind},
    store::StoreError,
};
use rusqlite::{Connection, OptionalExtension as _, params};

/// The number of a record that exists or is pointed at.
pub fn find(read: &Connection, key: &Key) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT rid FROM locator WHERE kind = ?1 AND id = ?2";
    Ok(read
        .prepare_cached(sql)?
        .query_row(params![key.kind.number(), key.id.as_str()], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The number of a record, made where there is none yet.
pub fn locate(write: &Connection, key: &Key) -> Result<i64, StoreError> {
    if let Some(rid) = find(write, key)? {
        return Ok(rid);
    }
    let sql = "INSERT INTO locator (kind, id) VALUES (?1, ?2) RETURNING rid";
    Ok(write
        .prepare_cached(sql)?
        .query_row(params![key.kind.number(), key.id.as_str()], |row| {
            row.get(0)
        })?)
}

/// Type and id behind a number.
pub fn key_of(read: &Connection, rid: i64) -> Result<Option<Key>, StoreError> {
    let sql = "SELECT kind, id FROM locator WHERE rid = ?1";
    let row: Option<(i64, String)> = read
        .prepare_cached(sql)?
        .query_row([rid], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.and_then(|(kind, id)| key(kind, &id)))
}

/// A key from its columns.
pub fn key(kind: i64, id: &str) -> Option<Key> {
    Some(Key {
        kind: Kind::numbered(kind)?,
        id: Id::parse(id)?,
    })
}

/// The stored number of a resource type.
pub fn number(kind: &str) -> i64 {
    Kind::named(kind).map_or(-1, Kind::number)
}
