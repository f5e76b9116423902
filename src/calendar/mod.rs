//! L0: the clock, ages and deadlines in the plan's time zone.

mod stopwatch;

pub use stopwatch::Stopwatch;

use crate::fhir::Instant;
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// The plan's time zone: deadlines and dates without an offset are read in it.
pub const ZONE: &str = "America/Los_Angeles";

/// The only source of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Stands still, for tests.
    At(Instant),
}

impl Clock {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "this is the one clock")]
    pub fn now(self) -> Instant {
        match self {
            Clock::System => Timestamp::now().as_microsecond(),
            Clock::At(at) => at,
        }
    }

    /// Now, in whole seconds since 1970, as JWTs count.
    pub fn seconds(self) -> i64 {
        self.now().div_euclid(1_000_000)
    }
}

/// The plan's zone.
pub fn zone() -> TimeZone {
    TimeZone::get(ZONE).unwrap_or(TimeZone::UTC)
}

/// The date of a moment in the plan's zone.
pub fn local_date(at: Instant) -> Option<Date> {
    let stamp = Timestamp::from_microsecond(at).ok()?;
    Some(zone().to_datetime(stamp).date())
}

/// Full years of age on a day. Minority ends at the first minute of the birthday (Fam. 6500); who
/// was born on February 29 is a year older from February 28 of a common year (Gov. 6803).
pub fn age(born: Date, on: Date) -> i16 {
    let years = on.year() - born.year();
    let leap_born = born.month() == 2 && born.day() == 29 && !on.in_leap_year();
    let day = if leap_born { 28 } else { born.day() };
    let reached = (on.month(), on.day()) >= (born.month(), day);
    if reached { years } else { years - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_year_is_reached_on_the_birthday() {
        let born = day("2011-07-24");
        assert_eq!(age(born, day("2026-07-23")), 14);
        assert_eq!(age(born, day("2026-07-24")), 15);
    }

    #[test]
    fn born_on_the_leap_day_counts_from_february_28() {
        let born = day("2012-02-29");
        assert_eq!(age(born, day("2023-02-27")), 10);
        assert_eq!(age(born, day("2023-02-28")), 11);
        assert_eq!(age(born, day("2024-02-28")), 11);
        assert_eq!(age(born, day("2024-02-29")), 12);
    }

    #[test]
    fn late_evening_in_california_is_not_tomorrow() {
        let at: Timestamp = "2026-03-07T07:30:00Z".parse().unwrap();
        assert_eq!(local_date(at.as_microsecond()), Some(day("2026-03-06")));
    }
}
