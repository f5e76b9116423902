//! The versions of a record that one requester may know of: what a store would hold in which the rest
//! was never written.

use crate::{
    faces::Stamp,
    fhir::{Instant, Key},
    gate::{Journal, Released, release},
    interaction::{Question, Refusal, Service},
    store::{Begin, Store, Version},
};

/// How many versions the first question to the store brings, and the most that a later one does: a page
/// costs what it shows, not what there is.
const FEW: u16 = 8;
const MANY: u16 = 100;

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

/// A walk from the newest version back, as far as it was taken.
#[derive(Debug)]
pub(super) struct Walk {
    seen: Vec<Seen>,
    /// A deletion; it counts once something older is seen.
    gone: Option<Seen>,
    begin: Begin,
    chunk: u16,
    ended: bool,
}

impl Walk {
    /// From the version named `after`, which was shown and comes first; or from the newest.
    pub(super) fn from(after: Option<&str>) -> Walk {
        Walk {
            seen: Vec::new(),
            gone: None,
            begin: after.map_or(Begin::Newest, |version| Begin::Named(version.into())),
            chunk: FEW,
            ended: false,
        }
    }

    /// Where the version of this number is, if the requester may know of it and was not given it yet. The
    /// walk must have been taken beyond it.
    pub(super) fn peek(&self, seq: i64, fits: impl Fn(&Seen) -> bool) -> Option<usize> {
        let mut seen = self.seen.iter();
        seen.position(|seen| seen.seq == seq && fits(seen))
    }

    /// Takes what [`peek`](Walk::peek) found, and drops what is newer: it is not asked for again.
    pub(super) fn take(&mut self, at: usize) -> Option<Seen> {
        self.seen.drain(..at.min(self.seen.len()));
        (!self.seen.is_empty()).then(|| self.seen.remove(0))
    }

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
        let mut walk = Walk::from(after);
        let known = self.walk_on(question, key, &mut walk, enough).await?;
        Ok(known.then_some(walk.seen))
    }

    /// Takes a walk on until `enough` or to the end; whether the record may be known of at all.
    pub(super) async fn walk_on(
        &self,
        question: &Question,
        key: &Key,
        walk: &mut Walk,
        enough: impl Fn(&[Seen]) -> bool + Send,
    ) -> Result<bool, Refusal> {
        let case = &question.case;
        while !walk.ended && !enough(&walk.seen) {
            let chunk = walk.chunk;
            walk.chunk = chunk.saturating_mul(2).min(MANY);
            let history = self
                .store
                .versions(case, self.settings, key, &walk.begin, chunk);
            let Some(history) = history.await? else {
                walk.ended = true;
                return Ok(false);
            };
            if release(history.latest, case, self.settings, &history.standing).is_err() {
                walk.ended = true;
                return Ok(false);
            }
            walk.ended = history.versions.len() < usize::from(chunk);
            for Version {
                seq, full, sealed, ..
            } in history.versions
            {
                walk.begin = Begin::Below(seq);
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
        }
        Ok(true)
    }
}
