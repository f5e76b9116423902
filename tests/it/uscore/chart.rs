//! A small chart as US Core has it.

use serde_json::{Value, json};

/// The patient.
pub const P: &str = "us-core-p";
const OTHER: &str = "us-core-other";

fn coded(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": system, "code": code}]})
}

fn of(mut record: Value, id: &str, subject: &str) -> Value {
    record["id"] = id.into();
    record[subject] = json!({"reference": format!("Patient/{P}")});
    record
}

/// A small chart: one record a type at least, and a second patient whose records must not be found.
pub fn chart() -> Vec<Value> {
    let loinc = |code: &str| coded("http://loinc.org", code);
    let category = |code: &str| {
        json!([coded(
            "http://terminology.hl7.org/CodeSystem/observation-category",
            code
        )])
    };
    let patient = |id: &str, family: &str, born: &str| {
        json!({"resourceType": "Patient", "id": id, "gender": "female", "birthDate": born,
            "identifier": [{"system": "urn:mrn", "value": id}],
            "name": [{"family": family, "given": ["Ada"]}]})
    };
    let observation = |id: &str, class: &str, code: &str, at: &str| {
        of(
            json!({"resourceType": "Observation", "status": "final", "category": category(class),
                "code": loinc(code), "effectiveDateTime": at}),
            id,
            "subject",
        )
    };
    let request = |id: &str, status: &str, intent: &str, medication: Value| {
        let mut all = of(
            json!({"resourceType": "MedicationRequest", "status": status, "intent": intent,
                "authoredOn": "2026-03-04T10:00:00-08:00"}),
            id,
            "subject",
        );
        for (name, value) in medication.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    let inhaler = || coded("http://www.nlm.nih.gov/research/umls/rxnorm", "745679");
    let report = json!({"resourceType": "DiagnosticReport", "status": "final", "code": loinc("58410-2"),
        "category": [coded("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB")],
        "effectiveDateTime": "2026-03-04T10:00:00-08:00",
        "presentedForm": [{"contentType": "text/plain", "url": "Binary/us-core-text"}]});
    let document = json!({"resourceType": "DocumentReference", "status": "current", "type": loinc("34117-2"),
        "category": [coded("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note")],
        "date": "2026-03-04T10:00:00-08:00",
        "content": [{"attachment": {"contentType": "text/plain", "url": "Binary/us-core-text"}}]});
    let goal = json!({"resourceType": "Goal", "lifecycleStatus": "active", "description": {"text": "walk"},
        "target": [{"measure": loinc("41950-7"), "detailString": "daily", "dueDate": "2026-06-01"}]});
    let absent = json!([{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]);
    vec![
        patient(P, "Lovelace-Us", "1980-02-29"),
        patient(OTHER, "Elsewhere", "1981-01-01"),
        json!({"resourceType": "Practitioner", "id": "us-core-dr", "name": [{"family": "Usdoctor"}],
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": "9941339100"}]}),
        json!({"resourceType": "Organization", "id": "us-core-org", "active": true, "name": "Uscore Clinic",
            "address": [{"city": "Uscoreville"}]}),
        json!({"resourceType": "Location", "id": "us-core-loc", "name": "Uscore Room", "address": {"city": "Uscoreville"}}),
        json!({"resourceType": "PractitionerRole", "id": "us-core-role", "practitioner": {"reference": "Practitioner/us-core-dr"},
            "organization": {"reference": "Organization/us-core-org"},
            "specialty": [coded("http://nucc.org/provider-taxonomy", "208D00000X")]}),
        of(
            json!({"resourceType": "AllergyIntolerance", "code": {"text": "dust"},
            "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active")}),
            "us-core-allergy",
            "patient",
        ),
        of(
            json!({"resourceType": "CarePlan", "status": "active", "intent": "plan",
            "category": [coded("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan")]}),
            "us-core-plan",
            "subject",
        ),
        of(
            json!({"resourceType": "CareTeam", "status": "active"}),
            "us-core-team",
            "subject",
        ),
        of(
            json!({"resourceType": "Condition", "code": coded("http://hl7.org/fhir/sid/icd-10-cm", "J06.9"),
            "category": [coded("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item")],
            "clinicalStatus": coded("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
            "verificationStatus": coded("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
            "onsetDateTime": "2026-03-04", "recordedDate": "2026-03-05",
            "encounter": {"reference": "Encounter/us-core-visit"}}),
            "us-core-condition",
            "subject",
        ),
        of(
            json!({"resourceType": "Coverage", "status": "active", "payor": [{"reference": "Organization/us-core-org"}]}),
            "us-core-coverage",
            "beneficiary",
        ),
        of(
            json!({"resourceType": "Device", "status": "active"}),
            "us-core-device",
            "patient",
        ),
        of(report, "us-core-report", "subject"),
        of(document, "us-core-document", "subject"),
        json!({"resourceType": "Binary", "id": "us-core-text", "contentType": "text/plain", "data": "YQ==",
            "securityContext": {"reference": format!("Patient/{P}")}}),
        of(
            json!({"resourceType": "Encounter", "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "period": {"start": "2026-03-04T10:00:00-08:00", "end": "2026-03-04T11:00:00-08:00"}}),
            "us-core-visit",
            "subject",
        ),
        of(goal, "us-core-goal", "subject"),
        of(
            json!({"resourceType": "Immunization", "status": "completed", "vaccineCode": coded("http://hl7.org/fhir/sid/cvx", "140"),
            "occurrenceDateTime": "2026-03-04"}),
            "us-core-shot",
            "patient",
        ),
        json!({"resourceType": "Medication", "id": "us-core-inhaler", "code": inhaler()}),
        request(
            "us-core-order",
            "active",
            "order",
            json!({"medicationReference": {"reference": "Medication/us-core-inhaler"}}),
        ),
        request(
            "us-core-stopped",
            "stopped",
            "plan",
            json!({"medicationCodeableConcept": inhaler()}),
        ),
        of(
            json!({"resourceType": "MedicationDispense", "status": "completed", "medicationCodeableConcept": inhaler()}),
            "us-core-dispense",
            "subject",
        ),
        observation(
            "us-core-lab",
            "laboratory",
            "2339-0",
            "2026-03-04T10:00:00-08:00",
        ),
        observation(
            "us-core-pulse",
            "vital-signs",
            "8867-4",
            "2026-03-05T10:00:00-08:00",
        ),
        of(
            json!({"resourceType": "Observation", "status": "final", "category": category("vital-signs"), "code": loinc("9279-1"),
            "effectiveDateTime": "2026-03-06", "dataAbsentReason": coded("http://terminology.hl7.org/CodeSystem/data-absent-reason", "unknown")}),
            "us-core-absent",
            "subject",
        ),
        of(
            json!({"resourceType": "Procedure", "status": "completed", "code": {"text": "dressing"},
            "_performedDateTime": {"extension": absent}}),
            "us-core-undated",
            "subject",
        ),
        of(
            json!({"resourceType": "Procedure", "status": "completed", "code": coded("http://snomed.info/sct", "18949003"),
            "performedDateTime": "2026-03-04T10:00:00-08:00"}),
            "us-core-procedure",
            "subject",
        ),
        of(
            json!({"resourceType": "QuestionnaireResponse", "status": "completed"}),
            "us-core-answers",
            "subject",
        ),
        of(
            json!({"resourceType": "RelatedPerson", "active": true}),
            "us-core-related",
            "patient",
        ),
        of(
            json!({"resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": loinc("2339-0"),
            "category": [coded("http://snomed.info/sct", "108252007")], "authoredOn": "2026-03-04"}),
            "us-core-service",
            "subject",
        ),
        of(
            json!({"resourceType": "Specimen", "type": {"text": "blood"}}),
            "us-core-specimen",
            "subject",
        ),
        json!({"resourceType": "Provenance", "id": "us-core-provenance", "recorded": "2026-03-04T10:00:00Z",
            "target": [{"reference": "Condition/us-core-condition"}, {"reference": "Observation/us-core-lab"}],
            "agent": [{"who": {"reference": "Practitioner/us-core-dr"}, "onBehalfOf": {"reference": "Organization/us-core-org"}}]}),
        json!({"resourceType": "Condition", "id": "us-core-others", "subject": {"reference": format!("Patient/{OTHER}")},
            "category": [coded("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item")], "code": {"text": "cold"}}),
    ]
}
