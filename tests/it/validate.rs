//! `$validate`, and what a write says of a resource that does not keep to R4.

use crate::harness::{Reply, Server, Start, Who, expectation, record, texts};
use reqwest::Method;
use serde_json::{Value, json};

fn parameters(resource: &Value, more: &[(&str, &str)]) -> Value {
    let mut all = vec![json!({"name": "resource", "resource": resource})];
    for (name, value) in more {
        let kind = if *name == "profile" {
            "valueUri"
        } else {
            "valueCode"
        };
        all.push(json!({"name": name, kind: value}));
    }
    json!({"resourceType": "Parameters", "parameter": all})
}

/// `severity code expression` of each issue.
fn issues(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.whole());
    let outcome = reply.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome");
    let issues = outcome["issue"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    issues
        .iter()
        .map(|issue| {
            let at = text(&issue["expression"][0]);
            format!("{} {} {at}", text(&issue["severity"]), text(&issue["code"]))
        })
        .collect()
}

/// The errors among them: the fixtures have no narrative, which R4 advises.
fn errors(reply: &Reply) -> Vec<String> {
    let mut issues = issues(reply);
    issues.retain(|issue| issue.starts_with("error"));
    issues
}

fn condition() -> Value {
    json!({"resourceType": "Condition", "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
        "subject": {"reference": "Patient/rivera-maya"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "code": {"text": "zqvalid"}})
}

#[tokio::test]
async fn a_resource_is_validated_without_being_written() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let count = "Condition?patient=Patient/rivera-maya&_summary=count";
    let before = server.get(count, &token).await.json();
    let fine = server
        .post(
            "Condition/$validate",
            &token,
            &parameters(&condition(), &[("mode", "create")]),
        )
        .await;
    assert_eq!(issues(&fine), ["information informational -"]);
    let alone = server
        .post("Condition/$validate?mode=create", &token, &condition())
        .await;
    assert_eq!(alone.text(), fine.text());

    let mut wrong = condition();
    wrong["subject"]["reference"] = "Practitioner/zqvalid".into();
    wrong["clinicalStatus"]["coding"][0]["code"] = "zqvalid".into();
    wrong["onset"] = "zqvalid".into();
    wrong["recordedDate"] = "zqvalid".into();
    let told = server
        .post("Condition/$validate", &token, &parameters(&wrong, &[]))
        .await;
    let expected = [
        "error value Condition.subject.reference",
        "error code-invalid Condition.clinicalStatus",
        "error structure Condition.onset",
        "error value Condition.recordedDate",
    ];
    assert_eq!(issues(&told), expected);
    assert!(!told.text().contains("zqvalid"), "{}", told.text());
    // A create says the same, as a 400.
    let refused = server.post("Condition", &token, &wrong).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["issue"], told.json()["issue"]);
    assert_eq!(
        server.get(count, &token).await.json()["total"],
        before["total"]
    );
}

#[tokio::test]
async fn a_mode_asks_whether_this_caller_might_write_it() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let coverage = record("Coverage/rivera-maya-coverage");
    let path = "Coverage/$validate?mode=update";
    assert_eq!(
        errors(&server.post(path, &ehr, &coverage).await),
        ["error forbidden -"]
    );
    let staff = server.token(&Who::staff()).await;
    assert_eq!(errors(&server.post(path, &staff, &coverage).await), [""; 0]);
    let mut consent = record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    consent["policyRule"] = json!({"text": "as we see fit"});
    let told = server
        .post("Consent/$validate?mode=create", &staff, &consent)
        .await;
    assert!(
        errors(&told)[0].starts_with("error business-rule Consent."),
        "{}",
        told.text()
    );
    let bare = server.post("Consent/$validate", &staff, &consent).await;
    assert_eq!(errors(&bare), [""; 0]);
    let other = server.post("Patient/$validate", &staff, &condition()).await;
    assert_eq!(errors(&other)[0], "error invalid resourceType");
    let read_only = Who::client("demo-ehr", "user/Patient.rs", "TREAT").user("Practitioner/dr-lee");
    let read_only = server.token(&read_only).await;
    let patient = json!({"resourceType": "Patient"});
    let refused = server
        .post("Patient/$validate?mode=create", &read_only, &patient)
        .await;
    assert_eq!(refused.status, 403);
}

#[tokio::test]
async fn a_profile_is_checked_and_an_unknown_one_is_told() {
    let server = Server::start().await;
    let staff = server.token(&Who::staff()).await;
    let grant = "https://confide.example/fhir/StructureDefinition/emr-access";
    let task = json!({"resourceType": "Task", "status": "requested", "intent": "order"});
    let told = server
        .post(
            "Task/$validate",
            &staff,
            &parameters(&task, &[("profile", grant)]),
        )
        .await;
    let expected: Vec<String> = ["code", "requester", "owner", "restriction", "input"]
        .iter()
        .map(|name| format!("error required Task.{name}"))
        .collect();
    assert_eq!(errors(&told), expected);
    let ghost = server
        .post(
            "Task/$validate",
            &staff,
            &parameters(&task, &[("profile", "http://ghost.example")]),
        )
        .await;
    assert_eq!(ghost.status, 400);
    assert_eq!(ghost.json()["issue"][0]["code"], "not-supported");
    for body in [
        json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "guess"}]}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "depth", "valueCode": "1"}]}),
        json!({"resourceType": "Parameters"}),
    ] {
        let reply = server.post("Task/$validate", &staff, &body).await;
        assert_eq!(reply.status, 400, "{body}");
    }
    let broken = server
        .write(Method::POST, "Task/$validate", &staff, &[], "{")
        .await;
    assert_eq!(broken.status, 400);
}

#[tokio::test]
async fn a_hidden_record_is_validated_as_one_that_never_was() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (persona, view) in expectation()["maya"]["personas"].as_object().unwrap() {
        let token = server.token(&Who::of(&view["token"])).await;
        for key in texts(&view["must_not_see"]) {
            let (kind, id) = key.split_once('/').unwrap();
            for mode in ["", "update", "delete", "profile", "create"] {
                let ask = async |id: &str| {
                    let resource = json!({"resourceType": kind, "id": id});
                    let more: &[_] = match mode {
                        "" => &[],
                        mode => &[("mode", mode)],
                    };
                    let body = parameters(&resource, more);
                    let path = format!("{kind}/{id}/$validate");
                    server.post(&path, &token, &body).await
                };
                let (hidden, ghost) = (ask(id).await, ask("never-was").await);
                seen += usize::from(ghost.status == 404);
                if hidden.whole() != ghost.whole() || ghost.status == 200 {
                    wrong.push(format!(
                        "{persona} {key} {mode}: {}\n{}",
                        hidden.whole(),
                        ghost.whole()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 20, "{seen}");
}

#[tokio::test]
async fn a_record_that_is_seen_is_validated_on_its_id() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let maya = record("Patient/rivera-maya");
    let path = "Patient/rivera-maya/$validate";
    let fine = server.post(path, &token, &maya).await;
    assert!(
        !issues(&fine).iter().any(|issue| issue.starts_with("error")),
        "{}",
        fine.text()
    );
    let other = server
        .post("Patient/rivera-daniel/$validate", &token, &maya)
        .await;
    assert_eq!(errors(&other)[0], "error invalid Patient.id");
    let stored = json!({"resourceType": "Parameters", "parameter": [
        {"name": "mode", "valueCode": "profile"},
        {"name": "profile", "valueUri": "http://hl7.org/fhir/StructureDefinition/actualgroup"}]});
    let told = server.post(path, &token, &stored).await;
    assert_eq!(errors(&told), ["error invalid Patient"]);
}

/// What is real and imperfect may be let in, as far as it can be read.
#[tokio::test]
async fn an_operator_may_ask_for_structure_alone() {
    let mut loose = condition();
    loose["clinicalStatus"] = json!({"text": "active"});
    let strict = Server::start().await;
    let token = strict.token(&Who::ehr()).await;
    assert_eq!(strict.post("Condition", &token, &loose).await.status, 400);
    let server = Start::default().with("validation", "structure").go().await;
    let token = server.token(&Who::ehr()).await;
    assert_eq!(server.post("Condition", &token, &loose).await.status, 201);
    loose["ghost"] = true.into();
    assert_eq!(server.post("Condition", &token, &loose).await.status, 400);
    // `$validate` tells all the same.
    let told = server.post("Condition/$validate", &token, &loose).await;
    assert_eq!(issues(&told).len(), 2);
}

/// A profile that is stored here is checked as a shipped one is, with what it derives from; to who may
/// not read it, it is not known.
#[tokio::test]
async fn a_stored_profile_is_checked_for_who_may_read_it() {
    let server = Server::start().await;
    let (staff, ehr) = (
        server.token(&Who::staff()).await,
        server.token(&Who::ehr()).await,
    );
    let definition = |name: &str, base: &str, element: Value| {
        json!({"resourceType": "StructureDefinition", "url": format!("http://x.example/{name}"), "name": name,
            "version": "2", "status": "active", "kind": "resource", "abstract": false, "type": "Condition",
            "baseDefinition": base, "derivation": "constraint",
            "differential": {"element": [{"id": "Condition", "path": "Condition"}, element]}})
    };
    let recorded =
        json!({"id": "Condition.recordedDate", "path": "Condition.recordedDate", "min": 1});
    let noted = json!({"id": "Condition.note", "path": "Condition.note", "min": 1});
    let core = "http://hl7.org/fhir/StructureDefinition/Condition";
    for profile in [
        definition("dated", core, recorded),
        definition("noted", "http://x.example/dated", noted),
    ] {
        let made = server.post("StructureDefinition", &staff, &profile).await;
        assert_eq!(made.status, 201, "{}", made.whole());
    }
    let url = "http://x.example/noted";
    let path = |url: &str| format!("Condition/$validate?profile={url}");
    let told = server.post(&path(url), &ehr, &condition()).await;
    let whole = told.whole();
    assert!(
        whole.contains("Condition.note") && whole.contains("Condition.recordedDate"),
        "{whole}"
    );
    let mut fine = condition();
    fine["recordedDate"] = "2026-01-01".into();
    fine["note"] = json!([{"text": "n"}]);
    assert_eq!(errors(&server.post(&path(url), &ehr, &fine).await).len(), 0);
    assert_eq!(
        errors(
            &server
                .post(&path("http://x.example/noted|2"), &ehr, &fine)
                .await
        )
        .len(),
        0
    );
    // One that is claimed is checked too; another version is not known.
    let mut claims = condition();
    claims["meta"] = json!({"profile": [url]});
    let told = server.post("Condition/$validate", &ehr, &claims).await;
    assert_eq!(errors(&told).len(), 2, "{}", told.whole());
    assert_eq!(
        server
            .post(&path("http://x.example/noted|3"), &ehr, &fine)
            .await
            .status,
        400
    );
    // Whose scope has no StructureDefinition knows as little of it as of one that never was.
    let blind =
        Who::client("demo-ehr", "user/Condition.cruds", "TREAT").user("Practitioner/dr-lee");
    let blind = server.token(&blind).await;
    let there = server.post(&path(url), &blind, &fine).await;
    let never = server
        .post(&path("http://x.example/never"), &blind, &fine)
        .await;
    assert_eq!((there.status, there.body), (never.status, never.body));
    assert_eq!(there.status, 400);
}
