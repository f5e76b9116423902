//! Which references hand labels on, and to what: the record, an entry, or only the reference.

use super::{Marks, place};
use crate::{
    fhir::{Key, Path, Resource, Target},
    statute::Labels,
};

/// What a reference at a place does with its target's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hop {
    /// The record takes over what the target as a whole reveals.
    Whole,
    /// The record takes over all that the target and its parts reveal.
    WholeWithParts,
    /// The entry that holds the reference takes it over.
    Entry(Path),
    /// Nothing is taken over; the reference itself is a part.
    Reference,
}

/// Elements whose target's labels the record takes over, per type; `*` is any type.
const WHOLE: &[(&str, &str)] = &[
    ("*", "encounter"),
    ("*", "context"),
    // Why it was done, what ordered it, what it is a step of: the same said by a code hides it too.
    ("*", "reasonReference"),
    ("*", "basedOn"),
    ("*", "partOf"),
    ("Encounter", "appointment"),
    ("Specimen", "request"),
    ("Specimen", "parent"),
    ("ExplanationOfBenefit", "claim"),
    ("ExplanationOfBenefit", "claimResponse"),
    ("ExplanationOfBenefit", "prescription"),
    ("ExplanationOfBenefit", "originalPrescription"),
    ("Claim", "prescription"),
    ("Claim", "originalPrescription"),
    ("MedicationDispense", "authorizingPrescription"),
    ("MedicationAdministration", "request"),
    ("MedicationRequest", "medicationReference"),
    ("MedicationDispense", "medicationReference"),
    ("MedicationAdministration", "medicationReference"),
    ("MedicationStatement", "medicationReference"),
    ("ImagingStudy", "procedureReference"),
    ("DetectedIssue", "implicated"),
    ("Invoice", "account"),
];

/// Elements that speak about all that their target says.
const WITH_PARTS: &[(&str, &str)] = &[
    ("Communication", "about"),
    ("Communication", "basedOn"),
    ("Communication", "inResponseTo"),
    ("Communication", "reasonReference"),
    ("Communication", "payload"),
    ("CommunicationRequest", "about"),
    ("CommunicationRequest", "basedOn"),
    ("CommunicationRequest", "reasonReference"),
    ("CommunicationRequest", "payload"),
    ("ClaimResponse", "request"),
    ("Task", "focus"),
    ("Task", "reasonReference"),
    ("Provenance", "target"),
    ("PaymentNotice", "request"),
    ("PaymentReconciliation", "detail"),
];

/// Lists whose entry takes the labels over.
const ENTRIES: &[(&str, &str)] = &[
    ("Claim", "item"),
    ("Claim", "diagnosis"),
    ("Claim", "procedure"),
    ("Claim", "supportingInfo"),
    ("ExplanationOfBenefit", "item"),
    ("ExplanationOfBenefit", "addItem"),
    ("ExplanationOfBenefit", "diagnosis"),
    ("ExplanationOfBenefit", "procedure"),
    ("ExplanationOfBenefit", "supportingInfo"),
    ("Encounter", "diagnosis"),
    ("Encounter", "reasonReference"),
    ("DiagnosticReport", "result"),
    ("List", "entry"),
    ("CarePlan", "activity"),
    ("CarePlan", "addresses"),
    ("CareTeam", "reasonReference"),
    ("EpisodeOfCare", "diagnosis"),
    ("Goal", "addresses"),
    ("Composition", "section"),
];

/// Elements by which a facility authors or serves a record: its regime is taken over.
const SERVES: &[&str] = &[
    "serviceProvider",
    "managingOrganization",
    "custodian",
    "provider",
    "performer",
    "author",
    "requester",
    "recorder",
    "asserter",
    "source",
    "sender",
    "facility",
    "serviceType",
    "location",
    "organization",
    "careManager",
    "informationSource",
];

fn named(table: &[(&str, &str)], kind: &str, name: &str) -> bool {
    table
        .iter()
        .any(|(k, n)| (*k == "*" || *k == kind) && *n == name)
}

/// What the reference at `path` does.
pub fn hop(resource: &Resource, path: &Path) -> Hop {
    let kind = resource.kind().name();
    let Some(name) = place::first_name(resource.root(), path) else {
        return Hop::Reference;
    };
    if name == "contained" {
        return in_contained(resource, path);
    }
    if named(WITH_PARTS, kind, name) {
        return Hop::WholeWithParts;
    }
    if named(ENTRIES, kind, name) {
        return Hop::Entry(path.first(2));
    }
    // `context` is an Encounter only for some types; for a DocumentReference it holds `encounter`.
    let to_encounter = path
        .words(resource.root())
        .split(['.', '['])
        .any(|step| step == "encounter");
    if named(WHOLE, kind, name) && (name != "context" || to_encounter || resource_context(resource))
    {
        return Hop::Whole;
    }
    Hop::Reference
}

/// What a record takes over of its target, and whether that is a psychotherapy note: an order or a
/// medicine for what a note says is no note itself (45 CFR 164.501), only its pointing there is hidden.
pub(super) fn handed_on(target: Marks) -> (Marks, bool) {
    let notes = Labels::PSYCHOTHERAPY_NOTE.and(Labels::NOTE_UNRELEASED);
    let rest = Marks {
        labels: target.labels.without(notes),
        protected: target.protected.without(notes),
        ..target
    };
    (rest, target.labels.meets(notes))
}

/// A contained resource takes over what it would if it stood alone, and hands it to its place.
fn in_contained(resource: &Resource, path: &Path) -> Hop {
    let item = path.first(2);
    let inner = item.node(resource.root()).and_then(|node| {
        let at = usize::from(*path.0.get(2)?);
        Some((node.text("resourceType")?, &*node.members().get(at)?.name))
    });
    let takes_over = inner.is_some_and(|(kind, name)| {
        [WHOLE, WITH_PARTS, ENTRIES]
            .iter()
            .any(|table| named(table, kind, name))
    });
    match (takes_over, place::of(resource, path)) {
        (false, _) => Hop::Reference,
        (true, place::Place::Part(path)) => Hop::Entry(path),
        (true, place::Place::Whole) => Hop::Whole,
    }
}

fn resource_context(resource: &Resource) -> bool {
    resource.root().at(&["context", "reference"]).is_some()
}

/// Whether the reference at `path` names who authored or served the record.
pub fn serves(resource: &Resource, path: &Path) -> bool {
    place::first_name(resource.root(), path).is_some_and(|name| SERVES.contains(&name))
}

/// The Encounters that a record says it happened in.
pub fn encounters(resource: &Resource) -> Vec<Key> {
    resource
        .found()
        .references
        .iter()
        .filter_map(|reference| match &reference.target {
            Target::Local(key) if key.kind.name() == "Encounter" => Some(key.clone()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(text: &str) -> Vec<Hop> {
        let resource = Resource::ours(text.to_owned()).unwrap();
        let references = &resource.found().references;
        references
            .iter()
            .map(|reference| hop(&resource, &reference.path))
            .collect()
    }

    #[test]
    fn an_event_takes_over_its_encounter_and_a_letter_what_it_is_about() {
        assert_eq!(
            hops(
                r#"{"resourceType":"Condition","subject":{"reference":"Patient/p"},"encounter":{"reference":"Encounter/e"}}"#
            ),
            [Hop::Reference, Hop::Whole]
        );
        assert_eq!(
            hops(
                r#"{"resourceType":"Communication","about":[{"reference":"ExplanationOfBenefit/e"}]}"#
            ),
            [Hop::WholeWithParts]
        );
        assert_eq!(
            hops(
                r#"{"resourceType":"DocumentReference","context":{"encounter":[{"reference":"Encounter/e"}],"related":[{"reference":"Condition/c"}]}}"#
            ),
            [Hop::Whole, Hop::Reference]
        );
    }

    #[test]
    fn a_reason_counts_the_same_by_reference_as_by_code() {
        for text in [
            r#"{"resourceType":"MedicationRequest","reasonReference":[{"reference":"Condition/c"}]}"#,
            r#"{"resourceType":"Appointment","reasonReference":[{"reference":"Condition/c"}]}"#,
            r#"{"resourceType":"Observation","basedOn":[{"reference":"ServiceRequest/s"}]}"#,
            r#"{"resourceType":"Procedure","partOf":[{"reference":"Procedure/p"}]}"#,
            r#"{"resourceType":"Specimen","request":[{"reference":"ServiceRequest/s"}]}"#,
        ] {
            assert_eq!(hops(text), [Hop::Whole], "{text}");
        }
        for text in [
            r#"{"resourceType":"Encounter","reasonReference":[{"reference":"Condition/c"}]}"#,
            r#"{"resourceType":"CareTeam","reasonReference":[{"reference":"Condition/c"}]}"#,
            r#"{"resourceType":"EpisodeOfCare","diagnosis":[{"condition":{"reference":"Condition/c"}}]}"#,
            r#"{"resourceType":"Goal","addresses":[{"reference":"Condition/c"}]}"#,
        ] {
            assert!(matches!(&hops(text)[..], [Hop::Entry(_)]), "{text}");
        }
        assert_eq!(
            hops(
                r#"{"resourceType":"PaymentReconciliation","detail":[{"request":{"reference":"Claim/c"}}]}"#
            ),
            [Hop::WholeWithParts]
        );
    }

    #[test]
    fn a_contained_record_takes_over_what_it_would_alone() {
        let within = |kind: &str| {
            hops(&format!(
                r#"{{"resourceType":"{kind}","contained":[{{"resourceType":"Observation","id":"o","encounter":{{"reference":"Encounter/e"}},"performer":[{{"reference":"Organization/o"}}]}}]}}"#
            ))
        };
        assert_eq!(within("DiagnosticReport"), [Hop::Whole, Hop::Reference]);
        let claim = within("Claim");
        assert!(matches!(&claim[..], [Hop::Entry(path), Hop::Reference] if path.0.len() == 2));
    }

    #[test]
    fn a_line_takes_over_its_encounter() {
        let found = hops(
            r#"{"resourceType":"Claim","item":[{"sequence":1},{"encounter":[{"reference":"Encounter/e"}]}]}"#,
        );
        assert!(matches!(&found[..], [Hop::Entry(path)] if path.0.len() == 2));
    }
}
