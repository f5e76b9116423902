//! What the household face keeps, per relation, policy and type (`profiles/projections.toml`).

use crate::fhir::{Kind, Kinds};
use serde::Deserialize;
use std::{collections::HashMap, sync::LazyLock};

/// The table, read once.
pub static PROJECTIONS: LazyLock<Projections> = LazyLock::new(|| {
    Projections::read(include_str!("../../profiles/projections.toml")).unwrap_or_default()
});

/// The household policy (`[policy] household`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Household {
    /// A generic benefit view.
    #[default]
    Claims,
    /// Also unprotected clinical records; needs a stated legal ground.
    Clinical,
}

/// Which member of the household.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Seat {
    /// Pays for the policy.
    Subscriber,
    /// Covered by the same policy.
    Enrollee,
}

/// The elements that are kept of one type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Projection {
    elements: Vec<String>,
    /// Why these, for people and for `confide rules`.
    pub why: String,
}

#[derive(Debug, Default, Deserialize)]
struct Table {
    subscriber: HashMap<Household, HashMap<String, Projection>>,
    enrollee: HashMap<Household, HashMap<String, Projection>>,
}

/// All lists.
#[derive(Debug, Default)]
pub struct Projections {
    rows: HashMap<(Seat, Household, Kind), Projection>,
}

impl Projections {
    fn read(text: &str) -> Result<Projections, toml::de::Error> {
        let table: Table = toml::from_str(text)?;
        let seats = [
            (Seat::Subscriber, table.subscriber),
            (Seat::Enrollee, table.enrollee),
        ];
        let mut rows = HashMap::new();
        for (seat, policies) in seats {
            for (policy, kinds) in policies {
                for (kind, projection) in kinds {
                    if let Some(kind) = Kind::named(&kind) {
                        rows.insert((seat, policy, kind), projection);
                    }
                }
            }
        }
        Ok(Projections { rows })
    }

    /// What is kept of `kind`; nothing where the type is not shown at all.
    pub fn of(&self, seat: Seat, policy: Household, kind: Kind) -> Option<&Projection> {
        self.rows.get(&(seat, policy, kind))
    }

    /// The types that are shown.
    pub fn kinds(&self, seat: Seat, policy: Household) -> Kinds {
        let shown = self
            .rows
            .keys()
            .filter(|(s, p, _)| (*s, *p) == (seat, policy));
        shown.map(|(_, _, kind)| *kind).collect()
    }
}

/// How much of an element a projection keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    All,
    /// Some of its children.
    Some,
    /// Nothing.
    Nothing,
}

impl Projection {
    /// Whether everything is kept.
    pub fn whole(&self) -> bool {
        self.elements.iter().any(|element| element == "*")
    }

    /// How much of the element at a dotted path is kept.
    pub fn keep(&self, path: &str) -> Keep {
        let mut keep = Keep::Nothing;
        for element in &self.elements {
            if element == "*" || is_within(path, element) {
                return Keep::All;
            }
            if is_within(element, path) {
                keep = Keep::Some;
            }
        }
        keep
    }

    /// The list as it stands.
    pub fn elements(&self) -> &[String] {
        &self.elements
    }
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_view_is_generic() {
        let eob = Kind::named("ExplanationOfBenefit").unwrap();
        let list = PROJECTIONS
            .of(Seat::Subscriber, Household::Claims, eob)
            .unwrap();
        assert_eq!(list.keep("total"), Keep::All);
        assert_eq!(list.keep("insurance"), Keep::Some);
        assert_eq!(list.keep("insurance.coverage.reference"), Keep::All);
        for hidden in [
            "diagnosis",
            "procedure",
            "supportingInfo",
            "item",
            "careTeam",
            "totals",
        ] {
            assert_eq!(list.keep(hidden), Keep::Nothing, "{hidden}");
        }
        assert!(
            PROJECTIONS
                .of(Seat::Enrollee, Household::Claims, eob)
                .is_none()
        );
    }

    #[test]
    fn claims_stay_hidden_under_either_policy() {
        let claim = Kind::named("Claim").unwrap();
        for seat in [Seat::Subscriber, Seat::Enrollee] {
            for policy in [Household::Claims, Household::Clinical] {
                let kinds = PROJECTIONS.kinds(seat, policy);
                assert!(!kinds.is_empty());
                assert!(!kinds.has(claim));
            }
        }
    }
}
