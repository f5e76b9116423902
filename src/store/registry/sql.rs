//! The statements of the registry and its rows, written once for both engines.

use crate::{
    authn::{Client, RegistryError, SecretHash, User},
    fhir::Key,
    policy::Role,
    store::{
        StoreError,
        session::{Columns, Session},
        sql::values,
    },
};
use rusqlite::{Connection, TransactionBehavior};
use std::{path::Path, time::Duration};

const TABLES: &str = include_str!("../migrations/sqlite/registry.sql");

const CLIENT: &str = "SELECT id, metadata, secret, disabled FROM client";
const USER: &str = "SELECT name, role, fhir_user, password, disabled FROM login";

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A spent assertion and a disabled client must outlive a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write.execute_batch(TABLES)?;
    write.commit()
}

/// Changes when another connection has committed: <https://www.sqlite.org/pragma.html#pragma_data_version>
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

pub(super) fn generation(connection: &Connection) -> rusqlite::Result<u64> {
    let generation: i64 = connection
        .prepare_cached("SELECT generation FROM registry_generation WHERE one = 1")?
        .query_row([], |row| row.get(0))?;
    Ok(generation.unsigned_abs())
}

/// A client as it is stored.
pub(super) struct ClientRow {
    id: String,
    metadata: String,
    secret: Option<String>,
    disabled: bool,
}

impl ClientRow {
    pub(super) fn of(client: &Client) -> ClientRow {
        ClientRow {
            id: client.id.to_string(),
            metadata: client.json().to_string(),
            secret: client.secret.as_ref().map(|hash| hash.as_str().to_owned()),
            disabled: client.disabled,
        }
    }

    fn read(row: &dyn Columns) -> Result<ClientRow> {
        Ok(ClientRow {
            id: row.get(0)?,
            metadata: row.get(1)?,
            secret: row.get(2)?,
            disabled: row.get(3)?,
        })
    }

    pub(super) fn client(self) -> std::result::Result<Client, RegistryError> {
        let secret = self.secret.map(SecretHash::stored);
        Client::stored(self.metadata.as_bytes(), secret, self.disabled).map_err(|error| {
            RegistryError::Away(format!("stored client {}: {error}", self.id).into())
        })
    }
}

pub(super) fn client(read: &dyn Session, id: &str) -> Result<Option<ClientRow>> {
    let sql = format!("{CLIENT} WHERE id = ?1");
    read.first(&sql, &values![id], ClientRow::read)
}

pub(super) fn clients(read: &dyn Session) -> Result<Vec<ClientRow>> {
    read.all(&format!("{CLIENT} ORDER BY id"), &[], ClientRow::read)
}

/// False where the id is taken.
pub(super) fn add_client(tx: &dyn Session, row: &ClientRow) -> Result<bool> {
    let sql = "INSERT INTO client (id, metadata, secret, disabled) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT DO NOTHING";
    let values = values![
        row.id.as_str(),
        row.metadata.as_str(),
        row.secret.as_deref(),
        row.disabled,
    ];
    Ok(tx.run(sql, &values)? == 1)
}

pub(super) fn disable_client(tx: &dyn Session, id: &str) -> Result<bool> {
    take_away(tx, "UPDATE client SET disabled = 1 WHERE id = ?1", id)
}

pub(super) fn disable_user(tx: &dyn Session, name: &str) -> Result<bool> {
    take_away(tx, "UPDATE login SET disabled = 1 WHERE name = ?1", name)
}

/// The change and the generation in one transaction: nobody sees one without the other.
fn take_away(tx: &dyn Session, change: &str, which: &str) -> Result<bool> {
    let found = tx.run(change, &values![which])?;
    let moves = "UPDATE registry_generation SET generation = generation + 1";
    tx.run(moves, &[])?;
    Ok(found == 1)
}

/// True the first time.
pub(super) fn spend_jti(
    tx: &dyn Session,
    issuer: &str,
    jti: &str,
    expires: i64,
    now: i64,
) -> Result<bool> {
    tx.run("DELETE FROM spent_jti WHERE expires < ?1", &values![now])?;
    let sql = "INSERT INTO spent_jti (issuer, jti, expires) VALUES (?1, ?2, ?3) \
               ON CONFLICT DO NOTHING";
    Ok(tx.run(sql, &values![issuer, jti, expires])? == 1)
}

/// A login as it is stored.
pub(super) struct UserRow {
    name: String,
    role: String,
    fhir_user: Option<String>,
    password: String,
    disabled: bool,
}

impl UserRow {
    fn read(row: &dyn Columns) -> Result<UserRow> {
        Ok(UserRow {
            name: row.get(0)?,
            role: row.get(1)?,
            fhir_user: row.get(2)?,
            password: row.get(3)?,
            disabled: row.get(4)?,
        })
    }

    pub(super) fn user(self) -> std::result::Result<(User, SecretHash), RegistryError> {
        let broken = || RegistryError::Away(format!("stored login {} is broken", self.name).into());
        let fhir_user = match &self.fhir_user {
            None => None,
            Some(text) => Some(Key::parse(text).ok_or_else(broken)?),
        };
        let user = User {
            role: Role::named(&self.role).ok_or_else(broken)?,
            fhir_user,
            disabled: self.disabled,
            name: self.name.into(),
        };
        Ok((user, SecretHash::stored(self.password)))
    }
}

pub(super) fn user(read: &dyn Session, name: &str) -> Result<Option<UserRow>> {
    let sql = format!("{USER} WHERE name = ?1");
    read.first(&sql, &values![name], UserRow::read)
}

pub(super) fn users(read: &dyn Session) -> Result<Vec<UserRow>> {
    read.all(&format!("{USER} ORDER BY name"), &[], UserRow::read)
}

/// False where the name is taken.
pub(super) fn add_user(tx: &dyn Session, user: &User, hash: &SecretHash) -> Result<bool> {
    let sql = "INSERT INTO login (name, role, fhir_user, password, disabled) \
               VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let person = user.fhir_user.as_ref().map(ToString::to_string);
    let values = values![
        &*user.name,
        user.role.name(),
        person,
        hash.as_str(),
        user.disabled,
    ];
    Ok(tx.run(sql, &values)? == 1)
}
