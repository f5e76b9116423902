//! Opens what the commands work with, each failure as one clear message and the right exit code.

use super::Trouble;
use crate::{
    authn::{KeyError, Keys, RemoteKeys, Tokens},
    calendar::Clock,
    config::{Config, Database, Household, Patients, Validation},
    policy::Settings,
    profile::{CheckLimits, Depth},
    smart::{Smart, Urls},
    statute::projections,
    store::{
        audit::{self, AuditLog},
        engine::Engine,
        postgres::{self, PostgresStore},
        registry::{AnyRegistry, PostgresRegistry, SqliteRegistry},
        sqlite::{self, SqliteStore},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Everything that the server and the commands work with.
pub struct Opened {
    /// Records.
    pub store: Engine,
    /// The audit chain: this process has started one of its own.
    pub audit: AuditLog,
    /// Clients and logins.
    pub registry: AnyRegistry,
    /// Issues and verifies access tokens.
    pub tokens: Tokens,
    /// Where the server is to be found.
    pub urls: Urls,
    /// Clients' key sets.
    pub remote: RemoteKeys,
    /// What decisions depend on.
    pub settings: Settings,
    /// The one clock.
    pub clock: Clock,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("store", &self.store)
            .field("audit", &self.audit)
            .finish_non_exhaustive()
    }
}

/// Checks the tables that are built in. They are read when first asked; one that can't be read would
/// be empty, and an empty table protects nobody: then nothing starts.
pub fn tables() -> Result<(), Trouble> {
    use crate::statute::{Purpose, minors::MINORS, necessary::NECESSARY, writers::WRITERS};
    let household = crate::statute::projections::Household::Claims;
    let seat = crate::statute::projections::Seat::Subscriber;
    let checks = [
        ("sensitivity.csv", !crate::label::table::TABLE.is_empty()),
        (
            "statutes.toml",
            !MINORS.services.is_empty() && !MINORS.statuses.is_empty(),
        ),
        (
            "projections.toml",
            !projections::PROJECTIONS.kinds(seat, household).is_empty(),
        ),
        (
            "minimum-necessary.toml",
            !NECESSARY.kinds(Purpose::Coc).is_empty() && !NECESSARY.never.is_none(),
        ),
        (
            "writers.toml",
            crate::fhir::Kind::all().all(|kind| WRITERS.row(kind).is_some()),
        ),
    ];
    match checks.iter().find(|(_, good)| !good) {
        None => Ok(()),
        Some((name, _)) => Err(Trouble::Failed(format!(
            "the built-in table {name} can't be read: nothing is served without it"
        ))),
    }
}

/// Opens all of it, making what is missing.
pub fn open(config: &Config, clock: Clock) -> Result<Opened, Trouble> {
    tables()?;
    // The store first: it says the clearest where a folder can't be written.
    let store = store(config)?;
    let (tokens, urls) = tokens(config, clock)?;
    Ok(Opened {
        registry: registry_beside(config, clock, Some(&store))?,
        store,
        audit: audit(config, clock)?,
        tokens,
        urls,
        remote: RemoteKeys::new(),
        settings: settings(config),
        clock,
    })
}

impl Opened {
    /// The authorization server over it.
    pub fn smart(&self) -> Smart<'_, AuditLog, AnyRegistry> {
        Smart {
            tokens: &self.tokens,
            registry: &self.registry,
            journal: &self.audit,
            remote: &self.remote,
            clock: self.clock,
            urls: &self.urls,
        }
    }
}

/// Where the embedded store is.
pub fn store_file(config: &Config) -> Option<&Path> {
    match &config.database {
        Database::Sqlite(file) => Some(file),
        Database::Postgres(_) => None,
    }
}

/// Where clients and logins are: a file of their own, so that a long import never keeps a client
/// from its token.
pub fn registry_file(config: &Config) -> PathBuf {
    config.data_dir.join("clients.db")
}

/// The records.
pub fn store(config: &Config) -> Result<Engine, Trouble> {
    match &config.database {
        Database::Sqlite(file) => sqlite(file).map(Engine::from),
        Database::Postgres(address) => PostgresStore::open(address.secret(), config.connections)
            .map(Engine::from)
            .map_err(|error| postgres_trouble(&error)),
    }
}

/// What a database that can't be used means for a command.
pub fn postgres_trouble(error: &postgres::OpenError) -> Trouble {
    use postgres::OpenError;
    let text = error.to_string();
    match error {
        OpenError::Address | OpenError::Newer(..) | OpenError::Encoding(..) => Trouble::Usage(text),
        _ => Trouble::Failed(text),
    }
}

fn sqlite(file: &Path) -> Result<SqliteStore, Trouble> {
    SqliteStore::open(file).map_err(|error| match error {
        sqlite::OpenError::Folder(..)
        | sqlite::OpenError::Unwritable(..)
        | sqlite::OpenError::Newer(..) => Trouble::Usage(error.to_string()),
        sqlite::OpenError::Busy(..)
        | sqlite::OpenError::Foreign(..)
        | sqlite::OpenError::Thread(..)
        | sqlite::OpenError::Index(..)
        | sqlite::OpenError::Damaged(..) => Trouble::Failed(error.to_string()),
    })
}

/// The audit chain, with this process's own chain begun.
pub fn audit(config: &Config, clock: Clock) -> Result<AuditLog, Trouble> {
    let options = audit::Options::new(&config.data_dir, node(), clock);
    AuditLog::open(&options).map_err(|error| audit_trouble(&error))
}

/// What an audit log that can't be opened means for a command.
pub fn audit_trouble(error: &audit::OpenError) -> Trouble {
    use audit::OpenError;
    let text = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    match error {
        OpenError::Folder { .. } | OpenError::Unwritable { .. } | OpenError::Newer { .. } => {
            Trouble::Usage(text)
        }
        _ => Trouble::Failed(text),
    }
}

/// Clients and logins: in the database of the records where nodes share one, else in a file.
pub fn registry(config: &Config, clock: Clock) -> Result<AnyRegistry, Trouble> {
    registry_beside(config, clock, None)
}

/// Clients and logins in a store that is open.
pub fn registry_in(store: PostgresStore) -> Result<AnyRegistry, Trouble> {
    PostgresRegistry::open(store)
        .map(AnyRegistry::Postgres)
        .map_err(|error| Trouble::Failed(error.to_string()))
}

fn registry_beside(
    config: &Config,
    clock: Clock,
    store: Option<&Engine>,
) -> Result<AnyRegistry, Trouble> {
    if let Database::Postgres(address) = &config.database {
        let store = match store {
            Some(Engine::Postgres(store)) => store.clone(),
            _ => PostgresStore::open(address.secret(), 1)
                .map_err(|error| postgres_trouble(&error))?,
        };
        return registry_in(store);
    }
    let file = registry_file(config);
    let folder = |error| {
        Trouble::Usage(format!(
            "{} can't be made: {error}",
            config.data_dir.display()
        ))
    };
    std::fs::create_dir_all(&config.data_dir).map_err(folder)?;
    SqliteRegistry::open(&file, clock)
        .map(|registry| AnyRegistry::Sqlite(Box::new(registry)))
        .map_err(|error| Trouble::Failed(format!("{}: {error}", file.display())))
}

/// Issues tokens with the keys of the data folder.
pub fn tokens(config: &Config, clock: Clock) -> Result<(Tokens, Urls), Trouble> {
    let keys = keys(&config.data_dir)?;
    let urls = Urls::new(&config.public_url);
    let minutes = u16::try_from(config.policy.break_glass_minutes).unwrap_or(u16::MAX);
    let tokens = Tokens::new(Arc::new(keys), urls.settings(minutes), clock);
    Ok((tokens, urls))
}

fn keys(data_dir: &Path) -> Result<Keys, Trouble> {
    Keys::open(data_dir).map_err(|error| match error {
        KeyError::File { .. } | KeyError::Readable { .. } | KeyError::Malformed { .. } => {
            Trouble::Usage(error.to_string())
        }
        KeyError::Crypto => Trouble::Failed(error.to_string()),
    })
}

/// The configuration as decisions read it.
pub fn settings(config: &Config) -> Settings {
    Settings {
        household: match config.policy.household {
            Household::Claims => projections::Household::Claims,
            Household::Clinical { .. } => projections::Household::Clinical,
        },
        by_organization: config.operator.patients == Patients::Organization,
    }
}

/// How far what is written is checked.
pub fn checks(config: &Config) -> CheckLimits {
    CheckLimits {
        depth: match config.validation {
            Validation::Strict => Depth::Strict,
            Validation::Structure => Depth::Structure,
        },
        ..CheckLimits::default()
    }
}

/// This machine's name, as auditors will read it.
fn node() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "confide".into(),
        name => name.into(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A configuration whose data folder is a new one.
    pub(in crate::cli) fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(&folder.path().join("data"), &[]);
        (folder, config)
    }

    /// The same with further keys.
    pub(in crate::cli) fn configured(data: &Path, more: &[(&str, &str)]) -> Config {
        let file = data.with_extension("toml");
        std::fs::write(&file, "").unwrap();
        let mut flags = vec![("data_dir", data.display().to_string())];
        flags.extend(more.iter().map(|(key, value)| (*key, (*value).to_owned())));
        Config::read(Some(&file), [], &flags).unwrap()
    }

    const CLOCK: Clock = Clock::At(1_772_323_200_000_000);

    fn refused(config: &Config) -> (u8, String) {
        let trouble = open(config, CLOCK).unwrap_err();
        (trouble.code(), trouble.to_string())
    }

    #[test]
    fn everything_is_made_where_it_is_missing_and_opens_again() {
        let (_folder, config) = config();
        drop(open(&config, CLOCK).unwrap());
        let opened = open(&config, CLOCK).unwrap();
        assert_eq!(opened.settings, Settings::default());
        assert_eq!(opened.audit.chain(), 2);
        assert_eq!(opened.smart().urls.base(), config.base());
    }

    #[test]
    fn nobody_else_may_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, config) = config();
        let _opened = open(&config, CLOCK).unwrap();
        for entry in std::fs::read_dir(&config.data_dir).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn what_the_operator_decided_reaches_the_decision() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(
            &folder.path().join("data"),
            &[
                ("policy.household", "clinical"),
                ("policy.household_basis", "a contract"),
                ("operator.patients", "organization"),
            ],
        );
        let settings = settings(&config);
        assert_eq!(settings.household, projections::Household::Clinical);
        assert!(settings.by_organization);
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_bad_configuration() {
        let (folder, _) = config();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let config = configured(
            &folder.path().join("data"),
            &[("data_dir", &file.join("x").display().to_string())],
        );
        let (code, text) = refused(&config);
        assert_eq!(code, 2);
        assert!(
            text.contains("can't be written") && text.contains("file/x"),
            "{text}"
        );
    }

    #[test]
    fn a_damaged_store_is_told_from_one_that_is_newer_or_not_ours() {
        let (_folder, config) = config();
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let file = store_file(&config).unwrap();
        std::fs::write(file, "zqsecret".repeat(1000)).unwrap();
        let (code, text) = refused(&config);
        assert_eq!(code, 1);
        assert!(text.contains("damaged") && !text.contains("zq"), "{text}");
        let set = |version: i64| {
            std::fs::remove_file(file).unwrap();
            let other = rusqlite::Connection::open(file).unwrap();
            other.pragma_update(None, "user_version", version).unwrap();
            if version > 100 {
                other
                    .pragma_update(None, "application_id", 0x436f_6e66)
                    .unwrap();
            }
        };
        set(101);
        let (code, text) = refused(&config);
        assert_eq!(code, 2);
        assert!(text.contains("newer"), "{text}");
        set(7);
        let (code, text) = refused(&config);
        assert_eq!(code, 1);
        assert!(text.contains("not a confide store"), "{text}");
    }

    #[test]
    fn keys_that_others_may_read_stop_the_start() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, config) = config();
        drop(open(&config, CLOCK).unwrap());
        let key = config.data_dir.join("keys/access-es256.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (code, text) = refused(&config);
        assert_eq!(code, 2);
        assert!(text.contains("600"), "{text}");
    }

    #[test]
    fn a_damaged_audit_log_stops_the_start() {
        let (_folder, config) = config();
        drop(open(&config, CLOCK).unwrap());
        std::fs::write(audit::file(&config.data_dir), "no database".repeat(1000)).unwrap();
        let (code, text) = refused(&config);
        assert_eq!(code, 1);
        assert!(text.contains("audit log"), "{text}");
    }
}
