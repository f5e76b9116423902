//! Numbers of records.

use crate::{
    fhir::{Id, Key, Kind},
    store::{
        StoreError,
        session::{Memo, Session},
        sql::{Value, values},
    },
};
use std::{cell::RefCell, collections::HashSet};

/// The number of a record that exists or is pointed at.
pub fn find(read: &dyn Session, key: &Key) -> Result<Option<i64>, StoreError> {
    let known = read
        .memo()
        .map(|memo| memo.borrow().numbers.get(key).copied());
    if let Some(Some(known)) = known {
        return Ok(Some(known));
    }
    let sql = "SELECT rid FROM locator WHERE kind = ?1 AND id = ?2";
    let found = read.first(sql, &values![key.kind.number(), key.id.as_str()], |row| {
        row.get(0)
    })?;
    if let (Some(memo), Some(rid)) = (read.memo(), found) {
        memo.borrow_mut().numbers.insert(key.clone(), rid);
    }
    Ok(found)
}

/// The number of a record, made where there is none yet.
pub fn locate(write: &dyn Session, key: &Key) -> Result<i64, StoreError> {
    if let Some(rid) = find(write, key)? {
        return Ok(rid);
    }
    let sql = "INSERT INTO locator (kind, id) VALUES (?1, ?2) RETURNING rid";
    let values = values![key.kind.number(), key.id.as_str()];
    let rid = write.one(sql, &values, |row| row.get(0))?;
    if let Some(memo) = write.memo() {
        let mut memo = memo.borrow_mut();
        memo.numbers.insert(key.clone(), rid);
        memo.born.insert(rid);
    }
    Ok(rid)
}

/// Learns the numbers of many records at once, where the transaction remembers them, and makes those
/// that are missing.
pub fn locate_all<'k>(
    write: &dyn Session,
    keys: impl IntoIterator<Item = &'k Key>,
) -> Result<(), StoreError> {
    let Some(memo) = write.memo() else {
        return Ok(());
    };
    let mut known = HashSet::new();
    let mut wanted: Vec<&Key> = keys.into_iter().filter(|key| known.insert(*key)).collect();
    learn(
        write,
        memo,
        &wanted,
        "SELECT rid, kind, id FROM locator WHERE (kind, id) IN (VALUES",
        ")",
        false,
    )?;
    wanted.retain(|key| !memo.borrow().numbers.contains_key(*key));
    learn(
        write,
        memo,
        &wanted,
        "INSERT INTO locator (kind, id) VALUES",
        "RETURNING rid, kind, id",
        true,
    )
}

fn learn(
    write: &dyn Session,
    memo: &RefCell<Memo>,
    keys: &[&Key],
    begin: &str,
    end: &str,
    fresh: bool,
) -> Result<(), StoreError> {
    let mut rest = keys;
    let mut many = write.at_once().max(1);
    while !rest.is_empty() {
        while many > rest.len() {
            many /= 2;
        }
        let (some, others) = rest.split_at(many);
        rest = others;
        let rows = vec!["(?,?)"; many].join(",");
        let values: Vec<Value> = some
            .iter()
            .flat_map(|key| values![key.kind.number(), key.id.as_str()])
            .collect();
        let found = write.all(&format!("{begin} {rows} {end}"), &values, |row| {
            Ok((row.get::<i64>(0)?, key(row.get(1)?, row.get(2)?)))
        })?;
        let mut memo = memo.borrow_mut();
        for (rid, key) in found {
            memo.numbers.insert(key.ok_or(StoreError::Damaged)?, rid);
            if fresh {
                memo.fresh.insert(rid);
                memo.born.insert(rid);
            }
        }
    }
    Ok(())
}

/// Type and id behind a number.
pub fn key_of(read: &dyn Session, rid: i64) -> Result<Option<Key>, StoreError> {
    if let Some(known) = read.recall(rid) {
        return Ok(Some(known));
    }
    let sql = "SELECT kind, id FROM locator WHERE rid = ?1";
    let found = read.first(sql, &values![rid], |row| Ok(key(row.get(0)?, row.get(1)?)))?;
    let found = found.flatten();
    if let Some(key) = &found {
        read.remember(rid, key);
    }
    Ok(found)
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
