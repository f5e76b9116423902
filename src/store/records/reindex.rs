//! The search index made again from the records as they are kept: after a change of the parameter table
//! or of the program, or where rows were lost. A record's rows are replaced within one transaction and
//! carry the labels that the record has, so that nothing hidden is found on the way.

use super::{index, rows};
use crate::{
    gate::amend,
    search::{index::MADE, params},
    store::{Reindexed, StoreError, session::Session, sql::values},
};
use std::fmt::Write as _;

/// The most records of one transaction.
const AT_ONCE: i64 = 250;

/// By what this program makes an index: the parameter table and, for what the code does with it, [`MADE`].
pub fn maker() -> String {
    let mut said = format!("{MADE}\n").into_bytes();
    said.extend_from_slice(params::text().as_bytes());
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &said);
    let mut maker = String::with_capacity(16);
    for byte in digest.as_ref().iter().take(8) {
        // Writing into a text does not fail.
        let _ = write!(maker, "{byte:02x}");
    }
    maker
}

/// Whether the index is this program's. A store without records has none that is not.
pub fn is_current(read: &dyn Session) -> Result<bool, StoreError> {
    let current = "SELECT 1 FROM index_made WHERE made = ?1";
    Ok(read.exists(current, &values![maker()])? || is_empty(read)?)
}

fn is_empty(read: &dyn Session) -> Result<bool, StoreError> {
    Ok(!read.exists("SELECT 1 FROM record LIMIT 1", &[])?)
}

/// Notes at the first record of a store by what its index is made.
pub fn begin(tx: &dyn Session) -> Result<(), StoreError> {
    if !is_empty(tx)?
        || tx.exists(
            "SELECT 1 FROM index_made WHERE made = ?1",
            &values![maker()],
        )?
    {
        return Ok(());
    }
    put(tx, &maker(), "", 0)
}

fn put(tx: &dyn Session, made: &str, next: &str, upto: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO index_made (one, made, next, upto) VALUES (1, ?1, ?2, ?3) \
               ON CONFLICT (one) DO UPDATE SET made = ?1, next = ?2, upto = ?3";
    tx.run(sql, &values![made, next, upto])?;
    Ok(())
}

/// Makes the rows of the next records again, in a transaction of the caller's: from where an earlier call
/// stopped, whoever made it. `anew`: from the first record.
pub fn piece(tx: &dyn Session, anew: bool) -> Result<Reindexed, StoreError> {
    let maker = maker();
    let sql = "SELECT made, next, upto FROM index_made";
    let state = tx.all(sql, &[], |row| {
        let (made, next): (&str, &str) = (row.get(0)?, row.get(1)?);
        Ok((made.to_owned(), next.to_owned(), row.get::<i64>(2)?))
    })?;
    let (made, next, upto) = state.into_iter().next().unwrap_or_default();
    let from = if next == maker && !anew { upto } else { 0 };
    let sql = "SELECT rid FROM record WHERE rid > ?1 ORDER BY rid LIMIT ?2";
    let rids = tx.numbers(sql, &values![from, AT_ONCE])?;
    for rid in &rids {
        again(tx, *rid)?;
    }
    let records = u64::try_from(rids.len()).unwrap_or_default();
    let last = rids.last().copied().filter(|_| rids.len() >= whole());
    match last {
        Some(last) => put(tx, &made, &maker, last)?,
        None => put(tx, &maker, "", 0)?,
    }
    Ok(Reindexed {
        records,
        is_done: last.is_none(),
    })
}

fn whole() -> usize {
    usize::try_from(AT_ONCE).unwrap_or(usize::MAX)
}

/// Replaces the rows of one record; a deleted one has none.
fn again(tx: &dyn Session, rid: i64) -> Result<(), StoreError> {
    index::clear(tx, rid)?;
    let Some(found) = rows::by_number(tx, rid)?.filter(|found| !found.deleted) else {
        return Ok(());
    };
    let resource = amend(&found.sealed).map_err(|_| StoreError::Damaged)?;
    let facts = found.sealed.facts();
    index::index(tx, rid, &facts.key, &resource, found.sealed.parts())?;
    index::parts(tx, rid, &facts.parts)
}
