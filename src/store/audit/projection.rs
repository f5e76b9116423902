//! The search index behind the chain. All of it is made from the entries' texts and can be made
//! again; [`verify`](super::verify) compares it with them.

use super::body::{self, Recorded};
use rusqlite::{Connection, TransactionBehavior};

/// How far a slice came.
pub(super) struct Slice {
    /// The last entry that the index has.
    pub(super) upto: i64,
    /// Whether nothing was left behind it.
    pub(super) whole: bool,
}

/// An entry's row in the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) client: Option<Box<str>>,
    pub(super) user: Option<Box<str>>,
    /// In order, each once.
    pub(super) patients: Vec<Box<str>>,
}

impl Row {
    pub(super) fn of(recorded: Recorded) -> Row {
        let mut patients = recorded.patients;
        patients.sort_unstable();
        patients.dedup();
        Row {
            client: Some(recorded.client).filter(|client| !client.is_empty()),
            user: recorded.user,
            patients,
        }
    }
}

/// The last entry that the index has.
pub(super) fn upto(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(upto), 0) FROM audit_projection";
    connection.query_row(sql, [], |row| row.get(0))
}

/// The last entry that was committed, by any process.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(id), 0) FROM audit_entry";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Indexes the next entries, at most `most`, whichever process wrote them.
pub(super) fn slice(connection: &mut Connection, most: usize) -> rusqlite::Result<Slice> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut upto = upto(&transaction)?;
    let mut taken = 0;
    {
        let mut entries = transaction.prepare_cached(
            "SELECT id, at, body FROM audit_entry WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let mut event = transaction.prepare_cached(
            "INSERT OR REPLACE INTO audit_event (id, at, client, user) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut patient = transaction.prepare_cached(
            "INSERT OR REPLACE INTO audit_patient (patient, at, id) VALUES (?1, ?2, ?3)",
        )?;
        let mut rows = entries.query((upto, i64::try_from(most).unwrap_or(i64::MAX)))?;
        while let Some(row) = rows.next()? {
            let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
            let text = row.get_ref(2)?.as_bytes().unwrap_or_default();
            // A text that was tampered with is `verify`'s to report; it must not stop the others.
            let indexed = body::decode(text).map(Row::of).unwrap_or(Row {
                client: None,
                user: None,
                patients: Vec::new(),
            });
            event.execute((id, at, &indexed.client, &indexed.user))?;
            for name in &indexed.patients {
                patient.execute((name, at, id))?;
            }
            taken += 1;
            upto = id;
        }
    }
    if taken > 0 {
        transaction.execute("UPDATE audit_projection SET upto = ?1", [upto])?;
    }
    transaction.commit()?;
    Ok(Slice {
        upto,
        whole: taken < most,
    })
}
