//! The thread that writes, with the one connection that does. Batches that come while it is at work wait
//! and are then written together.

use super::session::Writing;
use crate::store::{
    Batch, StoreError, WriteError, Written,
    group::{Transact, Waiting},
    session::Session,
};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
};

/// The writer's thread. It ends, and its connection is closed, when this is dropped.
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    waiting: Waiting,
    closed: Mutex<bool>,
    more: Condvar,
}

impl Writer {
    /// A thread that writes through this connection.
    pub(super) fn on(mut connection: Connection) -> io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let here = shared.clone();
        let thread = std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || {
                while here.next() {
                    // Who waits for one that panicked is told that no answer comes; its transaction is gone.
                    let work = || here.waiting.write(&mut connection);
                    let _ = catch_unwind(AssertUnwindSafe(work));
                }
            })?;
        Ok(Writer {
            shared,
            thread: Some(thread),
        })
    }

    /// Puts a batch at the end.
    pub(super) fn put(
        &self,
        batch: Batch,
        answer: impl FnOnce(Result<Vec<Written>, WriteError>) + Send + 'static,
    ) {
        self.shared.waiting.put(batch, answer);
        // Not between the writer's look and its sleep.
        drop(self.shared.closed.lock());
        self.shared.more.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        *self
            .shared
            .closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.more.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Waits for something to write; whether there is something.
    fn next(&self) -> bool {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if !self.waiting.is_empty() {
                return true;
            }
            if *closed {
                return false;
            }
            closed = self
                .more
                .wait(closed)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Transact for Connection {
    fn transact<T, E: From<StoreError>>(
        &mut self,
        work: &dyn Fn(&dyn Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let session = Writing::on(&tx);
        let done = work(&session)?;
        session.flush()?;
        drop(session);
        tx.commit().map_err(StoreError::from)?;
        Ok(done)
    }
}
