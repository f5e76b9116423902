//! Units of UCUM on a common scale (<https://hl7.org/fhir/R4/search.html#quantity>, "the server may
//! convert units"), by the `ucum-units` crate.

use std::fmt;

/// The code system of UCUM.
pub const UCUM: &str = "http://unitsofmeasure.org";

/// The longest code that is read: an honest one is far shorter.
const LONGEST: usize = 64;

/// How values in a unit are put on the scale of the base units.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// The dimension that values of this scale share: `m2.s-1` and the like.
    pub dimension: Box<str>,
    factor: f64,
    offset: f64,
}

impl Scale {
    /// The scale of a UCUM code. `None` for what is no unit, for arbitrary units (`[iU]`), which UCUM
    /// compares with nothing, and for logarithmic ones: those are compared as written.
    pub fn of(code: &str) -> Option<Scale> {
        if code.len() > LONGEST {
            return None;
        }
        let unit = ucum::analyze(code).ok()?;
        let is_temperature = unit.dimension.0 == [0, 0, 0, 0, 1, 0, 0];
        if (unit.is_special && !is_temperature) || !(unit.factor > 0.0 && unit.factor.is_finite()) {
            return None;
        }
        Some(Scale {
            dimension: Dimension(&unit.dimension.0).to_string().into(),
            factor: unit.factor,
            offset: unit.offset,
        })
    }

    /// The value on the scale. Rising values rise.
    pub fn put(&self, value: f64) -> f64 {
        value * self.factor + self.offset
    }
}

struct Dimension<'d>(&'d [i8]);

impl fmt::Display for Dimension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BASE: [&str; 7] = ["m", "s", "g", "rad", "K", "C", "cd"];
        let mut first = true;
        for (base, power) in BASE.iter().zip(self.0) {
            if *power != 0 {
                let dot = if first { "" } else { "." };
                write!(f, "{dot}{base}{power}")?;
                first = false;
            }
        }
        if first { f.write_str("1") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: (f64, &str), b: (f64, &str)) -> bool {
        let (one, other) = (Scale::of(a.1).unwrap(), Scale::of(b.1).unwrap());
        let (x, y) = (one.put(a.0), other.put(b.0));
        one.dimension == other.dimension && (x - y).abs() <= 1e-9 * x.abs().max(1.0)
    }

    #[test]
    fn the_same_amount_in_another_unit_is_the_same() {
        for (a, b) in [
            ((1.0, "g/dL"), (10.0, "g/L")),
            ((1.0, "mg"), (1000.0, "ug")),
            ((37.0, "Cel"), (98.6, "[degF]")),
            ((4.0, "10*9/L"), (4.0, "10*3/uL")),
            ((1.0, "kPa"), (7.500_637_554_192_106, "mm[Hg]")),
            ((2.0, "h"), (120.0, "min")),
            ((1.0, "[lb_av]"), (453.592_37, "g")),
        ] {
            assert!(close(a, b), "{a:?} {b:?}");
        }
        assert!(!close((1.0, "g"), (1.0, "m")));
    }

    #[test]
    fn what_has_no_common_scale_has_none() {
        for code in [
            "TAB",
            "[iU]",
            "kU/Lx",
            "",
            "[pH]",
            &"(".repeat(40),
            &"m".repeat(70),
        ] {
            assert_eq!(Scale::of(code), None, "{code}");
        }
    }
}
