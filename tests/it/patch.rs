//! PATCH: what the writer is shown is what can be changed; the rest stays, and can't be found out.

use crate::harness::{Reply, Server, Who};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

async fn patch(
    server: &Server,
    path: &str,
    token: &str,
    more: &[(&str, &str)],
    operations: &Value,
) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![
        ("authorization", bearer.as_str()),
        ("content-type", "application/json-patch+json"),
    ];
    headers.extend(more);
    let body = operations.to_string().into_bytes();
    server
        .send(Method::PATCH, &format!("/fhir/{path}"), &headers, body)
        .await
}

fn weight() -> Value {
    json!({"resourceType": "Observation", "id": "w", "status": "final", "identifier": [{"system": "urn:x", "value": "w"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/rivera-maya"}})
}

#[tokio::test]
async fn a_json_patch_changes_what_it_names_and_no_other_byte() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let text = weight().to_string().replace(
        r#""status":"final""#,
        r#""status":"final","valueQuantity":{"value":61.50,"unit":"kg"}"#,
    );
    let put = server
        .write(Method::PUT, "Observation/w", &ehr, &[], text)
        .await;
    assert_eq!(put.status, 201, "{}", put.whole());
    let amend = json!([{"op": "test", "path": "/status", "value": "final"},
        {"op": "replace", "path": "/status", "value": "amended"}]);
    let done = patch(&server, "Observation/w", &ehr, &[], &amend).await;
    assert_eq!(done.status, 200, "{}", done.whole());
    assert_eq!(done.json()["status"], "amended");
    assert!(
        done.text()
            .contains(r#""valueQuantity":{"value":61.50,"unit":"kg"}"#)
    );
    assert_ne!(done.header("etag"), put.header("etag"));
    // Its test does not hold any more.
    let again = patch(&server, "Observation/w", &ehr, &[], &amend).await;
    assert_eq!(again.status, 422, "{}", again.whole());
    for (operations, status) in [
        (json!({}), 400),
        (json!([{"op": "nonsense", "path": "/status"}]), 400),
        (json!([{"op": "remove", "path": "/nothing"}]), 422),
        (
            json!([{"op": "replace", "path": "/id", "value": "other"}]),
            422,
        ),
        (
            json!([{"op": "replace", "path": "/resourceType", "value": "Patient"}]),
            422,
        ),
        (json!([{"op": "add", "path": "/nonsense", "value": 1}]), 400),
        (json!([{"op": "remove", "path": "/status"}]), 400),
    ] {
        let reply = patch(&server, "Observation/w", &ehr, &[], &operations).await;
        assert_eq!(reply.status, status, "{operations}: {}", reply.whole());
        assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    }
    let stale = [("if-match", "W/\"stale\"")];
    let back = json!([{"op": "replace", "path": "/status", "value": "final"}]);
    assert_eq!(
        patch(&server, "Observation/w", &ehr, &stale, &back)
            .await
            .status,
        412
    );
    let fresh = [
        ("if-match", done.header("etag")),
        ("prefer", "return=minimal"),
    ];
    let done = patch(&server, "Observation/w", &ehr, &fresh, &back).await;
    assert_eq!((done.status, done.text()), (200, ""));
    // The same by FHIRPath.
    let operation = |kind: &str, value: Value| {
        let part = json!([{"name": "type", "valueCode": kind}, {"name": "path", "valueString": "Observation.status"}, value]);
        json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]})
            .to_string()
    };
    let replace = operation(
        "replace",
        json!({"name": "value", "valueCode": "corrected"}),
    );
    let done = server
        .write(Method::PATCH, "Observation/w", &ehr, &[], replace)
        .await;
    assert_eq!(
        (done.status, &done.json()["status"]),
        (200, &json!("corrected")),
        "{}",
        done.whole()
    );
    let nothing = server
        .write(Method::PATCH, "Observation/w", &ehr, &[], "{}")
        .await;
    assert_eq!(nothing.status, 400);
    // On a condition, in a batch and in a transaction.
    let amend = json!([{"op": "replace", "path": "/status", "value": "amended"}]);
    let one = patch(&server, "Observation?identifier=urn:x|w", &ehr, &[], &amend).await;
    assert_eq!(one.json()["status"], "amended");
    let none = patch(
        &server,
        "Observation?identifier=urn:x|zq",
        &ehr,
        &[],
        &amend,
    )
    .await;
    assert_eq!(none.status, 404);
    for (kind, status) in [("batch", "final"), ("transaction", "corrected")] {
        let operations = json!([{"op": "replace", "path": "/status", "value": status}]);
        let binary = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
            "data": STANDARD.encode(operations.to_string())});
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [
            {"resource": binary, "request": {"method": "PATCH", "url": "Observation/w"}}]});
        let done = server.post("", &ehr, &bundle).await;
        assert_eq!(
            done.json()["entry"][0]["response"]["status"],
            "200 OK",
            "{}",
            done.whole()
        );
        assert_eq!(
            server.get("Observation/w", &ehr).await.json()["status"],
            status
        );
    }
    let mut other = weight();
    other["id"] = "w2".into();
    server.put(&ehr, &other).await;
    let many = patch(&server, "Observation?identifier=urn:x|w", &ehr, &[], &amend).await;
    assert_eq!(many.status, 412);
}

#[tokio::test]
async fn a_patch_reads_and_writes_only_what_its_writer_is_shown() {
    let server = Server::start().await;
    let lee = server.token(&Who::ehr()).await;
    let novak = Who::client("demo-ehr", "user/*.cruds", "TREAT").user("Practitioner/dr-novak");
    let novak = server.token(&novak).await;
    let note = "DocumentReference/maya-therapy-note";
    let office = "Encounter/maya-office-encounter";
    let item = |key: &str| json!({"item": {"reference": key}});
    let list = json!({"resourceType": "List", "id": "of-two", "status": "current", "mode": "working",
        "subject": {"reference": "Patient/rivera-maya"}, "entry": [item(office), item(note)]});
    assert_eq!(server.put(&novak, &list).await.status, 201);
    let shown = server.get("List/of-two", &lee).await;
    assert_eq!(shown.json()["entry"].as_array().unwrap().len(), 1);
    // Not the whole: it may not be replaced, nor deleted.
    assert_eq!(server.put(&lee, &shown.json()).await.status, 409);
    let deleted = server
        .write(Method::DELETE, "List/of-two", &lee, &[], "")
        .await;
    assert_eq!(deleted.status, 409);
    // A hidden entry is as if it were not there.
    let whole = json!({"resourceType": "List", "id": "of-one", "status": "current", "mode": "working",
        "subject": {"reference": "Patient/rivera-maya"}, "entry": [item(office)]});
    assert_eq!(server.put(&novak, &whole).await.status, 201);
    for operations in [
        json!([{"op": "test", "path": "/entry/1/item/reference", "value": note}]),
        json!([{"op": "remove", "path": "/entry/1"}]),
        json!([{"op": "copy", "from": "/entry/1", "path": "/entry/0"}]),
        json!([{"op": "add", "path": "/entry/2", "value": item(office)}]),
    ] {
        let hidden = patch(&server, "List/of-two", &lee, &[], &operations).await;
        let absent = patch(&server, "List/of-one", &lee, &[], &operations).await;
        assert_eq!(hidden.whole(), absent.whole(), "{operations}");
        assert_eq!(hidden.status, 422);
    }
    // What is changed is changed in the whole.
    let other = "Condition/maya-office-condition";
    let operations = json!([{"op": "replace", "path": "/status", "value": "retired"},
        {"op": "add", "path": "/entry/-", "value": item(other)}]);
    let done = patch(&server, "List/of-two", &lee, &[], &operations).await;
    assert_eq!(done.status, 200, "{}", done.whole());
    assert!(!done.text().contains("therapy"), "{}", done.text());
    let of = |reply: &Reply| -> Vec<String> {
        let entries = reply.json()["entry"].as_array().unwrap().clone();
        let reference = |e: &Value| e["item"]["reference"].as_str().unwrap().to_owned();
        entries.iter().map(reference).collect()
    };
    assert_eq!(of(&done), [office, other]);
    // Once the note is gone, so is what hid the entry: it stayed all the time.
    let gone = server.write(Method::DELETE, note, &novak, &[], "").await;
    assert_eq!(gone.status, 204, "{}", gone.whole());
    let whole = server.get("List/of-two", &lee).await;
    assert_eq!(whole.json()["status"], "retired");
    assert_eq!(of(&whole), [office, note, other]);
}

#[tokio::test]
async fn a_patch_is_no_way_around_the_writers_table() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let operations = json!([{"op": "replace", "path": "/birthDate", "value": "2000-01-01"}]);
    let reply = patch(&server, "Patient/rivera-maya", &ehr, &[], &operations).await;
    assert_eq!(reply.status, 403);
    let reads = Who::client("demo-ehr", "user/*.rs", "TREAT").user("Practitioner/dr-lee");
    let reads = server.token(&reads).await;
    let operations = json!([{"op": "replace", "path": "/status", "value": "amended"}]);
    let office = "Observation/maya-office-observation";
    assert_eq!(
        patch(&server, office, &reads, &[], &operations)
            .await
            .status,
        403
    );
    // Labels that a read adds are not written back as the author's own.
    let mental = "Observation/maya-mh-observation";
    let before = server.get(mental, &ehr).await.json()["meta"]["security"].clone();
    let done = patch(&server, mental, &ehr, &[], &operations).await;
    assert_eq!(done.status, 200, "{}", done.whole());
    assert_eq!(done.json()["meta"]["security"], before);
}
