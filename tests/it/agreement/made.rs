//! Generated stores: a household, its plan and providers, and records of many types.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

const ICD: &str = "http://hl7.org/fhir/sid/icd-10-cm";
const LOINC: &str = "http://loinc.org";
const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const EXTENSION: &str = "https://confide.example/fhir/StructureDefinition";

/// Codes of every class, some of none, one that only counts beside a diagnosis, and unknown ones.
pub const CODES: [(&str, &str); 16] = [
    (ICD, "J45.909"),
    (ICD, "Z23"),
    (LOINC, "8480-6"),
    (ICD, "F32.9"),
    (ICD, "A56.01"),
    (ICD, "B20"),
    (LOINC, "10351-5"),
    (ICD, "Z30.9"),
    (ICD, "Z33.2"),
    (ICD, "F64.0"),
    (ICD, "Z41.1"),
    (ICD, "F11.20"),
    (ICD, "X95"),
    (ICD, "Z14.8"),
    ("http://www.ama-assn.org/go/cpt", "90834"),
    ("http://example.org/local", "unknown"),
];

/// The patients: subscriber, minor, adult child on the policy, stranger, minor of unknown birth.
pub const PATIENTS: [&str; 5] = ["a", "b", "c", "d", "e"];

const DAYS: [&str; 3] = ["2026-03-02", "2026-09-16", "2025-11-30"];

/// One generated clinical record.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which type.
    pub kind: u8,
    /// Whose.
    pub patient: usize,
    /// Codes, as places in [`CODES`].
    pub codes: Vec<usize>,
    /// Earlier records that it refers to, counted back.
    pub links: Vec<usize>,
    /// What else differs.
    pub more: u16,
}

/// A store to be.
#[derive(Debug, Clone)]
pub struct Made {
    /// Clinical records.
    pub items: Vec<Item>,
    /// Consents, as numbers of templates, with the patient.
    pub consents: Vec<(u8, usize)>,
    /// Which flags, authorities, grants and coverages there are.
    pub rules: u32,
}

fn item(patient: usize) -> impl Strategy<Value = Item> {
    // Classes that only count beside a diagnosis come with it often enough.
    let code = || prop_oneof![3 => 0..CODES.len(), 1 => select(vec![9usize, 10, 10, 4])];
    let mixed = (0..3usize, vec(code(), 1..4), any::<bool>());
    let codes = prop_oneof![
        1 => vec(0..3usize, 1..3),
        3 => mixed.prop_map(|(plain, mut codes, first)| {
            codes.insert(if first { 0 } else { codes.len() }, plain);
            codes
        }),
        1 => vec(code(), 1..4),
    ];
    // Types that can be shown in part, and what they point at, come more often.
    let kind = prop_oneof![2 => 0..17u8, 2 => select(vec![0u8, 2, 4, 8, 8, 10, 11, 14, 15])];
    (kind, codes, vec(1..6usize, 0..4), any::<u16>()).prop_map(move |(kind, codes, links, more)| {
        Item {
            kind,
            patient,
            codes,
            links,
            more,
        }
    })
}

/// Records of one patient that point at each other.
fn episode() -> impl Strategy<Value = Vec<Item>> {
    let patient =
        prop_oneof![2 => Just(0usize), 4 => Just(1usize), 3 => Just(2usize), 1 => 3..5usize];
    patient.prop_flat_map(|patient| vec(item(patient), 3..10))
}

/// A generated store.
pub fn made() -> impl Strategy<Value = Made> {
    let consents = vec((0..12u8, select(vec![1usize, 2, 1, 2, 0])), 0..5);
    (vec(episode(), 2..5), consents, any::<u32>()).prop_map(|(episodes, consents, rules)| Made {
        items: episodes.concat(),
        consents,
        rules,
    })
}

/// A Reference.
pub fn to(text: impl AsRef<str>) -> Value {
    json!({ "reference": text.as_ref() })
}

fn concept(code: usize) -> Value {
    let (system, code) = CODES[code % CODES.len()];
    json!({ "coding": [{ "system": system, "code": code, "display": format!("Name {code}") }] })
}

/// Whether a rule is on.
pub fn has(rules: u32, at: u32) -> bool {
    rules & (1 << at) != 0
}

/// All records of a store, rules first.
pub fn records(made: &Made) -> Vec<Value> {
    let mut all = super::rules::records(made.rules);
    for (at, (template, patient)) in made.consents.iter().enumerate() {
        all.push(super::rules::consent(at, *template, PATIENTS[*patient]));
    }
    let mut keys: Vec<(String, usize)> = Vec::new();
    for (at, item) in made.items.iter().enumerate() {
        // A Condition names the visit that it is a diagnosis of, which comes after it and names it.
        let visit = visit_of(made, at).map(|at| format!("Encounter/r{at}"));
        let diagnoses = (at.saturating_sub(3)..at).filter(|from| visit_of(made, *from) == Some(at));
        let diagnoses: Vec<String> = diagnoses.map(|at| format!("Condition/r{at}")).collect();
        let links: Vec<&str> = item
            .links
            .iter()
            .filter_map(|back| keys.get(keys.len().checked_sub(*back)?))
            .filter(|(_, patient)| *patient == item.patient || item.more & 0x100 != 0)
            .map(|(key, _)| key.as_str())
            .chain(visit.as_deref())
            .chain(diagnoses.iter().map(String::as_str))
            .collect();
        let record = clinical(at, item, &links);
        let kind = record["resourceType"].as_str().unwrap();
        let key = format!("{kind}/{}", record["id"].as_str().unwrap());
        keys.push((key, item.patient));
        all.push(record);
    }
    all
}

/// The visit after a Condition, where that names one.
fn visit_of(made: &Made, at: usize) -> Option<usize> {
    let item = made
        .items
        .get(at)
        .filter(|item| matches!(item.kind, 2 | 3) && item.more & 0x1000 != 0)?;
    let next = made.items.iter().enumerate().skip(at + 1).take(3);
    let mut visits = next.filter(|(_, next)| next.kind < 2 && next.patient == item.patient);
    visits.next().map(|(at, _)| at)
}

fn first<'l>(links: &[&'l str], kind: &str) -> Option<&'l str> {
    let is = |link: &&&str| link.split_once('/').is_some_and(|(k, _)| k == kind);
    links.iter().find(is).copied()
}

fn put(record: &mut Value, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        record[name] = value;
    }
}

#[expect(clippy::too_many_lines, reason = "one row a type")]
fn clinical(at: usize, item: &Item, links: &[&str]) -> Value {
    let Item {
        kind,
        patient,
        codes,
        more,
        ..
    } = item;
    let patient = to(format!("Patient/{}", PATIENTS[*patient]));
    let day = DAYS[usize::from(*more) % 3];
    let clinic = ["clinic", "clinic", "below", "recovery"][usize::from(more >> 2) % 4];
    let organization = to(format!("Organization/{clinic}"));
    let doctor = to(["Practitioner/lee", "Practitioner/novak"][usize::from(more >> 4) % 2]);
    let encounter = first(links, "Encounter").map(to);
    let any = |kinds: &[&str]| -> Vec<Value> {
        let fits = |link: &&&str| {
            kinds.is_empty() || kinds.contains(&link.split_once('/').unwrap_or_default().0)
        };
        links.iter().filter(fits).map(to).collect()
    };
    let some = |list: Vec<Value>| (!list.is_empty()).then_some(Value::Array(list));
    let code = concept(codes[0]);
    let id = format!("r{at}");
    let mut record = match kind {
        0 | 1 => {
            let mut record = json!({ "resourceType": "Encounter", "id": id, "status": "finished",
                "class": { "system": ACT, "code": if more & 1 == 0 { "AMB" } else { "IMP" } },
                "subject": patient, "serviceProvider": organization,
                "period": { "start": day, "end": day }, "participant": [{ "individual": doctor }],
                "reasonCode": codes.iter().map(|code| concept(*code)).collect::<Vec<_>>() });
            let diagnosis = any(&["Condition"])
                .into_iter()
                .map(|c| json!({ "condition": c }));
            put(&mut record, "diagnosis", some(diagnosis.collect()));
            if more & 0x200 != 0 {
                record.as_object_mut().unwrap().remove("reasonCode");
            }
            if more & 0x40 != 0 {
                record["extension"] = json!([{ "url": format!("{EXTENSION}/consented-by"), "valueCode": "minor" },
                    { "url": format!("{EXTENSION}/minor-mature"), "valueBoolean": more & 0x80 != 0 }]);
            }
            record
        }
        2 | 3 => json!({ "resourceType": "Condition", "id": id, "subject": patient, "code": code,
            "clinicalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                "code": if more & 0x20 == 0 { "active" } else { "resolved" } }] } }),
        4 | 5 => {
            json!({ "resourceType": "Observation", "id": id, "status": "final", "subject": patient,
            "code": code, "effectiveDateTime": day, "performer": [doctor],
            "valueCodeableConcept": concept(codes[codes.len() - 1]), "issued": format!("{day}T10:00:00Z") })
        }
        6 => {
            json!({ "resourceType": "Procedure", "id": id, "status": "completed", "subject": patient,
            "code": code, "performedDateTime": day, "performer": [{ "actor": doctor, "onBehalfOf": organization }] })
        }
        7 => {
            json!({ "resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
            "subject": patient, "medicationCodeableConcept": code, "authoredOn": day, "requester": doctor,
            "reasonReference": any(&["Condition"]) })
        }
        8 => {
            let binary = first(links, "Binary").map(str::to_owned);
            let mut record = json!({ "resourceType": "DocumentReference", "id": id, "status": "current",
                "subject": patient, "type": { "coding": [{ "system": LOINC, "code": "11488-4" }] }, "date": format!("{day}T10:00:00Z"),
                "author": [doctor], "content": [{ "attachment": { "url": binary.unwrap_or("Binary/none".into()), "title": "Note" } }],
                "context": { "related": any(&[]) } });
            if let Some(encounter) = &encounter {
                record["context"]["encounter"] = json!([encounter]);
            }
            if more & 0x4000 != 0 {
                record["description"] = json!("About the visit");
            }
            if more & 0x20 != 0 {
                record["meta"] = json!({ "security": [{ "system": ACT, "code": "PSYTHPN" }] });
            }
            record
        }
        9 => {
            json!({ "resourceType": "Binary", "id": id, "contentType": "text/plain", "data": "eA==" })
        }
        10 => bill("Claim", &id, item, &patient, day, &organization, &encounter),
        11 | 12 => {
            let mut record = bill(
                "ExplanationOfBenefit",
                &id,
                item,
                &patient,
                day,
                &organization,
                &encounter,
            );
            put(&mut record, "claim", first(links, "Claim").map(to));
            record
        }
        13 => {
            json!({ "resourceType": "Communication", "id": id, "status": "completed", "subject": patient,
            "sent": format!("{day}T10:00:00Z"), "about": any(&[]), "payload": [{ "contentString": "A letter" }] })
        }
        14 => {
            json!({ "resourceType": "List", "id": id, "status": "current", "mode": "working", "subject": patient,
            "code": code, "source": doctor, "entry": any(&[]).into_iter().map(|item| json!({ "item": item })).collect::<Vec<_>>() })
        }
        15 => {
            json!({ "resourceType": "DiagnosticReport", "id": id, "status": "final", "subject": patient,
            "code": concept(0), "effectiveDateTime": day, "result": any(&["Observation"]), "performer": [organization] })
        }
        _ => json!({ "resourceType": "CareTeam", "id": id, "status": "active", "subject": patient,
            "name": "Team", "participant": [{ "member": doctor }], "reasonCode": [code], "reasonReference": any(&["Condition"]) }),
    };
    if !matches!(kind, 0 | 1 | 8..=12) {
        put(&mut record, "encounter", encounter);
    }
    if more & 0x400 != 0 && *kind != 9 {
        record["text"] = json!({ "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">All of it</div>" });
    }
    if more & 0x800 != 0 && record.get("meta").is_none() {
        record["meta"] = json!({ "tag": [{ "system": "http://example.org/tags", "code": "t" }] });
    }
    if more & 0x2000 != 0 {
        contain(&mut record, codes, &patient, &doctor);
    }
    empty_lists_out(&mut record);
    record
}

/// Puts resources into a record that it refers to: some say what is sensitive, some go with what does.
fn contain(record: &mut Value, codes: &[usize], patient: &Value, doctor: &Value) {
    let (first, last) = (codes[0], codes[codes.len() - 1]);
    let inside = to;
    match record["resourceType"].as_str().unwrap() {
        "MedicationRequest" => {
            let members = record.as_object_mut().unwrap();
            members.remove("medicationCodeableConcept");
            record["contained"] = json!([
                { "resourceType": "Medication", "id": "med", "code": concept(last) },
                { "resourceType": "Practitioner", "id": "writer", "name": [{ "family": "Writer" }] }]);
            record["medicationReference"] = inside("#med");
            // A note goes with whatever is taken out, and its author with it.
            record["note"] = json!([{ "authorReference": inside("#writer"), "text": "As needed" }]);
        }
        "DiagnosticReport" => {
            let observation = |id: &str, code: usize| {
                json!({ "resourceType": "Observation", "id": id, "status": "final", "subject": patient,
                    "code": concept(code), "valueCodeableConcept": concept(code), "performer": [doctor] })
            };
            record["contained"] = json!([observation("o", first), observation("p", last)]);
            let mut result = record["result"].as_array().cloned().unwrap_or_default();
            result.extend([inside("#o"), inside("#p")]);
            record["result"] = json!(result);
        }
        "Encounter" => {
            let condition = json!({ "resourceType": "Condition", "id": "dx", "subject": patient,
                "code": concept(last) });
            record["contained"] = json!([condition]);
            let mut diagnosis = record["diagnosis"].as_array().cloned().unwrap_or_default();
            diagnosis.push(json!({ "condition": inside("#dx") }));
            record["diagnosis"] = json!(diagnosis);
        }
        "Claim" | "ExplanationOfBenefit" => {
            record["contained"] = json!([{ "resourceType": "Practitioner", "id": "doc",
                "name": [{ "family": "Inside" }] }]);
            record["careTeam"][1]["provider"] = inside("#doc");
        }
        _ => {}
    }
}

fn bill(
    kind: &str,
    id: &str,
    item: &Item,
    patient: &Value,
    day: &str,
    by: &Value,
    encounter: &Option<Value>,
) -> Value {
    let lines = item.codes.iter().enumerate().map(|(at, code)| {
        let amount = 10 * (at + 1);
        let mut line = json!({ "sequence": at + 1, "diagnosisSequence": [at + 1],
            "careTeamSequence": [at % 2 + 1], "servicedDate": day,
            "productOrService": { "coding": [{ "system": "http://www.ama-assn.org/go/cpt", "code": "99213" }] },
            "net": { "value": amount, "currency": "USD" },
            "adjudication": [{ "category": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted" }] },
                "amount": { "value": amount, "currency": "USD" } }] });
        if let (Some(encounter), 0) = (encounter, at) {
            line["encounter"] = json!([encounter]);
        }
        if kind == "Claim" {
            line.as_object_mut().unwrap().remove("adjudication");
        }
        line["_code"] = json!(code);
        line
    });
    let mut lines: Vec<Value> = lines.collect();
    let mut diagnosis = Vec::new();
    for (at, line) in lines.iter_mut().enumerate() {
        let code = line.as_object_mut().unwrap().remove("_code").unwrap();
        let code = usize::try_from(code.as_u64().unwrap()).unwrap();
        diagnosis.push(json!({ "sequence": at + 1, "diagnosisCodeableConcept": concept(code) }));
    }
    let mut record = json!({ "resourceType": kind, "id": id, "status": "active", "use": "claim",
        "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/claim-type", "code": "professional" }] },
        "patient": patient, "created": day, "provider": by, "insurer": to("Organization/plan"),
        "insurance": [{ "sequence": 1, "focal": true, "coverage": to("Coverage/cov-b") }],
        "careTeam": [{ "sequence": 1, "provider": to("Practitioner/lee") },
            { "sequence": 2, "provider": to("Practitioner/novak") }],
        "diagnosis": diagnosis, "item": lines });
    if kind == "ExplanationOfBenefit" {
        record["outcome"] = json!("complete");
        record["insurance"][0]
            .as_object_mut()
            .unwrap()
            .remove("sequence");
        record["total"] = json!([{ "category": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "submitted" }] },
            "amount": { "value": 60, "currency": "USD" } }]);
    } else {
        record["priority"] = json!({ "coding": [{ "code": "normal", "system": "http://terminology.hl7.org/CodeSystem/processpriority" }] });
    }
    record
}

fn empty_lists_out(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for member in members.values_mut() {
                empty_lists_out(member);
            }
            members.retain(|_, value| *value != json!([]) && *value != json!({}));
        }
        Value::Array(items) => items.iter_mut().for_each(empty_lists_out),
        _ => {}
    }
}
