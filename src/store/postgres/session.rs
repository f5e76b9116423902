//! PostgreSQL as a [`Session`]: a connection driven to the end of each statement on its own thread.

use crate::store::{
    StoreError,
    later::Later,
    session::{Column, Columns, Each, Memo, Session},
    sql::Value,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Postgres, Row as _, Type, TypeInfo as _, ValueRef as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{
        PgArgumentBuffer, PgArguments, PgConnection, PgRow, PgTypeInfo, PgValueFormat, types::Oid,
    },
};
use std::{
    cell::{Cell, RefCell},
    io,
    time::Duration,
};
use tokio::runtime::Runtime;

/// What a failure means for the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is gone.
    Lost,
    /// The engine gave way to another transaction: the same again may succeed.
    GaveWay,
    /// Something else.
    Other,
}

/// A connection within a transaction.
pub(super) struct Connected<'c> {
    runtime: &'c Runtime,
    /// How long a statement may take by our own clock: more than the database gives it, so that this ends
    /// only what the network swallowed.
    patience: Duration,
    connection: RefCell<&'c mut PgConnection>,
    fault: Cell<Option<Fault>>,
    open: Cell<bool>,
    later: RefCell<Later>,
    soon: RefCell<Vec<Soon>>,
    memo: RefCell<Memo>,
}

/// Rows that wait for the next statement that is not one more of them.
struct Soon {
    into: &'static str,
    width: usize,
    values: Vec<Value>,
    after: &'static str,
}

/// How long a statement may take by our own clock for what may go through whole tables: a migration.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

/// The most values that wait.
const WAITING: usize = 200_000;

/// The most rows of one `INSERT`.
const AT_ONCE: usize = 64;

impl<'c> Connected<'c> {
    pub(super) fn new(
        runtime: &'c Runtime,
        connection: &'c mut PgConnection,
        patience: Duration,
    ) -> Connected<'c> {
        Connected {
            runtime,
            patience,
            connection: RefCell::new(connection),
            fault: Cell::new(None),
            open: Cell::new(true),
            later: RefCell::default(),
            soon: RefCell::default(),
            memo: RefCell::default(),
        }
    }

    /// Whether a transaction may be open.
    pub(super) fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Ends the transaction.
    pub(super) fn end(&self, how: &'static str) -> Result<(), StoreError> {
        match how {
            "COMMIT" => self.flush()?,
            _ => self.soon.borrow_mut().clear(),
        }
        self.simple(how.into())?;
        self.open.set(false);
        Ok(())
    }

    /// What went wrong first, if anything did.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Runs text without values, several statements if need be, in one round trip; the first column of
    /// the last row as text.
    pub(super) fn simple(&self, sql: String) -> Result<Option<String>, StoreError> {
        self.script(sql, self.patience)
    }

    fn script(&self, sql: String, patience: Duration) -> Result<Option<String>, StoreError> {
        self.insert_waiting()?;
        let rows = self.done(patience, async |connection| {
            let query = sqlx::raw_sql(AssertSqlSafe(sql));
            query.fetch_all(connection).await
        })?;
        let last = rows.last().filter(|row| !row.is_empty());
        let text = |row: &PgRow| match Columns::column(row, 0)? {
            Column::Text(text) => Ok(text.to_owned()),
            _ => Err(StoreError::Damaged),
        };
        last.map(text).transpose()
    }

    /// Inserts what waits for the next statement.
    fn insert_waiting(&self) -> Result<(), StoreError> {
        let session: &dyn Session = self;
        for soon in self.soon.take() {
            session.insert_by(AT_ONCE, soon.into, soon.width, &soon.values, soon.after)?;
        }
        Ok(())
    }

    /// Writes what waits.
    fn flush(&self) -> Result<(), StoreError> {
        let later = self.later.take();
        later.write(self, AT_ONCE, |gone| {
            let deletes = gone.into_iter().map(|(table, rids)| {
                let rids: Vec<String> = rids.iter().map(ToString::to_string).collect();
                format!("DELETE FROM {table} WHERE rid IN ({})", rids.join(","))
            });
            self.simple(deletes.collect::<Vec<_>>().join("; "))
                .map(drop)
        })
    }

    fn done<T>(
        &self,
        patience: Duration,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        let Ok(mut connection) = self.connection.try_borrow_mut() else {
            return Err(StoreError::Away("a statement within another".into()));
        };
        let done = self.runtime.block_on(async {
            let done = tokio::time::timeout(patience, work(&mut connection)).await;
            done.unwrap_or_else(|_| Err(late()))
        });
        done.map_err(|error| {
            let (fault, error) = sorted(&error);
            if self.fault.get().is_none() {
                self.fault.set(Some(fault));
            }
            error
        })
    }
}

impl Session for Connected<'_> {
    fn run(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.insert_waiting()?;
        let (sql, values) = (AssertSqlSafe(translated(sql)), bound(values)?);
        let done = self.done(self.patience, async |connection| {
            sqlx::query_with(sql, values).execute(connection).await
        })?;
        Ok(done.rows_affected())
    }

    fn rows(&self, sql: &str, values: &[Value], each: Each<'_>) -> Result<(), StoreError> {
        self.insert_waiting()?;
        let (sql, values) = (AssertSqlSafe(translated(sql)), bound(values)?);
        let rows = self.done(self.patience, async |connection| {
            sqlx::query_with(sql, values).fetch_all(connection).await
        })?;
        for row in &rows {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    fn sweep(&self, statements: &[&str], number: i64) -> Result<(), StoreError> {
        let number = number.to_string();
        let all: Vec<String> = statements
            .iter()
            .map(|sql| sql.replace("?1", &number))
            .collect();
        self.script(all.join("; "), LONG_PATIENCE).map(|_| ())
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn later(
        &self,
        table: &'static str,
        width: usize,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        let waiting = self.later.borrow_mut().put(table, width, values);
        if waiting > WAITING {
            self.flush()?;
        }
        Ok(())
    }

    fn soon(
        &self,
        into: &'static str,
        width: usize,
        values: Vec<Value>,
        after: &'static str,
    ) -> Result<(), StoreError> {
        let mut soon = self.soon.borrow_mut();
        let same = |one: &&mut Soon| (one.into, one.after) == (into, after);
        match soon.iter_mut().find(same) {
            Some(one) => one.values.extend(values),
            None => soon.push(Soon {
                into,
                width,
                values,
                after,
            }),
        }
        Ok(())
    }

    fn clear(&self, tables: &[&'static str], rid: i64) -> Result<(), StoreError> {
        self.later.borrow_mut().clear(tables, rid);
        Ok(())
    }

    fn memo(&self) -> Option<&RefCell<Memo>> {
        Some(&self.memo)
    }
}

/// No answer came in time.
pub(super) fn late() -> sqlx::Error {
    sqlx::Error::Io(io::Error::from(io::ErrorKind::TimedOut))
}

/// Sorts an error. Its own words can quote values; its code can't.
pub(super) fn sorted(error: &sqlx::Error) -> (Fault, StoreError) {
    let away = |text: String| StoreError::Away(text.into());
    let sqlx::Error::Database(error) = error else {
        return match error {
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => (
                Fault::Lost,
                StoreError::Away("the connection to the database was lost".into()),
            ),
            _ => (Fault::Other, StoreError::Damaged),
        };
    };
    let code = error.code().unwrap_or_default();
    match &*code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => (Fault::GaveWay, away(format!("another write, {code}"))),
        // data_corrupted, index_corrupted
        "XX001" | "XX002" => (Fault::Other, StoreError::Damaged),
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle_in_transaction_session_timeout
        "57P01" | "57P02" | "57P03" | "25P03" => (
            Fault::Lost,
            away(format!("the database is going down, {code}")),
        ),
        _ => (Fault::Other, away(format!("the database said {code}"))),
    }
}

/// Text with `?` and `?1` as PostgreSQL has it, `$1`. A sign before a name is a hint for SQLite's
/// planner.
fn translated(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 32);
    let mut chars = sql.chars().peekable();
    let (mut quoted, mut last, mut count) = (false, ' ', 0_usize);
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match c {
            '\'' => quoted = !quoted,
            '?' if !quoted => {
                text.push('$');
                if !next.is_ascii_digit() {
                    count += 1;
                    text.push_str(&count.to_string());
                }
                last = c;
                continue;
            }
            '+' if !quoted && [' ', '('].contains(&last) && next.is_ascii_alphabetic() => continue,
            _ => {}
        }
        text.push(c);
        last = c;
    }
    text
}

/// NULL, of whatever type the statement expects.
struct Nothing;

impl Type<Postgres> for Nothing {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for Nothing {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

fn bound(values: &[Value]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(Nothing),
            Value::Integer(number) => arguments.add(*number),
            Value::Real(number) => arguments.add(*number),
            // The one character that PostgreSQL's text can't hold; FHIR's can't either.
            Value::Text(text) if text.contains('\0') => {
                arguments.add(text.replace('\0', "\u{fffd}"))
            }
            Value::Text(text) => arguments.add(&**text),
            Value::Bytes(bytes) => arguments.add(&**bytes),
        };
        added.map_err(|_| StoreError::Away("a value is too long".into()))?;
    }
    Ok(arguments)
}

impl Columns for PgRow {
    fn column(&self, at: usize) -> Result<Column<'_>, StoreError> {
        let value = self.try_get_raw(at).map_err(|_| StoreError::Damaged)?;
        if value.is_null() {
            return Ok(Column::Null);
        }
        let is_text = value.format() == PgValueFormat::Text;
        let bytes = value.as_bytes().map_err(|_| StoreError::Damaged)?;
        let column = match (is_text, value.type_info().name()) {
            (true, _) | (_, "TEXT" | "VARCHAR" | "NAME" | "UNKNOWN") => {
                std::str::from_utf8(bytes).ok().map(Column::Text)
            }
            (_, "INT8") => whole(bytes).map(i64::from_be_bytes).map(Column::Integer),
            (_, "INT4") => {
                whole(bytes).map(|four| Column::Integer(i32::from_be_bytes(four).into()))
            }
            (_, "BOOL") => whole(bytes).map(|[one]| Column::Integer(one.into())),
            (_, "FLOAT8") => whole(bytes).map(f64::from_be_bytes).map(Column::Real),
            (_, "BYTEA") => Some(Column::Bytes(bytes)),
            _ => None,
        };
        column.ok_or(StoreError::Damaged)
    }
}

fn whole<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbered_and_hints_dropped() {
        for (sql, expected) in [
            ("a = ? AND b = ?", "a = $1 AND b = $2"),
            ("a = ?2 OR b = ?1", "a = $2 OR b = $1"),
            (
                "x = '?' AND y = 'it''s ?' AND z = ?",
                "x = '?' AND y = 'it''s ?' AND z = $1",
            ),
            (
                "+r.kind IN (1) AND (+r.kind = ?)",
                "r.kind IN (1) AND (r.kind = $1)",
            ),
            ("SET seq = seq + 1, x = '+a'", "SET seq = seq + 1, x = '+a'"),
        ] {
            assert_eq!(translated(sql), expected);
        }
    }
}
