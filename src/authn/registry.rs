//! What the authorization server remembers: clients, logins, spent assertions. The storage lives in
//! `store::registry`; here is what it must do.

use super::{client::Client, secret::Secret};
use crate::{fhir::Key, policy::Role};
use std::{future::Future, sync::Arc};

/// Why the registry did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The id or name is in use.
    #[error("{0} is already registered")]
    Taken(Box<str>),
    /// The storage failed; nobody is authenticated meanwhile.
    #[error("the registry is not available: {0}")]
    Away(Box<str>),
}

/// A local login, for the console and for app launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login's name.
    pub name: Box<str>,
    /// What the person acts as.
    pub role: Role,
    /// The person's record, as `fhirUser` of the tokens it gets.
    pub fhir_user: Option<Key>,
    /// Whether it may still log in.
    pub disabled: bool,
}

/// Clients, logins and spent assertions.
pub trait Registry: Send + Sync {
    /// The client of that id, disabled ones included.
    fn client(
        &self,
        id: &str,
    ) -> impl Future<Output = Result<Option<Arc<Client>>, RegistryError>> + Send;

    /// Adds a client; an id is never used twice.
    fn add_client(&self, client: Client) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// All clients, by id.
    fn clients(&self) -> impl Future<Output = Result<Vec<Arc<Client>>, RegistryError>> + Send;

    /// Disables a client, and with it every token it holds. False where there is none.
    fn disable_client(&self, id: &str) -> impl Future<Output = Result<bool, RegistryError>> + Send;

    /// Spends a client assertion's `jti` until `expires` (seconds since 1970): true the first time,
    /// false for a replay. What expired before `now` is forgotten.
    fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        expires: i64,
        now: i64,
    ) -> impl Future<Output = Result<bool, RegistryError>> + Send;

    /// Adds a login.
    fn add_user(
        &self,
        user: User,
        password: Secret,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send;

    /// All logins, by name.
    fn users(&self) -> impl Future<Output = Result<Vec<User>, RegistryError>> + Send;

    /// Disables a login. False where there is none.
    fn disable_user(&self, name: &str) -> impl Future<Output = Result<bool, RegistryError>> + Send;

    /// The login of that name if the password fits and it is not disabled. An unknown name takes as
    /// long as a wrong password.
    fn verify_user(
        &self,
        name: &str,
        password: Secret,
    ) -> impl Future<Output = Result<Option<User>, RegistryError>> + Send;

    /// A number that moves whenever something was taken away (disabled, revoked), by whichever
    /// process. Cheap: it is asked for with every request.
    fn generation(&self) -> impl Future<Output = Result<u64, RegistryError>> + Send;
}
