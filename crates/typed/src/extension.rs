//! Extensions as a plain tree, for `authorization-form` and its kin.
//! <https://hl7.org/fhir/R4/extensibility.html>

use fhir_sdk::r4b::types as sdk;
use fhir_sdk::r4b::types::ExtensionValue as Sdk;
use serde_json::Value as Json;

use crate::TypedError;
use crate::datatypes::{
    Address, Coding, Concept, ContactPoint, Period, Reference, address, coding, concept,
    contact_point, period, reference,
};
use crate::document::{choice, member, refuse_dropped};

/// An extension: a value, or nested extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The absolute URL of its definition; relative inside a nested one.
    pub url: String,
    /// The value; none where there are nested extensions.
    pub value: Option<Value>,
    /// Nested extensions, in order.
    pub extension: Vec<Extension>,
}

/// The value of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `string`, `markdown`, `id`.
    String(String),
    /// `code`.
    Code(String),
    /// `uri`, `url`, `canonical`, `oid`, `uuid`.
    Uri(String),
    /// `boolean`.
    Boolean(bool),
    /// `integer`, `positiveInt`, `unsignedInt`.
    Integer(i64),
    /// `decimal`, as the shortest text of its `f64`: `1.50` reads `1.5`.
    Decimal(String),
    /// `date`, verbatim.
    Date(String),
    /// `dateTime` or `instant`, verbatim.
    DateTime(String),
    /// `Reference`; none if it has only an identifier.
    Reference(Option<Reference>),
    /// `Coding`.
    Coding(Coding),
    /// `CodeableConcept`.
    Concept(Concept),
    /// `Period`.
    Period(Period),
    /// `Address`.
    Address(Address),
    /// `ContactPoint`.
    ContactPoint(ContactPoint),
    /// Any other type, by its name as in `value[x]` (`Quantity`): no rule of
    /// ours reads one, but it must not pass for an absent value.
    Other(String),
}

/// The extensions of the element whose JSON is given.
pub(crate) fn extensions(
    typed: &[sdk::Extension],
    json: &Json,
) -> Result<Vec<Extension>, TypedError> {
    let json = member(json, "extension")
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if json.len() != typed.len() {
        return Err(TypedError::Dropped("extension"));
    }
    typed
        .iter()
        .zip(json)
        .map(|(typed, json)| extension(typed, json))
        .collect()
}

fn extension(typed: &sdk::Extension, json: &Json) -> Result<Extension, TypedError> {
    refuse_dropped(typed.value.as_ref(), json, "value")?;
    let value = match (&typed.value, choice(json, "value")?) {
        (Some(typed), Some((kind, json))) => Some(value(typed, kind, json)?),
        _ => None,
    };
    Ok(Extension {
        url: typed.url.clone(),
        value,
        extension: extensions(&typed.extension, json)?,
    })
}

fn value(typed: &Sdk, kind: &str, json: &Json) -> Result<Value, TypedError> {
    let verbatim = || json.as_str().unwrap_or_default().to_owned();
    Ok(match typed {
        Sdk::String(s) | Sdk::Markdown(s) | Sdk::Id(s) => Value::String(s.clone()),
        Sdk::Code(s) => Value::Code(s.clone()),
        Sdk::Uri(s) | Sdk::Url(s) | Sdk::Canonical(s) | Sdk::Oid(s) | Sdk::Uuid(s) => {
            Value::Uri(s.clone())
        }
        Sdk::Boolean(b) => Value::Boolean(*b),
        Sdk::Integer(i) => Value::Integer(i64::from(*i)),
        Sdk::PositiveInt(i) => Value::Integer(i64::from(i.get())),
        Sdk::UnsignedInt(i) => Value::Integer(i64::from(*i)),
        Sdk::Decimal(d) => Value::Decimal(d.to_string()),
        Sdk::Date(_) => Value::Date(verbatim()),
        Sdk::DateTime(_) | Sdk::Instant(_) => Value::DateTime(verbatim()),
        Sdk::Reference(r) => Value::Reference(reference(r)),
        Sdk::Coding(c) => Value::Coding(coding(c)),
        Sdk::CodeableConcept(c) => Value::Concept(concept(c, json)?),
        Sdk::Period(p) => Value::Period(period(Some(p), json).unwrap_or_default()),
        Sdk::Address(a) => Value::Address(address(a, json)),
        Sdk::ContactPoint(c) => Value::ContactPoint(contact_point(c, json)),
        _ => Value::Other(kind.to_owned()),
    })
}
