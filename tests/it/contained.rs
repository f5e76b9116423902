//! `_contained`: resources inside records are found as far as their container shows them, alone or with it.

use crate::{
    harness::{PUBLIC, Reply, Server, Start, Who, expectation},
    twin::bare,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";

fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }] })
}

fn observation(id: &str, code: &str, status: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "status": status,
        "subject": { "reference": "Patient/rivera-maya" }, "code": concept(ICD, code) })
}

/// A report of Maya's that contains these observations.
fn report(id: &str, inside: &[Value]) -> Value {
    let result = inside
        .iter()
        .map(|one| json!({ "reference": format!("#{}", one["id"].as_str().unwrap()) }));
    json!({ "resourceType": "DiagnosticReport", "id": id, "status": "final",
        "subject": { "reference": "Patient/rivera-maya" }, "code": concept(ICD, "J45.909"),
        "effectiveDateTime": "2026-03-02", "contained": inside, "result": result.collect::<Vec<_>>() })
}

fn prescription(id: &str, code: &str) -> Value {
    json!({ "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
        "subject": { "reference": "Patient/rivera-maya" }, "authoredOn": "2026-03-02",
        "contained": [
            { "resourceType": "Medication", "id": "med", "code": concept(ICD, code),
              "manufacturer": { "reference": "#maker" } },
            { "resourceType": "Organization", "id": "maker", "name": "Insulated" }],
        "medicationReference": { "reference": "#med" } })
}

/// Asthma and a vaccination, which nobody need not know; depression and chlamydia, which some may not.
fn records() -> Vec<Value> {
    vec![
        report(
            "inside-one",
            &[
                observation("plain", "J45.909", "final"),
                observation("hidden", "F32.9", "amended"),
            ],
        ),
        report(
            "inside-two",
            &[
                observation("a", "Z23", "final"),
                observation("b", "J45.909", "preliminary"),
                observation("c", "A56.01", "final"),
            ],
        ),
        prescription("inside-plain", "J45.909"),
        prescription("inside-hidden", "F32.9"),
        observation("ordinary", "J45.909", "final"),
    ]
}

async fn start() -> Server {
    Start::default().import(&records()).go().await
}

/// `Type/id#id` of each entry that stands alone, else `Type/id`, by its `fullUrl`.
fn urls(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    let of = |entry: &Value| {
        assert_eq!(entry["search"]["mode"], "match");
        let url = entry["fullUrl"].as_str().unwrap();
        let name = url.strip_prefix(&format!("{PUBLIC}/fhir/")).unwrap();
        let inside = name.split_once('#').map(|(_, id)| id);
        let id = inside.unwrap_or_else(|| name.split_once('/').unwrap().1);
        assert_eq!(entry["resource"]["id"], id, "{entry}");
        name.to_owned()
    };
    entries.iter().map(of).collect()
}

const ALONE: &str = "_contained=true&_containedType=contained";

#[tokio::test]
async fn each_persona_finds_what_its_container_shows_and_nothing_else() {
    let server = start().await;
    let mut counts = std::collections::BTreeMap::new();
    for (persona, view) in expectation()["maya"]["personas"].as_object().unwrap() {
        let token = server.token(&Who::of(&view["token"])).await;
        let mut shown = BTreeSet::new();
        for record in records() {
            let (kind, id) = (
                record["resourceType"].as_str().unwrap(),
                record["id"].as_str().unwrap(),
            );
            let read = server.get(&format!("{kind}/{id}"), &token).await;
            if read.status != 200 {
                continue;
            }
            let body = read.json();
            for one in body["contained"].as_array().into_iter().flatten() {
                shown.insert((
                    one["resourceType"].as_str().unwrap().to_owned(),
                    format!("{kind}/{id}#{}", one["id"].as_str().unwrap()),
                ));
            }
        }
        for kind in ["Observation", "Medication", "Organization"] {
            let expected: BTreeSet<&str> = shown
                .iter()
                .filter(|(of, _)| of == kind)
                .map(|(_, name)| name.as_str())
                .collect();
            let search = format!("{kind}?{ALONE}&_total=accurate&_count=1000");
            let reply = server.get(&search, &token).await;
            let found = urls(&reply);
            let ours: BTreeSet<&str> = found
                .iter()
                .map(String::as_str)
                .filter(|name| name.contains("/inside-"))
                .collect();
            assert_eq!(ours, expected, "{persona} {kind}");
            assert_eq!(reply.json()["total"], json!(found.len()), "{persona}");
            // The container in its place, once.
            let search = format!("{kind}?_contained=true&_total=accurate&_count=1000");
            let reply = server.get(&search, &token).await;
            let found = urls(&reply);
            let ours: BTreeSet<&str> = found
                .iter()
                .map(String::as_str)
                .filter(|name| name.contains("/inside-"))
                .collect();
            let containers: BTreeSet<&str> = expected
                .iter()
                .map(|name| name.split_once('#').unwrap().0)
                .collect();
            assert_eq!(ours, containers, "{persona} {kind}");
            assert_eq!(reply.json()["total"], json!(found.len()), "{persona}");
        }
        counts.insert(persona.as_str(), shown.len());
    }
    assert_eq!(counts["member"], 9, "{counts:?}");
    assert_eq!(counts["provider"], 9, "{counts:?}");
    assert_eq!(counts["subscriber"], 0, "{counts:?}");
    assert_eq!(counts["enrollee"], 0, "{counts:?}");
    // Less what she could consent to.
    assert!((1..9).contains(&counts["representative"]), "{counts:?}");
}

#[tokio::test]
async fn a_hidden_contained_resource_is_as_one_that_never_was() {
    let full = start().await;
    let who = Who::persona("maya", "representative");
    let token = full.token(&who).await;
    // The same store, written as it is shown.
    let mut shown = Vec::new();
    for record in records() {
        let key = format!(
            "{}/{}",
            record["resourceType"].as_str().unwrap(),
            record["id"].as_str().unwrap()
        );
        let read = full.get(&key, &token).await;
        if read.status == 200 {
            let mut body = read.json();
            body.as_object_mut().unwrap().shift_remove("meta");
            shown.push(body);
        }
    }
    let before: usize = records().iter().map(|r| r.to_string().len()).sum();
    let after: usize = shown.iter().map(|r| r.to_string().len()).sum();
    assert!(after < before && after > 0);
    let twin = Start::default().import(&shown).go().await;
    let there = twin.token(&who).await;
    let mut found = 0;
    for query in [
        "Observation?_contained=true&_total=accurate",
        "Observation?_contained=both&_total=accurate&_sort=-code,status&patient=rivera-maya&code=J45.909,F32.9,Z23,A56.01",
        "Observation?_contained=both&_containedType=contained&_total=accurate&_count=1&code=J45.909,F32.9,Z23,A56.01",
        "Observation?_contained=true&code=F32.9",
        "Observation?_contained=true&code=A56.01&_containedType=contained&_total=accurate",
        "Observation?_contained=true&code:not=F32.9&_summary=count",
        "Observation?_contained=true&_id=hidden",
        "Observation?_contained=true&_id=c,a&_containedType=contained",
        "Observation?_contained=true&status=amended",
        "Observation?_contained=true&status:not=final&_containedType=contained",
        "Observation?_contained=true&_content=zz,hidden",
        "Observation?_contained=true&_has:DiagnosticReport:result:code=J45.909&_containedType=contained",
        "Medication?_contained=true&_total=accurate",
        "Medication?_contained=both&manufacturer.name=insul&_containedType=contained",
        "Organization?_contained=true&name=insul&_count=1&_total=accurate",
        "?_type=Observation,Medication,Organization&_contained=true&_containedType=contained&_count=2&_total=accurate",
        "Patient/rivera-maya/Observation?_contained=true&_total=accurate",
        "DiagnosticReport?result.code=F32.9",
        "DiagnosticReport?result.code=A56.01,J45.909&_total=accurate",
        "DiagnosticReport?result.status:not=final&_total=accurate",
        "MedicationRequest?medication.code=F32.9,J45.909&_total=accurate",
        "MedicationRequest?medication.manufacturer.name=insul&_total=accurate",
    ] {
        let (here, other) = (
            full.pages(query, &token).await,
            twin.pages(query, &there).await,
        );
        let bare = |replies: &[Reply]| replies.iter().map(bare).collect::<Vec<_>>();
        assert_eq!(bare(&here), bare(&other), "{query}");
        found += usize::from(here[0].text().contains("\"entry\""));
    }
    assert!(found > 7, "{found}");
}

#[tokio::test]
async fn all_criteria_hold_of_the_same_contained_resource() {
    let server = start().await;
    let token = server.token(&Who::ehr()).await;
    let found = async |query: &str| {
        let path = format!("Observation?{query}&patient=rivera-maya&_count=1000");
        let mut found = urls(&server.get(&path, &token).await);
        found.retain(|name| name.contains("inside-") || name.ends_with("/ordinary"));
        found
    };
    // Each holds of one of them, both of none.
    assert!(
        found("_contained=true&code=F32.9&status=final")
            .await
            .is_empty()
    );
    assert!(
        found("_contained=true&code=Z23&status=preliminary")
            .await
            .is_empty()
    );
    assert!(found("_contained=true&_id=a&code=A56.01").await.is_empty());
    assert_eq!(
        found("_contained=true&code=F32.9&status=amended").await,
        ["DiagnosticReport/inside-one"]
    );
    assert_eq!(
        found(&format!("{ALONE}&code=J45.909&_sort=-status")).await,
        [
            "DiagnosticReport/inside-two#b",
            "DiagnosticReport/inside-one#plain"
        ]
    );
    assert_eq!(
        found("_contained=both&_containedType=contained&code=J45.909&status=final").await,
        ["DiagnosticReport/inside-one#plain", "Observation/ordinary"]
    );
    assert_eq!(
        found("_contained=both&code=J45.909&_sort=-status").await,
        [
            "DiagnosticReport/inside-two",
            "DiagnosticReport/inside-one",
            "Observation/ordinary"
        ]
    );
    assert_eq!(
        found("_contained=false&code=F32.9&status=amended")
            .await
            .len(),
        0
    );
    assert_eq!(found("code=J45.909").await, ["Observation/ordinary"]);
    // What only records have.
    assert!(
        found("_contained=true&_lastUpdated=gt2000")
            .await
            .is_empty()
    );
    assert!(found("_contained=true&_security=R").await.is_empty());
}

#[tokio::test]
async fn pages_and_totals_count_contained_resources() {
    let server = start().await;
    let token = server.token(&Who::persona("maya", "member")).await;
    for (kind, of, all) in [
        ("contained", "Observation", 5),
        ("container", "Observation", 2),
    ] {
        let query = format!(
            "{of}?_contained=true&_containedType={kind}&patient=rivera-maya&_sort=-code&_count=1&_total=accurate"
        );
        let pages = server.pages(&query, &token).await;
        let mut names = Vec::new();
        for page in &pages {
            assert_eq!(page.json()["total"], json!(all), "{query}");
            names.extend(urls(page));
        }
        let once: BTreeSet<&String> = names.iter().collect();
        assert_eq!((names.len(), once.len()), (all, all), "{names:?}");
        let whole = server.get(&query.replace("_count=1&", ""), &token).await;
        assert_eq!(urls(&whole), names);
        let count = server
            .get(&query.replace("_count=1&", "_summary=count&"), &token)
            .await;
        assert_eq!(count.json()["total"], json!(all));
    }
}

#[tokio::test]
async fn what_stands_alone_is_whole_and_its_container_is_in_the_audit_log() {
    let server = start().await;
    let token = server.token(&Who::ehr()).await;
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let path = format!("Observation?{ALONE}&_id=plain,hidden,a&patient=rivera-maya&_sort=_id");
    let reply = server.get(&path, &token).await;
    let body = reply.json();
    let alone: Vec<&Value> = body["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["resource"])
        .collect();
    assert_eq!(
        alone,
        [
            &observation("a", "Z23", "final"),
            &observation("hidden", "F32.9", "amended"),
            &observation("plain", "J45.909", "final")
        ]
    );
    let log = server.get("AuditEvent?_count=1", &auditor).await;
    let event = &log.json()["entry"][0]["resource"];
    let named: Vec<&str> = event["entity"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entity| entity["what"]["reference"].as_str())
        .collect();
    for key in ["DiagnosticReport/inside-one", "DiagnosticReport/inside-two"] {
        let times = named.iter().filter(|name| name.starts_with(key)).count();
        assert_eq!(times, 1, "{named:?}");
    }
    assert!(named.contains(&"Patient/rivera-maya"), "{named:?}");
    // With less of it, and said so.
    let path = format!("Observation?{ALONE}&_id=plain&_elements=status");
    let trimmed = server.get(&path, &token).await.json();
    let one = &trimmed["entry"][0]["resource"];
    assert!(
        one["subject"].is_null() && one["status"] == "final",
        "{one}"
    );
    assert_eq!(one["meta"]["tag"][0]["code"], "SUBSETTED");
}

#[tokio::test]
async fn chains_lead_into_the_record_itself() {
    let server = start().await;
    let token = server.token(&Who::ehr()).await;
    let found = async |query: &str| {
        let mut found = server
            .get(&format!("{query}&_count=1000"), &token)
            .await
            .keys();
        found.retain(|name| name.contains("/inside-"));
        found
    };
    let plain = "MedicationRequest/inside-plain";
    let hidden = "MedicationRequest/inside-hidden";
    assert_eq!(
        found("MedicationRequest?medication.code=J45.909").await,
        [plain]
    );
    assert_eq!(
        found("MedicationRequest?medication:Medication.code=F32.9,J45.909").await,
        [hidden, plain]
    );
    // From one contained resource to another, and to records outside.
    assert_eq!(
        found("MedicationRequest?medication.manufacturer.name=insul").await,
        [hidden, plain]
    );
    assert_eq!(
        found("DiagnosticReport?result.patient.family=rivera&result.code=Z23").await,
        ["DiagnosticReport/inside-two"]
    );
    assert_eq!(
        found(
            "DiagnosticReport?result._has:DiagnosticReport:result:status=final&result.code=F32.9"
        )
        .await,
        ["DiagnosticReport/inside-one"]
    );
    assert_eq!(
        found(
            "Medication?_contained=true&_has:MedicationRequest:medication:status=active&code=F32.9"
        )
        .await,
        [hidden]
    );
    assert!(
        found("MedicationRequest?medication.code=Z23")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_cant_go_together_is_refused() {
    let server = start().await;
    let token = server.token(&Who::ehr()).await;
    for (query, why) in [
        ("_contained=true&_include=Observation:subject", "_include"),
        (
            "_contained=both&_revinclude=Provenance:target",
            "_revinclude",
        ),
        ("_contained=true&_elements=code", "_containedType=contained"),
        ("_contained=some", "true, false or both"),
        ("_containedType=some", "container or contained"),
    ] {
        let reply = server.get(&format!("Observation?{query}"), &token).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.says().contains(why), "{query}: {}", reply.says());
    }
    let headers = [("if-none-exist", "code=J45.909&_contained=true")];
    let body = observation("x", "J45.909", "final").to_string();
    let reply = server
        .write(Method::POST, "Observation", &token, &headers, body)
        .await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.says().contains("contained"), "{}", reply.says());
}
