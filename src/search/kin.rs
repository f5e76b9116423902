//! `:above` and `:below` on references: the types that hold each other in a tree, by their `partOf`
//! (<https://hl7.org/fhir/R4/search.html#modifiers>). Resolved before the store is asked, as value sets
//! are, so that a hop leads through what the requester may see only.

use super::{
    filter::ReferenceTest,
    terms::{Definition, Library, Need, Unclear},
};
use crate::fhir::{Id, Kind, Kinds};
use std::sync::LazyLock;

/// The types that are trees, and the parameter that leads up.
pub const TREES: [(&str, &str); 2] = [("Location", "partof"), ("Organization", "partof")];

/// Most records that one is widened to.
pub const KIN: usize = 1_000;

/// The same types as a set.
pub(super) static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    TREES
        .iter()
        .filter_map(|(name, _)| Kind::named(name))
        .collect()
});

/// A record, and those above or below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kin {
    /// Its type, one of [`TREES`].
    pub kind: Kind,
    /// Its id.
    pub id: Id,
    /// Whether those below it are meant.
    pub below: bool,
}

impl Kin {
    /// The query for those right above or below some of the type: a parameter and its value.
    pub fn next(&self, of: &[Id]) -> (String, String) {
        let ids: Vec<&str> = of.iter().map(Id::as_str).collect();
        let up = TREES.iter().find(|(name, _)| *name == self.kind.name());
        let up = up.map_or("partof", |(_, up)| up);
        let name = if self.below {
            up.to_owned()
        } else {
            format!("_has:{}:{up}:_id", self.kind.name())
        };
        (name, ids.join(","))
    }
}

/// The references that these mean.
pub(super) fn references(kin: &[Kin], library: &Library) -> Result<Vec<ReferenceTest>, Unclear> {
    let mut all = Vec::new();
    for one in kin {
        let need = Need::Kin(one.clone());
        let Some(found) = library.found(&need) else {
            return Err(Unclear::Needs(need));
        };
        let Some(Definition::Kin(ids)) = found else {
            return Err(Unclear::Because("the hierarchy holds too many records"));
        };
        let local = |id: &Id| ReferenceTest::Local {
            kinds: Kinds::NONE.with(one.kind),
            id: id.clone(),
        };
        all.extend(ids.iter().map(local));
    }
    Ok(all)
}
