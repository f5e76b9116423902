//! Tests against the program as a whole, over real sockets. One binary: one link, one start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::if_same_then_else,
    clippy::for_kv_map,
    clippy::nonminimal_bool,
    dead_code,
    reason = "clippy's own leave for tests ends at helper functions"
)]

mod agreement;
mod api;
mod audit;
mod auth;
mod badinput;
mod canary;
mod changes;
mod conditions;
mod contained;
mod finder;
mod front;
mod harness;
mod history;
mod import;
mod kill;
mod labels;
mod matrix;
mod nodes;
mod official;
mod oracle;
mod patch;
mod postgres;
mod refused;
mod reindex;
mod remembered;
mod server;
mod shapes;
mod silence;
mod twin;
mod uscore;
mod validate;
