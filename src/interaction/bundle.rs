//! A Bundle taken apart: its records, each with the key it will have and with references that hold
//! on this server. Pure. <https://hl7.org/fhir/R4/http.html#trules>

mod reference;
mod steps;
#[cfg(test)]
mod tests;

use crate::{
    fhir::{
        Id, Key, Kind, Node, Resource,
        json::Limits,
        outcome::{Issue, IssueType},
    },
    store::audit::Place,
};
pub use reference::{Names, relative, resolve};
use std::collections::HashMap;
pub use steps::{Step, Verb, condition, steps, version};

/// A record of a Bundle.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// Its place here. The resource itself may lack the id, or have another one.
    pub key: Key,
    /// The resource, its references rewritten.
    pub resource: Resource,
    /// The number of its entry, from 0.
    pub index: usize,
}

/// An entry that can't be taken. Its text names no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The number of the entry, from 0.
    pub index: usize,
    /// Type and id, as far as they are known.
    pub key: Option<Key>,
    /// Why; its path starts at the Bundle.
    pub issue: Issue,
}

/// All entries of a Bundle, in order.
#[derive(Debug, Default)]
pub struct Sifted {
    /// Those that can be written.
    pub records: Vec<Unpacked>,
    /// The others.
    pub refused: Vec<Refused>,
}

/// The types that are no records: they carry others, or report what happened.
pub const NO_RECORDS: [&str; 3] = ["Bundle", "OperationOutcome", "Parameters"];

/// Whether an id is one of the server's own audit trail, which nobody writes (SEMANTICS section 3).
pub fn is_trails(key: &Key) -> bool {
    key.kind.name() == "AuditEvent" && Place::parse(key.id.as_str()).is_some()
}

/// Why such an id is not taken.
const TRAILS: &str = "this id is one of the server's own audit trail";

/// Takes a Bundle apart, entry by entry: an entry that can't be taken does not keep the others from
/// it. What refers to a refused entry keeps referring to it: it becomes whole when that entry comes.
pub fn sift(bundle: &Resource) -> Result<Sifted, Issue> {
    let kind = bundle.root().text("type").unwrap_or_default();
    const CARRIERS: [&str; 7] = [
        "transaction",
        "batch",
        "transaction-response",
        "batch-response",
        "collection",
        "searchset",
        "history",
    ];
    if bundle.kind().name() != "Bundle" || !CARRIERS.contains(&kind) {
        let text = "a Bundle of this type can't be taken";
        return Err(Issue::at(IssueType::NotSupported, text, "Bundle.type"));
    }
    let entries = bundle.root().get("entry").map(Node::items);
    let entries = entries.unwrap_or_default();
    let mut sifted = Sifted::default();
    let mut taken: HashMap<Key, usize> = HashMap::with_capacity(entries.len());
    let mut names = Names::default();
    for (index, entry) in entries.iter().enumerate() {
        // A history lists the newest version first; older ones are not for us to make.
        let past =
            kind == "history" && target_of(entry).is_some_and(|key| taken.contains_key(&key));
        if past || is_outcome(entry) {
            continue;
        }
        match record(bundle, entry, index) {
            Ok(record) => {
                if let Some(full) = entry.text("fullUrl")
                    && !names.put(full, &record.key)
                {
                    let text = "another entry has the same fullUrl";
                    let at = format!("Bundle.entry[{index}].fullUrl");
                    let issue = Issue::at(IssueType::Invalid, text, at);
                    sifted.refuse(index, Some(record.key), issue);
                    continue;
                }
                if let Some(first) = taken.get(&record.key) {
                    let text = format!("entry {first} is the same record");
                    let at = format!("Bundle.entry[{index}]");
                    let issue = Issue::at(IssueType::Invalid, text, at);
                    sifted.refuse(index, Some(record.key), issue);
                    continue;
                }
                taken.insert(record.key.clone(), index);
                sifted.records.push(record);
            }
            Err(refused) => {
                let (key, issue) = *refused;
                if kind == "history"
                    && let Some(key) = target_of(entry)
                {
                    taken.insert(key, index);
                }
                if let (Some(full), Some(key)) = (entry.text("fullUrl"), &key) {
                    names.put(full, key);
                }
                sifted.refuse(index, key, issue);
            }
        }
    }
    let records = std::mem::take(&mut sifted.records);
    for mut record in records {
        let full = entries
            .get(record.index)
            .and_then(|entry| entry.text("fullUrl"));
        let at = format!("Bundle.entry[{}].resource", record.index);
        match reference::resolve(&record.resource, full, &names, &at) {
            Ok(None) => sifted.records.push(record),
            Ok(Some(rewritten)) => {
                record.resource = rewritten;
                sifted.records.push(record);
            }
            Err(issue) => sifted.refuse(record.index, Some(record.key), issue),
        }
    }
    sifted.refused.sort_by_key(|refused| refused.index);
    Ok(sifted)
}

/// A resource that comes alone is held to what an entry of an import is.
pub fn alone(resource: Resource) -> Result<Unpacked, (Option<Key>, Issue)> {
    let kind = resource.kind();
    if NO_RECORDS.contains(&kind.name()) {
        let text = format!("{kind} is not kept as a record");
        return Err((resource.key(), Issue::new(IssueType::NotSupported, text)));
    }
    let Some(key) = resource.key() else {
        let issue = Issue::at(IssueType::Required, "there is no id", format!("{kind}.id"));
        return Err((None, issue));
    };
    if is_trails(&key) {
        let issue = Issue::at(IssueType::BusinessRule, TRAILS, format!("{kind}.id"));
        return Err((Some(key), issue));
    }
    match reference::resolve(&resource, None, &Names::default(), kind.name()) {
        Err(issue) => Err((Some(key), issue)),
        Ok(_) => Ok(Unpacked {
            key,
            resource,
            index: 0,
        }),
    }
}

impl Sifted {
    fn refuse(&mut self, index: usize, key: Option<Key>, issue: Issue) {
        self.refused.push(Refused { index, key, issue });
    }
}

/// A searchset's remark about itself.
fn is_outcome(entry: &Node) -> bool {
    let mode = entry.get("search").and_then(|search| search.text("mode"));
    mode == Some("outcome")
}

/// The record that an entry of a history is about, deleted or not.
fn target_of(entry: &Node) -> Option<Key> {
    let resource = entry.get("resource");
    let own = resource.and_then(|resource| {
        let kind = Kind::named(resource.text("resourceType")?)?;
        let id = Id::parse(resource.text("id")?)?;
        Some(Key { kind, id })
    });
    own.or_else(|| Key::parse(entry.get("request")?.text("url")?))
}

type Refusal = Box<(Option<Key>, Issue)>;

/// The record of one entry, before references are looked at.
fn record(bundle: &Resource, entry: &Node, index: usize) -> Result<Unpacked, Refusal> {
    let refuse = |kind, text: &str, at: &str| {
        let at = format!("Bundle.entry[{index}]{at}");
        Box::new((None, Issue::at(kind, text, at)))
    };
    let request = entry.get("request");
    let word = |name| request.and_then(|request| request.text(name));
    let (method, url) = (word("method"), word("url"));
    if !matches!(method, Some("POST" | "PUT") | None) {
        let text = "only POST and PUT are supported here";
        return Err(refuse(IssueType::NotSupported, text, ".request.method"));
    }
    let Some(node) = entry.get("resource") else {
        let text = "the entry has no resource";
        return Err(refuse(IssueType::Required, text, ".resource"));
    };
    let bytes = bundle.text();
    let range = node.start as usize..(node.end as usize).min(bytes.len());
    // The Bundle as a whole has kept to the limits.
    let limits = Limits {
        depth: usize::MAX,
        nodes: usize::MAX,
    };
    let resource = Resource::parse(bytes.slice(range), limits)
        .map_err(|error| refuse(IssueType::Structure, &error.to_string(), ".resource"))?;
    let fail = |kind, text: &str, at: &str| {
        let (_, issue) = *refuse(kind, text, at);
        Box::new((resource.key(), issue))
    };
    if NO_RECORDS.contains(&resource.kind().name()) {
        let text = format!("{} is not kept as a record", resource.kind());
        return Err(fail(IssueType::NotSupported, &text, ".resource"));
    }
    let put = method == Some("PUT");
    let named = match (put, url) {
        (_, None) => None,
        (false, Some(url)) => Key::parse(url),
        (true, Some(url)) => match Key::parse(url) {
            Some(key) if key.kind == resource.kind() => Some(key),
            _ => {
                let text = "must be the resource's type, and for PUT its id, without a condition";
                return Err(fail(IssueType::Value, text, ".request.url"));
            }
        },
    };
    let own = resource.id().cloned();
    if let (Some(own), Some(named)) = (&own, &named)
        && *own != named.id
    {
        let text = "the id in the resource and the one in request.url differ";
        return Err(fail(IssueType::Invalid, text, ".resource.id"));
    }
    let id = own
        .or_else(|| named.map(|key| key.id))
        .or_else(|| reference::id_of(entry.text("fullUrl")?, resource.kind()));
    let Some(id) = id else {
        let text = "there is no id: neither resource.id nor a urn:uuid as fullUrl";
        return Err(fail(IssueType::Required, text, ".resource.id"));
    };
    let kind = resource.kind();
    let key = Key { kind, id };
    if is_trails(&key) {
        return Err(fail(IssueType::BusinessRule, TRAILS, ".resource.id"));
    }
    Ok(Unpacked {
        key,
        resource,
        index,
    })
}
