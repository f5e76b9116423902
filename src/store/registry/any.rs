//! The registry beside the records, on whichever engine they are.

use super::{PostgresRegistry, SqliteRegistry};
use crate::authn::{Client, Registry, RegistryError, Secret, User};
use std::sync::Arc;

/// One of both.
#[derive(Debug)]
pub enum AnyRegistry {
    /// A file of its own in the data folder.
    Sqlite(Box<SqliteRegistry>),
    /// The database of the records.
    Postgres(PostgresRegistry),
}

/// The same asked of whichever it is.
macro_rules! either {
    ($self:ident, $registry:ident => $asked:expr) => {
        match $self {
            AnyRegistry::Sqlite($registry) => $asked.await,
            AnyRegistry::Postgres($registry) => $asked.await,
        }
    };
}

impl Registry for AnyRegistry {
    async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, RegistryError> {
        either!(self, registry => registry.client(id))
    }

    async fn add_client(&self, client: Client) -> Result<(), RegistryError> {
        either!(self, registry => registry.add_client(client))
    }

    async fn clients(&self) -> Result<Vec<Arc<Client>>, RegistryError> {
        either!(self, registry => registry.clients())
    }

    async fn disable_client(&self, id: &str) -> Result<bool, RegistryError> {
        either!(self, registry => registry.disable_client(id))
    }

    async fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        expires: i64,
        now: i64,
    ) -> Result<bool, RegistryError> {
        either!(self, registry => registry.spend_jti(issuer, jti, expires, now))
    }

    async fn add_user(&self, user: User, password: Secret) -> Result<(), RegistryError> {
        either!(self, registry => registry.add_user(user, password))
    }

    async fn users(&self) -> Result<Vec<User>, RegistryError> {
        either!(self, registry => registry.users())
    }

    async fn disable_user(&self, name: &str) -> Result<bool, RegistryError> {
        either!(self, registry => registry.disable_user(name))
    }

    async fn verify_user(
        &self,
        name: &str,
        password: Secret,
    ) -> Result<Option<User>, RegistryError> {
        either!(self, registry => registry.verify_user(name, password))
    }

    async fn generation(&self) -> Result<u64, RegistryError> {
        either!(self, registry => registry.generation())
    }
}
