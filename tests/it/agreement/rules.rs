//! The records from which relations and directives follow.

use super::made::{has, to};
use serde_json::{Value, json};

const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const OURS: &str = "https://confide.example/fhir/CodeSystem";
const EXTENSION: &str = "https://confide.example/fhir/StructureDefinition";

/// Who there is, and what relates them; `rules` turns each relation on or off.
pub fn records(rules: u32) -> Vec<Value> {
    let mut all: Vec<Value> = [
        ("plan", None),
        ("clinic", None),
        ("below", Some("clinic")),
        ("recovery", None),
    ]
    .map(|(id, parent)| {
        let mut record =
            json!({ "resourceType": "Organization", "id": id, "name": format!("The {id}") });
        if let Some(parent) = parent {
            record["partOf"] = to(format!("Organization/{parent}"));
        }
        if id == "recovery" {
            record["extension"] =
                json!([{ "url": format!("{EXTENSION}/facility-regime"), "valueCode": "part2" }]);
        }
        record
    })
    .into();
    for id in ["lee", "novak", "worker"] {
        all.push(json!({ "resourceType": "Practitioner", "id": id, "name": [{ "family": id }] }));
    }
    let births = [
        Some("1980-05-01"),
        Some("2011-07-24"),
        Some("2000-02-29"),
        Some("1970-01-01"),
        None,
    ];
    for (id, born) in super::made::PATIENTS.into_iter().zip(births) {
        let mut patient = json!({ "resourceType": "Patient", "id": id,
            "name": [{ "family": format!("Family{id}"), "given": ["Given"] }], "gender": "female",
            "telecom": [{ "system": "phone", "value": format!("555-{id}") }] });
        if let Some(born) = born {
            patient["birthDate"] = json!(born);
        }
        if has(rules, 0) {
            patient["managingOrganization"] = to("Organization/below");
        }
        if id == "c" && has(rules, 1) {
            patient["extension"] = json!([{ "url": "http://example.org/identity",
                "valueCodeableConcept": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F64.0" }] } }]);
        }
        all.push(patient);
    }
    for id in ["a", "b", "c", "d"] {
        let payor = if id == "d" && has(rules, 2) {
            "recovery"
        } else {
            "plan"
        };
        let own = id == "d" || (id == "c" && has(rules, 3));
        let end = if id == "c" && has(rules, 4) {
            "2026-06-30"
        } else {
            "2027-12-31"
        };
        let subscriber = if own { id } else { "a" };
        all.push(json!({ "resourceType": "Coverage", "id": format!("cov-{id}"), "status": "active",
            "subscriber": to(format!("Patient/{subscriber}")), "beneficiary": to(format!("Patient/{id}")),
            "payor": [to(format!("Organization/{payor}"))], "period": { "start": "2026-01-01", "end": end } }));
    }
    let mut parent = json!({ "resourceType": "RelatedPerson", "id": "a-for-b", "active": true, "patient": to("Patient/b"),
        "relationship": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH" }] }] });
    if has(rules, 5) || has(rules, 6) {
        parent["extension"] = json!([{ "url": format!("{EXTENSION}/representative-authority"), "extension": [
            { "url": "kind", "valueCode": if has(rules, 7) { "guardian" } else { "parent" } },
            { "url": "evidence", "valueString": "seen" }, { "url": "date", "valueDate": "2026-01-01" },
            { "url": "verifiedBy", "valueReference": to("Practitioner/worker") }] }]);
    }
    all.push(parent);
    if has(rules, 8) {
        all.push(json!({ "resourceType": "Person", "id": "worker", "link": [
            { "target": to("Practitioner/worker"), "assurance": "level4" },
            { "target": to(if has(rules, 9) { "Patient/a" } else { "Patient/d" }), "assurance": "level4" }] }));
    }
    all.push(
        json!({ "resourceType": "Group", "id": "members", "type": "person", "actual": true,
        "member": Vec::from(["a", "b", "c"].map(|id| json!({ "entity": to(format!("Patient/{id}")) }))) }),
    );
    let purposes = if has(rules, 10) {
        vec!["COC", "HQUALIMP"]
    } else {
        vec!["COC", "HDM"]
    };
    all.push(json!({ "resourceType": "Task", "id": "grant", "status": if has(rules, 11) && has(rules, 12) { "rejected" } else { "accepted" },
        "intent": "order", "code": coding("task-code", "emr-access"), "focus": to("Group/members"),
        "requester": to("Organization/plan"), "owner": to("Organization/clinic"),
        "restriction": { "period": { "start": "2026-01-01", "end": "2027-12-31" } },
        "input": purposes.iter().map(|code| json!({ "type": coding("task-input", "purpose"),
            "valueCoding": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code } })).collect::<Vec<_>>() }));
    if has(rules, 13) {
        all.push(json!({ "resourceType": "Task", "id": "psychotherapy", "status": "completed", "intent": "order",
            "code": coding("task-code", "psychotherapy-information-request"), "for": to("Patient/b"),
            "requester": to("Organization/plan") }));
    }
    let flag = |id: &str, code: &str| {
        json!({ "resourceType": "Flag", "id": id, "status": "active",
        "code": coding("member-flag", code), "subject": to("Patient/b") })
    };
    if has(rules, 14) && has(rules, 15) {
        let mut suspected = flag("suspected", "suspected-abuse");
        let whom = if has(rules, 16) {
            "RelatedPerson/a-for-b"
        } else {
            "RelatedPerson/else"
        };
        suspected["extension"] =
            json!([{ "url": format!("{EXTENSION}/by"), "valueReference": to(whom) }]);
        all.push(suspected);
    }
    if has(rules, 17) && has(rules, 18) {
        all.push(flag("removed", "removed-from-custody"));
    }
    if has(rules, 19) && has(rules, 20) && has(rules, 21) {
        all.push(flag("emancipated", "emancipated"));
    }
    all
}

fn coding(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": format!("{OURS}/{system}"), "code": code }] })
}

fn actor(whom: &str) -> Value {
    json!([{ "role": { "coding": [{ "code": "IRCP" }] }, "reference": to(whom) }])
}

fn label(code: &str) -> Value {
    let ours = ["part2", "hiv-test-result", "contraception"].contains(&code);
    let system = if ours {
        format!("{OURS}/sensitive-service")
    } else {
        ACT.to_owned()
    };
    json!([{ "system": system, "code": code }])
}

/// A Consent of the patient's, from a template.
pub fn consent(at: usize, template: u8, patient: &str) -> Value {
    let authorization = |whom: &str, on: Value| {
        let mut permit = json!({ "type": "permit", "actor": actor(whom) });
        permit
            .as_object_mut()
            .unwrap()
            .extend(on.as_object().unwrap().clone());
        (
            "authorization",
            "OPTOUT",
            json!({ "period": { "start": "2026-06-01", "end": "2027-05-31" }, "provision": [permit] }),
        )
    };
    let (category, rule, provision) = match template {
        0 => authorization("Patient/a", json!({ "securityLabel": label("MH") })),
        1 => authorization(
            "Patient/a",
            json!({ "securityLabel": label("STD"), "class": [{ "code": "Encounter" }, { "code": "ExplanationOfBenefit" }] }),
        ),
        2 => authorization(
            "Organization/plan",
            json!({ "securityLabel": label("hiv-test-result") }),
        ),
        3 => authorization(
            "RelatedPerson/a-for-b",
            json!({ "class": [{ "code": "Observation" }, { "code": "Encounter" }] }),
        ),
        4 => (
            "restriction",
            "OPTIN",
            json!({ "provision": [{ "type": "deny", "actor": actor("Organization/plan"), "securityLabel": label("STD") }] }),
        ),
        5 => (
            "restriction",
            "OPTIN",
            json!({ "provision": [{ "type": "deny", "class": [{ "code": "Condition" }, { "code": "Coverage" }],
            "provision": [{ "type": "permit", "dataPeriod": { "start": "2026-01-01", "end": "2026-06-30" } }] }] }),
        ),
        6 => (
            "restriction",
            "OPTOUT",
            json!({ "provision": [{ "type": "permit", "purpose": [{ "code": "TREAT" }] }] }),
        ),
        7 => ("confidential-communications-request", "OPTIN", json!({})),
        8 => (
            "part2-consent",
            "OPTOUT",
            json!({ "provision": [{ "type": "permit", "actor": actor("Organization/plan") }, { "type": "permit", "actor": actor("Patient/a") }] }),
        ),
        9 => (
            "restriction",
            "OPTIN",
            json!({ "provision": [{ "type": "deny", "code": [{ "text": "can't be honoured" }] }] }),
        ),
        10 => (
            "self-pay-restriction",
            "OPTIN",
            json!({ "provision": [{ "type": "deny", "actor": actor("Organization/plan"),
            "data": [{ "meaning": "instance", "reference": to("Observation/r3") }, { "meaning": "instance", "reference": to("Encounter/r2") }] }] }),
        ),
        _ => (
            "restriction",
            "OPTIN",
            json!({ "provision": [{ "type": "deny", "actor": actor("Patient/a"), "class": [{ "code": "Encounter" }] },
            { "type": "deny", "actor": actor("Organization/clinic"), "dataPeriod": { "start": "2026-08-01" } }] }),
        ),
    };
    let mut record = json!({ "resourceType": "Consent", "id": format!("consent{at}"), "status": "active",
        "scope": { "coding": [{ "code": "patient-privacy", "system": "http://terminology.hl7.org/CodeSystem/consentscope" }] },
        "category": [coding("consent-category", category)], "patient": to(format!("Patient/{patient}")),
        "dateTime": "2026-06-01", "performer": [to(format!("Patient/{patient}"))],
        "organization": [to("Organization/clinic")], "policyRule": { "coding": [{ "system": ACT, "code": rule }] },
        "extension": [{ "url": format!("{EXTENSION}/authorization-form"), "extension": [{ "url": "typeface", "valueInteger": 14 },
            { "url": "separateDocument", "valueBoolean": true }, { "url": "copyOffered", "valueBoolean": true }] }] });
    if provision != json!({}) {
        record["provision"] = provision;
    }
    record
}
