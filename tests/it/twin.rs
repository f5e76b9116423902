//! A second server that never held what is hidden answers every shape of request the same.

use crate::{
    harness::{PUBLIC, Reply, Server, Start, Who, expectation, originals},
    shapes::shapes,
};
use confide::cli::import::Source;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// The hand-made record of the member as the persona's server shows it, or nothing.
async fn shown(server: &Server, token: &str, key: &str) -> Option<Value> {
    let reply = server.get(key, token).await;
    let mut body = (reply.status == 200).then(|| reply.json())?;
    // What the server adds, labels among it, is its own again there.
    body.as_object_mut().unwrap().shift_remove("meta");
    Some(body)
}

/// A store that never held what is hidden: hidden records are not there, cut ones as they are shown.
async fn twin(full: &Server, token: &str, section: &str) -> Server {
    let mut known: BTreeMap<String, Option<Value>> = BTreeMap::new();
    for record in expectation()[section]["records"].as_array().unwrap() {
        let key = record["ref"].as_str().unwrap();
        let mixed = record["mixed"] == true;
        let seen = shown(full, token, key).await;
        match seen {
            // Who is hidden is a patient of the household all the same: the relations name them.
            None if key.starts_with("Patient/") => continue,
            None => known.insert(key.to_owned(), None),
            Some(body) if mixed => known.insert(key.to_owned(), Some(body)),
            Some(_) => continue,
        };
    }
    let mut sources = Vec::new();
    let mut lines = String::new();
    for original in originals() {
        let mut original = original.clone();
        if original["resourceType"] == "Bundle" {
            let name = format!("{}.json", sources.len());
            sources.push(Source::bytes(name, original.to_string().into_bytes()));
            continue;
        }
        let key = format!(
            "{}/{}",
            original["resourceType"].as_str().unwrap(),
            original["id"].as_str().unwrap()
        );
        match known.remove(&key) {
            Some(None) => continue,
            Some(Some(body)) => original = body,
            None => {}
        }
        lines.push_str(&original.to_string());
        lines.push('\n');
    }
    assert!(known.is_empty(), "{known:?}");
    sources.push(Source::bytes("households.ndjson", lines.into_bytes()));
    Start::default().only(sources).go().await
}

/// A reply without versions, times and cursors.
pub fn bare(reply: &Reply) -> String {
    let mut text = format!("{} {}\n", reply.status, reply.header("content-type"));
    match serde_json::from_slice::<Value>(&reply.body) {
        Ok(mut body) => {
            strip(&mut body);
            text.push_str(&serde_json::to_string_pretty(&body).unwrap());
        }
        Err(_) => text.push_str(&String::from_utf8_lossy(&reply.body)),
    }
    text
}

fn strip(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(members) => {
            if let Some(meta) = members.get_mut("meta").and_then(Value::as_object_mut) {
                for name in ["versionId", "lastUpdated", "security", "tag"] {
                    meta.remove(name);
                }
            }
            // In the response of a history's entry.
            members.remove("etag");
            members.remove("lastModified");
            members.values_mut().for_each(strip);
        }
        Value::String(text) if text.starts_with(PUBLIC) => {
            if let Some((before, _)) = text.split_once("_cursor=") {
                *text = before.to_owned();
            }
        }
        _ => {}
    }
}

/// `every` is 1 for all shapes, else that each so many-th is asked.
async fn equal(section: &'static str, persona: &'static str, every: usize) {
    let who = Who::persona(section, persona);
    let full = Arc::new(Server::start().await);
    let token = full.token(&who).await;
    let twin = twin(&full, &token, section).await;
    let there = twin.token(&who).await;
    let list = expectation()[section]["records"].as_array().unwrap().iter();
    let records: Vec<String> = list
        .map(|r| r["ref"].as_str().unwrap().to_owned())
        .collect();
    let asked = shapes(&format!("Patient/rivera-{section}"), &records);
    assert!(asked.len() >= 200);
    let mut wrong = Vec::new();
    let household = ["subscriber", "enrollee"].contains(&persona);
    for shape in asked.iter().step_by(every) {
        let (here, there) = (
            shape.ask(&full, &token).await,
            shape.ask(&twin, &there).await,
        );
        for reply in here.iter().filter(|_| household) {
            // No label and no sign that anything was taken out.
            for told in ["\"SUBSETTED\"", "\"REDACTED\"", "\"security\":["] {
                assert!(!reply.text().contains(told), "{shape:?}: {told}");
            }
        }
        let bare = |replies: &[Reply]| replies.iter().map(bare).collect::<Vec<_>>();
        let (one, other) = (bare(&here), bare(&there));
        if one != other {
            let at = one.iter().zip(&other).position(|(a, b)| a != b);
            let at = at.unwrap_or(one.len().min(other.len()));
            wrong.push(format!(
                "{shape:?} page {at}\nHERE {:?}\nTWIN {:?}",
                one.get(at),
                other.get(at)
            ));
        }
    }
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {}\n{shown}",
        wrong.len(),
        asked.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subscriber_is_answered_as_by_a_store_that_never_held_what_is_hidden() {
    equal("maya", "subscriber", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_enrollee_is_answered_as_by_a_store_that_never_held_what_is_hidden() {
    equal("maya", "enrollee", 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_representative_is_answered_as_by_a_store_that_never_held_what_is_hidden() {
    equal("maya", "representative", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_is_answered_as_by_a_store_that_never_held_what_is_hidden() {
    equal("maya", "plan", 4).await;
}
