//! Conditional writes, batches and transactions: what a requester may not see meets no condition.

use crate::harness::{Reply, Server, Start, Who};
use reqwest::Method;
use serde_json::{Value, json};

fn weight(identifier: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "identifier": [{"system": "urn:x", "value": identifier}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/rivera-maya"}})
}

async fn if_none_exist(server: &Server, token: &str, condition: &str, body: &Value) -> Reply {
    let headers = [("if-none-exist", condition)];
    server
        .write(
            Method::POST,
            "Observation",
            token,
            &headers,
            body.to_string(),
        )
        .await
}

async fn write(server: &Server, method: Method, path: &str, token: &str, body: &Value) -> Reply {
    server
        .write(method, path, token, &[], body.to_string())
        .await
}

#[tokio::test]
async fn a_conditional_create_finds_none_one_or_many() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let made = if_none_exist(&server, &ehr, "identifier=urn:x%7Ca", &weight("a")).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    let again = if_none_exist(&server, &ehr, "identifier=urn:x|a", &weight("a")).await;
    assert_eq!((again.status, again.keys()), (200, made.keys()));
    server.post("Observation", &ehr, &weight("a")).await;
    let many = if_none_exist(&server, &ehr, "identifier=urn:x|a", &weight("a")).await;
    assert_eq!(many.status, 412, "{}", many.whole());
    for wrong in ["", "nonsense=1", "_count=1"] {
        let reply = if_none_exist(&server, &ehr, wrong, &weight("b")).await;
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.whole());
    }
    // Without the right to search there is no condition.
    let blind = Who::client("demo-ehr", "user/*.cu", "TREAT").user("Practitioner/dr-lee");
    let blind = server.token(&blind).await;
    let reply = if_none_exist(&server, &blind, "identifier=urn:x|a", &weight("a")).await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn many_at_once_create_one() {
    let server = std::sync::Arc::new(Server::start().await);
    let ehr = server.token(&Who::ehr()).await;
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (server, ehr) = (server.clone(), ehr.clone());
        all.spawn(async move {
            if_none_exist(&server, &ehr, "identifier=urn:x|one", &weight("one"))
                .await
                .status
        });
    }
    let mut statuses = all.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201]);
}

#[tokio::test]
async fn what_is_hidden_meets_no_condition() {
    let server = Server::start().await;
    let staff = server.token(&Who::staff()).await;
    let ehr = server.token(&Who::ehr()).await;
    // The therapist's note is hidden from Dr. Lee.
    let hidden = "DocumentReference/maya-therapy-note";
    assert_eq!(server.get(hidden, &ehr).await.status, 404);
    let body = json!({"resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/rivera-maya"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "eA=="}}]});
    let headers = [("if-none-exist", "_id=maya-therapy-note")];
    let made = server
        .write(
            Method::POST,
            "DocumentReference",
            &ehr,
            &headers,
            body.to_string(),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let ghost = |id: &str| format!("DocumentReference?_id={id}");
    for method in [Method::DELETE, Method::PUT] {
        let here = write(
            &server,
            method.clone(),
            &ghost("maya-therapy-note"),
            &ehr,
            &body,
        )
        .await;
        let never = write(&server, method.clone(), &ghost("zz-never-was"), &ehr, &body).await;
        assert_eq!(here.status, never.status, "{method}");
    }
    assert_eq!(
        server.get(hidden, &staff).await.status,
        server.get(hidden, &staff).await.status
    );
    let author = Who::client("demo-ehr", "user/*.cruds", "TREAT").user("Practitioner/dr-novak");
    let author = server.token(&author).await;
    assert_eq!(server.get(hidden, &author).await.status, 200);
    // A reference by a condition that only a hidden record meets: 412, as where none does.
    let bundle = |id: &str| {
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
            "resource": {"resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "Patient/rivera-maya"},
                "entry": [{"item": {"reference": format!("DocumentReference?_id={id}")}}]},
            "request": {"method": "POST", "url": "List"}}]})
    };
    let here = server.post("", &ehr, &bundle("maya-therapy-note")).await;
    let never = server.post("", &ehr, &bundle("zz-never-was")).await;
    assert_eq!(here.status, 412);
    assert_eq!(here.whole(), never.whole());
}

#[tokio::test]
async fn a_conditional_update_and_delete_find_none_one_or_many() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let at = "Observation?identifier=urn:x|u";
    let made = write(&server, Method::PUT, at, &ehr, &weight("u")).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let mut next = weight("u");
    next["status"] = "amended".into();
    let updated = write(&server, Method::PUT, at, &ehr, &next).await;
    assert_eq!((updated.status, updated.keys()), (200, made.keys()));
    assert_eq!(updated.json()["status"], "amended");
    next["id"] = "another".into();
    let mismatch = write(&server, Method::PUT, at, &ehr, &next).await;
    assert_eq!(mismatch.status, 400, "{}", mismatch.whole());
    // Update as create under a chosen id.
    let mut chosen = weight("v");
    chosen["id"] = "chosen".into();
    let made = write(
        &server,
        Method::PUT,
        "Observation?identifier=urn:x|v",
        &ehr,
        &chosen,
    )
    .await;
    assert_eq!(
        (made.status, made.keys()),
        (201, vec!["Observation/chosen".to_owned()])
    );
    server.post("Observation", &ehr, &weight("u")).await;
    for method in [Method::PUT, Method::DELETE] {
        let many = write(&server, method, at, &ehr, &weight("u")).await;
        assert_eq!(many.status, 412);
    }
    let one = write(
        &server,
        Method::DELETE,
        "Observation?identifier=urn:x|v",
        &ehr,
        &json!({}),
    )
    .await;
    assert_eq!(one.status, 204);
    assert_eq!(server.get("Observation/chosen", &ehr).await.status, 410);
    let none = write(
        &server,
        Method::DELETE,
        "Observation?identifier=urn:x|v",
        &ehr,
        &json!({}),
    )
    .await;
    assert_eq!(none.status, 204);
    for method in [Method::PUT, Method::DELETE] {
        let bare = write(&server, method, "Observation", &ehr, &weight("u")).await;
        assert_eq!(bare.status, 400);
    }
}

#[tokio::test]
async fn prefer_says_what_comes_back() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    for (prefer, kind) in [
        ("return=minimal", ""),
        ("return=representation", "Observation"),
        ("return=OperationOutcome", "OperationOutcome"),
    ] {
        let headers = [("prefer", prefer)];
        let made = server
            .write(
                Method::POST,
                "Observation",
                &ehr,
                &headers,
                weight("p").to_string(),
            )
            .await;
        assert_eq!(made.status, 201);
        assert!(
            made.header("location").contains("/_history/"),
            "{}",
            made.whole()
        );
        match kind {
            "" => assert_eq!(made.text(), ""),
            kind => assert_eq!(made.json()["resourceType"], kind),
        }
    }
}

#[tokio::test]
async fn conditional_reads_are_answered_in_full() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let read = server.get("Patient/rivera-maya", &ehr).await;
    let (tag, at) = (read.header("etag"), read.header("last-modified"));
    for condition in [("if-none-match", tag), ("if-modified-since", at)] {
        let again = server
            .get_with("Patient/rivera-maya", &ehr, &[condition])
            .await;
        assert_eq!(again.whole(), read.whole());
    }
}

fn status_of(entry: &Value) -> &str {
    entry["response"]["status"].as_str().unwrap()
}

#[tokio::test]
async fn entries_of_a_batch_stand_alone() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        {"resource": weight("b1"), "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=urn:x|b1"}},
        {"request": {"method": "GET", "url": "Patient/rivera-maya"}},
        {"request": {"method": "HEAD", "url": "Patient/rivera-maya"}},
        {"request": {"method": "GET", "url": "Observation?identifier=urn:x|b1&_total=accurate"}},
        {"request": {"method": "GET", "url": "Patient/zz-never-was"}},
        {"request": {"method": "GET", "url": "Patient/rivera-maya/_history"}},
        {"resource": {"resourceType": "Patient", "id": "x"}, "request": {"method": "PUT", "url": "Patient/x"}},
        {"resource": {"resourceType": "Observation", "status": "final"}, "request": {"method": "POST", "url": "Observation"}},
        {"request": {"method": "DELETE", "url": "Observation/zz-never-was"}},
        {"request": {"method": "GET", "url": "Nonsense/x"}},
        {"request": {"method": "GET", "url": "Observation?nonsense=1"}},
        {"request": {"method": "DELETE", "url": "Observation?identifier=urn:x|b1"}},
        {"resource": weight("b2"), "request": {"method": "PUT", "url": "Observation?identifier=urn:x|b2", "ifMatch": "W/\"1\""}}]});
    let reply = server.post("", &ehr, &batch).await;
    assert_eq!(reply.status, 200, "{}", reply.whole());
    let body = reply.json();
    assert_eq!(body["type"], "batch-response");
    let entries = body["entry"].as_array().unwrap();
    let statuses: Vec<&str> = entries.iter().map(|e| &status_of(e)[..3]).collect();
    let expected = [
        "201", "200", "200", "200", "404", "200", "403", "400", "404", "404", "400", "204", "412",
    ];
    assert_eq!(statuses, expected, "{body}");
    assert!(
        entries[0]["response"]["location"]
            .as_str()
            .unwrap()
            .contains("Observation/")
    );
    assert_eq!(entries[1]["resource"]["id"], "rivera-maya");
    assert!(entries[2]["resource"].is_null());
    assert_eq!(entries[3]["resource"]["total"], 1);
    assert_eq!(entries[5]["resource"]["type"], "history");
    for at in [4, 6, 7, 8, 9, 10, 12] {
        let outcome = &entries[at]["response"]["outcome"];
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{at}");
    }
    // Each reading entry is one on the audit chain.
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let trail = server
        .get("AuditEvent?patient=Patient/rivera-maya&_count=50", &auditor)
        .await;
    let trail = trail.text().matches("history-instance").count();
    assert!(trail > 0);
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    server
        .put(&ehr, &{
            let mut old = weight("old");
            old["id"] = "old".into();
            old
        })
        .await;
    let entries = |broken: bool| {
        let mut last = weight("t3");
        last["id"] = "t3".into();
        if broken {
            last["status"] = "no such status, and no code of it".into();
            last.as_object_mut().unwrap().remove("code");
        }
        let mut list = json!({"resourceType": "List", "status": "current", "mode": "working",
            "subject": {"reference": "Patient?_id=rivera-maya"},
            "entry": [{"item": {"reference": "urn:uuid:0a0a0a0a-0000-4000-8000-000000000001"}},
                      {"item": {"reference": "Observation?identifier=urn:x|t1"}},
                      {"item": {"reference": "Observation?identifier=urn:x|t3"}}]});
        list["id"] = "the-list".into();
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "GET", "url": "Observation?identifier=urn:x|t3"}},
            {"resource": list, "request": {"method": "PUT", "url": "List/the-list"}},
            {"fullUrl": "urn:uuid:0a0a0a0a-0000-4000-8000-000000000001", "resource": weight("t1"),
             "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=urn:x|t1"}},
            {"resource": last, "request": {"method": "PUT", "url": "Observation/t3"}},
            {"request": {"method": "DELETE", "url": "Observation/old"}}]})
    };
    let refused = server.post("", &ehr, &entries(true)).await;
    assert_eq!(refused.status, 400, "{}", refused.whole());
    assert!(
        refused.text().contains("Bundle.entry[3]"),
        "{}",
        refused.text()
    );
    assert_eq!(server.get("List/the-list", &ehr).await.status, 404);
    assert_eq!(server.get("Observation/old", &ehr).await.status, 200);
    let headers = [("prefer", "return=representation")];
    let done = server
        .write(Method::POST, "", &ehr, &headers, entries(false).to_string())
        .await;
    assert_eq!(done.status, 200, "{}", done.whole());
    let body = done.json();
    assert_eq!(body["type"], "transaction-response");
    let entries = body["entry"].as_array().unwrap();
    let statuses: Vec<&str> = entries.iter().map(|e| &status_of(e)[..3]).collect();
    assert_eq!(statuses, ["200", "201", "201", "201", "204"]);
    // What is read is read after what is written.
    assert_eq!(entries[0]["resource"]["entry"][0]["resource"]["id"], "t3");
    let made = entries[2]["resource"]["id"].as_str().unwrap();
    let list = server.get("List/the-list", &ehr).await.json();
    assert_eq!(list["subject"]["reference"], "Patient/rivera-maya");
    let items: Vec<&str> = list["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["item"]["reference"].as_str().unwrap())
        .collect();
    let made = format!("Observation/{made}");
    assert_eq!(items, [made.as_str(), made.as_str(), "Observation/t3"]);
    assert_eq!(server.get("Observation/old", &ehr).await.status, 410);
    // One record twice, a condition that many meet, a right that is lacking: nothing is done.
    server.post("Observation", &ehr, &weight("t1")).await;
    let put = |id: &str| {
        let mut body = weight("t4");
        body["id"] = id.into();
        json!({"resource": body, "request": {"method": "PUT", "url": format!("Observation/{id}")}})
    };
    let create = json!({"resource": weight("t1"), "request": {"method": "POST", "url": "Observation", "ifNoneExist": "identifier=urn:x|t1"}});
    let patient = json!({"resource": {"resourceType": "Patient", "id": "x"}, "request": {"method": "PUT", "url": "Patient/x"}});
    let stale = {
        let mut entry = put("t3");
        entry["request"]["ifMatch"] = "W/\"stale\"".into();
        entry
    };
    for (bad, status) in [
        (put("t5"), 400),
        (create, 412),
        (patient, 403),
        (stale, 412),
    ] {
        let bundle =
            json!({"resourceType": "Bundle", "type": "transaction", "entry": [put("t5"), bad]});
        let reply = server.post("", &ehr, &bundle).await;
        assert_eq!(reply.status, status, "{}", reply.whole());
        assert_eq!(server.get("Observation/t5", &ehr).await.status, 404);
    }
}

#[tokio::test]
async fn strict_integrity_refuses_what_is_not_there_for_the_writer() {
    let server = Start::default().with("integrity", "strict").go().await;
    let ehr = server.token(&Who::ehr()).await;
    let body = |item: &str| {
        json!({"resourceType": "List", "status": "current", "mode": "working", "subject": {"reference": "Patient/rivera-maya"},
            "entry": [{"item": {"reference": item}}]})
    };
    let missing = server
        .post("List", &ehr, &body("DocumentReference/zz-never-was"))
        .await;
    assert_eq!(missing.status, 422, "{}", missing.whole());
    let hidden = server
        .post("List", &ehr, &body("DocumentReference/maya-therapy-note"))
        .await;
    assert_eq!(hidden.whole(), missing.whole());
    let there = server
        .post("List", &ehr, &body("Encounter/maya-office-encounter"))
        .await;
    assert_eq!(there.status, 201, "{}", there.whole());
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "urn:uuid:1", "resource": weight("s"), "request": {"method": "POST", "url": "Observation"}},
        {"resource": body("urn:uuid:1"), "request": {"method": "POST", "url": "List"}}]});
    let whole = server.post("", &ehr, &bundle).await;
    assert_eq!(whole.status, 200, "{}", whole.whole());
}

#[tokio::test]
async fn ten_thousand_entries_are_one_transaction_and_more_are_too_many() {
    let server = Start::default()
        .with("limits.request_seconds", "600")
        .go()
        .await;
    let ehr = server.token(&Who::ehr()).await;
    let bundle = |count: usize| {
        let entry = |at| json!({"resource": weight(&format!("n{at}")), "request": {"method": "POST", "url": "Observation"}});
        let entries: Vec<Value> = (0..count).map(entry).collect();
        json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    };
    let many = server.post("", &ehr, &bundle(10_001)).await;
    assert_eq!(many.status, 413, "{}", many.whole());
    let done = server.post("", &ehr, &bundle(10_000)).await;
    assert_eq!(done.status, 200);
    assert_eq!(done.json()["entry"].as_array().unwrap().len(), 10_000);
    let count = server
        .get("Observation?identifier=urn:x|n9999&_total=accurate", &ehr)
        .await;
    assert_eq!(count.json()["total"], 1);
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let reply = write(
        &server,
        Method::POST,
        "Patient/rivera-maya",
        &ehr,
        &json!({}),
    )
    .await;
    assert_eq!(reply.status, 405);
    let mut allowed: Vec<&str> = reply.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH", "PUT"]);
    assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    let patch = [("content-type", "text/plain")];
    let reply = server
        .send(
            Method::PATCH,
            "/fhir/Patient/rivera-maya",
            &[patch[0], ("authorization", &format!("Bearer {ehr}"))],
            b"[]".to_vec(),
        )
        .await;
    assert_eq!(reply.status, 415);
}
