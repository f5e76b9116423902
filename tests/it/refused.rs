//! Refused access leaves an entry on the audit chain, with nothing clinical in it.

use crate::harness::{Server, Who};
use reqwest::Method;
use serde_json::{Value, json};

/// The audit entries of a request: interaction, outcome, client, what was asked.
async fn entries(server: &Server, auditor: &str, request: &str) -> Vec<String> {
    let mut found = Vec::new();
    for page in server.pages("AuditEvent?_count=500", auditor).await {
        for entry in page.json()["entry"].as_array().into_iter().flatten() {
            let text = entry["resource"].to_string();
            if text.contains(request) {
                found.push(text);
            }
        }
    }
    found
}

#[tokio::test]
async fn a_refusal_leaves_an_entry_without_clinical_content() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let reader = Who::client("demo-ehr", "user/Patient.rs", "TREAT").user("Practitioner/dr-lee");
    let reader = server.token(&reader).await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let office = "Observation/maya-office-observation";
    let body =
        r#"{"resourceType":"Observation","id":"maya-office-observation","status":"zqsecret"}"#;
    let whole =
        json!({"resourceType": "Observation", "id": "maya-office-observation", "status": "final",
        "code": {"text": "zqsecret"}, "subject": {"reference": "Patient/rivera-maya"}})
        .to_string();
    let cases: [(u16, Method, &str, &str, &str, &str); 7] = [
        (403, Method::GET, office, &reader, "", ""),
        (
            400,
            Method::GET,
            "Condition?nonsense=zqsecret",
            &ehr,
            "",
            "",
        ),
        (400, Method::PUT, office, &ehr, body, ""),
        (412, Method::PUT, office, &ehr, &whole, "W/\"stale\""),
        (403, Method::DELETE, "Patient/rivera-maya", &ehr, "", ""),
        (404, Method::DELETE, "Condition/zz-never-was", &ehr, "", ""),
        (401, Method::GET, office, "not-a-token", "", ""),
    ];
    for (at, (status, method, path, token, body, if_match)) in cases.into_iter().enumerate() {
        let request = format!("refused-{at}");
        let mut more = vec![("x-request-id", request.as_str())];
        if !if_match.is_empty() {
            more.push(("if-match", if_match));
        }
        let reply = server.write(method, path, token, &more, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.whole());
        // The entry is on disk before the reply is sent.
        let found = entries(&server, &auditor, &request).await;
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        let entry: Value = serde_json::from_str(&found[0]).unwrap();
        assert_eq!(entry["outcome"], "4", "{entry}");
        assert!(!found[0].contains("zqsecret"), "{entry}");
        let known = found[0].contains("demo-ehr");
        assert_eq!(known, status != 401, "{entry}");
    }
}

#[tokio::test]
async fn who_has_no_token_does_not_fill_the_chain() {
    let server = Server::start().await;
    for _ in 0..200 {
        let reply = server.get("Patient/rivera-maya", "not-a-token").await;
        assert_eq!(reply.status, 401);
    }
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let found = entries(&server, &auditor, "/fhir/{type}/{id}").await;
    // The tests' clock stands still: all of it is one second.
    assert_eq!(found.len(), 20);
}
