//! Changes to a resource as a client writes them: JSON Patch (RFC 6902) and FHIRPath Patch
//! (<https://hl7.org/fhir/R4/fhirpatch.html>), on the lossless tree: what is not touched keeps its
//! bytes, and a value that is put in keeps those of the patch.
//!
//! A patch is all or nothing; its operations are made in their order. Where the writer is shown less
//! than the whole, paths count what is shown: what is hidden can be neither tested, copied nor moved,
//! and what would overwrite or take it is [`PatchError::Hidden`].
//!
//! The result is a resource, but nobody has checked its structure yet.

mod draft;
mod fhirpath;
mod json;
mod list;

pub use fhirpath::{fhirpath, fhirpath_shown};
pub use json::{json, json_shown};

use super::{ResourceError, json::JsonError};

/// Most operations in one patch.
pub const OPERATIONS: usize = 1000;

/// Largest result in bytes.
pub const SIZE: usize = 32 * 1024 * 1024;

/// Why a patch can't be made. Operations are counted from 0; says nothing of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch is not acceptable JSON.
    #[error("the patch is not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// It is not a list of operations.
    #[error("the patch is not a list of operations")]
    List,
    /// It has more operations than are allowed.
    #[error("the patch has more than {OPERATIONS} operations")]
    Operations,
    /// An operation lacks something, or has something wrong.
    #[error("operation {at}: {what}")]
    Form {
        /// Which operation.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An operation is well formed, and can't be made on this record.
    #[error("operation {at}: {what}")]
    Unfit {
        /// Which operation.
        at: usize,
        /// Why.
        what: &'static str,
    },
    /// There is nothing at a path.
    #[error("operation {at}: there is nothing at its path")]
    Missing {
        /// Which operation.
        at: usize,
    },
    /// A `test` did not hold.
    #[error("operation {at}: the test does not hold")]
    Test {
        /// Which operation.
        at: usize,
    },
    /// It would overwrite or take what the writer is not shown.
    #[error("operation {at}: the record has parts that it would overwrite")]
    Hidden {
        /// Which operation.
        at: usize,
    },
    /// The result would be too large, or too deep.
    #[error("operation {at}: the result would be too large")]
    Size {
        /// Which operation.
        at: usize,
    },
    /// The result is no resource.
    #[error("the result: {0}")]
    Resource(#[from] ResourceError),
}
