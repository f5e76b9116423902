//! Filters over a record in memory: what the store's SQL must agree with, and what conditional
//! references within a transaction use.

use super::{
    contained::Contained,
    filter::{Filter, ReferenceTest, StringTest, Test, TokenTest, UriTest},
    index::{IndexEntry, IndexValue, TokenRole},
    number::{QuantityTest, UnitTest},
    params::Param,
    plan::Plan,
};
use crate::fhir::{Id, Instant, Key, Kind, Target};

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
    /// What it contains; of a contained resource, what its container does.
    pub inside: &'a [Contained],
    /// What contains it.
    pub around: Option<&'a Subject<'a>>,
}

impl<'a> Subject<'a> {
    /// One of the resources that a record contains.
    pub fn inside(&'a self, one: &'a Contained) -> Subject<'a> {
        Subject {
            kind: one.kind,
            id: Some(&one.id),
            last_updated: None,
            entries: &one.entries,
            inside: self.inside,
            around: Some(self.around.unwrap_or(self)),
        }
    }

    fn refers(&self, param: &Param, to: &Target) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| {
            entry.param == param.id
                && matches!(&entry.value, IndexValue::Reference(target) if target == to)
        })
    }
}

/// The records beside the one that is asked about: where chains lead, and from where `_has` comes.
pub trait World {
    /// The record of this name.
    fn record(&self, key: &Key) -> Option<Subject<'_>>;

    /// Whether some record of the type passes.
    fn any(&self, kind: Kind, test: &mut dyn FnMut(&Subject) -> bool) -> bool;
}

/// No record beside it: no chain leads anywhere.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl World for Alone {
    fn record(&self, _: &Key) -> Option<Subject<'_>> {
        None
    }

    fn any(&self, _: Kind, _: &mut dyn FnMut(&Subject) -> bool) -> bool {
        false
    }
}

impl Plan {
    /// Whether a record is of the type asked for and passes every filter, other records aside.
    pub fn matches(&self, subject: &Subject) -> bool {
        self.matches_in(&Alone, subject)
    }

    /// The same among other records.
    pub fn matches_in(&self, world: &dyn World, subject: &Subject) -> bool {
        self.kinds.has(subject.kind)
            && self
                .filters
                .iter()
                .all(|filter| filter.matches(world, subject))
    }
}

impl Filter {
    /// Whether a record passes.
    pub fn matches(&self, world: &dyn World, subject: &Subject) -> bool {
        passes(self.param, &self.test, world, subject)
    }
}

fn passes(param: &Param, test: &Test, world: &dyn World, subject: &Subject) -> bool {
    let own = || {
        subject
            .entries
            .iter()
            .filter(|entry| entry.param == param.id)
    };
    match test {
        Test::Missing(missing) => own().any(is_presence) != *missing,
        Test::Id(ids) => subject.id.is_some_and(|id| ids.contains(id)),
        Test::LastUpdated(tests) => subject
            .last_updated
            .is_some_and(|at| tests.iter().any(|test| test.matches_moment(at))),
        Test::Words(any) => any.iter().any(|words| {
            let said = |word: &str| {
                own().any(|entry| match &entry.value {
                    IndexValue::Words(all) => all.contains(&format!(" {word}")),
                    _ => false,
                })
            };
            words.iter().all(|word| said(word))
        }),
        Test::Composite(any) => any.iter().any(|parts| together(param, parts, subject)),
        // Nothing is known of definitions here; the caller resolves them.
        Test::Defined(_) | Test::Kin(_) => false,
        Test::Not(test) if matches!(**test, Test::Defined(_)) => false,
        Test::Not(test) => !passes(param, test, world, subject),
        Test::Chain(legs) => own().any(|entry| {
            let on = |target: &Subject| {
                legs.iter()
                    .any(|leg| leg.kinds.has(target.kind) && leg.filter.matches(world, target))
            };
            match &entry.value {
                IndexValue::Reference(Target::Local(key)) => {
                    world.record(key).is_some_and(|target| on(&target))
                }
                IndexValue::Reference(Target::Contained(id)) if id.is_empty() => {
                    subject.around.is_some_and(on)
                }
                IndexValue::Reference(Target::Contained(id)) => {
                    let mut inside = subject.inside.iter();
                    inside.any(|one| *one.id.as_str() == **id && on(&subject.inside(one)))
                }
                _ => false,
            }
        }),
        // Only what contains it can refer to it, and what that contains.
        Test::Has(filter) if subject.around.is_some() => subject
            .around
            .zip(subject.id)
            .is_some_and(|(container, id)| {
                let here = Target::Contained(id.as_str().into());
                let on = |other: &Subject| {
                    other.kind == param.base
                        && other.refers(param, &here)
                        && filter.matches(world, other)
                };
                let mut beside = subject.inside.iter();
                on(container) || beside.any(|one| on(&container.inside(one)))
            }),
        Test::Has(filter) => subject.id.is_some_and(|id| {
            world.any(param.base, &mut |other| {
                let here = Target::Local(Key {
                    kind: subject.kind,
                    id: id.clone(),
                });
                other.refers(param, &here) && filter.matches(world, other)
            })
        }),
        Test::Among(kinds, test) => kinds.has(subject.kind) && passes(param, test, world, subject),
        Test::Any(filters) => filters.iter().any(|filter| filter.matches(world, subject)),
        _ => own().any(|entry| entry_passes(test, &entry.value)),
    }
}

/// Whether an entry says that the element is there; those of `:of-type` and beside a reference
/// repeat another.
fn is_presence(entry: &IndexEntry) -> bool {
    !matches!(
        entry.value,
        IndexValue::Token {
            role: TokenRole::Typed | TokenRole::Beside,
            ..
        }
    )
}

/// Whether one entry passes a test of single entries.
fn entry_passes(test: &Test, value: &IndexValue) -> bool {
    match (test, value) {
        (Test::Token(tests), IndexValue::Token { role, .. }) => {
            *role == TokenRole::Plain && tests.iter().any(|test| test.matches(value))
        }
        (Test::OfType(tests), IndexValue::Token { role, .. }) => {
            *role == TokenRole::Typed && tests.iter().any(|test| test.matches(value))
        }
        (Test::Identifier(tests), IndexValue::Token { role, .. }) => {
            matches!(role, TokenRole::Logical | TokenRole::Beside)
                && tests.iter().any(|test| test.matches(value))
        }
        (Test::TokenText(texts), IndexValue::Token { text, role, .. }) => {
            *role == TokenRole::Plain
                && text
                    .as_ref()
                    .is_some_and(|text| texts.iter().any(|begin| text.starts_with(&**begin)))
        }
        (Test::Date(tests), IndexValue::Date(at)) => tests.iter().any(|test| test.matches(*at)),
        (Test::String(tests), _) => tests.iter().any(|test| test.matches(value)),
        (Test::Reference(tests), IndexValue::Reference(target)) => {
            tests.iter().any(|test| test.matches(target))
        }
        (Test::Uri(tests), IndexValue::Uri(uri)) => tests.iter().any(|test| test.matches(uri)),
        (Test::Number(tests), IndexValue::Number(span)) => {
            tests.iter().any(|test| test.matches(span))
        }
        (Test::Near(tests), IndexValue::Place(place)) => {
            tests.iter().any(|test| test.matches(place))
        }
        (Test::Quantity(tests), _) => tests.iter().any(|test| test.matches(value)),
        _ => false,
    }
}

/// Whether all parts of a composite are said at one place.
fn together(param: &Param, parts: &[Filter], subject: &Subject) -> bool {
    let said = |filter: &Filter, place: Option<u16>| {
        subject.entries.iter().any(|entry| {
            entry.param == filter.param.id
                && place.is_none_or(|place| place == entry.place)
                && entry_passes(&filter.test, &entry.value)
        })
    };
    let free = param.parts.iter().map(|part| part.is_free);
    let mut places: Vec<u16> = subject.entries.iter().map(|entry| entry.place).collect();
    places.sort_unstable();
    places.dedup();
    places.into_iter().any(|place| {
        let mut parts = parts.iter().zip(free.clone());
        parts.all(|(filter, free)| said(filter, (!free).then_some(place)))
    })
}

impl TokenTest {
    /// Whether an entry equals it.
    pub fn matches(&self, value: &IndexValue) -> bool {
        let IndexValue::Token { system, code, .. } = value else {
            return false;
        };
        self.system.as_ref().is_none_or(|asked| asked == system)
            && match &self.code {
                Some(asked) => asked == code,
                None => !code.is_empty(),
            }
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

impl UriTest {
    /// Whether a URI is meant.
    pub fn matches(&self, uri: &str) -> bool {
        match self {
            UriTest::Exact(asked) => &**asked == uri,
            UriTest::Below(asked) => uri.starts_with(&**asked),
            UriTest::Above(asked) => asked.starts_with(uri),
        }
    }
}

impl QuantityTest {
    /// Whether an entry passes.
    pub fn matches(&self, value: &IndexValue) -> bool {
        let IndexValue::Quantity {
            span,
            scaled,
            system,
            code,
            unit,
        } = value
        else {
            return false;
        };
        match &self.unit {
            UnitTest::Any => self.number.matches(span),
            UnitTest::Said(asked) => {
                (code.as_ref() == Some(asked) || unit.as_ref() == Some(asked))
                    && self.number.matches(span)
            }
            UnitTest::Coded(asked_system, asked_code) => {
                system.as_ref() == Some(asked_system)
                    && code.as_ref() == Some(asked_code)
                    && self.number.matches(span)
            }
            UnitTest::Scaled(asked) => scaled
                .as_ref()
                .is_some_and(|(span, dimension)| dimension == asked && self.number.matches(span)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::Resource;
    use crate::search::{ParseOptions, contained, entries};

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
            inside: &contained(&resource, base),
            around: None,
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
    fn numbers_quantities_and_composites_are_found() {
        let query = |unit: &str, rest: &str| {
            format!("component-value-quantity={rest}|http://unitsofmeasure.org|{unit}")
        };
        let text = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"s","code":"bp","display":"Blood Pressure"}]},
            "valueQuantity":{"value":5.40,"unit":"milligrams","code":"mg","system":"http://unitsofmeasure.org"},
            "component":[{"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":120,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}},
                {"code":{"coding":[{"code":"dia"}]},"valueQuantity":{"value":80,"system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}"#;
        all(
            text,
            &[
                "value-quantity=5.4",
                "value-quantity=5.40|http://unitsofmeasure.org|mg",
                "value-quantity=0.0054|http://unitsofmeasure.org|g",
                "value-quantity=gt5000|http://unitsofmeasure.org|ug",
                "value-quantity=5||mg",
                "value-quantity=ap5||milligrams",
                "code:text=blood",
                "code-value-quantity=s|bp$gt5||mg",
                "component-code-value-quantity=sys$120",
                "combo-code-value-quantity=dia$lt100",
                "combo-code-value-quantity=bp$5.4",
                "code:not=x",
                "_content=blood press",
                "_has:Provenance:target:agent:missing=true,x",
                &query("kPa", "gt15"),
            ][..13],
            &[
                "value-quantity=5.5",
                "value-quantity=5||g",
                "value-quantity=5.4|http://unitsofmeasure.org|m",
                "component-code-value-quantity=sys$80",
                "component-code-value-quantity=bp$5.4",
                "combo-code-value-quantity=bp$120",
                "code:text=pressure",
                "_content=blood x",
                &query("kPa", "gt17"),
            ],
        );
    }

    #[test]
    fn identifiers_are_found_by_type_and_beside_references() {
        all(
            r#"{"resourceType":"Patient","identifier":[{"type":{"coding":[{"system":"t","code":"MR"}]},"system":"s","value":"1"}],
                "managingOrganization":{"reference":"Organization/o","identifier":{"system":"n","value":"9"}},
                "generalPractitioner":[{"identifier":{"value":"7"}}]}"#,
            &[
                "identifier:of-type=t|MR|1",
                "identifier=s|1",
                "organization:identifier=n|9",
                "general-practitioner:identifier=7",
                "general-practitioner:missing=false",
            ],
            &[
                "identifier:of-type=t|MR|2",
                "identifier=t\\|MR|1",
                "organization:identifier=n|8",
                "general-practitioner=7",
                "link:missing=false",
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
                "url:below=http://x/",
                "url:above=http://x/v/1",
            ],
            &[
                "url=http://x/",
                "url:below=http://y",
                "url:above=http://x",
                "_profile=http://x/p|1",
                "url=http://X/v",
            ],
        );
    }
}
