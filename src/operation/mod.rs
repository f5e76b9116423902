//! L5: FHIR operations, one file each.

pub mod evaluate;
pub mod everything;
