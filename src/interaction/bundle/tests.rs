//! What a Bundle gives, and what it is refused for.

use super::*;
use serde_json::{Value, json};

fn bundle(kind: &str, entries: &[Value]) -> Resource {
    let json = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    Resource::ours(json.to_string()).unwrap()
}

fn entry(full: &str, method: &str, url: &str, resource: &Value) -> Value {
    json!({"fullUrl": full, "resource": resource, "request": {"method": method, "url": url}})
}

const A: &str = "urn:uuid:0a0a0a0a-0000-4000-8000-000000000001";
const B: &str = "urn:uuid:0a0a0a0a-0000-4000-8000-000000000002";
fn pair() -> Vec<Value> {
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let condition = json!({"resourceType": "Condition", "subject": {"reference": A},
        "evidence": [{"detail": [{"reference": "#c"}, {"reference": "Observation/o"}]}]});
    vec![
        entry(A, "POST", "Patient", &patient),
        entry(B, "POST", "Condition", &condition),
    ]
}

fn refused(bundle: &Resource) -> Vec<(String, String)> {
    let refused = sift(bundle).unwrap().refused.into_iter();
    let part = |issue: Issue| (issue.expression.unwrap_or_default(), issue.text);
    refused.map(|refused| part(refused.issue)).collect()
}

fn unpack(bundle: &Resource) -> Vec<Unpacked> {
    let sifted = sift(bundle).unwrap();
    assert!(sifted.refused.is_empty(), "{:?}", sifted.refused);
    sifted.records
}

/// Where a step of a transaction is wrong.
fn wrong(entry: Value) -> String {
    let step = steps(
        &bundle("transaction", &[entry]),
        &["https://here.example/fhir"],
    )
    .remove(0);
    step.unwrap_err().1.expression.unwrap()
}

fn text(record: &Unpacked) -> &str {
    std::str::from_utf8(record.resource.text()).unwrap()
}

#[test]
fn import_keeps_the_resources_id_else_the_uuid() {
    let records = unpack(&bundle("transaction", &pair()));
    let keys: Vec<_> = records.iter().map(|r| r.key.to_string()).collect();
    let uuid = B.trim_start_matches("urn:uuid:");
    assert_eq!(keys, ["Patient/p", &format!("Condition/{uuid}")]);
    assert!(text(&records[1]).contains(r##""subject":{"reference":"Patient/p"}"##));
    assert!(text(&records[1]).contains(r##"{"reference":"#c"},{"reference":"Observation/o"}"##));
}

#[test]
fn what_is_not_rewritten_keeps_its_bytes() {
    let text = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"fullUrl":"{A}","resource":{{"resourceType":"Patient"}}}},
        {{"fullUrl":"{B}","resource": {{ "resourceType" : "Observation", "subject" : {{ "reference":"{A}" , "display":"\u00e9" }}, "valueQuantity":{{"value":1.50}} }} }}]}}"#
    );
    let records = unpack(&Resource::ours(text).unwrap());
    let uuid = A.trim_start_matches("urn:uuid:");
    assert_eq!(
        self::text(&records[1]),
        format!(
            r#"{{"resourceType" : "Observation","subject" : {{"reference":"Patient/{uuid}","display":"\u00e9"}},"valueQuantity":{{"value":1.50}}}}"#
        )
    );
}

#[test]
fn absolute_names_and_attachments_are_rewritten_too() {
    let base = "https://else.example/fhir";
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let binary = json!({"resourceType": "Binary", "contentType": "text/plain"});
    let document = json!({"resourceType": "DocumentReference", "id": "d",
        "subject": {"reference": format!("{base}/Patient/p/_history/2")},
        "author": [{"reference": format!("{base}/Practitioner/away")}],
        "content": [{"attachment": {"url": B}}]});
    let entries = [
        entry(&format!("{base}/Patient/p"), "POST", "Patient", &patient),
        entry(B, "POST", "Binary", &binary),
        entry("urn:uuid:d", "POST", "DocumentReference", &document),
    ];
    let records = unpack(&bundle("transaction", &entries));
    let document = text(&records[2]);
    assert!(document.contains(r#""subject":{"reference":"Patient/p"}"#));
    assert!(document.contains(r#""url":"Binary/0a0a"#));
    assert!(document.contains(&format!("{base}/Practitioner/away")));
    // A relative reference is relative to its holder's fullUrl.
    let holder = json!({"resourceType": "Observation", "subject": {"reference": "Patient/p"}});
    let entries = [
        entries[0].clone(),
        entry(
            &format!("{base}/Observation/o"),
            "POST",
            "Observation",
            &holder,
        ),
    ];
    let records = unpack(&bundle("transaction", &entries));
    let now = format!(r#"{{"reference":"{}"}}"#, records[0].key);
    assert!(text(&records[1]).contains(&now));
}

#[test]
fn what_can_not_be_resolved_is_refused_with_its_path() {
    let mut entries = pair();
    entries[1]["resource"]["subject"]["reference"] = "urn:uuid:ghost".into();
    let at = "Bundle.entry[1].resource.subject.reference";
    let told = refused(&bundle("transaction", &entries));
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, at);
    assert!(told[0].1.contains("urn"));
    entries[1]["resource"]["subject"]["reference"] = "Patient?identifier=zq".into();
    let told = refused(&bundle("transaction", &entries));
    assert_eq!(told[0].0, at);
    assert!(told[0].1.contains("condition") && !told[0].1.contains("zq"));
    // For an import the other entries stay.
    let sifted = sift(&bundle("transaction", &entries)).unwrap();
    assert_eq!((sifted.records.len(), sifted.refused.len()), (1, 1));
    assert_eq!(sifted.refused[0].index, 1);
}

#[test]
fn two_entries_for_one_record_are_refused() {
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let put = |full| entry(full, "PUT", "Patient/p", &patient);
    let told = refused(&bundle("transaction", &[put(A), put(B)]));
    assert_eq!(told[0].0, "Bundle.entry[1]");
    assert!(told[0].1.contains("entry 0"));
    let other = json!({"resourceType": "Patient", "id": "q"});
    let entries = [put(A), entry(A, "PUT", "Patient/q", &other)];
    let told = refused(&bundle("transaction", &entries));
    assert_eq!(told[0].0, "Bundle.entry[1].fullUrl");
}

#[test]
fn steps_say_what_is_wrong_with_them() {
    let patient = json!({"resourceType": "Patient", "id": "p"});
    for (method, url) in [
        ("PUT", "Patient"),
        ("PATCH", "Patient"),
        ("DELETE", "Patient"),
        ("PUT", "Observation/p"),
        ("PUT", "Patient/p/_history/1"),
        ("POST", "Observation"),
        ("POST", "Patient/p"),
        ("POST", "Patient?identifier=1"),
        ("GET", "https://else.example/fhir/Patient/p"),
    ] {
        let at = wrong(entry(A, method, url, &patient));
        assert_eq!(at, "Bundle.entry[0].request.url", "{method} {url}");
    }
    let at = wrong(entry(A, "PUT", "Patient/q", &patient));
    assert_eq!(at, "Bundle.entry[0].resource.id");
    let at = wrong(entry(A, "OPTIONS", "Patient/p", &patient));
    assert_eq!(at, "Bundle.entry[0].request.method");
    let mut stale = entry(A, "PUT", "Patient/p", &patient);
    stale["request"]["ifMatch"] = "3".into();
    assert_eq!(wrong(stale), "Bundle.entry[0].request.ifMatch");
    let bare = json!({"request": {"method": "POST", "url": "Patient"}});
    assert_eq!(wrong(bare), "Bundle.entry[0].resource");
    let bare = json!({"resource": patient});
    assert_eq!(wrong(bare), "Bundle.entry[0].request.method");
    for kind in NO_RECORDS {
        let at = wrong(entry(A, "POST", kind, &json!({"resourceType": kind})));
        assert_eq!(at, "Bundle.entry[0].resource");
    }
}

#[test]
fn steps_are_read_with_their_conditions() {
    let patient = json!({"resourceType": "Patient"});
    let mut create = entry(A, "POST", "Patient", &patient);
    create["request"]["ifNoneExist"] = "identifier=s%7C1".into();
    let mut update = entry(B, "PUT", "Patient?identifier=1", &patient);
    update["request"]["ifMatch"] = "W/\"3\"".into();
    let read = json!({"request": {"method": "GET", "url": "/Patient?name=x"}});
    let all = steps(
        &bundle("batch", &[create, update, read]),
        &["https://here.example/fhir"],
    );
    let all: Vec<Step> = all.into_iter().map(Result::unwrap).collect();
    let pairs = all[0].if_none_exist.as_deref();
    assert_eq!(pairs, Some(&[("identifier".into(), "s|1".into())][..]));
    assert_eq!(all[1].if_match.as_deref(), Some("3"));
    assert!(all[1].at.condition().is_some() && all[1].at.key().is_none());
    assert_eq!((all[2].verb, &*all[2].at.path), (Verb::Get, "Patient"));
}

#[test]
fn import_takes_what_servers_give_out() {
    let patient = json!({"resourceType": "Patient", "id": "p"});
    let outcome =
        json!({"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}});
    let entries = [
        json!({"resource": patient, "search": {"mode": "match"}}),
        outcome,
    ];
    assert_eq!(unpack(&bundle("searchset", &entries)).len(), 1);
    let old = json!({"resourceType": "Patient", "id": "p", "active": false});
    let gone = json!({"request": {"method": "DELETE", "url": "Patient/q"}});
    let was = json!({"resourceType": "Patient", "id": "q"});
    let entries = [
        entry(A, "PUT", "Patient/p", &patient),
        entry(A, "PUT", "Patient/p", &old),
        gone,
        entry(B, "PUT", "Patient/q", &was),
    ];
    let sifted = sift(&bundle("history", &entries)).unwrap();
    assert_eq!(
        sifted.records.len(),
        1,
        "the newest version, and nothing that was deleted"
    );
    assert!(!text(&sifted.records[0]).contains("active"));
    assert!(sift(&bundle("document", &entries)).is_err());
    let nameless = json!({"resource": {"resourceType": "Patient"}});
    let told = refused(&bundle("collection", &[nameless]));
    assert_eq!(told[0].0, "Bundle.entry[0].resource.id");
}

#[test]
fn ten_thousand_entries_stay_linear() {
    let entries: Vec<_> = (0..10_000)
        .map(|number| {
            let holder =
                json!({"resourceType": "Observation", "subject": {"reference": "urn:uuid:0"}});
            entry(
                &format!("urn:uuid:{number}"),
                "POST",
                "Observation",
                &holder,
            )
        })
        .collect();
    let records = unpack(&bundle("transaction", &entries));
    assert_eq!(records.len(), 10_000);
    assert_eq!(records[9_999].index, 9_999);
}

#[test]
fn a_record_here_has_one_form_of_name() {
    let here = "https://here.example:8443/fhir";
    let holder = |reference: &str, url: &str| {
        let json = json!({"resourceType": "DocumentReference", "id": "d", "status": "current",
            "context": {"encounter": [{"reference": reference, "display": "d"}]},
            "content": [{"attachment": {"url": url}}]});
        Resource::ours(json.to_string()).unwrap()
    };
    let now = |reference: &str, url: &str| {
        let given = holder(reference, url);
        let kept = relative(&given, here, "DocumentReference").unwrap();
        let text = kept.unwrap_or(given).text().to_vec();
        let json: Value = serde_json::from_slice(&text).unwrap();
        let said = |at: &str| json.pointer(at).and_then(Value::as_str).unwrap().to_owned();
        (
            said("/context/encounter/0/reference"),
            said("/content/0/attachment/url"),
        )
    };
    let own = |below: &str| format!("{here}/{below}");
    let told = now(&own("Encounter/e"), &own("Binary/b"));
    assert_eq!(told, ("Encounter/e".into(), "Binary/b".into()));
    let told = now(
        "HTTPS://Here.Example:8443/fhir/Encounter/e/_history/3",
        "Binary/b",
    );
    assert_eq!(told, ("Encounter/e/_history/3".into(), "Binary/b".into()));
    for foreign in [
        "https://here.example:8443/fhirx/Encounter/e",
        "https://else.example/fhir/Encounter/e",
        "urn:uuid:0a0a0a0a-0000-4000-8000-000000000001",
        "#e",
        "unknown",
    ] {
        let told = now(foreign, "https://else.example/x.pdf");
        assert_eq!(told, (foreign.into(), "https://else.example/x.pdf".into()));
    }
    let unread = own("Encounter/e#x");
    for unread in [
        &unread,
        "Encounter/e#x",
        "/Encounter/e",
        "./Encounter/e",
        " Encounter/e",
        "Encounter/e/",
        "Encounter?_id=e",
    ] {
        let refused = relative(&holder(unread, "x"), here, "DocumentReference");
        let at = refused.unwrap_err().expression.unwrap_or_default();
        assert_eq!(
            at, "DocumentReference.context.encounter[0].reference",
            "{unread}"
        );
    }
}
