//! Who asks, what for, with which scopes, when: one side of a decision.

use crate::{
    fhir::{Id, Instant, Key},
    scope::ScopeSet,
    statute::Purpose,
};

/// What a client is registered as (CONTRACT, client metadata).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the contract's own words")]
pub enum Role {
    App,
    Provider,
    Plan,
    Staff,
    PrivacyOffice,
    Auditor,
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 7] = [
        Role::App,
        Role::Provider,
        Role::Plan,
        Role::Staff,
        Role::PrivacyOffice,
        Role::Auditor,
        Role::Operator,
    ];

    /// Its name in client metadata and tokens.
    pub fn name(self) -> &'static str {
        match self {
            Role::App => "app",
            Role::Provider => "provider",
            Role::Plan => "plan",
            Role::Staff => "staff",
            Role::PrivacyOffice => "privacy-office",
            Role::Auditor => "auditor",
            Role::Operator => "operator",
        }
    }

    /// The role of that name.
    pub fn named(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The party behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// The client's id.
    pub client: Box<str>,
    /// What the client is registered as.
    pub role: Role,
    /// The person, from `fhirUser`.
    pub user: Option<Key>,
    /// The Organization that the client acts for.
    pub organization: Option<Key>,
    /// Where the requester is: US postal code of the state. Absent counts as out of state.
    pub state: Option<Box<str>>,
}

/// A verified token's content. `authn::Verified` is its only implementation outside tests.
pub trait Credentials {
    /// The party.
    fn requester(&self) -> &Requester;
    /// What for.
    fn purpose(&self) -> Purpose;
    /// What the token may touch.
    fn scopes(&self) -> &ScopeSet;
    /// The patient in context.
    fn patient(&self) -> Option<&Id>;
    /// The stated reason of an emergency access that is still within its time.
    fn break_glass(&self) -> Option<&str>;
}

/// One question: the same for every record that it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Who asks.
    pub requester: Requester,
    /// What for.
    pub purpose: Purpose,
    /// With which scopes.
    pub scopes: ScopeSet,
    /// The patient in context.
    pub patient: Option<Id>,
    /// The stated reason of an emergency access.
    pub break_glass: Option<Box<str>>,
    /// When.
    pub at: Instant,
}

impl Case {
    /// The case of a verified token, now. One of the named doors (`tests/architecture.rs`).
    pub fn from_verified(credentials: &impl Credentials, at: Instant) -> Case {
        Case {
            requester: credentials.requester().clone(),
            purpose: credentials.purpose(),
            scopes: credentials.scopes().clone(),
            patient: credentials.patient().cloned(),
            break_glass: credentials.break_glass().map(Into::into),
            at,
        }
    }
}
