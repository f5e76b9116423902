//! How many requests are at work. The writer waits a moment for those whose entries are about to come,
//! so that one sync serves them all; where nobody else is at work it does not wait at all.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread::Thread,
};

/// Requests that may record an entry, and entries that wait for their commit. It only decides when a
/// commit is made, so the counts need no order between them: a wrong one costs a moment.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    at_work: AtomicUsize,
    waiting: AtomicUsize,
    writer: OnceLock<Thread>,
}

impl Crowd {
    /// The writer's thread, which is woken when all who are at work wait for it.
    pub(super) fn serve(&self, writer: Thread) {
        let _ = self.writer.set(writer);
    }

    /// Requests at work.
    pub(super) fn at_work(&self) -> usize {
        self.at_work.load(Ordering::Relaxed)
    }

    /// An entry is about to be queued.
    pub(super) fn waits(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// It was queued: if nobody else is to come, the writer need not wait for more.
    pub(super) fn queued(&self) {
        if self.waiting.load(Ordering::Relaxed) >= self.at_work()
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// So many were answered.
    pub(super) fn answered(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }
}

/// A request at work, until it is dropped.
pub struct AtWork(Arc<Crowd>);

impl AtWork {
    pub(super) fn of(crowd: &Arc<Crowd>) -> AtWork {
        crowd.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(Arc::clone(crowd))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for AtWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtWork")
    }
}
