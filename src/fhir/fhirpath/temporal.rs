//! Dates, times and moments of partial precision (<http://hl7.org/fhirpath/N1/#date>).

use jiff::civil;
use std::{cmp::Ordering, fmt};

/// What a temporal value is a value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Date,
    DateTime,
    Time,
}

/// How precise: the last field that is stated. A fraction belongs to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

/// A date, time or moment as far as it is stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temporal {
    pub(super) sort: Sort,
    precision: Precision,
    /// Fields that are not stated stand at their least value.
    at: civil::DateTime,
    /// Digits of the fraction that were written.
    digits: u8,
    /// Minutes east of UTC, where stated.
    offset: Option<i16>,
}

impl Temporal {
    /// What stands after `@` in an expression.
    pub(super) fn literal(text: &str) -> Option<Temporal> {
        if let Some(time) = text.strip_prefix('T') {
            return Temporal::time(time);
        }
        match text.split_once('T') {
            None => Temporal::date(text),
            Some((date, "")) => Some(Temporal {
                sort: Sort::DateTime,
                ..Temporal::date(date)?
            }),
            Some(_) => Temporal::moment(text),
        }
    }

    /// A date: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    pub(super) fn date(text: &str) -> Option<Temporal> {
        let precision = match text.len() {
            4 => Precision::Year,
            7 => Precision::Month,
            10 => Precision::Day,
            _ => return None,
        };
        let mut parts = text.split('-');
        let year = number(parts.next()?)?;
        let month = parts.next().map_or(Some(1), number)?;
        let day = parts.next().map_or(Some(1), number)?;
        let day = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        Some(Temporal {
            sort: Sort::Date,
            precision,
            at: day.ok()?.to_datetime(civil::Time::midnight()),
            digits: 0,
            offset: None,
        })
    }

    /// A time of day: `hh`, `hh:mm`, `hh:mm:ss` with a fraction.
    pub(super) fn time(text: &str) -> Option<Temporal> {
        let (clock, precision, digits) = clock(text)?;
        Some(Temporal {
            sort: Sort::Time,
            precision,
            at: civil::Date::constant(1, 1, 1).to_datetime(clock),
            digits,
            offset: None,
        })
    }

    /// A moment: a date, or a date with a time and perhaps a zone.
    pub(super) fn moment(text: &str) -> Option<Temporal> {
        let sort = Sort::DateTime;
        let Some((date, rest)) = text.split_once('T') else {
            return Temporal::date(text).map(|date| Temporal { sort, ..date });
        };
        let date = Temporal::date(date)?;
        if date.precision != Precision::Day {
            return None;
        }
        let (time, offset) = match rest.find(['Z', '+', '-']) {
            None => (rest, None),
            Some(at) => (rest.get(..at)?, Some(zone(rest.get(at..)?)?)),
        };
        let (clock, precision, digits) = clock(time)?;
        Some(Temporal {
            sort,
            precision,
            at: date.at.date().to_datetime(clock),
            digits,
            offset,
        })
    }

    /// A moment in UTC, to the millisecond.
    pub(super) fn now(instant: i64, offset: i16) -> Option<Temporal> {
        let stamp = jiff::Timestamp::from_microsecond(instant).ok()?;
        let zone = jiff::tz::Offset::from_seconds(i32::from(offset) * 60).ok()?;
        Some(Temporal {
            sort: Sort::DateTime,
            precision: Precision::Second,
            at: zone.to_datetime(stamp),
            digits: 3,
            offset: Some(offset),
        })
    }

    /// Whether it is a time of day.
    pub(super) fn is_time(self) -> bool {
        self.sort == Sort::Time
    }

    /// The same as a Date.
    pub(super) fn to_date(self) -> Option<Temporal> {
        if self.sort == Sort::Time {
            return None;
        }
        Some(Temporal {
            sort: Sort::Date,
            precision: self.precision.min(Precision::Day),
            at: self.at.date().to_datetime(civil::Time::midnight()),
            digits: 0,
            offset: None,
        })
    }

    /// The same as a DateTime.
    pub(super) fn to_moment(self) -> Option<Temporal> {
        (self.sort != Sort::Time).then_some(Temporal {
            sort: Sort::DateTime,
            ..self
        })
    }

    /// The time of day of a moment.
    pub(super) fn to_time(self) -> Option<Temporal> {
        (self.precision >= Precision::Hour).then_some(Temporal {
            sort: Sort::Time,
            at: civil::Date::constant(1, 1, 1).to_datetime(self.at.time()),
            offset: None,
            ..self
        })
    }

    /// In UTC, where a time is stated; a moment without a zone is in the one given.
    fn in_utc(self, offset: i16) -> Temporal {
        if self.sort == Sort::Time || self.precision < Precision::Hour {
            return self;
        }
        let minutes = i64::from(self.offset.unwrap_or(offset));
        let span = jiff::Span::new().minutes(minutes);
        Temporal {
            at: self.at.checked_sub(span).unwrap_or(self.at),
            ..self
        }
    }

    /// The order of two, where what is stated settles it. Times don't compare with dates.
    pub(super) fn order(self, other: Temporal, offset: i16) -> Option<Ordering> {
        if (self.sort == Sort::Time) != (other.sort == Sort::Time) {
            return None;
        }
        let (a, b) = (self.in_utc(offset), other.in_utc(offset));
        let least = a.precision.min(b.precision);
        let order = a.fields(least).cmp(&b.fields(least));
        (order != Ordering::Equal || a.precision == b.precision).then_some(order)
    }

    /// Whether both are the same to the same precision.
    pub(super) fn equivalent(self, other: Temporal, offset: i16) -> bool {
        self.precision == other.precision && self.order(other, offset) == Some(Ordering::Equal)
    }

    fn fields(self, precision: Precision) -> (i16, [i8; 5], i32) {
        let upto = |field: Precision, value: i8| if precision >= field { value } else { 0 };
        let at = self.at;
        let fields = [
            upto(Precision::Month, at.month()),
            upto(Precision::Day, at.day()),
            upto(Precision::Hour, at.hour()),
            upto(Precision::Minute, at.minute()),
            upto(Precision::Second, at.second()),
        ];
        let fraction = if precision == Precision::Second {
            at.subsec_nanosecond()
        } else {
            0
        };
        (at.year(), fields, fraction)
    }

    /// This long after (before, where it is negative). A unit finer than what is stated counts as
    /// whole ones of what is (<http://hl7.org/fhirpath/N1/#datetime-arithmetic>).
    pub(super) fn plus(self, amount: i64, unit: Unit) -> Option<Temporal> {
        let (amount, unit) = match self.precision {
            Precision::Year => (unit.whole(amount, Unit::Year)?, Unit::Year),
            Precision::Month if unit > Unit::Month => {
                (unit.whole(amount, Unit::Month)?, Unit::Month)
            }
            Precision::Day if unit > Unit::Day => (unit.whole(amount, Unit::Day)?, Unit::Day),
            _ => (amount, unit),
        };
        let span = jiff::Span::new();
        let span = match unit {
            Unit::Year => span.try_years(amount),
            Unit::Month => span.try_months(amount),
            Unit::Week => span.try_weeks(amount),
            Unit::Day => span.try_days(amount),
            Unit::Hour => span.try_hours(amount),
            Unit::Minute => span.try_minutes(amount),
            Unit::Second => span.try_seconds(amount),
            Unit::Millisecond => span.try_milliseconds(amount),
        };
        let at = if self.sort == Sort::Time {
            // A time of day goes round.
            let time = self.at.time().wrapping_add(span.ok()?);
            self.at.date().to_datetime(time)
        } else {
            self.at.checked_add(span.ok()?).ok()?
        };
        let digits = match unit {
            Unit::Millisecond => self.digits.max(3),
            _ => self.digits,
        };
        Some(Temporal { at, digits, ..self })
    }
}

/// Units of time, the longest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

impl Unit {
    /// So many of this unit as whole ones of a longer: a year is 12 months or 365 days, a month 30.
    fn whole(self, amount: i64, longer: Unit) -> Option<i64> {
        let seconds = |unit| match unit {
            Unit::Year => 365 * 86_400_000,
            Unit::Month => 30 * 86_400_000,
            Unit::Week => 7 * 86_400_000,
            Unit::Day => 86_400_000,
            Unit::Hour => 3_600_000,
            Unit::Minute => 60_000,
            Unit::Second => 1000,
            Unit::Millisecond => 1_i64,
        };
        match (self, longer) {
            (Unit::Month, Unit::Year) => Some(amount / 12),
            (unit, longer) if unit == longer => Some(amount),
            _ => Some(amount.checked_mul(seconds(self))? / seconds(longer)),
        }
    }
}

impl fmt::Display for Temporal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        if self.sort != Sort::Time {
            write!(f, "{:04}", at.year())?;
            if self.precision >= Precision::Month {
                write!(f, "-{:02}", at.month())?;
            }
            if self.precision >= Precision::Day {
                write!(f, "-{:02}", at.day())?;
            }
            if self.precision >= Precision::Hour {
                f.write_str("T")?;
            }
        }
        if self.precision >= Precision::Hour {
            write!(f, "{:02}", at.hour())?;
        }
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", at.minute())?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", at.second())?;
            if self.digits > 0 {
                let fraction = format!("{:09}", at.subsec_nanosecond());
                let digits = usize::from(self.digits);
                write!(f, ".{}", fraction.get(..digits).unwrap_or(&fraction))?;
            }
        }
        match self.offset {
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let minutes = minutes.abs();
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            None => Ok(()),
        }
    }
}

fn number(text: &str) -> Option<i16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn zone(text: &str) -> Option<i16> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = rest.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn clock(text: &str) -> Option<(civil::Time, Precision, u8)> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let precision = match whole.len() {
        2 => Precision::Hour,
        5 => Precision::Minute,
        8 => Precision::Second,
        _ => return None,
    };
    let mut parts = whole.split(':');
    let mut part = |missing: bool| -> Option<i8> {
        match parts.next() {
            Some(text) if text.len() == 2 => i8::try_from(number(text)?).ok(),
            None if missing => Some(0),
            _ => None,
        }
    };
    let (hour, minute, second) = (part(false)?, part(true)?, part(true)?);
    let (mut nanoseconds, mut digits) = (0, 0);
    if let Some(fraction) = fraction {
        if precision != Precision::Second
            || fraction.is_empty()
            || !fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let kept = fraction.get(..9).unwrap_or(fraction);
        digits = u8::try_from(kept.len()).ok()?;
        nanoseconds = format!("{kept:0<9}").parse().ok()?;
    }
    // A leap second is the last second of its minute.
    let time = civil::Time::new(hour, minute, second.min(59), nanoseconds).ok()?;
    (second <= 60).then_some((time, precision, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &str, b: &str) -> Option<Ordering> {
        Temporal::literal(a)
            .unwrap()
            .order(Temporal::literal(b).unwrap(), 0)
    }

    #[test]
    fn what_is_not_stated_is_not_known() {
        assert_eq!(order("2012-01", "2012-01"), Some(Ordering::Equal));
        assert_eq!(order("2012", "2012-01"), None);
        assert_eq!(order("2012-02", "2012-01-31"), Some(Ordering::Greater));
        assert_eq!(order("2012-01-01T10:00", "2012-01-01T10:00:00"), None);
        assert_eq!(order("T10:30:00", "T10:30:00.000"), Some(Ordering::Equal));
    }

    #[test]
    fn zones_are_taken_into_account() {
        let (a, b) = ("2017-11-05T01:30:00.0-04:00", "2017-11-05T01:15:00.0-05:00");
        assert_eq!(order(a, b), Some(Ordering::Less));
        let (a, b) = ("2017-11-05T01:30:00.0-04:00", "2017-11-05T00:30:00.0-05:00");
        assert_eq!(order(a, b), Some(Ordering::Equal));
    }

    #[test]
    fn texts_lead_back() {
        for text in [
            "2012",
            "2012-02-29",
            "2012-02-29T10",
            "2012-02-29T10:11:12.130-08:00",
            "2012-02-29T10:11Z",
        ] {
            assert_eq!(Temporal::literal(text).unwrap().to_string(), text);
        }
        for text in ["2011-02-29", "201", "2012-1", "2012-01-01T25", "T1", "x"] {
            assert_eq!(Temporal::literal(text), None, "{text}");
        }
    }

    #[test]
    fn time_is_added_to_the_precision_stated() {
        let plus = |text, amount, unit| {
            let at = Temporal::literal(text).unwrap().plus(amount, unit);
            at.unwrap().to_string()
        };
        assert_eq!(plus("2014", 24, Unit::Month), "2016");
        assert_eq!(plus("2012-02-29", 1, Unit::Year), "2013-02-28");
        assert_eq!(plus("2012-02-29", 25, Unit::Hour), "2012-03-01");
        assert_eq!(plus("T23:30", 60, Unit::Minute), "00:30");
        assert_eq!(
            plus("2012-01-01T00:00:00Z", -1, Unit::Second),
            "2011-12-31T23:59:59Z"
        );
    }
}
