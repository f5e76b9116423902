//! The search index behind the chain. All of it is made from the entries' texts and can be made
//! again; [`verify`](super::verify) compares it with them.

use super::body::{self, Recorded};
use crate::{fhir::Key, gate::Entry};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use std::collections::VecDeque;

/// How far a slice came.
pub(super) struct Slice {
    /// The last entry that the index has.
    pub(super) upto: i64,
    /// Whether nothing was left behind it.
    pub(super) whole: bool,
}

/// An entry's row in the index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) client: Option<Box<str>>,
    pub(super) user: Option<Box<str>>,
    /// In order, each once.
    pub(super) patients: Vec<Box<str>>,
}

impl Row {
    pub(super) fn of(recorded: Recorded) -> Row {
        Row::from(recorded.client, recorded.user, recorded.patients)
    }

    /// The row of an entry that is about to be written: the same as of its text.
    pub(super) fn of_entry(entry: Entry) -> Row {
        let name = |key: &Key| key.to_string().into_boxed_str();
        let patients = entry.patients.iter().map(name).collect();
        Row::from(entry.client, entry.user.as_ref().map(name), patients)
    }

    fn from(client: Box<str>, user: Option<Box<str>>, mut patients: Vec<Box<str>>) -> Row {
        patients.sort_unstable();
        patients.dedup();
        Row {
            client: Some(client).filter(|client| !client.is_empty()),
            user,
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

/// An entry that its writer still knows.
pub(super) struct Fresh {
    pub(super) id: i64,
    pub(super) at: i64,
    pub(super) row: Row,
}

/// Indexes the next entries, at most `most`, whichever process wrote them. `fresh` is what the writer
/// remembers of them, by id; the rest is read.
pub(super) fn slice(
    connection: &mut Connection,
    most: usize,
    fresh: &mut VecDeque<Fresh>,
) -> rusqlite::Result<Slice> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut upto = upto(&transaction)?;
    let (mut taken, mut known) = (0, 0);
    while fresh.front().is_some_and(|front| front.id <= upto) {
        fresh.pop_front();
    }
    {
        let mut event = transaction.prepare_cached(
            "INSERT OR REPLACE INTO audit_event (id, at, client, user) VALUES (?1, ?2, ?3, ?4)",
        )?;
        let mut patient = transaction.prepare_cached(
            "INSERT OR REPLACE INTO audit_patient (patient, at, id) VALUES (?1, ?2, ?3)",
        )?;
        while taken < most {
            let read;
            let Fresh { id, at, row } = match fresh.get(known) {
                Some(next) if next.id == upto + 1 => {
                    known += 1;
                    next
                }
                _ => match next(&transaction, upto)? {
                    Some(found) => {
                        read = found;
                        &read
                    }
                    None => break,
                },
            };
            known += usize::from(fresh.get(known).is_some_and(|next| next.id == *id));
            event.execute((id, at, &row.client, &row.user))?;
            for name in &row.patients {
                patient.execute((name, at, id))?;
            }
            taken += 1;
            upto = *id;
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

/// The entry that follows, as the log has it.
fn next(connection: &Connection, after: i64) -> rusqlite::Result<Option<Fresh>> {
    let mut entry = connection
        .prepare_cached("SELECT id, at, body FROM audit_entry WHERE id > ?1 ORDER BY id LIMIT 1")?;
    let found = entry.query_row([after], |row| {
        let text = row.get_ref(2)?.as_bytes().unwrap_or_default();
        Ok(Fresh {
            id: row.get(0)?,
            at: row.get(1)?,
            // A text that was tampered with is `verify`'s to report; it must not stop the others.
            row: body::decode(text).map(Row::of).unwrap_or_default(),
        })
    });
    found.optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::body::tests::any_entry;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_and_its_text_have_one_row(entry in any_entry()) {
            let recorded = body::decode(&body::encode(&entry)).unwrap();
            prop_assert_eq!(Row::of_entry(entry), Row::of(recorded));
        }
    }
}
