//! The handle: what others hold of the log.

use super::{
    OpenError, body,
    projection::Row,
    schema,
    writer::{Append, Message, Writer},
};
use crate::{
    calendar::Clock,
    gate::{Entry, Journal, JournalError},
};
use rusqlite::Connection;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot};

/// The log's file in the data folder.
const FILE: &str = "audit.db";

/// How many entries may wait for their commit; more wait for a place in the queue.
const QUEUE: usize = 4096;

/// How long a commit waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; made if missing.
    pub data_dir: PathBuf,
    /// This node's name, as auditors know it.
    pub node: Box<str>,
    /// When the chain starts.
    pub clock: Clock,
    /// How long a commit waits for another process before it fails.
    pub busy: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(data_dir: impl Into<PathBuf>, node: impl Into<Box<str>>, clock: Clock) -> Options {
        Options {
            data_dir: data_dir.into(),
            node: node.into(),
            clock,
            busy: BUSY,
        }
    }
}

/// The open log. Cheap to clone; the last one to go waits for what was queued and closes the file.
#[derive(Clone)]
pub struct AuditLog {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Message>>,
    room: Arc<Semaphore>,
    pub(super) readers: Readers,
    chain: i64,
    writer: Option<JoinHandle<()>>,
}

/// Read connections that are not in use.
pub(super) struct Readers {
    file: PathBuf,
    busy: Duration,
    idle: Mutex<Vec<Connection>>,
}

impl AuditLog {
    /// Opens the log, makes it if there is none, starts this process' chain and its writer.
    /// Blocks on the disk.
    pub fn open(options: &Options) -> Result<AuditLog, OpenError> {
        let (sender, receiver) = mpsc::channel();
        let writer = Writer::open(options, receiver)?;
        let chain = writer.chain();
        let thread = std::thread::Builder::new()
            .name(String::from("audit"))
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(AuditLog {
            inner: Arc::new(Inner {
                queue: Some(sender),
                room: Arc::new(Semaphore::new(QUEUE)),
                readers: Readers {
                    file: file(&options.data_dir),
                    busy: options.busy,
                    idle: Mutex::default(),
                },
                chain,
                writer: Some(thread),
            }),
        })
    }

    /// The chain that this process writes.
    pub fn chain(&self) -> i64 {
        self.inner.chain
    }

    pub(super) fn send(&self, message: Message) -> Option<()> {
        self.inner.queue.as_ref()?.send(message).ok()
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditLog(chain {})", self.inner.chain)
    }
}

impl Journal for AuditLog {
    async fn record(&self, entry: Entry) -> Result<(), JournalError> {
        let at = entry.at;
        let body = body::encode(&entry);
        let row = Row::of_entry(entry);
        let room = Arc::clone(&self.inner.room).acquire_owned().await;
        let room = room.map_err(|_| JournalError)?;
        let (done, answer) = oneshot::channel();
        self.send(Message::Append(Append {
            at,
            body,
            row,
            done,
            _room: room,
        }))
        .ok_or(JournalError)?;
        answer.await.unwrap_or(Err(JournalError))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Readers first: the last connection to close copies the write-ahead log back, and a reader
        // could not.
        self.readers.lock().clear();
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // It ends by itself once the queue is empty; a panic in it was reported where it was.
            let _ = writer.join();
        }
    }
}

impl Readers {
    /// Runs `read` on a connection that nobody else uses meanwhile.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let idle = self.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => schema::reader(&self.file, self.busy)?,
        };
        let result = read(&mut connection);
        self.lock().push(connection);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log's file in a data folder, for [`verify`](super::verify).
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        fhir::Key,
        store::audit::{Place, Recorded, Search, Verified, VerifyError, verify},
    };
    use rusqlite::TransactionBehavior;
    use std::{
        collections::HashSet,
        sync::atomic::{AtomicU32, Ordering},
    };
    use tempfile::TempDir;
    use tokio::task::JoinSet;

    /// A log in a folder of its own.
    pub(in crate::store::audit) struct Fixture {
        pub(in crate::store::audit) folder: TempDir,
        pub(in crate::store::audit) options: Options,
    }

    impl Fixture {
        pub(in crate::store::audit) fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let mut options = Options::new(folder.path(), "node", Clock::At(5));
            options.busy = Duration::ZERO;
            Fixture { folder, options }
        }

        pub(in crate::store::audit) fn open(&self) -> AuditLog {
            AuditLog::open(&self.options).unwrap()
        }

        pub(in crate::store::audit) fn file(&self) -> PathBuf {
            file(self.folder.path())
        }

        pub(in crate::store::audit) fn verify(&self) -> Result<Verified, VerifyError> {
            verify(&self.file())
        }
    }

    impl AuditLog {
        /// Meddles with the writer's own connection, in its turn.
        pub(in crate::store::audit) fn meddle(
            &self,
            meddle: impl FnOnce(&Connection) + Send + 'static,
        ) {
            self.send(Message::Run(Box::new(meddle))).unwrap();
        }

        fn pragma(&self, name: &'static str, value: i64) {
            self.meddle(move |connection| {
                let set = connection.pragma_update_and_check(None, name, value, |_| Ok(()));
                set.unwrap();
            });
        }
    }

    /// The `number`th of many entries: patient `a` has the even ones, `b` the odd ones.
    pub(in crate::store::audit) fn entry(number: i64) -> Entry {
        let patient = if number % 2 == 0 {
            "Patient/a"
        } else {
            "Patient/b"
        };
        let mut entry = Entry::local(number * 1_000_000, "read", format!("Observation/{number}"));
        entry.client = "ehr".into();
        entry.role = "provider";
        entry.status = 200;
        entry.patients = vec![Key::parse(patient).unwrap()];
        entry
    }

    fn targets(file: &Path) -> Vec<String> {
        let connection = Connection::open(file).unwrap();
        let mut query = connection
            .prepare("SELECT body ->> 'target' FROM audit_entry ORDER BY id")
            .unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[tokio::test]
    async fn an_answered_entry_is_in_the_file() {
        let fixture = Fixture::new();
        let log = fixture.open();
        log.record(entry(1)).await.unwrap();
        // Another connection sees it while the log is still open.
        assert_eq!(targets(&fixture.file()), ["Observation/1"]);
        log.search(Search::default()).await.unwrap();
        drop(log);
        // Closed as a whole: a copy of the one file is a copy of the log.
        let write_ahead = fixture.folder.path().join("audit.db-wal");
        assert!(!write_ahead.exists());
        let log = fixture.open();
        assert_eq!(log.chain(), 2);
        let place = Place { chain: 1, seq: 1 };
        let found = log.entry(place).await.unwrap().unwrap();
        assert_eq!(found.recorded, Recorded::of(&entry(1)));
        assert_eq!(&*found.node, "node");
        assert_eq!(log.entry(Place { chain: 1, seq: 2 }).await.unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_of_many_at_once_are_there_exactly_once_in_fewer_commits() {
        let fixture = Fixture::new();
        let log = fixture.open();
        let commits = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&commits);
        log.meddle(move |connection| {
            let count = move || {
                counted.fetch_add(1, Ordering::Relaxed);
                false
            };
            connection.commit_hook(Some(count)).unwrap();
        });
        // While the lock is held the queue fills; one group takes what is in it.
        let mut holder = Connection::open(fixture.file()).unwrap();
        let mode = TransactionBehavior::Immediate;
        let held = holder.transaction_with_behavior(mode).unwrap();
        log.pragma("busy_timeout", 60_000);
        let mut tasks = JoinSet::new();
        for number in 0..400 {
            let log = log.clone();
            tasks.spawn(async move { log.record(entry(number)).await });
        }
        while log.inner.room.available_permits() > QUEUE - 400 {
            tokio::task::yield_now().await;
        }
        drop(held);
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        drop(log);
        let targets = targets(&fixture.file());
        let once: HashSet<&String> = targets.iter().collect();
        assert_eq!((targets.len(), once.len()), (400, 400));
        // The group that met the lock, the one that gathered meanwhile, and a few of stragglers and
        // of the search index.
        assert!(commits.load(Ordering::Relaxed) < 40);
        let verified = fixture.verify().unwrap();
        assert_eq!((verified.chains, verified.entries), (1, 400));
    }

    #[tokio::test]
    async fn a_failed_commit_answers_everyone_with_an_error_and_the_log_recovers() {
        let fixture = Fixture::new();
        let log = fixture.open();
        log.record(entry(1)).await.unwrap();
        let mut holder = Connection::open(fixture.file()).unwrap();
        let mode = TransactionBehavior::Immediate;
        let held = holder.transaction_with_behavior(mode).unwrap();
        let answers = tokio::join!(log.record(entry(2)), log.record(entry(3)));
        assert_eq!(answers, (Err(JournalError), Err(JournalError)));
        drop(held);
        log.record(entry(4)).await.unwrap();
        assert_eq!(targets(&fixture.file()), ["Observation/1", "Observation/4"]);
        assert_eq!(fixture.verify().unwrap().entries, 2);
    }

    #[tokio::test]
    async fn a_full_disk_that_recovers() {
        let fixture = Fixture::new();
        let log = fixture.open();
        log.record(entry(1)).await.unwrap();
        log.pragma("max_page_count", 1);
        let mut large = entry(2);
        large.target = "x".repeat(1 << 20).into();
        assert_eq!(log.record(large).await, Err(JournalError));
        log.pragma("max_page_count", 1_000_000);
        log.record(entry(3)).await.unwrap();
        drop(log);
        assert_eq!(targets(&fixture.file()), ["Observation/1", "Observation/3"]);
        assert_eq!(fixture.verify().unwrap().entries, 2);
    }

    #[tokio::test]
    async fn nothing_is_recorded_after_the_last_entry_was_changed_beneath() {
        for sql in [
            "DELETE FROM audit_entry WHERE seq = 2",
            "UPDATE audit_entry SET hash = zeroblob(32) WHERE seq = 2",
        ] {
            let fixture = Fixture::new();
            let log = fixture.open();
            log.record(entry(1)).await.unwrap();
            log.record(entry(2)).await.unwrap();
            Connection::open(fixture.file())
                .unwrap()
                .execute(sql, [])
                .unwrap();
            assert_eq!(log.record(entry(3)).await, Err(JournalError));
        }
    }

    #[tokio::test]
    async fn nothing_is_recorded_after_the_file_was_removed() {
        let fixture = Fixture::new();
        let log = fixture.open();
        log.record(entry(1)).await.unwrap();
        std::fs::remove_file(fixture.file()).unwrap();
        assert_eq!(log.record(entry(2)).await, Err(JournalError));
    }

    #[tokio::test]
    async fn two_processes_append_each_to_its_own_chain() {
        let fixture = Fixture::new();
        let server = fixture.open();
        server.record(entry(1)).await.unwrap();
        let tool = fixture.open();
        for number in 2..6 {
            let log = if number % 2 == 0 { &server } else { &tool };
            log.record(entry(number)).await.unwrap();
        }
        let verified = fixture.verify().unwrap();
        assert_eq!((verified.chains, verified.entries), (2, 5));
    }
}
