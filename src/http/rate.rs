//! How often one client may ask: `limits.requests_per_second`, 429 above it. Each entry of a batch or
//! transaction counts.

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

    /// Takes what else a request comes to: the entries of a Bundle but one. It is not refused, for it
    /// was admitted; the client's next requests wait until this is made up for.
    pub fn charge(&self, client: &str, more: usize) {
        if !self.each.is_zero() {
            self.charge_at(client, more, self.since.elapsed());
        }
    }

    fn charge_at(&self, client: &str, more: usize, at: Duration) {
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole) = whole_at.get_mut(client) {
            *whole = (*whole).max(at) + self.each.saturating_mul(more);
        }
    }

    fn take_at(&self, client: &str, at: Duration) -> Result<(), Failure> {
        const BURST: Duration = Duration::from_secs(1);
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = whole_at.get(client).copied().unwrap_or_default().max(at);
        let next = whole + self.each;
        if next > at + BURST {
            meters::refused("rate");
            let wait = next.saturating_sub(at + BURST).as_secs() + 1;
            return Err(Failure::TooMany {
                retry_after: u32::try_from(wait).unwrap_or(u32::MAX),
            });
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
    fn a_bundle_counts_by_its_entries() {
        let rates = Rates::new(Some(10));
        let at = Duration::from_secs(5);
        rates.take_at("a", at).unwrap();
        rates.charge_at("a", 49, at);
        let told = rates.take_at("a", at).unwrap_err();
        assert!(
            matches!(told, Failure::TooMany { retry_after: 5 }),
            "{told:?}"
        );
        assert!(rates.take_at("a", at + Duration::from_secs(4)).is_err());
        rates.take_at("b", at).unwrap();
        rates
            .take_at("a", at + Duration::from_millis(4100))
            .unwrap();
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let rates = Rates::new(None);
        for _ in 0..10_000 {
            rates.take("a").unwrap();
        }
    }
}
