//! Enough of UCUM (<https://ucum.org/ucum>) to compare quantities of metric, common and time units.
//! Units outside this table compare with themselves only.

use rust_decimal::Decimal;

/// Base units with their exponents, sorted.
pub(super) type Base = Vec<(&'static str, i32)>;

/// Units with their exponents, a significand, a power of ten.
type Multiple = (&'static [(&'static str, i32)], i64, i32);

/// Symbol, what it is a multiple of as (units, significand, power of ten), whether it takes prefixes.
type Atom = (&'static str, &'static [(&'static str, i32)], i64, i32, bool);

const ATOMS: [Atom; 23] = [
    ("m", &[("m", 1)], 1, 0, true),
    ("g", &[("g", 1)], 1, 0, true),
    ("s", &[("s", 1)], 1, 0, true),
    ("mol", &[("mol", 1)], 1, 0, true),
    ("L", &[("m", 3)], 1, -3, true),
    ("l", &[("m", 3)], 1, -3, true),
    ("min", &[("s", 1)], 60, 0, false),
    ("h", &[("s", 1)], 3600, 0, false),
    ("d", &[("s", 1)], 86_400, 0, false),
    ("wk", &[("s", 1)], 604_800, 0, false),
    ("Hz", &[("s", -1)], 1, 0, true),
    ("N", &[("g", 1), ("m", 1), ("s", -2)], 1, 3, true),
    ("Pa", &[("g", 1), ("m", -1), ("s", -2)], 1, 3, true),
    ("J", &[("g", 1), ("m", 2), ("s", -2)], 1, 3, true),
    ("W", &[("g", 1), ("m", 2), ("s", -3)], 1, 3, true),
    ("%", &[], 1, -2, false),
    ("[in_i]", &[("m", 1)], 254, -4, false),
    ("[ft_i]", &[("m", 1)], 3048, -4, false),
    ("[lb_av]", &[("g", 1)], 45_359_237, -5, false),
    ("[oz_av]", &[("g", 1)], 28_349_523_125, -9, false),
    ("[iU]", &[("[iU]", 1)], 1, 0, true),
    ("U", &[("mol", 1), ("min", -1)], 1, -6, true),
    ("eq", &[("mol", 1)], 1, 0, true),
];

const PREFIXES: [(&str, i32); 12] = [
    ("da", 1),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
];

/// The factor and the base units of a unit.
pub(super) fn base(unit: &str) -> Option<(Decimal, Base)> {
    let (mut factor, mut power, mut found) = (Decimal::ONE, 0, Base::new());
    let mut rest = unit;
    let mut sign = 1;
    while !rest.is_empty() {
        let end = rest.find(['.', '/']).unwrap_or(rest.len());
        let term = rest.get(..end)?;
        if !term.is_empty() {
            let (symbol, exponent) = exponent(term)?;
            let times = sign * exponent;
            let (units, significand, ten) = atom(symbol)?;
            power += ten * times;
            for _ in 0..times.abs() {
                let one = Decimal::from(significand);
                factor = if times > 0 {
                    factor.checked_mul(one)?
                } else {
                    factor.checked_div(one)?
                };
            }
            for (base, exponent) in units {
                match found.iter_mut().find(|(known, _)| known == base) {
                    Some((_, sum)) => *sum += exponent * times,
                    None => found.push((base, exponent * times)),
                }
            }
        }
        let separator = rest.get(end..).and_then(|rest| rest.chars().next());
        if separator == Some('/') {
            sign = -1;
        } else {
            sign = 1;
        }
        rest = rest.get(end + separator.map_or(0, char::len_utf8)..)?;
    }
    found.retain(|(_, exponent)| *exponent != 0);
    found.sort_unstable();
    let ten = Decimal::TEN;
    for _ in 0..power.abs().min(28) {
        factor = if power > 0 {
            factor.checked_mul(ten)?
        } else {
            factor.checked_div(ten)?
        };
    }
    (power.abs() <= 28 && !factor.is_zero()).then_some((factor, found))
}

/// `m2` is m, 2.
fn exponent(term: &str) -> Option<(&str, i32)> {
    let digits = term.trim_end_matches(|c: char| c.is_ascii_digit());
    if digits.is_empty() {
        return (term == "1").then_some(("1", 1));
    }
    let (symbol, negative) = match digits.strip_suffix('-') {
        Some(symbol) => (symbol, true),
        None => (digits, false),
    };
    let number = term.get(digits.len()..)?;
    if number.is_empty() {
        return (!negative).then_some((symbol, 1));
    }
    let exponent: i32 = number.parse().ok().filter(|number| *number <= 9)?;
    Some((symbol, if negative { -exponent } else { exponent }))
}

fn atom(symbol: &str) -> Option<Multiple> {
    if symbol == "1" {
        return Some((&[], 1, 0));
    }
    if let Some((_, units, significand, ten, _)) = ATOMS.iter().find(|atom| atom.0 == symbol) {
        return Some((units, *significand, *ten));
    }
    PREFIXES.iter().find_map(|(prefix, more)| {
        let rest = symbol.strip_prefix(prefix)?;
        let (_, units, significand, ten, _) = ATOMS.iter().find(|atom| atom.0 == rest && atom.4)?;
        Some((*units, *significand, ten + more))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_one_kind_have_one_base() {
        let same = |a: &str, b: &str, times: &str| {
            let ((a, a_base), (b, b_base)) = (base(a).unwrap(), base(b).unwrap());
            a_base == b_base && a / b == times.parse::<Decimal>().unwrap()
        };
        assert!(same("g", "mg", "1000"));
        assert!(same("mg/dL", "g/L", "0.01"));
        assert!(same("kg/m2", "g/cm2", "0.1"));
        assert!(same("[in_i]", "cm", "2.54"));
        assert!(same("h", "min", "60"));
        assert_eq!(base("1"), Some((Decimal::ONE, Vec::new())));
        assert_eq!(base("[degF]"), None);
        assert_ne!(base("g").unwrap().1, base("m").unwrap().1);
    }
}
