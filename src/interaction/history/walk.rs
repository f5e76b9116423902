//! The versions of a record that one requester may know of: what a store would hold in which the rest
//! was never written.

use crate::{
    faces::Stamp,
    fhir::{Instant, Key},
    gate::{Journal, Released, release},
    interaction::{Question, Refusal, Service},
    store::{Begin, Store, Version},
};

/// The most versions that one question to the store brings.
const CHUNK: u16 = 100;

/// A version, as the requester may know it.
#[derive(Debug)]
pub struct Seen {
    /// Its number, never shown.
    pub seq: i64,
    /// Version and time as the requester sees them.
    pub stamp: Stamp,
    /// The record; `None` where it was deleted.
    pub released: Option<Released>,
    /// When another version took its place.
    pub until: Instant,
}

/// A walk from the newest version back.
#[derive(Debug, Default)]
struct Walk {
    seen: Vec<Seen>,
    /// A deletion; it counts once something older is seen.
    gone: Option<Seen>,
}

impl Walk {
    fn newer(&self) -> Instant {
        self.seen
            .last()
            .map_or(Instant::MAX, |seen| seen.stamp.updated)
    }

    /// Deletions without anything seen between them are one: the first.
    fn deletion(&mut self, seq: i64, stamp: Stamp) {
        self.gone = Some(Seen {
            seq,
            stamp,
            released: None,
            until: Instant::MAX,
        });
    }

    /// Versions that differ only in what is hidden are one: the latest, for that is what a read shows.
    fn record(&mut self, seq: i64, released: Released) {
        let last = self.seen.last().and_then(|seen| seen.released.as_ref());
        if let (Some(last), None) = (last, &self.gone) {
            let partial = last.is_partial() || released.is_partial();
            let same = last.stamp().version == released.stamp().version;
            if same || (partial && last.shows_what(&released)) {
                return;
            }
        }
        if let Some(gone) = self.gone.take() {
            let until = self.newer();
            self.seen.push(Seen { until, ..gone });
        }
        self.seen.push(Seen {
            seq,
            stamp: released.stamp().clone(),
            until: self.newer(),
            released: Some(released),
        });
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// The versions that the requester may know of, the newest first; from the one named `after` (it
    /// comes first), until `enough` or to the end. `None` where the record as it is, or as it last
    /// was, is hidden, or never was.
    pub(super) async fn walk(
        &self,
        question: &Question,
        key: &Key,
        after: Option<&str>,
        enough: impl Fn(&[Seen]) -> bool + Send,
    ) -> Result<Option<Vec<Seen>>, Refusal> {
        let case = &question.case;
        let mut begin = after.map_or(Begin::Newest, |version| Begin::Named(version.into()));
        let mut walk = Walk::default();
        loop {
            let history = self.store.versions(case, self.settings, key, &begin, CHUNK);
            let Some(history) = history.await? else {
                return Ok(None);
            };
            if release(history.latest, case, self.settings, &history.standing).is_err() {
                return Ok(None);
            }
            let whole = history.versions.len() == usize::from(CHUNK);
            for Version {
                seq, full, sealed, ..
            } in history.versions
            {
                begin = Begin::Below(seq);
                match sealed {
                    None => walk.deletion(seq, full),
                    Some(sealed) => {
                        let released = release(sealed, case, self.settings, &history.standing);
                        if let Ok(released) = released {
                            walk.record(seq, released);
                        }
                    }
                }
            }
            if !whole || enough(&walk.seen) {
                return Ok(Some(walk.seen));
            }
        }
    }
}
