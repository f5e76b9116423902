//! The FHIR datatypes our rules read, reduced to what they read.
//! <https://hl7.org/fhir/R4/datatypes.html>

use fhir_sdk::r4b::types as sdk;
use serde_json::Value as Json;

use crate::TypedError;
use crate::document::{entries, member, text};

/// A code in a code system. Display and version decide nothing, so are left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coding {
    /// The code system's URI.
    pub system: Option<String>,
    /// The code; none if only a display or an extension was given.
    pub code: Option<String>,
}

/// A `CodeableConcept`. Kept whole rather than flattened to codings: a concept
/// of text alone must not read as "no restriction".
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Concept {
    /// The translations of one meaning; may be empty.
    pub codings: Vec<Coding>,
    /// The text, which no rule can be matched by.
    pub text: Option<String>,
}

/// A literal reference, verbatim: relative, absolute, `urn:` or `#contained`.
/// Where only an identifier or a display was given, there is no `Reference`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference(pub String);

/// A period, both ends verbatim: `2016-01-01` (the whole day) and
/// `2016-01-01T00:00:00Z` are different ends. Ends are inclusive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Period {
    /// A FHIR dateTime; none is "unknown", which is not "always".
    pub start: Option<String>,
    /// A FHIR dateTime; none is "ongoing".
    pub end: Option<String>,
}

/// A name, for matching a person and for the account page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HumanName {
    /// `usual`, `official`, `temp`, `nickname`, `anonymous`, `old` or `maiden`.
    pub r#use: Option<String>,
    /// The family name.
    pub family: Option<String>,
    /// The given names, in order.
    pub given: Vec<String>,
    /// The whole name as text.
    pub text: Option<String>,
    /// When the name was in use.
    pub period: Option<Period>,
}

/// A means of contact: an address that a confidential communication may go to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContactPoint {
    /// `phone`, `fax`, `email`, `pager`, `url`, `sms` or `other`.
    pub system: Option<String>,
    /// The number or address.
    pub value: Option<String>,
    /// `home`, `work`, `temp`, `old` or `mobile`.
    pub r#use: Option<String>,
    /// The order of preference, 1 the highest.
    pub rank: Option<u32>,
    /// When the contact point was in use.
    pub period: Option<Period>,
}

/// A postal address: where a letter goes is what a confidential communications
/// request decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// `home`, `work`, `temp`, `old` or `billing`.
    pub r#use: Option<String>,
    /// `postal`, `physical` or `both`.
    pub r#type: Option<String>,
    /// The whole address as text.
    pub text: Option<String>,
    /// Street lines, in order.
    pub line: Vec<String>,
    /// City or town.
    pub city: Option<String>,
    /// County.
    pub district: Option<String>,
    /// State.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country.
    pub country: Option<String>,
    /// When the address was in use.
    pub period: Option<Period>,
}

pub(crate) fn coding(typed: &sdk::Coding) -> Coding {
    Coding {
        system: typed.system.clone(),
        code: typed.code.clone(),
    }
}

pub(crate) fn codings(
    typed: &[Option<sdk::Coding>],
    json: &Json,
    key: &'static str,
) -> Result<Vec<Coding>, TypedError> {
    Ok(entries(typed, json, key)?
        .into_iter()
        .map(|(c, _)| coding(c))
        .collect())
}

pub(crate) fn concept(typed: &sdk::CodeableConcept, json: &Json) -> Result<Concept, TypedError> {
    Ok(Concept {
        codings: codings(&typed.coding, json, "coding")?,
        text: typed.text.clone(),
    })
}

pub(crate) fn concepts(
    typed: &[Option<sdk::CodeableConcept>],
    json: &Json,
    key: &'static str,
) -> Result<Vec<Concept>, TypedError> {
    entries(typed, json, key)?
        .into_iter()
        .map(|(c, json)| concept(c, json))
        .collect()
}

pub(crate) fn reference(typed: &sdk::Reference) -> Option<Reference> {
    typed.reference.clone().map(Reference)
}

pub(crate) fn references(
    typed: &[Option<sdk::Reference>],
    json: &Json,
    key: &'static str,
) -> Result<Vec<Option<Reference>>, TypedError> {
    Ok(entries(typed, json, key)?
        .into_iter()
        .map(|(r, _)| reference(r))
        .collect())
}

/// `json` is the period's own; its texts were validated by the typed reading.
pub(crate) fn period(typed: Option<&sdk::Period>, json: &Json) -> Option<Period> {
    typed.map(|_| Period {
        start: text(json, "start"),
        end: text(json, "end"),
    })
}

pub(crate) fn human_name(typed: &sdk::HumanName, json: &Json) -> HumanName {
    HumanName {
        r#use: typed.r#use.map(|u| u.to_string()),
        family: typed.family.clone(),
        given: typed.given.iter().flatten().cloned().collect(),
        text: typed.text.clone(),
        period: period(typed.period.as_ref(), member(json, "period")),
    }
}

pub(crate) fn contact_point(typed: &sdk::ContactPoint, json: &Json) -> ContactPoint {
    ContactPoint {
        system: typed.system.map(|s| s.to_string()),
        value: typed.value.clone(),
        r#use: typed.r#use.map(|u| u.to_string()),
        rank: typed.rank.map(Into::into),
        period: period(typed.period.as_ref(), member(json, "period")),
    }
}

pub(crate) fn address(typed: &sdk::Address, json: &Json) -> Address {
    Address {
        r#use: typed.r#use.map(|u| u.to_string()),
        r#type: typed.r#type.map(|t| t.to_string()),
        text: typed.text.clone(),
        line: typed.line.iter().flatten().cloned().collect(),
        city: typed.city.clone(),
        district: typed.district.clone(),
        state: typed.state.clone(),
        postal_code: typed.postal_code.clone(),
        country: typed.country.clone(),
        period: period(typed.period.as_ref(), member(json, "period")),
    }
}
