//! Where an entry stands: its chain and its number there.

use std::fmt;

/// An entry's place, and as `chain-seq` its AuditEvent's id. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The chain.
    pub chain: i64,
    /// The entry's number in it.
    pub seq: i64,
}

impl Place {
    /// Reads an AuditEvent id of ours; only the one spelling that [`Place`] prints.
    pub fn parse(id: &str) -> Option<Place> {
        let (chain, seq) = id.split_once('-')?;
        Some(Place {
            chain: count(chain)?,
            seq: count(seq)?,
        })
    }
}

/// A number from 1, without sign or leading zeros.
fn count(text: &str) -> Option<i64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number: i64 = text.parse().ok()?;
    plain.then_some(number)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.chain, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Id;

    #[test]
    fn a_place_is_an_id_with_one_spelling() {
        let place = Place { chain: 3, seq: 17 };
        assert_eq!(place.to_string(), "3-17");
        assert_eq!(Place::parse("3-17"), Some(place));
        for other in [
            "", "3", "3-", "-3", "03-17", "3-017", "+3-17", "3-0", "3-1-7", "a-b",
        ] {
            assert_eq!(Place::parse(other), None, "{other}");
        }
        let last = Place {
            chain: i64::MAX,
            seq: i64::MAX,
        };
        assert!(Id::parse(&last.to_string()).is_some());
    }
}
