//! The rows beside a record from which relations are derived: coverage, authority, links, flags,
//! grants, memberships. Pure: from one resource to rows.

use crate::{
    calendar,
    fhir::{
        CODE_SYSTEM, Interval, Key, Kind, Kinds, Node, Resource,
        resource::{extension, nodes},
    },
    policy::Authority,
    statute::{Purpose, necessary::NECESSARY},
};

/// A row that a record puts beside itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From Coverage.
    Coverage {
        /// Who is covered.
        beneficiary: Key,
        /// Whose policy it is.
        subscriber: Option<Key>,
        /// One row a payor.
        payor: Option<Key>,
        /// Whether its status is active.
        active: bool,
        /// Its period.
        period: Interval,
    },
    /// From RelatedPerson with our extension.
    Authority {
        /// The represented.
        patient: Key,
        /// What it rests on.
        kind: Box<str>,
        /// Its period.
        period: Interval,
    },
    /// From Patient.link and Person.link: both name one person.
    Link {
        /// One name.
        one: Key,
        /// Another.
        other: Key,
    },
    /// From Flag.
    Flag {
        /// The member.
        patient: Key,
        /// Its code in `member-flag`.
        code: Box<str>,
        /// Who is suspected.
        suspect: Option<Key>,
        /// Its period.
        period: Interval,
    },
    /// From Task `emr-access`, accepted or in progress.
    Grant {
        /// The plan.
        requester: Key,
        /// The Group or Patient that it reaches.
        reach: Key,
        /// Bits of [`Purpose::bit`].
        purposes: u32,
        /// The types of its data classes; all where it names none.
        kinds: Kinds,
        /// Its period.
        period: Interval,
    },
    /// From Group.member.
    Member {
        /// The member.
        patient: Key,
        /// Since when, until when.
        period: Interval,
    },
    /// From Task `psychotherapy-information-request`, completed.
    PsychotherapyRequest {
        /// The member.
        patient: Key,
        /// The plan.
        requester: Key,
    },
    /// From Organization.partOf.
    PartOf(Key),
    /// From Patient.managingOrganization.
    Managed(Key),
}

/// The types that put rows beside themselves.
const TELLING: &[&str] = &[
    "Coverage",
    "RelatedPerson",
    "Patient",
    "Person",
    "Flag",
    "Task",
    "Group",
    "Organization",
];

/// Whether a record of this type may put rows beside itself.
pub fn tells(kind: Kind) -> bool {
    TELLING.contains(&kind.name())
}

/// The rows of one resource. One that says in a modifier extension, which nobody here understands,
/// that it means something else gives nobody anything.
pub fn sources(resource: &Resource) -> Vec<Source> {
    const GIVING: [&str; 4] = ["RelatedPerson", "Person", "Task", "Group"];
    if !tells(resource.kind()) {
        return Vec::new();
    }
    let modified = !resource.nodes("modifierExtension").is_empty();
    if modified && GIVING.contains(&resource.kind().name()) {
        return Vec::new();
    }
    match resource.kind().name() {
        "Coverage" => coverage(resource),
        "RelatedPerson" => authority(resource).into_iter().collect(),
        "Patient" => patient(resource),
        "Person" => person(resource),
        "Flag" => flags(resource),
        "Task" => task(resource),
        "Group" => members(resource),
        "Organization" => resource
            .keys("partOf")
            .into_iter()
            .map(Source::PartOf)
            .collect(),
        _ => Vec::new(),
    }
}

fn period(node: Option<&Node>) -> Interval {
    let Some(node) = node else {
        return Interval::ALWAYS;
    };
    // A period that can't be read holds at no time.
    Interval::of_period(node.text("start"), node.text("end"), &calendar::zone()).unwrap_or(
        Interval {
            start: i64::MAX,
            end: i64::MIN,
        },
    )
}

fn coverage(resource: &Resource) -> Vec<Source> {
    let status = resource.string("status");
    if matches!(status, None | Some("entered-in-error" | "draft")) {
        return Vec::new();
    }
    let subscriber = resource
        .keys("subscriber")
        .into_iter()
        .find(|key| ["Patient", "RelatedPerson"].contains(&key.kind.name()));
    let mut payors: Vec<Option<Key>> = resource.keys("payor").into_iter().map(Some).collect();
    if payors.is_empty() {
        payors.push(None);
    }
    let period = period(resource.root().get("period"));
    let rows = resource
        .keys("beneficiary")
        .into_iter()
        .flat_map(|beneficiary| {
            let subscriber = subscriber.clone();
            payors.iter().map(move |payor| Source::Coverage {
                beneficiary: beneficiary.clone(),
                subscriber: subscriber.clone(),
                payor: payor.clone(),
                active: status == Some("active"),
                period,
            })
        });
    rows.collect()
}

/// A relationship code alone gives nothing: kind, verifier, date and evidence must all be there.
fn authority(resource: &Resource) -> Option<Source> {
    let root = resource.root();
    if root.get("active").and_then(Node::bool) == Some(false) {
        return None;
    }
    let ours = extension(root, "representative-authority")?;
    let value = |name: &str| {
        extension(ours, name)?
            .members()
            .iter()
            .find(|member| member.name.starts_with("value"))
            .map(|member| &member.node)
    };
    let kind = value("kind").and_then(Node::str)?;
    Authority::named(kind)?;
    value("verifiedBy")?.text("reference")?;
    value("date").and_then(Node::str)?;
    value("evidence")?;
    Some(Source::Authority {
        patient: resource.keys("patient").into_iter().next()?,
        kind: kind.into(),
        period: period(root.get("period")),
    })
}

fn patient(resource: &Resource) -> Vec<Source> {
    let mut rows: Vec<Source> = resource
        .keys("managingOrganization")
        .into_iter()
        .map(Source::Managed)
        .collect();
    if let Some(one) = resource.key() {
        rows.extend(
            resource
                .keys("link.other")
                .into_iter()
                .map(|other| Source::Link {
                    one: one.clone(),
                    other,
                }),
        );
    }
    rows
}

fn person(resource: &Resource) -> Vec<Source> {
    let targets = nodes(resource.root(), "link")
        .into_iter()
        .filter(|link| matches!(link.text("assurance"), Some("level3" | "level4")))
        .filter_map(|link| link.at(&["target", "reference"]).and_then(Node::str))
        .filter_map(Key::parse);
    // A Person may be who a token names.
    let keys: Vec<Key> = targets.chain(resource.key()).collect();
    let pairs = keys
        .iter()
        .flat_map(|one| keys.iter().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| one < other)
        .map(|(one, other)| Source::Link {
            one: one.clone(),
            other: other.clone(),
        })
        .collect()
}

fn our_codes<'r>(resource: &'r Resource, system: &str) -> Vec<&'r str> {
    resource
        .nodes("code.coding")
        .into_iter()
        .filter(|coding| {
            coding
                .text("system")
                .is_some_and(|s| s.strip_prefix(CODE_SYSTEM) == Some(system))
        })
        .filter_map(|coding| coding.text("code"))
        .collect()
}

fn flags(resource: &Resource) -> Vec<Source> {
    if resource.string("status") != Some("active") {
        return Vec::new();
    }
    let by = |node: &Node| {
        let named = node.text("url")?.strip_prefix(crate::fhir::EXTENSION) == Some("by");
        let reference = node.get("valueReference").filter(|_| named)?;
        reference.text("reference").and_then(Key::parse)
    };
    let mut suspects: Vec<Option<Key>> = resource
        .nodes("extension")
        .into_iter()
        .filter_map(by)
        .map(Some)
        .collect();
    if suspects.is_empty() {
        suspects.push(None);
    }
    let period = period(resource.root().get("period"));
    let mut rows = Vec::new();
    for patient in resource.keys("subject") {
        for code in our_codes(resource, "member-flag") {
            rows.extend(suspects.iter().map(|suspect| Source::Flag {
                patient: patient.clone(),
                code: code.into(),
                suspect: suspect.clone(),
                period,
            }));
        }
    }
    rows
}

fn task(resource: &Resource) -> Vec<Source> {
    let status = resource.string("status");
    let Some(requester) = resource.keys("requester").into_iter().next() else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for code in our_codes(resource, "task-code") {
        match (code, status) {
            ("emr-access", Some("accepted" | "in-progress")) => {
                rows.extend(grants(resource, &requester))
            }
            ("psychotherapy-information-request", Some("completed")) => {
                rows.extend(resource.keys("for").into_iter().map(|patient| {
                    Source::PsychotherapyRequest {
                        patient,
                        requester: requester.clone(),
                    }
                }));
            }
            _ => {}
        }
    }
    rows
}

/// A grant without a purpose or without an end gives nothing.
fn grants(resource: &Resource, requester: &Key) -> Vec<Source> {
    let restriction = resource.root().at(&["restriction", "period"]);
    if restriction.is_none_or(|period| period.get("end").is_none()) {
        return Vec::new();
    }
    let inputs = |name: &str| -> Vec<&str> { inputs(resource, name) };
    let purposes = inputs("purpose")
        .into_iter()
        .filter_map(Purpose::parse)
        .fold(0, |bits, purpose| bits | purpose.bit());
    let classes = inputs("data-class");
    let kinds = if classes.is_empty() {
        Kinds::ALL
    } else {
        let of_class = |kinds: Kinds, class: &str| kinds.either(NECESSARY.class(class));
        classes.into_iter().fold(Kinds::NONE, of_class)
    };
    if purposes == 0 {
        return Vec::new();
    }
    ["focus", "for"]
        .iter()
        .flat_map(|path| resource.keys(path))
        .filter(|key| ["Group", "Patient"].contains(&key.kind.name()))
        .map(|reach| Source::Grant {
            requester: requester.clone(),
            reach,
            purposes,
            kinds,
            period: period(restriction),
        })
        .collect()
}

/// The codes of a Task's inputs of one type.
fn inputs<'r>(resource: &'r Resource, name: &str) -> Vec<&'r str> {
    let is_of = |input: &&Node| {
        let types = nodes(input, "type.coding");
        types.iter().any(|coding| coding.text("code") == Some(name))
    };
    let code = |input: &'r Node| {
        let concept = nodes(input, "valueCodeableConcept.coding").first().copied();
        let coding = input.get("valueCoding").or(concept);
        coding
            .and_then(|coding| coding.text("code"))
            .or_else(|| input.text("valueCode"))
    };
    resource
        .nodes("input")
        .into_iter()
        .filter(is_of)
        .filter_map(code)
        .collect()
}

/// The members of a Group that is in use.
fn members(resource: &Resource) -> Vec<Source> {
    if resource.root().get("active").and_then(Node::bool) == Some(false) {
        return Vec::new();
    }
    resource
        .nodes("member")
        .into_iter()
        .filter(|member| member.get("inactive").and_then(Node::bool) != Some(true))
        .filter_map(|member| {
            let key = member
                .at(&["entity", "reference"])
                .and_then(Node::str)
                .and_then(Key::parse)?;
            (key.kind.name() == "Patient").then(|| Source::Member {
                patient: key,
                period: period(member.get("period")),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Source> {
        sources(&Resource::ours(text.to_owned()).unwrap())
    }

    #[test]
    fn a_relationship_code_alone_gives_no_authority() {
        let without = r#"{"resourceType":"RelatedPerson","active":true,"patient":{"reference":"Patient/p"},"relationship":[{"coding":[{"code":"MTH"}]}]}"#;
        assert!(rows(without).is_empty());
        let with = r#"{"resourceType":"RelatedPerson","active":true,"patient":{"reference":"Patient/p"},"extension":[{"url":"https://confide.example/fhir/StructureDefinition/representative-authority","extension":[{"url":"kind","valueCode":"parent"},{"url":"verifiedBy","valueReference":{"reference":"Practitioner/s"}},{"url":"date","valueDate":"2026-01-01"},{"url":"evidence","valueString":"seen"}]}]}"#;
        assert!(matches!(&rows(with)[..], [Source::Authority { .. }]));
        assert!(rows(&with.replace("verifiedBy", "saidBy")).is_empty());
        assert!(rows(&with.replace("\"active\":true", "\"active\":false")).is_empty());
    }

    #[test]
    fn a_person_is_one_with_whom_it_surely_links() {
        let person = r#"{"resourceType":"Person","id":"me","link":[{"target":{"reference":"Patient/p"},"assurance":"level3"},{"target":{"reference":"Practitioner/d"},"assurance":"level2"}]}"#;
        let key = |text| Key::parse(text).unwrap();
        let link = Source::Link {
            one: key("Patient/p"),
            other: key("Person/me"),
        };
        assert_eq!(rows(person), [link]);
    }

    #[test]
    fn a_grant_needs_a_purpose_an_end_and_acceptance() {
        let task = r#"{"resourceType":"Task","status":"accepted","code":{"coding":[{"system":"https://confide.example/fhir/CodeSystem/task-code","code":"emr-access"}]},"focus":{"reference":"Group/g"},"requester":{"reference":"Organization/plan"},"restriction":{"period":{"end":"2027-12-31"}},"input":[{"type":{"coding":[{"code":"purpose"}]},"valueCoding":{"code":"COC"}}]}"#;
        assert_eq!(rows(task).len(), 1);
        for (from, to) in [
            ("accepted", "requested"),
            ("\"end\":\"2027-12-31\"", "\"start\":\"2026-01-01\""),
            ("COC", "CAREMGT"),
        ] {
            assert!(rows(&task.replace(from, to)).is_empty(), "{to}");
        }
    }

    #[test]
    fn a_group_out_of_use_and_what_is_modified_give_nothing() {
        let group = r#"{"resourceType":"Group","active":true,"member":[{"entity":{"reference":"Patient/p"}}]}"#;
        assert_eq!(rows(group).len(), 1);
        assert!(rows(&group.replace("true", "false")).is_empty());
        let modified = r#""active":true,"modifierExtension":[{"url":"http://example.org/not","valueBoolean":true}]"#;
        assert!(rows(&group.replace("\"active\":true", modified)).is_empty());
    }

    #[test]
    fn an_organization_is_never_a_subscriber() {
        let found = rows(
            r#"{"resourceType":"Coverage","status":"active","subscriber":{"reference":"Organization/o"},"beneficiary":{"reference":"Patient/p"},"payor":[{"reference":"Organization/plan"}]}"#,
        );
        assert!(matches!(
            &found[..],
            [Source::Coverage {
                subscriber: None,
                active: true,
                ..
            }]
        ));
    }
}
