//! L3: the only place where a body is opened.

pub mod journal;

pub use journal::{Asked, Entry, EntryRecord, Journal, JournalError};
