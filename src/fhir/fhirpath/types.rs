//! The types that `is`, `as` and `ofType` ask for: FHIR's from the definitions, and System's.

use super::value::Value;
use crate::fhir::{
    Kind, Node,
    schema::{OwnerId, SCHEMA, Shape},
};

/// What an element of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A resource, datatype or backbone element.
    Complex(OwnerId),
    /// A FHIR primitive (`code`, `dateTime`, …).
    Primitive(&'static str),
    /// Not in the definitions.
    Unknown,
}

/// A type as an expression names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Specifier {
    fhir: Option<Box<str>>,
    system: Option<System>,
}

/// The types of literals and of what functions make (<http://hl7.org/fhirpath/N1/#literals>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Boolean,
    String,
    Integer,
    Decimal,
    Date,
    DateTime,
    Time,
    Quantity,
}

const SYSTEM: [(&str, System); 8] = [
    ("Boolean", System::Boolean),
    ("String", System::String),
    ("Integer", System::Integer),
    ("Decimal", System::Decimal),
    ("Date", System::Date),
    ("DateTime", System::DateTime),
    ("Time", System::Time),
    ("Quantity", System::Quantity),
];

impl Type {
    /// Of a whole resource, by what it says it is.
    pub(super) fn of_resource(node: &Node) -> Type {
        node.text("resourceType")
            .and_then(Kind::named)
            .map_or(Type::Unknown, Type::of_kind)
    }

    pub(super) fn of_kind(kind: Kind) -> Type {
        SCHEMA.resource(kind).map_or(Type::Unknown, Type::Complex)
    }

    /// Of a value of an element.
    pub(super) fn of(shape: Shape, node: Option<&Node>) -> Type {
        match shape {
            Shape::Primitive(name) => Type::Primitive(name),
            Shape::Complex(owner) | Shape::Reference(owner, _) => Type::Complex(owner),
            Shape::Resource => node.map_or(Type::Unknown, Type::of_resource),
        }
    }

    /// Its name: a datatype's or resource's, or a backbone element's path.
    pub fn name(self) -> &'static str {
        match self {
            Type::Complex(owner) => SCHEMA.owner(owner).map_or("", |owner| owner.name),
            Type::Primitive(name) => name,
            Type::Unknown => "",
        }
    }

    /// Whether it is of that FHIR type or descends from it.
    pub fn is(self, wanted: &str) -> bool {
        let mut name = self.name();
        while !name.is_empty() {
            if name == wanted {
                return true;
            }
            name = parent(name);
        }
        false
    }
}

/// What a FHIR type is a kind of; empty at the top
/// (<https://hl7.org/fhir/R4/datatypes.html>, the diagrams).
fn parent(name: &str) -> &'static str {
    match name {
        "Element" | "Resource" | "" => "",
        "code" | "id" | "markdown" => "string",
        "url" | "canonical" | "uuid" | "oid" => "uri",
        "unsignedInt" | "positiveInt" => "integer",
        "Age" | "Count" | "Distance" | "Duration" => "Quantity",
        "DomainResource" | "Bundle" | "Binary" | "Parameters" => "Resource",
        "Timing.repeat" | "BackboneElement" => "Element",
        "Timing" | "Dosage" | "ElementDefinition" => "BackboneElement",
        _ if name.starts_with("ElementDefinition.") => "Element",
        _ if name.contains('.') => "BackboneElement",
        _ if Kind::named(name).is_some() => "DomainResource",
        _ => "Element",
    }
}

impl Specifier {
    /// Reads `Patient`, `FHIR.Patient`, `System.String`; `None` for another namespace. Without a
    /// namespace both are meant.
    pub(super) fn read(names: &[Box<str>]) -> Option<Specifier> {
        let (space, name) = match names {
            [name] => (None, name),
            [space, name] => (Some(&**space), name),
            _ => return None,
        };
        let system = SYSTEM.iter().find(|(system, _)| *system == &**name);
        let system = system.map(|(_, system)| *system);
        match space {
            None => Some(Specifier {
                fhir: Some(name.clone()),
                system,
            }),
            Some("FHIR") => Some(Specifier {
                fhir: Some(name.clone()),
                system: None,
            }),
            Some("System") => system.map(|system| Specifier {
                fhir: None,
                system: Some(system),
            }),
            Some(_) => None,
        }
    }

    pub(super) fn holds_type(&self, kind: Type) -> bool {
        self.fhir.as_deref().is_some_and(|wanted| kind.is(wanted))
    }

    pub(super) fn holds_value(&self, value: &Value<'_>) -> bool {
        self.system == Some(value.system())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_of_their_own_and_of_their_parents() {
        let patient = Type::of_kind(Kind::named("Patient").unwrap());
        for name in ["Patient", "DomainResource", "Resource"] {
            assert!(patient.is(name), "{name}");
        }
        assert!(!patient.is("Observation"));
        assert!(!Type::of_kind(Kind::named("Bundle").unwrap()).is("DomainResource"));
        assert!(Type::Primitive("canonical").is("uri"));
        assert!(Type::Primitive("code").is("Element"));
        assert!(!Type::Unknown.is(""));
        let contact = SCHEMA.named("Patient.contact").map(Type::Complex).unwrap();
        assert!(contact.is("BackboneElement") && contact.is("Element"));
    }
}
