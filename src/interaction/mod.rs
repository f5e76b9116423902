//! L5: what FHIR's RESTful API does, one file an interaction. Each asks the store through `visible`,
//! releases through the gate, and answers from a disclosure.

pub mod audit_event;
pub mod bundle;
pub mod create;
pub mod cursor;
pub mod read;
pub mod search;
pub mod searchset;
pub mod transaction;
pub mod update;
pub mod write;

use crate::{
    calendar::Clock,
    faces::Stamp,
    fhir::{Key, json::Limits, outcome::Issue},
    gate::{Asked, Disclosed, JournalError, Released, Sealed, release},
    policy::{Case, Settings, Standing},
    profile::CheckLimits,
    statute::Reason,
    store::{StoreError, WriteError},
};
use bytes::Bytes;
use cursor::CursorKey;

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
    /// The FHIR base, without a trailing slash.
    pub base: Box<str>,
    /// Signs the cursors of pages.
    pub cursors: CursorKey,
    /// Bounds of bodies.
    pub limits: Limits,
    /// How far what is written is checked.
    pub checks: CheckLimits,
    /// The largest `_count`.
    pub count_max: u16,
}

/// A question as it came in.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks, what for, when.
    pub case: Case,
    /// What was asked, for the audit entry.
    pub asked: Asked,
}

/// Why an interaction was not done. Texts are fixed or the caller's own words.
#[derive(Debug)]
pub enum Refusal {
    /// 404: hidden, or never there.
    NotFound,
    /// 403, with which of token, scope or role.
    Forbidden(&'static str),
    /// 400.
    Invalid(Vec<Issue>),
    /// 422.
    Unprocessable(Vec<Issue>),
    /// 409, fixed text.
    Conflict,
    /// 412.
    PreconditionFailed,
    /// 503: the store.
    Store(StoreError),
    /// 503: the audit entry could not be made durable.
    Journal(JournalError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Refusal::Store(error)
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Refusal::Journal(error)
    }
}

impl From<WriteError> for Refusal {
    fn from(error: WriteError) -> Self {
        use crate::fhir::outcome::IssueType;
        match error {
            WriteError::Store(error) => Refusal::Store(error),
            WriteError::Raced(_) => Refusal::Conflict,
            WriteError::Consent(_, refusal) => Refusal::Unprocessable(
                refusal
                    .0
                    .into_iter()
                    .map(|reason| {
                        Issue::at(IssueType::BusinessRule, reason.text, reason.expression)
                    })
                    .collect(),
            ),
            WriteError::Resource(_) => Refusal::Invalid(vec![Issue::new(
                IssueType::Invalid,
                "The resource can't be kept",
            )]),
        }
    }
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

fn alarm(key: &Key, reason: Reason) {
    metrics::counter!("confide_enforcement_disagreements_total").increment(1);
    tracing::error!(
        kind = key.kind.name(),
        reason = reason.code(),
        "the visible relation and the gate disagree; the record was withheld"
    );
}
