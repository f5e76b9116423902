//! Which care a minor could consent to (`profiles/statutes.toml`), by service class and date.

use crate::calendar;
use jiff::civil::Date;
use serde::Deserialize;
use std::sync::LazyLock;

/// The table, read once.
pub static MINORS: LazyLock<Minors> = LazyLock::new(|| {
    Minors::read(include_str!("../../profiles/statutes.toml")).unwrap_or_default()
});

/// The rows of minors' consent.
#[derive(Debug, Default, Deserialize)]
pub struct Minors {
    /// By service.
    #[serde(rename = "minor")]
    pub services: Vec<Row>,
    /// By who the minor is.
    #[serde(rename = "status")]
    pub statuses: Vec<Status>,
    /// What would reveal such care.
    #[serde(rename = "hold", default)]
    pub holds: Vec<Hold>,
}

/// A row that names services.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// Its short name.
    pub id: String,
    /// The statute section.
    pub basis: String,
    /// What it lets a minor consent to.
    pub title: String,
    services: Vec<String>,
    min_age: Option<i16>,
    effective_from: Option<toml::value::Datetime>,
    effective_until: Option<toml::value::Datetime>,
    settings_excluded: Vec<String>,
    conditions: Vec<Condition>,
    /// How sure we are of the text (see the head of the table).
    pub evidence: String,
    /// Where the text was read.
    pub source: String,
}

/// A row that follows from a Flag on the member.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// Its short name.
    pub id: String,
    /// The statute section.
    pub basis: String,
    /// The Flag's code.
    pub flag: String,
    min_age: Option<i16>,
}

/// Care that needs a parent but would reveal care that did not.
#[derive(Debug, Deserialize)]
pub struct Hold {
    /// Its short name.
    pub id: String,
    services: Vec<String>,
    min_age: i16,
}

#[derive(Debug, Deserialize)]
struct Condition {
    fact: String,
    default: bool,
}

/// What the care's own records say of the facts that the rows ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Care {
    /// An inpatient setting.
    pub inpatient: bool,
    /// The professional's finding of maturity, where recorded.
    pub mature: Option<bool>,
    /// Whether the minor is recorded as the one who consented.
    pub minor_consented: bool,
}

/// Whether a minor could consent, and whether an unrecorded fact decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// The minor could have consented.
    pub could: bool,
    /// Only by a default for something that nobody recorded.
    pub unsettled: bool,
}

impl Minors {
    fn read(text: &str) -> Result<Minors, toml::de::Error> {
        toml::from_str(text)
    }

    /// Whether a person born on `born` could consent, as a minor, to `service` on `on`.
    pub fn could_consent(&self, service: &str, born: Date, on: Date, care: Care) -> Finding {
        let age = calendar::age(born, on);
        let held = self
            .holds
            .iter()
            .any(|hold| age >= hold.min_age && hold.services.iter().any(|s| s == service));
        let mut finding = Finding {
            could: held,
            unsettled: held,
        };
        for row in self
            .services
            .iter()
            .filter(|row| row.applies(service, age, on, care))
        {
            match row.settled(care) {
                Some(true) => {
                    return Finding {
                        could: true,
                        unsettled: false,
                    };
                }
                Some(false) => {}
                None => {
                    finding = Finding {
                        could: true,
                        unsettled: true,
                    };
                }
            }
        }
        finding
    }

    /// Whether a member with this Flag is treated as an adult at `age`.
    pub fn status(&self, flag: &str, age: i16) -> bool {
        self.statuses
            .iter()
            .any(|status| status.flag == flag && status.min_age.is_none_or(|least| age >= least))
    }
}

impl Row {
    fn applies(&self, service: &str, age: i16, on: Date, care: Care) -> bool {
        let after = date(self.effective_from).is_none_or(|from| on >= from);
        let before = date(self.effective_until).is_none_or(|until| on <= until);
        self.services.iter().any(|named| named == service)
            && self.min_age.is_none_or(|least| age >= least)
            && after
            && before
            && !(care.inpatient && self.settings_excluded.iter().any(|s| s == "inpatient"))
    }

    /// `Some` where every condition is recorded or needs no record; `None` where the maturity
    /// finding, which decides, is not recorded.
    fn settled(&self, care: Care) -> Option<bool> {
        for condition in &self.conditions {
            match (condition.fact.as_str(), care.mature) {
                ("minor-mature", Some(mature)) if !mature => return Some(false),
                ("minor-mature", Some(_)) => {}
                ("minor-mature", None) if condition.default => return None,
                _ if condition.default => {}
                _ => return Some(false),
            }
        }
        Some(true)
    }
}

fn date(value: Option<toml::value::Datetime>) -> Option<Date> {
    let date = value?.date?;
    Date::new(
        i16::try_from(date.year).ok()?,
        i8::try_from(date.month).ok()?,
        i8::try_from(date.day).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    fn could(service: &str, born: &str, on: &str) -> bool {
        let care = Care {
            mature: Some(true),
            ..Care::default()
        };
        MINORS
            .could_consent(service, day(born), day(on), care)
            .could
    }

    #[test]
    fn rule_sen_2_the_age_is_that_of_the_service_date() {
        assert!(!could(
            "sti-diagnosis-treatment",
            "2014-11-24",
            "2026-11-23"
        ));
        assert!(could("sti-diagnosis-treatment", "2014-11-24", "2026-11-24"));
        assert!(could("contraception", "2016-01-01", "2026-11-24"));
        assert!(could("sexual-assault", "2016-01-01", "2026-11-24"));
        assert!(!could("moud-buprenorphine", "2010-11-25", "2026-11-24"));
        assert!(could("moud-buprenorphine", "2010-11-24", "2026-11-24"));
        assert!(!could("moud-buprenorphine", "2007-11-24", "2023-12-31"));
        assert!(!could("gender-affirming", "2009-11-24", "2026-11-24"));
        assert!(!could("sterilization", "2009-11-24", "2026-11-24"));
    }

    #[test]
    fn rule_sen_2_an_unrecorded_finding_protects_and_asks_for_review() {
        let born = day("2011-07-24");
        let ask = |mature, inpatient| {
            MINORS.could_consent(
                "mh-outpatient",
                born,
                day("2026-11-01"),
                Care {
                    mature,
                    inpatient,
                    ..Care::default()
                },
            )
        };
        assert_eq!(
            ask(Some(true), false),
            Finding {
                could: true,
                unsettled: false
            }
        );
        assert_eq!(
            ask(Some(false), false),
            Finding {
                could: false,
                unsettled: false
            }
        );
        assert_eq!(
            ask(None, false),
            Finding {
                could: true,
                unsettled: true
            }
        );
        assert!(!ask(Some(true), true).could, "inpatient care is excluded");
    }

    #[test]
    fn a_drug_that_reveals_counselling_is_held() {
        let ask =
            |born| MINORS.could_consent("mh-drug", day(born), day("2026-11-24"), Care::default());
        assert_eq!(
            ask("2011-07-24"),
            Finding {
                could: true,
                unsettled: true
            }
        );
        assert!(!ask("2015-07-24").could);
    }

    #[test]
    fn statuses_make_adults() {
        assert!(MINORS.status("emancipated", 14));
        assert!(MINORS.status("self-sufficient-minor", 15));
        assert!(!MINORS.status("self-sufficient-minor", 14));
    }
}
