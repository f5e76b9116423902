//! The minimum necessary of an access grant (`profiles/minimum-necessary.toml`; 45 CFR 164.514(d)).

use super::{Labels, Purpose};
use crate::fhir::{Kind, Kinds};
use serde::Deserialize;
use std::{collections::HashMap, sync::LazyLock};

/// The table, read once.
pub static NECESSARY: LazyLock<Necessary> = LazyLock::new(|| {
    Necessary::read(include_str!("../../profiles/minimum-necessary.toml")).unwrap_or_default()
});

/// What a plan may pull, per purpose, and what stops it whatever the purpose.
#[derive(Debug, Default)]
pub struct Necessary {
    kinds: HashMap<Purpose, Kinds>,
    classes: HashMap<String, Kinds>,
    /// Classes that never go.
    pub never: Labels,
    /// Classes that go only with something that names them.
    pub needs: Vec<(Labels, LiftedBy)>,
    /// Classes that do not leave the state.
    pub out_of_state: Vec<OutOfState>,
}

/// What lifts a bar of step 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LiftedBy {
    /// The member's written authorization.
    Authorization,
    /// A consent under 42 CFR 2.31.
    Part2Consent,
    /// The plan's written request (Civ. 56.104).
    PsychotherapyInformationRequest,
}

/// A class that does not go to a requester from another state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfState {
    /// The class.
    pub labels: Labels,
    /// Purposes for which the minimum may go all the same.
    pub except: Vec<Purpose>,
    /// Whether an authorization that names it lifts the bar.
    pub authorized: bool,
}

#[derive(Deserialize)]
struct Table {
    class: HashMap<String, Vec<String>>,
    purpose: HashMap<String, PurposeRow>,
    never: Vec<NeverRow>,
    needs: Vec<NeedsRow>,
    out_of_state: Vec<StateRow>,
}

#[derive(Deserialize)]
struct PurposeRow {
    types: Vec<String>,
}

#[derive(Deserialize)]
struct NeverRow {
    label: String,
}

#[derive(Deserialize)]
struct NeedsRow {
    label: String,
    lifted_by: LiftedBy,
}

#[derive(Deserialize)]
struct StateRow {
    label: String,
    except: Vec<String>,
    authorized: bool,
}

impl Necessary {
    fn read(text: &str) -> Result<Necessary, toml::de::Error> {
        let table: Table = toml::from_str(text)?;
        let label = |name: &str| Labels::named(name).unwrap_or(Labels::ALL);
        Ok(Necessary {
            kinds: table
                .purpose
                .iter()
                .filter_map(|(code, row)| {
                    let kinds = row
                        .types
                        .iter()
                        .filter_map(|name| Kind::named(name))
                        .collect();
                    Some((Purpose::parse(code)?, kinds))
                })
                .collect(),
            classes: table
                .class
                .iter()
                .map(|(class, names)| {
                    let kinds = names.iter().filter_map(|name| Kind::named(name)).collect();
                    (class.clone(), kinds)
                })
                .collect(),
            never: table.never.iter().map(|row| label(&row.label)).collect(),
            needs: table
                .needs
                .iter()
                .map(|row| (label(&row.label), row.lifted_by))
                .collect(),
            out_of_state: table
                .out_of_state
                .iter()
                .map(|row| OutOfState {
                    labels: label(&row.label),
                    except: row
                        .except
                        .iter()
                        .filter_map(|code| Purpose::parse(code))
                        .collect(),
                    authorized: row.authorized,
                })
                .collect(),
        })
    }

    /// The types of a grant's data class; none for one that is not known.
    pub fn class(&self, class: &str) -> Kinds {
        self.classes.get(class).copied().unwrap_or(Kinds::NONE)
    }

    /// The types that a plan may pull for `purpose`.
    pub fn kinds(&self, purpose: Purpose) -> Kinds {
        self.kinds.get(&purpose).copied().unwrap_or(Kinds::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_emr_1_each_of_the_three_purposes_has_its_own_least() {
        let has = |purpose, kind| NECESSARY.kinds(purpose).has(Kind::named(kind).unwrap());
        assert!(has(Purpose::Coc, "CarePlan"));
        assert!(!has(Purpose::Hdm, "CarePlan"));
        assert!(has(Purpose::Hqualimp, "Immunization"));
        assert!(NECESSARY.kinds(Purpose::Treat).is_empty());
        for purpose in [
            Purpose::Coc,
            Purpose::Hdm,
            Purpose::Hqualimp,
            Purpose::Perfmsr,
        ] {
            assert!(
                !has(purpose, "Claim"),
                "{purpose}: the plan has its own claims"
            );
        }
    }

    #[test]
    fn what_stops_a_plan_whatever_the_purpose_is_read() {
        assert!(
            NECESSARY
                .never
                .holds(Labels::PSYCHOTHERAPY_NOTE.and(Labels::SELF_PAID))
        );
        assert!(
            NECESSARY
                .needs
                .contains(&(Labels::HIV_TEST_RESULT, LiftedBy::Authorization))
        );
        assert!(NECESSARY.needs.contains(&(
            Labels::OUTPATIENT_PSYCHOTHERAPY,
            LiftedBy::PsychotherapyInformationRequest
        )));
        assert_eq!(NECESSARY.out_of_state.len(), 3);
    }
}
