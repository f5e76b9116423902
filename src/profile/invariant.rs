//! The invariants of R4's types (`profiles/r4/invariants.tsv`): each compiled when a value of its type is
//! first met, then kept.

use crate::fhir::{
    Node,
    fhirpath::{self, Environment, Expression, Type},
    schema::{Element, OwnerId, SCHEMA},
};
use std::sync::{LazyLock, OnceLock};

/// All rules, by the type that they are about.
static RULES: LazyLock<Rules> =
    LazyLock::new(|| Rules::read(include_str!("../../profiles/r4/invariants.tsv")));

/// Held by code of their own, for they are asked of every reference, narrative or resource.
const NATIVE: [&str; 8] = [
    "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "ref-1", "txt-1", "txt-2",
];

struct Rules {
    /// By the place of the type among all types.
    of: Vec<Vec<Rule>>,
}

/// One invariant.
pub(super) struct Rule {
    /// The element that it is about; empty for the type itself.
    element: &'static str,
    /// HL7's name for it (`obs-7`).
    pub(super) key: &'static str,
    /// Whether breaking it refuses.
    pub(super) error: bool,
    /// What must hold, in HL7's words.
    pub(super) human: &'static str,
    condition: Condition,
}

/// A text that is compiled when it is first evaluated.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    text: Box<str>,
    compiled: OnceLock<Option<Expression>>,
}

impl Rules {
    fn read(table: &'static str) -> Rules {
        let mut rules = Rules { of: Vec::new() };
        for row in table.lines().filter(|row| !row.starts_with('#')) {
            let row: Vec<&'static str> = row.split('\t').collect();
            let [owner, element, key, severity, expression, human] = row[..] else {
                continue;
            };
            let Some(owner) = SCHEMA.named(owner).filter(|_| !NATIVE.contains(&key)) else {
                continue;
            };
            let missing = (owner.index() + 1).saturating_sub(rules.of.len());
            rules.of.extend((0..missing).map(|_| Vec::new()));
            if let Some(of) = rules.of.get_mut(owner.index()) {
                of.push(Rule {
                    element,
                    key,
                    error: severity == "error",
                    human,
                    condition: Condition::new(expression),
                });
            }
        }
        rules
    }
}

/// The rules about values of a type.
pub(super) fn of_type(owner: OwnerId) -> impl Iterator<Item = &'static Rule> {
    let rules = RULES.of.get(owner.index()).map_or(&[][..], Vec::as_slice);
    rules.iter().filter(|rule| rule.element.is_empty())
}

/// The rules about an element of a type.
pub(super) fn of_element(owner: OwnerId, element: &Element) -> impl Iterator<Item = &'static Rule> {
    let (name, choice) = (element.name, element.choice);
    let rules = RULES.of.get(owner.index()).map_or(&[][..], Vec::as_slice);
    rules
        .iter()
        .filter(move |rule| rule.element == name || Some(rule.element) == choice)
}

impl Rule {
    /// Whether it holds of a value; `None` where that can't be told here.
    pub(super) fn holds<'n>(&'n self, value: Value<'n>) -> Option<bool> {
        self.condition.holds(value)
    }
}

/// A value in its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'n> {
    pub(super) node: &'n Node,
    /// `_name` of a primitive.
    pub(super) extra: Option<&'n Node>,
    pub(super) kind: Type,
    /// `%resource`: contained ones are resources of their own.
    pub(super) resource: &'n Node,
    /// `%rootResource`: what contains them.
    pub(super) root: &'n Node,
}

impl Condition {
    pub(super) fn new(text: &str) -> Condition {
        Condition {
            text: text.into(),
            compiled: OnceLock::new(),
        }
    }

    /// Whether it holds of a value; `None` where that can't be told here: an expression that is no
    /// FHIRPath, or asks what lies outside. What is empty holds.
    pub(super) fn holds<'n>(&'n self, value: Value<'n>) -> Option<bool> {
        let compiled = self
            .compiled
            .get_or_init(|| Expression::compile(&self.text).ok());
        let element = fhirpath::Element::of(Some(value.node), value.extra, value.kind)?;
        let environment = Environment::of(value.root)
            .within(value.resource)
            .at(element);
        let told = compiled.as_ref()?.test(&environment).ok()?;
        Some(told.unwrap_or(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_rule_of_a_type_that_exists_and_compiles() {
        let table = include_str!("../../profiles/r4/invariants.tsv");
        let rows = table.lines().filter(|row| !row.starts_with('#'));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('\t').collect()).collect();
        let native = rows.iter().filter(|row| NATIVE.contains(&row[2])).count();
        let read: usize = RULES.of.iter().map(Vec::len).sum();
        assert_eq!(read + native, rows.len());
        for row in rows {
            let owner = SCHEMA.named(row[0]);
            assert!(owner.is_some() || row[0] == "DomainResource", "{row:?}");
            assert!(Expression::compile(row[4]).is_ok(), "{row:?}");
        }
    }

    #[test]
    fn consents_name_a_patient_where_their_scope_needs_one() {
        let consent = SCHEMA.named("Consent").unwrap();
        for key in ["ppc-2", "ppc-3", "ppc-4", "ppc-5"] {
            let rule = of_type(consent).find(|rule| rule.key == key).unwrap();
            assert!(rule.condition.text.contains("CodeSystem/consentscope"));
        }
    }
}
