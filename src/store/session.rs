//! What the store asks of an engine: to run a statement and to hand over rows. Everything else about
//! records ([`records`](super::records)) is written once over it.
//!
//! Statements keep to what SQLite and PostgreSQL have in common: `ON CONFLICT`, `RETURNING`, `IS DISTINCT
//! FROM`; values are `?` in order, or `?1`, `?2`; truths are stored as 0 and 1.

use super::{StoreError, sql::Value};
use crate::fhir::Key;
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// A connection within a transaction or a snapshot.
pub trait Session {
    /// Runs a statement; how many rows it touched.
    fn run(&self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Runs a query and hands over its rows one by one, while `each` says to go on.
    fn rows(&self, sql: &str, values: &[Value], each: Each<'_>) -> Result<(), StoreError>;

    /// Runs statements that all take the one number `?1`: one round trip, where that costs something.
    fn sweep(&self, statements: &[&str], number: i64) -> Result<(), StoreError> {
        for sql in statements {
            self.run(sql, &[Value::Integer(number)])?;
        }
        Ok(())
    }

    /// How many rows one `INSERT` should take.
    fn at_once(&self) -> usize {
        1
    }

    /// Inserts rows of `width` columns each that nothing in this transaction reads: an engine may keep them
    /// until its end.
    fn later(
        &self,
        table: &'static str,
        width: usize,
        values: Vec<Value>,
    ) -> Result<(), StoreError>;

    /// Inserts rows of `width` columns each that an engine may keep until something else is asked of the
    /// transaction: `into` is `INSERT INTO … VALUES`, `after` what follows the rows.
    fn soon(
        &self,
        into: &'static str,
        width: usize,
        values: Vec<Value>,
        after: &'static str,
    ) -> Result<(), StoreError> {
        let places = vec!["?"; width].join(",");
        let sql = format!("{into} ({places}) {after}");
        for row in values.chunks(width.max(1)) {
            self.run(&sql, row)?;
        }
        Ok(())
    }

    /// Deletes the rows of the record `rid` from tables that [`later`](Self::later) fills.
    fn clear(&self, tables: &[&'static str], rid: i64) -> Result<(), StoreError> {
        for table in tables {
            let sql = format!("DELETE FROM {table} WHERE rid = ?1");
            self.run(&sql, &[Value::Integer(rid)])?;
        }
        Ok(())
    }

    /// The name behind a number, where it is known: it never changes.
    fn recall(&self, rid: i64) -> Option<Key> {
        let memo = self.memo()?.borrow();
        memo.names.get(&rid).cloned()
    }

    /// Remembers the name behind a number.
    fn remember(&self, rid: i64, key: &Key) {
        if let Some(memo) = self.memo() {
            memo.borrow_mut().names.insert(rid, key.clone());
        }
    }

    /// What the transaction knows and need not ask again.
    fn memo(&self) -> Option<&RefCell<Memo>> {
        None
    }
}

/// What a transaction that writes knows of the numbers of records.
#[derive(Debug, Default)]
pub struct Memo {
    /// Numbers by name.
    pub numbers: HashMap<Key, i64>,
    /// Names by number, as far as they were asked for.
    pub names: HashMap<i64, Key>,
    /// Numbers given in this transaction, of records that are yet to be written.
    pub fresh: HashSet<i64>,
    /// All numbers given in this transaction.
    pub born: HashSet<i64>,
    /// Whether the transaction has said that what relations follow from moves.
    pub moves: bool,
    /// Records written in this transaction that take their patients from others.
    pub derived: HashSet<i64>,
    /// Records that a Consent written in this transaction names.
    pub named: HashSet<i64>,
    /// What the records written in this transaction point at, and the way back.
    points: HashMap<i64, Vec<i64>>,
    pointed: HashMap<i64, Vec<i64>>,
}

impl Memo {
    /// A record points at these from now on.
    pub fn points(&mut self, rid: i64, at: impl IntoIterator<Item = i64>) {
        for target in at {
            self.points.entry(rid).or_default().push(target);
            self.pointed.entry(target).or_default().push(rid);
        }
    }

    /// A record points at nothing any more.
    pub fn points_no_more(&mut self, rid: i64) {
        for target in self.points.remove(&rid).unwrap_or_default() {
            if let Some(from) = self.pointed.get_mut(&target) {
                from.retain(|from| *from != rid);
            }
        }
    }

    /// All that points at a record whose number was given in this transaction: nothing could before.
    /// `None` of another one.
    pub fn referrers(&self, rid: i64) -> Option<&[i64]> {
        let known = self.born.contains(&rid);
        known.then(|| self.pointed.get(&rid).map_or(&[][..], Vec::as_slice))
    }
}

/// What is done with a row; whether to go on.
pub type Each<'e> = &'e mut dyn FnMut(&dyn Columns) -> Result<bool, StoreError>;

/// A row.
pub trait Columns {
    /// The column of that place, from 0.
    fn column(&self, at: usize) -> Result<Column<'_>, StoreError>;
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "SQL's own kinds")]
pub enum Column<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'r str),
    Bytes(&'r [u8]),
}

/// What can be read from a column.
pub trait FromColumn<'r>: Sized {
    /// The value; a column of another kind is damage.
    fn of(column: Column<'r>) -> Result<Self, StoreError>;
}

impl dyn Columns + '_ {
    /// The column of that place, from 0.
    pub fn get<'r, T: FromColumn<'r>>(&'r self, at: usize) -> Result<T, StoreError> {
        T::of(self.column(at)?)
    }
}

impl dyn Session + '_ {
    /// What `read` makes of each row.
    pub fn all<T>(
        &self,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.rows(sql, values, &mut |row| {
            all.push(read(row)?);
            Ok(true)
        })?;
        Ok(all)
    }

    /// What `read` makes of the first row, if there is one.
    pub fn first<T>(
        &self,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut first = None;
        self.rows(sql, values, &mut |row| {
            first = Some(read(row)?);
            Ok(false)
        })?;
        Ok(first)
    }

    /// What `read` makes of the only row.
    pub fn one<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&dyn Columns) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.first(sql, values, read)?.ok_or(StoreError::Damaged)
    }

    /// Whether there is a row.
    pub fn exists(&self, sql: &str, values: &[Value]) -> Result<bool, StoreError> {
        Ok(self.first(sql, values, |_| Ok(()))?.is_some())
    }

    /// The first column of each row.
    pub fn numbers(&self, sql: &str, values: &[Value]) -> Result<Vec<i64>, StoreError> {
        self.all(sql, values, |row| row.get(0))
    }

    /// Inserts rows of `width` columns each, some at a time. `into` is `INSERT INTO … VALUES`, `after` what
    /// follows the rows. The numbers of rows at a time are few, so that statements stay prepared.
    pub fn insert(
        &self,
        into: &str,
        width: usize,
        values: &[Value],
        after: &str,
    ) -> Result<(), StoreError> {
        self.insert_by(self.at_once(), into, width, values, after)
    }

    /// The same, at most `many` rows at a time.
    pub fn insert_by(
        &self,
        many: usize,
        into: &str,
        width: usize,
        values: &[Value],
        after: &str,
    ) -> Result<(), StoreError> {
        let (mut rest, mut many, mut sql) = (values, many.max(1), String::new());
        while !rest.is_empty() && width > 0 {
            while many > 1 && many * width > rest.len() {
                many /= 2;
                sql.clear();
            }
            let (some, others) = rest.split_at(rest.len().min(many * width));
            rest = others;
            if sql.is_empty() {
                let row = format!("({})", vec!["?"; width].join(","));
                let rows = vec![row.as_str(); many].join(",");
                sql = format!("{into} {rows} {after}");
            }
            self.run(&sql, some)?;
        }
        Ok(())
    }
}

impl<'r> FromColumn<'r> for i64 {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        match column {
            Column::Integer(number) => Ok(number),
            _ => Err(StoreError::Damaged),
        }
    }
}

impl<'r> FromColumn<'r> for u32 {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        u32::try_from(i64::of(column)?).map_err(|_| StoreError::Damaged)
    }
}

impl<'r> FromColumn<'r> for bool {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        Ok(i64::of(column)? != 0)
    }
}

impl<'r> FromColumn<'r> for f64 {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        match column {
            Column::Real(number) => Ok(number),
            _ => Err(StoreError::Damaged),
        }
    }
}

impl<'r> FromColumn<'r> for &'r str {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        match column {
            Column::Text(text) => Ok(text),
            _ => Err(StoreError::Damaged),
        }
    }
}

impl<'r> FromColumn<'r> for String {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        <&str>::of(column).map(str::to_owned)
    }
}

impl<'r> FromColumn<'r> for Vec<u8> {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        match column {
            Column::Bytes(bytes) => Ok(bytes.to_vec()),
            _ => Err(StoreError::Damaged),
        }
    }
}

impl<'r, T: FromColumn<'r>> FromColumn<'r> for Option<T> {
    fn of(column: Column<'r>) -> Result<Self, StoreError> {
        match column {
            Column::Null => Ok(None),
            column => T::of(column).map(Some),
        }
    }
}
