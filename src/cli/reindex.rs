//! `confide reindex`: makes the search index of all records again, piece by piece.
//!
//! While the server runs or not. What was interrupted goes on where it stopped.

use super::{Ended, Trouble, open, print};
use crate::{
    calendar::Clock,
    config::Config,
    gate::{Entry, Journal as _},
    store::engine::Engine,
};
use indicatif::ProgressBar;

/// The flags of `confide reindex`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Begin with the first record, whatever an interrupted run has done
    #[arg(long)]
    pub anew: bool,
}

/// Runs it.
pub fn run(config: &Config, arguments: &Arguments) -> Result<Ended, Trouble> {
    open::tables()?;
    let store = open::store(config)?;
    let audit = open::audit(config, Clock::System)?;
    let entry = Entry::local(Clock::System.now(), "reindex", "all records");
    super::runtime()?
        .block_on(audit.record(entry))
        .map_err(|error| Trouble::Failed(error.to_string()))?;
    let bar = ProgressBar::new_spinner();
    let done = remake(&store, arguments.anew, |records| {
        bar.set_message(format!("{records} records"));
        bar.tick();
    });
    bar.finish_and_clear();
    let records = done?;
    print::line(format_args!("indexed again: {records} records"));
    Ok(Ended::Done)
}

/// How many records were gone over in this run.
fn remake(store: &Engine, anew: bool, mut told: impl FnMut(u64)) -> Result<u64, Trouble> {
    let mut records = 0;
    let mut anew = anew;
    loop {
        let piece = store.reindex(anew).map_err(|error| {
            let text = format!("{error}; what is done is kept: run it again");
            Trouble::Failed(text)
        })?;
        anew = false;
        records += piece.records;
        told(records);
        if piece.is_done {
            return Ok(records);
        }
    }
}
