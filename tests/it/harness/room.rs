//! Where a test's records are: in SQLite's file in the test's folder, or in a database of the test's own
//! on the PostgreSQL that `CONFIDE_TEST_DATABASE` names. It goes with the test.

use confide::store::{engine::Engine, postgres::PostgresStore, sqlite::SqliteStore};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, postgres::PgConnectOptions};
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr as _,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The server that the tests use; none where they run on SQLite.
fn chosen() -> Option<&'static str> {
    static READ: OnceLock<Option<String>> = OnceLock::new();
    let read = || std::env::var("CONFIDE_TEST_DATABASE").ok();
    READ.get_or_init(read).as_deref()
}

/// A server for what is about PostgreSQL whichever engine the others run on: the chosen one, or one that
/// ends with this process.
fn server() -> &'static str {
    // Its input ends with this process, and it with its input.
    static STARTED: OnceLock<(String, Child)> = OnceLock::new();
    if let Some(chosen) = chosen() {
        return chosen;
    }
    let (address, _) = STARTED.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let mut run = Command::new(script)
            .args(["sh", "-c", "echo $CONFIDE_TEST_DATABASE; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        let address = lines.next().expect("PostgreSQL starts").unwrap();
        drop(lines);
        (address, run)
    });
    address
}

/// The file of the embedded store in a data folder.
fn file(data: &Path) -> std::path::PathBuf {
    data.join("confide.db")
}

/// An engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// A file.
    Sqlite,
    /// A database.
    Postgres,
}

impl On {
    /// That on which the tests run.
    pub fn chosen() -> On {
        chosen().map_or(On::Sqlite, |_| On::Postgres)
    }
}

/// A place for the records of one test.
#[derive(Debug)]
pub struct Room {
    name: Option<String>,
}

impl Room {
    /// An empty one on the engine that the tests run on.
    pub fn new() -> Room {
        Room::empty(On::chosen())
    }

    /// An empty one.
    pub fn empty(on: On) -> Room {
        match on {
            On::Sqlite => Room::file(),
            On::Postgres => Room::postgres(),
        }
    }

    /// SQLite's file.
    pub fn file() -> Room {
        Room { name: None }
    }

    /// An empty database.
    pub fn postgres() -> Room {
        Room::made("template0")
    }

    /// One with all that another holds, which nobody uses meanwhile.
    pub fn like(other: &Room) -> Room {
        other.name.as_deref().map_or_else(Room::file, Room::made)
    }

    fn made(template: &str) -> Room {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("confide_test_{}_{count}", std::process::id());
        let _ = asked("postgres", &format!("DROP DATABASE IF EXISTS {name}"));
        let make = format!("CREATE DATABASE {name} TEMPLATE {template}");
        asked("postgres", &make).unwrap();
        Room { name: Some(name) }
    }

    /// Its address; none for a file.
    pub fn url(&self) -> Option<String> {
        self.name.as_deref().map(address)
    }

    /// Its address by another host and port.
    pub fn url_by(&self, at: SocketAddr) -> Option<String> {
        let name = self.name.as_ref()?;
        let user = PgConnectOptions::from_str(server()).unwrap();
        Some(format!(
            "postgres://{}@{at}/{name}?sslmode=disable",
            user.get_username()
        ))
    }

    /// What a process of ours needs in its environment to use it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.url()
            .map(|url| ("CONFIDE_DATABASE_URL", url))
            .into_iter()
            .collect()
    }

    /// The store, opened.
    pub fn open(&self, data: &Path) -> Engine {
        match self.url() {
            Some(url) => PostgresStore::open(&url, 2).unwrap().into(),
            None => SqliteStore::open(&file(data)).unwrap().into(),
        }
    }

    /// The first column of the first row, on a connection of its own; `None` where there is no such table,
    /// or no store yet.
    pub fn number(&self, data: &Path, sql: &str) -> Option<i64> {
        match &self.name {
            Some(name) => asked(name, sql).ok()?.first()?.try_get(0).ok(),
            None => {
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
                let read = rusqlite::Connection::open_with_flags(file(data), flags).ok()?;
                read.query_row(sql, [], |row| row.get(0)).ok()
            }
        }
    }

    /// How many rows each table has: index, relations, versions and all.
    pub fn tables(&self, data: &Path) -> BTreeMap<String, i64> {
        let names: Vec<String> = match &self.name {
            Some(name) => {
                let sql = "SELECT table_name::TEXT FROM information_schema.tables \
                           WHERE table_schema = current_schema()";
                let rows = asked(name, sql).unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            None => {
                let read = rusqlite::Connection::open(file(data)).unwrap();
                let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'";
                let mut names = read.prepare(sql).unwrap();
                let names = names.query_map([], |row| row.get(0)).unwrap();
                names.map(Result::unwrap).collect()
            }
        };
        let count = |name: String| {
            let sql = format!("SELECT count(*) FROM {name}");
            let count = self.number(data, &sql).unwrap();
            (name, count)
        };
        names.into_iter().map(count).collect()
    }

    /// Runs a statement that the store would not.
    pub fn alter(&self, data: &Path, sql: &str) {
        match &self.name {
            Some(name) => drop(asked(name, sql).unwrap()),
            None => {
                let write = rusqlite::Connection::open(file(data)).unwrap();
                write.execute_batch(sql).unwrap();
            }
        }
    }

    /// Lets nobody be connected: what a copy needs.
    pub fn quiet(&self) {
        if let Some(name) = &self.name {
            let sql = format!(
                "SELECT pg_terminate_backend(pid, 5000)::TEXT FROM pg_stat_activity WHERE datname = '{name}'"
            );
            asked("postgres", &sql).unwrap();
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = asked("postgres", &sql);
        }
    }
}

/// The server's address with another database.
fn address(name: &str) -> String {
    let url = server();
    let (base, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (host, _) = base.rsplit_once('/').unwrap();
    format!("{host}/{name}?{parameters}")
}

/// Where the server listens: a socket's path, or a host and port.
pub fn listens() -> Result<std::path::PathBuf, String> {
    let options = PgConnectOptions::from_str(server()).unwrap();
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_socket() {
        Some(folder) => Ok(folder.join(format!(".s.PGSQL.{port}"))),
        None => Err(format!("{host}:{port}")),
    }
}

/// Runs a statement on a connection and a thread of its own: a test may wait for it wherever it is.
fn asked(database: &str, sql: &str) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
    let (url, sql) = (address(database), sql.to_owned());
    let asking = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(async {
            let mut connection = PgConnectOptions::from_str(&url)?.connect().await?;
            let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
            query.fetch_all(&mut connection).await
        })
    });
    asking.join().unwrap()
}
