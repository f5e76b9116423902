//! Records, their labels, and what holds towards patients: written once over a [`Session`](super::session::Session),
//! the same on every engine.

mod along;
pub mod history;
pub mod index;
pub mod keys;
mod lasting;
pub mod neighbours;
pub mod ordered;
pub mod reindex;
pub mod relabel;
pub mod remembered;
pub mod rows;
pub mod search;
pub mod shapes;
mod sought;
pub mod spread;
pub mod standing;
pub mod write;

use super::{StoreError, session::Session};
use crate::fhir::{Instant, Kind};

/// How many records of each type there are, for operators.
pub fn totals(read: &dyn Session) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let sql = "SELECT kind, count(*) FROM record WHERE deleted = 0 GROUP BY kind ORDER BY kind";
    let counted = read.all(sql, &[], |row| {
        Ok((row.get::<i64>(0)?, row.get::<i64>(1)?.unsigned_abs()))
    })?;
    let named = |(kind, count)| Kind::numbered(kind).map(|kind| (kind.name(), count));
    Ok(counted.into_iter().filter_map(named).collect())
}

/// When the newest record was written, for operators.
pub fn newest(read: &dyn Session) -> Result<Option<Instant>, StoreError> {
    read.one("SELECT max(updated) FROM record", &[], |row| row.get(0))
}

/// Whether the engine answers at all.
pub fn answers(read: &dyn Session) -> Result<(), StoreError> {
    read.one("SELECT 1", &[], |_| Ok(()))
}
