//! What is kept on this machine: store, audit chain, keys, clients. Nothing is made by looking.

use super::{Finding, State};
use crate::{
    authn::{Keys, Registry},
    calendar::Clock,
    cli::{audit::extent, open, runtime},
    config::{Config, Database},
    fhir::{Instant, time},
    store::{
        audit::{self, VerifyError},
        engine::Engine,
        postgres::PostgresStore,
    },
};
use std::{os::unix::fs::PermissionsExt as _, path::Path};

/// How far the store's newest record may be ahead of the clock, in microseconds.
const AHEAD: Instant = 5 * 60 * 1_000_000;

pub(super) fn examine(config: &Config, clock: Clock) -> Vec<Finding> {
    let mut findings = Vec::new();
    let used = match looked(config) {
        Err(mend) => {
            findings.push(Finding::of("store", Err(mend)));
            true
        }
        Ok(None) => {
            let place = match &config.database {
                Database::Sqlite(file) => file.display().to_string(),
                Database::Postgres(address) => format!("the store in {address}"),
            };
            let said = format!("{place} is not there yet; serve and import make it");
            findings.push(Finding::note("store", said));
            false
        }
        Ok(Some(store)) => {
            findings.extend(records(&store, clock));
            true
        }
    };
    findings.push(chain(config, used));
    findings.push(keys(config));
    findings.push(private(config));
    findings.push(clients(config, clock));
    findings
}

/// The store, where there is one.
fn looked(config: &Config) -> Result<Option<Engine>, String> {
    match &config.database {
        Database::Sqlite(file) if !file.exists() => Ok(None),
        Database::Sqlite(_) => open::store(config).map(Some).map_err(|trouble| {
            format!("{trouble}; restore it from a backup, or see that it is ours")
        }),
        Database::Postgres(address) => {
            let found = PostgresStore::look(address.secret());
            let found = found.map_err(|error| {
                format!("{error}; see that it runs, and that database_url is right")
            });
            Ok(found?.map(Engine::from))
        }
    }
}

fn records(store: &Engine, clock: Clock) -> Vec<Finding> {
    let away = |error: &dyn std::fmt::Display| format!("{error}; restore it from a backup");
    let whole = store.check().map_err(|error| away(&error)).and_then(|()| {
        let totals = store.totals().map_err(|error| away(&error))?;
        let records: u64 = totals.iter().map(|(_, count)| count).sum();
        Ok(format!(
            "whole, {records} records of {} types",
            totals.len()
        ))
    });
    let pending = match store.is_pending() {
        Ok(false) => State::Fine("nothing is left to relabel".into()),
        Ok(true) => State::Note(
            "some records wait to be relabelled, and are held back until then; serve finishes it"
                .into(),
        ),
        Err(error) => State::Mend(away(&error)),
    };
    let index = match store.is_index_current() {
        Ok(true) => State::Fine("made by this program and its tables".into()),
        Ok(false) => State::Mend(
            "made by another table or program: searches may miss records; run confide reindex".into(),
        ),
        Err(_) => State::Note(
            "it can't be told by what it was made; serve and import bring the store to this version"
                .into(),
        ),
    };
    let newest = store.newest().map_err(|error| away(&error));
    let newest = newest.and_then(|newest| behind(newest, clock.now()));
    vec![
        Finding::of("store", whole),
        Finding {
            name: "labels",
            state: pending,
        },
        Finding {
            name: "search index",
            state: index,
        },
        Finding::of("clock and store", newest),
    ]
}

/// A clock behind the store's newest record is wrong, or was when that was written.
fn behind(newest: Option<Instant>, now: Instant) -> Result<String, String> {
    match newest {
        Some(newest) if newest > now.saturating_add(AHEAD) => Err(format!(
            "the newest record is of {}, which is yet to come by this machine's clock: set it, and \
             keep it with NTP",
            time::text(newest)
        )),
        Some(_) => Ok("the clock is not behind the newest record".into()),
        None => Ok("no record yet".into()),
    }
}

fn chain(config: &Config, used: bool) -> Finding {
    let file = audit::file(&config.data_dir);
    let name = "audit chain";
    if !file.exists() {
        if used {
            let mend = format!(
                "{} is gone though there is a store: find out who took it away",
                file.display()
            );
            return Finding::of(name, Err(mend));
        }
        return Finding::note(name, "not there yet; serve and import make it");
    }
    let state = match audit::verify(&file) {
        Ok(found) => Ok(format!("whole: {}", extent(found))),
        Err(VerifyError::Broken(broken)) => Err(format!(
            "{broken}: keep the file as it is, and find out who changed it"
        )),
        Err(VerifyError::Unreadable(error)) => Err(open::audit_trouble(&error).to_string()),
    };
    Finding::of(name, state)
}

fn keys(config: &Config) -> Finding {
    let folder = config.data_dir.join("keys");
    if !folder.exists() {
        return Finding::note("keys", "not there yet; the first start makes them");
    }
    let state = match Keys::open(&config.data_dir) {
        Ok(_) => Ok("present, and readable by this user only".into()),
        Err(error) => Err(error.to_string()),
    };
    Finding::of("keys", state)
}

/// Files that hold records, secrets or who asked for what.
fn private(config: &Config) -> Finding {
    let mut open = Vec::new();
    let files = [
        audit::file(&config.data_dir),
        open::registry_file(config),
        config.data_dir.join("keys"),
    ];
    let store = open::store_file(config).map(Path::to_owned);
    for file in store.into_iter().chain(files) {
        if mode(&file).is_some_and(|mode| mode & 0o077 != 0) {
            open.push(file.display().to_string());
        }
    }
    let state = if open.is_empty() {
        Ok("others on this machine may read none of it".into())
    } else {
        let files = open.join(", ");
        Err(format!(
            "others may read {files}: take that right away (chmod go=)"
        ))
    };
    Finding::of("permissions", state)
}

fn mode(file: &Path) -> Option<u32> {
    let meta = std::fs::metadata(file).ok()?;
    Some(meta.permissions().mode())
}

fn clients(config: &Config, clock: Clock) -> Finding {
    let name = "clients";
    let none = "none is registered: nobody can ask for anything; see confide client add";
    // Looking makes nothing: neither a file nor a store.
    let opened = match &config.database {
        Database::Postgres(address) => match PostgresStore::look(address.secret()) {
            Ok(None) => return Finding::note(name, none),
            Ok(Some(store)) => open::registry_in(store),
            Err(error) => Err(open::postgres_trouble(&error)),
        },
        Database::Sqlite(_) if !open::registry_file(config).exists() => {
            return Finding::note(name, none);
        }
        Database::Sqlite(_) => open::registry(config, clock),
    };
    let counted = opened.and_then(|registry| {
        let clients = runtime()?.block_on(registry.clients());
        clients.map_err(|error| super::Trouble::Failed(error.to_string()))
    });
    match counted {
        Ok(clients) if clients.is_empty() => Finding::note(name, none),
        Ok(clients) => {
            let disabled = clients.iter().filter(|client| client.disabled).count();
            let said = format!("{} registered, {disabled} disabled", clients.len());
            Finding::of(name, Ok(said))
        }
        Err(trouble) => Finding::of(name, Err(trouble.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::open::{open, tests::config};

    const CLOCK: Clock = Clock::At(1_790_000_000_000_000);

    #[test]
    fn a_clock_behind_the_store_is_to_be_mended() {
        let now = CLOCK.now();
        assert!(behind(None, now).is_ok());
        assert!(behind(Some(now + AHEAD), now).is_ok());
        let mend = behind(Some(now + AHEAD + 1), now).unwrap_err();
        assert!(mend.contains("NTP"));
    }

    #[test]
    fn what_others_may_read_is_to_be_mended() {
        let (_folder, config) = config();
        drop(open(&config, CLOCK).unwrap());
        assert!(matches!(private(&config).state, State::Fine(_)));
        let file = open::registry_file(&config);
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file, open).unwrap();
        let State::Mend(said) = private(&config).state else {
            panic!("it is to be mended");
        };
        assert!(
            said.contains("clients.db") && !said.contains("confide.db"),
            "{said}"
        );
    }
}
