//! The one thread that writes. It takes whatever waits, commits it once, and answers all of it.

use super::{
    Options,
    chain::{self, Tail},
    error::OpenError,
    head::Heads,
    place::Place,
    projection, schema,
};
use crate::{fhir::Instant, gate::JournalError};
use rusqlite::{
    Connection, ToSql, TransactionBehavior,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    cell::Cell,
    collections::VecDeque,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

/// The most entries in one commit.
const GROUP: usize = 512;

/// So long must nobody record anything before the search index is brought up by itself.
const QUIET: Duration = Duration::from_millis(20);

/// The same, after an attempt that failed; until one succeeds, none is made between groups.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// So far may the search index be behind before it is brought up between two groups.
const BEHIND: i64 = 2048;

/// The most index rows that are remembered.
const REMEMBERED: usize = 8192;

/// The fewest entries that are indexed at once; while they are, nobody's entry is committed.
const SLICE: usize = 256;

/// So many pages may the write-ahead log have before it is copied into the file.
const WAL_PAGES: i32 = 2048;

thread_local! {
    /// The pages in the write-ahead log after this thread's last commit.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// What the writer is asked to do.
pub(super) enum Message {
    /// Make an entry durable.
    Append(Append),
    /// Bring the search index at least to this entry.
    Project(i64, oneshot::Sender<bool>),
    /// Meddle with the writer's connection.
    #[cfg(test)]
    Run(Box<dyn FnOnce(&Connection) + Send>),
}

/// An entry that waits for its commit.
pub(super) struct Append {
    pub(super) at: Instant,
    /// Its canonical text.
    pub(super) body: Vec<u8>,
    /// Its row in the search index.
    pub(super) row: projection::Row,
    pub(super) done: oneshot::Sender<Result<(), JournalError>>,
    /// Its place in the queue, free again once it is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Why a group was not committed.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the engine refused the commit: {0}")]
    Engine(#[from] rusqlite::Error),
    #[error("the log's file can't be seen: {0}")]
    Unseen(#[from] io::Error),
    #[error("the log's file was replaced")]
    Replaced,
    #[error("entry {0} of this process was changed or removed")]
    Changed(Place),
}

pub(super) struct Writer {
    connection: Connection,
    /// Whether the connection's commits are not synced just now.
    unsynced: bool,
    queue: Receiver<Message>,
    file: PathBuf,
    /// Device and inode of the file that was opened.
    inode: (u64, u64),
    heads: Heads,
    /// The chain's genesis: where it stands before its first entry.
    genesis: Tail,
    /// The last entry that was answered as durable, or the genesis.
    tail: Tail,
    /// The last entry's id, and the last that the search index has.
    last: i64,
    projected: i64,
    quiet: Duration,
    /// What is durable and not in the search index yet, as far as it is remembered; by id.
    fresh: VecDeque<projection::Fresh>,
    group: Vec<Append>,
    asked: Vec<(i64, oneshot::Sender<bool>)>,
}

impl Writer {
    /// Opens the file and starts a chain.
    pub(super) fn open(options: &Options, queue: Receiver<Message>) -> Result<Writer, OpenError> {
        let file = super::file(&options.data_dir);
        let mut connection = schema::prepare(&file, options.busy)?;
        let engine = |error| OpenError::of(&file, error);
        let boot = Uuid::new_v4().to_string();
        let started = options.clock.now();
        let genesis = start(&mut connection, &options.node, &boot, started).map_err(engine)?;
        let folder = |source| OpenError::Folder {
            path: options.data_dir.clone(),
            source,
        };
        let heads = Heads::open(&options.data_dir).map_err(folder)?;
        heads.mark(&genesis).map_err(folder)?;
        Ok(Writer {
            inode: inode(&file).map_err(folder)?,
            connection,
            unsynced: false,
            queue,
            file,
            heads,
            genesis,
            tail: genesis,
            last: 0,
            projected: 0,
            quiet: QUIET,
            fresh: VecDeque::new(),
            group: Vec::with_capacity(GROUP),
            asked: Vec::new(),
        })
    }

    pub(super) fn chain(&self) -> i64 {
        self.genesis.place.chain
    }

    /// Works until the last handle is gone and the queue is empty.
    pub(super) fn run(mut self) {
        self.connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        while let Some(message) = self.next() {
            if let Some(message) = message {
                self.sort(message);
            }
            while self.group.len() < GROUP
                && let Ok(message) = self.queue.try_recv()
            {
                self.sort(message);
            }
            let slice = SLICE.max(2 * self.group.len());
            self.settle_group();
            if !self.asked.is_empty() {
                self.settle_asked(slice);
            } else if self.last - self.projected >= BEHIND && self.quiet == QUIET {
                self.project(slice);
            }
            self.copy_back();
        }
    }

    /// The next message; `Some(None)` after a quiet moment in which the index was brought up, and
    /// while somebody waits for the index, who must not keep others waiting.
    fn next(&mut self) -> Option<Option<Message>> {
        if !self.asked.is_empty() {
            return Some(None);
        }
        if self.last <= self.projected {
            return self.queue.recv().ok().map(Some);
        }
        match self.queue.recv_timeout(self.quiet) {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.project(SLICE);
                Some(None)
            }
        }
    }

    fn sort(&mut self, message: Message) {
        match message {
            Message::Append(append) => self.group.push(append),
            Message::Project(upto, done) => self.asked.push((upto, done)),
            #[cfg(test)]
            Message::Run(meddle) => meddle(&self.connection),
        }
    }

    fn settle_group(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let count = u64::try_from(self.group.len()).unwrap_or(u64::MAX);
        let answer = match self.commit() {
            Ok(()) => {
                metrics::counter!("confide_audit_entries_total").increment(count);
                metrics::counter!("confide_audit_commits_total").increment(1);
                Ok(())
            }
            Err(refused) => {
                tracing::error!(entries = count, cause = %refused, "audit commit failed");
                metrics::counter!("confide_audit_commit_failures_total").increment(1);
                Err(JournalError)
            }
        };
        for append in self.group.drain(..) {
            // Who no longer waits was not answered; the entry says more than happened.
            let _ = append.done.send(answer);
        }
    }

    /// Appends the group and syncs it. After an error nothing of it is answered as durable, and what
    /// the engine may have kept of it is found as the tail by the next group.
    fn commit(&mut self) -> Result<(), Refused> {
        if inode(&self.file)? != self.inode {
            return Err(Refused::Replaced);
        }
        if self.unsynced {
            self.connection.pragma_update(None, "synchronous", "full")?;
            self.unsynced = false;
        }
        let mode = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(mode)?;
        let chain = self.genesis.place.chain;
        let mut tail = chain::tail(&transaction, chain)?.unwrap_or(self.genesis);
        let known = self.tail;
        if tail != known && (known.place.seq > 0 && !chain::stands(&transaction, &known)?) {
            return Err(Refused::Changed(known.place));
        }
        let mut insert = transaction.prepare_cached(
            "INSERT INTO audit_entry (chain, seq, at, previous, hash, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for append in &self.group {
            let seq = tail.place.seq + 1;
            let place = Place { chain, seq };
            let hash = chain::entry_hash(place, &tail.hash, &append.body);
            let body = Text(&append.body);
            insert.execute((chain, seq, append.at, &tail.hash[..], &hash[..], body))?;
            tail = Tail { place, hash };
        }
        drop(insert);
        let last = transaction.last_insert_rowid();
        transaction.commit()?;
        self.remember(last);
        self.tail = tail;
        self.last = last;
        if let Err(error) = self.heads.mark(&tail) {
            // The entries are durable; only the mark is behind.
            tracing::warn!(cause = %error, "audit.head could not be written");
        }
        Ok(())
    }

    /// Keeps the index rows of the group just committed, whose last entry has this id: ids within one
    /// transaction follow on each other.
    fn remember(&mut self, last: i64) {
        if self.fresh.len() > REMEMBERED {
            // The index can't be written; its rows will be read from the log.
            self.fresh.clear();
            return;
        }
        let before = last - i64::try_from(self.group.len()).unwrap_or(i64::MAX);
        for (id, append) in (before + 1..).zip(&mut self.group) {
            let row = std::mem::take(&mut append.row);
            self.fresh.push_back(projection::Fresh {
                id,
                at: append.at,
                row,
            });
        }
    }

    /// Brings the index up by one slice, and answers whom it has reached.
    fn settle_asked(&mut self, slice: usize) {
        let furthest = self.asked.iter().map(|(upto, _)| *upto).max();
        self.last = self.last.max(furthest.unwrap_or_default());
        let failed = !self.project(slice);
        let projected = self.projected;
        for (_, done) in self
            .asked
            .extract_if(.., |(upto, _)| failed || *upto <= projected)
        {
            let _ = done.send(!failed);
        }
    }

    /// Brings the index up by one slice; whether that went well.
    fn project(&mut self, slice: usize) -> bool {
        match self.index(slice) {
            Ok(slice) => {
                // Where nothing is left, ids up to the last were never given out or are gone.
                let rest = if slice.whole { self.last } else { 0 };
                self.projected = slice.upto.max(rest);
                self.quiet = QUIET;
                true
            }
            Err(error) => {
                tracing::warn!(cause = %error, "the audit search index could not be written");
                self.quiet = AFTER_FAILURE;
                false
            }
        }
    }

    /// The index can be made again, so its commits are not synced.
    fn index(&mut self, slice: usize) -> rusqlite::Result<projection::Slice> {
        self.unsynced = true;
        self.connection
            .pragma_update(None, "synchronous", "normal")?;
        projection::slice(&mut self.connection, slice, &mut self.fresh)
    }

    /// Copies the write-ahead log into the file, when it has grown and nobody waits for it.
    fn copy_back(&mut self) {
        if PAGES.get() < WAL_PAGES {
            return;
        }
        PAGES.set(0);
        let copied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = copied {
            tracing::warn!(cause = %error, "the audit log's checkpoint failed");
        }
    }
}

fn start(
    connection: &mut Connection,
    node: &str,
    boot: &str,
    started: Instant,
) -> rusqlite::Result<Tail> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let genesis = chain::start(&transaction, node, boot, started)?;
    transaction.commit()?;
    Ok(genesis)
}

fn inode(file: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(file)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// UTF-8 bytes as TEXT, without checking them a second time.
struct Text<'a>(&'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gate::Journal as _,
        store::audit::{
            Search,
            log::tests::{Fixture, entry},
        },
    };

    #[tokio::test]
    async fn without_its_writer_the_log_refuses() {
        let fixture = Fixture::new();
        let log = fixture.open();
        log.meddle(|_| panic!("the writer's end, as this test wants it"));
        assert_eq!(log.record(entry(1)).await, Err(JournalError));
        assert_eq!(log.record(entry(2)).await, Err(JournalError));
        assert!(
            log.search(Search::default()).await.is_ok(),
            "nothing to index"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_index_keeps_up_while_nobody_is_quiet() {
        let fixture = Fixture::new();
        let log = fixture.open();
        let recorders = (0..64).map(|recorder| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..64 {
                    log.record(entry(64 * recorder + number)).await.unwrap();
                }
            })
        });
        for recorder in recorders.collect::<Vec<_>>() {
            recorder.await.unwrap();
        }
        let (last, upto) = log
            .inner
            .readers
            .with(|log| Ok((projection::last(log)?, projection::upto(log)?)))
            .unwrap();
        assert_eq!(last, 64 * 64);
        assert!(last - upto < BEHIND + 64);
        assert_eq!(log.search(Search::default()).await.unwrap().total, 64 * 64);
    }
}
