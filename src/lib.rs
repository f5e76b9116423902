//! Confide.
pub mod authn;
pub mod calendar;
pub mod cli;
pub mod config;
pub mod consent;
pub mod faces;
pub mod fhir;
pub mod gate;
pub mod http;
pub mod label;
pub mod policy;
pub mod profile;
pub mod scope;
pub mod search;
pub mod smart;
pub mod statute;
pub mod store;
