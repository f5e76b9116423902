//! Why the log could not be opened or read.

use rusqlite::{Error, ErrorCode};
use std::{io, path::PathBuf};

/// The log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder can't be made or written.
    #[error("the data folder {path} can't be written")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no log where one was to be read.
    #[error("there is no audit log at {path}")]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file can't be opened for writing.
    #[error("the audit log {path} can't be written")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// A newer program wrote it.
    #[error("the audit log {path} has version {found}, this program knows versions up to {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// Not a database, or not whole.
    #[error("the audit log {path} is damaged, or is no audit log")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why, where the engine said so.
        source: Option<Error>,
    },
    /// Another process held it for too long.
    #[error("the audit log {path} is held by another process")]
    Busy {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// Anything else that the engine said.
    #[error("the audit log {path} can't be opened")]
    Engine {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// No thread for the writer.
    #[error("the audit writer can't be started")]
    Thread(#[source] io::Error),
}

impl OpenError {
    /// Sorts what the engine said.
    pub(super) fn of(path: impl Into<PathBuf>, source: Error) -> OpenError {
        let path = path.into();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Damaged {
                path,
                source: Some(source),
            },
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull,
            ) => OpenError::Unwritable { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                OpenError::Busy { path, source }
            }
            _ => OpenError::Engine { path, source },
        }
    }
}

/// The log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What the engine said.
    #[error("the audit log can't be read")]
    Engine(#[from] Error),
    /// The search index could not be brought up to the chain's tail.
    #[error("the audit log's search index is behind the log")]
    Behind,
    /// The reading task was cut short.
    #[error("reading the audit log was cut short")]
    Cut,
}
