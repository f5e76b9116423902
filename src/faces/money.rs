//! Sums of decimal amounts, exact to the digit.

/// A decimal number: `units / 10^scale`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    units: i128,
    scale: u32,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Amount = Amount { units: 0, scale: 0 };

    /// Reads a JSON number without an exponent.
    pub fn parse(text: &str) -> Option<Amount> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let scale = u32::try_from(fraction.len())
            .ok()
            .filter(|scale| *scale <= 9)?;
        let units = format!("{whole}{fraction}").parse().ok()?;
        Some(Amount { units, scale })
    }

    /// The sum, in the finer of both scales.
    pub fn plus(self, other: Amount) -> Option<Amount> {
        let scale = self.scale.max(other.scale);
        let units = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Amount { units, scale })
    }

    /// Whether both are the same number.
    pub fn equals(self, other: Amount) -> bool {
        let scale = self.scale.max(other.scale);
        self.at(scale).is_some() && self.at(scale) == other.at(scale)
    }

    fn at(self, scale: u32) -> Option<i128> {
        let factor = 10i128.checked_pow(scale.checked_sub(self.scale)?)?;
        self.units.checked_mul(factor)
    }

    /// As a JSON number.
    pub fn text(self) -> String {
        if self.scale == 0 {
            return self.units.to_string();
        }
        let width = self.scale as usize + 1;
        let digits = format!("{:0width$}", self.units.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        let sign = if self.units < 0 { "-" } else { "" };
        format!("{sign}{whole}.{fraction}")
    }
}

/// The sum of all; nothing where one can't be read.
pub fn sum<'t>(amounts: impl IntoIterator<Item = Option<&'t str>>) -> Option<Amount> {
    amounts
        .into_iter()
        .try_fold(Amount::ZERO, |all, text| all.plus(Amount::parse(text?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact() {
        let total = sum([Some("0.1"), Some("0.20"), Some("-1")]).unwrap();
        assert_eq!(total.text(), "-0.70");
        assert_eq!(sum([Some("140.0")]).unwrap().text(), "140.0");
        assert_eq!(sum([Some("1"), None]), None);
        assert_eq!(sum([Some("1e3")]), None);
        assert!(
            Amount::parse("96.0")
                .unwrap()
                .equals(Amount::parse("96.00").unwrap())
        );
    }
}
