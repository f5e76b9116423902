//! `confide audit verify`: walks the audit chain.

use super::{Ended, Trouble};
use crate::config::Config;

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
pub fn run(_config: &Config, _arguments: &Arguments) -> Result<Ended, Trouble> {
    super::not_yet("audit verify")
}
