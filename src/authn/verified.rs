//! A verified token's content, and why a token is refused.

use super::{purpose::PurposeError, registry::RegistryError};
use crate::{
    fhir::Id,
    policy::{Credentials, Requester},
    scope::ScopeSet,
    statute::Purpose,
};

/// Why a token is not accepted. The text says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours: malformed, wrong signature, algorithm, issuer or audience.
    #[error("the token is not valid")]
    Invalid,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// Its client is gone or disabled.
    #[error("the client is not active")]
    Client,
    /// It lacks a usable purpose, or what its purpose needs.
    #[error(transparent)]
    Purpose(#[from] PurposeError),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl TokenError {
    /// The HTTP status (SEMANTICS section 8).
    pub fn status(&self) -> u16 {
        match self {
            TokenError::Invalid | TokenError::Expired | TokenError::Client => 401,
            TokenError::Purpose(_) => 403,
            TokenError::Registry(_) => 503,
        }
    }
}

/// A verified token's content. Only [`Tokens::verify`](super::Tokens::verify) makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub(super) requester: Requester,
    pub(super) purpose: Purpose,
    pub(super) scopes: ScopeSet,
    pub(super) patient: Option<Id>,
    pub(super) break_glass: Option<Box<str>>,
    pub(super) jti: Box<str>,
    pub(super) ends: i64,
}

impl Verified {
    /// When it ends, in seconds since 1970: the token's end or that of its emergency.
    pub fn ends(&self) -> i64 {
        self.ends
    }

    /// The token's id.
    pub fn jti(&self) -> &str {
        &self.jti
    }
}

impl Credentials for Verified {
    fn requester(&self) -> &Requester {
        &self.requester
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    fn patient(&self) -> Option<&Id> {
        self.patient.as_ref()
    }

    /// Within its time: a token whose emergency has ended is refused whole.
    fn break_glass(&self) -> Option<&str> {
        self.break_glass.as_deref()
    }
}
