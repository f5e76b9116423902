//! Where a label belongs: to the whole record, or to an element that can go without the rest.

use crate::fhir::{Node, Path, Resource};

/// The place of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The record itself reveals it.
    Whole,
    /// Only this element does.
    Part(Path),
}

/// Lists whose entries can go one by one, per type. Where every entry of a *deciding* list is
/// labelled, the record as a whole is.
const LISTS: &[(&str, &[&str])] = &[
    (
        "Claim",
        &[
            "item",
            "diagnosis",
            "procedure",
            "supportingInfo",
            "careTeam",
            "contained",
        ],
    ),
    (
        "ExplanationOfBenefit",
        &[
            "item",
            "addItem",
            "diagnosis",
            "procedure",
            "supportingInfo",
            "careTeam",
            "contained",
            "processNote",
        ],
    ),
    ("Invoice", &["lineItem"]),
    ("Encounter", &["reasonCode", "reasonReference", "diagnosis"]),
    ("List", &["entry"]),
    ("Composition", &["section"]),
    ("CarePlan", &["activity", "addresses"]),
    (
        "CareTeam",
        &["participant", "reasonCode", "reasonReference"],
    ),
    ("EpisodeOfCare", &["diagnosis"]),
    ("Goal", &["addresses"]),
    ("DiagnosticReport", &["result"]),
];

/// The lists that decide whether a record is mixed at all.
const DECIDING: &[(&str, &[&str])] = &[
    ("Claim", &["item"]),
    ("ExplanationOfBenefit", &["item", "addItem"]),
    ("Invoice", &["lineItem"]),
    ("Encounter", &["reasonCode", "reasonReference", "diagnosis"]),
    ("List", &["entry"]),
    // What a plan, a team or a goal is there for decides, whatever it does about it.
    ("CarePlan", &["addresses"]),
    ("CareTeam", &["reasonCode", "reasonReference"]),
    ("EpisodeOfCare", &["diagnosis"]),
    ("Goal", &["addresses"]),
    ("DiagnosticReport", &["result"]),
];

/// Types of which no single element makes the whole record sensitive: who a person is, and what
/// they are covered by, stays known.
const NEVER_WHOLE: &[&str] = &["Patient", "Coverage", "RelatedPerson", "Person", "Group"];

fn lists(kind: &str, table: &'static [(&str, &[&str])]) -> &'static [&'static str] {
    table
        .iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, lists)| *lists)
        .unwrap_or_default()
}

/// Where a finding at `path` belongs.
pub fn of(resource: &Resource, path: &Path) -> Place {
    let kind = resource.kind().name();
    let Some(name) = first_name(resource.root(), path) else {
        return Place::Whole;
    };
    let listed = lists(kind, LISTS).contains(&name);
    if listed || NEVER_WHOLE.contains(&kind) {
        let in_list = resource
            .root()
            .get(name)
            .is_some_and(|node| !node.items().is_empty());
        return Place::Part(path.first(if in_list { 2 } else { 1 }));
    }
    Place::Whole
}

/// The name of the top-level element that `path` starts with.
pub fn first_name<'n>(root: &'n Node, path: &Path) -> Option<&'n str> {
    let at = usize::from(*path.0.first()?);
    root.members().get(at).map(|member| &*member.name)
}

/// The entries of the lists that decide whether the record is mixed.
pub fn deciding_entries(resource: &Resource) -> Vec<Path> {
    lists(resource.kind().name(), DECIDING)
        .iter()
        .flat_map(|name| {
            let items = resource
                .root()
                .get(name)
                .map(Node::items)
                .unwrap_or_default();
            (0..items.len()).filter_map(|item| Path::member(resource.root(), name, Some(item)))
        })
        .collect()
}

/// Whether no element of this type makes the whole record sensitive.
pub fn never_whole(resource: &Resource) -> bool {
    NEVER_WHOLE.contains(&resource.kind().name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_part_and_a_code_is_the_whole() {
        let eob = Resource::ours(
            r#"{"resourceType":"ExplanationOfBenefit","type":{"coding":[{"system":"s","code":"1"}]},"item":[{"sequence":1},{"productOrService":{"coding":[{"system":"s","code":"2"}]}}]}"#,
        )
        .unwrap();
        let codings = &eob.found().codings;
        assert_eq!(of(&eob, &codings[0].path), Place::Whole);
        let Place::Part(path) = of(&eob, &codings[1].path) else {
            panic!()
        };
        assert_eq!(path.words(eob.root()), "item[1]");
        assert_eq!(deciding_entries(&eob).len(), 2);
    }

    #[test]
    fn a_patient_is_never_hidden_whole() {
        let patient = Resource::ours(
            r#"{"resourceType":"Patient","extension":[{"url":"u","valueCodeableConcept":{"coding":[{"system":"s","code":"1"}]}}]}"#,
        )
        .unwrap();
        let Place::Part(path) = of(&patient, &patient.found().codings[0].path) else {
            panic!()
        };
        assert_eq!(path.words(patient.root()), "extension[0]");
        assert!(never_whole(&patient));
    }
}
