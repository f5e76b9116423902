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

/// The same, after an attempt that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// So far may the search index be behind before it is brought up between two groups.
const BEHIND: i64 = 8192;

/// So much may be in the write-ahead log, roughly, before it is copied into the file.
const WAL_BYTES: usize = 8 << 20;

/// What a commit writes beside the entries' own texts: their other columns, their place in the index.
const ENTRY_BYTES: usize = 160;
/// Pages that are written again with each commit.
const GROUP_BYTES: usize = 3 * 4096;

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
    projector: Connection,
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
    unchecked_bytes: usize,
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
        let projector = schema::projector(&file, options.busy).map_err(engine)?;
        let folder = |source| OpenError::Folder {
            path: options.data_dir.clone(),
            source,
        };
        let heads = Heads::open(&options.data_dir).map_err(folder)?;
        heads.mark(&genesis).map_err(folder)?;
        Ok(Writer {
            inode: inode(&file).map_err(folder)?,
            connection,
            projector,
            queue,
            file,
            heads,
            genesis,
            tail: genesis,
            last: 0,
            projected: 0,
            quiet: QUIET,
            unchecked_bytes: 0,
            group: Vec::with_capacity(GROUP),
            asked: Vec::new(),
        })
    }

    pub(super) fn chain(&self) -> i64 {
        self.genesis.place.chain
    }

    /// Works until the last handle is gone and the queue is empty.
    pub(super) fn run(mut self) {
        while let Some(message) = self.next() {
            if let Some(message) = message {
                self.sort(message);
            }
            while self.group.len() < GROUP
                && let Ok(message) = self.queue.try_recv()
            {
                self.sort(message);
            }
            self.settle_group();
            self.settle_asked();
            if self.last - self.projected >= BEHIND {
                self.project();
            }
            self.copy_back();
        }
    }

    /// The next message; `Some(None)` after a quiet moment in which the index was brought up.
    fn next(&mut self) -> Option<Option<Message>> {
        if self.last <= self.projected {
            return self.queue.recv().ok().map(Some);
        }
        match self.queue.recv_timeout(self.quiet) {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.project();
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
        let mode = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(mode)?;
        let chain = self.genesis.place.chain;
        let mut tail = chain::tail(&transaction, chain)?.unwrap_or(self.genesis);
        let known = self.tail;
        if tail != known && (known.place.seq > 0 && !chain::stands(&transaction, &known)?) {
            return Err(Refused::Changed(known.place));
        }
        let mut bytes = GROUP_BYTES;
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
            bytes += append.body.len() + ENTRY_BYTES;
        }
        drop(insert);
        let last = transaction.last_insert_rowid();
        transaction.commit()?;
        self.tail = tail;
        self.last = last;
        self.unchecked_bytes += bytes;
        if let Err(error) = self.heads.mark(&tail) {
            // The entries are durable; only the mark is behind.
            tracing::warn!(cause = %error, "audit.head could not be written");
        }
        Ok(())
    }

    fn settle_asked(&mut self) {
        let Some(upto) = self.asked.iter().map(|(upto, _)| *upto).max() else {
            return;
        };
        self.last = self.last.max(upto);
        let mut going = true;
        while going && self.projected < upto {
            going = self.project();
        }
        for (upto, done) in self.asked.drain(..) {
            let _ = done.send(upto <= self.projected);
        }
    }

    /// Brings the index up by one slice; whether it got on.
    fn project(&mut self) -> bool {
        let before = self.projected;
        match projection::slice(&mut self.projector) {
            Ok(slice) => {
                self.projected = slice.upto;
                if slice.whole {
                    // Ids between this and what was asked for were never given out.
                    self.projected = self.projected.max(self.last);
                }
                self.unchecked_bytes += slice.bytes + GROUP_BYTES;
                self.quiet = QUIET;
                self.projected > before
            }
            Err(error) => {
                tracing::warn!(cause = %error, "the audit search index could not be written");
                self.quiet = AFTER_FAILURE;
                false
            }
        }
    }

    /// Copies the write-ahead log into the file, when it has grown and nobody waits for it.
    fn copy_back(&mut self) {
        if self.unchecked_bytes < WAL_BYTES {
            return;
        }
        self.unchecked_bytes = 0;
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
