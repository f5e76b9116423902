//! `confide import`: resources, Bundles, ndjson, `.gz`, folders.

use super::{Ended, Trouble};
use crate::config::Config;
use std::path::PathBuf;

/// The arguments of `confide import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Runs it: [`Ended::Refused`] where any resource was refused.
pub fn run(_config: &Config, _arguments: &Arguments) -> Result<Ended, Trouble> {
    super::not_yet("import")
}
