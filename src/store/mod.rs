//! L4: the only SQL. One storage trait; the embedded engine is SQLite, PostgreSQL comes beside it.
//! Query text is written once ([`sql`], [`visible`], [`query`]) and so is all that is done with records
//! ([`records`], over a [`session::Session`]): an engine only opens, runs statements and hands over rows.

pub mod audit;
pub mod engine;
pub(crate) mod group;
pub(crate) mod later;
pub(crate) mod long;
pub mod postgres;
pub mod query;
pub(crate) mod records;
pub mod registry;
pub mod session;
pub mod sources;
pub mod sql;
pub mod sqlite;
pub mod subjects;
pub mod visible;

use crate::{
    consent::Refusal,
    faces::Stamp,
    fhir::{Id, Instant, Key, Kind, Resource},
    gate::Sealed,
    policy::{Case, Settings, Standing},
    search::plan::Plan,
};
use std::{fs, future::Future, io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Why the store could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine failed; the request may be tried again.
    #[error("the store is away: {0}")]
    Away(Box<str>),
    /// A stored row can't be read.
    #[error("the store is damaged")]
    Damaged,
}

/// Why a write was refused; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record was not as the writer expected.
    #[error("{0} was changed meanwhile")]
    Raced(Key),
    /// A condition finds something else than it did.
    #[error("what a condition found was changed meanwhile")]
    Moved,
    /// A Consent that can't be honoured exactly.
    #[error("{0}: {1}")]
    Consent(Key, Refusal),
    /// The resource can't be kept.
    #[error("{0} can't be kept")]
    Resource(Key),
}

/// A record and what holds towards its patients, of one snapshot.
#[derive(Debug)]
pub struct Found {
    /// The record.
    pub sealed: Sealed,
    /// What holds.
    pub standing: Standing,
    /// The number of its version, for [`Expect::Seq`].
    pub seq: i64,
}

/// A version of a record.
#[derive(Debug)]
pub struct Version {
    /// Its number, from 1. Never shown: it counts also what a requester may not know.
    pub seq: i64,
    /// Version and time of the full face.
    pub full: Stamp,
    /// Version and time of the household face.
    pub household: Stamp,
    /// The record as it was, with the labels of then and of today; `None` where it was deleted.
    pub sealed: Option<Sealed>,
}

/// Versions of one record and what holds towards its patients, of one snapshot.
#[derive(Debug)]
pub struct History {
    /// The record as it is, or as it last was: who may not see it may not see any version.
    pub latest: Sealed,
    /// Whether it is deleted now.
    pub is_deleted: bool,
    /// Versions, the newest first.
    pub versions: Vec<Version>,
    /// What holds.
    pub standing: Standing,
}

/// From where versions of a record are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// From the newest.
    Newest,
    /// From the newest one of this version id, of either face.
    Named(Box<str>),
    /// From the one before this number.
    Below(i64),
}

/// A version somewhere in the store, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The record.
    pub key: Key,
    /// The version's number.
    pub seq: i64,
    /// When it was made, as the requester is told.
    pub at: Instant,
    /// Its version id, the same.
    pub version: Box<str>,
}

/// Which versions are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of this type; of all where `None`.
    pub kind: Option<Kind>,
    /// Made then or later.
    pub since: Option<Instant>,
    /// Made then or before.
    pub until: Option<Instant>,
}

/// A page of records and what holds towards their patients, of one snapshot.
#[derive(Debug, Default)]
pub struct Page {
    /// The matches, in order.
    pub matches: Vec<Sealed>,
    /// Where contained resources are asked for themselves: which of what the matches are, in order; each
    /// match is there once.
    pub picks: Option<Vec<Pick>>,
    /// What they include and are included by.
    pub included: Vec<Sealed>,
    /// Whether they include, or are included by, more that the requester may see.
    pub cut: bool,
    /// What holds.
    pub standing: Standing,
    /// How many match in all, where asked for.
    pub total: Option<u64>,
    /// Where the next page starts, if there is one.
    pub next: Option<Position>,
}

/// A match that may be a contained resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The record that matches, or that contains what does.
    pub key: Key,
    /// The id of the contained resource.
    pub inside: Option<Id>,
}

/// The place of a record in an order: its sort value and its name.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The sort value, or the values of an order by several keys; absent where the record has none.
    pub value: Option<SortValue>,
    /// The type's number, where a page spans types.
    pub kind: i64,
    /// The id; of a contained resource its container's, `#` and its own.
    pub id: String,
}

/// A value to sort by.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "SQL's own kinds")]
pub enum SortValue {
    Integer(i64),
    Real(f64),
    Text(String),
    /// Those of several keys.
    Many(Vec<Option<SortValue>>),
}

impl Position {
    /// The values of an order by so many keys.
    pub fn values(&self, keys: usize) -> Vec<Option<SortValue>> {
        match &self.value {
            Some(SortValue::Many(values)) if keys != 1 => values.clone(),
            value => vec![value.clone()],
        }
    }

    /// The place of a record with these sort values.
    pub fn of(mut values: Vec<Option<SortValue>>, kind: i64, id: String) -> Position {
        let value = match values.len() {
            0 => None,
            1 => values.pop().flatten(),
            _ => Some(SortValue::Many(values)),
        };
        Position { value, kind, id }
    }
}

/// A change to one record.
#[derive(Debug)]
pub struct Change {
    /// The record.
    pub key: Key,
    /// Its new content; `None` deletes it.
    pub resource: Option<Resource>,
    /// What the writer saw.
    pub expect: Expect,
}

/// What a writer saw of the record before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It does not matter.
    Any,
    /// No record, or a deleted one.
    Absent,
    /// The version of this number.
    Seq(i64),
}

/// What a condition found, within what its asker may see.
#[derive(Debug, Clone)]
pub struct Sought {
    /// Who asks.
    pub case: Case,
    /// The condition.
    pub plan: Plan,
    /// What it found.
    pub found: Vec<Key>,
}

/// Changes that are written together or not at all.
#[derive(Debug)]
pub struct Batch {
    /// The changes.
    pub changes: Vec<Change>,
    /// The conditions on which they rest: nothing is written where one finds something else by then.
    pub sought: Vec<Sought>,
    /// When.
    pub at: Instant,
    /// Settings on which faces depend.
    pub settings: Settings,
    /// Whether a Consent that can't be honoured is stored as a refusal of everything (import), not
    /// refused itself.
    pub fail_closed: bool,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The record.
    pub key: Key,
    /// Whether it was new.
    pub created: bool,
    /// Whether anything changed at all.
    pub changed: bool,
}

/// What one piece of making the search index again did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reindexed {
    /// How many records it went over.
    pub records: u64,
    /// Whether they were the last.
    pub is_done: bool,
}

/// Makes an empty file that only its owner may read, where there is none: an engine would make it as
/// the umask says. The files that SQLite puts beside a database get the database's mode. A file that
/// is there isn't opened: closing it would drop the locks that this process holds on it.
fn make_private(file: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// The storage of records.
pub trait Store: Send + Sync {
    /// One record with what holds towards its patients.
    fn read(
        &self,
        case: &Case,
        settings: Settings,
        key: &Key,
    ) -> impl Future<Output = Result<Option<Found>, StoreError>> + Send;

    /// The records that a plan asks for, through the `visible` relation.
    fn search(
        &self,
        case: &Case,
        settings: Settings,
        plan: &Plan,
        from: Option<&Position>,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// All records of a patient's own, through the `visible` relation, in pages.
    fn everything(
        &self,
        case: &Case,
        settings: Settings,
        patient: &Key,
        count: u16,
        from: Option<&Position>,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Records by name, through the `visible` relation.
    fn named(
        &self,
        case: &Case,
        settings: Settings,
        keys: &[Key],
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Versions of a record, the newest first, at most `count`; also of a deleted one.
    fn versions(
        &self,
        case: &Case,
        settings: Settings,
        key: &Key,
        from: &Begin,
        count: u16,
    ) -> impl Future<Output = Result<Option<History>, StoreError>> + Send;

    /// Versions of all records that the requester may see, and of deleted ones, the newest first.
    /// Whether a version may be seen is told by [`versions`](Store::versions).
    fn moments(
        &self,
        case: &Case,
        settings: Settings,
        span: Span,
        from: Option<&Position>,
        count: u16,
    ) -> impl Future<Output = Result<Vec<Moment>, StoreError>> + Send;

    /// Writes a batch.
    fn write(&self, batch: Batch) -> impl Future<Output = Result<Vec<Written>, WriteError>> + Send;
}
