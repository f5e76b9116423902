//! L1: whether a resource keeps to its definitions.

mod binding;
mod narrative;
mod primitive;
mod reference;
pub mod structure;

pub use structure::{CheckLimits, Depth, check};
