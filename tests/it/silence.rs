//! What is hidden is as what never was: ghosts, and a twin store that never held it.

use crate::{
    harness::{PUBLIC, Reply, Server, Start, Who, expectation, originals, texts},
    shapes::shapes,
};
use confide::cli::import::Source;
use reqwest::Method;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Everything but the path's own id, which a ghost can't share.
fn same(hidden: &Reply, ghost: &Reply) -> bool {
    hidden.whole() == ghost.whole()
}

#[tokio::test]
async fn a_hidden_record_is_read_as_one_that_never_was() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for section in ["maya", "elena", "daniel"] {
        for (persona, view) in expectation()[section]["personas"].as_object().unwrap() {
            let token = server.token(&Who::of(&view["token"])).await;
            for key in texts(&view["must_not_see"]) {
                let (kind, _) = key.split_once('/').unwrap();
                let ghost = server.get(&format!("{kind}/never-was"), &token).await;
                let hidden = server.get(&key, &token).await;
                if !same(&hidden, &ghost) {
                    wrong.push(format!(
                        "{section}/{persona} {key}\n{}\n{}",
                        hidden.whole(),
                        ghost.whole()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_hidden_patient_has_the_everything_of_one_who_never_was() {
    let server = Server::start().await;
    for (section, persona) in [
        ("maya", "subscriber"),
        ("maya", "member"),
        ("elena", "plan"),
        ("maya", "auditor"),
    ] {
        let token = server.token(&Who::persona(section, persona)).await;
        let ghost = server.get("Patient/never-was/$everything", &token).await;
        assert_eq!(ghost.status, 404);
        for hidden in ["Patient/okafor-tobi", "Patient/chen-lan"] {
            let reply = server.get(&format!("{hidden}/$everything"), &token).await;
            assert!(
                same(&reply, &ghost),
                "{section}/{persona}: {}",
                reply.whole()
            );
        }
    }
}

#[tokio::test]
async fn who_may_not_write_learns_nothing_of_an_id() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    let maya = &expectation()["maya"]["personas"];
    for (persona, view) in maya.as_object().unwrap() {
        let token = server.token(&Who::of(&view["token"])).await;
        for key in [
            "Encounter/maya-mh-encounter",
            "DocumentReference/maya-therapy-note",
            "Consent/maya-ccr",
            "Consent/lan-ccr",
            "Patient/okafor-tobi",
        ] {
            let (kind, id) = key.split_once('/').unwrap();
            let mut tried = Vec::new();
            for id in [id, "never-was"] {
                let body = format!("{{\"resourceType\":\"{kind}\",\"id\":\"{id}\"}}");
                let path = format!("{kind}/{id}");
                for condition in [&[][..], &[("if-match", "W/\"1\"")]] {
                    tried.push(
                        server
                            .write(Method::PUT, &path, &token, condition, body.clone())
                            .await,
                    );
                }
                tried.push(server.write(Method::DELETE, &path, &token, &[], "").await);
                tried.push(server.write(Method::PATCH, &path, &token, &[], "[]").await);
            }
            let (hidden, ghost) = tried.split_at(4);
            for (hidden, ghost) in hidden.iter().zip(ghost) {
                if !same(hidden, ghost) {
                    wrong.push(format!(
                        "{persona} {key}\n{}\n{}",
                        hidden.whole(),
                        ghost.whole()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A member who may write Consents about themselves, but no one else's.
#[tokio::test]
async fn a_member_learns_nothing_of_other_consents() {
    let server = Server::start().await;
    server.register(&crate::api::member_app()).await;
    let token = server.token(&crate::api::elena_writes()).await;
    let mut consent = crate::harness::record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    for condition in [&[][..], &[("if-match", "W/\"1\"")]] {
        let mut replies = Vec::new();
        for id in ["lan-ccr", "maya-ccr", "never-was"] {
            consent["id"] = id.into();
            let path = format!("Consent/{id}");
            let body = consent.to_string();
            replies.push(
                server
                    .write(Method::PUT, &path, &token, condition, body)
                    .await,
            );
        }
        assert!(
            same(&replies[0], &replies[2]),
            "{}\n{}",
            replies[0].whole(),
            replies[2].whole()
        );
        assert!(
            same(&replies[1], &replies[2]),
            "{}\n{}",
            replies[1].whole(),
            replies[2].whole()
        );
    }
    let mut outcomes = BTreeSet::new();
    for id in ["lan-ccr", "maya-ccr", "never-was"] {
        consent["id"] = id.into();
        let bundle = serde_json::json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": consent, "request": {"method": "PUT", "url": format!("Consent/{id}")}}]});
        outcomes.insert(server.post("", &token, &bundle).await.whole());
    }
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}

/// The hand-made record of the member as the persona's server shows it, or nothing.
async fn shown(server: &Server, token: &str, key: &str) -> Option<Value> {
    let reply = server.get(key, token).await;
    let mut body = (reply.status == 200).then(|| reply.json())?;
    if let Some(meta) = body["meta"].as_object_mut() {
        meta.remove("versionId");
        meta.remove("lastUpdated");
        if meta.is_empty() {
            body.as_object_mut().unwrap().shift_remove("meta");
        }
    }
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
fn bare(reply: &Reply) -> String {
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
                meta.remove("versionId");
                meta.remove("lastUpdated");
            }
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

async fn equal(section: &'static str, persona: &'static str) {
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
    for shape in &asked {
        let (here, there) = (
            shape.ask(&full, &token).await,
            shape.ask(&twin, &there).await,
        );
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
    equal("maya", "subscriber").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_enrollee_is_answered_as_by_a_store_that_never_held_what_is_hidden() {
    equal("maya", "enrollee").await;
}
