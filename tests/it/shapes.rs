//! Requests of every shape that this server answers or refuses, about one member: what the canary,
//! the twin store and the ghosts are asked.

mod far;

use crate::harness::{Reply, Server, record};
use confide::{
    fhir::Kind,
    search::params::{self, ParamType},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// One request; `GET` unless there is a form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Below the FHIR base; with a form, the type.
    pub path: String,
    /// The form of a `_search`.
    pub form: Option<String>,
    /// Whether unknown parameters may be ignored.
    pub lenient: bool,
}

fn get(path: impl Into<String>) -> Shape {
    Shape {
        path: path.into(),
        form: None,
        lenient: false,
    }
}

/// Types that are searched.
const KINDS: &[&str] = &[
    "AuditEvent",
    "Binary",
    "CarePlan",
    "Claim",
    "Communication",
    "Condition",
    "Consent",
    "Coverage",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Flag",
    "Group",
    "Immunization",
    "List",
    "Location",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "Procedure",
    "RelatedPerson",
    "Task",
];

/// Records beside the member's own.
const OTHERS: &[&str] = &[
    "Patient/rivera-daniel",
    "Patient/rivera-elena",
    "Patient/rivera-maya",
    "Coverage/rivera-daniel-coverage",
    "RelatedPerson/elena-for-maya",
    "RelatedPerson/daniel-for-maya",
    "Practitioner/dr-lee",
    "Practitioner/dr-novak",
    "Organization/sunrise-health-plan",
    "Organization/harbor-recovery",
    "Group/sunrise-attribution",
    "Task/emr-access-coc",
    "Consent/elena-authorizes-daniel",
    "Flag/tobi-suspected-abuse",
    "AuditEvent/1-1",
    "AuditEvent/none",
];

/// All shapes about a member whose hand-made records are these.
pub fn shapes(member: &str, records: &[String]) -> Vec<Shape> {
    let mut all = BTreeSet::new();
    for key in records
        .iter()
        .map(String::as_str)
        .chain(OTHERS.iter().copied())
    {
        all.insert(get(key));
        all.insert(get(format!("{key}/_history")));
        all.insert(get(format!("{key}/_history/zz-never-was")));
    }
    for kind in KINDS {
        all.insert(get(format!("{kind}/zz-never-was")));
        searches(kind, member, &mut all);
        includes(kind, member, &mut all);
    }
    for key in records {
        let (kind, id) = key.split_once('/').unwrap();
        all.insert(get(format!("{kind}?_id={id}&_total=accurate")));
        for (param, code) in codes(&record(key)) {
            let patient = of_patient(kind, member);
            all.insert(get(format!(
                "{kind}?{patient}{param}={code}&_total=accurate"
            )));
        }
        if kind == "Encounter" {
            for holder in [
                "Condition",
                "Observation",
                "Procedure",
                "Claim",
                "ExplanationOfBenefit",
                "Communication",
            ] {
                all.insert(get(format!("{holder}?encounter={key}")));
            }
        }
    }
    everything(member, &mut all);
    all.extend(far::far(member).into_iter().map(get));
    wrong(member, &mut all);
    all.into_iter().collect()
}

fn of_patient(kind: &str, member: &str) -> String {
    let has = |name| Kind::named(kind).is_some_and(|kind| params::param(kind, name).is_some());
    let name = ["patient", "subject", "beneficiary"]
        .into_iter()
        .find(|n| has(n));
    match name {
        Some("subject") => format!("subject={member}&"),
        Some(name) => format!("{name}={member}&"),
        None => String::new(),
    }
}

fn searches(kind: &str, member: &str, all: &mut BTreeSet<Shape>) {
    let patient = of_patient(kind, member);
    let tails = [
        "_count=1000",
        "_summary=count",
        "_total=accurate&_count=50&_sort=-_lastUpdated",
        "_sort=_id&_count=40",
        "_lastUpdated=ge2020-01-01&_total=accurate&_count=0",
        "_lastUpdated=lt2020-01-01&_summary=count",
        "_tag=http://terminology.hl7.org/CodeSystem/v3-ObservationValue|SUBSETTED&_summary=count",
        "_profile=http://hl7.org/fhir/StructureDefinition/Patient&_summary=count",
        "identifier=x&_summary=count",
        "_security=REDACTED",
        "_security=R",
    ];
    for tail in tails {
        all.insert(get(format!("{kind}?{patient}{tail}")));
    }
    all.insert(get(format!("{kind}?_count=300&_total=accurate")));
    all.insert(Shape {
        path: kind.to_owned(),
        form: Some(format!("{patient}_count=50")),
        lenient: false,
    });
    let has = |name| Kind::named(kind).is_some_and(|k| params::param(k, name).is_some());
    for name in [
        "date",
        "created",
        "authoredon",
        "service-date",
        "sent",
        "onset-date",
    ] {
        if has(name) {
            all.insert(get(format!(
                "{kind}?{patient}{name}=ge2026-08-01&{name}=lt2026-10-01&_total=accurate"
            )));
            all.insert(get(format!(
                "{kind}?{patient}{name}=ge2026-07-01&_sort=-{name}&_count=1"
            )));
        }
    }
    if has("category") {
        all.insert(get(format!(
            "{kind}?{patient}category=encounter-diagnosis&_total=accurate"
        )));
    }
}

fn includes(kind: &str, member: &str, all: &mut BTreeSet<Shape>) {
    let patient = of_patient(kind, member);
    let Some(of) = Kind::named(kind) else { return };
    if patient.is_empty() {
        return;
    }
    let references = params::of(of)
        .iter()
        .filter(|p| p.kind == ParamType::Reference);
    for param in references {
        let code = param.code;
        all.insert(get(format!("{kind}?{patient}_include={kind}:{code}")));
        let id = member.trim_start_matches("Patient/");
        if ["patient", "subject", "beneficiary"].contains(&code) {
            all.insert(get(format!("Patient?_id={id}&_revinclude={kind}:{code}")));
        }
        if code == "encounter" {
            all.insert(get(format!(
                "Encounter?patient={member}&_revinclude={kind}:{code}"
            )));
        }
    }
}

fn everything(member: &str, all: &mut BTreeSet<Shape>) {
    all.insert(get(format!("{member}/$everything")));
    all.insert(get(format!("{member}/$everything?_count=1000")));
    all.insert(get(format!("{member}/$everything?_count=60")));
    all.insert(get("Patient/zz-never-was/$everything"));
    all.insert(get("Patient/rivera-luis/$everything"));
    all.insert(get(format!("{member}/$everything?_since=2026-01-01")));
}

fn wrong(member: &str, all: &mut BTreeSet<Shape>) {
    for path in [
        "metadata",
        ".well-known/smart-configuration",
        "Condition?nonsense=1",
        "Condition?code:text=x",
        "Condition?patient.name=Rivera",
        "Condition?_has:Observation:subject:code=x",
        "Condition?_sort=nonsense",
        "Condition?_count=x",
        "Condition?_include=Nonsense:x",
        "Condition?_elements=id",
        "Condition?_summary=text",
        "Condition?onset-date=yesterday",
        "Condition?_cursor=AAAA",
        "Nonsense?x=1",
        "Nonsense/1",
        "Condition/a_b",
        "Condition/$nonsense",
        "Consent/$evaluate",
        "Consent/$evaluate?client=demo-household-app&purpose=COVERAGE&user=Patient/rivera-daniel&record=Encounter/maya-mh-encounter",
        "",
        "Patient",
        "_history?_count=1000",
        "_history?_count=0",
        "_history?_since=2026-11-24T12:00:00Z&_count=1000",
        "_history?_at=2026-01-01",
        "_history?nonsense=1",
        "_history?_since=yesterday",
        "_history?_cursor=AAAA",
        "Condition/_history?_count=1000",
        "ExplanationOfBenefit/_history?_count=7&_since=2026-11-24",
        "Nonsense/_history",
        "Condition/zz-never-was/_history",
        "Condition/zz-never-was/_history/1",
        "Condition/a_b/_history",
        "Observation?code=75622-1,44261-6&_sort=date",
        "Consent?status=proposed",
        "Consent?category=confidential-communications-request",
        "Group?member=Patient/rivera-maya",
        "RelatedPerson?patient=rivera-maya",
        "Task?code=emr-access",
        "Patient?family=Rivera&_sort=family&_count=2",
        "Patient?name=maya&_revinclude=Provenance:target",
        "Flag?patient=rivera-maya",
        "AuditEvent?_count=5",
        "AuditEvent?agent=Patient/rivera-maya",
        "ExplanationOfBenefit?_sort=created&_count=70",
        "ExplanationOfBenefit?provider=Practitioner/dr-novak",
        "Claim?provider=Practitioner/dr-novak",
        "Encounter?practitioner=Practitioner/dr-novak",
        "Encounter?service-provider=Organization/harbor-recovery",
    ] {
        all.insert(get(path));
    }
    for path in ["Condition", "ExplanationOfBenefit", "Encounter"] {
        all.insert(Shape {
            lenient: true,
            ..get(format!("{path}?patient={member}&nonsense=1&_count=9"))
        });
    }
}

/// A record's codes as searches, none of them a marker.
fn codes(record: &Value) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    for (element, param) in [
        ("code", "code"),
        ("medicationCodeableConcept", "code"),
        ("type", "type"),
        ("category", "category"),
        ("vaccineCode", "vaccine-code"),
    ] {
        let concepts = match &record[element] {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        let kind = record["resourceType"]
            .as_str()
            .and_then(Kind::named)
            .unwrap();
        if params::param(kind, param).is_none() {
            continue;
        }
        for coding in concepts
            .iter()
            .filter_map(|c| c["coding"].as_array())
            .flatten()
        {
            let text = |name: &str| coding[name].as_str().unwrap_or_default().to_owned();
            out.push((param, format!("{}|{}", text("system"), text("code"))));
        }
    }
    out
}

impl Shape {
    /// Whether it asks for one record, or for everything of a patient.
    pub fn is_read(&self) -> bool {
        self.path.contains('/') && !self.path.contains('?')
    }

    /// All that comes back, with all pages.
    pub async fn ask(&self, server: &Server, token: &str) -> Vec<Reply> {
        if let Some(form) = &self.form {
            return vec![server.search(&self.path, token, form).await];
        }
        if self.lenient {
            let lenient = [("prefer", "handling=lenient")];
            return vec![server.get_with(&self.path, token, &lenient).await];
        }
        server.pages(&self.path, token).await
    }
}
