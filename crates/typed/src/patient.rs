//! Patient. <https://hl7.org/fhir/R4/patient.html>

use fhir_sdk::r4b::codes;
use fhir_sdk::r4b::resources as sdk;
use serde_json::Value as Json;

use crate::TypedError;
use crate::datatypes::{
    Address, ContactPoint, HumanName, Reference, address, contact_point, human_name, reference,
};
use crate::document::{entries, modifiers, parse, refuse_dropped, text};

/// What of a Patient standing, age and household mail are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// The logical id, if any yet.
    pub id: Option<String>,
    /// Whether the record is in use; none is not yes.
    pub active: Option<bool>,
    /// A FHIR date, verbatim: `1982-01-23`, `1982-01` or `1982`. What is not to
    /// the day leaves the age, and so minority, open.
    pub birth_date: Option<String>,
    /// Whether, and when, the person died.
    pub deceased: Option<Deceased>,
    /// The names, in order.
    pub name: Vec<HumanName>,
    /// Ways of contact, in order.
    pub telecom: Vec<ContactPoint>,
    /// Postal addresses, in order.
    pub address: Vec<Address>,
    /// `male`, `female`, `other` or `unknown`.
    pub gender: Option<String>,
    /// Other records of, or about, the same person.
    pub link: Vec<Link>,
    /// Who keeps the record.
    pub managing_organization: Option<Reference>,
    /// The URLs of all modifier extensions in the resource.
    pub modifiers: Vec<String>,
    /// `implicitRules`.
    pub implicit_rules: Option<String>,
}

/// `deceased[x]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deceased {
    /// Said only whether.
    Boolean(bool),
    /// When: a FHIR dateTime, verbatim.
    DateTime(String),
}

/// A link to another record of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The other Patient or `RelatedPerson`; none if given by identifier only.
    pub other: Option<Reference>,
    /// How the two stand to each other.
    pub r#type: LinkType,
}

/// How two records of a person stand to each other.
/// <https://hl7.org/fhir/R4/valueset-link-type.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// The other is to be used instead of this.
    ReplacedBy,
    /// This is to be used instead of the other.
    Replaces,
    /// The other has more about the person.
    Refer,
    /// Both are of the same person.
    SeeAlso,
}

/// Reads a Patient.
///
/// # Errors
///
/// If the body is not a Patient that `fhir-sdk` can read in full.
pub fn parse_patient(body: &[u8]) -> Result<Patient, TypedError> {
    let (typed, json): (sdk::Patient, Json) = parse(body, "Patient")?;
    let json = &json;
    refuse_dropped(typed.deceased.as_ref(), json, "deceased")?;
    Ok(Patient {
        id: typed.id.clone(),
        active: typed.active,
        birth_date: text(json, "birthDate"),
        deceased: typed.deceased.as_ref().map(|deceased| match deceased {
            sdk::PatientDeceased::Boolean(whether) => Deceased::Boolean(*whether),
            sdk::PatientDeceased::DateTime(_) => {
                Deceased::DateTime(text(json, "deceasedDateTime").unwrap_or_default())
            }
        }),
        name: entries(&typed.name, json, "name")?
            .into_iter()
            .map(|(name, json)| human_name(name, json))
            .collect(),
        telecom: entries(&typed.telecom, json, "telecom")?
            .into_iter()
            .map(|(telecom, json)| contact_point(telecom, json))
            .collect(),
        address: entries(&typed.address, json, "address")?
            .into_iter()
            .map(|(typed, json)| address(typed, json))
            .collect(),
        gender: typed.gender.map(|g| g.to_string()),
        link: entries(&typed.link, json, "link")?
            .into_iter()
            .map(|(link, _)| Link {
                other: reference(&link.other),
                r#type: link_type(link.r#type),
            })
            .collect(),
        managing_organization: typed.managing_organization.as_ref().and_then(reference),
        modifiers: modifiers(json),
        implicit_rules: typed.implicit_rules.clone(),
    })
}

fn link_type(typed: codes::LinkType) -> LinkType {
    match typed {
        codes::LinkType::ReplacedBy => LinkType::ReplacedBy,
        codes::LinkType::Replaces => LinkType::Replaces,
        codes::LinkType::Refer => LinkType::Refer,
        codes::LinkType::Seealso => LinkType::SeeAlso,
    }
}
