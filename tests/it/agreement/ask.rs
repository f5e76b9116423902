//! Who asks, and what.

use confide::{
    fhir::{Id, Key, Kind},
    policy::{Case, Requester, Role},
    scope::ScopeSet,
    search::{ParseOptions, plan::Plan},
    statute::Purpose,
};

/// 2026-11-24T12:00:00Z.
pub const NOW: i64 = 1_795_521_600_000_000;

/// Role, purpose, user, organization, scopes, patient in context, state.
type Row = (
    Role,
    Purpose,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const APP: Role = Role::App;
const MINE: &str = "patient/*.rs";

const ROWS: [Row; 25] = [
    (APP, Purpose::Patrqt, "Patient/b", "", MINE, "b", ""),
    (APP, Purpose::Patrqt, "Patient/c", "", "user/*.rs", "", "TX"),
    (APP, Purpose::Coverage, "Patient/a", "", "user/*.rs", "", ""),
    (APP, Purpose::Coverage, "Patient/a", "", MINE, "b", "CA"),
    (
        APP,
        Purpose::Coverage,
        "Patient/a",
        "",
        "patient/ExplanationOfBenefit.rs user/Patient.rs",
        "c",
        "CA",
    ),
    (
        APP,
        Purpose::Coverage,
        "Patient/c",
        "",
        "user/*.rs",
        "",
        "CA",
    ),
    (
        APP,
        Purpose::Coverage,
        "Patient/d",
        "",
        "user/*.rs",
        "",
        "CA",
    ),
    (APP, Purpose::Famrqt, "Patient/a", "", "user/*.rs", "", "CA"),
    (
        APP,
        Purpose::Famrqt,
        "Patient/d",
        "Organization/plan",
        "user/*.rs",
        "",
        "CA",
    ),
    (
        APP,
        Purpose::Supnwk,
        "RelatedPerson/a-for-b",
        "",
        "user/*.rs",
        "",
        "",
    ),
    (
        APP,
        Purpose::Pwatrny,
        "RelatedPerson/a-for-b",
        "",
        MINE,
        "b",
        "CA",
    ),
    (
        APP,
        Purpose::Pwatrny,
        "RelatedPerson/a-for-b",
        "",
        "user/*.rs",
        "",
        "",
    ),
    (
        Role::Provider,
        Purpose::Treat,
        "Practitioner/lee",
        "Organization/clinic",
        "user/*.rs",
        "",
        "CA",
    ),
    (
        Role::Provider,
        Purpose::Treat,
        "Practitioner/novak",
        "Organization/recovery",
        "user/*.rs",
        "",
        "",
    ),
    (
        Role::Provider,
        Purpose::Treat,
        "Practitioner/novak",
        "Organization/clinic",
        MINE,
        "c",
        "CA",
    ),
    (
        Role::Provider,
        Purpose::Treat,
        "Practitioner/worker",
        "Organization/clinic",
        "patient/*.rs user/Encounter.rs",
        "b",
        "CA",
    ),
    (
        Role::Provider,
        Purpose::Etreat,
        "Practitioner/lee",
        "Organization/clinic",
        "user/*.rs",
        "",
        "CA",
    ),
    (
        Role::Plan,
        Purpose::Coc,
        "",
        "Organization/plan",
        "system/*.rs",
        "",
        "CA",
    ),
    (
        Role::Plan,
        Purpose::Coc,
        "",
        "Organization/plan",
        "system/*.rs",
        "",
        "",
    ),
    (
        Role::Plan,
        Purpose::Hdm,
        "",
        "Organization/plan",
        "system/*.rs",
        "",
        "CA",
    ),
    (
        Role::Plan,
        Purpose::Hqualimp,
        "",
        "Organization/plan",
        "system/*.rs",
        "",
        "TX",
    ),
    (
        Role::Auditor,
        Purpose::Hcompl,
        "",
        "",
        "system/*.rs",
        "",
        "CA",
    ),
    (
        Role::Staff,
        Purpose::Hoperat,
        "Practitioner/worker",
        "Organization/plan",
        "user/*.rs",
        "",
        "CA",
    ),
    (
        Role::PrivacyOffice,
        Purpose::Hoperat,
        "",
        "",
        "system/*.rs",
        "",
        "CA",
    ),
    (
        Role::Plan,
        Purpose::Treat,
        "",
        "Organization/plan",
        "system/*.rs",
        "",
        "CA",
    ),
];

/// All requesters.
pub fn cases() -> Vec<Case> {
    ROWS.into_iter().map(case).collect()
}

fn case((role, purpose, user, organization, scopes, patient, state): Row) -> Case {
    Case {
        requester: Requester {
            client: "client".into(),
            role,
            user: Key::parse(user),
            organization: Key::parse(organization),
            state: (!state.is_empty()).then(|| state.into()),
        },
        purpose,
        scopes: ScopeSet::parse(scopes),
        patient: Id::parse(patient),
        break_glass: (purpose == Purpose::Etreat).then(|| "unconscious".into()),
        at: NOW,
    }
}

const QUERIES: &[&str] = &[
    "Encounter?reason-code=F32.9,A56.01,B20",
    "Encounter?reason-code:not=F32.9&_sort=date",
    "Encounter?date=ge2026-09-01&_sort=-date",
    "Encounter?diagnosis:missing=false&_include=Encounter:diagnosis&_include=Encounter:subject",
    "Encounter?_revinclude=Condition:encounter&_revinclude=Observation:encounter&_revinclude=DocumentReference:encounter",
    "Encounter?participant=lee&_sort=-_id",
    "Encounter?service-provider=Organization/clinic&_include=Encounter:service-provider",
    "Encounter?patient=b&_tag=t",
    "Encounter?_lastUpdated=ge2026-11-20&_sort=-_lastUpdated",
    "Condition?code=F32.9,F64.0,J45.909&_include=Condition:encounter",
    "Condition?patient=Patient/b&clinical-status=active",
    "Condition?encounter:missing=true&_sort=code",
    "Condition?subject=Patient/c&_revinclude=Encounter:diagnosis",
    "Condition?_id=r1,r2,r3,r4",
    "Observation?code=10351-5,8480-6&_sort=-code",
    "Observation?value-concept=F32.9,B20,J45.909",
    "Observation?date=2026-03-02,2025-11-30&_revinclude=DiagnosticReport:result",
    "Observation?performer=Practitioner/novak&_sort=performer",
    "Observation?code:missing=false&_include=Observation:encounter&_include=Observation:subject:Patient",
    "Observation?_tag=t",
    "Procedure?code=90834,Z23&date=lt2026-06-01",
    "Procedure?performer=lee&_include=Procedure:encounter",
    "MedicationRequest?authoredon=ge2026-01-01&_sort=authoredon",
    "MedicationRequest?encounter:missing=false&_include=MedicationRequest:encounter",
    "DocumentReference?author=Practitioner/novak&_include=DocumentReference:related",
    "DocumentReference?related:missing=false&_sort=-date",
    "DocumentReference?encounter:missing=true",
    "ExplanationOfBenefit?care-team=Practitioner/novak",
    "ExplanationOfBenefit?care-team=Practitioner/lee&_sort=care-team",
    "ExplanationOfBenefit?claim:missing=false&_include=ExplanationOfBenefit:claim",
    "ExplanationOfBenefit?encounter:missing=false&_include=ExplanationOfBenefit:encounter",
    "ExplanationOfBenefit?patient=b&created=ge2026-01-01&_sort=-created",
    "ExplanationOfBenefit?provider=Organization/recovery,Organization/below",
    "ExplanationOfBenefit?_tag=t",
    "ExplanationOfBenefit?coverage=Coverage/cov-b&_include=ExplanationOfBenefit:coverage",
    "ExplanationOfBenefit?_lastUpdated=lt2026-11-20",
    "Claim?care-team=novak&_sort=-care-team",
    "Claim?encounter:missing=true&_revinclude=ExplanationOfBenefit:claim",
    "Communication?_include=Communication:encounter&_sort=-sent",
    "Communication?sent=ge2026-06-01&encounter:missing=true",
    "List?item:missing=false&_include=List:item",
    "List?code=F32.9,J45.909&source=Practitioner/lee",
    "DiagnosticReport?result:missing=true&_include=DiagnosticReport:result",
    "CareTeam?participant=Practitioner/novak&_include=CareTeam:participant",
    "Patient?family=family&_sort=-birthdate&_revinclude=Condition:patient",
    "Patient?name:contains=MILYB,ilyc&birthdate=ge2000",
    "Patient?name:exact=Familya&deceased=false",
    "Patient?deceased=false&phone=555-c,555-b",
    "Patient?telecom:missing=true&_sort=phone",
    "Patient?organization=below&gender=female",
    "Coverage?beneficiary=Patient/b,Patient/c&_include=Coverage:subscriber&_sort=beneficiary",
    "Coverage?subscriber=a&_sort=-subscriber",
    "RelatedPerson?patient=b",
    "Consent?status=active&_sort=date&_include=Consent:patient",
    "Binary?",
    "?_tag=t&_sort=_id",
    "?_lastUpdated=ge2026-11-20&_sort=_lastUpdated",
    "?_profile:missing=true",
    // Chains and `_has` lead through what is seen only.
    "Observation?encounter.reason-code=F32.9,A56.01,B20&_sort=-date,code",
    "Condition?encounter:Encounter.participant:Practitioner.family=novak,lee",
    "Condition?subject:Patient.birthdate=ge2000&_sort=code,-_id",
    "Observation?subject.family=family&code:not=10351-5",
    "ExplanationOfBenefit?claim.encounter.reason-code:missing=false",
    "ExplanationOfBenefit?claim.care-team=novak&_sort=-created,_id",
    "Coverage?beneficiary._has:Condition:patient:code=F32.9,F64.0",
    "Patient?_has:Condition:patient:code=F32.9,F64.0,B20",
    "Patient?_has:Encounter:patient:_has:Observation:encounter:code:missing=false&_sort=birthdate",
    "Patient?_has:ExplanationOfBenefit:patient:care-team=novak",
    "Practitioner?_has:Observation:performer:code=10351-5,8480-6",
    "Encounter?_has:Condition:encounter:code:not=J45.909",
    "Encounter?_has:DocumentReference:encounter:author=novak",
    "Encounter?_list=l1,l2,l3&_sort=-date,-_id",
    "Organization?_has:Encounter:service-provider:date=ge2026-01-01",
    "List?item:Condition.code=F32.9,J45.909",
    "Communication?encounter.date=ge2026-06-01",
    // Includes that go on, and stars.
    "Observation?_include=Observation:encounter&_include:iterate=Encounter:diagnosis",
    "Condition?_include=*&_revinclude:iterate=Observation:encounter",
    "Encounter?_include:iterate=*",
    "ExplanationOfBenefit?_include=ExplanationOfBenefit:*",
    "Patient?_id=b,c&_revinclude=Encounter:patient&_revinclude:iterate=Condition:encounter",
    // Texts, identifiers, quantities, composites.
    "Condition?code:text=a,b,d,m",
    "Observation?_text=observation,a",
    "Observation?value-quantity=gt1&_sort=-value-quantity",
    "Observation?code-value-concept=10351-5$B20,10351-5$F32.9",
    "Observation?component-code-value-quantity=8480-6$gt100",
    "Patient?identifier:missing=true&_sort=-family,given",
    "Encounter?participant:identifier=x",
    "?_type=Observation,Condition&code=F32.9,10351-5&_sort=-code,_lastUpdated",
    "?_type=Encounter,Procedure&patient=b&_has:Observation:encounter:code:missing=false",
    "?_has:Provenance:target:_id=x",
    "?_list=l1,l2",
    "ExplanationOfBenefit?_content=novak",
    "Encounter?_content=clinic,visit,depress",
];

/// All queries, with what they ask.
pub fn plans() -> Vec<(&'static str, Plan)> {
    let queries = QUERIES.iter();
    queries.map(|text| (*text, plan(text))).collect()
}

fn plan(text: &str) -> Plan {
    let (kind, query) = text.split_once('?').unwrap();
    let pairs: Vec<(String, String)> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .chain([("_count", "3"), ("_total", "accurate")])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Plan::parse(Kind::named(kind), &pairs, ParseOptions::default())
        .unwrap_or_else(|issues| panic!("{text}: {issues:?}"))
}
