//! Filters over a record in memory: what the store's SQL must agree with, and what conditional
//! references within a transaction use.

use super::{
    filter::{Filter, ReferenceTest, StringTest, Test, TokenTest},
    index::{IndexEntry, IndexValue},
    plan::Plan,
};
use crate::fhir::{Id, Instant, Kind, Target};

/// A record as a filter sees it. Whoever asks about less than the whole record passes the entries
/// that may be known only.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its type.
    pub kind: Kind,
    /// Its id.
    pub id: Option<&'a Id>,
    /// Its time.
    pub last_updated: Option<Instant>,
    /// Its index entries.
    pub entries: &'a [IndexEntry],
}

impl Plan {
    /// Whether a record is of the type asked for and passes every filter.
    pub fn matches(&self, subject: &Subject) -> bool {
        self.kind.is_none_or(|kind| kind == subject.kind)
            && self.filters.iter().all(|filter| filter.matches(subject))
    }
}

impl Filter {
    /// Whether a record passes.
    pub fn matches(&self, subject: &Subject) -> bool {
        let any = |test: &dyn Fn(&IndexValue) -> bool| {
            subject
                .entries
                .iter()
                .any(|entry| entry.param == self.param.id && test(&entry.value))
        };
        match &self.test {
            Test::Missing(missing) => any(&|_| true) != *missing,
            Test::Id(ids) => subject.id.is_some_and(|id| ids.contains(id)),
            Test::LastUpdated(tests) => subject
                .last_updated
                .is_some_and(|at| tests.iter().any(|test| test.matches_moment(at))),
            Test::Token(tests) => any(&|value| tests.iter().any(|test| test.matches(value))),
            Test::NotToken(tests) => !any(&|value| tests.iter().any(|test| test.matches(value))),
            Test::Date(tests) => any(&|value| match value {
                IndexValue::Date(interval) => tests.iter().any(|test| test.matches(*interval)),
                _ => false,
            }),
            Test::String(tests) => any(&|value| tests.iter().any(|test| test.matches(value))),
            Test::Reference(tests) => any(&|value| match value {
                IndexValue::Reference(target) => tests.iter().any(|test| test.matches(target)),
                _ => false,
            }),
            Test::Uri(uris) => any(&|value| match value {
                IndexValue::Uri(uri) => uris.contains(uri),
                _ => false,
            }),
        }
    }
}

impl TokenTest {
    /// Whether an entry equals it.
    pub fn matches(&self, value: &IndexValue) -> bool {
        let IndexValue::Token { system, code, .. } = value else {
            return false;
        };
        self.system.as_ref().is_none_or(|asked| asked == system)
            && self.code.as_ref().is_none_or(|asked| asked == code)
    }
}

impl StringTest {
    /// Whether an entry passes.
    pub fn matches(&self, value: &IndexValue) -> bool {
        let IndexValue::String { folded, exact } = value else {
            return false;
        };
        match self {
            StringTest::Starts(text) => folded.starts_with(&**text),
            StringTest::Contains(text) => folded.contains(&**text),
            StringTest::Exact(text) => exact.as_ref().unwrap_or(folded) == text,
        }
    }
}

impl ReferenceTest {
    /// Whether a target is meant.
    pub fn matches(&self, target: &Target) -> bool {
        match (self, target) {
            (ReferenceTest::Local { kinds, id }, Target::Local(key)) => {
                kinds.has(key.kind) && key.id == *id
            }
            (
                ReferenceTest::Elsewhere(asked),
                Target::Elsewhere(text) | Target::Urn(text) | Target::Conditional(text),
            ) => asked == text,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Resource;
    use crate::search::{ParseOptions, entries};

    fn found(resource: &str, query: &str) -> bool {
        let resource = Resource::ours(resource.to_owned()).unwrap();
        let base = Some("https://here.example/fhir");
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let options = ParseOptions {
            base,
            ..ParseOptions::default()
        };
        let plan = Plan::parse(Some(resource.kind()), &pairs, options).unwrap();
        plan.matches(&Subject {
            kind: resource.kind(),
            id: resource.id(),
            last_updated: Some(0),
            entries: &entries(&resource, base),
        })
    }

    fn all(resource: &str, yes: &[&str], no: &[&str]) {
        for query in yes {
            assert!(found(resource, query), "{query}");
        }
        for query in no {
            assert!(!found(resource, query), "{query}");
        }
    }

    #[test]
    fn tokens_and_references_are_found() {
        all(
            r#"{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1-8"},{"code":"own"}]},
                "subject":{"reference":"Patient/p"},"performer":[{"reference":"https://else.example/Practitioner/x"}]}"#,
            &[
                "code=1-8",
                "code=http://loinc.org|1-8",
                "code=http://loinc.org|",
                "code=|own",
                "code=x,own",
                "code=1-8&code=own",
                "code:not=x",
                "code:not=x,y",
                "status=final",
                "patient=p",
                "patient=Patient/p",
                "patient:Patient=p",
                "subject=p",
                "subject=Patient/p",
                "subject:Patient=p",
                "subject=https://here.example/fhir/Patient/p",
                "performer=https://else.example/Practitioner/x",
                "_id=o",
                "_id=x,o",
                "_lastUpdated=1970",
                "device:missing=true",
                "code:missing=false",
                "encounter:missing=true",
            ],
            &[
                "code=1",
                "code=|1-8",
                "code=http://snomed.info/sct|1-8",
                "code=1-8&code=x",
                "code:not=own",
                "code:not=x,own",
                "patient=q",
                "subject=Group/p",
                "subject:Group=p",
                "patient=Group/p",
                "performer=x",
                "performer=Practitioner/x",
                "_id=O",
                "_id=a_b",
                "_lastUpdated=gt1970",
                "device:missing=false",
                "code:missing=true",
                "patient=a_b",
            ],
        );
    }

    #[test]
    fn texts_are_found_by_their_beginning_without_case_and_accents() {
        all(
            r#"{"resourceType":"Patient","active":true,"birthDate":"1990-05-01","name":[{"family":"Muñoz, Sr","given":["Ana"]}],
                "identifier":[{"system":"s","value":"A|1"}]}"#,
            &[
                "name=muno",
                "family=MUÑOZ",
                "name=ana",
                "family:exact=Muñoz\\, Sr",
                "name:contains=OZ",
                "family=x,mun",
                "active=true",
                "birthdate=1990",
                "birthdate=ge1990-05&birthdate=lt1991",
                "identifier=s|A\\|1",
                "deceased=false",
            ],
            &[
                "name=oz",
                "family=ana",
                "family:exact=munoz\\, sr",
                "active=false",
                "birthdate=1991",
                "birthdate=lt1990-05-01",
                "identifier=s|a\\|1",
                "deceased=true",
            ],
        );
    }

    #[test]
    fn uris_are_found_whole() {
        all(
            r#"{"resourceType":"ValueSet","url":"http://x/v","status":"active","meta":{"profile":["http://x/p|2"],"tag":[{"code":"t"}]}}"#,
            &[
                "url=http://x/v",
                "_profile=http://x/p",
                "_profile=http://x/p|2",
                "_tag=t",
            ],
            &["url=http://x/", "_profile=http://x/p|1", "url=http://X/v"],
        );
    }
}
