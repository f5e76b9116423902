//! The value sets that R4 binds elements to with strength `required`, from the official definitions:
//! codes (`profiles/r4/codes.tsv`), or a format where a set can't be listed (`profiles/r4/formats.tsv`).

use std::sync::LazyLock;

/// The sets, read once; their form is checked by the tests and by `confide doctor`.
pub static CODES: LazyLock<CodeSets> = LazyLock::new(|| {
    CodeSets::read(
        include_str!("../../profiles/r4/codes.tsv"),
        include_str!("../../profiles/r4/formats.tsv"),
    )
});

/// A value set, by its place in [`CodeSets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetId(u16);

/// All required value sets.
#[derive(Debug)]
pub struct CodeSets {
    sets: Vec<CodeSet>,
}

/// A value set.
#[derive(Debug)]
pub struct CodeSet {
    /// The last part of its canonical URL (`administrative-gender`).
    pub name: &'static str,
    /// What is of it.
    pub members: Members,
}

/// What is of a value set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Members {
    /// Codes by their system, sorted.
    Listed(Vec<(&'static str, Vec<&'static str>)>),
    /// Whatever keeps to a format.
    Format(Format),
}

/// How the codes of a set are held to that can't be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Three capital letters (ISO 4217).
    Currency,
    /// `type/subtype` with parameters (BCP 13).
    Mime,
    /// The same, or a short name (`json`).
    ShortMime,
    /// Printable ASCII without spaces (UCUM).
    Ucum,
    /// Subtags of letters and digits (BCP 47).
    Language,
    /// Anything.
    Any,
}

impl CodeSets {
    fn read(codes: &'static str, formats: &'static str) -> CodeSets {
        let mut sets: Vec<CodeSet> = Vec::new();
        for row in rows(codes) {
            let [name, system, codes] = row.as_slice() else {
                continue;
            };
            let listed = (*system, codes.split(' ').collect());
            match sets.last_mut() {
                Some(CodeSet {
                    name: last,
                    members: Members::Listed(systems),
                }) if last == name => systems.push(listed),
                _ => sets.push(CodeSet {
                    name,
                    members: Members::Listed(vec![listed]),
                }),
            }
        }
        for row in rows(formats) {
            if let [name, format, ..] = row.as_slice()
                && let Some(format) = Format::named(format)
            {
                let members = Members::Format(format);
                sets.push(CodeSet { name, members });
            }
        }
        sets.sort_by_key(|set| set.name);
        CodeSets { sets }
    }

    /// The set of that name.
    pub fn named(&self, name: &str) -> Option<SetId> {
        let at = self.sets.binary_search_by_key(&name, |set| set.name).ok()?;
        u16::try_from(at).ok().map(SetId)
    }

    /// The set behind an id.
    pub fn set(&self, id: SetId) -> Option<&CodeSet> {
        self.sets.get(usize::from(id.0))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

impl CodeSet {
    /// Whether a code of whatever system the element's own is (`code`) is of this set.
    pub fn has_code(&self, code: &str) -> bool {
        match &self.members {
            Members::Listed(systems) => systems
                .iter()
                .any(|(_, codes)| codes.binary_search(&code).is_ok()),
            Members::Format(format) => format.fits(code),
        }
    }

    /// Whether a coding is of this set.
    pub fn has_coding(&self, system: &str, code: &str) -> bool {
        match &self.members {
            Members::Listed(systems) => systems
                .iter()
                .any(|(of, codes)| *of == system && codes.binary_search(&code).is_ok()),
            Members::Format(format) => format.is_system(system) && format.fits(code),
        }
    }
}

impl Format {
    fn named(name: &str) -> Option<Format> {
        Some(match name {
            "currency" => Format::Currency,
            "mime" => Format::Mime,
            "short-mime" => Format::ShortMime,
            "ucum" => Format::Ucum,
            "language" => Format::Language,
            "any" => Format::Any,
            _ => return None,
        })
    }

    /// Whether its codes are of that system.
    pub fn is_system(self, system: &str) -> bool {
        match self {
            Format::Currency => system == "urn:iso:std:iso:4217",
            Format::Mime | Format::ShortMime => system == "urn:ietf:bcp:13",
            Format::Ucum => system == "http://unitsofmeasure.org",
            Format::Language => system == "urn:ietf:bcp:47",
            Format::Any => true,
        }
    }

    /// Whether a code keeps to it.
    pub fn fits(self, code: &str) -> bool {
        match self {
            Format::Currency => code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()),
            Format::Mime => code.contains('/') && mime(code),
            Format::ShortMime => mime(code),
            Format::Ucum => !code.is_empty() && code.bytes().all(|b| b.is_ascii_graphic()),
            Format::Language => language(code),
            Format::Any => true,
        }
    }
}

/// RFC 6838, section 4.2; a short name (`json`) where there is no slash.
fn mime(code: &str) -> bool {
    let (kind, parameters) = code.split_once(';').unwrap_or((code, ""));
    let part = |part: &str| {
        let part = part.trim();
        let mark = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+*".contains(&b);
        (1..=127).contains(&part.len()) && part.bytes().all(mark)
    };
    kind.split('/').count() <= 2
        && kind.split('/').all(part)
        && parameters.chars().all(|c| !c.is_control())
}

/// RFC 5646, section 2.1: the form, not the registry.
fn language(code: &str) -> bool {
    let mut tags = code.split('-');
    let first = tags.next().unwrap_or_default();
    let letters = first.bytes().all(|b| b.is_ascii_alphabetic());
    let known = matches!(first, "x" | "i" | "X" | "I") && code.len() > 2;
    (known || (letters && (2..=8).contains(&first.len())))
        && tags.all(|tag| {
            (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> &'static CodeSet {
        CODES.set(CODES.named(name).unwrap()).unwrap()
    }

    #[test]
    fn codes_are_known_by_their_set_and_system() {
        let gender = set("administrative-gender");
        assert!(gender.has_code("female") && !gender.has_code("Female"));
        let clinical = set("condition-clinical");
        let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
        assert!(clinical.has_coding(system, "remission"));
        assert!(!clinical.has_coding("http://else.example", "remission"));
        assert!(!clinical.has_coding(system, "confirmed"));
        assert!(CODES.named("ghost").is_none());
    }

    #[test]
    fn every_row_is_read_and_codes_are_sorted() {
        assert!(CODES.len() > 220, "{}", CODES.len());
        for set in &CODES.sets {
            if let Members::Listed(systems) = &set.members {
                for (system, codes) in systems {
                    assert!(codes.is_sorted(), "{} {system}", set.name);
                }
            }
        }
        let formats = include_str!("../../profiles/r4/formats.tsv");
        for row in rows(formats) {
            assert!(matches!(set(row[0]).members, Members::Format(_)), "{row:?}");
        }
    }

    #[test]
    fn formats_hold_what_has_no_list() {
        let all = |format: Format, good: &[&str], bad: &[&str]| {
            for code in good {
                assert!(format.fits(code), "{code}");
            }
            for code in bad {
                assert!(!format.fits(code), "{code}");
            }
        };
        all(Format::Currency, &["USD"], &["usd", "US", "DOLLAR", ""]);
        let good = [
            "text/plain",
            "text/plain; charset=utf-8",
            "application/fhir+json",
        ];
        let bad = ["", "a/b/c", "a b/c", "/", "text/"];
        all(Format::Mime, &good, &[&bad[..], &["json"]].concat());
        all(Format::ShortMime, &[&good[..], &["json"]].concat(), &bad);
        all(Format::Ucum, &["mg/dL", "{score}"], &["mg dL", "µg", ""]);
        let good = [
            "en",
            "en-US",
            "zh-Hant-TW",
            "x-own",
            "i-klingon",
            "de-CH-1901",
        ];
        all(
            Format::Language,
            &good,
            &["e", "english language", "en_US", "en-", "x", "123"],
        );
    }
}
