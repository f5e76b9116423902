//! Numbers of records.

use crate::{
    fhir::{Id, Key, Kind},
    store::{StoreError, session::Session, sql::values},
};

/// The number of a record that exists or is pointed at.
pub fn find(read: &dyn Session, key: &Key) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT rid FROM locator WHERE kind = ?1 AND id = ?2";
    read.first(sql, &values![key.kind.number(), key.id.as_str()], |row| {
        row.get(0)
    })
}

/// The number of a record, made where there is none yet.
pub fn locate(write: &dyn Session, key: &Key) -> Result<i64, StoreError> {
    if let Some(rid) = find(write, key)? {
        return Ok(rid);
    }
    let sql = "INSERT INTO locator (kind, id) VALUES (?1, ?2) RETURNING rid";
    write.one(sql, &values![key.kind.number(), key.id.as_str()], |row| {
        row.get(0)
    })
}

/// Type and id behind a number.
pub fn key_of(read: &dyn Session, rid: i64) -> Result<Option<Key>, StoreError> {
    let sql = "SELECT kind, id FROM locator WHERE rid = ?1";
    let found = read.first(sql, &values![rid], |row| Ok(key(row.get(0)?, row.get(1)?)))?;
    Ok(found.flatten())
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
