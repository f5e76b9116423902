//! The search index against the entries that it was made from.

use crate::store::audit::{
    place::Place,
    projection::{self, Row},
};
use rusqlite::{Connection, OptionalExtension as _, Statement};

/// The search index, compared entry by entry and then by its counts.
pub(super) struct Index<'log> {
    upto: i64,
    event: Statement<'log>,
    patient: Statement<'log>,
    events: i64,
    patients: i64,
}

impl<'log> Index<'log> {
    pub(super) fn of(log: &'log Connection) -> rusqlite::Result<Index<'log>> {
        Ok(Index {
            upto: projection::upto(log)?,
            event: log.prepare("SELECT at, client, user FROM audit_event WHERE id = ?1")?,
            patient: log.prepare(
                "SELECT 1 FROM audit_patient WHERE patient = ?1 AND at = ?2 AND id = ?3",
            )?,
            events: 0,
            patients: 0,
        })
    }

    /// Whether the index has what it must have of an entry.
    pub(super) fn agrees(&mut self, id: i64, at: i64, expected: &Row) -> rusqlite::Result<bool> {
        if id > self.upto {
            return Ok(true);
        }
        for patient in &expected.patients {
            if !self.patient.exists((patient, at, id))? {
                return Ok(false);
            }
            self.patients += 1;
        }
        self.events += 1;
        let mut event = self.event.query([id])?;
        let Some(row) = event.next()? else {
            return Ok(false);
        };
        Ok(row.get_ref(0)?.as_i64() == Ok(at)
            && row.get_ref(1)?.as_str_or_null().ok() == Some(expected.client.as_deref())
            && row.get_ref(2)?.as_str_or_null().ok() == Some(expected.user.as_deref()))
    }

    /// Where the index has more than it must have; no place if no entry stands for that.
    pub(super) fn excess(&self, log: &Connection) -> rusqlite::Result<Option<Place>> {
        let count = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            log.query_row(&sql, [], |row| row.get::<_, i64>(0))
        };
        if count("audit_event")? == self.events && count("audit_patient")? == self.patients {
            return Ok(None);
        }
        let sql = "SELECT e.chain, e.seq FROM audit_patient p JOIN audit_entry e ON e.id = p.id
                   WHERE p.at IS NOT e.at OR p.patient NOT IN
                     (SELECT value FROM json_each(e.body, '$.patients'))
                   ORDER BY p.id LIMIT 1";
        let place = log.query_row(sql, [], |row| {
            Ok(Place {
                chain: row.get(0)?,
                seq: row.get(1)?,
            })
        });
        let nowhere = Place { chain: 0, seq: 0 };
        Ok(Some(place.optional()?.unwrap_or(nowhere)))
    }
}
