//! L4: the only SQL.

pub mod audit;
pub mod registry;
