//! Versions: history, vread, delete. What a requester may not know of moves nothing that it sees.

use crate::harness::{Reply, Server, Who, expectation, record};
use reqwest::Method;
use serde_json::{Value, json};

const WEIGHT: &str = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},
    "subject":{"reference":"Patient/rivera-maya"},"valueQuantity":{"value":61.50,"unit":"kg"}}"#;

async fn delete(server: &Server, path: &str, token: &str) -> Reply {
    server.write(Method::DELETE, path, token, &[], "").await
}

fn version(reply: &Reply) -> String {
    let tag = reply.header("etag");
    let tag = tag.trim_start_matches("W/\"").trim_end_matches('"');
    tag.to_owned()
}

/// Method, version and whether there is a body, of each entry.
fn told(reply: &Reply) -> Vec<(String, String, bool)> {
    let body = reply.json();
    assert_eq!(body["type"], "history", "{body}");
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    let one = |entry: &Value| {
        let tag = entry["response"]["etag"].as_str().unwrap();
        let tag = tag.trim_start_matches("W/\"").trim_end_matches('"');
        (
            entry["request"]["method"].as_str().unwrap().to_owned(),
            tag.to_owned(),
            entry["resource"].is_object(),
        )
    };
    entries.iter().map(one).collect()
}

#[tokio::test]
async fn every_version_is_kept_and_a_deletion_is_one() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let made = server
        .write(Method::POST, "Observation", &ehr, &[], WEIGHT)
        .await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let key = made.keys().remove(0);
    let mut body = made.json();
    body["valueQuantity"]["value"] = json!(62);
    let second = server.put(&ehr, &body).await;
    assert_eq!(second.status, 200);
    let (one, two) = (version(&made), version(&second));
    let gone = delete(&server, &key, &ehr).await;
    assert_eq!((gone.status, gone.text()), (204, ""));
    let read = server.get(&key, &ehr).await;
    assert_eq!(read.status, 410, "{}", read.whole());
    assert_eq!(read.json()["resourceType"], "OperationOutcome");
    // Deleting what is deleted changes nothing.
    assert_eq!(delete(&server, &key, &ehr).await.status, 204);
    let history = server.get(&format!("{key}/_history"), &ehr).await;
    let entries = told(&history);
    assert_eq!(entries.len(), 3, "{entries:?}");
    assert_eq!((entries[0].0.as_str(), entries[0].2), ("DELETE", false));
    assert_eq!(entries[1], ("PUT".into(), two.clone(), true));
    assert_eq!(entries[2], ("PUT".into(), one.clone(), true));
    // 1.50 stays 1.50, also in the past.
    let first = server.get(&format!("{key}/_history/{one}"), &ehr).await;
    assert_eq!(first.status, 200);
    assert!(first.text().contains("\"value\":61.50"), "{}", first.text());
    assert_eq!(version(&first), one);
    let last = format!("{key}/_history/{}", entries[0].1);
    assert_eq!(server.get(&last, &ehr).await.status, 410);
    let never = server.get(&format!("{key}/_history/zz"), &ehr).await;
    assert_eq!(never.status, 404);
    // One by one, it is the same.
    let pages = server
        .pages(&format!("{key}/_history?_count=1"), &ehr)
        .await;
    let paged: Vec<_> = pages.iter().flat_map(told).collect();
    assert_eq!(paged, entries);
    let of_type = "Observation/_history?_since=2026-11-24T12:00:00Z&_count=2";
    let pages = server.pages(of_type, &ehr).await;
    let all: Vec<_> = pages.iter().flat_map(told).collect();
    for entry in &entries {
        assert_eq!(all.iter().filter(|seen| *seen == entry).count(), 1);
    }
    // It can be made again.
    let again = server.put(&ehr, &body).await;
    assert_eq!(again.status, 201, "{}", again.whole());
    assert_eq!(server.get(&key, &ehr).await.status, 200);
    let history = server.get(&format!("{key}/_history"), &ehr).await;
    assert_eq!(told(&history).len(), 4);
    // Whoever might not see it is told nothing of it, ever.
    let enrollee = server.token(&Who::persona("maya", "enrollee")).await;
    let ghost = server.get("Observation/zz-never-was", &enrollee).await;
    delete(&server, &key, &ehr).await;
    assert_eq!(server.get(&key, &enrollee).await.whole(), ghost.whole());
    let path = format!("{key}/_history");
    assert_eq!(server.get(&path, &enrollee).await.whole(), ghost.whole());
    let member = server.token(&Who::persona("maya", "member")).await;
    assert_eq!(server.get(&key, &member).await.status, 410);
}

#[tokio::test]
async fn since_and_at_choose_versions_by_time() {
    const DAY: i64 = 86_400_000_000;
    let server = Server::start().await;
    let mut body: Value = serde_json::from_str(WEIGHT).unwrap();
    body["id"] = "weight-of-days".into();
    let mut server = server;
    for day in 1..4 {
        let now = crate::harness::NOW + day * DAY;
        server = server.restart_at(now).await;
        let ehr = server.token(&Who::ehr()).await;
        body["valueQuantity"]["value"] = json!(60 + day);
        let put = server.put(&ehr, &body).await;
        assert!([200, 201].contains(&put.status), "{}", put.whole());
    }
    let ehr = server.token(&Who::ehr()).await;
    // Written at noon UTC of November 25, 26 and 27.
    for (query, expected) in [
        ("", 3),
        ("?_since=2026-11-26", 2),
        ("?_since=2026-11-27T12:00:00Z", 1),
        ("?_since=2026-11-28", 0),
        ("?_at=2026-11-26T00:00:00Z", 1),
        ("?_at=2026-11-26", 2),
        ("?_at=2026-11-24", 0),
        ("?_at=2027", 1),
        ("?_count=0", 0),
    ] {
        let path = format!("Observation/weight-of-days/_history{query}");
        let reply = server.get(&path, &ehr).await;
        assert_eq!(reply.status, 200, "{query}: {}", reply.whole());
        assert_eq!(told(&reply).len(), expected, "{query}");
        if query.is_empty() || query.contains("count") {
            continue;
        }
        let path = format!("Observation/_history{query}&_count=1000");
        let all = server.get(&path, &ehr).await;
        let ours = |entry: &&Value| entry["request"]["url"] == "Observation/weight-of-days";
        let all = all.json()["entry"].as_array().cloned().unwrap_or_default();
        assert_eq!(all.iter().filter(ours).count(), expected, "{query}");
    }
    for query in ["?_since=x", "?_count=-1", "?nonsense=1", "?_cursor=AAAA"] {
        let path = format!("Observation/weight-of-days/_history{query}");
        assert_eq!(server.get(&path, &ehr).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_households_history_stands_still_while_what_it_may_not_know_changes() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let father = server.token(&Who::persona("maya", "subscriber")).await;
    let mixed = "ExplanationOfBenefit/maya-eob-2026-08-12";
    let paths = [
        format!("{mixed}/_history"),
        "ExplanationOfBenefit/_history?_count=1000".to_owned(),
        "_history?_count=1000".to_owned(),
        "Encounter/_history".to_owned(),
    ];
    // Once with the numbers as this test writes them.
    server.put(&ehr, &record(mixed)).await;
    server
        .put(&ehr, &record("Encounter/maya-mh-encounter"))
        .await;
    let mut before = Vec::new();
    for path in &paths {
        before.push(server.get(path, &father).await.whole());
    }
    let hidden = "Encounter/maya-mh-encounter";
    for (at, key) in [(0, mixed), (1, mixed), (2, hidden), (3, hidden)] {
        let mut changed = record(key);
        if key == mixed {
            changed["disposition"] = format!("Processed otherwise, {at}").into();
        } else {
            changed["length"] = json!({"value": 40 + at, "unit": "min"});
        }
        let put = server.put(&ehr, &changed).await;
        assert_eq!(put.status, 200, "{}", put.whole());
    }
    for (path, before) in paths.iter().zip(&before) {
        assert_eq!(server.get(path, &father).await.whole(), *before, "{path}");
    }
    let seen = server.get(&format!("{mixed}/_history"), &ehr).await;
    assert_eq!(told(&seen).len(), 4);
    let seen = server.get(&format!("{mixed}/_history"), &father).await;
    assert_eq!(told(&seen).len(), 2);
    let own = version(&server.get(mixed, &father).await);
    let path = format!("{mixed}/_history/{own}");
    assert_eq!(server.get(&path, &father).await.status, 200);
    // Versions that only others know of are ghosts.
    let theirs = version(&server.get(mixed, &ehr).await);
    let ghost = server.get(&format!("{mixed}/_history/zz"), &father).await;
    let path = format!("{mixed}/_history/{theirs}");
    assert_eq!(server.get(&path, &father).await.whole(), ghost.whole());
    // And what it sees moves it.
    let mut changed = record(mixed);
    changed["created"] = "2026-11-23".into();
    server.put(&ehr, &changed).await;
    let seen = server.get(&format!("{mixed}/_history"), &father).await;
    let versions = told(&seen);
    assert_eq!(versions.len(), 3);
    for (_, version, _) in versions {
        let path = format!("{mixed}/_history/{version}");
        let read = server.get(&path, &father).await;
        assert_eq!(read.status, 200);
        assert!(!read.text().contains("Processed otherwise"));
    }
}

#[tokio::test]
async fn an_old_version_is_judged_by_the_labels_of_today() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let mother = server.token(&Who::persona("maya", "representative")).await;
    let office = "Condition/maya-office-condition";
    assert_eq!(server.get(office, &mother).await.status, 200);
    let first = version(&server.get(office, &mother).await);
    // Its second version says what the mother may not know.
    let mut changed = record(office);
    changed["code"] = record("Condition/maya-mh-condition")["code"].clone();
    assert_eq!(server.put(&ehr, &changed).await.status, 200);
    let ghost = server.get("Condition/zz-never-was", &mother).await.whole();
    for path in [
        office.to_owned(),
        format!("{office}/_history"),
        format!("{office}/_history/{first}"),
    ] {
        assert_eq!(server.get(&path, &mother).await.whole(), ghost, "{path}");
    }
    // Corrected, its middle version stays hidden.
    let third = server.put(&ehr, &record(office)).await;
    assert_eq!(third.status, 200);
    let theirs = server.get(&format!("{office}/_history"), &ehr).await;
    let theirs = told(&theirs);
    assert_eq!(theirs.len(), 3);
    let hers = server.get(&format!("{office}/_history"), &mother).await;
    for word in crate::harness::texts(
        &expectation()["maya"]["personas"]["representative"]["forbidden_markers"],
    ) {
        assert!(!hers.text().contains(&word), "{word}");
    }
    let path = format!("{office}/_history/{}", theirs[1].1);
    assert_eq!(server.get(&path, &mother).await.whole(), ghost);
}

#[tokio::test]
async fn a_version_about_another_patient_is_neither_ones() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let member = server.token(&Who::persona("maya", "member")).await;
    let mut body: Value = serde_json::from_str(WEIGHT).unwrap();
    body["id"] = "mistaken".into();
    body["subject"]["reference"] = "Patient/rivera-elena".into();
    assert_eq!(server.put(&ehr, &body).await.status, 201);
    body["subject"]["reference"] = "Patient/rivera-maya".into();
    assert_eq!(server.put(&ehr, &body).await.status, 200);
    let history = server.get("Observation/mistaken/_history", &member).await;
    assert_eq!(told(&history).len(), 1);
    assert!(!history.text().contains("elena"));
}

/// Whatever is asked about a record that a persona may not know of, the answer is that of one that
/// never was.
#[tokio::test]
async fn every_interaction_with_a_hidden_record_is_that_of_a_ghost() {
    let server = Server::start().await;
    let personas = expectation()["maya"]["personas"].as_object().unwrap();
    for (name, persona) in personas {
        let mut who = Who::persona("maya", name);
        who.scope = who.scope.replace(".rs", ".cruds");
        let token = server.token(&who).await;
        let hidden = crate::harness::texts(&persona["must_not_see"]);
        for key in hidden.iter().take(4) {
            let (kind, id) = key.split_once('/').unwrap();
            let mut compared = 0;
            for (method, path) in [
                (Method::GET, ""),
                (Method::HEAD, ""),
                (Method::GET, "/_history"),
                (Method::GET, "/_history/1"),
                (Method::DELETE, ""),
                (Method::PATCH, ""),
                (Method::DELETE, "?"),
            ] {
                let patch = [("content-type", "application/json-patch+json")];
                let ask = async |id: &str| {
                    let path = match path {
                        "?" => format!("{kind}?_id={id}"),
                        path => format!("{kind}/{id}{path}"),
                    };
                    let body = r#"[{"op":"test","path":"/id","value":"x"}]"#;
                    let bearer = format!("Bearer {token}");
                    let headers = [("authorization", bearer.as_str()), patch[0]];
                    let path = format!("/fhir/{path}");
                    let method = method.clone();
                    server.send(method, &path, &headers, body.into()).await
                };
                let (here, ghost) = (ask(id).await, ask("zz-never-was").await);
                assert_eq!(here.whole(), ghost.whole(), "{name}: {method} {key}{path}");
                compared += 1;
            }
            assert_eq!(compared, 7);
            assert!(server.get(key, &token).await.status == 404);
        }
    }
}

#[tokio::test]
async fn a_delete_needs_the_right_and_the_whole() {
    let server = Server::start().await;
    let office = "Observation/maya-office-observation";
    for scope in ["user/*.rs", "user/*.crus"] {
        let who = Who::client("demo-ehr", scope, "TREAT").user("Practitioner/dr-lee");
        let token = server.token(&who).await;
        assert_eq!(delete(&server, office, &token).await.status, 403);
    }
    let ehr = server.token(&Who::ehr()).await;
    // A type that providers may not write.
    assert_eq!(
        delete(&server, "Patient/rivera-maya", &ehr).await.status,
        403
    );
    let stale = [("if-match", "W/\"stale\"")];
    let refused = server.write(Method::DELETE, office, &ehr, &stale, "").await;
    assert_eq!(refused.status, 412);
    let now = server.get(office, &ehr).await.header("etag").to_owned();
    let fresh = [("if-match", now.as_str())];
    let done = server.write(Method::DELETE, office, &ehr, &fresh, "").await;
    assert_eq!(done.status, 204);
    // A member deletes what is theirs to write, and no one else's.
    let app = json!({"client_id": "writing-app", "client_name": "An app that writes", "role": "app",
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []},
        "scope": "patient/*.cruds", "purpose_of_use": ["PATRQT"]});
    server.register(&app).await;
    let mut member = Who::persona("maya", "member");
    member.client = "writing-app".into();
    member.scope = "patient/*.cruds".into();
    let member = server.token(&member).await;
    assert_eq!(
        delete(&server, "Consent/maya-ccr", &member).await.status,
        204
    );
    let other = server.get("Consent/zz-never-was", &member).await;
    let elena = delete(&server, "Consent/elena-authorizes-daniel", &member).await;
    assert_eq!((elena.status, elena.text()), (404, other.text()));
    let weight = delete(&server, "Condition/maya-office-condition", &member).await;
    assert_eq!(weight.status, 403);
}
