//! Whether references point at what they may (<https://hl7.org/fhir/R4/references.html>), and whether
//! contained resources are what they may be (<https://hl7.org/fhir/R4/domainresource.html>).

use crate::fhir::{
    Kind, Node, Target,
    json::Value,
    outcome::{Issue, IssueType},
};
use std::collections::{HashMap, HashSet};

/// What a reference's text says of the type of its target.
enum Named<'n> {
    /// This one.
    Kind(&'n str),
    /// One that R4 does not have.
    Unknown,
    /// A contained resource that is not there.
    Missing,
    /// Nothing: `urn:`, an identifier, another server's own form of URL.
    Silent,
}

fn named<'n>(node: &'n Node, find: impl Fn(&str) -> Option<&'n Node>) -> Named<'n> {
    let Some(text) = node.text("reference") else {
        return Named::Silent;
    };
    match Target::parse(text, None) {
        Target::Local(key) => Named::Kind(key.kind.name()),
        Target::Contained(id) => match find(&id) {
            Some(node) => node.text("resourceType").map_or(Named::Silent, Named::Kind),
            None => Named::Missing,
        },
        Target::Conditional(_) => text
            .split_once('?')
            .map_or(Named::Silent, |(kind, _)| Named::Kind(kind)),
        Target::Urn(_) => Named::Silent,
        Target::Elsewhere(_) => {
            let (way, _) = text.split_once("/_history/").unwrap_or((text, ""));
            let mut steps = way.rsplit('/');
            let Some(name) = steps.nth(1) else {
                return Named::Silent;
            };
            if Kind::named(name).is_some() {
                return Named::Kind(name);
            }
            // `Ghost/a` is a type that is none; `https://else.example/anything` may be anything.
            if steps.next().is_none() && name.starts_with(char::is_uppercase) {
                Named::Unknown
            } else {
                Named::Silent
            }
        }
    }
}

/// The type that a reference points at, as far as its text says.
pub(super) fn kind<'n>(node: &'n Node, root: &'n Node) -> Option<&'n str> {
    match named(node, |id| contained_node(root, id)) {
        Named::Kind(kind) => Some(kind),
        _ => None,
    }
}

/// Contained resources by their id: each reference to one is looked up, not searched for.
pub(super) type Contained<'n> = HashMap<&'n str, &'n Node>;

/// The contained resources of a resource.
pub(super) fn contained(root: &Node) -> Contained<'_> {
    let contained = root.get("contained").map(Node::items).unwrap_or_default();
    let named = contained.iter().rev();
    named
        .filter_map(|node| Some((node.text("id")?, node)))
        .collect()
}

/// The contained resource of that id; the container itself for an empty one.
pub(super) fn contained_node<'n>(root: &'n Node, id: &str) -> Option<&'n Node> {
    if id.is_empty() {
        return Some(root);
    }
    let mut contained = root.get("contained")?.items().iter();
    contained.find(|node| node.text("id") == Some(id))
}

/// Whether a reference names a type that its element doesn't allow. A reference that names none is left
/// to those who resolve it.
pub(super) fn fault(
    node: &Node,
    targets: &str,
    root: &Node,
    contained: &Contained<'_>,
) -> Option<Fault> {
    let allowed = |kind: &str| targets == "*" || targets.split(',').any(|target| target == kind);
    let fault = |kind, text| Some(Fault { kind, text });
    let wrong = "refers to a type that this element does not allow";
    let stated = node.text("type").filter(|kind| Kind::named(kind).is_some());
    if stated.is_some_and(|kind| !allowed(kind)) {
        return fault(IssueType::Value, wrong);
    }
    let find = |id: &str| match id {
        "" => Some(root),
        id => contained.get(id).copied(),
    };
    match named(node, find) {
        Named::Kind(kind) if !allowed(kind) => fault(IssueType::Value, wrong),
        Named::Unknown => fault(
            IssueType::Value,
            "refers to a type that FHIR R4 does not have",
        ),
        Named::Missing => fault(
            IssueType::Invariant,
            "ref-1: no contained resource has this id",
        ),
        _ => None,
    }
}

/// What is wrong with a reference.
pub(super) struct Fault {
    pub(super) kind: IssueType,
    pub(super) text: &'static str,
}

/// Contained resources that have the id of another, or none (dom-3 can't hold then), that nothing
/// refers to and that refer to nothing around them (dom-3), that say a version (dom-4) or a security
/// label of their own (dom-5). That they contain none (dom-2) is a matter of structure.
pub(super) fn contained_faults(root: &Node, words: &str) -> Vec<Issue> {
    let contained = root.get("contained").map(Node::items).unwrap_or_default();
    let mut issues = Vec::new();
    if contained.is_empty() {
        return issues;
    }
    let mut named = HashSet::new();
    fragments(root, &mut named);
    let mut ids = HashSet::new();
    for (number, node) in contained.iter().enumerate() {
        let mut say = |kind, text: &str| {
            issues.push(Issue::at(
                kind,
                text,
                format!("{words}.contained[{number}]"),
            ));
        };
        match node.text("id") {
            Some(id) if !ids.insert(id) => {
                say(
                    IssueType::Duplicate,
                    "another contained resource has this id",
                );
            }
            Some(id) if named.contains(id) => {}
            _ => {
                let mut around = HashSet::new();
                fragments(node, &mut around);
                if !around.contains("") {
                    let text =
                        "dom-3: nothing refers to this contained resource, nor it to what holds it";
                    say(IssueType::Invariant, text);
                }
            }
        }
        let meta = |name| node.at(&["meta", name]).is_some();
        if meta("versionId") || meta("lastUpdated") {
            say(
                IssueType::Invariant,
                "dom-4: a contained resource has no version and no time of its own",
            );
        }
        if meta("security") {
            say(
                IssueType::Invariant,
                "dom-5: a contained resource has no security label",
            );
        }
    }
    issues
}

/// The ids of `#id` that stand as a whole text below a node.
fn fragments<'n>(node: &'n Node, found: &mut HashSet<&'n str>) {
    match &node.value {
        Value::String(text) => {
            found.extend(text.strip_prefix('#'));
        }
        Value::Array(items) => items.iter().for_each(|item| fragments(item, found)),
        Value::Object(members) => members
            .iter()
            .for_each(|member| fragments(&member.node, found)),
        _ => {}
    }
}
