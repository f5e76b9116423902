//! Who may write which types (`profiles/writers.toml`; SEMANTICS section 3).

use crate::fhir::Kind;
use serde::Deserialize;
use std::sync::LazyLock;

/// The table, read once.
pub static WRITERS: LazyLock<Writers> = LazyLock::new(|| {
    toml::from_str(include_str!("../../profiles/writers.toml")).unwrap_or_default()
});

/// The rows, in order.
#[derive(Debug, Default, Deserialize)]
pub struct Writers {
    row: Vec<Row>,
}

/// One row: the first that names a type decides.
#[derive(Debug, Deserialize)]
pub struct Row {
    types: Vec<String>,
    roles: Vec<String>,
    members: Option<Members>,
    /// Where it is decided.
    pub source: String,
}

/// What members may write, besides the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Members {
    /// About themselves.
    Own,
}

impl Writers {
    /// The row of a type; none means that nobody writes it.
    pub fn row(&self, kind: Kind) -> Option<&Row> {
        self.row.iter().find(|row| {
            row.types
                .iter()
                .any(|name| name == kind.name() || name == "*")
        })
    }
}

impl Row {
    /// Whether nobody writes such records over HTTP.
    pub fn is_closed(&self) -> bool {
        self.roles.is_empty() && self.members.is_none()
    }

    /// Whether a role may write.
    pub fn allows(&self, role: &str) -> bool {
        self.roles.iter().any(|named| named == role)
    }

    /// What members may write.
    pub fn members(&self) -> Option<Members> {
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gives_themselves_a_relation() {
        let may = |kind: &str, role: &str| {
            WRITERS
                .row(Kind::named(kind).unwrap())
                .unwrap()
                .allows(role)
        };
        assert!(may("Observation", "provider") && may("Coverage", "staff"));
        for kind in [
            "Coverage",
            "RelatedPerson",
            "Group",
            "Patient",
            "Organization",
            "Person",
        ] {
            for role in [
                "app",
                "provider",
                "plan",
                "auditor",
                "operator",
                "privacy-office",
            ] {
                assert!(!may(kind, role), "{role} {kind}");
            }
        }
        for kind in ["Bundle", "OperationOutcome", "Parameters"] {
            assert!(WRITERS.row(Kind::named(kind).unwrap()).unwrap().is_closed());
            assert!(!may(kind, "staff") && !may(kind, "provider"));
        }
        assert!(!may("Observation", "plan") && !may("Consent", "plan"));
        assert_eq!(
            WRITERS
                .row(Kind::named("Consent").unwrap())
                .unwrap()
                .members(),
            Some(Members::Own)
        );
    }

    #[test]
    fn every_named_type_exists() {
        for name in WRITERS
            .row
            .iter()
            .flat_map(|row| &row.types)
            .filter(|name| *name != "*")
        {
            assert!(Kind::named(name).is_some(), "{name}");
        }
    }
}
