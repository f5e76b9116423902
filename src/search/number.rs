//! Numbers and quantities: their implicit precision and how prefixes compare ranges
//! (<https://hl7.org/fhir/R4/search.html#number>).

use super::{filter::Prefix, index::Span};

/// A number with its prefix. `low` and `high` are the half-open range that its digits stand for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberTest {
    /// How the two must lie.
    pub prefix: Prefix,
    /// The number itself.
    pub value: f64,
    /// The lowest value that is the same to the digits given.
    pub low: f64,
    /// The first value above that is not.
    pub high: f64,
}

/// A quantity with its prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantityTest {
    /// The number, in the unit as asked.
    pub number: NumberTest,
    /// What the unit must be.
    pub unit: UnitTest,
}

/// What the unit of a quantity must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitTest {
    /// None was asked for.
    Any,
    /// `||unit`: the code or the unit in words.
    Said(Box<str>),
    /// `|system|code`: exactly that.
    Coded(Box<str>, Box<str>),
    /// The same in UCUM: any unit of that dimension, the number on the common scale.
    Scaled(Box<str>),
}

impl NumberTest {
    /// Reads a decimal with its prefix.
    pub fn parse(text: &str) -> Option<NumberTest> {
        let (prefix, text) = Prefix::split(text);
        let (low, value, high) = range(text)?;
        Some(NumberTest {
            prefix,
            value,
            low,
            high,
        })
    }

    /// The same test of values on another, rising scale.
    #[must_use]
    pub fn on(self, scale: impl Fn(f64) -> f64) -> NumberTest {
        let (low, value, high) = around(scale(self.low), scale(self.value), scale(self.high));
        NumberTest {
            prefix: self.prefix,
            value,
            low,
            high,
        }
    }

    /// Whether a value, or a range of values, passes. The store writes the same comparisons in SQL.
    pub fn matches(self, span: &Span) -> bool {
        let same = span.low >= self.low && span.high < self.high;
        match self.prefix {
            Prefix::Eq => same,
            Prefix::Ne => !same,
            Prefix::Gt => span.high > self.value,
            Prefix::Lt => span.low < self.value,
            Prefix::Ge => span.high >= self.value,
            Prefix::Le => span.low <= self.value,
            Prefix::Sa => span.low > self.value,
            Prefix::Eb => span.high < self.value,
            Prefix::Ap => {
                let (low, high) = self.about();
                span.low <= high && span.high >= low
            }
        }
    }

    /// What `ap` overlaps: a tenth to either side, or the digits' own range where that is wider.
    pub fn about(self) -> (f64, f64) {
        let tenth = self.value.abs() / 10.0;
        (
            (self.value - tenth).min(self.low),
            (self.value + tenth).max(self.high),
        )
    }
}

/// More digits than a machine number has are the number itself.
fn around(low: f64, value: f64, high: f64) -> (f64, f64, f64) {
    (low.min(value), value, high.max(value.next_up()))
}

/// The lowest value, the value, and the first value above of what the digits stand for: `100` is
/// [99.5, 100.5), `100.00` [99.995, 100.005), and `1e2`, as the specification has it, [95, 105).
fn range(text: &str) -> Option<(f64, f64, f64)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let has_exponent = mantissa.len() != text.len();
    let digits = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let written = !(whole.is_empty() && fraction.is_empty());
    if !written || !all_digits(whole) || !all_digits(fraction) || digits.len() > 60 {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    let places = if has_exponent { places.max(1) } else { places };
    // Half of the last place, added digit by digit, so that 5.4 begins at 5.35 and not just below.
    let scale = places + 1;
    let unscaled = format!("{whole}{fraction}");
    let mut ten: i128 = unscaled.parse().ok()?;
    let missing = scale - i32::try_from(fraction.len()).ok()?;
    for _ in 0..missing {
        ten = ten.checked_mul(10)?;
    }
    if mantissa.starts_with('-') {
        ten = -ten;
    }
    let at = |number: i128| -> Option<f64> {
        let number: f64 = format!("{number}e{}", exponent.checked_sub(scale)?)
            .parse()
            .ok()?;
        number.is_finite().then_some(number)
    };
    if !value.is_finite() {
        return None;
    }
    let (low, high) = (at(ten.checked_sub(5)?)?, at(ten.checked_add(5)?)?);
    Some(around(low, value, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(value: f64) -> Span {
        Span {
            text: None,
            low: value,
            high: value,
        }
    }

    fn passes(query: &str, value: f64) -> bool {
        NumberTest::parse(query).unwrap().matches(&span(value))
    }

    #[test]
    fn digits_say_how_exact_a_number_is() {
        assert_eq!(range("100"), Some((99.5, 100.0, 100.5)));
        assert_eq!(range("100.00"), Some((99.995, 100.0, 100.005)));
        assert_eq!(range("1e2"), Some((95.0, 100.0, 105.0)));
        assert_eq!(range("5.4"), Some((5.35, 5.4, 5.45)));
        assert_eq!(range("-5.4"), Some((-5.45, -5.4, -5.35)));
        assert_eq!(range("0"), Some((-0.5, 0.0, 0.5)));
        assert!(passes("66.89999999999999", 66.899_999_999_999_99));
        assert_eq!(range("5.4e-3"), Some((0.00535, 0.0054, 0.00545)));
        for text in [
            "", "-", ".", "x", "1e", "1e400", "NaN", "inf", "1_0", "0x1", "1.2.3",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_compare_the_number_and_only_equality_its_digits() {
        for (query, value, expected) in [
            ("100", 99.5, true),
            ("100", 100.5, false),
            ("ne100", 100.4, false),
            ("ne100", 100.5, true),
            ("gt100", 100.0, false),
            ("gt100", 100.1, true),
            ("lt100", 99.9, true),
            ("ge100", 100.0, true),
            ("ge100", 99.9, false),
            ("le100", 100.0, true),
            ("sa100", 100.0, false),
            ("eb100", 99.0, true),
            ("ap100", 109.9, true),
            ("ap100", 110.1, false),
            ("ap0", 0.4, true),
        ] {
            assert_eq!(passes(query, value), expected, "{query} {value}");
        }
    }

    #[test]
    fn ranges_are_inside_or_overlap() {
        let open = Span {
            text: None,
            low: f64::NEG_INFINITY,
            high: 5.0,
        };
        let test = |query: &str| NumberTest::parse(query).unwrap().matches(&open);
        assert!(test("lt3") && test("gt3") && test("eb6") && test("ap3"));
        assert!(!test("5") && !test("gt5") && test("ge5") && !test("sa3"));
    }

    proptest! {
        #[test]
        fn the_range_holds_its_number_and_nothing_panics(text in "-?[0-9]{0,8}(\\.[0-9]{0,8})?(e-?[0-9]{1,3})?") {
            if let Some((low, value, high)) = range(&text) {
                prop_assert!(low <= value && value <= high, "{text}");
            }
        }
    }
}
