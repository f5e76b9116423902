//! Typed reading of the four FHIR resources that carry rules: Consent,
//! Communication, `CommunicationRequest` and Patient.
//!
//! This crate exists to fence off `fhir-sdk` (R4B; these four have the same
//! paths, types and cardinalities as in R4). That library is right for reading
//! rules and wrong for everything else:
//!
//! - it drops unknown elements without a word, and drops a choice element
//!   (`value[x]`, `source[x]`, `deceased[x]`) whose value it cannot parse;
//! - it turns decimals into `f64` (`1.50` becomes `1.5`) and rewrites
//!   timestamps (`10:00:00.500Z` becomes `10:00:00.5Z`);
//! - any crate that deserializes one resource compiles all of them
//!   (`contained`), which is minutes of work: hence one crate, plain functions
//!   that nothing downstream instantiates anew, and `opt-level = 0`.
//!
//! So it is called only when a resource is written, after the strict check of
//! the JSON has passed, and only to read rules out. Never for storage, never
//! for the wire, never on a read. Nothing of `fhir-sdk` is in a signature.
//!
//! What the library loses and a rule could turn on is put back from the JSON:
//! date texts are verbatim, a dropped choice is [`TypedError::Dropped`], and
//! the URLs of all modifier extensions are listed, because FHIR forbids acting
//! on a resource with one that is not understood.
//!
//! Spec: <https://hl7.org/fhir/R4/consent.html>,
//! <https://hl7.org/fhir/R4/communication.html>,
//! <https://hl7.org/fhir/R4/communicationrequest.html>,
//! <https://hl7.org/fhir/R4/patient.html>.

mod communication;
mod consent;
mod datatypes;
mod document;
mod extension;
mod patient;

pub use communication::{
    Communication, CommunicationRequest, Payload, parse_communication, parse_communication_request,
};
pub use consent::{
    Actor, Consent, Data, Kind, Meaning, Policy, Provision, Source, Verification, parse_consent,
};
pub use datatypes::{Address, Coding, Concept, ContactPoint, HumanName, Period, Reference};
pub use extension::{Extension, Value};
pub use patient::{Deceased, Link, LinkType, Patient, parse_patient};

use std::fmt;

/// Why a body could not be read as the resource asked for.
///
/// Whoever sees this answers 422, or stores the resource fail-closed: a rule
/// that cannot be read is never an absent rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedError {
    /// Not JSON, or not of the resource's shape. The text comes from the parser
    /// and can quote the body: it may go to the writer, never into a log.
    Shape(String),
    /// The body is another resource. The type found may be any text, or none.
    WrongType {
        /// The type that the function called reads.
        expected: &'static str,
        /// The body's `resourceType`.
        found: Option<String>,
    },
    /// The body nests more levels than this.
    TooDeep(usize),
    /// A list of complex elements holds a `null`; skipping it could widen what a
    /// provision permits.
    NullEntry(&'static str),
    /// A choice element is there, but `fhir-sdk` could not read it and left it
    /// out, or it is there twice. Holds the element's base name, such as `value`.
    Dropped(&'static str),
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(reason) => write!(f, "not readable: {reason}"),
            Self::WrongType { expected, found } => match found {
                Some(found) => write!(f, "expected {expected}, found {found}"),
                None => write!(f, "expected {expected}, found no resourceType"),
            },
            Self::TooDeep(levels) => write!(f, "nested more than {levels} deep"),
            Self::NullEntry(element) => write!(f, "null in the list {element}"),
            Self::Dropped(element) => write!(f, "{element}[x] cannot be read"),
        }
    }
}

impl std::error::Error for TypedError {}
