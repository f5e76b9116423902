//! Writes that wait for the one writer share a transaction, and so its sync: each is answered once that
//! transaction has ended, sees what those before it wrote, and where it fails takes nothing else with it.
//! The same for both engines: an engine says what a transaction is.

use super::{
    Batch, StoreError, WriteError, Written,
    records::{neighbours, spread, write},
    session::Session,
};
use crate::{fhir::Instant, policy::Settings};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The most changes that are written together, where more than one batch waits.
const MOST: usize = 1024;

/// How often a group is begun anew without one that failed; then each is written alone.
const TRIES: usize = 3;

type Outcome = Result<Vec<Written>, WriteError>;

/// A batch that waits, and who is told what became of it.
struct Job {
    batch: Batch,
    answer: Box<dyn FnOnce(Outcome) + Send>,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<VecDeque<Job>>);

/// What fails a whole transaction, or one batch of it by its place.
#[derive(Debug)]
pub(super) struct Failed {
    at: Option<usize>,
    error: WriteError,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed {
            at: None,
            error: error.into(),
        }
    }
}

/// A writer that does one thing after the other.
pub(super) trait Transact {
    /// Does `work` in one transaction: all of it or, where it fails, nothing.
    fn transact<T, E: From<StoreError>>(
        &mut self,
        work: &dyn Fn(&dyn Session) -> Result<T, E>,
    ) -> Result<T, E>;
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch at the end.
    pub(super) fn put(&self, batch: Batch, answer: impl FnOnce(Outcome) + Send + 'static) {
        let answer = Box::new(answer);
        self.lock().push_back(Job { batch, answer });
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes those that may be written together.
    fn take(&self) -> Vec<Job> {
        let mut waiting = self.lock();
        let mut taken: Vec<Job> = Vec::new();
        let mut changes = 0;
        while let Some(next) = waiting.front() {
            changes += next.batch.changes.len();
            if changes > MOST && !taken.is_empty() {
                break;
            }
            taken.extend(waiting.pop_front());
        }
        taken
    }

    /// Writes what may be written together, if anything waits.
    pub(super) fn write(&self, writer: &mut impl Transact) {
        let mut jobs = self.take();
        let mut failures = 0;
        while jobs.len() > 1 && failures < TRIES {
            let batches: Vec<&Batch> = jobs.iter().map(|job| &job.batch).collect();
            match together(writer, &batches) {
                Ok(outcomes) => {
                    for (job, written) in jobs.into_iter().zip(outcomes) {
                        (job.answer)(Ok(written));
                    }
                    return;
                }
                Err(Failed { at, error }) => {
                    failures += 1;
                    // What it was told stands: those before it are written again and it sees them.
                    match at.filter(|at| *at < jobs.len()) {
                        Some(at) => (jobs.remove(at).answer)(Err(error)),
                        // Nobody knows whether it was written: it is not tried again.
                        None => return all_failed(jobs, error),
                    }
                }
            }
        }
        for job in jobs {
            let alone = together(writer, &[&job.batch]);
            let written = alone.map(|mut written| written.pop().unwrap_or_default());
            (job.answer)(written.map_err(|failed| failed.error));
        }
    }
}

fn all_failed(jobs: Vec<Job>, error: WriteError) {
    let error = match error {
        WriteError::Store(error) => error,
        _ => StoreError::Damaged,
    };
    for job in jobs {
        (job.answer)(Err(error.clone().into()));
    }
}

/// Writes batches in one transaction, and then finishes what they left pending. Where that fails, what it
/// would loosen stays tight until a later write has finished it.
fn together(writer: &mut impl Transact, batches: &[&Batch]) -> Result<Vec<Vec<Written>>, Failed> {
    let (written, mut pending) = writer.transact(&|tx| {
        let mut written = Vec::with_capacity(batches.len());
        let mut remembered = neighbours::Memory::default();
        write::locate(tx, batches)?;
        for (at, batch) in batches.iter().enumerate() {
            let done = write::batch(tx, batch, &mut remembered);
            written.push(done.map_err(|error| Failed {
                at: Some(at),
                error,
            })?);
        }
        Ok::<_, Failed>((written, spread::is_pending(tx)?))
    })?;
    let (at, settings) = last(batches);
    while pending {
        let finished = writer.transact(&|tx| spread::finish(tx, at, settings));
        pending = finished.unwrap_or_else(|error: StoreError| {
            tracing::warn!(%error, "relabelling is left to the next write");
            false
        });
    }
    Ok(written)
}

fn last(batches: &[&Batch]) -> (Instant, Settings) {
    let last = batches.last();
    last.map_or_else(Default::default, |batch| (batch.at, batch.settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fhir::Resource,
        store::{Change, Expect, engine::Engine, sqlite::SqliteStore},
    };
    use rusqlite::Connection;
    use std::{cell::Cell, rc::Rc, sync::mpsc};

    /// A writer that counts transactions: begun, and kept.
    struct Counted(Connection, Rc<Cell<(usize, usize)>>);

    impl Transact for Counted {
        fn transact<T, E: From<StoreError>>(
            &mut self,
            work: &dyn Fn(&dyn Session) -> Result<T, E>,
        ) -> Result<T, E> {
            let (begun, kept) = self.1.get();
            self.1.set((begun + 1, kept));
            let done = self.0.transact(work)?;
            self.1.set((begun + 1, kept + 1));
            Ok(done)
        }
    }

    fn patient(id: &str, gender: &str, expect: Expect) -> Batch {
        let text = format!(r#"{{"resourceType":"Patient","id":"{id}","gender":"{gender}"}}"#);
        let resource = Resource::ours(text).unwrap();
        Batch {
            changes: vec![Change {
                key: resource.key().unwrap(),
                resource: Some(resource),
                expect,
            }],
            at: 1,
            settings: Settings::default(),
            sought: Vec::new(),
            fail_closed: false,
        }
    }

    type Told = Vec<(usize, bool)>;

    /// Whether each was written, in the order of their answers; the transactions begun and kept; what is
    /// there then.
    fn written(batches: Vec<Batch>) -> (Told, (usize, usize), Vec<(&'static str, u64)>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("confide.db");
        let store = SqliteStore::open(&file).unwrap();
        let count = Rc::new(Cell::default());
        let mut writer = Counted(Connection::open(&file).unwrap(), count.clone());
        let (waiting, (answer, answers)) = (Waiting::default(), mpsc::channel());
        for (at, batch) in batches.into_iter().enumerate() {
            let answer = answer.clone();
            waiting.put(batch, move |outcome| {
                answer.send((at, outcome.is_ok())).unwrap()
            });
        }
        waiting.write(&mut writer);
        assert!(waiting.is_empty());
        let totals = Engine::from(store).totals().unwrap();
        (answers.try_iter().collect(), count.get(), totals)
    }

    #[test]
    fn what_waits_is_written_in_one_transaction_and_each_sees_those_before_it() {
        let (answers, transactions, totals) = written(vec![
            patient("a", "male", Expect::Absent),
            patient("b", "male", Expect::Absent),
            patient("a", "female", Expect::Seq(1)),
        ]);
        assert_eq!(answers, [(0, true), (1, true), (2, true)]);
        assert_eq!(transactions, (1, 1));
        assert_eq!(totals, [("Patient", 2)]);
    }

    #[test]
    fn one_that_fails_takes_nothing_else_with_it() {
        let (mut answers, transactions, totals) = written(vec![
            patient("a", "male", Expect::Absent),
            patient("a", "female", Expect::Absent),
            patient("b", "male", Expect::Absent),
            patient("b", "female", Expect::Seq(1)),
        ]);
        answers.sort_unstable();
        assert_eq!(answers, [(0, true), (1, false), (2, true), (3, true)]);
        assert_eq!(transactions, (2, 1));
        assert_eq!(totals, [("Patient", 2)]);
    }

    #[test]
    fn where_many_fail_each_is_written_alone() {
        let bad = |at: usize| patient(&format!("bad{at}"), "male", Expect::Seq(9));
        let mut batches: Vec<Batch> = (0..6).map(bad).collect();
        batches.push(patient("good", "male", Expect::Absent));
        let (mut answers, transactions, totals) = written(batches);
        answers.sort_unstable();
        let expected: Vec<(usize, bool)> = (0..7).map(|at| (at, at == 6)).collect();
        assert_eq!(answers, expected);
        assert_eq!(transactions, (7, 1));
        assert_eq!(totals, [("Patient", 1)]);
    }

    #[test]
    fn what_the_engine_fails_as_a_whole_is_told_to_all_and_not_tried_again() {
        struct Broken(usize);
        impl Transact for Broken {
            fn transact<T, E: From<StoreError>>(
                &mut self,
                _: &dyn Fn(&dyn Session) -> Result<T, E>,
            ) -> Result<T, E> {
                self.0 += 1;
                Err(StoreError::Away("lost".into()).into())
            }
        }
        let (waiting, (answer, answers)) = (Waiting::default(), mpsc::channel());
        for id in ["a", "b"] {
            let answer = answer.clone();
            let batch = patient(id, "male", Expect::Absent);
            waiting.put(batch, move |outcome| answer.send(outcome.is_ok()).unwrap());
        }
        let mut broken = Broken(0);
        waiting.write(&mut broken);
        assert_eq!(broken.0, 1);
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [false, false]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_is_dropped_has_written_what_waited() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("confide.db");
        let store = SqliteStore::open(&file).unwrap();
        let ids: Vec<String> = (0..50).map(|at| format!("p{at}")).collect();
        let all = ids.iter().map(|id| {
            let (store, batch) = (store.clone(), patient(id, "male", Expect::Absent));
            tokio::spawn(async move { store.write(batch).await })
        });
        let all: Vec<_> = all.collect();
        for one in all {
            assert!(one.await.unwrap().unwrap().iter().all(|one| one.created));
        }
        drop(store);
        let again = Engine::from(SqliteStore::open(&file).unwrap());
        assert_eq!(again.totals().unwrap(), [("Patient", 50)]);
    }
}
