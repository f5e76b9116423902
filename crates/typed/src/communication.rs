//! Communication and `CommunicationRequest`: what is said to whom, by what way.
//! <https://hl7.org/fhir/R4/communication.html>
//! <https://hl7.org/fhir/R4/communicationrequest.html>

use fhir_sdk::r4b::resources as sdk;
use serde_json::Value as Json;

use crate::TypedError;
use crate::datatypes::{Concept, Reference, concepts, reference, references};
use crate::document::{choice, entries, modifiers, parse, text};

/// What of a Communication the rules on household mail read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communication {
    /// The logical id, if any yet.
    pub id: Option<String>,
    /// An event status, such as `completed`.
    pub status: String,
    /// What kind of message.
    pub category: Vec<Concept>,
    /// Whom it is about.
    pub subject: Option<Reference>,
    /// Whom it went to.
    pub recipient: Vec<Option<Reference>>,
    /// Who sent it.
    pub sender: Option<Reference>,
    /// The records it is about.
    pub about: Vec<Option<Reference>>,
    /// The encounter it arose in.
    pub encounter: Option<Reference>,
    /// By what way it went.
    pub medium: Vec<Concept>,
    /// What it said.
    pub payload: Vec<Payload>,
    /// When it was sent: a FHIR dateTime, verbatim.
    pub sent: Option<String>,
    /// The URLs of all modifier extensions in the resource.
    pub modifiers: Vec<String>,
    /// `implicitRules`.
    pub implicit_rules: Option<String>,
}

/// What of a `CommunicationRequest` the rules on household mail read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommunicationRequest {
    /// The logical id, if any yet.
    pub id: Option<String>,
    /// A request status, such as `active`.
    pub status: String,
    /// Asks that the message *not* be sent: it turns the request's meaning round.
    pub do_not_perform: bool,
    /// What kind of message.
    pub category: Vec<Concept>,
    /// Whom it is about.
    pub subject: Option<Reference>,
    /// Whom it is to go to.
    pub recipient: Vec<Option<Reference>>,
    /// Who is to send it.
    pub sender: Option<Reference>,
    /// Who asked for it.
    pub requester: Option<Reference>,
    /// The records it is about.
    pub about: Vec<Option<Reference>>,
    /// The encounter it arose in.
    pub encounter: Option<Reference>,
    /// By what way it is to go.
    pub medium: Vec<Concept>,
    /// What it is to say.
    pub payload: Vec<Payload>,
    /// When it was asked for: a FHIR dateTime, verbatim.
    pub authored_on: Option<String>,
    /// The URLs of all modifier extensions in the resource.
    pub modifiers: Vec<String>,
    /// `implicitRules`.
    pub implicit_rules: Option<String>,
}

/// What a message carries. Text and attachments are not read, only noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Text.
    Text,
    /// A document, inline or at a URL.
    Attachment,
    /// Another record; none if given by identifier only.
    Reference(Option<Reference>),
}

/// Reads a Communication.
///
/// # Errors
///
/// If the body is not a Communication that `fhir-sdk` can read in full.
pub fn parse_communication(body: &[u8]) -> Result<Communication, TypedError> {
    let (typed, json): (sdk::Communication, Json) = parse(body, "Communication")?;
    let json = &json;
    Ok(Communication {
        id: typed.id.clone(),
        status: typed.status.to_string(),
        category: concepts(&typed.category, json, "category")?,
        subject: typed.subject.as_ref().and_then(reference),
        recipient: references(&typed.recipient, json, "recipient")?,
        sender: typed.sender.as_ref().and_then(reference),
        about: references(&typed.about, json, "about")?,
        encounter: typed.encounter.as_ref().and_then(reference),
        medium: concepts(&typed.medium, json, "medium")?,
        payload: entries(&typed.payload, json, "payload")?
            .into_iter()
            .map(|(payload, json)| {
                choice(json, "content")?;
                Ok(match &payload.content {
                    sdk::CommunicationPayloadContent::String(_) => Payload::Text,
                    sdk::CommunicationPayloadContent::Attachment(_) => Payload::Attachment,
                    sdk::CommunicationPayloadContent::Reference(r) => {
                        Payload::Reference(reference(r))
                    }
                })
            })
            .collect::<Result<_, TypedError>>()?,
        sent: text(json, "sent"),
        modifiers: modifiers(json),
        implicit_rules: typed.implicit_rules.clone(),
    })
}

/// Reads a `CommunicationRequest`.
///
/// # Errors
///
/// If the body is not a `CommunicationRequest` that `fhir-sdk` can read in full.
pub fn parse_communication_request(body: &[u8]) -> Result<CommunicationRequest, TypedError> {
    let (typed, json): (sdk::CommunicationRequest, Json) = parse(body, "CommunicationRequest")?;
    let json = &json;
    Ok(CommunicationRequest {
        id: typed.id.clone(),
        status: typed.status.to_string(),
        do_not_perform: typed.do_not_perform.unwrap_or(false),
        category: concepts(&typed.category, json, "category")?,
        subject: typed.subject.as_ref().and_then(reference),
        recipient: references(&typed.recipient, json, "recipient")?,
        sender: typed.sender.as_ref().and_then(reference),
        requester: typed.requester.as_ref().and_then(reference),
        about: references(&typed.about, json, "about")?,
        encounter: typed.encounter.as_ref().and_then(reference),
        medium: concepts(&typed.medium, json, "medium")?,
        payload: entries(&typed.payload, json, "payload")?
            .into_iter()
            .map(|(payload, json)| {
                choice(json, "content")?;
                Ok(match &payload.content {
                    sdk::CommunicationRequestPayloadContent::String(_) => Payload::Text,
                    sdk::CommunicationRequestPayloadContent::Attachment(_) => Payload::Attachment,
                    sdk::CommunicationRequestPayloadContent::Reference(r) => {
                        Payload::Reference(reference(r))
                    }
                })
            })
            .collect::<Result<_, TypedError>>()?,
        authored_on: text(json, "authoredOn"),
        modifiers: modifiers(json),
        implicit_rules: typed.implicit_rules.clone(),
    })
}
