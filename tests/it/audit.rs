//! The audit chain as the outside sees it: what each act leaves, that no reply goes without, and that
//! alterations are found. And `$evaluate`, by which auditors learn why.

use crate::harness::{Server, Start, Who, expectation, record};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::Value;
use std::path::Path;

/// Runs the program over a server's data.
fn confide(data: &Path, arguments: &[&str]) -> (i32, String) {
    let ran = crate::harness::program()
        .args(arguments)
        .current_dir(data)
        .env("CONFIDE_DATA_DIR", data)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    (ran.status.code().unwrap(), text)
}

/// The references of an entry's entities.
fn named(event: &Value) -> Vec<&str> {
    let entities = event["entity"].as_array().into_iter().flatten();
    entities
        .filter_map(|e| e["what"]["reference"].as_str())
        .collect()
}

fn interaction(event: &Value) -> &str {
    let subtypes = event["subtype"].as_array().unwrap();
    subtypes.last().unwrap()["code"].as_str().unwrap()
}

async fn newest(server: &Server, auditor: &str) -> Value {
    let log = server.get("AuditEvent?_count=1", auditor).await;
    assert_eq!(log.status, 200, "{}", log.whole());
    log.json()["entry"][0]["resource"].clone()
}

#[tokio::test]
async fn each_act_leaves_an_entry_that_names_record_patient_and_who() {
    let server = Server::start().await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let ehr = server.token(&Who::ehr()).await;
    let patient = "Patient/rivera-maya";
    for (path, status, act, expected) in [
        (
            "Condition/maya-office-condition",
            200,
            "read",
            vec!["Condition/maya-office-condition", patient],
        ),
        ("Condition/never-was", 404, "read", vec![]),
        ("DocumentReference/maya-therapy-note", 404, "read", vec![]),
        (
            "Condition?_id=maya-office-condition",
            200,
            "search-type",
            vec!["Condition/maya-office-condition", patient],
        ),
        ("Condition?_id=never-was", 200, "search-type", vec![]),
    ] {
        assert_eq!(server.get(path, &ehr).await.status, status, "{path}");
        let event = newest(&server, &auditor).await;
        assert_eq!(interaction(&event), act);
        let mut names = named(&event);
        names.retain(|name| !name.contains("/_history/") || !expected.is_empty());
        for key in expected {
            let found = names
                .iter()
                .any(|name| name.split("/_history").next() == Some(key));
            assert!(found, "{path}: no {key} in {event}");
        }
        assert_eq!(event["agent"][0]["who"]["reference"], "Practitioner/dr-lee");
        assert!(event.to_string().contains("demo-ehr"));
        assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
        assert_eq!(event["outcome"], if status == 200 { "0" } else { "4" });
        let read = server
            .get(
                &format!("AuditEvent/{}", event["id"].as_str().unwrap()),
                &auditor,
            )
            .await;
        assert_eq!((read.status, read.json()), (200, event));
    }
    let all = server
        .get("Patient/rivera-maya/$everything?_count=1000", &ehr)
        .await;
    let log = server.get("AuditEvent?_count=20", &auditor).await;
    for key in all.keys() {
        let pointer = format!("\"reference\":\"{key}");
        assert!(
            log.text().contains(&pointer),
            "{key} was given out without an entry"
        );
    }
    let mut body = record("Condition/maya-office-condition");
    body["note"] = serde_json::json!([{"text": "better"}]);
    assert_eq!(server.put(&ehr, &body).await.status, 200);
    let log = server
        .get("AuditEvent?patient=rivera-maya&_count=4", &auditor)
        .await;
    let acts: Vec<String> = log.json()["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| interaction(&e["resource"]).to_owned())
        .collect();
    assert!(acts.contains(&"update".to_owned()), "{acts:?}");
}

#[tokio::test]
async fn only_auditors_read_the_chain() {
    let server = Server::start().await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let place = newest(&server, &auditor).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for persona in [
        "member",
        "subscriber",
        "enrollee",
        "representative",
        "provider",
        "plan",
    ] {
        let token = server.token(&Who::persona("maya", persona)).await;
        let entry = server.get(&format!("AuditEvent/{place}"), &token).await;
        let ghost = server.get("AuditEvent/77-77", &token).await;
        assert_eq!(
            (entry.status, entry.whole()),
            (404, ghost.whole()),
            "{persona}"
        );
        let all = "AuditEvent?patient=rivera-maya&_total=accurate";
        let found = server.get(all, &token).await;
        assert_eq!(
            (found.status, &found.json()["total"], found.next()),
            (200, &0.into(), None),
            "{persona}"
        );
    }
}

#[tokio::test]
async fn pages_of_the_chain_stand_still_while_it_grows() {
    let server = Server::start().await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let ehr = server.token(&Who::ehr()).await;
    for _ in 0..5 {
        server.get("Patient/rivera-maya", &ehr).await;
    }
    let pages = server
        .pages("AuditEvent?patient=rivera-maya&_count=2", &auditor)
        .await;
    let total = pages[0].json()["total"].as_u64().unwrap();
    let mut keys: Vec<String> = pages.iter().flat_map(|page| page.keys()).collect();
    assert_eq!(keys.len() as u64, total);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len() as u64, total);
    assert!(total >= 5);
}

#[tokio::test]
async fn nothing_goes_out_and_nothing_is_written_without_its_entry() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let body = {
        let mut body = record("Condition/maya-office-condition");
        body["id"] = "it-unaudited".into();
        body
    };
    let log = Connection::open(server.data.join("audit.db")).unwrap();
    log.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    .unwrap();
    for path in [
        "Condition/maya-office-condition",
        "Condition/never-was",
        "Condition?patient=Patient/rivera-maya",
        "Condition?_summary=count",
        "Patient/rivera-maya/$everything",
        "Patient/never-was/$everything",
    ] {
        let reply = server.get(path, &ehr).await;
        assert_eq!(reply.status, 503, "{path}");
        assert!(!reply.header("retry-after").is_empty());
        assert_eq!(reply.json()["resourceType"], "OperationOutcome");
        assert!(
            !reply.whole().contains("zq") && !reply.text().contains("full"),
            "{}",
            reply.whole()
        );
    }
    for path in [
        "AuditEvent?_count=1",
        "Consent/$evaluate?client=demo-ehr&record=Condition/maya-mh-condition",
    ] {
        assert_eq!(server.get(path, &auditor).await.status, 503, "{path}");
    }
    let put = server.put(&ehr, &body).await;
    let post = server.post("Condition", &ehr, &body).await;
    assert_eq!((put.status, post.status), (503, 503));
    log.execute_batch("DROP TRIGGER full").unwrap();
    let found = server.get("Condition/maya-office-condition", &ehr).await;
    assert_eq!(found.status, 200, "{}", found.whole());
    assert_eq!(
        server.get("Condition/it-unaudited", &ehr).await.status,
        404,
        "written without its entry"
    );
}

#[tokio::test]
async fn what_was_altered_in_the_chain_is_found() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    for key in [
        "Condition/maya-office-condition",
        "Condition/maya-mh-condition",
        "Patient/rivera-maya",
    ] {
        assert_eq!(server.get(key, &ehr).await.status, 200);
    }
    let (folder, config) = server.stop().await;
    let (code, told) = confide(&config.data_dir, &["audit", "verify"]);
    assert!(code == 0 && told.starts_with("whole: "), "{told}");
    let log = Connection::open(config.data_dir.join("audit.db")).unwrap();
    let find = "SELECT id FROM audit_entry WHERE body LIKE '%maya-mh-condition%'";
    let id: i64 = log.query_row(find, [], |row| row.get(0)).unwrap();
    let original: String = log
        .query_row("SELECT body FROM audit_entry WHERE id = ?1", [id], |r| {
            r.get(0)
        })
        .unwrap();
    let set = |body: &str| {
        log.execute("UPDATE audit_entry SET body = ?1 WHERE id = ?2", (body, id))
            .unwrap()
    };
    set(&original.replace("maya-mh-condition", "maya-office-condition"));
    let (code, told) = confide(&config.data_dir, &["audit", "verify", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (code, &told["ok"], &told["what"]),
        (1, &false.into(), &"altered".into()),
        "{told}"
    );
    set(&original);
    assert_eq!(confide(&config.data_dir, &["audit", "verify"]).0, 0);
    log.execute("DELETE FROM audit_entry WHERE id = ?1", [id])
        .unwrap();
    let (code, told) = confide(&config.data_dir, &["audit", "verify"]);
    assert!(code == 1 && told.starts_with("BROKEN: "), "{told}");
    drop(folder);
}

/// The value of a parameter.
fn value(answer: &Value, name: &str) -> String {
    let parameters = answer["parameter"].as_array().unwrap();
    let found = parameters.iter().find(|p| p["name"] == name);
    let value = found.map_or(&Value::Null, |p| {
        if p["valueCode"].is_null() {
            &p["valueCoding"]["code"]
        } else {
            &p["valueCode"]
        }
    });
    value.as_str().unwrap_or_default().to_owned()
}

fn question(who: &Who, record: &str) -> String {
    let mut query = format!("Consent/$evaluate?client={}&record={record}", who.client);
    for (name, text) in [
        ("purpose", &who.purpose),
        ("user", &who.user),
        ("patient", &who.patient),
        ("scope", &Some(who.scope.clone())),
    ] {
        if let Some(text) = text {
            query.push_str(&format!("&{name}={text}"));
        }
    }
    query
}

#[tokio::test]
async fn an_auditor_learns_what_was_decided_and_why() {
    let server = Server::start().await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let mut out = String::new();
    for section in ["maya", "elena"] {
        for (persona, view) in expectation()[section]["personas"].as_object().unwrap() {
            out.push_str(&format!("{section}/{persona}\n"));
            let who = Who::of(&view["token"]);
            let token = server.token(&who).await;
            for known in expectation()[section]["records"].as_array().unwrap() {
                let key = known["ref"].as_str().unwrap();
                let reply = server.get(&question(&who, key), &auditor).await;
                assert_eq!(reply.status, 200, "{key}: {}", reply.whole());
                assert!(!reply.text().contains("zq"), "{}", reply.whole());
                let answer = reply.json();
                let outcome = value(&answer, "outcome");
                // It says what the server does.
                let read = server.get(key, &token).await.status;
                assert_eq!(
                    outcome.starts_with("permit"),
                    read == 200,
                    "{persona} {key}: {outcome}"
                );
                let shown = known["category"].as_str().unwrap();
                out.push_str(&format!(
                    "  {outcome:15}{:34}{shown:27}{key}\n",
                    value(&answer, "reason")
                ));
            }
        }
    }
    insta::assert_snapshot!("evaluate", out);
}

#[tokio::test]
async fn only_auditors_ask_why_and_a_bad_question_is_told() {
    let server = Start::default().go().await;
    let good = question(
        &Who::persona("maya", "subscriber"),
        "Encounter/maya-mh-encounter",
    );
    for persona in [
        "member",
        "subscriber",
        "enrollee",
        "representative",
        "provider",
        "plan",
    ] {
        let token = server.token(&Who::persona("maya", persona)).await;
        assert_eq!(server.get(&good, &token).await.status, 403, "{persona}");
    }
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    for (bad, status) in [
        ("Consent/$evaluate", 400),
        ("Consent/$evaluate?client=demo-ehr", 400),
        (
            "Consent/$evaluate?client=nobody&record=Patient/rivera-maya",
            400,
        ),
        (
            "Consent/$evaluate?client=demo-ehr&purpose=COC&record=Patient/rivera-maya",
            400,
        ),
        (
            "Consent/$evaluate?client=demo-ehr&purpose=x&record=Patient/rivera-maya",
            400,
        ),
        (
            "Consent/$evaluate?client=demo-ehr&nonsense=x&record=Patient/rivera-maya",
            400,
        ),
        ("Consent/$evaluate?client=demo-ehr&record=x", 400),
        (
            "Consent/$evaluate?client=demo-ehr&record=Patient/never-was",
            404,
        ),
    ] {
        assert_eq!(server.get(bad, &auditor).await.status, status, "{bad}");
    }
    let parameters = serde_json::json!({"resourceType": "Parameters", "parameter": [
        {"name": "client", "valueString": "demo-ehr"}, {"name": "purpose", "valueCode": "ETREAT"},
        {"name": "break-glass-reason", "valueString": "x"},
        {"name": "record", "valueReference": {"reference": "Encounter/elena-su-encounter"}}]});
    let posted = server
        .write(
            Method::POST,
            "Consent/$evaluate",
            &auditor,
            &[],
            parameters.to_string(),
        )
        .await;
    assert_eq!(
        value(&posted.json(), "outcome"),
        "permit",
        "{}",
        posted.whole()
    );
}

/// AuditEvents of other systems are ordinary records; ours are nobody's to write.
#[tokio::test]
async fn audit_events_of_others_are_records_and_ours_are_not() {
    let foreign = |id: &str| {
        serde_json::json!({"resourceType": "AuditEvent", "id": id, "recorded": "2026-03-01T00:00:00Z",
            "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
            "agent": [{"requestor": true, "who": {"display": "another system"}}],
            "source": {"observer": {"display": "another system"}},
            "entity": [{"what": {"reference": "Patient/rivera-maya"}}]})
    };
    let more = [foreign("from-elsewhere"), foreign("from-afar")];
    let server = Start::default().import(&more).go().await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let (staff, ehr) = (
        server.token(&Who::staff()).await,
        server.token(&Who::ehr()).await,
    );
    let read = server.get("AuditEvent/from-elsewhere", &auditor).await;
    assert_eq!(read.status, 200, "{}", read.whole());
    // Ours first, then those of others; each once, and the total is theirs together.
    let before = server
        .get("AuditEvent?date=le2026-03-02&_count=1", &auditor)
        .await
        .json();
    assert_eq!(before["total"], 2, "{before}");
    let pages = server
        .pages("AuditEvent?patient=rivera-maya&_count=1", &auditor)
        .await;
    let keys: Vec<String> = pages.iter().flat_map(|page| page.keys()).collect();
    let total = pages[0].json()["total"].as_u64().unwrap();
    assert_eq!(u64::try_from(keys.len()).unwrap(), total, "{keys:?}");
    let foreign_last = keys[keys.len() - 2..]
        .iter()
        .all(|key| key.contains("from-"));
    assert!(foreign_last && total > 2, "{keys:?}");
    // A patient's is seen as the patient's other records are; to the household it is as if it never was.
    let treating = server
        .get("AuditEvent?patient=rivera-maya&type=rest", &ehr)
        .await;
    assert_eq!(treating.keys().len(), 2);
    let subscriber = server.token(&Who::persona("maya", "subscriber")).await;
    for token in [&subscriber] {
        let there = server.get("AuditEvent/from-elsewhere", token).await;
        let ghost = server.get("AuditEvent/never-was", token).await;
        assert_eq!((there.status, there.body), (ghost.status, ghost.body));
        let found = server.get("AuditEvent?patient=rivera-maya", token).await;
        assert_eq!((found.status, found.keys().len()), (200, 0));
    }
    // Staff writes one; a provider does not. Nobody writes where ours are.
    let mut unnamed = foreign("x");
    unnamed.as_object_mut().unwrap().remove("id");
    let made = server.post("AuditEvent", &staff, &unnamed).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    assert_eq!(server.post("AuditEvent", &ehr, &unnamed).await.status, 403);
    for place in ["1-1", "77-77"] {
        let ours = foreign(place);
        assert_eq!(server.put(&staff, &ours).await.status, 404);
        let path = format!("AuditEvent/{place}");
        let deleted = server.write(Method::DELETE, &path, &staff, &[], "").await;
        assert_eq!(deleted.status, 404);
        let ours = confide::fhir::Resource::ours(ours.to_string()).unwrap();
        assert!(confide::interaction::bundle::alone(ours).is_err());
    }
}
