//! Confide.
pub mod calendar;
pub mod fhir;
pub mod gate;
pub mod policy;
pub mod profile;
pub mod scope;
pub mod search;
pub mod statute;
