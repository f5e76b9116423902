//! What `fhir-sdk` alone would lose or let pass.

use confide_typed::{TypedError, parse_consent, parse_patient};

fn consent(rest: &str) -> String {
    format!(
        r#"{{"resourceType": "Consent", "status": "active", "scope": {{"text": "s"}},
            "category": [{{"text": "c"}}], {rest}}}"#
    )
}

#[test]
fn a_timestamp_keeps_its_text() -> Result<(), TypedError> {
    for text in [
        "2026-03-07T07:30:00.500+00:00",
        "2026-03-07T07:30:00Z",
        "2026-03",
        "2026",
    ] {
        let body = consent(&format!(
            r#""dateTime": "{text}", "provision": {{"period": {{"start": "{text}"}}}}"#
        ));
        let read = parse_consent(body.as_bytes())?;
        assert_eq!(read.date_time.as_deref(), Some(text));
        let start = read.provision.and_then(|p| p.period).and_then(|p| p.start);
        assert_eq!(start.as_deref(), Some(text));
    }
    Ok(())
}

#[test]
fn a_bad_date_is_refused() {
    let body = consent(r#""provision": {"period": {"start": "soon"}}"#);
    assert!(matches!(
        parse_consent(body.as_bytes()),
        Err(TypedError::Shape(_))
    ));
}

#[test]
fn a_code_outside_a_required_value_set_is_refused() {
    let body = consent(r#""provision": {"type": "maybe"}"#);
    assert!(matches!(
        parse_consent(body.as_bytes()),
        Err(TypedError::Shape(_))
    ));
}

#[test]
fn a_choice_that_cannot_be_read_is_refused() {
    assert_eq!(
        parse_patient(br#"{"resourceType": "Patient", "deceasedDateTime": "last year"}"#),
        Err(TypedError::Dropped("deceased"))
    );
    assert_eq!(
        parse_consent(consent(r#""sourceReference": "Consent/1""#).as_bytes()),
        Err(TypedError::Dropped("source"))
    );
}

#[test]
fn modifier_extensions_are_listed_at_any_depth_but_not_from_contained() -> Result<(), TypedError> {
    let body = consent(
        r#""contained": [{"resourceType": "Patient", "modifierExtension":
                [{"url": "urn:contained", "valueBoolean": true}]}],
            "modifierExtension": [{"url": "urn:root", "valueBoolean": true}],
            "implicitRules": "urn:rules",
            "provision": {"actor": [{"role": {"text": "r"}, "reference": {"display": "d"},
                "modifierExtension": [{"url": "urn:deep", "valueBoolean": true}]}]}"#,
    );
    let mut read = parse_consent(body.as_bytes())?;
    read.modifiers.sort();
    assert_eq!(read.modifiers, ["urn:deep", "urn:root"]);
    assert_eq!(read.implicit_rules.as_deref(), Some("urn:rules"));
    Ok(())
}

#[test]
fn a_null_in_a_list_is_not_skipped() {
    let body = consent(r#""provision": {"action": [null]}"#);
    assert_eq!(
        parse_consent(body.as_bytes()),
        Err(TypedError::NullEntry("action"))
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    let body = consent(r#""provision": {"type": "deny", "type": "permit"}"#);
    assert!(matches!(
        parse_consent(body.as_bytes()),
        Err(TypedError::Shape(_))
    ));
    let body = consent(r#""status": "inactive""#);
    assert!(matches!(
        parse_consent(body.as_bytes()),
        Err(TypedError::Shape(_))
    ));
}

#[test]
fn another_resource_is_refused() {
    let found = |found: Option<&str>| {
        Err(TypedError::WrongType {
            expected: "Consent",
            found: found.map(str::to_owned),
        })
    };
    assert_eq!(
        parse_consent(br#"{"resourceType": "Patient"}"#),
        found(Some("Patient"))
    );
    assert_eq!(parse_consent(b"{}"), found(None));
    assert_eq!(parse_consent(b"[]"), found(None));
    assert!(matches!(parse_consent(b"{"), Err(TypedError::Shape(_))));
}
