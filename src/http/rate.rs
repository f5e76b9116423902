//! How often one client may ask: `limits.requests_per_second`, 429 above it.

use super::{Failure, meters};
use crate::calendar::Stopwatch;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A client's allowance as one number (GCRA): the moment at which it is whole again. A client may
/// burst one second's worth.
#[derive(Debug)]
pub struct Rates {
    /// Time that one request uses up; zero where there is no limit.
    each: Duration,
    since: Stopwatch,
    whole_at: Mutex<HashMap<Box<str>, Duration>>,
}

impl Rates {
    /// At most `per_second` requests a second of each client; `None` for no limit.
    pub fn new(per_second: Option<u32>) -> Rates {
        Rates {
            each: per_second.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.max(1)),
            since: Stopwatch::start(),
            whole_at: Mutex::default(),
        }
    }

    /// Takes one request of `client` off its allowance, or refuses it. Called once a request, as soon
    /// as the client is known: unknown callers are held by the limit of requests at work.
    pub fn take(&self, client: &str) -> Result<(), Failure> {
        if self.each.is_zero() {
            return Ok(());
        }
        self.take_at(client, self.since.elapsed())
    }

    fn take_at(&self, client: &str, at: Duration) -> Result<(), Failure> {
        const BURST: Duration = Duration::from_secs(1);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = whole_at.get(client).copied().unwrap_or_default().max(at);
        let next = whole + self.each;
        if next > at + BURST {
            meters::refused("rate");
            return Err(Failure::TooMany { retry_after: 1 });
        }
        match whole_at.get_mut(client) {
            Some(known) => *known = next,
            None => {
                whole_at.insert(client.into(), next);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_second_and_no_more() {
        let rates = Rates::new(Some(10));
        let at = Duration::from_secs(5);
        for _ in 0..10 {
            rates.take_at("a", at).unwrap();
        }
        assert!(matches!(
            rates.take_at("a", at),
            Err(Failure::TooMany { .. })
        ));
        rates.take_at("b", at).unwrap();
        rates.take_at("a", at + Duration::from_millis(100)).unwrap();
        assert!(rates.take_at("a", at + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let rates = Rates::new(None);
        for _ in 0..10_000 {
            rates.take("a").unwrap();
        }
    }
}
