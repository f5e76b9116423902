//! Conditions of writes, asked again in the transaction that writes: what was looked up before may have
//! changed, by this node or by another. Nobody else writes meanwhile, so of all writes that found
//! nothing one creates, and the others find what it created.

use super::{remembered::Snapshot, search};
use crate::{
    fhir::Key,
    policy::Settings,
    store::{Sought, WriteError, session::Session},
};
use std::cell::RefCell;

/// Fails where a condition no longer finds what it found. Before anything is written.
pub(super) fn hold(tx: &dyn Session, settings: Settings, all: &[Sought]) -> Result<(), WriteError> {
    let remembered = RefCell::default();
    for sought in all {
        let snapshot = Snapshot::of(tx, &remembered, 0);
        let page = search::search(&snapshot, &sought.case, settings, &sought.plan, None)?;
        let mut found: Vec<&Key> = page.matches.iter().map(|at| &at.facts().key).collect();
        let mut before: Vec<&Key> = sought.found.iter().collect();
        found.sort();
        before.sort();
        if found != before {
            return Err(WriteError::Moved);
        }
    }
    Ok(())
}
