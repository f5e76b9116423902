//! The registry in the database of the records, one for all nodes (docs/decisions/012-nodes.md). It has
//! connections of its own: a long write keeps no client from its token.

use super::{away, checked, sql};
use crate::{
    authn::{Client, Registry, RegistryError, Secret, User},
    store::{StoreError, postgres::PostgresStore, session::Session},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Mutex;

const TABLES: &str = include_str!("../migrations/postgres/registry.sql");

const GENERATION: &str = "SELECT generation::TEXT FROM registry_generation WHERE one = 1";

/// Clients, logins and spent assertions in PostgreSQL.
#[derive(Debug)]
pub struct PostgresRegistry {
    store: PostgresStore,
    begun: AtomicU64,
    /// The last look at the generation, by its number, and what it saw.
    last: Mutex<(u64, u64)>,
}

impl PostgresRegistry {
    /// Over a store that is open, making its tables where they are missing.
    pub fn open(store: PostgresStore) -> Result<PostgresRegistry, RegistryError> {
        store.prepare(TABLES).map_err(|error| away(&error))?;
        Ok(PostgresRegistry {
            store,
            begun: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.store.apart(work).await.map_err(|error| away(&error))
    }
}

impl Registry for PostgresRegistry {
    async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, RegistryError> {
        let id = id.to_owned();
        let row = self.run(move |tx| sql::client(tx, &id)).await?;
        row.map(|row| row.client().map(Arc::new)).transpose()
    }

    async fn add_client(&self, client: Client) -> Result<(), RegistryError> {
        let id = client.id.clone();
        let row = sql::ClientRow::of(&client);
        match self.run(move |tx| sql::add_client(tx, &row)).await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(id)),
        }
    }

    async fn clients(&self) -> Result<Vec<Arc<Client>>, RegistryError> {
        let rows = self.run(sql::clients).await?.into_iter();
        rows.map(|row| row.client().map(Arc::new)).collect()
    }

    async fn disable_client(&self, id: &str) -> Result<bool, RegistryError> {
        let id = id.to_owned();
        self.run(move |tx| sql::disable_client(tx, &id)).await
    }

    async fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        expires: i64,
        now: i64,
    ) -> Result<bool, RegistryError> {
        let (issuer, jti) = (issuer.to_owned(), jti.to_owned());
        self.run(move |tx| sql::spend_jti(tx, &issuer, &jti, expires, now))
            .await
    }

    async fn add_user(&self, user: User, password: Secret) -> Result<(), RegistryError> {
        let name = user.name.clone();
        let hash = password.hashed().await.map_err(|error| away(&error))?;
        match self.run(move |tx| sql::add_user(tx, &user, &hash)).await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(name)),
        }
    }

    async fn users(&self) -> Result<Vec<User>, RegistryError> {
        let rows = self.run(sql::users).await?.into_iter();
        rows.map(|row| row.user().map(|(user, _)| user)).collect()
    }

    async fn disable_user(&self, name: &str) -> Result<bool, RegistryError> {
        let name = name.to_owned();
        self.run(move |tx| sql::disable_user(tx, &name)).await
    }

    async fn verify_user(
        &self,
        name: &str,
        password: Secret,
    ) -> Result<Option<User>, RegistryError> {
        let name = name.to_owned();
        let row = self.run(move |tx| sql::user(tx, &name)).await?;
        checked(row.map(sql::UserRow::user).transpose()?, password).await
    }

    /// Asked of the database for every request, so that what one node takes away is gone on all at once.
    /// Requests that come together share a look, as long as it began after they came.
    async fn generation(&self) -> Result<u64, RegistryError> {
        let came = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        let (number, seen) = *last;
        if number > came {
            return Ok(seen);
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let said = self.store.said(GENERATION).await;
        let said = said.map_err(|error| away(&error))?;
        let seen = said
            .parse()
            .map_err(|_| away(&"its generation is damaged"))?;
        *last = (number, seen);
        Ok(seen)
    }
}
