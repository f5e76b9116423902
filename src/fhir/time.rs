//! Moments and the intervals that FHIR's partial dates stand for.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// Microseconds since 1970 in UTC. The only clock is [`crate::calendar::Clock`].
pub type Instant = i64;

/// From `start` to `end`, both included, in microseconds; open ends are the extremes of `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// First microsecond.
    pub start: Instant,
    /// Last microsecond.
    pub end: Instant,
}

impl Interval {
    /// All of time.
    pub const ALWAYS: Interval = Interval {
        start: i64::MIN,
        end: i64::MAX,
    };

    /// Whether `at` lies in it.
    pub fn holds(self, at: Instant) -> bool {
        self.start <= at && at <= self.end
    }

    /// The part that both share.
    pub fn both(self, other: Interval) -> Option<Interval> {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        (start <= end).then_some(Interval { start, end })
    }

    /// The smallest interval around both.
    #[must_use]
    pub fn around(self, other: Interval) -> Interval {
        Interval {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// What a FHIR `date`, `dateTime` or `instant` stands for, to its own precision
    /// (<https://hl7.org/fhir/R4/search.html#date>). Dates without a zone are read in `zone`.
    pub fn of(text: &str, zone: &TimeZone) -> Option<Interval> {
        if text.contains('T') {
            return Interval::of_time(text, zone);
        }
        let (first, last) = days(text)?;
        let start = first.to_zoned_datetime(zone.clone()).ok()?.timestamp();
        let end = last
            .tomorrow()
            .ok()?
            .to_zoned_datetime(zone.clone())
            .ok()?
            .timestamp();
        Some(Interval {
            start: start.as_microsecond(),
            end: end.as_microsecond() - 1,
        })
    }

    fn of_time(text: &str, zone: &TimeZone) -> Option<Interval> {
        let (_, time) = text.split_once('T')?;
        let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
        let clock = time.get(..zone_at)?;
        let width = match clock.len() {
            5 => 60_000_000,
            8 => 1_000_000,
            9.. => fraction_width(clock)?,
            _ => return None,
        };
        let start = if zone_at == time.len() {
            let local: jiff::civil::DateTime = text.parse().ok()?;
            local.to_zoned_datetime(zone.clone()).ok()?.timestamp()
        } else {
            text.parse::<Timestamp>().ok()?
        };
        let start = start.as_microsecond();
        Some(Interval {
            start,
            end: start.checked_add(width - 1)?,
        })
    }

    /// A FHIR `Period`; a missing bound is open.
    pub fn of_period(start: Option<&str>, end: Option<&str>, zone: &TimeZone) -> Option<Interval> {
        let start = match start {
            Some(text) => Interval::of(text, zone)?.start,
            None => i64::MIN,
        };
        let end = match end {
            Some(text) => Interval::of(text, zone)?.end,
            None => i64::MAX,
        };
        (start <= end).then_some(Interval { start, end })
    }
}

fn fraction_width(clock: &str) -> Option<i64> {
    let digits = clock.split_once('.')?.1.len();
    let exponent = 6u32.saturating_sub(u32::try_from(digits).ok()?);
    Some(10i64.pow(exponent))
}

/// First and last day of a partial date.
pub fn days(text: &str) -> Option<(Date, Date)> {
    match text.len() {
        4 => {
            let year: i16 = text.parse().ok()?;
            Some((Date::new(year, 1, 1).ok()?, Date::new(year, 12, 31).ok()?))
        }
        7 => {
            let first: Date = format!("{text}-01").parse().ok()?;
            Some((first, first.last_of_month()))
        }
        10 => {
            let day: Date = text.parse().ok()?;
            Some((day, day))
        }
        _ => None,
    }
}

/// The calendar date that a `date` or `dateTime` states in its own words (its own offset), where it
/// is precise to the day.
pub fn stated_day(text: &str) -> Option<Date> {
    let day = text.get(..10)?;
    day.parse().ok()
}

/// An instant as FHIR writes it, in UTC with milliseconds.
pub fn text(at: Instant) -> String {
    match Timestamp::from_microsecond(at) {
        Ok(stamp) => format!("{stamp:.3}"),
        Err(_) => String::from("1970-01-01T00:00:00.000Z"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, String) {
        let interval = Interval::of(text, &TimeZone::UTC).unwrap();
        (super::text(interval.start), super::text(interval.end))
    }

    #[test]
    fn partial_dates_are_intervals_of_their_precision() {
        assert_eq!(
            of("2026"),
            (
                "2026-01-01T00:00:00.000Z".into(),
                "2026-12-31T23:59:59.999Z".into()
            )
        );
        assert_eq!(of("2024-02").1, "2024-02-29T23:59:59.999Z");
        assert_eq!(
            of("2026-03-07T07:30Z"),
            (
                "2026-03-07T07:30:00.000Z".into(),
                "2026-03-07T07:30:59.999Z".into()
            )
        );
        assert_eq!(
            of("2026-03-07T07:30:01-08:00").0,
            "2026-03-07T15:30:01.000Z"
        );
        assert_eq!(of("2026-03-07T07:30:01.5Z").1, "2026-03-07T07:30:01.599Z");
    }

    #[test]
    fn nonsense_is_no_interval() {
        for text in [
            "",
            "20",
            "2026-13",
            "2026-02-30",
            "2026-01-01T",
            "2026-01-01T25:00Z",
            "x",
        ] {
            assert_eq!(Interval::of(text, &TimeZone::UTC), None, "{text}");
        }
        assert_eq!(
            Interval::of_period(Some("2026"), Some("2025"), &TimeZone::UTC),
            None
        );
    }
}
