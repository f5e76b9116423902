//! What a decision knows of a record: stored columns, never the body.

use crate::{
    fhir::{Interval, Key},
    label::Marks,
};

/// A record, as far as a decision asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Type and id.
    pub key: Key,
    /// Whose record it is: each one's permission is needed.
    pub patients: Vec<Key>,
    /// What the record as a whole reveals.
    pub whole: Marks,
    /// What its parts reveal, each kind of part once.
    pub parts: Vec<Marks>,
    /// When its service took place.
    pub serviced: Option<Interval>,
    /// Who made it (the originator of a note).
    pub author: Option<Key>,
    /// The organization that authored or served.
    pub organization: Option<Key>,
}

impl Facts {
    /// What its parts reveal, together.
    pub fn parts_union(&self) -> Marks {
        let parts = self.parts.iter().copied();
        parts.fold(Marks::NONE, Marks::and)
    }
}
