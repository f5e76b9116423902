//! Writing: by whom, what comes back, and what is refused.

use crate::harness::{PUBLIC, Reply, Server, Start, Who, record};
use reqwest::Method;
use serde_json::{Value, json};

/// An app whose users may write about themselves.
pub fn member_app() -> Value {
    json!({
        "client_id": "it-member-writes", "client_name": "A member's app that writes", "role": "app",
        "grant_types": ["authorization_code"], "redirect_uris": ["http://127.0.0.1:4000/callback"],
        "scope": "patient/*.cruds", "token_endpoint_auth_method": "none", "jwks": {"keys": []},
        "purpose_of_use": ["PATRQT", "PWATRNY"], "state": "CA",
    })
}

/// Elena with that app.
pub fn elena_writes() -> Who {
    Who {
        patient: Some("rivera-elena".into()),
        ..Who::client("it-member-writes", "patient/*.cruds", "PATRQT").user("Patient/rivera-elena")
    }
}

fn condition(id: &str, text: &str) -> Value {
    json!({
        "resourceType": "Condition", "id": id,
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}], "text": text},
        "subject": {"reference": "Patient/rivera-maya"},
        "onsetDateTime": "2026-11-20",
    })
}

async fn put(server: &Server, token: &str, body: &Value, if_match: &str) -> Reply {
    let path = format!(
        "{}/{}",
        body["resourceType"].as_str().unwrap(),
        body["id"].as_str().unwrap()
    );
    let condition = [("if-match", if_match)];
    server
        .write(Method::PUT, &path, token, &condition, body.to_string())
        .await
}

#[tokio::test]
async fn a_provider_creates_reads_and_updates() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let made = server
        .post("Condition", &token, &condition("mine", "a cold"))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let place = made
        .header("location")
        .strip_prefix(&format!("{PUBLIC}/fhir/"))
        .unwrap()
        .to_owned();
    let (key, version) = place.split_once("/_history/").unwrap();
    assert_ne!(key, "Condition/mine");
    assert_eq!(made.header("etag"), format!("W/\"{version}\""));
    assert_eq!(made.keys(), [key]);
    let read = server.get(key, &token).await;
    assert_eq!(
        (read.status, read.header("etag")),
        (200, made.header("etag"))
    );
    assert_eq!(read.body, made.body);
    assert!(!read.header("last-modified").is_empty() && read.header("cache-control") == "no-store");
    let mut body = read.json();
    body["code"]["text"] = "a bad cold".into();
    let stale = put(&server, &token, &body, "W/\"stale\"").await;
    assert_eq!(stale.status, 412);
    let changed = put(&server, &token, &body, made.header("etag")).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(changed.header("etag"), made.header("etag"));
    assert_eq!(changed.json()["code"]["text"], "a bad cold");
    assert_eq!(
        put(&server, &token, &body, made.header("etag"))
            .await
            .status,
        412
    );
    let garbled = put(&server, &token, &body, "stale").await;
    assert_eq!(garbled.status, 400);
}

#[tokio::test]
async fn an_update_may_create_and_ids_must_agree() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let body = condition("it-new", "a cold");
    assert_eq!(put(&server, &token, &body, "W/\"1\"").await.status, 412);
    let made = server.put(&token, &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(
        made.header("location")
            .starts_with(&format!("{PUBLIC}/fhir/Condition/it-new"))
    );
    let again = server.put(&token, &body).await;
    assert_eq!(again.status, 200);
    for (path, kind) in [("Condition/other", "id"), ("Observation/it-new", "type")] {
        let reply = server
            .write(Method::PUT, path, &token, &[], body.to_string())
            .await;
        assert_eq!(reply.status, 400, "{kind}");
    }
    let mut nameless = body.clone();
    nameless.as_object_mut().unwrap().remove("id");
    let reply = server
        .write(
            Method::PUT,
            "Condition/it-new",
            &token,
            &[],
            nameless.to_string(),
        )
        .await;
    assert_eq!(reply.status, 400);
    let minimal = [("prefer", "return=minimal")];
    let reply = server
        .write(
            Method::PUT,
            "Condition/it-new",
            &token,
            &minimal,
            body.to_string(),
        )
        .await;
    assert_eq!((reply.status, reply.body.len()), (200, 0));
}

#[tokio::test]
async fn roles_and_scopes_bound_who_writes_what() {
    let server = Server::start().await;
    server.register(&member_app()).await;
    let body = condition("it-refused", "a cold");
    let coverage = record("Coverage/rivera-maya-coverage");
    let person = record("RelatedPerson/elena-for-maya");
    let read_only = Who {
        scope: "user/*.rs".into(),
        ..Who::ehr()
    };
    let narrow = Who {
        scope: "user/Observation.cruds".into(),
        ..Who::ehr()
    };
    let cases: Vec<(&str, Who, &Value)> = vec![
        (
            "member's app with read scope",
            Who::persona("maya", "member"),
            &body,
        ),
        ("subscriber", Who::persona("maya", "subscriber"), &body),
        ("plan", Who::persona("maya", "plan"), &body),
        ("auditor", Who::persona("maya", "auditor"), &body),
        ("member's app with write scope", elena_writes(), &body),
        ("provider with read scope", read_only, &body),
        ("provider with another type", narrow, &body),
        ("provider on Coverage", Who::ehr(), &coverage),
        ("provider on RelatedPerson", Who::ehr(), &person),
    ];
    for (who, token, body) in cases {
        let token = server.token(&token).await;
        let updated = server.put(&token, body).await;
        assert_eq!(updated.status, 403, "{who}: {updated:?}");
        let kind = body["resourceType"].as_str().unwrap();
        let created = server.post(kind, &token, body).await;
        assert_eq!(created.status, 403, "{who}: {created:?}");
    }
    let staff = server.token(&Who::staff()).await;
    assert_eq!(server.get("Condition/it-refused", &staff).await.status, 404);
    assert_eq!(server.put(&staff, &person).await.status, 200);
    for kind in ["Parameters", "OperationOutcome"] {
        let carrier = json!({"resourceType": kind});
        assert_eq!(server.post(kind, &staff, &carrier).await.status, 403);
    }
}

#[tokio::test]
async fn a_member_writes_their_own_consent() {
    let server = Server::start().await;
    server.register(&member_app()).await;
    let token = server.token(&elena_writes()).await;
    let mut consent = record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    let reply = server.put(&token, &consent).await;
    assert_eq!(reply.status, 200, "{}", reply.whole());
    let made = server.post("Consent", &token, &consent).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    consent["patient"]["reference"] = "Patient/rivera-luis".into();
    let reply = server.put(&token, &consent).await;
    assert_eq!(reply.status, 403, "{}", reply.whole());
}

#[tokio::test]
async fn an_authorization_that_can_not_be_honoured_is_told_what_is_missing() {
    let server = Server::start().await;
    server.register(&member_app()).await;
    let token = server.token(&elena_writes()).await;
    let mut consent = record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    consent["extension"] = json!([{"url": consent["extension"][0]["url"], "extension": [
        {"url": "typeface", "valueInteger": 8}, {"url": "separateDocument", "valueBoolean": true}]}]);
    let provision = consent["provision"]["provision"][0]
        .as_object_mut()
        .unwrap();
    provision.remove("period");
    consent["provision"]
        .as_object_mut()
        .unwrap()
        .remove("period");
    let before = server.get("Consent/elena-authorizes-daniel", &token).await;
    let reply = server.put(&token, &consent).await;
    assert_eq!(reply.status, 422, "{}", reply.whole());
    let issues = reply.json()["issue"].as_array().unwrap().clone();
    assert!(issues.len() >= 2, "{issues:?}");
    assert!(
        issues
            .iter()
            .all(|i| i["code"] == "business-rule" && i["diagnostics"].is_string())
    );
    let after = server.get("Consent/elena-authorizes-daniel", &token).await;
    assert_eq!(before.whole(), after.whole());
}

#[tokio::test]
async fn what_is_not_seen_whole_can_not_be_replaced() {
    let list = json!({
        "resourceType": "List", "id": "it-list", "status": "current", "mode": "working",
        "subject": {"reference": "Patient/rivera-maya"},
        "entry": [{"item": {"reference": "DocumentReference/maya-therapy-note"}},
                  {"item": {"reference": "Condition/maya-office-condition"}}],
    });
    let server = Start::default()
        .import(std::slice::from_ref(&list))
        .go()
        .await;
    let token = server.token(&Who::ehr()).await;
    let seen = server.get("List/it-list", &token).await;
    assert_eq!(seen.status, 200);
    assert!(!seen.text().contains("therapy-note"), "{}", seen.whole());
    let partial = server.put(&token, &list).await;
    let mut note = record("DocumentReference/maya-therapy-note");
    note["description"] = "taken".into();
    let hidden = server.put(&token, &note).await;
    assert_eq!((partial.status, hidden.status), (409, 409));
    assert_eq!(partial.whole(), hidden.whole());
    assert_eq!(hidden.says(), "The request conflicts with what is stored");
    // With a condition it is as an id that never was.
    let conditional = put(&server, &token, &note, "W/\"1\"").await;
    note["id"] = "never-was".into();
    let ghost = put(&server, &token, &note, "W/\"1\"").await;
    assert_eq!(
        (conditional.status, conditional.whole()),
        (412, ghost.whole())
    );
    let novak = server
        .token(&Who::ehr().user("Practitioner/dr-novak"))
        .await;
    let kept = server
        .get("DocumentReference/maya-therapy-note", &novak)
        .await;
    assert!(
        kept.status == 200 && !kept.text().contains("taken"),
        "{}",
        kept.whole()
    );
}

fn bundle(entries: &Value) -> Value {
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

#[tokio::test]
async fn a_transaction_is_written_whole_or_not_at_all() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let encounter = "urn:uuid:0193c1aa-0000-7000-8000-000000000001";
    let mut cold = condition("x", "a cold");
    cold.as_object_mut().unwrap().remove("id");
    cold["encounter"] = json!({"reference": encounter});
    let visit = json!({
        "resourceType": "Encounter", "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/rivera-maya"}, "period": {"start": "2026-11-20T10:00:00-08:00", "end": "2026-11-20T10:20:00-08:00"},
    });
    let good = bundle(&json!([
        {"fullUrl": encounter, "resource": visit, "request": {"method": "POST", "url": "Encounter"}},
        {"fullUrl": "urn:uuid:0193c1aa-0000-7000-8000-000000000002", "resource": cold, "request": {"method": "POST", "url": "Condition"}},
        {"resource": condition("it-put", "a cold"), "request": {"method": "PUT", "url": "Condition/it-put"}},
    ]));
    let reply = server.post("", &token, &good).await;
    assert_eq!(reply.status, 200, "{}", reply.whole());
    let answer = reply.json();
    assert_eq!(answer["type"], "transaction-response");
    let places: Vec<&str> = (0..3)
        .map(|at| {
            answer["entry"][at]["response"]["location"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert!(
        places[0].starts_with("Encounter/") && places[2].starts_with("Condition/it-put/_history/")
    );
    let made = server
        .get(places[1].split("/_history").next().unwrap(), &token)
        .await;
    let visit_key = places[0].split("/_history").next().unwrap();
    assert_eq!(made.json()["encounter"]["reference"], visit_key);

    let count = |reply: Reply| reply.json()["total"].as_u64().unwrap();
    let of = "Condition?patient=Patient/rivera-maya&_summary=count";
    let before = count(server.get(of, &token).await);
    let mut broken = cold.clone();
    broken["subject"] = json!(7);
    let mut note = record("DocumentReference/maya-therapy-note");
    note["description"] = "taken".into();
    for (bad, method, status) in [
        (broken, "POST", 400),
        (record("Coverage/rivera-maya-coverage"), "PUT", 403),
        (note, "PUT", 409),
    ] {
        let kind = bad["resourceType"].as_str().unwrap().to_owned();
        let url = match method {
            "PUT" => format!("{kind}/{}", bad["id"].as_str().unwrap()),
            _ => kind,
        };
        let all = bundle(&json!([
            {"resource": condition("it-never", "a cold"), "request": {"method": "PUT", "url": "Condition/it-never"}},
            {"resource": bad, "request": {"method": method, "url": url}},
        ]));
        let reply = server.post("", &token, &all).await;
        assert_eq!(reply.status, status, "{}", reply.whole());
        assert_eq!(count(server.get(of, &token).await), before);
        assert_eq!(server.get("Condition/it-never", &token).await.status, 404);
    }
}

#[tokio::test]
async fn a_search_ignores_nothing_unless_it_is_told_to() {
    let server = Server::start().await;
    let token = server.token(&Who::persona("maya", "member")).await;
    let path = "Condition?patient=rivera-maya&nonsense=1";
    let strict = server.get(path, &token).await;
    assert_eq!(strict.status, 400);
    assert!(strict.says().contains("nonsense"));
    let lenient = server
        .get_with(path, &token, &[("prefer", "handling=lenient")])
        .await;
    assert_eq!(lenient.status, 200);
    let own = lenient.json()["link"][0]["url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        own.contains("patient=rivera-maya") && !own.contains("nonsense"),
        "{own}"
    );
    let known = server
        .get_with(
            "Condition?subject:below=x",
            &token,
            &[("prefer", "handling=lenient")],
        )
        .await;
    assert_eq!(known.status, 400);
}

#[tokio::test]
async fn a_page_belongs_to_its_search_and_its_requester() {
    let server = Server::start().await;
    let member = server.token(&Who::persona("maya", "member")).await;
    let provider = server.token(&Who::persona("maya", "provider")).await;
    for first in [
        "Condition?patient=Patient/rivera-maya&_count=2",
        "Patient/rivera-maya/$everything?_count=2",
    ] {
        let next = server.get(first, &member).await.next().unwrap();
        assert_eq!(server.get(&next, &member).await.status, 200);
        let mut turned = next.clone();
        let last = turned.pop().unwrap();
        turned.push(if last == 'A' { 'B' } else { 'A' });
        let other = next.replace("_count=2", "_count=3");
        for wrong in [turned, other, format!("{next}x")] {
            let reply = server.get(&wrong, &member).await;
            assert_eq!(reply.status, 400, "{wrong}: {}", reply.whole());
        }
        assert_eq!(server.get(&next, &provider).await.status, 400);
    }
}

#[tokio::test]
async fn a_patient_scope_writes_about_the_patient_in_context_alone() {
    let server = Server::start().await;
    let client = json!({
        "client_id": "it-launched", "client_name": "Launched with a patient", "role": "provider",
        "organization": "Organization/valley-clinic", "state": "CA",
        "grant_types": ["authorization_code"], "redirect_uris": ["http://127.0.0.1:4000/callback"],
        "scope": "patient/*.cruds user/*.rs", "token_endpoint_auth_method": "none",
        "jwks": {"keys": []}, "purpose_of_use": ["TREAT"],
    });
    server.register(&client).await;
    let who = Who {
        patient: Some("rivera-maya".into()),
        ..Who::client("it-launched", "patient/*.cruds user/*.rs", "TREAT")
            .user("Practitioner/dr-lee")
    };
    let token = server.token(&who).await;
    let about = |id: &str, patient: &str| {
        let mut body = condition(id, "a cold");
        body["subject"]["reference"] = format!("Patient/{patient}").into();
        body
    };
    let mine = about("it-context", "rivera-maya");
    assert_eq!(server.post("Condition", &token, &mine).await.status, 201);
    assert_eq!(server.put(&token, &mine).await.status, 201);
    let other = about("it-context", "rivera-luis");
    for reply in [
        server.post("Condition", &token, &other).await,
        server.put(&token, &other).await,
    ] {
        assert_eq!(reply.status, 403, "{}", reply.whole());
    }
    let bundle = json!({
        "resourceType": "Bundle", "type": "transaction",
        "entry": [{"resource": other, "request": {"method": "POST", "url": "Condition"}}],
    });
    assert_eq!(server.post("", &token, &bundle).await.status, 403);
}

#[tokio::test]
async fn parameters_of_a_post_are_asked_like_those_of_a_query() {
    let server = Server::start().await;
    let token = server.token(&Who::persona("maya", "member")).await;
    let path = "Patient/rivera-maya/$everything";
    let asked = |name: &str, value: Value| {
        let mut parameter = json!({"name": name});
        let kind = if value.is_number() {
            "valueInteger"
        } else {
            "valueDate"
        };
        parameter[kind] = value;
        json!({"resourceType": "Parameters", "parameter": [parameter]})
    };
    let page = server.post(path, &token, &asked("_count", json!(2))).await;
    assert_eq!(page.status, 200, "{}", page.whole());
    let same = server.get(&format!("{path}?_count=2"), &token).await;
    assert_eq!(page.body, same.body);
    for (name, value) in [
        ("start", json!("2026-01-01")),
        ("_type", json!("Condition")),
    ] {
        let reply = server.post(path, &token, &asked(name, value)).await;
        assert_eq!(reply.status, 400, "{name}: ignoring it would return more");
    }
}

#[tokio::test]
async fn who_treats_is_told_each_time_that_records_may_be_withheld() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let member = server.token(&Who::persona("maya", "member")).await;
    let mut told = Vec::new();
    for path in [
        "Patient/rivera-maya",
        "Condition/never-was",
        "DocumentReference/maya-therapy-note",
        "Condition?patient=rivera-maya",
        "Condition?nonsense=1",
    ] {
        told.push(server.get(path, &ehr).await.header("warning").to_owned());
        let untold = server.get(path, &member).await;
        assert_eq!(untold.header("warning"), "", "{path}");
    }
    assert!(told[0].starts_with("299 confide"));
    assert!(told.iter().all(|word| *word == told[0]), "{told:?}");
}
