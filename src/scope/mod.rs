//! L1: SMART scopes, v1 and v2, as a set that a decision can ask (pure).
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>

use crate::fhir::{Kind, Kinds};

/// What an access token may touch, from its `scope`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet {
    grants: Vec<Granted>,
    /// The text as granted, in the words that were asked (v1 stays v1).
    text: String,
}

/// One scope that names resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Whose records: the patient in context, what the user may see, or the system's own.
    pub context: Context,
    /// The types it names.
    pub kinds: Kinds,
    /// The interactions it allows.
    pub actions: Actions,
    /// A v2 filter (`category=…`); a filter that can't be enforced is refused when scopes are parsed.
    pub filter: Option<String>,
}

/// The level of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "SMART's own words")]
pub enum Context {
    Patient,
    User,
    System,
}

/// Interactions, as the letters `c r u d s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(pub u8);

impl Actions {
    /// `c`
    pub const CREATE: Actions = Actions(1);
    /// `r`
    pub const READ: Actions = Actions(2);
    /// `u`
    pub const UPDATE: Actions = Actions(4);
    /// `d`
    pub const DELETE: Actions = Actions(8);
    /// `s`
    pub const SEARCH: Actions = Actions(16);

    /// Whether all of `other` are in it.
    pub fn hold(self, other: Actions) -> bool {
        self.0 & other.0 == other.0
    }
}

impl ScopeSet {
    /// The types for which `action` is granted.
    pub fn kinds(&self, action: Actions) -> Kinds {
        self.grants
            .iter()
            .filter(|grant| grant.actions.hold(action))
            .fold(Kinds::NONE, |kinds, grant| kinds.either(grant.kinds))
    }

    /// Whether `action` on `kind` is granted.
    pub fn allows(&self, kind: Kind, action: Actions) -> bool {
        self.kinds(action).has(kind)
    }

    /// Whether every grant is of the `patient/` level: then nothing outside the patient in context.
    pub fn patient_only(&self) -> bool {
        self.grants
            .iter()
            .all(|grant| grant.context == Context::Patient)
    }

    /// The text as granted.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scopes that name resources.
    pub fn grants(&self) -> &[Granted] {
        &self.grants
    }
}
