//! L0: FHIR R4 as data: a checked envelope over JSON that keeps every byte it does not touch.

pub mod codes;
pub mod cut;
pub mod fhirpath;
pub mod json;
pub mod kind;
pub mod name;
pub mod outcome;
pub mod patch;
pub mod resource;
pub mod schema;
pub mod time;

pub use json::Node;
pub use kind::{Kind, Kinds};
pub use name::{Id, Key, Target, canonical};
pub use resource::{Path, Resource, ResourceError};
pub use time::{Instant, Interval};

/// Our canonical base: extensions, code systems and operations live below it.
pub const CANONICAL: &str = "https://confide.example/fhir";

/// The prefix of our extensions' URLs.
pub const EXTENSION: &str = "https://confide.example/fhir/StructureDefinition/";

/// The prefix of our code systems' URLs.
pub const CODE_SYSTEM: &str = "https://confide.example/fhir/CodeSystem/";
