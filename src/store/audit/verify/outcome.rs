//! What a check of the log can say.

use crate::store::audit::OpenError;
use std::fmt;

/// A log in which nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many chains.
    pub chains: u64,
    /// How many entries, in all chains.
    pub entries: u64,
}

/// The first place that is not as it was written. Chain 0 is no chain: the search index has rows
/// that no entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("audit chain {chain}, entry {seq}: {what}")]
pub struct Broken {
    /// The chain.
    pub chain: i64,
    /// The entry's number in it; 0 is the chain's own row.
    pub seq: i64,
    /// What is wrong there.
    pub what: What,
}

/// What can be wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The entry, or the chain's row, is not what its hash says.
    Altered,
    /// The entry is gone, and later ones are there.
    Missing,
    /// The entry stands where another one was written.
    Reordered,
    /// It was written with a hash of its own, but does not follow on the one before it.
    Unlinked,
    /// The chain went on to this entry, as a later chain or its mark says, and does so no more.
    Truncated,
    /// The chain is gone.
    ChainMissing,
    /// The search index says other than the entry.
    Index,
}

impl What {
    /// Its name in `--json`.
    pub fn code(self) -> &'static str {
        match self {
            What::Altered => "altered",
            What::Missing => "missing",
            What::Reordered => "reordered",
            What::Unlinked => "unlinked",
            What::Truncated => "truncated",
            What::ChainMissing => "chain-missing",
            What::Index => "index",
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Altered => "altered",
            What::Missing => "missing, though later entries are there",
            What::Reordered => "stands where another entry was written",
            What::Unlinked => "does not follow on what is before it: one of them was replaced",
            What::Truncated => "gone: the chain once went on to here",
            What::ChainMissing => "the whole chain is gone",
            What::Index => "the search index says other than the entry",
        })
    }
}

/// Why the log can't be said to be whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] OpenError),
    /// Something was changed.
    #[error(transparent)]
    Broken(#[from] Broken),
}
