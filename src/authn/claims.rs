//! What an access token says, and what is asked for when one is made.

use super::{keys::KeyError, purpose::PurposeError};
use crate::{
    fhir::{Id, Key},
    scope::ScopeSet,
    statute::Purpose,
};
use serde::{Deserialize, Serialize};

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 9068, SMART and IHE IUA name them")]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass_reason: Option<String>,
    /// The emergency's own end, which a longer token would not move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass_until: Option<i64>,
}

/// Where tokens are for, and how long an emergency lasts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `iss` of our tokens.
    pub issuer: Box<str>,
    /// The FHIR base, `aud` of access tokens; without a slash at its end.
    pub base: Box<str>,
    /// `[policy] break_glass_minutes`.
    pub break_glass_minutes: u16,
}

/// What a token is to say beside who holds it.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The scopes, within the client's maximum.
    pub scopes: ScopeSet,
    /// The person.
    pub user: Option<Key>,
    /// The patient in context.
    pub patient: Option<Id>,
    /// `purpose_of_use` as asked.
    pub purpose: Option<&'a str>,
    /// `break_glass_reason` as asked.
    pub reason: Option<&'a str>,
    /// Seconds; an emergency may make it shorter.
    pub ttl: i64,
}

/// A token made.
#[derive(Clone)]
pub struct Issued {
    /// The compact JWT.
    pub token: String,
    /// What it says.
    pub claims: Claims,
    /// Its purpose.
    pub purpose: Purpose,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({})", self.claims.jti)
    }
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No usable purpose, or what it needs is missing.
    #[error(transparent)]
    Purpose(#[from] PurposeError),
    /// The signer failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}
