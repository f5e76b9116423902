//! `confide demo`: the bundled fixtures and what each persona sees of them.

use super::{Ended, Trouble};
use crate::config::Config;
use std::path::PathBuf;

/// The flags of `confide demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Where the demo's store goes; a new folder under the system's temporary one by default
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Make the requests, print the table, check it, and exit
    #[arg(long)]
    pub once: bool,
}

impl Arguments {
    /// The flags that override configuration keys.
    pub(super) fn flags(&self) -> Vec<(&'static str, String)> {
        let mut flags = vec![("listen", format!("127.0.0.1:{}", self.port))];
        if let Some(folder) = &self.data_dir {
            flags.push(("data_dir", folder.display().to_string()));
        }
        flags
    }
}

/// Runs it. `config.listen` is the port asked for; `arguments.data_dir` is `None` where a temporary
/// folder is to be made.
pub fn run(_config: &Config, _arguments: &Arguments) -> Result<Ended, Trouble> {
    super::not_yet("demo")
}
