//! Rows that nothing in a transaction reads wait for its end: there they go in table by table, many at a
//! time, and a record that was indexed twice is indexed once.

use super::{StoreError, session::Session, sql::Value};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Rows of `width` columns, the first of which is the record's number; how many values wait then.
    pub(super) fn put(&mut self, table: &'static str, width: usize, values: Vec<Value>) -> usize {
        let Some(Value::Integer(rid)) = values.first() else {
            return self.values;
        };
        self.values += values.len();
        let (_, rows) = self
            .rows
            .entry(table)
            .or_insert_with(|| (width, BTreeMap::new()));
        rows.entry(*rid).or_default().extend(values);
        self.values
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
            let into = format!("INSERT INTO {table} VALUES");
            let enough = 4 * at_once * width;
            let mut some = Vec::with_capacity(enough);
            for values in rows.into_values() {
                some.extend(values);
                if some.len() >= enough {
                    session.insert_by(at_once, &into, width, &some, "")?;
                    some.clear();
                }
            }
            session.insert_by(at_once, &into, width, &some, "")?;
        }
        Ok(())
    }
}
