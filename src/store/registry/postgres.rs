//! The registry in the database of the records, one for all nodes (docs/decisions/012-nodes.md). It has
//! connections of its own: a long write keeps no client from its token.

use super::{away, checked, sql};
use crate::{
    authn::{Client, Registry, RegistryError, Secret, User},
    store::{StoreError, postgres::PostgresStore, session::Session, sql::values},
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::Mutex;

const TABLES: &str = include_str!("../migrations/postgres/registry.sql");

const CLIENT: &str = "SELECT id, metadata, secret, disabled FROM client";
const USER: &str = "SELECT name, role, fhir_user, password, disabled FROM login";
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

    /// The change and the generation in one transaction: nobody sees one without the other.
    async fn take_away(&self, change: &'static str, which: &str) -> Result<bool, RegistryError> {
        let which = which.to_owned();
        self.run(move |tx| {
            let found = tx.run(change, &values![which.as_str()])?;
            let moves = "UPDATE registry_generation SET generation = generation + 1";
            tx.run(moves, &[])?;
            Ok(found == 1)
        })
        .await
    }
}

impl Registry for PostgresRegistry {
    async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, RegistryError> {
        let id = id.to_owned();
        let row = self.run(move |tx| {
            let sql = format!("{CLIENT} WHERE id = ?1");
            tx.first(&sql, &values![id.as_str()], sql::ClientRow::of_columns)
        });
        row.await?.map(|row| row.client().map(Arc::new)).transpose()
    }

    async fn add_client(&self, client: Client) -> Result<(), RegistryError> {
        let id = client.id.clone();
        let row = sql::ClientRow::of(&client);
        let added = self.run(move |tx| {
            let sql = "INSERT INTO client (id, metadata, secret, disabled) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
            Ok(tx.run(sql, &row.values())? == 1)
        });
        match added.await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(id)),
        }
    }

    async fn clients(&self) -> Result<Vec<Arc<Client>>, RegistryError> {
        let rows = self.run(|tx| {
            let sql = format!("{CLIENT} ORDER BY id");
            tx.all(&sql, &[], sql::ClientRow::of_columns)
        });
        let rows = rows.await?.into_iter();
        rows.map(|row| row.client().map(Arc::new)).collect()
    }

    async fn disable_client(&self, id: &str) -> Result<bool, RegistryError> {
        self.take_away("UPDATE client SET disabled = 1 WHERE id = ?1", id)
            .await
    }

    async fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        expires: i64,
        now: i64,
    ) -> Result<bool, RegistryError> {
        let (issuer, jti) = (issuer.to_owned(), jti.to_owned());
        self.run(move |tx| {
            tx.run("DELETE FROM spent_jti WHERE expires < ?1", &values![now])?;
            let sql = "INSERT INTO spent_jti (issuer, jti, expires) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            let added = tx.run(sql, &values![issuer.as_str(), jti.as_str(), expires])?;
            Ok(added == 1)
        })
        .await
    }

    async fn add_user(&self, user: User, password: Secret) -> Result<(), RegistryError> {
        let name = user.name.clone();
        let hash = password.hashed().await.map_err(|error| away(&error))?;
        let added = self.run(move |tx| {
            let sql = "INSERT INTO login (name, role, fhir_user, password, disabled) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
            Ok(tx.run(sql, &sql::user_values(&user, &hash))? == 1)
        });
        match added.await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(name)),
        }
    }

    async fn users(&self) -> Result<Vec<User>, RegistryError> {
        let rows = self.run(|tx| {
            let sql = format!("{USER} ORDER BY name");
            tx.all(&sql, &[], sql::UserRow::of_columns)
        });
        let rows = rows.await?.into_iter();
        rows.map(|row| row.user().map(|(user, _)| user)).collect()
    }

    async fn disable_user(&self, name: &str) -> Result<bool, RegistryError> {
        self.take_away("UPDATE login SET disabled = 1 WHERE name = ?1", name)
            .await
    }

    async fn verify_user(
        &self,
        name: &str,
        password: Secret,
    ) -> Result<Option<User>, RegistryError> {
        let name = name.to_owned();
        let row = self.run(move |tx| {
            let sql = format!("{USER} WHERE name = ?1");
            tx.first(&sql, &values![name.as_str()], sql::UserRow::of_columns)
        });
        checked(row.await?.map(sql::UserRow::user).transpose()?, password).await
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
