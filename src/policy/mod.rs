//! L2: who may see what, and why. Pure: no clock, no I/O, no async.

pub mod case;

pub use case::{Case, Credentials, Requester, Role};
