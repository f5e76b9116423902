//! Rows that nothing in a transaction reads wait for its end: there they go in table by table, many at a
//! time, and a record that was indexed twice is indexed once.

use super::{StoreError, session::Session, sql::Value};
use std::collections::{BTreeMap, BTreeSet};

/// The most values that wait.
const MOST: usize = 500_000;

/// Rows that wait.
#[derive(Default)]
pub(super) struct Later {
    /// By table and record.
    rows: BTreeMap<&'static str, (usize, BTreeMap<i64, Vec<Value>>)>,
    /// Records whose rows in a table go first.
    gone: BTreeMap<&'static str, BTreeSet<i64>>,
    values: usize,
}

impl Later {
    /// Rows of `width` columns, the first of which is the record's number; whether it is time to write.
    pub(super) fn put(&mut self, table: &'static str, width: usize, values: Vec<Value>) -> bool {
        let Some(Value::Integer(rid)) = values.first() else {
            return false;
        };
        self.values += values.len();
        let (_, rows) = self
            .rows
            .entry(table)
            .or_insert_with(|| (width, BTreeMap::new()));
        rows.entry(*rid).or_default().extend(values);
        self.values > MOST
    }

    /// Takes away the rows of a record, those that wait and those that are there.
    pub(super) fn clear(&mut self, tables: &[&'static str], rid: i64) {
        for table in tables {
            if let Some((_, rows)) = self.rows.get_mut(table) {
                rows.remove(&rid);
            }
            self.gone.entry(table).or_default().insert(rid);
        }
    }

    /// Writes what waited: deletes by `delete`, inserts so many rows at a time.
    pub(super) fn write(
        self,
        session: &dyn Session,
        at_once: usize,
        delete: impl FnOnce(BTreeMap<&'static str, BTreeSet<i64>>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if !self.gone.is_empty() {
            delete(self.gone)?;
        }
        for (table, (width, rows)) in self.rows {
            let values: Vec<Value> = rows.into_values().flatten().collect();
            let into = format!("INSERT INTO {table} VALUES");
            session.insert_by(at_once, &into, width, &values, "")?;
        }
        Ok(())
    }
}
