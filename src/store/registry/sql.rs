//! The statements of the registry and its rows.

use crate::{
    authn::{Client, RegistryError, SecretHash, User},
    fhir::Key,
    policy::Role,
    store::{StoreError, session::Columns, sql::Value},
};
use rusqlite::{Connection, OptionalExtension, Result, Row, TransactionBehavior, params};
use std::{path::Path, time::Duration};

const TABLES: &str = include_str!("../migrations/sqlite/registry.sql");

pub(super) fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A spent assertion and a disabled client must outlive a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write.execute_batch(TABLES)?;
    write.commit()
}

/// Changes when another connection has committed: <https://www.sqlite.org/pragma.html#pragma_data_version>
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA data_version")?
        .query_row([], |row| row.get(0))
}

pub(super) fn generation(connection: &Connection) -> Result<u64> {
    let generation: i64 = connection
        .prepare_cached("SELECT generation FROM registry_generation WHERE one = 1")?
        .query_row([], |row| row.get(0))?;
    Ok(generation.unsigned_abs())
}

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

    fn read(row: &Row<'_>) -> Result<ClientRow> {
        Ok(ClientRow {
            id: row.get(0)?,
            metadata: row.get(1)?,
            secret: row.get(2)?,
            disabled: row.get(3)?,
        })
    }

    pub(super) fn of_columns(row: &dyn Columns) -> std::result::Result<ClientRow, StoreError> {
        Ok(ClientRow {
            id: row.get(0)?,
            metadata: row.get(1)?,
            secret: row.get(2)?,
            disabled: row.get(3)?,
        })
    }

    pub(super) fn values(&self) -> [Value; 4] {
        let text = |text: &str| Value::from(text);
        [
            text(&self.id),
            text(&self.metadata),
            self.secret.as_deref().map_or(Value::Null, text),
            self.disabled.into(),
        ]
    }

    pub(super) fn client(self) -> std::result::Result<Client, RegistryError> {
        let secret = self.secret.map(SecretHash::stored);
        Client::stored(self.metadata.as_bytes(), secret, self.disabled).map_err(|error| {
            RegistryError::Away(format!("stored client {}: {error}", self.id).into())
        })
    }
}

pub(super) fn client(connection: &Connection, id: &str) -> Result<Option<ClientRow>> {
    connection
        .prepare_cached("SELECT id, metadata, secret, disabled FROM client WHERE id = ?1")?
        .query_row([id], ClientRow::read)
        .optional()
}

pub(super) fn clients(connection: &Connection) -> Result<Vec<ClientRow>> {
    connection
        .prepare_cached("SELECT id, metadata, secret, disabled FROM client ORDER BY id")?
        .query_map([], ClientRow::read)?
        .collect()
}

/// False where the id is taken.
pub(super) fn add_client(connection: &Connection, row: &ClientRow) -> Result<bool> {
    let added = connection.execute(
        "INSERT INTO client (id, metadata, secret, disabled) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
        params![row.id, row.metadata, row.secret, row.disabled],
    )?;
    Ok(added == 1)
}

pub(super) fn disable_client(connection: &mut Connection, id: &str) -> Result<bool> {
    take_away(
        connection,
        "UPDATE client SET disabled = 1 WHERE id = ?1",
        id,
    )
}

pub(super) fn disable_user(connection: &mut Connection, name: &str) -> Result<bool> {
    take_away(
        connection,
        "UPDATE login SET disabled = 1 WHERE name = ?1",
        name,
    )
}

/// The change and the generation in one transaction: nobody sees one without the other.
fn take_away(connection: &mut Connection, change: &str, which: &str) -> Result<bool> {
    let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = write.execute(change, [which])?;
    write.execute(
        "UPDATE registry_generation SET generation = generation + 1",
        [],
    )?;
    write.commit()?;
    Ok(found == 1)
}

/// True the first time.
pub(super) fn spend_jti(
    connection: &mut Connection,
    issuer: &str,
    jti: &str,
    expires: i64,
    now: i64,
) -> Result<bool> {
    let write = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write
        .prepare_cached("DELETE FROM spent_jti WHERE expires < ?1")?
        .execute([now])?;
    let added = write
        .prepare_cached(
            "INSERT INTO spent_jti (issuer, jti, expires) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![issuer, jti, expires])?;
    write.commit()?;
    Ok(added == 1)
}

pub(super) struct UserRow {
    name: String,
    role: String,
    fhir_user: Option<String>,
    password: String,
    disabled: bool,
}

impl UserRow {
    fn read(row: &Row<'_>) -> Result<UserRow> {
        Ok(UserRow {
            name: row.get(0)?,
            role: row.get(1)?,
            fhir_user: row.get(2)?,
            password: row.get(3)?,
            disabled: row.get(4)?,
        })
    }

    pub(super) fn of_columns(row: &dyn Columns) -> std::result::Result<UserRow, StoreError> {
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

/// The columns of a login.
pub(super) fn user_values(user: &User, hash: &SecretHash) -> [Value; 5] {
    let person = user.fhir_user.as_ref().map(ToString::to_string);
    [
        Value::from(&*user.name),
        user.role.name().into(),
        person.map_or(Value::Null, Value::from),
        hash.as_str().into(),
        user.disabled.into(),
    ]
}

const USER: &str = "SELECT name, role, fhir_user, password, disabled FROM login";

pub(super) fn user(connection: &Connection, name: &str) -> Result<Option<UserRow>> {
    connection
        .prepare_cached(&format!("{USER} WHERE name = ?1"))?
        .query_row([name], UserRow::read)
        .optional()
}

pub(super) fn users(connection: &Connection) -> Result<Vec<UserRow>> {
    connection
        .prepare_cached(&format!("{USER} ORDER BY name"))?
        .query_map([], UserRow::read)?
        .collect()
}

/// False where the name is taken.
pub(super) fn add_user(connection: &Connection, user: &User, hash: &SecretHash) -> Result<bool> {
    let added = connection.execute(
        "INSERT INTO login (name, role, fhir_user, password, disabled)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        params![
            &*user.name,
            user.role.name(),
            user.fhir_user.as_ref().map(ToString::to_string),
            hash.as_str(),
            user.disabled,
        ],
    )?;
    Ok(added == 1)
}
