//! Contained resources as what is found by what they say themselves
//! (<https://hl7.org/fhir/R4/search.html#contained>).

use super::{
    index::{IndexEntry, IndexValue, Walk},
    params::{ID, ParamId},
};
use crate::fhir::{Id, Kind, Path, Resource};

/// A resource that a record contains.
#[derive(Debug, Clone, PartialEq)]
pub struct Contained {
    /// Its type.
    pub kind: Kind,
    /// The id by which its container refers to it.
    pub id: Id,
    /// Which of the contained resources it is, from 1.
    pub at: u16,
    /// Its id's element: it is there as long as that is, whatever else of it is taken out.
    pub path: Path,
    /// What it answers to. Paths are those of the container, places its own.
    pub entries: Vec<IndexEntry>,
}

impl Contained {
    /// The entry that says that it is there, by its id.
    pub fn itself(&self) -> IndexEntry {
        IndexEntry {
            param: ParamId::of(ID),
            path: self.path.clone(),
            place: 0,
            value: IndexValue::token(None, self.id.as_str(), None),
        }
    }
}

/// The contained resources of a record. One without a good id can't be named, and of two with the same id
/// references mean the first: the others are not found. `base` as for [`entries`](super::index::entries).
pub fn contained(resource: &Resource, base: Option<&str>) -> Vec<Contained> {
    let root = resource.root();
    let list = root.members().iter().enumerate();
    let Some((member, list)) = list.into_iter().find(|(_, one)| &*one.name == "contained") else {
        return Vec::new();
    };
    let mut all: Vec<Contained> = Vec::new();
    for (item, own) in list.node.items().iter().enumerate() {
        let kind = own.text("resourceType").and_then(Kind::named);
        let id = own.members().iter().position(|one| &*one.name == "id");
        let steps = (u16::try_from(member), u16::try_from(item));
        let (Some(kind), Some(id), (Ok(member), Ok(item))) = (kind, id, steps) else {
            continue;
        };
        let Some(name) = own.text("id").and_then(Id::parse) else {
            continue;
        };
        let (Some(at), Ok(id)) = (item.checked_add(1), u16::try_from(id)) else {
            continue;
        };
        if all.iter().any(|other| other.id == name) {
            continue;
        }
        let walk = Walk::of(root, own, base, vec![member, item]);
        all.push(Contained {
            kind,
            id: name,
            at,
            path: Path([member, item, id].as_slice().into()),
            entries: walk.all(kind, &[id]),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Resource, Vec<Contained>) {
        let resource = Resource::ours(text.to_owned()).unwrap();
        let inside = contained(&resource, None);
        (resource, inside)
    }

    fn said(one: &Contained, code: &str) -> Vec<(u16, String)> {
        let entries = one.entries.iter();
        entries
            .filter(|entry| entry.param == ParamId::of(code))
            .map(|entry| match &entry.value {
                IndexValue::Token { code, .. } => (entry.place, code.to_string()),
                IndexValue::Reference(target) => (entry.place, format!("{target:?}")),
                other => (entry.place, format!("{other:?}")),
            })
            .collect()
    }

    #[test]
    fn each_contained_resource_says_what_it_says_itself() {
        let (resource, inside) = of(
            r##"{"resourceType":"DiagnosticReport","id":"r","status":"final",
            "contained":[
              {"resourceType":"Observation","id":"a","status":"final","subject":{"reference":"#p"},"focus":[{"reference":"#"}],
               "component":[{"code":{"coding":[{"code":"x"}]}},{"code":{"coding":[{"code":"y"}]}}]},
              {"resourceType":"Patient","id":"p","gender":"female"}],
            "result":[{"reference":"#a"}]}"##,
        );
        assert_eq!(inside.len(), 2);
        let (one, patient) = (&inside[0], &inside[1]);
        assert_eq!(
            (one.kind.name(), one.id.as_str(), one.at),
            ("Observation", "a", 1)
        );
        assert_eq!(one.path.words(resource.root()), "contained[0].id");
        // Places are its own: of a composite's parts, those of one component go together.
        let codes = said(one, "component-code");
        assert_eq!(codes, [(1, "x".to_owned()), (2, "y".to_owned())]);
        // What it refers to in its container has its type there.
        assert_eq!(said(one, "patient").len(), 1);
        assert!(said(one, "focus").len() == 1 && said(one, "encounter").is_empty());
        let path = &one.entries[0].path;
        assert!(path.words(resource.root()).starts_with("contained[0]."));
        // What an absence says is said at its id, so that it goes with it and with nothing in it.
        assert_eq!(said(patient, "deceased"), [(0, "false".to_owned())]);
        let absent = patient.entries.iter();
        let mut absent = absent.filter(|entry| entry.param == ParamId::of("deceased"));
        assert_eq!(absent.next().unwrap().path, patient.path);
    }

    #[test]
    fn its_words_are_its_own_and_not_its_containers() {
        let (resource, inside) = of(r#"{"resourceType":"Basic","id":"b","code":{"text":"outer"},
            "contained":[{"resourceType":"Basic","id":"c","code":{"text":"inner"}}]}"#);
        let content = |entries: &[IndexEntry]| {
            let entries = entries.iter();
            let words = entries.filter_map(|entry| match &entry.value {
                IndexValue::Words(words) => Some(words.to_string()),
                _ => None,
            });
            words.collect::<String>()
        };
        assert_eq!(content(&inside[0].entries), " inner");
        assert_eq!(content(&super::super::entries(&resource, None)), " outer");
    }

    #[test]
    fn what_no_reference_can_mean_is_not_found() {
        let (_, inside) = of(r#"{"resourceType":"Basic","id":"b","contained":[
            {"resourceType":"Basic"},{"resourceType":"Ghost","id":"g"},{"id":"n"},{"resourceType":"Basic","id":"a b"},
            {"resourceType":"Basic","id":"c","created":"2026"},{"resourceType":"Basic","id":"c","created":"2027"}]}"#);
        let ids: Vec<_> = inside.iter().map(|one| (one.id.as_str(), one.at)).collect();
        assert_eq!(ids, [("c", 5)]);
        let (_, none) = of(r#"{"resourceType":"Basic","id":"b"}"#);
        assert!(none.is_empty());
    }
}
