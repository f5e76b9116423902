//! L4: the only SQL.

pub mod registry;
