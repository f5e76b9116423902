//! Confide.
pub mod authn;
pub mod calendar;
pub mod fhir;
pub mod gate;
pub mod policy;
pub mod scope;
pub mod smart;
pub mod statute;
pub mod store;
