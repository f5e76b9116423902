//! L4: a bearer token becomes a [`Verified`] requester; clients prove who they are.

pub mod assertion;
mod cache;
pub mod claims;
pub mod client;
pub mod jwks;
pub mod keys;
pub mod metadata;
pub mod purpose;
pub mod registry;
pub mod secret;
pub mod token;
pub mod verified;

#[cfg(test)]
pub mod fixture;

pub use assertion::{Assertion, AssertionError};
pub use claims::{Claims, Grant, IssueError, Issued, Settings};
pub use client::{AuthMethod, Client, ClientError};
pub use jwks::RemoteKeys;
pub use keys::{KeyError, Keys};
pub use metadata::Metadata;
pub use purpose::PurposeError;
pub use registry::{Registry, RegistryError, User};
pub use secret::{Secret, SecretHash};
pub use token::Tokens;
pub use verified::{TokenError, Verified};
