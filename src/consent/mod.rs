//! L1: Consent → Directive, or a refusal that says why. Pure.
//! <https://hl7.org/fhir/R4/consent.html>; the base answer comes from `policyRule`, each nested
//! provision is an exception to what stands around it (SEMANTICS section 6).
//!
//! What can't be honoured exactly is refused, never approximated; from import it becomes a directive
//! that lets nothing out beyond the member and treatment.

mod authorization;
mod compile;

pub use compile::compile;

use crate::{
    fhir::{Instant, Interval, Key, Kind, Kinds},
    statute::{Labels, Purpose},
};
use serde::{Deserialize, Serialize};

/// What a Consent is for (our CodeSystem `consent-category`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// An authorization under Civ. 56.11 (or 45 CFR 164.508).
    Authorization,
    /// A consent under 42 CFR 2.31.
    Part2Consent,
    /// Paid in full out of pocket: not to the plan (45 CFR 164.522(a)(1)(vi)).
    SelfPayRestriction,
    /// A restriction of the member's.
    Restriction,
    /// A confidential communications request (Civ. 56.107(b)).
    ConfidentialCommunicationsRequest,
    /// A privacy consent of no special kind: its denials restrict, its permissions add nothing.
    Privacy,
    /// One that could not be honoured exactly: nothing beyond the member and treatment.
    InReview,
}

/// A compiled Consent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directive {
    /// What it is for.
    pub category: Category,
    /// Whose it is.
    pub patient: Key,
    /// When it is in force.
    pub period: Interval,
    /// What it permits, exactly.
    pub permits: Vec<Clause>,
    /// What it denies.
    pub denies: Vec<Clause>,
    /// Records that it names (`provision.data`, meaning `instance`), for the self-pay label.
    pub names: Vec<Key>,
}

/// A condition with its exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// What it covers.
    pub on: Condition,
    /// What it does not cover all the same.
    pub except: Vec<Condition>,
}

/// What a provision covers: everything that is stated must hold; what is absent holds for all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Condition {
    /// The recipients.
    pub actors: Option<Vec<Key>>,
    /// The purposes, as bits of [`Purpose::bit`].
    pub purposes: Option<u32>,
    /// The sensitivity classes.
    pub labels: Option<Labels>,
    /// The resource types.
    pub kinds: Option<Kinds>,
    /// When the service took place.
    pub serviced: Option<Interval>,
    /// When it applies.
    pub period: Option<Interval>,
    /// The records.
    pub records: Option<Vec<Key>>,
}

/// Who asks, as far as a condition asks.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// All names of the requester: the user, linked identities, the organization.
    pub names: &'a [Key],
    /// What for.
    pub purpose: Purpose,
    /// When.
    pub at: Instant,
}

/// A record, as far as a condition asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its type and id.
    pub key: &'a Key,
    /// Its labels, those of its parts included.
    pub labels: Labels,
    /// Its labels and those of the parts that the requester would be shown: what is taken out can't
    /// open a record, or its being there would show.
    pub shown: Labels,
    /// When its service took place.
    pub serviced: Option<Interval>,
}

/// Why a Consent is refused, in the field's words; never a stored value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(|r| r.text.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Refusal(pub Vec<Reason>);

/// One reason of a [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is wrong or missing.
    pub text: String,
    /// The element.
    pub expression: &'static str,
}

impl Condition {
    /// Whether it concerns this requester at this time.
    pub fn concerns(&self, asker: Asker<'_>) -> bool {
        let named = self
            .actors
            .as_ref()
            .is_none_or(|actors| actors.iter().any(|actor| asker.names.contains(actor)));
        named
            && self
                .purposes
                .is_none_or(|purposes| purposes & asker.purpose.bit() != 0)
            && self.period.is_none_or(|period| period.holds(asker.at))
    }

    /// Whether it covers this record. A record without a service date is covered by a denial's
    /// period and not by a permission's; a denial reaches what any part says, a permission what is
    /// shown: the caller says which.
    pub fn covers(&self, record: Asked<'_>, denies: bool) -> bool {
        let said = if denies { record.labels } else { record.shown };
        self.labels.is_none_or(|labels| labels.meets(said))
            && self.kinds.is_none_or(|kinds| kinds.has(record.key.kind))
            && self
                .records
                .as_ref()
                .is_none_or(|records| records.contains(record.key))
            && match (self.serviced, record.serviced) {
                (None, _) => true,
                (Some(window), Some(serviced)) => window.both(serviced).is_some(),
                (Some(_), None) => denies,
            }
    }

    /// What both cover.
    #[must_use]
    pub fn both(&self, other: &Condition) -> Condition {
        let lists = |a: &Option<Vec<Key>>, b: &Option<Vec<Key>>| match (a, b) {
            (Some(a), Some(b)) => Some(a.iter().filter(|key| b.contains(key)).cloned().collect()),
            (one, other) => one.clone().or_else(|| other.clone()),
        };
        let none = Interval {
            start: i64::MAX,
            end: i64::MIN,
        };
        let times = |a: Option<Interval>, b: Option<Interval>| match (a, b) {
            (Some(a), Some(b)) => Some(a.both(b).unwrap_or(none)),
            (one, other) => one.or(other),
        };
        Condition {
            actors: lists(&self.actors, &other.actors),
            purposes: match (self.purposes, other.purposes) {
                (Some(a), Some(b)) => Some(a & b),
                (one, other) => one.or(other),
            },
            labels: match (self.labels, other.labels) {
                (Some(a), Some(b)) => Some(both_name(a, b)),
                (one, other) => one.or(other),
            },
            kinds: match (self.kinds, other.kinds) {
                (Some(a), Some(b)) => Some(a.both(b)),
                (one, other) => one.or(other),
            },
            serviced: times(self.serviced, other.serviced),
            period: times(self.period, other.period),
            records: lists(&self.records, &other.records),
        }
    }
}

/// The classes that are in both, the narrower where one is a kind of the other.
fn both_name(one: Labels, other: Labels) -> Labels {
    let within = |names: Labels, others: Labels| {
        let bits = names.bits().map(|bit| bit.labels);
        bits.filter(|label| label.with_broader().meets(others))
            .collect::<Labels>()
    };
    within(one, other).and(within(other, one))
}

impl Directive {
    /// A directive that lets nothing out beyond the member and treatment.
    pub fn in_review(patient: Key) -> Directive {
        Directive {
            category: Category::InReview,
            patient,
            period: Interval::ALWAYS,
            permits: Vec::new(),
            denies: vec![Clause {
                on: Condition::default(),
                except: Vec::new(),
            }],
            names: Vec::new(),
        }
    }
}

/// Whether a kind of resource is one that directives are compiled from.
pub fn is_consent(kind: Kind) -> bool {
    kind.name() == "Consent"
}
