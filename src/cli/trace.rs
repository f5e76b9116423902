//! Where log lines go: standard error. What is said without `-v` is said once a start, a stop, or a
//! failure; a request is a line only with `-v`, for a line a request costs more than the request.

use crate::config::LogFormat;
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Sets up the log; the first call of a process counts. `RUST_LOG` overrides `-v`.
pub(super) fn start(format: LogFormat, verbose: u8) {
    let level = match verbose {
        0 => "info",
        1 => "info,confide=debug",
        _ => "debug,confide=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // An error means that a subscriber is there already, as in tests.
    let _ = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.with_target(false).try_init(),
    };
    std::panic::set_hook(Box::new(|panic| {
        // Where, and never what: a panic's message may quote a record.
        let at = panic.location().map(ToString::to_string);
        tracing::error!(at, "panic: this is a bug");
    }));
}
