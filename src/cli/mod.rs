//! L7: the command line (CONTRACT, "Command line"). One file a command; a command is listed once it
//! exists.

pub mod audit;
pub mod client;
pub mod demo;
pub mod doctor;
pub mod import;
pub mod open;
pub mod print;
pub mod reindex;
pub mod rules;
pub mod serve;
pub mod token;
mod trace;

use crate::config::{Config, ConfigError};
use clap::{Parser, Subcommand, ValueEnum};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// A FHIR R4 server that keeps sensitive health services confidential.
#[derive(Debug, Parser)]
#[command(name = "confide", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 done but something refused or failed a check, 2 bad \
                        usage or configuration."
)]
pub struct Arguments {
    /// Configuration file; confide.toml in this folder when there is one
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How logs look
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Says more in the log; -vv says even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the contract's own words")]
pub enum LogFormat {
    Text,
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the bundled fixtures, serve them, and show what each persona sees
    Demo(demo::Arguments),
    /// Run the server
    Serve(serve::Arguments),
    /// Load resources, Bundles, ndjson, .gz files and folders
    Import(import::Arguments),
    /// Make the search index of all records again, after a change of its tables or of the program
    Reindex(reindex::Arguments),
    /// Print one access token, as /auth/token would issue it
    Token(token::Arguments),
    /// Registered SMART clients
    #[command(subcommand)]
    Client(client::Arguments),
    /// The audit chain
    #[command(subcommand)]
    Audit(audit::Arguments),
    /// The rule catalogue, with each rule's source and where it is enforced
    Rules(rules::Arguments),
    /// Check configuration, folders and clocks, and say what to mend
    Doctor(doctor::Arguments),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Exit code 0.
    Done,
    /// Done, but something was refused or failed a check: exit code 1. The command has said what.
    Refused,
}

/// Why a command could not do its work: one clear message, printed once.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Bad configuration: exit code 2.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Bad usage, or a machine that is not as configured (a busy port, a read-only folder): exit
    /// code 2.
    #[error("{0}")]
    Usage(String),
    /// It began and failed: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Trouble {
    /// Its exit code.
    pub fn code(&self) -> u8 {
        match self {
            Trouble::Config(_) | Trouble::Usage(_) => 2,
            Trouble::Failed(_) => 1,
        }
    }
}

/// Runs the command line. The only place where an exit code is made.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(shown) => {
            // A closed pipe is no reason to fail: `confide --help | head -1`.
            let _ = shown.print();
            return ExitCode::from(if shown.use_stderr() { 2 } else { 0 });
        }
    };
    match dispatch(&arguments) {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Refused) => ExitCode::from(1),
        Err(trouble) => {
            print::error(&trouble);
            ExitCode::from(trouble.code())
        }
    }
}

fn dispatch(arguments: &Arguments) -> Result<Ended, Trouble> {
    let config = |flags: Vec<(&str, String)>| configure(arguments, flags);
    match &arguments.command {
        Command::Demo(demo) => demo::run(&config(demo.flags())?, demo),
        Command::Serve(_) => serve::run(&config(vec![])?),
        Command::Import(import) => import::run(&config(vec![])?, import),
        Command::Reindex(reindex) => reindex::run(&config(vec![])?, reindex),
        Command::Token(token) => token::run(&config(vec![])?, token),
        Command::Client(client) => client::run(&config(vec![])?, client),
        Command::Audit(audit) => audit::run(&config(vec![])?, audit),
        Command::Rules(rules) => rules::run(rules),
        Command::Doctor(doctor) => doctor::run(config(vec![]), doctor),
    }
}

/// The configuration, with the log set up as it says.
fn configure(arguments: &Arguments, flags: Vec<(&str, String)>) -> Result<Config, ConfigError> {
    let mut flags = flags;
    match arguments.log_format {
        Some(LogFormat::Json) => flags.push(("log_format", "json".into())),
        Some(LogFormat::Text) => flags.push(("log_format", "text".into())),
        None => {}
    }
    let config = Config::load(arguments.config.as_deref(), &flags)?;
    trace::start(config.log_format, arguments.verbose);
    Ok(config)
}

/// A runtime with all cores, for the commands that serve.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::Failed(format!("can't start threads: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn global_flags_may_stand_after_the_command() {
        let words = "confide serve --config x.toml --log-format json -v";
        let parsed = Arguments::try_parse_from(words.split(' ')).unwrap();
        assert_eq!(parsed.config, Some(PathBuf::from("x.toml")));
        assert_eq!(parsed.log_format, Some(LogFormat::Json));
        assert_eq!(parsed.verbose, 1);
    }

    #[test]
    fn the_contracts_lines_are_understood() {
        for line in [
            "confide demo --port 0 --data-dir d --once",
            "confide import a.json b",
            "confide token --client c --user Patient/p --patient p --scope patient/*.rs \
             --purpose PATRQT --break-glass-reason r --ttl 86400",
            "confide client add c.json",
            "confide client list",
            "confide client show c",
            "confide client disable c",
            "confide audit verify --json",
            "confide rules --json",
            "confide doctor",
            "confide reindex --anew",
        ] {
            let words = line.split_whitespace();
            assert!(Arguments::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "confide",
            "confide token --client c --scope s --ttl 86401",
            "confide export d",
        ] {
            let words = line.split_whitespace();
            assert!(Arguments::try_parse_from(words).is_err(), "{line}");
        }
    }
}
