//! Threads that each hold one connection and do one thing after the other on it. The store's code is
//! synchronous, so that it is the same for both engines; here it waits on a thread of its own, whose
//! runtime drives that one connection, and no request thread waits with it.

use super::session::{Connected, Fault, late, sorted};
use crate::store::{
    StoreError,
    group::Transact,
    records::remembered::{Remembered, Snapshot},
    session::Session,
};
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgConnection},
};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// How often a transaction is tried that had to give way to another.
const TRIES: u32 = 6;

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(5);

/// How much longer than the database a statement is waited for: then it is the network that has it.
const SLACK: Duration = Duration::from_secs(10);

/// Settings of each connection. Compiling a query costs more than these queries; nothing waits for ever;
/// a node that froze in a transaction does not keep the others from writing; that a table is there
/// already is no news.
const TUNED: &str = "SET jit = off; SET lock_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on; \
    SET client_min_messages = warning";

/// Settings of a connection that reads: a page is few rows, found one from another by an index. What hashes
/// or sorts a whole table first is never the better way, also where statistics say so of a small one.
pub(super) const BY_INDEX: &str = "SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Settings of a connection that writes: it looks for few rows at a time, by their numbers, also where
/// the tables have grown since statistics were taken of them.
pub(super) const FEW_ROWS: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Held by the one transaction of all nodes that writes (`pg_advisory_xact_lock`), until it has ended.
/// Waiting for it comes before the transaction reads anything; each statement then sees all that was
/// written before (READ COMMITTED), and nobody else writes: the same as one after the other.
const WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock(4850184230)::TEXT";

/// A transaction beside those of records.
const APART: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT ''::TEXT";

/// One snapshot for all statements, and the number under which things are remembered
/// ([`GENERATION`](crate::store::records::remembered::GENERATION)).
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SELECT number::TEXT FROM standing_generation WHERE one = 1";

/// The same, where a transaction is to end first.
const READING_ON: &str = "ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SELECT number::TEXT FROM standing_generation WHERE one = 1";

/// What is to be done, and how many were put into the queue until then.
type Job = (u64, Box<dyn FnOnce(&mut Worker) + Send>);

/// How long a statement may take, unless it is said otherwise ([`Longest::set`]).
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// How long a statement of some workers may take (`statement_timeout`), for all of them to read.
#[derive(Debug, Clone)]
pub(super) struct Longest(Arc<AtomicU64>);

impl Default for Longest {
    fn default() -> Self {
        let longest = Longest(Arc::default());
        longest.set(LONGEST);
        longest
    }
}

impl Longest {
    pub(super) fn set(&self, longest: Duration) {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        // The engine's own bound; 0 would be none.
        let longest = longest.clamp(1, 2_147_483_647);
        self.0.store(longest, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What waits to be done. Its workers end when it is closed.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    longest: Longest,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    put: u64,
    closed: bool,
}

impl Queue {
    /// A queue with so many workers, whose connections have these settings beside the usual ones.
    pub(super) fn with(
        workers: u16,
        to: &Arc<PgConnectOptions>,
        settings: &'static str,
    ) -> io::Result<Arc<Queue>> {
        let queue = Arc::new(Queue::default());
        for _ in 0..workers.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (queue, to) = (queue.clone(), to.clone());
            std::thread::Builder::new()
                .name("postgres".into())
                .spawn(move || {
                    let mut worker = Worker {
                        queue: queue.clone(),
                        longest: queue.longest.clone(),
                        tuned: 0,
                        settings,
                        runtime,
                        to,
                        connection: None,
                        begun: false,
                        asked: 0,
                        snapshot: None,
                        remembered: RefCell::default(),
                    };
                    while let Some((asked, job)) = queue.next(&mut worker) {
                        worker.asked = asked;
                        // Whoever waits for the answer of one that panicked is told that none comes.
                        if catch_unwind(AssertUnwindSafe(|| job(&mut worker))).is_err() {
                            worker.let_go();
                        }
                    }
                })?;
        }
        Ok(queue)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long a statement of its workers may take, from their next transaction on.
    pub(super) fn limit(&self, longest: Duration) {
        self.longest.set(longest);
    }

    /// Puts a job at the end.
    pub(super) fn put(&self, job: impl FnOnce(&mut Worker) + Send + 'static) {
        let mut waiting = self.lock();
        waiting.put += 1;
        let job = (waiting.put, Box::new(job) as Box<_>);
        waiting.jobs.push_back(job);
        drop(waiting);
        self.more.notify_one();
    }

    /// Lets the workers end once nothing is waiting.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    /// How many jobs were put in so far.
    fn put_so_far(&self) -> u64 {
        self.lock().put
    }

    /// The next job; before it waits for one, the worker ends what it has open.
    fn next(&self, worker: &mut Worker) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if worker.begun {
                drop(waiting);
                worker.end();
                waiting = self.lock();
                continue;
            }
            if waiting.closed {
                return None;
            }
            waiting = self
                .more
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A thread's connection and what it remembers.
pub(super) struct Worker {
    queue: Arc<Queue>,
    longest: Longest,
    /// What the connection was told last, in milliseconds.
    tuned: u64,
    settings: &'static str,
    runtime: Runtime,
    to: Arc<PgConnectOptions>,
    connection: Option<PgConnection>,
    begun: bool,
    /// How many jobs there were once the one at work was put in.
    asked: u64,
    /// The snapshot that is open.
    snapshot: Option<Open>,
    remembered: RefCell<Remembered>,
}

/// A snapshot that answers all who asked before it was made.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// How many jobs had been put in before.
    after: u64,
    generation: i64,
}

impl Transact for Worker {
    /// Does `work` in one transaction: all of it or, where it fails, nothing. No other node writes
    /// meanwhile.
    fn transact<T, E: From<StoreError>>(
        &mut self,
        work: &dyn Fn(&dyn Session) -> Result<T, E>,
    ) -> Result<T, E> {
        self.whole(WRITING, work)
    }
}

impl Worker {
    /// Connects, where it is not connected yet.
    pub(super) fn reach(&mut self) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.runtime, &self.to, self.settings)?);
            self.tuned = 0;
        }
        let longest = self.longest.get();
        if let (Some(connection), true) = (&mut self.connection, self.tuned != longest) {
            let tune = format!("SET statement_timeout = {longest}");
            let tune = sqlx::raw_sql(sqlx::AssertSqlSafe(tune)).execute(connection);
            self.runtime
                .block_on(async { tokio::time::timeout(CONNECTING, tune).await })
                .unwrap_or_else(|_| Err(late()))?;
            self.tuned = longest;
        }
        Ok(())
    }

    /// Answers a question in one snapshot, made after it was asked: the one that is open, where that is so.
    /// Where the connection turns out to be gone, it is made anew and the question asked again.
    pub(super) fn ask<T>(
        &mut self,
        question: &dyn Fn(&Snapshot<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let (Some(open), Some(connection)) = (self.snapshot, &mut self.connection)
            && self.asked <= open.after
        {
            let patience = Duration::from_millis(self.tuned) + SLACK;
            let session = Connected::new(&self.runtime, connection, patience);
            let snapshot = Snapshot::of(&session, &self.remembered, open.generation);
            let answer = question(&snapshot);
            match session.fault() {
                None => return answer,
                // It is asked again in a snapshot of its own.
                Some(Fault::Lost) => self.let_go(),
                Some(Fault::GaveWay | Fault::Other) => {
                    self.snapshot = None;
                    return answer;
                }
            }
        }
        let after = self.queue.put_so_far();
        let (answer, open) = self.tried(READING_ON, READING, |session, remembered, number| {
            let generation = number.parse().map_err(|_| StoreError::Damaged)?;
            let answer = question(&Snapshot::of(session, remembered, generation))?;
            // What failed in the database leaves nothing that could be asked more.
            let open = session.fault().is_none();
            let open = open.then_some(Open { after, generation });
            Ok::<_, StoreError>((answer, open))
        })?;
        self.snapshot = open;
        Ok(answer)
    }

    /// What one statement tells, outside any transaction: `None` where more must be asked.
    pub(super) fn glance<T>(
        &mut self,
        question: impl Fn(&dyn Session, &RefCell<Remembered>) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        // An open snapshot that will do costs no more.
        if self.snapshot.is_some_and(|open| self.asked <= open.after) {
            return Ok(None);
        }
        self.end();
        self.reach().map_err(|error| sorted(&error).1)?;
        let Some(connection) = &mut self.connection else {
            return Err(StoreError::Damaged);
        };
        let patience = Duration::from_millis(self.tuned) + SLACK;
        let session = Connected::new(&self.runtime, connection, patience);
        let answer = question(&session, &self.remembered);
        match session.fault() {
            // A connection may have died while nobody used it: it is asked again on another.
            Some(Fault::Lost) => {
                self.let_go();
                Ok(None)
            }
            _ => answer,
        }
    }

    /// Does `work` in a transaction of what is no record: it waits for no other one.
    pub(super) fn apart<T>(
        &mut self,
        work: &dyn Fn(&dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.whole(APART, work)
    }

    /// The text that a query gives, outside any transaction.
    pub(super) fn said(&mut self, sql: &str) -> Result<String, StoreError> {
        for _ in 0..TRIES {
            let said = self.glance(|read, _| read.first(sql, &[], |row| row.get(0)))?;
            if let Some(said) = said {
                return Ok(said);
            }
        }
        Err(sorted(&late()).1)
    }

    fn whole<T, E: From<StoreError>>(
        &mut self,
        begin: &str,
        work: &dyn Fn(&dyn Session) -> Result<T, E>,
    ) -> Result<T, E> {
        self.tried(begin, begin, |session, _, _| -> Result<Result<T, E>, E> {
            let done = work(session)?;
            match session.end("COMMIT") {
                // Nobody knows whether it was written: it is not tried again.
                Err(error) if session.fault() == Some(Fault::Lost) => Ok(Err(error.into())),
                Err(error) => Err(error.into()),
                Ok(()) => Ok(Ok(done)),
            }
        })?
    }

    /// Does `work` after `begin`; `on` is the same where a transaction is open that ends first.
    fn tried<T, E: From<StoreError>>(
        &mut self,
        on: &str,
        begin: &str,
        work: impl Fn(&Connected<'_>, &RefCell<Remembered>, &str) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut tries = 0;
        loop {
            self.snapshot = None;
            // A setting that is made within a transaction would end with it.
            let tuned = self.tuned == self.longest.get();
            let begin = if self.begun && tuned && on != begin {
                on
            } else {
                self.end();
                begin
            };
            let fresh = self.connection.is_none();
            self.reach().map_err(|error| sorted(&error).1)?;
            let Some(connection) = &mut self.connection else {
                return Err(StoreError::Damaged.into());
            };
            let patience = Duration::from_millis(self.tuned) + SLACK;
            let session = Connected::new(&self.runtime, connection, patience);
            let done = match session.simple(begin.to_owned()) {
                Ok(mark) => work(&session, &self.remembered, &mark.unwrap_or_default()),
                Err(error) => Err(error.into()),
            };
            let fault = session.fault();
            self.begun = session.is_open();
            tries += 1;
            match fault {
                Some(Fault::Lost) => {
                    self.let_go();
                    // A connection may have died while nobody used it; a new one has not.
                    if done.is_err() && !fresh && tries < TRIES {
                        continue;
                    }
                }
                // The other has what it waited for: nothing to wait for here.
                Some(Fault::GaveWay) if done.is_err() && tries < TRIES => continue,
                _ => {}
            }
            return done;
        }
    }

    /// Ends what is open.
    pub(super) fn end(&mut self) {
        self.snapshot = None;
        if !std::mem::take(&mut self.begun) {
            return;
        }
        if let Some(connection) = &mut self.connection {
            let patience = Duration::from_millis(self.tuned) + SLACK;
            let session = Connected::new(&self.runtime, connection, patience);
            if session.end("ROLLBACK").is_err() {
                self.let_go();
            }
        }
    }

    /// Drops the connection: the database takes back what was not committed on it.
    fn let_go(&mut self) {
        self.begun = false;
        self.snapshot = None;
        self.connection = None;
        self.remembered = RefCell::default();
    }
}

/// A new connection, with its settings.
fn connect(
    runtime: &Runtime,
    to: &PgConnectOptions,
    settings: &'static str,
) -> Result<PgConnection, sqlx::Error> {
    runtime.block_on(async {
        let connecting = tokio::time::timeout(CONNECTING, async {
            let mut connection = to.connect().await?;
            sqlx::raw_sql(TUNED).execute(&mut connection).await?;
            sqlx::raw_sql(settings).execute(&mut connection).await?;
            Ok(connection)
        });
        connecting.await.unwrap_or_else(|_| Err(late()))
    })
}
