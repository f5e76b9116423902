//! The search index against the entries that it was made from.

use crate::store::audit::projection::{self, Row};
use rusqlite::{Connection, Statement};

/// The search index, compared entry by entry and then by its counts.
pub(super) struct Index<'log> {
    upto: i64,
    event: Statement<'log>,
    patients: Statement<'log>,
    events: i64,
    patient_rows: i64,
}

impl<'log> Index<'log> {
    pub(super) fn of(log: &'log Connection) -> rusqlite::Result<Index<'log>> {
        Ok(Index {
            upto: projection::upto(log)?,
            event: log.prepare("SELECT at, client, user FROM audit_event WHERE id = ?1")?,
            patients: log
                .prepare("SELECT at, patient FROM audit_patient WHERE id = ?1 ORDER BY patient")?,
            events: 0,
            patient_rows: 0,
        })
    }

    pub(super) fn agrees(&mut self, id: i64, at: i64, expected: &Row) -> rusqlite::Result<bool> {
        if id > self.upto {
            return Ok(true);
        }
        let mut event = self.event.query([id])?;
        let Some(row) = event.next()? else {
            return Ok(false);
        };
        let same = row.get_ref(0)?.as_i64() == Ok(at)
            && row.get_ref(1)?.as_str_or_null().ok() == Some(expected.client.as_deref())
            && row.get_ref(2)?.as_str_or_null().ok() == Some(expected.user.as_deref());
        let mut patients = self.patients.query([id])?;
        let mut names = expected.patients.iter();
        while let Some(row) = patients.next()? {
            let name = row.get_ref(1)?.as_str().ok();
            if row.get_ref(0)?.as_i64() != Ok(at) || name != names.next().map(|name| &**name) {
                return Ok(false);
            }
        }
        self.events += 1;
        self.patient_rows += i64::try_from(expected.patients.len()).unwrap_or(i64::MAX);
        Ok(same && names.next().is_none())
    }

    /// Whether the index has nothing that no entry stands for.
    pub(super) fn counts_agree(&self, log: &Connection) -> rusqlite::Result<bool> {
        let count = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            log.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        Ok(count("audit_event")? == self.events && count("audit_patient")? == self.patient_rows)
    }
}
