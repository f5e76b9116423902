//! L1: whether a resource keeps to its definitions.

mod primitive;
pub mod structure;

pub use structure::{CheckLimits, check};
