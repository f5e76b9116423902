//! A transaction or batch Bundle as steps: what each entry asks for. Pure.
//! <https://hl7.org/fhir/R4/http.html#transaction>

use super::NO_RECORDS;
use crate::{
    fhir::{
        Node, Resource,
        json::Limits,
        outcome::{Issue, IssueType},
    },
    interaction::{
        address::{Address, pairs},
        write::Guard,
    },
};

/// What an entry asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "HTTP's own words, in the order in which a transaction does them"
)]
pub enum Verb {
    Delete,
    Post,
    Put,
    Patch,
    Get,
    Head,
}

/// An entry.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number, from 0.
    pub index: usize,
    /// What is asked.
    pub verb: Verb,
    /// Of what.
    pub at: Address,
    /// The name by which other entries refer to it.
    pub full: Option<Box<str>>,
    /// What comes with it.
    pub resource: Option<Resource>,
    /// `ifMatch`, as a version id.
    pub if_match: Option<Box<str>>,
    /// `ifNoneMatch` of a PUT, as it stands. A read is answered in full, whatever it says.
    pub if_none_match: Option<Box<str>>,
    /// `ifNoneExist`, decoded.
    pub if_none_exist: Option<Vec<(String, String)>>,
}

impl Step {
    /// What must hold of what a PUT replaces.
    pub fn guard(&self) -> Guard {
        match &self.if_match {
            Some(version) => Guard::Is(version.clone()),
            None => Guard::parse(None, self.if_none_match.as_deref()).unwrap_or_default(),
        }
    }
}

/// The steps of a Bundle, in its order; what can't be read says why.
pub fn steps(bundle: &Resource, here: &[&str]) -> Vec<Result<Step, (usize, Issue)>> {
    let entries = bundle.root().get("entry").map(Node::items);
    let entries = entries.unwrap_or_default().iter().enumerate();
    entries
        .map(|(index, entry)| step(bundle, entry, index, here).map_err(|issue| (index, issue)))
        .collect()
}

fn step(bundle: &Resource, entry: &Node, index: usize, here: &[&str]) -> Result<Step, Issue> {
    let fail =
        |kind, text: &str, at: &str| Issue::at(kind, text, format!("Bundle.entry[{index}]{at}"));
    let request = entry.get("request");
    let word = |name| request.and_then(|request| request.text(name));
    let verb = match word("method") {
        Some("DELETE") => Verb::Delete,
        Some("POST") => Verb::Post,
        Some("PUT") => Verb::Put,
        Some("PATCH") => Verb::Patch,
        Some("GET") => Verb::Get,
        Some("HEAD") => Verb::Head,
        Some(_) => {
            let text = "is one of GET, HEAD, POST, PUT, PATCH, DELETE";
            return Err(fail(IssueType::Value, text, ".request.method"));
        }
        None => {
            let text = "an entry needs its method";
            return Err(fail(IssueType::Required, text, ".request.method"));
        }
    };
    let Some(url) = word("url") else {
        let text = "an entry needs its url";
        return Err(fail(IssueType::Required, text, ".request.url"));
    };
    let Some(at) = Address::parse(url, here) else {
        let text = "is not a URL of this server";
        return Err(fail(IssueType::Value, text, ".request.url"));
    };
    let resource = match entry.get("resource") {
        None => None,
        Some(node) => Some(
            part(bundle, node)
                .map_err(|error| fail(IssueType::Structure, &error.to_string(), ".resource"))?,
        ),
    };
    let fits = match verb {
        Verb::Get | Verb::Head => true,
        Verb::Delete => at.key().is_some() || at.condition().is_some(),
        Verb::Post => at.kind().is_some() && at.query.is_empty(),
        Verb::Put | Verb::Patch => at.key().is_some() || at.condition().is_some(),
    };
    if !fits {
        let text = "must be a type for POST, else a type and an id, or a type and a condition";
        return Err(fail(IssueType::Value, text, ".request.url"));
    }
    if matches!(verb, Verb::Post | Verb::Put | Verb::Patch) && resource.is_none() {
        let text = "the entry has no resource";
        return Err(fail(IssueType::Required, text, ".resource"));
    }
    if let (Verb::Post | Verb::Put, Some(resource)) = (verb, &resource) {
        kept(&at, resource).map_err(|(kind, text, place)| fail(kind, &text, place))?;
    }
    let if_match = match word("ifMatch") {
        None => None,
        Some(text) => Some(
            version(text)
                .ok_or_else(|| fail(IssueType::Value, "is W/\"version\"", ".request.ifMatch"))?,
        ),
    };
    let if_none_match = word("ifNoneMatch").filter(|_| verb == Verb::Put);
    if if_none_match.is_some() && Guard::parse(word("ifMatch"), if_none_match).is_none() {
        let text = "is * or W/\"version\", and not beside ifMatch";
        return Err(fail(IssueType::Value, text, ".request.ifNoneMatch"));
    }
    Ok(Step {
        index,
        verb,
        at,
        full: entry.text("fullUrl").map(Into::into),
        resource,
        if_match: if_match.map(Into::into),
        if_none_match: if_none_match.map(Into::into),
        if_none_exist: word("ifNoneExist").map(condition),
    })
}

/// Whether it is a record, of the type and id that its URL says.
fn kept(at: &Address, resource: &Resource) -> Result<(), (IssueType, String, &'static str)> {
    let kind = resource.kind();
    if NO_RECORDS.contains(&kind.name()) {
        let text = format!("{kind} is not kept as a record");
        return Err((IssueType::NotSupported, text, ".resource"));
    }
    let named = at.kind().or(at.key().map(|key| key.kind));
    if named != Some(kind) {
        let text = "is not the resource's type".to_owned();
        return Err((IssueType::Value, text, ".request.url"));
    }
    match at.key() {
        Some(key) if resource.id().is_some_and(|own| *own != key.id) => {
            let text = "the id in the resource and the one in request.url differ".to_owned();
            Err((IssueType::Invalid, text, ".resource.id"))
        }
        _ => Ok(()),
    }
}

/// A resource inside the Bundle, which as a whole has kept to the limits.
fn part(bundle: &Resource, node: &Node) -> Result<Resource, crate::fhir::ResourceError> {
    let bytes = bundle.text();
    let range = node.start as usize..(node.end as usize).min(bytes.len());
    let limits = Limits {
        depth: usize::MAX,
        nodes: usize::MAX,
    };
    Resource::parse(bytes.slice(range), limits)
}

/// The pairs of a condition, with or without its question mark.
pub fn condition(text: &str) -> Vec<(String, String)> {
    let query = text.split_once('?').map_or(text, |(_, query)| query);
    pairs(query.as_bytes())
}

/// The version in `W/"…"`.
pub fn version(value: &str) -> Option<&str> {
    value
        .trim()
        .trim_start_matches("W/")
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
}
