//! L5: FHIR's interactions, one file each.

pub mod bundle;
