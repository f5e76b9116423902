//! What a search leaves out of records because it was asked to: `_elements` and `_summary`
//! (<https://hl7.org/fhir/R4/search.html#elements>). It only ever takes away from what is shown anyway.

use crate::fhir::{
    Node, Path, Resource,
    cut::Edits,
    json::Value,
    schema::{Owner, OwnerId, SCHEMA, Shape},
};
use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// What is kept. Mandatory elements, `id` and `meta` always are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trim {
    /// These elements.
    Elements(Vec<&'static str>),
    /// The elements that R4 marks as its summary, at every depth.
    Summary,
    /// The narrative.
    Text,
    /// All but the narrative.
    Data,
}

const SUBSETTED: &[u8] =
    br#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// The elements of each type's summary, a choice by its group.
static SUMMARY: LazyLock<HashMap<OwnerId, HashSet<&'static str>>> = LazyLock::new(|| {
    let rows = include_str!("../../profiles/r4/summary.tsv").lines();
    let rows = rows.filter(|line| !line.starts_with('#'));
    rows.filter_map(|row| {
        let (owner, names) = row.split_once('\t')?;
        Some((SCHEMA.named(owner)?, names.split(',').collect()))
    })
    .collect()
});

/// The resource with less; with the tag that says so where `tagged`.
pub fn trim(resource: &Resource, trim: &Trim, tagged: bool) -> Option<Resource> {
    let root = resource.root();
    let owner = SCHEMA.resource(resource.kind())?;
    let mut edits = Edits::none();
    object(root, owner, trim, &Path::default(), &mut edits);
    if tagged && let Some((path, meta)) = meta(resource) {
        edits.replace(path, meta);
    }
    Resource::ours(edits.apply(resource.text(), root)?).ok()
}

fn object(node: &Node, id: OwnerId, trim: &Trim, path: &Path, edits: &mut Edits) {
    let Some(owner) = SCHEMA.owner(id) else {
        return;
    };
    let top = path.0.is_empty();
    for (at, member) in node.members().iter().enumerate() {
        let Some(inner) = path.then(at) else {
            continue;
        };
        let name = member.name.trim_start_matches('_');
        let fixed = ["resourceType", "id"].contains(&name) || (top && name == "meta");
        if fixed {
            continue;
        }
        if !keeps(owner, id, trim, name) {
            edits.remove(inner);
            continue;
        }
        let below = owner.element(name).map(|element| element.shape);
        if let (Trim::Summary, Some(Shape::Complex(below) | Shape::Reference(below, _))) =
            (trim, below)
        {
            match &member.node.value {
                Value::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        if let Some(inner) = inner.then(at) {
                            object(item, below, trim, &inner, edits);
                        }
                    }
                }
                _ => object(&member.node, below, trim, &inner, edits),
            }
        }
    }
}

fn keeps(owner: &Owner, id: OwnerId, trim: &Trim, name: &str) -> bool {
    let choice = owner.element(name).and_then(|element| element.choice);
    let group = choice.unwrap_or(name);
    // What changes the meaning of the rest stays with it.
    let needed =
        owner.required().contains(&group) || ["implicitRules", "modifierExtension"].contains(&name);
    match trim {
        Trim::Data => name != "text",
        Trim::Text => needed || name == "text",
        Trim::Elements(names) => needed || names.contains(&name),
        Trim::Summary => {
            let listed = SUMMARY.get(&id);
            needed || listed.is_some_and(|names| names.contains(group))
        }
    }
}

/// `meta` with the tag, and where it stands.
fn meta(resource: &Resource) -> Option<(Path, Vec<u8>)> {
    let root = resource.root();
    let Some(at) = root.members().iter().position(|m| &*m.name == "meta") else {
        return after_id(resource);
    };
    let path = Path::default().then(at)?;
    let meta = root.get("meta")?;
    let list = meta.members().iter().position(|m| &*m.name == "tag");
    let (path, node, open, close) = match (list, meta.get("tag")) {
        (Some(at), Some(tags)) => (path.then(at)?, tags, "", "]"),
        _ => (path, meta, "\"tag\":[", "]}"),
    };
    let text = node.slice(resource.text());
    let mut out = text.get(..text.len().checked_sub(1)?)?.to_vec();
    if !(node.members().is_empty() && node.items().is_empty()) {
        out.push(b',');
    }
    out.extend_from_slice(open.as_bytes());
    out.extend_from_slice(SUBSETTED);
    out.extend_from_slice(close.as_bytes());
    Some((path, out))
}

/// Where there is no `meta` (a contained resource has seldom one), it comes after the id: what stands in
/// the id's place then.
fn after_id(resource: &Resource) -> Option<(Path, Vec<u8>)> {
    let root = resource.root();
    let at = root.members().iter().position(|m| &*m.name == "id")?;
    let mut out = root.get("id")?.slice(resource.text()).to_vec();
    out.extend_from_slice(b",\"meta\":{\"tag\":[");
    out.extend_from_slice(SUBSETTED);
    out.extend_from_slice(b"]}");
    Some((Path::default().then(at)?, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"1"},"text":{"status":"generated","div":"<div>x</div>"},
        "identifier":[{"system":"s","value":"v","extension":[{"url":"u","valueCode":"x"}]}],"name":[{"family":"F"}],"birthDate":"2000","_birthDate":{"id":"b"},
        "deceasedBoolean":false,"communication":[{"language":{"text":"l"},"preferred":true}],"photo":[{"title":"t"}]}"#;

    #[test]
    fn what_has_no_meta_gets_one_for_the_tag() {
        let text =
            r#"{"resourceType":"Medication","id":"m","status":"active","code":{"text":"c"}}"#;
        let resource = Resource::ours(text.to_owned()).unwrap();
        let kept = Trim::Elements(vec!["code"]);
        let left = trim(&resource, &kept, true).unwrap();
        let tag = left.root().at(&["meta", "tag"]).unwrap();
        assert_eq!(tag.items()[0].text("code"), Some("SUBSETTED"));
        assert!(left.root().get("code").is_some() && left.root().get("status").is_none());
        let untold = trim(&resource, &kept, false).unwrap();
        assert!(untold.root().get("meta").is_none());
    }

    fn left(text: &str, kept: &Trim) -> (Vec<String>, String) {
        let resource = Resource::ours(text.to_owned()).unwrap();
        let left = trim(&resource, kept, true).unwrap();
        let names = left.root().members().iter();
        let names = names.map(|member| member.name.to_string()).collect();
        (names, String::from_utf8(left.text().to_vec()).unwrap())
    }

    #[test]
    fn elements_asked_for_stay_with_their_siblings_and_what_must_be() {
        let (names, text) = left(PATIENT, &Trim::Elements(vec!["birthDate"]));
        assert_eq!(
            names,
            ["resourceType", "id", "meta", "birthDate", "_birthDate"]
        );
        assert!(
            text.contains(r#""meta":{"versionId":"1","tag":[{"#),
            "{text}"
        );
        let bill = r#"{"resourceType":"MedicationRequest","meta":{"tag":[{"code":"t"}]},"status":"active","intent":"order","medicationReference":{"reference":"Medication/m"},
            "subject":{"reference":"Patient/p"},"note":[{"text":"n"}]}"#;
        let (names, text) = left(bill, &Trim::Elements(vec!["status"]));
        assert_eq!(
            names,
            [
                "resourceType",
                "meta",
                "status",
                "intent",
                "medicationReference",
                "subject"
            ]
        );
        assert!(text.contains(r#"[{"code":"t"},{"system""#), "{text}");
    }

    #[test]
    fn a_summary_goes_to_every_depth() {
        let (names, text) = left(PATIENT, &Trim::Summary);
        assert_eq!(
            names,
            [
                "resourceType",
                "id",
                "meta",
                "identifier",
                "name",
                "birthDate",
                "_birthDate",
                "deceasedBoolean"
            ]
        );
        assert!(!text.contains("extension") && text.contains(r#""value":"v""#));
        let (names, _) = left(PATIENT, &Trim::Text);
        assert_eq!(names, ["resourceType", "id", "meta", "text"]);
        let (names, _) = left(PATIENT, &Trim::Data);
        assert!(!names.contains(&"text".to_owned()) && names.contains(&"photo".to_owned()));
    }

    #[test]
    fn every_summary_is_of_a_type_that_exists() {
        assert!(SUMMARY.len() > 600, "{}", SUMMARY.len());
        let of = |name: &str| &SUMMARY[&SCHEMA.named(name).unwrap()];
        assert!(of("Observation").contains("value[x]"));
        assert!(!of("Patient").contains("photo"));
    }
}
