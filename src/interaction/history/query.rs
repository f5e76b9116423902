//! The parameters of a history: <https://hl7.org/fhir/R4/http.html#history>

use crate::{
    calendar,
    fhir::{
        Interval,
        outcome::{Issue, IssueType},
    },
    interaction::{Refusal, search::Handling},
    search::plan::CURSOR,
};

/// The page where `_count` is absent.
const COUNT: u16 = 50;

/// What is asked of a history.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only versions made then or later.
    pub since: Option<i64>,
    /// Only versions that were the current one at some time of it.
    pub at: Option<Interval>,
    /// Most entries on a page.
    pub count: u16,
    /// Where the page begins.
    pub cursor: Option<String>,
    /// What was used, for the self link, without the cursor.
    pub used: Vec<(String, String)>,
}

impl Query {
    /// Reads decoded pairs; every problem is told.
    pub fn parse(
        pairs: &[(String, String)],
        handling: Handling,
        count_max: u16,
    ) -> Result<Query, Refusal> {
        let mut query = Query {
            count: COUNT.min(count_max),
            ..Query::default()
        };
        let mut issues = Vec::new();
        let wrong = |name: &str, text: &str| {
            let text = format!("parameter `{name}`: {text}");
            Issue::new(IssueType::Value, text)
        };
        for (name, value) in pairs {
            let again = query.used.iter().any(|(used, _)| used == name);
            match name.as_str() {
                "_format" | "_pretty" => continue,
                CURSOR => {
                    query.cursor = Some(value.clone());
                    continue;
                }
                "_since" | "_at" | "_count" if again => {
                    issues.push(wrong(name, "may be given only once"));
                    continue;
                }
                "_since" | "_at" => {
                    let asked = Interval::of(value, &calendar::zone());
                    match asked {
                        None => issues.push(wrong(name, "is not a FHIR date or instant")),
                        Some(asked) if name == "_since" => query.since = Some(asked.start),
                        asked => query.at = asked,
                    }
                }
                "_count" => {
                    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
                    if !digits {
                        issues.push(wrong(name, "must be a whole number"));
                    }
                    query.count = value.parse().unwrap_or(u16::MAX).min(count_max);
                }
                _ if handling == Handling::Lenient => continue,
                _ => {
                    let text = "a history takes _since, _at and _count";
                    issues.push(Issue::new(IssueType::NotSupported, text));
                    continue;
                }
            }
            query.used.push((name.clone(), value.clone()));
        }
        match issues.is_empty() {
            true => Ok(query),
            false => Err(Refusal::Invalid(issues)),
        }
    }

    /// Whether a version that was made at `from`, and was the current one until `until`, is asked for.
    pub fn keeps(&self, from: i64, until: i64) -> bool {
        self.since.is_none_or(|since| from >= since)
            && self.at.is_none_or(|at| from <= at.end && until > at.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], handling: Handling) -> Result<Query, Refusal> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let pairs: Vec<_> = pairs.iter().map(own).collect();
        Query::parse(&pairs, handling, 100)
    }

    #[test]
    fn parameters_are_read_or_refused() {
        let query = read(&[("_count", "500"), ("_format", "json")], Handling::Strict).unwrap();
        assert_eq!((query.count, query.used.len()), (100, 1));
        for wrong in [
            [("_count", "x")],
            [("_since", "yesterday")],
            [("_at", "2026-13")],
            [("code", "x")],
        ] {
            assert!(read(&wrong, Handling::Strict).is_err(), "{wrong:?}");
        }
        assert!(read(&[("_count", "1"), ("_count", "2")], Handling::Strict).is_err());
        let lenient = read(&[("code", "x")], Handling::Lenient).unwrap();
        assert!(lenient.used.is_empty());
    }

    #[test]
    fn at_means_that_a_version_was_current() {
        let query = read(&[("_at", "2026-01-02T00:00:00Z")], Handling::Strict).unwrap();
        let at = query.at.unwrap();
        assert!(query.keeps(at.start - 5, at.start + 1));
        assert!(query.keeps(at.end, i64::MAX));
        assert!(!query.keeps(at.start - 5, at.start));
        assert!(!query.keeps(at.end + 1, i64::MAX));
    }
}
