//! L5: what FHIR's RESTful API does, one file an interaction. Each asks the store through `visible`,
//! releases through the gate, and answers from a disclosure.

pub mod address;
pub mod audit_event;
pub mod batch;
pub mod bundle;
mod change;
mod condition;
pub mod create;
pub mod cursor;
pub mod delete;
pub mod history;
pub mod patch;
pub mod read;
pub mod refusal;
pub mod search;
pub mod searchset;
pub mod transaction;
pub mod update;
pub mod write;

pub use address::{Address, pairs};
pub use refusal::Refusal;

use crate::{
    calendar::Clock,
    faces::Stamp,
    fhir::{Key, json::Limits},
    gate::{Asked, Disclosed, Released, Sealed, release},
    policy::{Case, Settings, Standing},
    profile::CheckLimits,
    statute::Reason,
    store::Pick,
};
use bytes::Bytes;
use cursor::CursorKey;
use std::{collections::HashMap, sync::Arc};

/// What interactions work with. Small parts by name; there is no state of everything.
#[derive(Debug)]
pub struct Service<S, J> {
    /// The records.
    pub store: S,
    /// The audit chain.
    pub journal: J,
    /// What decisions depend on.
    pub settings: Settings,
    /// Now.
    pub clock: Clock,
    /// The FHIR base that clients know, without a trailing slash: what is below it is ours.
    pub base: Box<str>,
    /// Signs the cursors of pages.
    pub cursors: CursorKey,
    /// Bounds of bodies.
    pub limits: Limits,
    /// How far what is written is checked.
    pub checks: CheckLimits,
    /// The largest `_count`.
    pub count_max: u16,
    /// Most entries of a batch or transaction.
    pub entries_max: usize,
    /// Whether a reference must name a record that is there (`integrity = "strict"`).
    pub strict: bool,
    /// Conditional creates and updates come one after the other.
    pub turn: tokio::sync::Mutex<()>,
}

/// A question as it came in.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks, what for, when.
    pub case: Case,
    /// What was asked, for the audit entry.
    pub asked: Asked,
    /// The FHIR base by which the question reached us, without a trailing slash: answers' links begin
    /// with it.
    pub base: Arc<str>,
}

/// An answer with a body that may go.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Bytes,
    /// Version and time, where the answer is one record.
    pub stamp: Option<Stamp>,
    /// Where a created record is.
    pub location: Option<String>,
}

impl Answer {
    /// The answer that is one disclosed record.
    pub fn record(status: u16, record: Disclosed<'_>) -> Answer {
        Answer {
            status,
            body: record.body.clone(),
            stamp: Some(record.stamp.clone()),
            location: None,
        }
    }

    /// Any other answer.
    pub fn of(status: u16, body: impl Into<Bytes>) -> Answer {
        Answer {
            status,
            body: body.into(),
            stamp: None,
            location: None,
        }
    }
}

/// Releases the records of a page that `visible` let through. Where the gate disagrees, the record is
/// withheld and an alarm raised: it is a bug.
pub fn release_all(
    records: Vec<Sealed>,
    case: &Case,
    settings: Settings,
    standing: &Standing,
) -> Vec<Released> {
    let mut released = Vec::with_capacity(records.len());
    for record in records {
        let key: Key = record.facts().key.clone();
        match release(record, case, settings, standing) {
            Ok(record) => released.push(record),
            Err(withheld) => alarm(&key, withheld.reason()),
        }
    }
    released
}

/// What was asked for of released records: they themselves or, alone, what they contain. What `visible` let
/// through and is not in a record as it is released raises the same alarm.
pub fn pick(released: Vec<Released>, picks: &[Pick]) -> Vec<Released> {
    let mut whole: HashMap<Key, Released> = HashMap::with_capacity(released.len());
    whole.extend(released.into_iter().map(|one| (one.key().clone(), one)));
    let mut picked = Vec::with_capacity(picks.len());
    // Those alone first, while what they are cut out of is there.
    for (place, pick) in picks.iter().enumerate() {
        let (Some(id), Some(record)) = (&pick.inside, whole.get(&pick.key)) else {
            continue;
        };
        match record.contained(id) {
            Some(alone) => picked.push((place, alone)),
            None => alarm(&pick.key, record.why().ground),
        }
    }
    for (place, pick) in picks.iter().enumerate() {
        if pick.inside.is_none() {
            picked.extend(whole.remove(&pick.key).map(|record| (place, record)));
        }
    }
    picked.sort_by_key(|(place, _)| *place);
    picked.into_iter().map(|(_, one)| one).collect()
}

fn alarm(key: &Key, reason: Reason) {
    metrics::counter!("confide_enforcement_disagreements_total").increment(1);
    tracing::error!(
        kind = key.kind.name(),
        reason = reason.code(),
        "the visible relation and the gate disagree; the record was withheld"
    );
}
