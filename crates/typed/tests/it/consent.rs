//! Consent.

use confide_typed::{
    Actor, Concept, Data, Kind, Meaning, Period, Provision, Source, TypedError, parse_consent,
};

use crate::{coding, concept, refers_to};

const ACTION: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

#[test]
fn the_basic_example_is_read_in_full() -> Result<(), TypedError> {
    let consent = parse_consent(include_bytes!("../data/Consent-consent-example-basic.json"))?;
    assert_eq!(consent.id.as_deref(), Some("consent-example-basic"));
    assert_eq!(consent.status, "active");
    let scope = "http://terminology.hl7.org/CodeSystem/consentscope";
    assert_eq!(consent.scope, concept(scope, "patient-privacy"));
    assert_eq!(consent.category, [concept("http://loinc.org", "59284-0")]);
    assert_eq!(consent.patient, refers_to("Patient/f001"));
    assert_eq!(consent.date_time.as_deref(), Some("2016-05-11"));
    assert_eq!(consent.performer, []);
    assert_eq!(consent.organization, [refers_to("Organization/f001")]);
    assert_eq!(consent.source, Some(Source::Attachment));
    assert_eq!(consent.policy_rule, Some(concept(ACT_CODE, "OPTIN")));
    assert_eq!(consent.modifiers, [""; 0]);
    let period = Period {
        start: Some("1964-01-01".to_owned()),
        end: Some("2016-01-01".to_owned()),
    };
    assert_eq!(
        consent.provision,
        Some(Provision {
            period: Some(period),
            ..Provision::default()
        })
    );
    Ok(())
}

#[test]
fn an_actor_and_actions_are_read() -> Result<(), TypedError> {
    let consent = parse_consent(include_bytes!(
        "../data/Consent-consent-example-notThem.json"
    ))?;
    let expected = Provision {
        actors: vec![Actor {
            role: concept(PARTICIPATION, "PRCP"),
            reference: refers_to("Practitioner/f204"),
        }],
        actions: vec![concept(ACTION, "access"), concept(ACTION, "correct")],
        ..Provision::default()
    };
    assert_eq!(consent.provision, Some(expected));
    Ok(())
}

#[test]
fn data_is_read_with_its_meaning() -> Result<(), TypedError> {
    let consent = parse_consent(include_bytes!(
        "../data/Consent-consent-example-notThis.json"
    ))?;
    let data = consent.provision.map(|provision| provision.data);
    let expected = Data {
        meaning: Meaning::Related,
        reference: refers_to("Task/example3"),
    };
    assert_eq!(data, Some(vec![expected]));
    Ok(())
}

#[test]
fn provisions_nest() -> Result<(), TypedError> {
    let body = br#"{
        "resourceType": "Consent", "status": "active",
        "scope": {"text": "s"}, "category": [{"text": "c"}],
        "performer": [{"identifier": {"value": "1"}}, {"reference": "Patient/p"}],
        "policy": [{"authority": "https://a.example", "uri": "https://p.example"}],
        "sourceReference": {"reference": "DocumentReference/d"},
        "verification": [{"verified": true, "verifiedWith": {"reference": "Patient/p"},
            "verificationDate": "2026-01"}],
        "provision": {"type": "permit", "provision": [
            {"type": "deny", "code": [{"text": "only in words"}], "provision": [
                {"type": "permit",
                 "securityLabel": [{"system": "l", "code": "HIV"}],
                 "purpose": [{"system": "p", "code": "TREAT"}],
                 "class": [{"system": "t", "code": "Observation"}],
                 "dataPeriod": {"start": "2020"},
                 "data": [{"meaning": "authoredby", "reference": {"display": "someone"}}]}]}]}
    }"#;
    let consent = parse_consent(body)?;
    assert_eq!(consent.performer, [None, refers_to("Patient/p")]);
    assert_eq!(
        consent.source,
        Some(Source::Reference(refers_to("DocumentReference/d")))
    );
    let policy: Vec<_> = consent.policy.iter().map(|p| p.uri.as_deref()).collect();
    assert_eq!(policy, [Some("https://p.example")]);
    let dates: Vec<_> = consent
        .verification
        .iter()
        .map(|v| v.date.as_deref())
        .collect();
    assert_eq!(dates, [Some("2026-01")]);
    let innermost = Provision {
        kind: Some(Kind::Permit),
        security_labels: vec![coding("l", "HIV")],
        purposes: vec![coding("p", "TREAT")],
        classes: vec![coding("t", "Observation")],
        data_period: Some(Period {
            start: Some("2020".to_owned()),
            end: None,
        }),
        data: vec![Data {
            meaning: Meaning::AuthoredBy,
            reference: None,
        }],
        ..Provision::default()
    };
    let words = Concept {
        codings: vec![],
        text: Some("only in words".to_owned()),
    };
    let middle = Provision {
        kind: Some(Kind::Deny),
        codes: vec![words],
        provisions: vec![innermost],
        ..Provision::default()
    };
    let root = Provision {
        kind: Some(Kind::Permit),
        provisions: vec![middle],
        ..Provision::default()
    };
    assert_eq!(consent.provision, Some(root));
    Ok(())
}
