//! The registry of clients and logins: `authn::Registry` over a database file of its own, or in the
//! database of the records where several nodes share one.

mod any;
mod postgres;
mod sql;

pub use any::AnyRegistry;
pub use postgres::PostgresRegistry;

use crate::{
    authn::{Client, Registry, RegistryError, Secret, SecretHash, User},
    calendar::Clock,
    fhir::Instant,
    store::{StoreError, group::Transact as _, session::Session},
};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// How long another process's change may go unnoticed, in microseconds.
const NOTICE_AFTER: Instant = 100_000;

/// Clients that are kept in memory; beyond it memory starts anew.
const MOST_CLIENTS: usize = 4096;

/// An unknown login is checked against this, so that it takes as long as a known one.
static NOBODY: LazyLock<Option<SecretHash>> =
    LazyLock::new(|| Secret::random().and_then(|secret| secret.hash()).ok());

/// Clients, logins and spent assertions in one SQLite file, which other processes may use too.
pub struct SqliteRegistry {
    /// For everything but the watch. Used on blocking threads only.
    work: Arc<Mutex<Connection>>,
    /// Sees, without reading a page, whether another connection wrote.
    watch: Mutex<Watch>,
    generation: AtomicU64,
    looked: AtomicI64,
    notice_after: Instant,
    clients: RwLock<HashMap<Box<str>, Kept>>,
    clock: Clock,
}

struct Watch {
    connection: Connection,
    data_version: i64,
}

struct Kept {
    client: Arc<Client>,
    /// The generation before the client was read.
    generation: u64,
}

impl fmt::Debug for SqliteRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteRegistry")
    }
}

fn away(error: &dyn fmt::Display) -> RegistryError {
    RegistryError::Away(error.to_string().into())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteRegistry {
    /// Opens the database, making its tables where they are missing.
    pub fn open(path: &Path, clock: Clock) -> Result<SqliteRegistry, RegistryError> {
        SqliteRegistry::noticing(path, clock, NOTICE_AFTER)
    }

    fn noticing(
        path: &Path,
        clock: Clock,
        notice_after: Instant,
    ) -> Result<SqliteRegistry, RegistryError> {
        crate::store::make_private(path).map_err(|error| away(&error))?;
        let mut work = sql::connect(path).map_err(|error| away(&error))?;
        sql::migrate(&mut work).map_err(|error| away(&error))?;
        let connection = sql::connect(path).map_err(|error| away(&error))?;
        let data_version = sql::data_version(&connection).map_err(|error| away(&error))?;
        let generation = sql::generation(&connection).map_err(|error| away(&error))?;
        Ok(SqliteRegistry {
            work: Arc::new(Mutex::new(work)),
            watch: Mutex::new(Watch {
                connection,
                data_version,
            }),
            generation: AtomicU64::new(generation),
            looked: AtomicI64::new(clock.now()),
            notice_after,
            clients: RwLock::default(),
            clock,
        })
    }

    /// Reads on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        sql: impl FnOnce(&dyn Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let work = self.work.clone();
        let done = tokio::task::spawn_blocking(move || sql(&*lock(&work))).await;
        done.map_err(|error| away(&error))?
            .map_err(|error| away(&error))
    }

    /// Writes on a blocking thread, in one transaction.
    async fn write<T: Send + 'static>(
        &self,
        sql: impl Fn(&dyn Session) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let work = self.work.clone();
        let done = tokio::task::spawn_blocking(move || lock(&work).transact(&sql)).await;
        done.map_err(|error| away(&error))?
            .map_err(|error| away(&error))
    }

    /// Looks at the file now, whatever the time.
    fn look(&self) -> Result<u64, RegistryError> {
        let mut watch = lock(&self.watch);
        let now = self.clock.now();
        let version = sql::data_version(&watch.connection).map_err(|error| away(&error))?;
        if version != watch.data_version {
            let generation = sql::generation(&watch.connection).map_err(|error| away(&error))?;
            self.generation.store(generation, Ordering::Release);
            watch.data_version = version;
        }
        self.looked.store(now, Ordering::Release);
        Ok(self.generation.load(Ordering::Acquire))
    }

    /// The generation from memory; at most every 100 ms the file is asked whether someone else wrote.
    fn known(&self) -> Result<u64, RegistryError> {
        let since = self.clock.now() - self.looked.load(Ordering::Acquire);
        // A clock that went back proves nothing.
        if (0..self.notice_after).contains(&since) {
            return Ok(self.generation.load(Ordering::Acquire));
        }
        self.look()
    }

    fn kept(&self, id: &str, generation: u64) -> Option<Arc<Client>> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let kept = clients.get(id)?;
        (kept.generation == generation).then(|| kept.client.clone())
    }

    fn keep(&self, client: &Arc<Client>, generation: u64) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        let kept = Kept {
            client: client.clone(),
            generation,
        };
        clients.insert(client.id.clone(), kept);
    }
}

impl Registry for SqliteRegistry {
    async fn client(&self, id: &str) -> Result<Option<Arc<Client>>, RegistryError> {
        let generation = self.known()?;
        if let Some(client) = self.kept(id, generation) {
            return Ok(Some(client));
        }
        let wanted = id.to_owned();
        let Some(row) = self.read(move |c| sql::client(c, &wanted)).await? else {
            return Ok(None);
        };
        let client = Arc::new(row.client()?);
        self.keep(&client, generation);
        Ok(Some(client))
    }

    async fn add_client(&self, client: Client) -> Result<(), RegistryError> {
        let id = client.id.clone();
        let row = sql::ClientRow::of(&client);
        match self.write(move |c| sql::add_client(c, &row)).await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(id)),
        }
    }

    async fn clients(&self) -> Result<Vec<Arc<Client>>, RegistryError> {
        let rows = self.read(sql::clients).await?;
        rows.into_iter()
            .map(|row| row.client().map(Arc::new))
            .collect()
    }

    async fn disable_client(&self, id: &str) -> Result<bool, RegistryError> {
        let id = id.to_owned();
        let found = self.write(move |c| sql::disable_client(c, &id)).await?;
        self.look()?;
        Ok(found)
    }

    async fn spend_jti(
        &self,
        issuer: &str,
        jti: &str,
        expires: i64,
        now: i64,
    ) -> Result<bool, RegistryError> {
        let (issuer, jti) = (issuer.to_owned(), jti.to_owned());
        self.write(move |c| sql::spend_jti(c, &issuer, &jti, expires, now))
            .await
    }

    async fn add_user(&self, user: User, password: Secret) -> Result<(), RegistryError> {
        let name = user.name.clone();
        let hash = password.hashed().await.map_err(|error| away(&error))?;
        match self.write(move |c| sql::add_user(c, &user, &hash)).await? {
            true => Ok(()),
            false => Err(RegistryError::Taken(name)),
        }
    }

    async fn users(&self) -> Result<Vec<User>, RegistryError> {
        let rows = self.read(sql::users).await?;
        rows.into_iter()
            .map(|row| row.user().map(|(user, _)| user))
            .collect()
    }

    async fn disable_user(&self, name: &str) -> Result<bool, RegistryError> {
        let name = name.to_owned();
        let found = self.write(move |c| sql::disable_user(c, &name)).await?;
        self.look()?;
        Ok(found)
    }

    async fn verify_user(
        &self,
        name: &str,
        password: Secret,
    ) -> Result<Option<User>, RegistryError> {
        let name = name.to_owned();
        let row = self.read(move |c| sql::user(c, &name)).await?;
        checked(row.map(sql::UserRow::user).transpose()?, password).await
    }

    async fn generation(&self) -> Result<u64, RegistryError> {
        self.known()
    }
}

/// The login whose password this is.
async fn checked(
    known: Option<(User, SecretHash)>,
    password: Secret,
) -> Result<Option<User>, RegistryError> {
    let Some((user, hash)) = known else {
        // Nobody's password is known to nobody: the check only takes its time.
        if let Some(nobody) = NOBODY.clone() {
            nobody.fits_in_turn(password).await;
        }
        return Ok(None);
    };
    let fits = hash.fits_in_turn(password).await;
    Ok((fits && !user.disabled).then_some(user))
}

#[cfg(test)]
mod tests;
