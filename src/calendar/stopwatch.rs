//! Measures how long something takes: for metrics and limits, never for a decision.

use std::time::{Duration, Instant};

/// Started once, read as often as wanted. It knows no date.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The time since its start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
