//! The four readers against official R4 examples (HL7, CC0, in `tests/data`)
//! and against what `fhir-sdk` alone would lose.

mod communication;
mod consent;
mod depth;
mod extension;
mod graph;
mod losses;
mod patient;

use confide_typed::{Coding, Concept, Reference};

fn coding(system: &str, code: &str) -> Coding {
    Coding {
        system: Some(system.to_owned()),
        code: Some(code.to_owned()),
    }
}

fn concept(system: &str, code: &str) -> Concept {
    Concept {
        codings: vec![coding(system, code)],
        text: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the readers give an Option")]
fn refers_to(to: &str) -> Option<Reference> {
    Some(Reference(to.to_owned()))
}
