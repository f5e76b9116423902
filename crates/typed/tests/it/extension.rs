//! Extensions.

use confide_typed::{Extension, Period, TypedError, Value, parse_consent};

use crate::{coding, refers_to};

fn leaf(url: &str, value: Value) -> Extension {
    Extension {
        url: url.to_owned(),
        value: Some(value),
        extension: vec![],
    }
}

fn with(extensions: &str) -> Result<Vec<Extension>, TypedError> {
    let body = format!(
        r#"{{"resourceType": "Consent", "status": "active", "scope": {{"text": "s"}},
            "category": [{{"text": "c"}}], "extension": {extensions}}}"#
    );
    Ok(parse_consent(body.as_bytes())?.extension)
}

#[test]
fn a_form_is_read_as_a_tree() -> Result<(), TypedError> {
    let read = with(
        r#"[{"url": "https://confide.example/fhir/StructureDefinition/authorization-form",
            "extension": [
                {"url": "typeface", "valueInteger": 14},
                {"url": "separateDocument", "valueBoolean": true},
                {"url": "copyOffered", "valueCode": "yes"},
                {"url": "points", "valueDecimal": 14.50},
                {"url": "note", "valueString": "n"},
                {"url": "law", "valueUri": "urn:law"},
                {"url": "signed", "valueDate": "2026-03"},
                {"url": "at", "valueDateTime": "2026-03-07T07:30:00.500Z"},
                {"url": "by", "valueReference": {"reference": "Patient/p"}},
                {"url": "as", "valueCoding": {"system": "s", "code": "c"}},
                {"url": "for", "valuePeriod": {"start": "2026"}},
                {"url": "size", "valueQuantity": {"value": 14}}]}]"#,
    )?;
    let period = Period {
        start: Some("2026".to_owned()),
        end: None,
    };
    let expected = vec![
        leaf("typeface", Value::Integer(14)),
        leaf("separateDocument", Value::Boolean(true)),
        leaf("copyOffered", Value::Code("yes".to_owned())),
        leaf("points", Value::Decimal("14.5".to_owned())),
        leaf("note", Value::String("n".to_owned())),
        leaf("law", Value::Uri("urn:law".to_owned())),
        leaf("signed", Value::Date("2026-03".to_owned())),
        leaf("at", Value::DateTime("2026-03-07T07:30:00.500Z".to_owned())),
        leaf("by", Value::Reference(refers_to("Patient/p"))),
        leaf("as", Value::Coding(coding("s", "c"))),
        leaf("for", Value::Period(period)),
        leaf("size", Value::Other("Quantity".to_owned())),
    ];
    assert_eq!(
        read.into_iter().map(|e| e.extension).collect::<Vec<_>>(),
        [expected]
    );
    Ok(())
}

#[test]
fn a_value_that_cannot_be_read_is_not_an_absent_one() {
    let dropped = Err(TypedError::Dropped("value"));
    assert_eq!(
        with(r#"[{"url": "u", "valueDate": "2026-13-45"}]"#),
        dropped
    );
    assert_eq!(with(r#"[{"url": "u", "valueInteger": "14"}]"#), dropped);
    assert_eq!(
        with(r#"[{"url": "u", "valueCode": "a", "valueString": "b"}]"#),
        dropped
    );
}
