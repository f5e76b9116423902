//! What holds between one requester and the patients of a question, read in the same snapshot as
//! the records.

use crate::{
    consent::Directive,
    fhir::{Interval, Key, Kinds},
    statute::{
        Labels, Purpose,
        projections::{Household, Seat},
    },
};

/// Everything that holds between the requester and the patients touched.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// All names of the requester: user, verified links, organization.
    pub names: Vec<Key>,
    /// Per patient.
    pub towards: Vec<Towards>,
    /// Groups that the requester's grants in force name.
    pub groups: Vec<Key>,
}

impl Standing {
    /// What holds towards one patient.
    pub fn towards(&self, patient: &Key) -> Option<&Towards> {
        self.towards
            .iter()
            .find(|towards| towards.patient == *patient)
    }
}

/// What holds between the requester and one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Towards {
    /// The patient.
    pub patient: Key,
    /// The user is this patient, or a verified link says so.
    pub is_member: bool,
    /// The user's place on a policy that covers the patient now.
    pub seat: Option<Seat>,
    /// A verified authority in force to act for the patient.
    pub authority: Option<Authority>,
    /// An active Flag says that the user is suspected of abusing the patient.
    pub suspected: bool,
    /// An active Flag says that the patient was removed from custody.
    pub removed_from_custody: bool,
    /// Under 18 now, or of unknown age.
    pub minor: bool,
    /// The user is covered by the patient's own coverage (a workforce conflict).
    pub covered_together: bool,
    /// The patient is one of the client's facility.
    pub in_facility: bool,
    /// When the client's organization was a payor of the patient's coverage.
    pub covered: Vec<Interval>,
    /// Grants in force that reach the patient.
    pub grants: Vec<Grant>,
    /// A psychotherapy-information request of the client's organization is on file (Civ. 56.104).
    pub psychotherapy_request: bool,
    /// The patient's directives in force.
    pub directives: Vec<Directive>,
    /// Classes with a current hit.
    pub hits: Labels,
    /// Labels put on everything of the patient until a pending change is done.
    pub tightening: Labels,
}

impl Towards {
    /// Nothing holds.
    pub fn none(patient: Key) -> Towards {
        Towards {
            patient,
            is_member: false,
            seat: None,
            authority: None,
            suspected: false,
            removed_from_custody: false,
            minor: true,
            covered_together: false,
            in_facility: false,
            covered: Vec::new(),
            grants: Vec::new(),
            psychotherapy_request: false,
            directives: Vec::new(),
            hits: Labels::NONE,
            tightening: Labels::NONE,
        }
    }
}

/// What a representative's authority rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the contract's own words")]
pub enum Authority {
    Parent,
    Guardian,
    Conservator,
    HealthCareAgent,
    PersonalRepresentative,
    Court,
}

impl Authority {
    /// The authority of that name in our extension.
    pub fn named(name: &str) -> Option<Authority> {
        Some(match name {
            "parent" => Authority::Parent,
            "guardian" => Authority::Guardian,
            "conservator" => Authority::Conservator,
            "health-care-agent" => Authority::HealthCareAgent,
            "personal-representative" => Authority::PersonalRepresentative,
            "court" => Authority::Court,
            _ => return None,
        })
    }

    /// Whether it ends when the member turns 18.
    pub fn ends_at_majority(self) -> bool {
        matches!(self, Authority::Parent | Authority::Guardian)
    }
}

/// An access grant in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What for.
    pub purposes: Vec<Purpose>,
    /// The types that it names; all where it names none.
    pub kinds: Kinds,
    /// Its period.
    pub period: Interval,
}

/// Settings that a decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// `[policy] household`.
    pub household: Household,
    /// `[operator] patients`: only those of the client's organization.
    pub by_organization: bool,
}
