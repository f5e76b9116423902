//! L2: record + labels + projection → the faces of a record. Pure.
//!
//! A record has a full face and a household face. Taking a part out takes with it: the narrative
//! (whoever wrote it saw the whole), what only that part used, and upwards whatever is not valid
//! without it; where that reaches the record, the record as a whole goes.

mod bill;
mod money;
mod trim;

use crate::{
    fhir::{
        Key, Kind, Node, Path, Resource,
        cut::Edits,
        json,
        schema::{OwnerId, SCHEMA, Shape},
        time,
    },
    label::{Labelled, Part},
    statute::{
        Labels,
        projections::{Keep, Projection},
    },
};
use std::borrow::Cow;
pub use trim::{Trim, trim};

/// A face ready to send but for `id` and the changing part of `meta`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Face {
    /// The members of `meta` that are kept, each with a leading comma.
    pub meta: Vec<u8>,
    /// All members but `resourceType`, `id` and `meta`, each with a leading comma, and the closing
    /// brace.
    pub tail: Vec<u8>,
}

/// Version and time as one face shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The opaque version id.
    pub version: Box<str>,
    /// Microseconds since 1970.
    pub updated: i64,
}

/// Words about the record as a whole, written by someone who saw all of it: they go when any part
/// goes, like the narrative.
const SPEAKS_OF_ALL: &[&str] = &[
    "text",
    "note",
    "conclusion",
    "conclusionCode",
    "presentedForm",
    "description",
    "title",
    "comment",
    "instantiatesCanonical",
    "instantiatesUri",
];

/// The same, for one type: elsewhere the element says who or what it is.
const SPEAKS_OF_ALL_IN: &[(&str, &str)] = &[("CareTeam", "name")];

fn is_required(kind: Kind, name: &str) -> bool {
    let owner = SCHEMA.resource(kind);
    owner
        .and_then(|owner| SCHEMA.element(owner, name))
        .is_some_and(|element| element.min > 0)
}

/// The elements of a type that go when anything is taken out.
pub fn spoken(kind: Kind) -> impl Iterator<Item = &'static str> {
    let here = SPEAKS_OF_ALL_IN.iter();
    let here = here.filter(move |(of, _)| *of == kind.name());
    let all = SPEAKS_OF_ALL
        .iter()
        .copied()
        .chain(here.map(|(_, name)| *name));
    all.filter(move |name| !is_required(kind, name))
}

/// Whether an element at the top of a record of that type goes when anything is taken out.
pub fn speaks_of_all(kind: Kind, name: &str) -> bool {
    spoken(kind).any(|spoken| spoken == name)
}

/// Tags that would tell that something is missing or hidden.
const TELLTALE: &[&str] = &["security", "versionId", "lastUpdated"];

/// The full face of a resource: every byte but `meta`'s changing part.
pub fn full(resource: &Resource) -> Face {
    face(resource, &[])
}

/// A face with `meta` reduced to its profiles: for those who may not know labels, tags or source.
pub fn plain(resource: &Resource) -> Face {
    face(resource, &["tag", "source", "extension", "id"])
}

fn face(resource: &Resource, also: &[&str]) -> Face {
    let text = resource.text();
    let mut face = Face::default();
    let member = |out: &mut Vec<u8>, member: &json::Member| {
        out.push(b',');
        let bytes = text.get(member.start as usize..member.node.end as usize);
        out.extend_from_slice(bytes.unwrap_or_default());
    };
    for item in resource.root().members() {
        match &*item.name {
            "resourceType" | "id" => {}
            "meta" => {
                for kept in item.node.members() {
                    let name = kept.name.trim_start_matches('_');
                    if !TELLTALE.contains(&name) && !also.contains(&name) {
                        member(&mut face.meta, kept);
                    }
                }
            }
            _ => member(&mut face.tail, item),
        }
    }
    face.tail.push(b'}');
    face
}

/// Writes a face as a resource, with `security` as the labels that the requester may know.
pub fn render(key: &Key, stamp: &Stamp, face: &Face, security: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(face.tail.len() + face.meta.len() + security.len() + 192);
    out.extend_from_slice(b"{\"resourceType\":\"");
    out.extend_from_slice(key.kind.name().as_bytes());
    out.extend_from_slice(b"\",\"id\":\"");
    out.extend_from_slice(key.id.as_str().as_bytes());
    out.extend_from_slice(b"\",\"meta\":{\"versionId\":\"");
    out.extend_from_slice(stamp.version.as_bytes());
    out.extend_from_slice(b"\",\"lastUpdated\":\"");
    out.extend_from_slice(time::text(stamp.updated).as_bytes());
    out.push(b'"');
    out.extend_from_slice(&face.meta);
    if !security.is_empty() {
        out.extend_from_slice(b",\"security\":[");
        out.extend_from_slice(security);
        out.push(b']');
    }
    out.push(b'}');
    out.extend_from_slice(&face.tail);
    out
}

/// The system of `N`, `R` and `V`.
pub const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// The codings of `meta.security` for labels that a requester may know: each class, and the
/// confidentiality by high-water mark.
pub fn security(labels: Labels) -> Vec<u8> {
    const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
    let mut out = Vec::new();
    let very = labels.bits().any(|bit| bit.very);
    let level = match (labels.is_none(), very) {
        (true, _) => "N",
        (false, false) => "R",
        (false, true) => "V",
    };
    out.extend_from_slice(
        format!(r#"{{"system":"{CONFIDENTIALITY}","code":"{level}"}}"#).as_bytes(),
    );
    for bit in labels.bits().filter(|bit| !bit.code.is_empty()) {
        let ours = format!("{}sensitive-service", crate::fhir::CODE_SYSTEM);
        let system = if bit.act_code {
            ACT_CODE
        } else {
            ours.as_str()
        };
        out.extend_from_slice(
            format!(r#",{{"system":"{system}","code":"{}"}}"#, bit.code).as_bytes(),
        );
    }
    out
}

/// The resource with `parts` taken out; `None` where it can't be without them.
pub fn without<'r>(resource: &'r Resource, parts: &[&Part]) -> Option<Cow<'r, Resource>> {
    if parts.is_empty() {
        return Some(Cow::Borrowed(resource));
    }
    let edits = cut(resource, parts)?;
    let text = edits.apply(resource.text(), resource.root())?;
    Resource::ours(text).ok().map(Cow::Owned)
}

/// What goes with `parts`; `None` where the record can't be without them.
fn cut(resource: &Resource, parts: &[&Part]) -> Option<Edits> {
    let mut edits = Edits::none();
    for part in parts {
        edits.remove(part.path.clone());
    }
    for name in spoken(resource.kind()) {
        edits.remove_member(resource.root(), name);
    }
    bill::close_up(resource, &mut edits);
    drop_orphans(resource, &mut edits);
    climb(resource, &mut edits)?;
    Some(edits)
}

/// Whether there is no such resource without the element at `path`.
pub fn needs(resource: &Resource, path: &Path) -> bool {
    let owner = SCHEMA.resource(resource.kind());
    owner.is_none_or(|owner| needs_step(resource.root(), owner, &path.0))
}

/// As [`climb_object`] where one element goes: only what holds it has to be looked at.
fn needs_step(node: &Node, owner: OwnerId, steps: &[u16]) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return true;
    };
    let Some(member) = node.members().get(usize::from(*step)) else {
        return false;
    };
    let Some(element) = SCHEMA.element(owner, &member.name) else {
        return false;
    };
    if rest.is_empty() {
        return element.min > 0;
    }
    let (Shape::Complex(inner) | Shape::Reference(inner, _)) = element.shape else {
        return false;
    };
    let items = member.node.items();
    let (item, rest) = if items.is_empty() {
        (Some(&member.node), rest)
    } else {
        let at = rest.first().map(|at| usize::from(*at));
        let item = at.and_then(|at| items.get(at));
        (item, rest.get(1..).unwrap_or_default())
    };
    let goes = item.is_some_and(|item| needs_step(item, inner, rest));
    goes && items.len() < 2 && element.min > 0
}

/// The household face: every labelled part out, conditional ones always.
pub fn household<'r>(resource: &'r Resource, parts: &[Part]) -> Option<Cow<'r, Resource>> {
    let labelled: Vec<&Part> = parts.iter().filter(|part| !part.marks.is_none()).collect();
    without(resource, &labelled)
}

/// Where a record can't be without its parts, what they reveal it reveals as a whole: their marks go
/// to the whole, so that both enforcements hide the record and neither finds out on the way.
pub fn settle(resource: &Resource, labelled: &mut Labelled) {
    // What can't be without one of them can't be without all of them either: taking more out never
    // puts anything back.
    let all: Vec<&Part> = labelled.parts.iter().collect();
    if !all.is_empty() && cut(resource, &all).is_none() {
        labelled.whole = labelled.whole.and(labelled.parts_union());
    }
}

/// What a projection keeps of a resource.
pub fn projected<'r>(resource: &'r Resource, projection: &Projection) -> Option<Cow<'r, Resource>> {
    if projection.whole() {
        return Some(Cow::Borrowed(resource));
    }
    let mut edits = Edits::none();
    let root = resource.root();
    for (at, member) in root.members().iter().enumerate() {
        let name = member.name.trim_start_matches('_');
        if ["resourceType", "id", "meta"].contains(&name) {
            continue;
        }
        if let Some(path) = Path::default().then(at) {
            keep(projection, name, &member.node, path, &mut edits);
        }
    }
    drop_dangling(resource, &mut edits);
    let text = edits.apply(resource.text(), root)?;
    Resource::ours(text).ok().map(Cow::Owned)
}

/// A reference into contained resources that are not kept loses its `reference`, where a display or
/// an identifier still says something.
fn drop_dangling(resource: &Resource, edits: &mut Edits) {
    let contained = Path::member(resource.root(), "contained", None);
    if !contained.is_some_and(|path| edits.removes(&path)) {
        return;
    }
    for found in &resource.found().references {
        let inside = matches!(found.target, crate::fhir::Target::Contained(_));
        let Some(node) = found.path.node(resource.root()) else {
            continue;
        };
        if !inside || edits.removes(&found.path) || node.members().len() < 2 {
            continue;
        }
        let at = node
            .members()
            .iter()
            .position(|member| &*member.name == "reference");
        if let Some(path) = at.and_then(|at| found.path.then(at)) {
            edits.remove(path);
        }
    }
}

fn keep(projection: &Projection, name: &str, node: &Node, path: Path, edits: &mut Edits) {
    match projection.keep(name) {
        Keep::All => {}
        Keep::Nothing => edits.remove(path),
        Keep::Some => {
            let lists = !node.items().is_empty();
            let items: Vec<(Path, &Node)> = if lists {
                let items = node.items().iter().enumerate();
                items
                    .filter_map(|(at, item)| Some((path.then(at)?, item)))
                    .collect()
            } else {
                vec![(path, node)]
            };
            for (path, item) in items {
                for (at, member) in item.members().iter().enumerate() {
                    let inner = format!("{name}.{}", member.name.trim_start_matches('_'));
                    if let Some(path) = path.then(at) {
                        keep(projection, &inner, &member.node, path, edits);
                    }
                }
            }
        }
    }
}

/// Contained resources that nothing refers to any more go.
fn drop_orphans(resource: &Resource, edits: &mut Edits) {
    let contained = resource
        .root()
        .get("contained")
        .map(Node::items)
        .unwrap_or_default();
    for (at, node) in contained.iter().enumerate() {
        let Some(path) = Path::member(resource.root(), "contained", Some(at)) else {
            continue;
        };
        let id = node.text("id").unwrap_or_default();
        let refers = |reference: &crate::fhir::resource::FoundReference| {
            matches!(&reference.target, crate::fhir::Target::Contained(local) if **local == *id)
                && !edits.removes(&reference.path)
                && !reference.path.within(&path)
        };
        let all = &resource.found().references;
        let was = all.iter().any(|reference| {
            matches!(&reference.target, crate::fhir::Target::Contained(local) if **local == *id)
        });
        if was && !all.iter().any(refers) {
            edits.remove(path);
        }
    }
}

/// Where a required element went, what holds it goes too; `None` where that is the record.
fn climb(resource: &Resource, edits: &mut Edits) -> Option<()> {
    let owner = SCHEMA.resource(resource.kind())?;
    climb_object(resource.root(), owner, &Path::default(), edits).then_some(())
}

/// Whether `node` is still valid; takes out those of its children that are not.
fn climb_object(node: &Node, owner: OwnerId, path: &Path, edits: &mut Edits) -> bool {
    for (at, member) in node.members().iter().enumerate() {
        let Some(element) = SCHEMA.element(owner, &member.name) else {
            continue;
        };
        let Some(path) = path.then(at) else { continue };
        if edits.removes(&path) {
            if element.min > 0 {
                return false;
            }
            continue;
        }
        let inner = match element.shape {
            Shape::Complex(owner) | Shape::Reference(owner, _) => owner,
            Shape::Primitive(_) | Shape::Resource => continue,
        };
        let mut left = false;
        let lists = !member.node.items().is_empty();
        for (item_at, item) in member.node.each().iter().enumerate() {
            let item_path = if lists {
                path.then(item_at)
            } else {
                Some(path.clone())
            };
            let Some(item_path) = item_path else { continue };
            if edits.removes(&item_path) {
                continue;
            }
            if climb_object(item, inner, &item_path, edits) {
                left = true;
            } else {
                edits.remove(item_path);
            }
        }
        if !left && element.min > 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests;
