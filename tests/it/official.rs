//! The official R4 examples (npm hl7.fhir.r4.examples 4.0.1) through the write path and back. They are
//! too large to be kept here: `R4_EXAMPLES` names their folder, as `.ci/run` gives it to `scripts/test`.

use crate::harness::{Start, Who};
use confide::{
    cli::import::Source,
    fhir::{
        Node, Resource,
        json::{Limits, Value, parse},
        outcome::Issue,
    },
    profile::{CheckLimits, check},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

/// The files of a folder that a variable names; nothing where it names none.
pub fn folder(variable: &str) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os(variable) else {
        return Vec::new();
    };
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{variable} names an empty folder");
    files
}

/// Each example that can be a record, by its file's name. Of a Bundle the entries are records; the
/// audit chain is the server's own; the other two are no records (`docs/conformance.md`).
pub fn records() -> Vec<(String, PathBuf, Resource)> {
    let none = ["AuditEvent", "Bundle", "OperationOutcome", "Parameters"];
    let mut found = Vec::new();
    for path in folder("R4_EXAMPLES") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let kind = name.split('-').next().unwrap();
        if !none.contains(&kind) {
            let resource = Resource::ours(fs::read(&path).unwrap()).unwrap();
            found.push((name, path, resource));
        }
    }
    found
}

fn words(issue: &Issue) -> String {
    let at = issue.expression.as_deref().unwrap_or_default();
    format!("{at}: {}", issue.text)
}

/// The checked-in problems, by file.
fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in include_str!("official/invalid.tsv").lines() {
        if row.starts_with('#') {
            continue;
        }
        let [name, problem, reason] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        assert!(!reason.is_empty());
        listed
            .entry(name.into())
            .or_default()
            .insert(problem.into());
    }
    listed
}

#[test]
fn the_official_examples_that_are_invalid_are_listed_with_their_reason() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let records = records();
    for (name, _, resource) in &records {
        for issue in check(resource, CheckLimits::default()) {
            found.entry(name.clone()).or_default().insert(words(&issue));
        }
    }
    if !records.is_empty() {
        assert_eq!(found, listed());
        assert!(records.len() > 400, "{}", records.len());
    }
}

/// What the server says of its own in `meta`, and keeps of the author's.
const SERVERS: [&str; 3] = ["versionId", "lastUpdated", "security"];

/// Whether two trees are the same JSON, numbers to the digit, the server's part of `meta` aside.
fn differs(sent: &Node, back: &Node, at: &str) -> Option<String> {
    let top = at.is_empty();
    let meta = at == ".meta";
    match (&sent.value, &back.value) {
        (Value::Object(has), Value::Object(got)) => {
            let skip = |name: &str| meta && SERVERS.contains(&name);
            for member in got {
                let known = sent.get(&member.name).is_some();
                if !known && !skip(&member.name) && !(top && &*member.name == "meta") {
                    return Some(format!("{at}.{} was added", member.name));
                }
            }
            has.iter().find_map(|member| {
                let path = format!("{at}.{}", member.name);
                if skip(&member.name) {
                    return None;
                }
                match back.get(&member.name) {
                    Some(node) => differs(&member.node, node, &path),
                    None => Some(format!("{path} is gone")),
                }
            })
        }
        (Value::Array(has), Value::Array(got)) if has.len() == got.len() => {
            let mut pairs = has.iter().zip(got).enumerate();
            pairs.find_map(|(n, (sent, back))| differs(sent, back, &format!("{at}[{n}]")))
        }
        (sent, back) if sent == back => None,
        _ => Some(format!("{at} is another")),
    }
}

#[tokio::test]
async fn every_official_example_is_read_back_as_it_was_written() {
    let invalid = listed();
    let mut records = records();
    records.retain(|(name, ..)| !invalid.contains_key(name));
    if records.is_empty() {
        return;
    }
    let sources = records
        .iter()
        .map(|(_, path, _)| Source::file(path.clone()));
    let server = Start::default().only(sources.collect()).go().await;
    let readers = [
        server.token(&Who::ehr()).await,
        server.token(&Who::staff()).await,
    ];
    let (mut wrong, mut unseen, mut compared) = (Vec::new(), Vec::new(), 0);
    for (name, _, sent) in &records {
        let key = sent.key().unwrap().to_string();
        let mut back = server.get(&key, &readers[0]).await;
        if back.status == 404 {
            back = server.get(&key, &readers[1]).await;
        }
        if back.status != 200 {
            unseen.push(format!("{name}: {}", back.status));
            continue;
        }
        let tree = parse(back.text().as_bytes(), Limits::default()).unwrap();
        compared += 1;
        wrong.extend(differs(sent.root(), &tree, "").map(|place| format!("{name}: {place}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unseen.is_empty(), "{}", unseen.join("\n"));
    assert!(compared > 400, "{compared}");
}

/// Synthea's bundles are real enough: nothing of them is refused, strict as the checks are.
#[test]
fn no_record_of_synthea_is_refused() {
    let files = folder("SYNTHEA_BUNDLES");
    let (mut refused, mut all) = (BTreeMap::new(), 0_u32);
    for file in &files {
        let bundle = Resource::ours(fs::read(file).unwrap()).unwrap();
        for node in bundle.nodes("entry.resource") {
            let text = node.slice(bundle.text()).to_vec();
            let resource = Resource::ours(text).unwrap();
            all += 1;
            for issue in check(&resource, CheckLimits::default()) {
                *refused.entry(words(&issue)).or_insert(0_u32) += 1;
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(files.is_empty() || all > 20_000, "{all}");
}

#[test]
fn a_difference_would_be_found() {
    let node = |text: &str| parse(text.as_bytes(), Limits::default()).unwrap();
    let sent = node(r#"{"a":1.50,"b":["x"],"meta":{"versionId":"1","tag":[]}}"#);
    let same = node(r#"{"meta":{"versionId":"2","security":[],"tag":[]},"b":["x"],"a":1.50}"#);
    assert_eq!(differs(&sent, &same, ""), None);
    for (text, place) in [
        (r#"{"a":1.5,"b":["x"],"meta":{"tag":[]}}"#, ".a is another"),
        (
            r#"{"a":1.50,"b":["x","y"],"meta":{"tag":[]}}"#,
            ".b is another",
        ),
        (r#"{"a":1.50,"b":["x"],"meta":{}}"#, ".meta.tag is gone"),
        (
            r#"{"a":1.50,"b":["x"],"c":1,"meta":{"tag":[]}}"#,
            ".c was added",
        ),
    ] {
        assert_eq!(differs(&sent, &node(text), "").as_deref(), Some(place));
    }
}
