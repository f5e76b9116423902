//! Confide.
pub mod calendar;
pub mod cli;
pub mod config;
pub mod fhir;
pub mod gate;
pub mod http;
pub mod policy;
pub mod scope;
pub mod statute;
