//! L5: the authorization server, without a web framework: requests and answers as plain values.

pub mod answer;
pub mod discovery;
pub mod form;
pub mod issue;
pub mod jwks;
pub mod token;
pub mod urls;

pub use answer::{Answer, OAuthError, Refusal};
pub use issue::{Order, OrderError};
pub use token::TokenRequest;
pub use urls::Urls;

use crate::{
    authn::{Registry, RemoteKeys, Tokens},
    calendar::Clock,
    gate::Journal,
};

/// What the authorization server works with.
pub struct Smart<'a, J: Journal, R: Registry> {
    /// Issues and verifies access tokens; holds the signing keys.
    pub tokens: &'a Tokens,
    /// Clients, logins, spent assertions.
    pub registry: &'a R,
    /// Every issued token leaves an entry before the answer.
    pub journal: &'a J,
    /// Clients' key sets.
    pub remote: &'a RemoteKeys,
    /// The one clock.
    pub clock: Clock,
    /// Where we are to be found.
    pub urls: &'a Urls,
}
