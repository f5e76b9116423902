//! SQLite as a [`Session`]: statements are prepared once a connection; where it writes, some rows wait for
//! the end of the transaction.

use crate::store::{
    StoreError,
    later::Later,
    session::{Column, Columns, Each, Memo, Session},
    sql::Value,
};
use rusqlite::{
    Connection, Row, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::cell::RefCell;

/// The most values that wait: what fits the processor's cache.
const WAITING: usize = 16_384;

/// The most rows of one `INSERT`: its cursors stay where the last row went.
const AT_ONCE: usize = 32;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(code, _)
                if matches!(
                    code.code,
                    rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase
                ) =>
            {
                StoreError::Damaged
            }
            // The engine's own words can quote values; its code can't.
            rusqlite::Error::SqliteFailure(code, _) => StoreError::Away(code.to_string().into()),
            _ => StoreError::Away("the query failed".into()),
        }
    }
}

impl Session for Connection {
    fn run(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let touched = statement.execute(params_from_iter(values))?;
        Ok(u64::try_from(touched).unwrap_or(u64::MAX))
    }

    fn rows(&self, sql: &str, values: &[Value], each: Each<'_>) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if !each(row)? {
                break;
            }
        }
        Ok(())
    }

    fn later(
        &self,
        table: &'static str,
        width: usize,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        let session: &dyn Session = self;
        session.insert(&format!("INSERT INTO {table} VALUES"), width, &values, "")
    }
}

/// A connection within a transaction that writes.
pub(super) struct Writing<'c> {
    connection: &'c Connection,
    later: RefCell<Later>,
    memo: RefCell<Memo>,
}

impl<'c> Writing<'c> {
    pub(super) fn on(connection: &'c Connection) -> Writing<'c> {
        Writing {
            connection,
            later: RefCell::default(),
            memo: RefCell::default(),
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let later = self.later.take();
        later.write(self.connection, AT_ONCE, |gone| {
            for (table, rids) in gone {
                let sql = format!("DELETE FROM {table} WHERE rid = ?1");
                let mut statement = self.connection.prepare_cached(&sql)?;
                for rid in rids {
                    statement.execute([rid])?;
                }
            }
            Ok(())
        })
    }
}

impl Session for Writing<'_> {
    fn run(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.connection.run(sql, values)
    }

    fn rows(&self, sql: &str, values: &[Value], each: Each<'_>) -> Result<(), StoreError> {
        self.connection.rows(sql, values, each)
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

    fn clear(&self, tables: &[&'static str], rid: i64) -> Result<(), StoreError> {
        self.later.borrow_mut().clear(tables, rid);
        Ok(())
    }

    fn memo(&self) -> Option<&RefCell<Memo>> {
        Some(&self.memo)
    }
}

impl Columns for Row<'_> {
    fn column(&self, at: usize) -> Result<Column<'_>, StoreError> {
        Ok(match self.get_ref(at)? {
            ValueRef::Null => Column::Null,
            ValueRef::Integer(number) => Column::Integer(number),
            ValueRef::Real(number) => Column::Real(number),
            ValueRef::Text(text) => {
                Column::Text(std::str::from_utf8(text).map_err(|_| StoreError::Damaged)?)
            }
            ValueRef::Blob(bytes) => Column::Bytes(bytes),
        })
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::from(rusqlite::types::Null),
            Value::Integer(value) => ToSqlOutput::from(*value),
            Value::Real(value) => ToSqlOutput::from(*value),
            Value::Text(value) => ToSqlOutput::from(&**value),
            Value::Bytes(value) => ToSqlOutput::from(&**value),
        })
    }
}
