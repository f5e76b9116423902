//! The embedded engine: SQLite through rusqlite. One writer; one read connection a thread, opened on
//! first use; each question in one snapshot.

mod session;
mod writer;

use super::{
    Batch, StoreError, WriteError, Written,
    group::Transact as _,
    records::{
        reindex,
        remembered::{GENERATION, Remembered, Snapshot},
    },
    session::Session,
};
use crate::calendar::Stopwatch;
use rusqlite::{Connection, OpenFlags};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};
use writer::Writer;

/// The version of the schema that this program writes.
const SCHEMA: i64 = 1;

const MIGRATIONS: &[&str] = &[include_str!("../migrations/sqlite/0001_records.sql")];

/// Marks a database file as ours (`PRAGMA application_id`).
const APPLICATION: i64 = 0x436f_6e66;

/// The most prepared statements that a connection remembers.
const STATEMENTS: usize = 256;

/// The embedded store. Cheap to clone.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Tells this store's read connections from another's on the same thread.
    number: u64,
    writer: Writer,
    /// Milliseconds that a question may take.
    longest: AtomicU64,
}

/// Why the store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder can't be written.
    #[error("the folder of {0} can't be written: {1}")]
    Folder(PathBuf, std::io::Error),
    /// Made by a newer version of the program.
    #[error("{0} was made by a newer version of confide (schema {1}, this one knows {SCHEMA})")]
    Newer(PathBuf, i64),
    /// The file can't be written.
    #[error("{0} can't be written: {1}")]
    Unwritable(PathBuf, rusqlite::Error),
    /// It can't be told by what its index was made.
    #[error("{0}: {1}")]
    Index(PathBuf, StoreError),
    /// The thread that writes can't be made.
    #[error("a thread for {0} can't be made: {1}")]
    Thread(PathBuf, std::io::Error),
    /// Another process held it for too long.
    #[error("{0} is held by another process")]
    Busy(PathBuf),
    /// A database of another program.
    #[error("{0} is a database, but not a confide store")]
    Foreign(PathBuf),
    /// Not a database, or a damaged one.
    #[error("{0} is damaged or not a confide store: {1}")]
    Damaged(PathBuf, rusqlite::Error),
}

impl OpenError {
    /// Sorts what the engine said.
    fn of(path: &Path, error: rusqlite::Error) -> OpenError {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                OpenError::Unwritable(path, error)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::Busy(path),
            // What `migrate` says of a database that has another program's mark.
            None if matches!(error, rusqlite::Error::InvalidQuery) => OpenError::Foreign(path),
            _ => OpenError::Damaged(path, error),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

/// How many steps of the engine pass between two looks at the time.
const STEPS: i32 = 10_000;

thread_local! {
    /// When this thread's question began, and how long it may take.
    static BEGAN: Cell<(Stopwatch, Duration)> = Cell::new((Stopwatch::start(), Duration::MAX));
    static READERS: RefCell<HashMap<u64, Reader>> = RefCell::new(HashMap::new());
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

impl SqliteStore {
    /// Opens the store at `path`, makes it where there is none, and migrates it.
    pub fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| OpenError::Folder(path.to_owned(), error))?;
            let probe = folder.join(".confide-probe");
            std::fs::write(&probe, b"")
                .and_then(|()| std::fs::remove_file(&probe))
                .map_err(|error| OpenError::Folder(path.to_owned(), error))?;
        }
        super::make_private(path).map_err(|error| OpenError::Folder(path.to_owned(), error))?;
        let damaged = |error| OpenError::of(path, error);
        let mut writer = Connection::open(path).map_err(damaged)?;
        tune(&writer).map_err(damaged)?;
        // Its own writes don't empty its cache: it needs no map of the file, and less than readers do.
        writer
            .pragma_update(None, "mmap_size", 0)
            .and_then(|()| writer.pragma_update(None, "cache_size", -32_768))
            // Pages that commit after commit writes again go into the file once.
            .and_then(|()| writer.pragma_update(None, "wal_autocheckpoint", 4096))
            .map_err(damaged)?;
        let version = migrate(&mut writer).map_err(damaged)?;
        if version > SCHEMA {
            return Err(OpenError::Newer(path.to_owned(), version));
        }
        writer.set_prepared_statement_cache_capacity(STATEMENTS);
        let begun: Result<(), StoreError> = writer.transact(&|tx| reindex::begin(tx));
        if let Err(error) = begun {
            return Err(OpenError::Index(path.to_owned(), error));
        }
        let writer =
            Writer::on(writer).map_err(|error| OpenError::Thread(path.to_owned(), error))?;
        Ok(SqliteStore {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                number: NUMBERS.fetch_add(1, Ordering::Relaxed),
                writer,
                longest: AtomicU64::new(u64::MAX),
            }),
        })
    }

    /// Checks that the store answers and is whole as far as a quick look tells.
    pub fn check(&self) -> Result<(), StoreError> {
        self.ask(|read| {
            let read: &dyn Session = read;
            let answer: String = read.one("PRAGMA quick_check(1)", &[], |row| row.get(0))?;
            if answer == "ok" {
                Ok(())
            } else {
                Err(StoreError::Damaged)
            }
        })
    }

    /// Writes a batch, for a caller that may wait where it stands.
    pub fn write_now(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        let (answer, answered) = mpsc::channel();
        let writer = &self.inner.writer;
        writer.put(batch, move |said| drop(answer.send(said)));
        answered.recv().unwrap_or_else(|_| Err(stopped().into()))
    }

    /// Writes a batch, together with others that wait.
    pub async fn write(&self, batch: Batch) -> Result<Vec<Written>, WriteError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let writer = &self.inner.writer;
        writer.put(batch, move |said| drop(answer.send(said)));
        answered.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    /// Does `work` in a transaction on a connection of its own, which waits for the writers of this process
    /// and of others as they wait for it: for commands.
    pub(in crate::store) fn transact<T>(
        &self,
        work: impl Fn(&dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = Connection::open(&self.inner.path)?;
        tune(&connection)?;
        connection.transact(&work)
    }

    /// Answers a question on this thread's read connection, in one snapshot.
    pub fn ask<T>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        READERS.with(|readers| {
            let mut readers = readers.borrow_mut();
            let reader = match readers.entry(self.inner.number) {
                std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Reader {
                    connection: reader(&self.inner.path)?,
                    remembered: RefCell::default(),
                }),
            };
            let connection = &reader.connection;
            if !connection.is_autocommit() {
                // An earlier question panicked inside its snapshot.
                connection.execute_batch("ROLLBACK")?;
            }
            let longest = Duration::from_millis(self.inner.longest.load(Ordering::Relaxed));
            BEGAN.set((Stopwatch::start(), longest));
            connection.prepare_cached("BEGIN DEFERRED")?.execute([])?;
            let mut generation = connection.prepare_cached(GENERATION)?;
            let generation = generation.query_row([], |row| row.get(0));
            let answer = generation.map_err(StoreError::from).and_then(|generation| {
                work(&Snapshot::of(connection, &reader.remembered, generation))
            });
            BEGAN.set((Stopwatch::start(), Duration::MAX));
            connection.prepare_cached("COMMIT")?.execute([])?;
            answer
        })
    }

    /// How long a question may take; then the engine is interrupted, and the store counts as away. A
    /// question runs on the thread that asks, which a time limit around it could not stop.
    pub fn limit(&self, longest: Duration) {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.inner.longest.store(longest, Ordering::Relaxed);
    }
}

fn stopped() -> StoreError {
    StoreError::Away("the writer stopped".into())
}

/// A read connection and what it remembers.
struct Reader {
    connection: Connection,
    remembered: RefCell<Remembered>,
}

fn reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    tune(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    let too_long = || {
        let (began, longest) = BEGAN.get();
        began.elapsed() > longest
    };
    connection.progress_handler(STEPS, Some(too_long))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    Ok(())
}

/// Brings the schema to the version that this program knows; tells the version found if it is newer.
fn migrate(writer: &mut Connection) -> rusqlite::Result<i64> {
    let tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = tx.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application != APPLICATION && (version > 0 || application != 0) {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    for migration in MIGRATIONS.iter().skip(done) {
        tx.execute_batch(migration)?;
    }
    if version < SCHEMA {
        tx.pragma_update(None, "application_id", APPLICATION)?;
        tx.pragma_update(None, "user_version", SCHEMA)?;
    }
    tx.commit()?;
    Ok(version.max(SCHEMA))
}

#[cfg(test)]
mod tests;
