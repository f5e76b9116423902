//! The file: its tables, its version, and the connections to it.

use super::error::OpenError;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use std::{fs, path::Path, time::Duration};

/// The schema version that this program writes.
pub(super) const VERSION: i64 = 1;

/// The writer's page cache, in KiB (negative: not in pages): the search index's inner pages stay in it.
const CACHE_KIB: i64 = -16_384;

/// `audit_chain`, `audit_link` and `audit_entry` are the log; the rest is made from it and can be
/// made again. `audit_entry.id` is the order of the commits over all chains.
const TABLES: &str = "
    CREATE TABLE audit_chain (
        id INTEGER PRIMARY KEY,
        node TEXT NOT NULL,
        boot TEXT NOT NULL,
        started INTEGER NOT NULL,
        previous BLOB NOT NULL,
        genesis BLOB NOT NULL
    );
    CREATE TABLE audit_link (
        before INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        hash BLOB NOT NULL,
        chain INTEGER NOT NULL,
        PRIMARY KEY (before, seq)
    ) WITHOUT ROWID;
    CREATE TABLE audit_entry (
        id INTEGER PRIMARY KEY,
        chain INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (chain, seq)
    );
    CREATE TABLE audit_projection (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        upto INTEGER NOT NULL
    );
    INSERT INTO audit_projection (one, upto) VALUES (1, 0);
    CREATE TABLE audit_event (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        client TEXT,
        user TEXT
    );
    CREATE INDEX audit_event_at ON audit_event (at, id);
    CREATE INDEX audit_event_client ON audit_event (client, at, id) WHERE client IS NOT NULL;
    CREATE INDEX audit_event_user ON audit_event (user, at, id) WHERE user IS NOT NULL;
    CREATE TABLE audit_patient (
        patient TEXT NOT NULL,
        at INTEGER NOT NULL,
        id INTEGER NOT NULL,
        PRIMARY KEY (patient, at, id)
    ) WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// Makes the folder and the file if missing, and brings the file to [`VERSION`].
pub(super) fn prepare(file: &Path, busy: Duration) -> Result<Connection, OpenError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let unwritable = |source| OpenError::Folder {
        path: folder.into(),
        source,
    };
    fs::create_dir_all(folder).map_err(unwritable)?;
    crate::store::make_private(file).map_err(unwritable)?;
    let mut connection = writer(file, busy).map_err(|error| OpenError::of(file, error))?;
    let found = migrate(&mut connection).map_err(|error| OpenError::of(file, error))?;
    check(file, &found)?;
    Ok(connection)
}

/// A connection that writes and syncs every commit.
fn writer(file: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    // The writer checkpoints by itself, after it has answered.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(file: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(busy)?;
    Ok(connection)
}

/// What a file says that it is.
struct Version {
    number: i64,
    tables: bool,
}

fn version(connection: &Connection) -> rusqlite::Result<Version> {
    let number = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'audit_entry')";
    let tables = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Version { number, tables })
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<Version> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT count(*) FROM sqlite_schema";
    let things: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
    let empty = things == 0 && version(&transaction)?.number == 0;
    if empty {
        transaction.execute_batch(TABLES)?;
    }
    let found = version(&transaction)?;
    transaction.commit()?;
    Ok(found)
}

fn check(file: &Path, found: &Version) -> Result<(), OpenError> {
    if found.number > VERSION {
        return Err(OpenError::Newer {
            path: file.into(),
            found: found.number,
            known: VERSION,
        });
    }
    if found.number < VERSION || !found.tables {
        return Err(OpenError::Damaged {
            path: file.into(),
            source: None,
        });
    }
    Ok(())
}

/// Opens an existing log to read it, for a check that must not change anything.
pub(super) fn existing(file: &Path, busy: Duration) -> Result<Connection, OpenError> {
    if !file.exists() {
        return Err(OpenError::Absent { path: file.into() });
    }
    let connection = reader(file, busy).map_err(|error| OpenError::of(file, error))?;
    let found = version(&connection).map_err(|error| OpenError::of(file, error))?;
    check(file, &found)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn prepared(file: &Path) -> Result<Connection, OpenError> {
        prepare(file, Duration::ZERO)
    }

    #[test]
    fn a_new_file_is_for_its_owner_only_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/audit.db");
        drop(prepared(&file).unwrap());
        drop(prepared(&file).unwrap());
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("blocked");
        fs::write(&blocked, "").unwrap();
        let error = prepared(&blocked.join("audit.db")).unwrap_err();
        assert!(matches!(error, OpenError::Folder { path, .. } if path == blocked));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.db");
        let connection = prepared(&file).unwrap();
        connection.pragma_update(None, "user_version", 9).unwrap();
        drop(connection);
        let error = prepared(&file).unwrap_err();
        assert!(matches!(
            error,
            OpenError::Newer {
                found: 9,
                known: 1,
                ..
            }
        ));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let garbage = folder.path().join("garbage.db");
        fs::write(
            &garbage,
            "no database at all, but long enough to have a header".repeat(40),
        )
        .unwrap();
        assert!(matches!(prepared(&garbage), Err(OpenError::Damaged { .. })));

        let foreign = folder.path().join("foreign.db");
        let connection = Connection::open(&foreign).unwrap();
        connection.execute_batch("CREATE TABLE other (x)").unwrap();
        drop(connection);
        assert!(matches!(prepared(&foreign), Err(OpenError::Damaged { .. })));

        let absent = folder.path().join("absent.db");
        let error = existing(&absent, Duration::ZERO).unwrap_err();
        assert!(matches!(error, OpenError::Absent { .. }));
    }
}
