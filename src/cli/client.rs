//! `confide client`: registered SMART clients.

use super::{Ended, Trouble};
use crate::config::Config;
use std::path::PathBuf;

/// What to do with clients.
#[derive(Debug, clap::Subcommand)]
pub enum Arguments {
    /// Register a client from a file of RFC 7591 metadata; prints its id and, once, its secret
    Add {
        /// The metadata
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// All clients
    List,
    /// One client's metadata
    Show {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take a client's access away
    Disable {
        /// Its client_id
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// Runs it.
pub fn run(_config: &Config, _arguments: &Arguments) -> Result<Ended, Trouble> {
    super::not_yet("client")
}
