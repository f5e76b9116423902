//! The text of a `scope` parameter, read strictly: what is not understood is not granted.

use super::{Actions, Context, Granted, ScopeSet, Wording};
use crate::fhir::{Kind, Kinds};
use std::fmt;

/// Scopes that name no resources and that we know.
const PLAIN: [&str; 8] = [
    "launch",
    "launch/patient",
    "launch/encounter",
    "openid",
    "fhirUser",
    "profile",
    "offline_access",
    "online_access",
];

/// A scope that was asked for and can't be granted to anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// As asked.
    pub scope: Box<str>,
    /// Why.
    pub why: Why,
}

/// Why a scope can't be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Not a scope that we know.
    Unknown,
    /// Not a resource type of R4.
    Type,
    /// Not v1's `read`, `write`, `*`, nor v2's letters in their order.
    Actions,
    /// A filter: dropping it would release more than was asked for.
    Filter,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Unknown => "unknown scope",
            Why::Type => "unknown resource type",
            Why::Actions => "interactions must be read, write, * or letters of cruds in this order",
            Why::Filter => "filters in scopes are not supported",
        })
    }
}

impl ScopeSet {
    /// Reads a `scope` text; what can't be granted is left out.
    pub fn parse(text: &str) -> ScopeSet {
        ScopeSet::read(text).0
    }

    /// Reads a `scope` text, with a report of what was left out.
    pub fn read(text: &str) -> (ScopeSet, Vec<Dropped>) {
        let mut plain: Vec<Box<str>> = Vec::new();
        let (mut grants, mut dropped) = (Vec::new(), Vec::new());
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if PLAIN.contains(&word) {
                if !plain.iter().any(|known| &**known == word) {
                    plain.push(word.into());
                }
                continue;
            }
            match grant(word) {
                Ok(grant) if grants.contains(&grant) => {}
                Ok(grant) => grants.push(grant),
                Err(why) => dropped.push(Dropped {
                    scope: word.into(),
                    why,
                }),
            }
        }
        (ScopeSet::of(grants, plain), dropped)
    }
}

fn grant(word: &str) -> Result<Granted, Why> {
    let (context, rest) = word.split_once('/').ok_or(Why::Unknown)?;
    let context = match context {
        "patient" => Context::Patient,
        "user" => Context::User,
        "system" => Context::System,
        _ => return Err(Why::Unknown),
    };
    if rest.contains('?') {
        return Err(Why::Filter);
    }
    let (kind, actions) = rest.split_once('.').ok_or(Why::Actions)?;
    let kinds = match kind {
        "*" => Kinds::ALL,
        name => Kinds::NONE.with(Kind::named(name).ok_or(Why::Type)?),
    };
    let (actions, wording) = match actions {
        "read" => (Actions::V1_READ, Wording::V1),
        "write" => (Actions::V1_WRITE, Wording::V1),
        "*" => (Actions::ALL, Wording::V1),
        letters => (letters_of(letters).ok_or(Why::Actions)?, Wording::V2),
    };
    Ok(Granted {
        context,
        kinds,
        actions,
        filter: None,
        wording,
    })
}

/// Letters of `cruds`, each at most once, in this order.
fn letters_of(text: &str) -> Option<Actions> {
    let mut actions = Actions::NONE;
    for letter in text.chars() {
        let (_, action) = Actions::LETTERS
            .iter()
            .find(|(known, _)| *known == letter)?;
        if action.0 <= actions.0 {
            return None;
        }
        actions = actions.either(*action);
    }
    (!actions.is_empty()).then_some(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(scope: &str) -> Why {
        let (set, dropped) = ScopeSet::read(scope);
        assert!(set.is_empty() && set.text().is_empty());
        dropped[0].why
    }

    #[test]
    fn both_languages_are_read() {
        let set =
            ScopeSet::parse("launch/patient patient/Observation.read user/*.cruds system/Group.s");
        assert_eq!(
            set.text(),
            "launch/patient patient/Observation.read user/*.cruds system/Group.s"
        );
        assert_eq!(set.grants()[0].actions, Actions::V1_READ);
        assert_eq!(set.grants()[1].kinds, Kinds::ALL);
        assert_eq!(set.grants()[2].actions, Actions::SEARCH);
        assert!(set.has_plain("launch/patient"));
        let mixed = ScopeSet::parse("system/Patient.read system/Observation.rs");
        assert_eq!(mixed.grants().len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_dropped_with_a_reason() {
        assert_eq!(why("nonsense"), Why::Unknown);
        assert_eq!(why("everyone/Patient.rs"), Why::Unknown);
        assert_eq!(why("patient/Ghost.rs"), Why::Type);
        assert_eq!(why("patient/Patient"), Why::Actions);
        assert_eq!(why("patient/Patient."), Why::Actions);
        assert_eq!(why("patient/Patient.sr"), Why::Actions);
        assert_eq!(why("patient/Patient.rr"), Why::Actions);
        assert_eq!(why("patient/Patient.reads"), Why::Actions);
    }

    #[test]
    fn a_filter_is_refused_and_never_widened() {
        let scope = "patient/Observation.rs?category=laboratory";
        assert_eq!(why(scope), Why::Filter);
        let set = ScopeSet::parse(&format!("{scope} patient/Patient.r"));
        assert_eq!(set.text(), "patient/Patient.r");
    }
}
