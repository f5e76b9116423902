//! The engine for several nodes: PostgreSQL through sqlx. A bounded number of readers, each a connection
//! on a thread of its own and each question in one snapshot; one writer a node, and one transaction of
//! all nodes that writes at a time (docs/decisions/006-two-engines.md).

mod session;
mod worker;

use super::{
    Batch, Found, StoreError, WriteError, Written,
    group::{Transact as _, Waiting},
    query::{self, Order},
    records::{ordered, reindex, remembered::Snapshot, search},
    session::Session,
};
use crate::{
    fhir::Key,
    policy::{Case, Settings},
    search::plan::Plan,
};
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use std::{
    fmt, io,
    str::FromStr as _,
    sync::{Arc, mpsc},
    time::Duration,
};
use worker::Queue;

/// The version of the schema that this program writes.
const SCHEMA: i64 = 1;

const MIGRATIONS: &[&str] = &[include_str!("../migrations/postgres/0001_records.sql")];

/// Connections for what is no record. They are made when they are needed.
const ASIDE: u16 = 2;

/// The most prepared statements that a connection remembers.
const STATEMENTS: usize = 256;

/// Why the store can't be opened. Never holds a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address can't be understood.
    #[error("the address of the database can't be understood")]
    Address,
    /// Nothing answers there, or it refuses us.
    #[error("{place}: {problem}")]
    Unreachable {
        /// Host, port and name.
        place: String,
        /// What was said.
        problem: String,
    },
    /// Made by a newer version of the program.
    #[error("{0} was made by a newer version of confide (schema {1}, this one knows {SCHEMA})")]
    Newer(String, i64),
    /// A database of another program.
    #[error("{0} is a database, but not a confide store: it holds tables of another program")]
    Foreign(String),
    /// Text is kept in another encoding.
    #[error("{0} keeps text as {1}: a confide store needs UTF8")]
    Encoding(String, String),
    /// The threads can't be made.
    #[error("threads for the database can't be made: {0}")]
    Threads(io::Error),
    /// The engine failed.
    #[error("{0}: {1}")]
    Failed(String, StoreError),
}

/// The store on PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    place: String,
    readers: Arc<Queue>,
    writer: Arc<Queue>,
    /// For what is no record: the registry.
    aside: Arc<Queue>,
    waiting: Arc<Waiting>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.close();
        self.writer.close();
        self.aside.close();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens the store at the address `postgres://…` with so many readers, and migrates it.
    pub fn open(address: &str, readers: u16) -> Result<PostgresStore, OpenError> {
        let (store, _) = PostgresStore::with(address, readers, true)?;
        Ok(store)
    }

    /// Opens the store only to look at it; `None` where there is none yet.
    pub fn look(address: &str) -> Result<Option<PostgresStore>, OpenError> {
        let (store, is_there) = PostgresStore::with(address, 1, false)?;
        Ok(Some(store).filter(|_| is_there))
    }

    fn with(address: &str, readers: u16, make: bool) -> Result<(PostgresStore, bool), OpenError> {
        let options = options(address)?;
        let place = place(&options);
        let to = Arc::new(options);
        let writer = Queue::with(1, &to, worker::FEW_ROWS).map_err(OpenError::Threads)?;
        let readers = Queue::with(readers, &to, worker::BY_INDEX).map_err(OpenError::Threads)?;
        let inner = Inner {
            place: place.clone(),
            readers,
            writer,
            aside: Queue::with(ASIDE, &to, "").map_err(OpenError::Threads)?,
            waiting: Arc::default(),
        };
        let (answer, answered) = mpsc::channel();
        inner.writer.put(move |worker| {
            let opened = match worker.reach() {
                Ok(()) => worker
                    .transact(&|tx| migrate(tx, make))
                    .map_err(|unfit| unfit.of(place)),
                Err(error) => Err(OpenError::Unreachable {
                    place,
                    problem: said(&error),
                }),
            };
            let _ = answer.send(opened);
        });
        let failed = || OpenError::Failed(inner.place.clone(), StoreError::Damaged);
        let is_there = answered.recv().map_err(|_| failed())??;
        let inner = Arc::new(inner);
        Ok((PostgresStore { inner }, is_there))
    }

    /// How long a statement may take (`statement_timeout`). What is written is written to its end, also
    /// where its caller no longer waits: a write is not cut shorter than it was.
    pub fn limit(&self, longest: Duration) {
        self.inner.readers.limit(longest);
        self.inner.writer.limit(longest.max(worker::LONGEST));
    }

    /// Answers a question on a reader's connection, in one snapshot.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.put(question, move |said| drop(answer.send(said)));
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// One record: by one statement, where what holds between its patients and the requester is remembered.
    pub async fn read(
        &self,
        case: Case,
        settings: Settings,
        key: Key,
    ) -> Result<Option<Found>, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inner.readers.put(move |worker| {
            let seen = worker
                .glance(|read, remembered| search::glance(read, remembered, &case, settings, &key));
            drop(answer.send(match seen {
                Ok(None) => worker.ask(&|read| search::read(read, &case, settings, &key)),
                Ok(Some(found)) => Ok(found),
                Err(error) => Err(error),
            }));
        });
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The same for a caller that may wait where it stands.
    pub fn ask_now<T: Send + 'static>(
        &self,
        question: impl Fn(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = mpsc::channel();
        self.put(question, move |said| drop(answer.send(said)));
        answered.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Runs statements that may be repeated, as a migration does: one node after the other.
    pub(in crate::store) fn prepare(&self, script: &'static str) -> Result<(), StoreError> {
        let (answer, answered) = mpsc::channel();
        self.inner.writer.put(move |worker| {
            let work: &dyn Fn(&dyn Session) -> Result<(), StoreError> =
                &|tx| tx.sweep(&[script], 0);
            drop(answer.send(worker.transact(work)));
        });
        answered.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Does `work` in a transaction of those that write records, one of all nodes at a time, and waits.
    pub(in crate::store) fn transact<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = mpsc::channel();
        self.inner.writer.put(move |worker| {
            drop(answer.send(worker.transact(&work)));
            worker.end();
        });
        answered.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// Does `work` in a transaction beside those of records, which does not wait for them.
    pub(in crate::store) async fn apart<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inner.aside.put(move |worker| {
            drop(answer.send(worker.apart(&work)));
        });
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// The one text that a query gives, in one round trip.
    pub(in crate::store) async fn said(&self, sql: &'static str) -> Result<String, StoreError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.inner.aside.put(move |worker| {
            drop(answer.send(worker.said(sql)));
        });
        answered.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// How the engine goes about a search, step by step, where it may not walk through a table.
    pub fn explain(
        &self,
        case: &Case,
        settings: Settings,
        plan: &Plan,
    ) -> Result<Vec<String>, StoreError> {
        let (case, plan) = (case.clone(), plan.clone());
        self.ask_now(move |read| {
            let names = read.names(&case.requester)?;
            let wanted = query::patients_of(&plan);
            let lens = search::lens(read, &case, settings, &names, wanted.as_deref())?;
            let sql = match ordered::first(read, &lens, &plan)? {
                Some(sql) => sql,
                None => query::page(query::matching(&lens, &plan), &Order::of(&plan), 50, None),
            };
            let session: &dyn Session = read;
            session.run("SET LOCAL enable_seqscan = off", &[])?;
            let explained = format!("EXPLAIN (COSTS OFF) {}", sql.text);
            let explained = session.all(&explained, &sql.values, |row| row.get(0))?;
            session.run("SET LOCAL enable_seqscan = on", &[])?;
            Ok(explained)
        })
    }

    fn put<T: 'static>(
        &self,
        question: impl Fn(&Snapshot<'_>) -> Result<T, StoreError> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let ask = move |worker: &mut worker::Worker| answer(worker.ask(&question));
        self.inner.readers.put(ask);
    }

    /// Writes a batch, together with others of this node that wait.
    pub async fn write(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.put_batch(batch, move |said| drop(answer.send(said)));
        let answered = answered.await;
        answered.unwrap_or_else(|_| Err(stopped().into()))
    }

    /// The same for a caller that may wait where it stands.
    pub fn write_now(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        let (answer, answered) = mpsc::channel();
        self.put_batch(batch, move |said| drop(answer.send(said)));
        answered.recv().unwrap_or_else(|_| Err(stopped().into()))
    }

    fn put_batch(
        &self,
        batch: Batch,
        answer: impl FnOnce(Result<Vec<Written>, WriteError>) + Send + 'static,
    ) {
        self.inner.waiting.put(batch, answer);
        let waiting = self.inner.waiting.clone();
        self.inner.writer.put(move |worker| {
            waiting.write(worker);
        });
    }
}

fn stopped() -> StoreError {
    StoreError::Away("the database's thread stopped".into())
}

/// How to connect. Statements are not logged: their text can hold what a requester asked for.
fn options(address: &str) -> Result<PgConnectOptions, OpenError> {
    let options = PgConnectOptions::from_str(address).map_err(|_| OpenError::Address)?;
    Ok(options
        .application_name("confide")
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging())
}

/// Where it is, without user and password.
fn place(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let name = options.get_database().unwrap_or(options.get_username());
    format!("postgres at {host}:{}, database {name}", options.get_port())
}

/// What an error of connecting may say: its own words name a user at most.
fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Io(error) => error.kind().to_string(),
        sqlx::Error::Tls(_) => "no TLS connection can be made".into(),
        sqlx::Error::Database(error) => match error.code().as_deref() {
            Some("28P01" | "28000") => "it refuses the user or the password".into(),
            Some("3D000") => "there is no such database".into(),
            Some("42501") => "the user may not do what is needed".into(),
            Some("57P03") => "it is starting up or going down".into(),
            Some("53300") => "it has too many connections".into(),
            code => format!("it refuses the connection ({})", code.unwrap_or("no code")),
        },
        _ => "it can't be connected to".into(),
    }
}

/// Why a database is no store of ours.
#[derive(Debug)]
enum Unfit {
    Store(StoreError),
    Newer(i64),
    Foreign,
    Encoding(String),
}

impl From<StoreError> for Unfit {
    fn from(error: StoreError) -> Self {
        Unfit::Store(error)
    }
}

impl Unfit {
    fn of(self, place: String) -> OpenError {
        match self {
            Unfit::Store(error) => OpenError::Failed(place, error),
            Unfit::Newer(version) => OpenError::Newer(place, version),
            Unfit::Foreign => OpenError::Foreign(place),
            Unfit::Encoding(found) => OpenError::Encoding(place, found),
        }
    }
}

/// Brings the schema to the version that this program knows, if it may (`make`); whether there is one.
/// Nodes that start together do it one after the other.
fn migrate(tx: &dyn Session, make: bool) -> Result<bool, Unfit> {
    let encoding: String = tx.one("SELECT current_setting('server_encoding')", &[], |row| {
        row.get(0)
    })?;
    if encoding != "UTF8" {
        return Err(Unfit::Encoding(encoding));
    }
    let tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema()";
    let ours = format!("{tables} AND table_name = 'confide_schema'");
    let version = if tx.exists(&ours, &[])? {
        let sql = "SELECT version FROM confide_schema";
        tx.one(sql, &[], |row| row.get::<i64>(0))?
    } else if tx.exists(&format!("{tables} LIMIT 1"), &[])? {
        return Err(Unfit::Foreign);
    } else if !make {
        return Ok(false);
    } else {
        tx.sweep(
            &[
                "CREATE TABLE confide_schema (version BIGINT NOT NULL)",
                "INSERT INTO confide_schema VALUES (0)",
            ],
            0,
        )?;
        0
    };
    if version > SCHEMA {
        return Err(Unfit::Newer(version));
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let left: Vec<&str> = MIGRATIONS.iter().skip(done).copied().collect();
    if !left.is_empty() && make {
        tx.run("SET LOCAL statement_timeout = 0", &[])?;
        tx.sweep(&left, 0)?;
        tx.run("UPDATE confide_schema SET version = ?1", &[SCHEMA.into()])?;
    }
    if make {
        reindex::begin(tx)?;
    }
    Ok(version > 0 || make)
}

#[cfg(test)]
mod tests;
