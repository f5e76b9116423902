//! Refused access leaves an audit entry (BALP): who asked, by which route, with which status; no
//! clinical content, and nothing of what was found. What a handler refuses comes with its question;
//! what ends before a requester is known (401) is anonymous, and only so many of those a second are
//! entries of their own: the rest is told as a number in the next one, so that nobody fills the chain
//! without a token.

use super::{RequestId, forwarded::Arrival};
use crate::{
    calendar::Clock,
    gate::{Asked, Entry, Journal},
    interaction::{Question, Refusal},
};
use axum::response::Response;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

/// Anonymous refusals a second that are entries of their own.
const ANONYMOUS: u32 = 20;

/// Whom an interaction refused; rides on the reply to the edge.
#[derive(Clone)]
pub(super) struct Denied(pub(super) Question);

/// An entry on its way to the disk. What became of it changes nothing: a refusal discloses nothing.
pub(super) type Writing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Whether an interaction leaves the entry of this refusal to the edge: a ghost has its own, before it
/// is told.
pub(super) fn is_left(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Forbidden(_)
            | Refusal::Invalid(_)
            | Refusal::Unprocessable(_)
            | Refusal::Conflict
            | Refusal::Moved
            | Refusal::PreconditionFailed
    )
}

/// Puts refusals on the audit chain.
#[derive(Clone)]
pub struct Refusals {
    record: Arc<dyn Fn(Entry) -> Writing + Send + Sync>,
    clock: Clock,
    anonymous: Arc<Mutex<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    second: i64,
    entries: u32,
    left_out: u64,
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusals")
    }
}

impl Refusals {
    /// On this journal.
    pub fn to<J: Journal + Clone + 'static>(journal: &J, clock: Clock) -> Refusals {
        let journal = journal.clone();
        Refusals {
            record: Arc::new(move |entry| {
                let journal = journal.clone();
                Box::pin(async move {
                    if journal.record(entry).await.is_err() {
                        tracing::warn!("a refused access has no audit entry");
                    }
                })
            }),
            clock,
            anonymous: Arc::default(),
        }
    }

    /// The entry of a refused reply, where it is one that leaves an entry here.
    pub(super) fn note(
        &self,
        response: &mut Response,
        (id, arrival): (&RequestId, &Arrival),
        route: &'static str,
        interaction: &'static str,
    ) -> Option<Writing> {
        let status = response.status().as_u16();
        if let Some(Denied(question)) = response.extensions_mut().remove::<Denied>() {
            let mut entry = Entry::of(&question.case, &question.asked, status);
            // A query that was refused may hold what it should not: the path says enough.
            let path = entry.target.split('?').next().unwrap_or_default();
            entry.target = path.into();
            return Some((self.record)(entry));
        }
        if !matches!(status, 401 | 403) {
            return None;
        }
        let left_out = self.admit()?;
        let target = match left_out {
            0 => route.to_owned(),
            more => format!("{route} (and {more} others before it)"),
        };
        let asked = Asked {
            request: id.as_str().into(),
            interaction,
            target: target.into(),
            from: arrival.from,
        };
        let entry = Entry::anonymous(self.clock.now(), &asked, status);
        Some((self.record)(entry))
    }

    /// How many were left out before this one; `None` where this one is left out too.
    fn admit(&self) -> Option<u64> {
        let second = self.clock.seconds();
        let mut window = self
            .anonymous
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if window.second != second {
            window.second = second;
            window.entries = 0;
        }
        if window.entries >= ANONYMOUS {
            window.left_out += 1;
            return None;
        }
        window.entries += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::JournalError;

    #[derive(Clone)]
    struct Nowhere;

    impl Journal for Nowhere {
        async fn record(&self, _: Entry) -> Result<(), JournalError> {
            Ok(())
        }
    }

    #[test]
    fn so_many_anonymous_refusals_are_entries_and_the_rest_a_number() {
        let mut refusals = Refusals::to(&Nowhere, Clock::At(0));
        let admitted: Vec<_> = (0..100).filter_map(|_| refusals.admit()).collect();
        assert_eq!(admitted, [0; 20]);
        refusals.clock = Clock::At(1_000_000);
        assert_eq!(refusals.admit(), Some(80));
        assert_eq!(refusals.admit(), Some(0));
    }
}
