//! `confide token`: one access token for a local operator.

use super::{Ended, Trouble};
use crate::config::Config;

/// The flags of `confide token`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A registered client's id
    #[arg(long, value_name = "ID")]
    pub client: String,
    /// The person, as Patient/p or Practitioner/d
    #[arg(long, value_name = "REF")]
    pub user: Option<String>,
    /// The patient in context
    #[arg(long, value_name = "ID")]
    pub patient: Option<String>,
    /// SMART scopes
    #[arg(long)]
    pub scope: String,
    /// Purpose of use, from v3-ActReason
    #[arg(long, value_name = "CODE")]
    pub purpose: Option<String>,
    /// Why emergency access is needed; goes with ETREAT
    #[arg(long, value_name = "TEXT")]
    pub break_glass_reason: Option<String>,
    /// Seconds that it is valid
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86400))]
    pub ttl: u32,
}

/// Runs it.
pub fn run(_config: &Config, _arguments: &Arguments) -> Result<Ended, Trouble> {
    super::not_yet("token")
}
