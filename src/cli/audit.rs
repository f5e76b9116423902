//! `confide audit verify`: walks the audit chain.

use super::{Ended, Trouble, open, print};
use crate::{
    config::Config,
    store::audit::{self, OpenError, Verified, VerifyError},
};
use serde_json::{Value, json};

/// What to do with the audit chain.
#[derive(Debug, clap::Subcommand)]
pub enum Arguments {
    /// Walk the chain; exit code 1 and the first bad entry where anything was altered
    Verify {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs it: [`Ended::Refused`] where the chain is broken.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    let Arguments::Verify { json } = arguments;
    let found = audit::verify(&audit::file(&config.data_dir));
    if *json {
        print::line(answer(&found));
    } else if let Some(text) = words(&found) {
        print::line(text);
    }
    match found {
        Ok(_) => Ok(Ended::Done),
        Err(VerifyError::Broken(_)) => Ok(Ended::Refused),
        Err(VerifyError::Unreadable(error)) => Err(open::audit_trouble(&error)),
    }
}

/// What was found, where the log could be read.
fn words(found: &Result<Verified, VerifyError>) -> Option<String> {
    match found {
        Ok(whole) => Some(format!("whole: {}", extent(*whole))),
        Err(VerifyError::Broken(broken)) => Some(format!("BROKEN: {broken}")),
        Err(VerifyError::Unreadable(_)) => None,
    }
}

/// `12 entries in 3 chains`.
pub(super) fn extent(whole: Verified) -> String {
    format!("{} entries in {} chains", whole.entries, whole.chains)
}

/// The same as JSON; `ok` is there whatever happened.
fn answer(found: &Result<Verified, VerifyError>) -> Value {
    match found {
        Ok(whole) => json!({"ok": true, "chains": whole.chains, "entries": whole.entries}),
        Err(VerifyError::Broken(broken)) => json!({
            "ok": false,
            "chain": broken.chain,
            "entry": broken.seq,
            "what": broken.what.code(),
            "message": broken.to_string(),
        }),
        Err(VerifyError::Unreadable(error)) => {
            let what = match error {
                OpenError::Absent { .. } => "absent",
                _ => "unreadable",
            };
            json!({"ok": false, "what": what, "message": error.to_string()})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calendar::Clock,
        cli::open::tests::config,
        gate::{Entry, Journal as _},
    };

    fn verified(config: &Config) -> Result<Ended, Trouble> {
        run(config, &Arguments::Verify { json: true })
    }

    #[test]
    fn a_log_is_whole_broken_or_not_there() {
        let (_folder, config) = config();
        assert_eq!(verified(&config).unwrap_err().code(), 1);
        let log = open::audit(&config, Clock::At(5)).unwrap();
        let runtime = crate::cli::runtime().unwrap();
        for number in 0..3 {
            let entry = Entry::local(number, "import", format!("{number}"));
            runtime.block_on(log.record(entry)).unwrap();
        }
        drop(log);
        assert_eq!(verified(&config).unwrap(), Ended::Done);
        let file = audit::file(&config.data_dir);
        let found = audit::verify(&file);
        assert_eq!(answer(&found)["entries"], 3);
        assert_eq!(words(&found).unwrap(), "whole: 3 entries in 1 chains");
        let log = rusqlite::Connection::open(&file).unwrap();
        log.execute("DELETE FROM audit_entry WHERE seq = 2", [])
            .unwrap();
        drop(log);
        assert_eq!(verified(&config).unwrap(), Ended::Refused);
        let found = answer(&audit::verify(&file));
        assert_eq!(found["ok"], false);
        assert_eq!((&found["chain"], &found["entry"]), (&json!(1), &json!(2)));
        assert_eq!(found["what"], "missing");
    }
}
