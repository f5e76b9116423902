//! Released → Disclosure: no reply before its audit entry is durable.

use super::{Asked, Entry, EntryRecord, Journal, JournalError, record::Released};
use crate::{
    faces::Stamp,
    fhir::{Id, Key},
    policy::Case,
};
use bytes::Bytes;
use std::collections::HashSet;

/// The most records in one disclosure; a larger answer is disclosed in several.
pub const BATCH: usize = 1000;

/// Records whose disclosure is on the audit chain. The only serializable view of a record.
#[derive(Debug)]
pub struct Disclosure {
    released: Vec<Released>,
}

/// A disclosed record.
#[derive(Debug, Clone, Copy)]
pub struct Disclosed<'d> {
    /// Type and id.
    pub key: &'d Key,
    /// Where it is a resource that this record contains, alone: its id there.
    pub inside: Option<&'d Id>,
    /// Version and time as the requester sees them.
    pub stamp: &'d Stamp,
    /// The resource, as JSON.
    pub body: &'d Bytes,
}

impl Disclosure {
    /// What was disclosed.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Disclosed<'_>> {
        self.released.iter().map(|released| Disclosed {
            key: &released.key,
            inside: released.inside.as_ref(),
            stamp: &released.stamp,
            body: &released.body,
        })
    }
}

/// Puts a batch on the audit chain, then gives it out. An empty batch is how "not found" is
/// answered: a hidden record and one that never was take this same path.
pub async fn disclose(
    journal: &impl Journal,
    case: &Case,
    asked: &Asked,
    status: u16,
    batch: Vec<Released>,
) -> Result<Disclosure, JournalError> {
    let mut entry = Entry::of(case, asked, status);
    entry.records = batch
        .iter()
        .map(|released| EntryRecord {
            key: released.key.clone(),
            version: released.stamp.version.clone(),
            basis: released.why.ground,
        })
        .collect();
    // Of a record that several contained resources came from, one line tells.
    if batch.iter().any(|released| released.inside.is_some()) {
        let mut known = HashSet::new();
        let lines = std::mem::take(&mut entry.records).into_iter();
        entry.records = lines
            .filter(|line| known.insert(line.key.clone()))
            .collect();
    }
    let mut patients: Vec<Key> = batch
        .iter()
        .flat_map(|released| released.patients.iter().cloned())
        .collect();
    patients.sort();
    patients.dedup();
    entry.patients = patients;
    journal.record(entry).await?;
    Ok(Disclosure { released: batch })
}
