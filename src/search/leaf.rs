//! What the element at a path's end says under a parameter, by its datatype
//! (<https://hl7.org/fhir/R4/search.html>, the tables under each parameter type).

use super::{
    index::{IndexValue, Reader, Span, TokenRole, Walk, markup_out},
    near::Place,
    params::{ParamId, ParamType},
    path::Leaf,
    values::type_of,
};
use crate::fhir::{Interval, Kind, Node, Target, json::Value};
use jiff::tz::TimeZone;

/// Dates without a zone are read in UTC, in records and in queries alike, so that `date=2026-03-07`
/// finds `2026-03-07` whatever the plan's zone is.
pub const ZONE: TimeZone = TimeZone::UTC;

const NAME: &[&str] = &["text", "family", "given", "prefix", "suffix"];
const ADDRESS: &[&str] = &[
    "text",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
];

impl Walk<'_> {
    pub(super) fn leaf(&mut self, reader: Reader, node: &Node) {
        let param = reader.param;
        match reader.kind {
            ParamType::Token => self.token(param, reader.leaf, node),
            ParamType::Date => {
                if let Some(interval) = interval(reader.leaf, node) {
                    self.emit(param, IndexValue::Date(interval));
                }
            }
            ParamType::String => match reader.leaf {
                Leaf::HumanName => self.texts(param, node, NAME),
                Leaf::Address => self.texts(param, node, ADDRESS),
                Leaf::Narrative => {
                    if let Some(div) = node.str() {
                        self.words(param, &markup_out(div));
                    }
                }
                _ => {
                    if let Some(text) = node.str() {
                        self.emit(param, IndexValue::string(text));
                    }
                }
            },
            ParamType::Reference => self.reference(reader, node),
            ParamType::Uri => {
                if let Some(uri) = node.str() {
                    for uri in versions(uri, reader.leaf == Leaf::Canonical) {
                        self.emit(param, IndexValue::Uri(uri.into()));
                    }
                }
            }
            ParamType::Number => {
                if let Some(span) = node.number().and_then(Span::exact) {
                    self.emit(param, IndexValue::Number(span));
                }
            }
            ParamType::Quantity => {
                if let Some(value) = quantity(reader.leaf, node) {
                    self.emit(param, value);
                }
            }
            ParamType::Special => {
                if let Some(place) = Place::of(node) {
                    self.emit(param, IndexValue::Place(place));
                }
            }
            // Made of its parts' entries.
            ParamType::Composite => {}
        }
    }

    fn token(&mut self, param: ParamId, leaf: Leaf, node: &Node) {
        match leaf {
            Leaf::CodeableConcept => self.concept(param, node),
            Leaf::Coding => self.coding(param, node),
            Leaf::Identifier => {
                self.identifier(param, node, TokenRole::Plain);
                self.typed(param, node);
            }
            Leaf::ContactPoint => {
                if let Some(value) = node.text("value") {
                    self.emit(param, IndexValue::token(None, value, None));
                }
            }
            // Whether a moment is present is all that a token can ask of it (`deceased`).
            Leaf::Moment => self.emit(param, IndexValue::token(None, "true", None)),
            _ => match &node.value {
                Value::Bool(value) => {
                    let code = if *value { "true" } else { "false" };
                    self.emit(param, IndexValue::token(None, code, None));
                }
                Value::String(code) => self.emit(param, IndexValue::token(None, code, None)),
                _ => {}
            },
        }
    }

    fn concept(&mut self, param: ParamId, node: &Node) {
        self.each(node, "coding", |walk, coding| walk.coding(param, coding));
        if let Some(text) = node.text("text") {
            let codings = node.get("coding").map(Node::items).unwrap_or_default();
            let said = |coding: &Node| coding.text("display") == Some(text);
            if !codings.iter().any(said) {
                self.emit(param, IndexValue::token(None, "", Some(text)));
            }
        }
    }

    fn coding(&mut self, param: ParamId, node: &Node) {
        let (system, code, display) =
            (node.text("system"), node.text("code"), node.text("display"));
        if system.or(code).or(display).is_some() {
            let value = IndexValue::token(system, code.unwrap_or_default(), display);
            self.emit(param, value);
        }
    }

    fn identifier(&mut self, param: ParamId, node: &Node, role: TokenRole) {
        let (system, value) = (node.text("system"), node.text("value"));
        if system.or(value).is_some() {
            let text = node.get("type").and_then(|concept| concept.text("text"));
            let value = IndexValue::token(system, value.unwrap_or_default(), text);
            self.emit(param, value.playing(role));
        }
    }

    /// An identifier under each code of its type.
    fn typed(&mut self, param: ParamId, node: &Node) {
        let Some(value) = node.text("value") else {
            return;
        };
        let codings = node.at(&["type", "coding"]).map(Node::items);
        for coding in codings.unwrap_or_default() {
            if let (Some(system), Some(code)) = (coding.text("system"), coding.text("code")) {
                let kind = type_of(system, code);
                let typed = IndexValue::token(Some(&kind), value, None);
                self.emit(param, typed.playing(TokenRole::Typed));
            }
        }
    }

    fn texts(&mut self, param: ParamId, node: &Node, names: &[&str]) {
        for name in names {
            self.each(node, name, |walk, part| {
                if let Some(text) = part.str() {
                    walk.emit(param, IndexValue::string(text));
                }
            });
        }
    }

    fn reference(&mut self, reader: Reader, node: &Node) {
        if let Some(canonical) = node.str() {
            for url in versions(canonical, true) {
                let target = Target::parse(url, self.base);
                self.emit(reader.param, IndexValue::Reference(target));
            }
            return;
        }
        let target = node
            .text("reference")
            .map(|text| Target::parse(text, self.base));
        if reader.target.is_some() && reader.target != self.kind(node, target.as_ref()) {
            return;
        }
        let here = target.as_ref().and_then(Target::local).is_some();
        if let Some(target) = target {
            self.emit(reader.param, IndexValue::Reference(target));
        }
        // For `:identifier`, and so that a reference by identifier alone isn't `:missing`.
        let role = if here {
            TokenRole::Beside
        } else {
            TokenRole::Logical
        };
        self.each(node, "identifier", |walk, identifier| {
            walk.identifier(reader.param, identifier, role);
        });
    }

    /// The type that a reference points at, as far as it says.
    fn kind(&self, node: &Node, target: Option<&Target>) -> Option<Kind> {
        let named = match target {
            Some(Target::Local(key)) => Some(key.kind),
            Some(Target::Contained(id)) if id.is_empty() => {
                self.root.text("resourceType").and_then(Kind::named)
            }
            Some(Target::Contained(id)) => {
                let contained = self.root.get("contained").map(Node::items);
                contained
                    .unwrap_or_default()
                    .iter()
                    .find(|contained| contained.text("id") == Some(id))
                    .and_then(|contained| contained.text("resourceType"))
                    .and_then(Kind::named)
            }
            Some(Target::Conditional(text)) => {
                text.split_once('?').and_then(|(kind, _)| Kind::named(kind))
            }
            Some(Target::Elsewhere(url)) => {
                let way = url.split_once("/_history/").map_or(&**url, |(way, _)| way);
                way.rsplit('/').nth(1).and_then(Kind::named)
            }
            Some(Target::Urn(_)) | None => None,
        };
        named.or_else(|| node.text("type").and_then(Kind::named))
    }
}

/// A URL, and where it is a canonical with a version also without it.
fn versions(url: &str, canonical: bool) -> impl Iterator<Item = &str> {
    let bare = url.split_once('|').filter(|_| canonical);
    [Some(url), bare.map(|(bare, _)| bare)]
        .into_iter()
        .flatten()
}

/// The time that an element stands for. A Timing is its outer limits.
fn interval(leaf: Leaf, node: &Node) -> Option<Interval> {
    match leaf {
        Leaf::Period => period(node),
        Leaf::Timing => {
            let events = node.get("event").map(Node::items).unwrap_or_default();
            let events = events.iter().filter_map(moment);
            let bounds = node.at(&["repeat", "boundsPeriod"]).and_then(period);
            events.chain(bounds).reduce(Interval::around)
        }
        _ => moment(node),
    }
}

fn moment(node: &Node) -> Option<Interval> {
    Interval::of(node.str()?, &ZONE)
}

fn period(node: &Node) -> Option<Interval> {
    let (start, end) = (node.text("start"), node.text("end"));
    start.or(end)?;
    Interval::of_period(start, end, &ZONE)
}

impl Span {
    fn exact(text: &str) -> Option<Span> {
        let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
        Some(Span {
            text: Some(text.into()),
            low: value,
            high: value,
        })
    }

    /// With the comparator of a Quantity (`<5` is anything below 5).
    fn compared(mut self, comparator: Option<&str>) -> Span {
        match comparator {
            Some("<" | "<=") => self.low = f64::NEG_INFINITY,
            Some(">" | ">=") => self.high = f64::INFINITY,
            _ => {}
        }
        self
    }
}

fn quantity(leaf: Leaf, node: &Node) -> Option<IndexValue> {
    let number = |node: &Node| {
        node.get("value")
            .and_then(Node::number)
            .and_then(Span::exact)
    };
    match leaf {
        Leaf::Quantity => Some(measured(
            number(node)?.compared(node.text("comparator")),
            node,
        )),
        Leaf::Money => Some(IndexValue::quantity(
            number(node)?,
            Some("urn:iso:std:iso:4217"),
            node.text("currency"),
            None,
        )),
        Leaf::Range => {
            let (low, high) = (node.get("low"), node.get("high"));
            let span = Span {
                text: None,
                low: low
                    .and_then(number)
                    .map_or(f64::NEG_INFINITY, |low| low.low),
                high: high
                    .and_then(number)
                    .map_or(f64::INFINITY, |high| high.high),
            };
            (span.low <= span.high).then_some(measured(span, low.or(high)?))
        }
        _ => None,
    }
}

fn measured(span: Span, unit: &Node) -> IndexValue {
    IndexValue::quantity(
        span,
        unit.text("system"),
        unit.text("code"),
        unit.text("unit"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::{Resource, time};
    use crate::search::{IndexEntry, entries};

    fn values(text: &str, code: &str) -> Vec<IndexValue> {
        let resource = Resource::ours(text.to_owned()).unwrap();
        let under = |entry: &IndexEntry| entry.param == ParamId::of(code);
        let found = entries(&resource, None).into_iter().filter(under);
        found.map(|entry| entry.value).collect()
    }

    fn dates(text: &str) -> Vec<(String, String)> {
        let dates = values(text, "date").into_iter().map(|value| match value {
            IndexValue::Date(at) => (time::text(at.start), time::text(at.end)),
            other => panic!("{other:?}"),
        });
        dates.collect()
    }

    #[test]
    fn times_are_the_intervals_that_they_stand_for() {
        let of =
            |effective: &str| dates(&format!(r#"{{"resourceType":"Observation",{effective}}}"#));
        let day = (
            "2026-03-07T00:00:00.000Z".into(),
            "2026-03-07T23:59:59.999Z".into(),
        );
        assert_eq!(of(r#""effectiveDateTime":"2026-03-07""#), [day]);
        let timing = of(r#""effectiveTiming":{"event":["2026-03-09","2026-03-07"]}"#);
        assert_eq!(timing[0].0, "2026-03-07T00:00:00.000Z");
        assert_eq!(timing[0].1, "2026-03-09T23:59:59.999Z");
        assert_eq!(of(r#""effectivePeriod":{"start":"2026"}"#).len(), 1);
        assert!(of(r#""effectivePeriod":{}"#).is_empty());
        assert!(of(r#""effectivePeriod":{"start":"2026","end":"2025"}"#).is_empty());
    }

    #[test]
    fn each_part_of_a_name_is_a_string() {
        let name =
            r#"{"resourceType":"Patient","name":[{"family":"Muñoz","given":["ana","Eva"]}]}"#;
        assert_eq!(
            values(name, "name"),
            [
                IndexValue::string("Muñoz"),
                IndexValue::string("ana"),
                IndexValue::string("Eva")
            ]
        );
        let IndexValue::String { folded, exact } = &values(name, "family")[0] else {
            panic!()
        };
        assert_eq!((&**folded, exact.as_deref()), ("munoz", Some("Muñoz")));
    }

    #[test]
    fn a_text_that_a_display_already_says_is_kept_once() {
        let of = |text: &str| {
            let code = format!(
                r#"{{"resourceType":"Condition","code":{{"text":"{text}","coding":[{{"code":"1","display":"Flu"}}]}}}}"#
            );
            values(&code, "code").len()
        };
        assert_eq!((of("Flu"), of("The flu")), (1, 2));
    }

    #[test]
    fn a_quantity_keeps_its_decimal_and_its_comparator() {
        let of = |quantity: &str| {
            let text = format!(r#"{{"resourceType":"Observation","valueQuantity":{quantity}}}"#);
            match values(&text, "value-quantity").pop() {
                Some(IndexValue::Quantity { span, code, .. }) => (span, code),
                other => panic!("{other:?}"),
            }
        };
        let (span, code) = of(r#"{"value":1.50,"code":"mg"}"#);
        assert_eq!(
            (span.text.as_deref(), span.low, code.as_deref()),
            (Some("1.50"), 1.5, Some("mg"))
        );
        assert_eq!(
            of(r#"{"value":5,"comparator":"<"}"#).0.low,
            f64::NEG_INFINITY
        );
    }

    #[test]
    fn canonicals_are_found_with_and_without_their_version() {
        let of = |text| values(text, "instantiates-canonical").len();
        assert_eq!(
            of(r#"{"resourceType":"CarePlan","instantiatesCanonical":["http://x/p|1"]}"#),
            2
        );
    }

    #[test]
    fn a_reference_by_identifier_is_an_entry() {
        let text = r#"{"resourceType":"Observation","subject":{"type":"Patient","identifier":{"system":"s","value":"v"}}}"#;
        let expected = [IndexValue::token(Some("s"), "v", None).playing(TokenRole::Logical)];
        assert_eq!(values(text, "patient"), expected);
        assert_eq!(values(text, "subject"), expected);
    }
}
