//! What certification asks of a US Core server (6.1 and 7.0): its searches, and the checks that servers
//! commonly fail, by their numbers (docs/conformance.md).

use crate::harness::{PUBLIC, Server, Start, Who};
use serde_json::json;
use std::collections::BTreeSet;

mod chart;

use chart::{P, chart};

async fn started() -> (Server, String) {
    let server = Start::default().import(&chart()).go().await;
    let token = server.token(&Who::ehr()).await;
    (server, token)
}

/// What a search finds, of this chart.
async fn found(server: &Server, token: &str, query: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for page in server.pages(query, token).await {
        assert_eq!(page.status, 200, "{query}: {}", page.whole());
        let page = page.json();
        for entry in page["entry"].as_array().into_iter().flatten() {
            let id = entry["resource"]["id"].as_str().unwrap();
            all.insert(id.strip_prefix("us-core-").unwrap_or(id).to_owned());
        }
    }
    all
}

/// Each search that US Core's CapabilityStatement demands, with what it must find. `P` is the patient.
const SEARCHES: &[(&str, &str)] = &[
    ("Patient?_id=P", "p"),
    ("Patient?identifier=urn:mrn|P", "p"),
    ("Patient?name=lovelace-us", "p"),
    ("Patient?birthdate=1980-02-29&name=Lovelace-Us", "p"),
    ("Patient?gender=female&name=Lovelace-Us", "p"),
    ("AllergyIntolerance?patient=P", "allergy"),
    ("CarePlan?patient=P&category=assess-plan", "plan"),
    ("CareTeam?patient=P&status=active", "team"),
    ("Condition?patient=P", "condition"),
    (
        "Condition?patient=P&category=problem-list-item",
        "condition",
    ),
    ("Condition?patient=P&clinical-status=active", "condition"),
    (
        "Condition?patient=P&code=http://hl7.org/fhir/sid/icd-10-cm|J06.9",
        "condition",
    ),
    ("Condition?patient=P&onset-date=ge2026-03-04", "condition"),
    (
        "Condition?patient=P&recorded-date=ge2026-03-05",
        "condition",
    ),
    (
        "Condition?patient=P&category=problem-list-item&encounter=Encounter/us-core-visit",
        "condition",
    ),
    ("Coverage?patient=P", "coverage"),
    ("Device?patient=P", "device"),
    ("DiagnosticReport?patient=P", "report"),
    ("DiagnosticReport?patient=P&category=LAB", "report"),
    (
        "DiagnosticReport?patient=P&category=LAB&date=ge2026-03-04",
        "report",
    ),
    ("DiagnosticReport?patient=P&code=58410-2", "report"),
    ("DocumentReference?_id=us-core-document", "document"),
    ("DocumentReference?patient=P", "document"),
    (
        "DocumentReference?patient=P&category=clinical-note",
        "document",
    ),
    (
        "DocumentReference?patient=P&category=clinical-note&date=ge2026-03-04",
        "document",
    ),
    ("DocumentReference?patient=P&type=34117-2", "document"),
    ("Encounter?_id=us-core-visit", "visit"),
    ("Encounter?patient=P", "visit"),
    ("Encounter?date=ge2026-03-04&patient=P", "visit"),
    ("Goal?patient=P", "goal"),
    ("Goal?patient=P&lifecycle-status=active", "goal"),
    ("Goal?patient=P&target-date=le2026-06-01", "goal"),
    ("Immunization?patient=P", "shot"),
    ("Location?name=uscore room", "loc"),
    ("Location?address=Uscoreville", "loc"),
    ("Organization?name=Uscore", "org"),
    ("Organization?address=Uscoreville", "org"),
    ("MedicationRequest?patient=P&intent=order", "order"),
    (
        "MedicationRequest?patient=P&intent=order&status=active",
        "order",
    ),
    (
        "MedicationRequest?patient=P&intent=order&authoredon=ge2026-03-04",
        "order",
    ),
    ("MedicationDispense?patient=P", "dispense"),
    ("Observation?patient=P&category=laboratory", "lab"),
    ("Observation?patient=P&code=8867-4", "pulse"),
    (
        "Observation?patient=P&category=vital-signs&date=ge2026-03-05",
        "absent pulse",
    ),
    ("Practitioner?name=usdoctor", "dr"),
    (
        "Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|9941339100",
        "dr",
    ),
    (
        "PractitionerRole?practitioner=Practitioner/us-core-dr",
        "role",
    ),
    (
        "PractitionerRole?specialty=208D00000X&practitioner=us-core-dr",
        "role",
    ),
    ("Procedure?patient=P", "procedure undated"),
    ("Procedure?patient=P&date=ge2026-03-04", "procedure"),
    ("QuestionnaireResponse?patient=P", "answers"),
    ("QuestionnaireResponse?_id=us-core-answers", "answers"),
    ("RelatedPerson?_id=us-core-related", "related"),
    ("ServiceRequest?_id=us-core-service", "service"),
    ("ServiceRequest?patient=P", "service"),
    ("ServiceRequest?patient=P&code=2339-0", "service"),
    ("ServiceRequest?patient=P&category=108252007", "service"),
    (
        "ServiceRequest?patient=P&category=108252007&authored=ge2026-03-04",
        "service",
    ),
    ("Specimen?_id=us-core-specimen", "specimen"),
    (
        "Observation?patient=P&category=laboratory&_lastUpdated=ge2026-01-01",
        "lab",
    ),
];

fn of_patient(query: &str) -> String {
    query
        .replace("patient=P", &format!("patient={P}"))
        .replace("_id=P", &format!("_id={P}"))
        .replace("urn:mrn|P", &format!("urn:mrn|{P}"))
}

#[tokio::test]
async fn every_search_that_us_core_demands_finds_what_it_must() {
    let (server, token) = started().await;
    for (query, expected) in SEARCHES {
        let expected: BTreeSet<String> = expected.split(' ').map(str::to_owned).collect();
        let query = of_patient(query);
        assert_eq!(found(&server, &token, &query).await, expected, "{query}");
    }
    // All of them are in the CapabilityStatement; each record can be read.
    let stated = server.get("metadata", "").await.json();
    let resources = stated["rest"][0]["resource"].as_array().unwrap();
    for (query, _) in SEARCHES {
        let (kind, query) = query.split_once('?').unwrap();
        let resource = resources.iter().find(|r| r["type"] == kind).unwrap();
        for pair in query.split('&') {
            let (name, _) = pair.split_once('=').unwrap();
            let params = resource["searchParam"].as_array().unwrap();
            assert!(params.iter().any(|p| p["name"] == name), "{kind}.{name}");
        }
    }
    for record in chart() {
        let (kind, id) = (&record["resourceType"], &record["id"]);
        let path = format!("{}/{}", kind.as_str().unwrap(), id.as_str().unwrap());
        assert_eq!(server.get(&path, &token).await.json()["id"], *id, "{path}");
    }
}

#[tokio::test]
async fn check_48_a_patient_is_found_by_id_and_by_reference() {
    let (server, token) = started().await;
    for (query, _) in SEARCHES
        .iter()
        .filter(|(query, _)| query.contains("patient=P"))
    {
        let id = of_patient(query);
        let reference = id.replace("patient=", "patient=Patient/");
        let absolute = id.replace("patient=", &format!("patient={PUBLIC}/fhir/Patient/"));
        let by_id = found(&server, &token, &id).await;
        assert_eq!(by_id, found(&server, &token, &reference).await, "{query}");
        assert_eq!(by_id, found(&server, &token, &absolute).await, "{query}");
    }
}

#[tokio::test]
async fn check_49_post_search_finds_what_get_finds() {
    let (server, token) = started().await;
    for (query, _) in SEARCHES {
        let query = of_patient(query);
        let (kind, form) = query.split_once('?').unwrap();
        let got = server.get(&query, &token).await.json();
        let posted = server.search(kind, &token, form).await.json();
        assert_eq!(got["entry"], posted["entry"], "{query}");
    }
}

#[tokio::test]
async fn check_50_a_code_is_found_with_and_without_its_system() {
    let (server, token) = started().await;
    for (kind, param, system, code) in [
        (
            "Condition",
            "category",
            "http://terminology.hl7.org/CodeSystem/condition-category",
            "problem-list-item",
        ),
        (
            "Condition",
            "code",
            "http://hl7.org/fhir/sid/icd-10-cm",
            "J06.9",
        ),
        ("Observation", "code", "http://loinc.org", "2339-0"),
        (
            "Observation",
            "category",
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "laboratory",
        ),
        (
            "DiagnosticReport",
            "category",
            "http://terminology.hl7.org/CodeSystem/v2-0074",
            "LAB",
        ),
        ("DocumentReference", "type", "http://loinc.org", "34117-2"),
        (
            "ServiceRequest",
            "category",
            "http://snomed.info/sct",
            "108252007",
        ),
    ] {
        let query = |value: &str| format!("{kind}?patient={P}&{param}={value}");
        let bare = found(&server, &token, &query(code)).await;
        assert_eq!(bare.len(), 1, "{kind} {param}");
        let whole = found(&server, &token, &query(&format!("{system}|{code}"))).await;
        assert_eq!(bare, whole);
        let other = found(&server, &token, &query(&format!("urn:other|{code}"))).await;
        assert!(other.is_empty());
    }
}

#[tokio::test]
async fn check_51_dates_are_compared_to_the_second_with_their_offset() {
    let (server, token) = started().await;
    // Each is at 2026-03-04T18:00:00Z.
    for (kind, param, id) in [
        ("DiagnosticReport", "date", "report"),
        ("DocumentReference", "date", "document"),
        ("Procedure", "date", "procedure"),
        ("MedicationRequest", "authoredon", "order"),
        ("Observation", "date", "lab"),
        ("Encounter", "date", "visit"),
    ] {
        for (value, finds) in [
            ("gt2026-03-03", true),
            ("ge2026-03-04T10:00:00-08:00", true),
            ("ge2026-03-04T18:00:00%2B00:00", true),
            ("le2026-03-04T18:59:59Z", kind != "Encounter"),
            ("lt2026-03-05T10:00:00-08:00", true),
            ("gt2026-03-05", false),
            ("lt2026-03-03", false),
            ("le2026-03-04T17:59:59%2B00:00", false),
        ] {
            let query = format!("{kind}?patient={P}&{param}={value}");
            let all = found(&server, &token, &query).await;
            // Where a period ends after the bound, its beginning still counts.
            let is = all.contains(id);
            if kind == "Encounter" && value.starts_with("le2026-03-04T18:5") {
                assert!(is, "{query}");
            } else {
                assert_eq!(is, finds, "{query}: {all:?}");
            }
        }
    }
}

#[tokio::test]
async fn check_52_values_with_a_comma_are_either() {
    let (server, token) = started().await;
    for (query, expected) in [
        (
            "MedicationRequest?patient=P&intent=order,plan",
            ["order", "stopped"],
        ),
        (
            "MedicationRequest?patient=P&intent=order,plan&status=active,stopped",
            ["order", "stopped"],
        ),
        (
            "Observation?patient=P&code=2339-0,8867-4&status=final,amended",
            ["lab", "pulse"],
        ),
    ] {
        let expected: BTreeSet<String> = expected.map(str::to_owned).into();
        let query = of_patient(query);
        assert_eq!(found(&server, &token, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn check_53_a_search_without_a_status_is_answered() {
    let (server, token) = started().await;
    let all = found(&server, &token, &format!("MedicationRequest?patient={P}")).await;
    assert_eq!(all.len(), 2);
    let unknown = server
        .get(&format!("CareTeam?patient={P}&nonsense=1"), &token)
        .await;
    assert_eq!(
        (unknown.status, &unknown.json()["resourceType"]),
        (400, &json!("OperationOutcome"))
    );
}

#[tokio::test]
async fn check_54_provenance_comes_along() {
    let (server, token) = started().await;
    for (kind, id) in [("Condition", "condition"), ("Observation", "lab")] {
        let query = format!("{kind}?_id=us-core-{id}&_revinclude=Provenance:target");
        let bundle = server.get(&query, &token).await.json();
        let modes: Vec<(&str, &str)> = bundle["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| {
                (
                    e["resource"]["resourceType"].as_str().unwrap(),
                    e["search"]["mode"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(modes, [(kind, "match"), ("Provenance", "include")]);
        let agent = &bundle["entry"][1]["resource"]["agent"][0];
        assert_eq!(agent["onBehalfOf"]["reference"], "Organization/us-core-org");
    }
    // It comes with each type of the chart that names a patient.
    let stated = server.get("metadata", "").await.json();
    for resource in stated["rest"][0]["resource"].as_array().unwrap() {
        let listed = resource["searchRevInclude"].as_array().unwrap();
        assert!(
            listed.contains(&json!("Provenance:target")),
            "{}",
            resource["type"]
        );
    }
}

#[tokio::test]
async fn check_55_medications_are_coded_or_included() {
    let (server, token) = started().await;
    let query = format!(
        "MedicationRequest?patient={P}&intent=order,plan&_include=MedicationRequest:medication"
    );
    let all = found(&server, &token, &query).await;
    let expected = ["inhaler", "order", "stopped"].map(str::to_owned);
    assert_eq!(all, BTreeSet::from(expected));
}

#[tokio::test]
async fn check_56_references_lead_to_what_can_be_read() {
    let (server, token) = started().await;
    let mut seen = 0;
    for (query, _) in SEARCHES {
        let bundle = server.get(&of_patient(query), &token).await.json();
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let text = entry["resource"].to_string();
            for part in text.split("\"reference\":\"").skip(1) {
                let reference = part.split('"').next().unwrap();
                let read = server.get(reference, &token).await;
                assert_eq!(read.status, 200, "{reference}");
                assert!(reference.ends_with(read.json()["id"].as_str().unwrap()));
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

#[tokio::test]
async fn check_57_pages_follow_absolute_links_to_an_end() {
    let (server, token) = started().await;
    let whole = found(&server, &token, &format!("Observation?patient={P}")).await;
    let query = format!("Observation?patient={P}&_count=1");
    let pages = server.pages(&query, &token).await;
    assert!(pages.len() <= 20 && pages.len() >= whole.len());
    for page in &pages {
        for link in page.json()["link"].as_array().unwrap() {
            let url = link["url"].as_str().unwrap();
            assert!(url.starts_with(&format!("{PUBLIC}/fhir/")), "{url}");
        }
    }
    assert_eq!(found(&server, &token, &query).await, whole);
}

#[tokio::test]
async fn check_58_what_is_not_known_is_said() {
    let (server, token) = started().await;
    let undated = server.get("Procedure/us-core-undated", &token).await.json();
    let reason = &undated["_performedDateTime"]["extension"][0];
    assert_eq!(reason["valueCode"], "unknown");
    let absent = server
        .get("Observation/us-core-absent", &token)
        .await
        .json();
    assert_eq!(absent["dataAbsentReason"]["coding"][0]["code"], "unknown");
    let query = format!("Observation?patient={P}&data-absent-reason=unknown");
    assert_eq!(
        found(&server, &token, &query).await,
        BTreeSet::from(["absent".to_owned()])
    );
    let missing = format!("Procedure?patient={P}&date:missing=true");
    assert_eq!(
        found(&server, &token, &missing).await,
        BTreeSet::from(["undated".to_owned()])
    );
}

#[tokio::test]
async fn check_59_an_attachment_of_a_report_is_also_a_documents() {
    let (server, token) = started().await;
    let report = server
        .get("DiagnosticReport/us-core-report", &token)
        .await
        .json();
    let document = server
        .get("DocumentReference/us-core-document", &token)
        .await
        .json();
    let url = &report["presentedForm"][0]["url"];
    assert_eq!(*url, document["content"][0]["attachment"]["url"]);
    let binary = server.get(url.as_str().unwrap(), &token).await;
    assert_eq!(
        (binary.status, &binary.json()["data"]),
        (200, &json!("YQ=="))
    );
}
