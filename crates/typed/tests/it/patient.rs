//! Patient.

use confide_typed::{Deceased, HumanName, LinkType, TypedError, parse_patient};

use crate::refers_to;

#[test]
fn the_time_of_death_is_verbatim() -> Result<(), TypedError> {
    let patient = parse_patient(include_bytes!("../data/Patient-pat3.json"))?;
    assert_eq!(patient.id.as_deref(), Some("pat3"));
    assert_eq!(patient.active, Some(true));
    assert_eq!(patient.birth_date.as_deref(), Some("1982-01-23"));
    assert_eq!(
        patient.deceased,
        Some(Deceased::DateTime("2015-02-14T13:42:00+10:00".to_owned()))
    );
    assert_eq!(patient.gender.as_deref(), Some("male"));
    assert_eq!(patient.managing_organization, refers_to("Organization/1"));
    let name = HumanName {
        r#use: Some("official".to_owned()),
        family: Some("Notsowell".to_owned()),
        given: vec!["Simon".to_owned()],
        ..HumanName::default()
    };
    assert_eq!(patient.name, [name]);
    Ok(())
}

#[test]
fn dead_without_a_date_is_read() -> Result<(), TypedError> {
    let patient = parse_patient(include_bytes!("../data/Patient-pat4.json"))?;
    assert_eq!(patient.deceased, Some(Deceased::Boolean(true)));
    Ok(())
}

#[test]
fn addresses_telecom_and_links_are_read() -> Result<(), TypedError> {
    let patient = parse_patient(
        br#"{"resourceType": "Patient", "birthDate": "1982-01",
            "telecom": [{"system": "email", "value": "a@b.example", "use": "home", "rank": 1,
                "period": {"end": "2026-01-01"}}],
            "address": [{"use": "temp", "type": "postal", "line": ["1 Main St", "Apt 2"],
                "city": "Fresno", "state": "CA", "postalCode": "93701"}],
            "link": [{"other": {"reference": "Patient/old"}, "type": "replaces"},
                {"other": {"identifier": {"value": "1"}}, "type": "seealso"}]}"#,
    )?;
    assert_eq!(patient.birth_date.as_deref(), Some("1982-01"));
    assert_eq!(patient.active, None);
    let telecom: Vec<_> = patient
        .telecom
        .iter()
        .map(|t| (t.value.as_deref(), t.rank))
        .collect();
    assert_eq!(telecom, [(Some("a@b.example"), Some(1))]);
    let ends: Vec<_> = patient
        .telecom
        .iter()
        .filter_map(|t| t.period.as_ref()?.end.as_deref())
        .collect();
    assert_eq!(ends, ["2026-01-01"]);
    let lines: Vec<_> = patient.address.iter().map(|a| a.line.join(", ")).collect();
    assert_eq!(lines, ["1 Main St, Apt 2"]);
    let linked: Vec<_> = patient
        .link
        .into_iter()
        .map(|l| (l.other, l.r#type))
        .collect();
    assert_eq!(
        linked,
        [
            (refers_to("Patient/old"), LinkType::Replaces),
            (None, LinkType::SeeAlso)
        ]
    );
    Ok(())
}
