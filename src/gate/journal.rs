//! What a disclosure must leave behind before it leaves: invariant 2.

use crate::{
    fhir::{Instant, Key},
    policy::Case,
    statute::{Purpose, Reason},
};
use std::{future::Future, net::IpAddr};

/// One entry of the audit chain. It says who did what to which records; no clinical content beyond
/// the query as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the request came in.
    pub at: Instant,
    /// The request's id (`X-Request-Id`).
    pub request: Box<str>,
    /// The client; empty for an act of the local operator.
    pub client: Box<str>,
    /// The role, in the contract's words; `local` for an act of the local operator, `unknown` where
    /// nobody is known.
    pub role: &'static str,
    /// The person.
    pub user: Option<Key>,
    /// The organization that the client acts for.
    pub organization: Option<Key>,
    /// What for.
    pub purpose: Option<Purpose>,
    /// The stated reason of an emergency access.
    pub break_glass: Option<Box<str>>,
    /// The interaction: `read`, `search-type`, `create`, `everything`, `evaluate`, `token`, …
    pub interaction: &'static str,
    /// What was asked: `Observation/x`, or type and query.
    pub target: Box<str>,
    /// The network address that it was asked from.
    pub from: Option<IpAddr>,
    /// The HTTP status of the answer, or 0 for an act on the command line.
    pub status: u16,
    /// What was disclosed or written: the record, its version, and on which basis.
    pub records: Vec<EntryRecord>,
    /// The patients whose records these are.
    pub patients: Vec<Key>,
}

/// A record in an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRecord {
    /// The record.
    pub key: Key,
    /// The version id that was shown.
    pub version: Box<str>,
    /// Why it was released.
    pub basis: Reason,
}

/// What a request was, for its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The request's id.
    pub request: Box<str>,
    /// The interaction.
    pub interaction: &'static str,
    /// What was asked.
    pub target: Box<str>,
    /// The network address that it was asked from, as far as that is known.
    pub from: Option<IpAddr>,
}

/// The audit entry could not be made durable: the reply must not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit entry could not be made durable")]
pub struct JournalError;

/// Where entries become durable. Returns only after the entry is on disk.
pub trait Journal: Send + Sync {
    /// Makes one entry durable.
    fn record(&self, entry: Entry) -> impl Future<Output = Result<(), JournalError>> + Send;
}

impl Entry {
    /// The entry of a request by `case`.
    pub fn of(case: &Case, asked: &Asked, status: u16) -> Entry {
        Entry {
            at: case.at,
            request: asked.request.clone(),
            client: case.requester.client.clone(),
            role: case.requester.role.name(),
            user: case.requester.user.clone(),
            organization: case.requester.organization.clone(),
            purpose: Some(case.purpose),
            break_glass: case.break_glass.clone(),
            interaction: asked.interaction,
            target: asked.target.clone(),
            from: asked.from,
            status,
            records: Vec::new(),
            patients: Vec::new(),
        }
    }

    /// The entry of a request by nobody known: without a token, or with one that is not good.
    pub fn anonymous(at: Instant, asked: &Asked, status: u16) -> Entry {
        Entry {
            request: asked.request.clone(),
            role: "unknown",
            from: asked.from,
            status,
            ..Entry::local(at, asked.interaction, asked.target.clone())
        }
    }

    /// The entry of an act of the local operator on the command line.
    pub fn local(at: Instant, interaction: &'static str, target: impl Into<Box<str>>) -> Entry {
        Entry {
            at,
            request: "".into(),
            client: "".into(),
            role: "local",
            user: None,
            organization: None,
            purpose: None,
            break_glass: None,
            interaction,
            target: target.into(),
            from: None,
            status: 0,
            records: Vec::new(),
            patients: Vec::new(),
        }
    }
}
