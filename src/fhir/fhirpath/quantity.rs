//! Quantities: a decimal and a unit (<http://hl7.org/fhirpath/N1/#quantity>).

use super::temporal::Unit;
use rust_decimal::Decimal;
use std::{borrow::Cow, cmp::Ordering, fmt};

/// A decimal with a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity<'n> {
    pub(super) value: Decimal,
    pub(super) unit: Cow<'n, str>,
    /// Written with a calendar's word (`years`), which is no UCUM unit.
    pub(super) calendar: bool,
}

/// What a calendar's word means.
pub(super) fn calendar(word: &str) -> Option<Unit> {
    Some(match word {
        "year" | "years" => Unit::Year,
        "month" | "months" => Unit::Month,
        "week" | "weeks" => Unit::Week,
        "day" | "days" => Unit::Day,
        "hour" | "hours" => Unit::Hour,
        "minute" | "minutes" => Unit::Minute,
        "second" | "seconds" => Unit::Second,
        "millisecond" | "milliseconds" => Unit::Millisecond,
        _ => return None,
    })
}

/// UCUM's units of time. Those of years and months are of a fixed length, unlike the calendar's.
fn ucum_time(code: &str) -> Option<Unit> {
    Some(match code {
        "a" => Unit::Year,
        "mo" => Unit::Month,
        "wk" => Unit::Week,
        "d" => Unit::Day,
        "h" => Unit::Hour,
        "min" => Unit::Minute,
        "s" => Unit::Second,
        "ms" => Unit::Millisecond,
        _ => return None,
    })
}

impl<'n> Quantity<'n> {
    pub(super) fn new(value: Decimal, unit: Cow<'n, str>, calendar: bool) -> Quantity<'n> {
        Quantity {
            value,
            unit,
            calendar,
        }
    }

    pub(super) fn borrowed(&self) -> Quantity<'_> {
        Quantity {
            value: self.value,
            unit: Cow::Borrowed(&self.unit),
            calendar: self.calendar,
        }
    }

    pub(super) fn owned(self) -> Quantity<'static> {
        Quantity {
            value: self.value,
            unit: Cow::Owned(self.unit.into_owned()),
            calendar: self.calendar,
        }
    }

    /// As time that can be added to a date: years and months only by the calendar's words.
    pub(super) fn time(&self) -> Option<Unit> {
        if self.calendar {
            return calendar(&self.unit);
        }
        ucum_time(&self.unit).filter(|unit| *unit > Unit::Month)
    }

    /// A unit of fixed length in milliseconds; from a week down calendar and UCUM agree.
    fn milliseconds(&self) -> Option<Decimal> {
        let factor: i64 = match self.time()? {
            Unit::Year | Unit::Month => return None,
            Unit::Week => 7 * 86_400_000,
            Unit::Day => 86_400_000,
            Unit::Hour => 3_600_000,
            Unit::Minute => 60_000,
            Unit::Second => 1000,
            Unit::Millisecond => 1,
        };
        self.value.checked_mul(factor.into())
    }

    /// Both in one unit, where they have one in common.
    pub(super) fn alike(&self, other: &Quantity<'_>) -> Option<(Decimal, Decimal)> {
        let same = if self.calendar && other.calendar {
            calendar(&self.unit) == calendar(&other.unit)
        } else {
            self.calendar == other.calendar && self.unit == other.unit
        };
        if same {
            return Some((self.value, other.value));
        }
        if let (Some(a), Some(b)) = (self.milliseconds(), other.milliseconds()) {
            return Some((a, b));
        }
        if self.calendar || other.calendar {
            return self.months().zip(other.months());
        }
        let (a, a_base) = super::ucum::base(&self.unit)?;
        let (b, b_base) = super::ucum::base(&other.unit)?;
        if a_base != b_base {
            return None;
        }
        Some((self.value.checked_mul(a)?, other.value.checked_mul(b)?))
    }

    fn months(&self) -> Option<Decimal> {
        match calendar(&self.unit).filter(|_| self.calendar)? {
            Unit::Year => self.value.checked_mul(12.into()),
            Unit::Month => Some(self.value),
            _ => None,
        }
    }

    /// The order of two of units that can be compared.
    pub(super) fn order(&self, other: &Quantity<'_>) -> Option<Ordering> {
        self.alike(other).map(|(a, b)| a.cmp(&b))
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.calendar {
            write!(f, "{} {}", self.value, self.unit)
        } else {
            write!(f, "{} '{}'", self.value, self.unit)
        }
    }
}
