//! `confide doctor`: checks what the server needs, and says what to mend.

mod kept;
mod ready;
mod tables;

use super::{Ended, Trouble, print};
use crate::{
    calendar::Clock,
    config::{Config, ConfigError, Household},
};
use std::path::Path;

/// The flags of `confide doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only ask the running server whether it is ready: the container's health check
    #[arg(long)]
    pub ready: bool,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
}

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Fine(String),
    /// Allowed, but to be known.
    Note(String),
    /// Wrong: what to mend.
    Mend(String),
}

impl Finding {
    /// `Err` says what to mend.
    fn of(name: &'static str, state: Result<String, String>) -> Finding {
        let state = match state {
            Ok(said) => State::Fine(said),
            Err(mend) => State::Mend(mend),
        };
        Finding { name, state }
    }

    fn note(name: &'static str, said: impl Into<String>) -> Finding {
        let state = State::Note(said.into());
        Finding { name, state }
    }
}

/// Runs it: [`Ended::Refused`] where something is to be mended. A bad configuration is told like any
/// other finding but ends with exit code 2.
pub fn run(config: Result<Config, ConfigError>, arguments: &Arguments) -> Result<Ended, Trouble> {
    let config = config?;
    let findings = if arguments.ready {
        vec![ready::ready(config.listen)]
    } else {
        for (key, value) in config.describe() {
            print::line(format_args!("{key:28} {value}"));
        }
        examine(&config, Clock::System)
    };
    let mut ended = Ended::Done;
    for finding in findings {
        let (word, said) = match &finding.state {
            State::Fine(said) => ("ok", said),
            State::Note(said) => ("note", said),
            State::Mend(said) => ("MEND", said),
        };
        print::line(format_args!("{word:5} {}: {said}", finding.name));
        if matches!(finding.state, State::Mend(_)) {
            ended = Ended::Refused;
        }
    }
    Ok(ended)
}

/// All checks of a machine on which the server may or may not run.
fn examine(config: &Config, at: Clock) -> Vec<Finding> {
    let mut findings = vec![
        Finding::of("data folder", writable(&config.data_dir)),
        Finding::of("clock", clock(at)),
        Finding::of("public address", public(config)),
        Finding::of("proxies", proxies(config)),
        household(config),
    ];
    findings.extend(kept::examine(config, at));
    findings.extend(tables::examine());
    findings.push(Finding::note(
        "written policy",
        "this version keeps no record of your written confidentiality policy; keep it at hand",
    ));
    findings.push(Finding::note(
        "backups",
        "not set up here: stop the server and copy the whole data folder (docs/operations.md)",
    ));
    findings
}

/// Whether files can be made in the folder, which is made where it is missing.
fn writable(folder: &Path) -> Result<String, String> {
    let shown = folder.display();
    std::fs::create_dir_all(folder).map_err(|error| {
        format!(
            "{shown} can't be made ({error}); set data_dir to a folder that this user may write"
        )
    })?;
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let wrote = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe));
    wrote.map_err(|error| {
        format!("{shown} can't be written ({error}); it must be writable by this user")
    })?;
    Ok(format!("{shown} is writable"))
}

/// Deadlines and minors' ages hang on the date: a machine that woke up in 1970 must not serve.
fn clock(clock: Clock) -> Result<String, String> {
    const YEAR_2025: i64 = 1_735_689_600;
    if clock.seconds() < YEAR_2025 {
        return Err("the machine's date is before 2025; set it, and keep it with NTP".into());
    }
    Ok("plausible".into())
}

fn public(config: &Config) -> Result<String, String> {
    let plain = config.public_url.starts_with("http://");
    if plain && !config.listen.ip().is_loopback() {
        let mend = "the server listens beyond this machine, and public_url is not https; put it behind TLS";
        return Err(mend.into());
    }
    Ok(config.public_url.clone())
}

/// Who may say by which address a request came: whoever is trusted with everyone is not trusted.
fn proxies(config: &Config) -> Result<String, String> {
    let trusted = &config.trusted_proxies;
    if trusted.is_empty() {
        return Ok("none trusted: forwarded headers are not read".into());
    }
    if let Some(all) = trusted.iter().find(|net| net.prefix_len() == 0) {
        return Err(format!(
            "trusted_proxies has {all}: then every caller may say who it is and where it is; \
             name the proxies' own addresses"
        ));
    }
    let texts: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    Ok(format!(
        "forwarded headers are read from {}",
        texts.join(", ")
    ))
}

/// The wider setting is told each time, with the ground that was given for it.
fn household(config: &Config) -> Finding {
    match &config.policy.household {
        Household::Claims => {
            let said = "claims: the household sees a generic benefit view";
            Finding::of("household", Ok(said.into()))
        }
        Household::Clinical { basis } => Finding::note(
            "household",
            format!(
                "CLINICAL: subscriber and enrollee also see another member's unprotected clinical \
                 records, on the stated ground \"{basis}\"; have counsel confirm it, or set \
                 policy.household to claims"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::open::{
        open, store_file,
        tests::{config, configured},
    };

    const CLOCK: Clock = Clock::At(1_790_000_000_000_000);

    fn mends(config: &Config, at: Clock) -> Vec<(&'static str, String)> {
        let findings = examine(config, at).into_iter();
        let mend = |finding: Finding| match finding.state {
            State::Mend(said) => Some((finding.name, said)),
            _ => None,
        };
        findings.filter_map(mend).collect()
    }

    #[test]
    fn a_folder_that_can_not_be_made_is_to_be_mended() {
        let folder = tempfile::tempdir().unwrap();
        assert!(writable(&folder.path().join("new")).is_ok());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mend = writable(&file.join("below")).unwrap_err();
        assert!(mend.contains("data_dir"), "{mend}");
    }

    #[test]
    fn a_clock_that_lost_its_date_is_to_be_mended() {
        assert!(clock(Clock::At(0)).is_err());
        assert!(clock(CLOCK).is_ok());
    }

    #[test]
    fn a_proxy_is_not_everyone() {
        let folder = tempfile::tempdir().unwrap();
        let with = |said: &str| {
            let config = configured(&folder.path().join("data"), &[("trusted_proxies", said)]);
            proxies(&config)
        };
        assert!(
            with("10.0.0.1, fd00::/8")
                .unwrap()
                .contains("10.0.0.1/32, fd00::/8")
        );
        assert!(with("10.0.0.1,::/0").unwrap_err().contains("::/0"));
        assert!(with("").unwrap().contains("none"));
    }

    #[test]
    fn a_new_machine_and_a_used_one_are_well_and_looking_makes_nothing() {
        let (_folder, config) = config();
        assert_eq!(mends(&config, CLOCK), []);
        assert!(!store_file(&config).unwrap().exists());
        assert!(!config.data_dir.join("keys").exists());
        drop(open(&config, CLOCK).unwrap());
        assert_eq!(mends(&config, CLOCK), []);
    }

    #[test]
    fn what_is_damaged_is_named() {
        let (_folder, config) = config();
        drop(open(&config, CLOCK).unwrap());
        std::fs::write(store_file(&config).unwrap(), "x".repeat(9000)).unwrap();
        std::fs::write(config.data_dir.join("audit.db"), "x".repeat(9000)).unwrap();
        std::fs::write(config.data_dir.join("keys/id-rs256.pem"), "x").unwrap();
        let names: Vec<_> = mends(&config, CLOCK).into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["store", "audit chain", "keys"]);
        std::fs::remove_file(config.data_dir.join("audit.db")).unwrap();
        let mend = mends(&config, CLOCK);
        assert!(
            mend.iter()
                .any(|(name, said)| *name == "audit chain" && said.contains("gone"))
        );
    }

    #[test]
    fn the_wider_household_is_never_silent() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(
            &folder.path().join("data"),
            &[
                ("policy.household", "clinical"),
                ("policy.household_basis", "the contract of 2026"),
            ],
        );
        let State::Note(said) = household(&config).state else {
            panic!("it is a note");
        };
        assert!(said.contains("the contract of 2026"));
    }
}
