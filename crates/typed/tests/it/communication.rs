//! Communication and `CommunicationRequest`.

use confide_typed::{Payload, TypedError, parse_communication, parse_communication_request};

use crate::{concept, refers_to};

#[test]
fn the_solicited_example_is_read() -> Result<(), TypedError> {
    let read = parse_communication(include_bytes!("../data/Communication-fm-solicited.json"))?;
    assert_eq!(read.status, "completed");
    assert_eq!(
        read.category,
        [concept(
            "http://acme.org/messagetypes",
            "SolicitedAttachment"
        )]
    );
    assert_eq!(read.subject, refers_to("Patient/1"));
    assert_eq!(read.recipient, [refers_to("#payor")]);
    assert_eq!(read.sender, refers_to("#provider"));
    assert_eq!(read.payload, [Payload::Attachment, Payload::Attachment]);
    assert_eq!(read.sent.as_deref(), Some("2016-06-12T18:01:10-08:00"));
    Ok(())
}

#[test]
fn the_request_example_is_read() -> Result<(), TypedError> {
    let read =
        parse_communication_request(include_bytes!("../data/CommunicationRequest-example.json"))?;
    assert_eq!(read.status, "active");
    assert_eq!(read.subject, refers_to("Patient/example"));
    assert_eq!(read.encounter, refers_to("Encounter/example"));
    assert!(!read.do_not_perform);
    Ok(())
}

#[test]
fn a_request_not_to_send_is_not_read_as_one_to_send() -> Result<(), TypedError> {
    let read = parse_communication_request(
        br#"{"resourceType": "CommunicationRequest", "status": "active", "doNotPerform": true,
            "about": [{"reference": "Claim/c"}], "medium": [{"coding": [{"system": "m", "code": "MAILWRIT"}]}],
            "payload": [{"contentString": "t"}, {"contentReference": {"reference": "Claim/c"}}],
            "requester": {"reference": "Organization/o"}, "authoredOn": "2026-03-07"}"#,
    )?;
    assert!(read.do_not_perform);
    assert_eq!(read.about, [refers_to("Claim/c")]);
    assert_eq!(read.medium, [concept("m", "MAILWRIT")]);
    assert_eq!(
        read.payload,
        [Payload::Text, Payload::Reference(refers_to("Claim/c"))]
    );
    assert_eq!(read.requester, refers_to("Organization/o"));
    assert_eq!(read.authored_on.as_deref(), Some("2026-03-07"));
    Ok(())
}
