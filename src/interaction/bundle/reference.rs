//! References of a Bundle's entries to one another, rewritten byte-exactly to `Type/id`.

use crate::fhir::{
    Id, Key, Kind, Node, Path, Resource, Target,
    cut::Edits,
    json::{self, Limits, Value},
    outcome::{Issue, IssueType},
};
use std::collections::HashMap;

/// The entries of a Bundle by their fullUrl.
#[derive(Debug, Default)]
pub struct Names(HashMap<Box<str>, Key>);

impl Names {
    /// False where another record has that name.
    pub fn put(&mut self, full: &str, key: &Key) -> bool {
        let known = self.0.entry(full.into()).or_insert_with(|| key.clone());
        known == key
    }
}

/// The id that a fullUrl gives: its UUID, or the last step of a RESTful address.
pub(super) fn id_of(full: &str, kind: Kind) -> Option<Id> {
    if let Some(uuid) = full.strip_prefix("urn:uuid:") {
        return Id::parse(uuid);
    }
    let (base, id) = full.rsplit_once('/')?;
    let (_, named) = base.rsplit_once('/')?;
    (Kind::named(named) == Some(kind)).then(|| Id::parse(id))?
}

/// What `https://here/fhir/Patient/1` is below: `https://here/fhir`.
fn base_of(full: &str) -> Option<&str> {
    let (above, _) = full.rsplit_once('/')?;
    let (base, kind) = above.rsplit_once('/')?;
    Kind::named(kind).map(|_| base)
}

/// The resource with its references to other entries rewritten; `None` where none had to be. A
/// `urn:` that no entry has, and a condition, are refused; `place` is the resource's in the message.
pub fn resolve(
    resource: &Resource,
    full: Option<&str>,
    names: &Names,
    place: &str,
) -> Result<Option<Resource>, Issue> {
    let base = full.and_then(base_of);
    let refuse = |kind, text: &str, path: &Path| {
        let words = path.words(resource.root());
        Issue::at(kind, text, format!("{place}.{words}.reference"))
    };
    let mut edits = Edits::none();
    for found in &resource.found().references {
        let key = match &found.target {
            Target::Contained(_) => continue,
            Target::Urn(urn) => match names.0.get(urn) {
                Some(key) => key,
                None => {
                    let text = "no entry here has this urn as its fullUrl";
                    return Err(refuse(IssueType::NotFound, text, &found.path));
                }
            },
            Target::Conditional(text) => match names.0.get(text) {
                Some(key) => key,
                None => {
                    let text = "a reference by a condition can't be resolved; name the record";
                    return Err(refuse(IssueType::NotSupported, text, &found.path));
                }
            },
            Target::Local(key) => {
                let Some(base) = base else { continue };
                match names.0.get(&*format!("{base}/{key}")) {
                    Some(entry) if entry != key => entry,
                    _ => continue,
                }
            }
            Target::Elsewhere(url) => {
                let current = url.split_once("/_history/").map_or(&**url, |(url, _)| url);
                match names.0.get(current) {
                    Some(key) => key,
                    None => continue,
                }
            }
        };
        let node = found.path.node(resource.root());
        if let Some(path) = node.and_then(|node| member(node, &found.path, "reference")) {
            edits.replace(path, quoted(key));
        }
    }
    attachments(resource.root(), &mut Vec::new(), names, &mut edits);
    rewritten(resource, &edits, place)
}

fn rewritten(resource: &Resource, edits: &Edits, place: &str) -> Result<Option<Resource>, Issue> {
    if edits.is_empty() {
        return Ok(None);
    }
    let limits = Limits {
        depth: usize::MAX,
        nodes: usize::MAX,
    };
    edits
        .apply(resource.text(), resource.root())
        .and_then(|text| Resource::parse(text, limits).ok())
        .map(Some)
        .ok_or_else(|| {
            let text = "its references can't be rewritten";
            Issue::at(IssueType::Structure, text, place)
        })
}

/// The resource with its absolute references to records of this server, whose base is `here`, made
/// relative: everything that reads references (whose record it is, what it takes over, what must not
/// be pointed at) reads that form. `None` where there are none. A text that looks like the name of a
/// record here and can't be read as one is refused: nobody would know what it tells.
pub fn relative(resource: &Resource, here: &str, place: &str) -> Result<Option<Resource>, Issue> {
    let root = resource.root();
    let mut edits = Edits::none();
    for found in &resource.found().references {
        let Some(node) = found.path.node(root) else {
            continue;
        };
        let (Some(text), Some(path)) = (
            node.text("reference"),
            member(node, &found.path, "reference"),
        ) else {
            continue;
        };
        let refuse = |kind, text: &str| {
            let words = path.words(root);
            Err(Issue::at(kind, text, format!("{place}.{words}")))
        };
        match (below(text, here), &found.target) {
            (Some(rest), _) if Key::parse(rest).is_some() => edits.replace(path, string(rest)),
            (None, Target::Conditional(_)) => {
                let text = "a reference by a condition can't be resolved; name the record";
                return refuse(IssueType::NotSupported, text);
            }
            (Some(_), _) => return refuse(IssueType::Value, UNREADABLE),
            (None, Target::Elsewhere(text)) if text.contains('/') && !has_scheme(text) => {
                return refuse(IssueType::Value, UNREADABLE);
            }
            _ => {}
        }
    }
    for attachment in &resource.found().attachments {
        if let Some(node) = attachment.node(root)
            && let Some(rest) = node.text("url").and_then(|url| below(url, here))
            && Key::parse(rest).is_some()
            && let Some(path) = member(node, attachment, "url")
        {
            edits.replace(path, string(rest));
        }
    }
    rewritten(resource, &edits, place)
}

const UNREADABLE: &str = "a reference to a record is Type/id, or an absolute URL of it";

/// What follows the base in a URL below it. The scheme and the host have no case.
fn below<'t>(text: &'t str, here: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(here.len())?;
    let authority = here
        .match_indices('/')
        .nth(2)
        .map_or(here.len(), |(at, _)| at);
    let (host, path) = start.split_at_checked(authority)?;
    let (own_host, own_path) = here.split_at_checked(authority)?;
    let ours = host.eq_ignore_ascii_case(own_host) && path == own_path;
    rest.strip_prefix('/').filter(|_| ours)
}

fn has_scheme(text: &str) -> bool {
    let before = text.split('/').next().unwrap_or_default();
    before.contains(':')
}

fn string(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json::quote(&mut out, text);
    out
}

fn quoted(key: &Key) -> Vec<u8> {
    string(&key.to_string())
}

/// The path of an object's member.
fn member(node: &Node, path: &Path, name: &str) -> Option<Path> {
    let at = node.members().iter().position(|m| &*m.name == name)?;
    path.then(at)
}

/// Attachments point at a Binary by `url`; those that name an entry are rewritten like references.
fn attachments(node: &Node, path: &mut Vec<u16>, names: &Names, edits: &mut Edits) {
    let mut each = |at: usize, name: &str, node: &Node| {
        let Ok(step) = u16::try_from(at) else { return };
        path.push(step);
        match &node.value {
            Value::String(text) if name == "url" => {
                if let Some(key) = names.0.get(text) {
                    edits.replace(Path(path.as_slice().into()), quoted(key));
                }
            }
            _ => attachments(node, path, names, edits),
        }
        path.pop();
    };
    match &node.value {
        Value::Object(members) => {
            for (at, member) in members.iter().enumerate() {
                each(at, &member.name, &member.node);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                each(at, "", item);
            }
        }
        _ => {}
    }
}
