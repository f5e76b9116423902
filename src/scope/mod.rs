//! L1: SMART scopes, v1 and v2, as a set that a decision can ask (pure).
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html>

mod parse;

pub use parse::{Dropped, Why};

use crate::fhir::{Kind, Kinds};
use std::fmt;

/// What an access token may touch, from its `scope`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScopeSet {
    grants: Vec<Granted>,
    /// Scopes that name no resources (`openid`, `launch/patient`, …).
    plain: Vec<Box<str>>,
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
    /// In which words it was asked, so that it is answered in the same.
    pub wording: Wording,
}

/// The generation of SMART's scope language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// `.read`, `.write`, `.*`
    V1,
    /// `.cruds`
    V2,
}

/// The level of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "SMART's own words")]
pub enum Context {
    Patient,
    User,
    System,
}

impl Context {
    /// Its word before the slash.
    pub fn name(self) -> &'static str {
        match self {
            Context::Patient => "patient",
            Context::User => "user",
            Context::System => "system",
        }
    }
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
    /// None.
    pub const NONE: Actions = Actions(0);
    /// v1 `read`.
    pub const V1_READ: Actions = Actions(2 | 16);
    /// v1 `write`.
    pub const V1_WRITE: Actions = Actions(1 | 4 | 8);
    /// v1 `*`.
    pub const ALL: Actions = Actions(31);

    /// Each with its letter, in the order that v2 prescribes.
    pub const LETTERS: [(char, Actions); 5] = [
        ('c', Actions::CREATE),
        ('r', Actions::READ),
        ('u', Actions::UPDATE),
        ('d', Actions::DELETE),
        ('s', Actions::SEARCH),
    ];

    /// Whether all of `other` are in it.
    pub fn hold(self, other: Actions) -> bool {
        self.0 & other.0 == other.0
    }

    /// Those in both.
    #[must_use]
    pub fn both(self, other: Actions) -> Actions {
        Actions(self.0 & other.0)
    }

    /// Those in either.
    #[must_use]
    pub fn either(self, other: Actions) -> Actions {
        Actions(self.0 | other.0)
    }

    /// Whether it allows nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Actions::LETTERS
            .iter()
            .filter(|(_, action)| self.hold(*action))
            .try_for_each(|(letter, _)| write!(f, "{letter}"))
    }
}

impl Granted {
    /// The scope's words for one type or `*`: v1 where it was asked in v1 and v1 has a word for it.
    fn words(&self) -> String {
        let kind = if self.kinds == Kinds::ALL {
            "*"
        } else {
            self.kinds.iter().next().map_or("", Kind::name)
        };
        let v1 = match (self.wording, self.actions) {
            (Wording::V1, Actions::V1_READ) => Some("read"),
            (Wording::V1, Actions::V1_WRITE) => Some("write"),
            (Wording::V1, Actions::ALL) => Some("*"),
            _ => None,
        };
        let context = self.context.name();
        match v1 {
            Some(word) => format!("{context}/{kind}.{word}"),
            None => format!("{context}/{kind}.{}", self.actions),
        }
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

    /// The types for which `action` is granted at one level; for tokens that mix levels.
    pub fn kinds_at(&self, context: Context, action: Actions) -> Kinds {
        self.grants
            .iter()
            .filter(|grant| grant.context == context && grant.actions.hold(action))
            .fold(Kinds::NONE, |kinds, grant| kinds.either(grant.kinds))
    }

    /// Whether `action` on `kind` is granted.
    pub fn allows(&self, kind: Kind, action: Actions) -> bool {
        self.kinds(action).has(kind)
    }

    /// Whether any grant is of that level.
    pub fn has(&self, context: Context) -> bool {
        self.grants.iter().any(|grant| grant.context == context)
    }

    /// Whether a scope that names no resources (`openid`, `offline_access`, …) was granted.
    pub fn has_plain(&self, name: &str) -> bool {
        self.plain.iter().any(|plain| &**plain == name)
    }

    /// Whether no resource scope is in it: such a token could touch nothing.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// The text as granted.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scopes that name resources.
    pub fn grants(&self) -> &[Granted] {
        &self.grants
    }

    /// The part that a client without a user may hold: `system/` grants only.
    #[must_use]
    pub fn system_only(&self) -> ScopeSet {
        let grants = self
            .grants
            .iter()
            .filter(|grant| grant.context == Context::System)
            .cloned();
        ScopeSet::of(grants.collect(), Vec::new())
    }

    /// What of `asked` is within `most`, in the words of `asked`. Levels never stand in for each
    /// other: `patient/` is not granted out of a registered `user/`, since each level has its own
    /// meaning for a decision.
    pub fn granted(asked: &ScopeSet, most: &ScopeSet) -> ScopeSet {
        let mut grants: Vec<Granted> = Vec::new();
        for want in &asked.grants {
            for piece in within(want, most) {
                if !grants.contains(&piece) {
                    grants.push(piece);
                }
            }
        }
        let plain = asked.plain.iter().filter(|plain| most.has_plain(plain));
        ScopeSet::of(grants, plain.cloned().collect())
    }

    fn of(grants: Vec<Granted>, plain: Vec<Box<str>>) -> ScopeSet {
        let words = grants.iter().map(Granted::words);
        let mut text: Vec<String> = plain.iter().map(ToString::to_string).chain(words).collect();
        let mut seen = std::collections::HashSet::new();
        text.retain(|word| seen.insert(word.clone()));
        ScopeSet {
            grants,
            plain,
            text: text.join(" "),
        }
    }
}

/// The pieces of one asked scope that `most` allows; `*` falls apart into types where `most` names
/// types.
fn within(want: &Granted, most: &ScopeSet) -> Vec<Granted> {
    let piece = |kinds, actions| Granted {
        kinds,
        actions,
        ..want.clone()
    };
    let allowed = |fits: &dyn Fn(Kinds) -> bool| {
        most.grants
            .iter()
            .filter(|grant| grant.context == want.context && fits(grant.kinds))
            .fold(Actions::NONE, |sum, grant| sum.either(grant.actions))
            .both(want.actions)
    };
    let everywhere = allowed(&|kinds| kinds == Kinds::ALL);
    let mut pieces = Vec::new();
    if want.kinds == Kinds::ALL && !everywhere.is_empty() {
        pieces.push(piece(Kinds::ALL, everywhere));
    }
    let named = most
        .grants
        .iter()
        .filter(|grant| grant.kinds != Kinds::ALL)
        .fold(Kinds::NONE, |sum, grant| sum.either(grant.kinds));
    let single = if want.kinds == Kinds::ALL {
        named
    } else {
        want.kinds
    };
    for kind in single.iter() {
        let actions = allowed(&|kinds| kinds.has(kind));
        let said = want.kinds == Kinds::ALL && everywhere.hold(actions);
        if !actions.is_empty() && !said {
            pieces.push(piece(Kinds::NONE.with(kind), actions));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn granted(asked: &str, most: &str) -> String {
        ScopeSet::granted(&ScopeSet::parse(asked), &ScopeSet::parse(most))
            .text()
            .to_owned()
    }

    #[test]
    fn nothing_beyond_the_registered_maximum_is_granted() {
        assert_eq!(
            granted("system/*.cruds", "system/Observation.rs system/Patient.r"),
            "system/Observation.rs system/Patient.r"
        );
        assert_eq!(
            granted("system/Patient.cruds", "system/*.rs"),
            "system/Patient.rs"
        );
        assert_eq!(granted("user/Patient.rs", "system/*.cruds"), "");
        assert_eq!(granted("patient/Patient.rs", "user/*.cruds"), "");
        assert_eq!(granted("system/Patient.write", "system/*.rs"), "");
        assert_eq!(
            granted("openid fhirUser patient/*.rs", "openid patient/*.rs"),
            "openid patient/*.rs"
        );
        assert_eq!(
            granted("system/*.rs", "system/*.r system/Patient.rs"),
            "system/*.r system/Patient.rs"
        );
    }

    #[test]
    fn check_40_v1_asked_is_answered_in_v1() {
        assert_eq!(
            granted("patient/Observation.read", "patient/*.cruds"),
            "patient/Observation.read"
        );
        assert_eq!(granted("patient/*.*", "patient/*.rs"), "patient/*.read");
        assert_eq!(granted("patient/*.read", "patient/*.r"), "patient/*.r");
        assert_eq!(
            granted("system/Patient.read system/Observation.rs", "system/*.read"),
            "system/Patient.read system/Observation.rs"
        );
    }

    fn scope() -> impl Strategy<Value = String> {
        let context = prop::sample::select(vec!["patient", "user", "system"]);
        let kind = prop::sample::select(vec!["*", "Patient", "Observation", "Coverage"]);
        let actions = prop_oneof![
            Just("read".to_owned()),
            Just("write".to_owned()),
            Just("*".to_owned()),
            (1u8..32).prop_map(|bits| Actions(bits).to_string()),
        ];
        (context, kind, actions)
            .prop_map(|(context, kind, actions)| format!("{context}/{kind}.{actions}"))
    }

    fn scopes() -> impl Strategy<Value = String> {
        prop::collection::vec(scope(), 0..5).prop_map(|scopes| scopes.join(" "))
    }

    proptest! {
        #[test]
        fn the_granted_is_exactly_what_both_hold(asked in scopes(), most in scopes()) {
            let (asked, most) = (ScopeSet::parse(&asked), ScopeSet::parse(&most));
            let both = ScopeSet::granted(&asked, &most);
            for context in [Context::Patient, Context::User, Context::System] {
                for (_, action) in Actions::LETTERS {
                    for kind in Kind::all() {
                        let held = |set: &ScopeSet| set.kinds_at(context, action).has(kind);
                        prop_assert_eq!(held(&both), held(&asked) && held(&most));
                    }
                }
            }
        }

        #[test]
        fn the_text_says_what_is_granted(asked in scopes(), most in scopes()) {
            let both = ScopeSet::granted(&ScopeSet::parse(&asked), &ScopeSet::parse(&most));
            let (again, dropped) = ScopeSet::read(both.text());
            prop_assert!(dropped.is_empty());
            prop_assert_eq!(again.text(), both.text());
            for (_, action) in Actions::LETTERS {
                prop_assert_eq!(again.kinds(action), both.kinds(action));
            }
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".{0,80}") {
            let (set, _) = ScopeSet::read(&text);
            prop_assert!(ScopeSet::read(set.text()).1.is_empty());
        }
    }
}
