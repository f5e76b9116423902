//! What an expression is evaluated in: the resource, the time, and what lies outside.

use super::{
    EvalError,
    types::Type,
    value::{Element, Item, Value},
};
use crate::fhir::{Instant, Kind, Node, Target};
use std::borrow::Cow;

/// What only others can answer. Each default answers nothing.
pub trait Outside<'n> {
    /// The resource that a reference points at. What can't be found is taken for a resource of the
    /// type that the reference names, so that `resolve() is Patient` holds.
    fn resolve(&self, reference: &str) -> Option<&'n Node> {
        let _ = reference;
        None
    }

    /// Whether a code, Coding or CodeableConcept is in a value set.
    fn member_of(&self, element: &Element<'n>, value_set: &str) -> Option<bool> {
        let _ = (element, value_set);
        None
    }

    /// Whether a narrative keeps to the part of XHTML that FHIR allows
    /// (<https://hl7.org/fhir/R4/narrative.html>).
    fn html_checks(&self, element: &Element<'n>) -> Option<bool> {
        let _ = element;
        None
    }

    /// Whether an element conforms to a profile.
    fn conforms_to(&self, element: &Element<'n>, profile: &str) -> Option<bool> {
        let _ = (element, profile);
        None
    }
}

/// What an expression is evaluated in.
#[derive(Clone)]
pub struct Environment<'n> {
    pub(super) context: Element<'n>,
    pub(super) resource: &'n Node,
    pub(super) root: &'n Node,
    pub(super) now: Option<Instant>,
    /// Minutes east of UTC.
    pub(super) zone: i16,
    pub(super) outside: Option<&'n dyn Outside<'n>>,
    pub(super) variables: Vec<(Box<str>, Vec<Item<'n>>)>,
    pub(super) steps: usize,
}

/// Steps that suffice for every base invariant over the largest official examples, many times over.
const STEPS: usize = 2_000_000;

impl<'n> Environment<'n> {
    /// A whole resource in focus, no clock, nothing outside, times without a zone in UTC.
    pub fn of(resource: &'n Node) -> Environment<'n> {
        Environment {
            context: Element::resource(resource),
            resource,
            root: resource,
            now: None,
            zone: 0,
            outside: None,
            variables: Vec::new(),
            steps: STEPS,
        }
    }

    /// With one of its elements in focus, as for an invariant of that element.
    #[must_use]
    pub fn at(mut self, context: Element<'n>) -> Environment<'n> {
        self.context = context;
        self
    }

    /// With a contained resource as `%resource`; the container stays `%rootResource`.
    #[must_use]
    pub fn within(mut self, resource: &'n Node) -> Environment<'n> {
        self.resource = resource;
        self
    }

    /// With a clock, and the zone of times that state none, in minutes east of UTC.
    #[must_use]
    pub fn when(mut self, now: Instant, zone: i16) -> Environment<'n> {
        self.now = Some(now);
        self.zone = zone;
        self
    }

    /// With someone to ask.
    #[must_use]
    pub fn with(mut self, outside: &'n dyn Outside<'n>) -> Environment<'n> {
        self.outside = Some(outside);
        self
    }

    /// With a variable of one's own.
    #[must_use]
    pub fn set(mut self, name: &str, items: Vec<Item<'n>>) -> Environment<'n> {
        self.variables.push((name.into(), items));
        self
    }

    /// With other bounds: one step is about one item looked at.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Environment<'n> {
        self.steps = steps;
        self
    }

    /// A variable (<https://hl7.org/fhir/R4/fhirpath.html#variables>).
    pub(super) fn variable(&self, name: &str, out: &mut Vec<Item<'n>>) -> Result<(), EvalError> {
        let own = self.variables.iter().rev().find(|(set, _)| **set == *name);
        if let Some((_, items)) = own {
            out.extend(items.iter().cloned());
            return Ok(());
        }
        let text = |text: Cow<'n, str>| Item::Value(Value::String(text));
        let item = match name {
            "context" => Item::Element(self.context),
            "resource" => Item::Element(Element::resource(self.resource)),
            "rootResource" => Item::Element(Element::resource(self.root)),
            "ucum" => text(super::UCUM.into()),
            "sct" => text("http://snomed.info/sct".into()),
            "loinc" => text("http://loinc.org".into()),
            _ => {
                let (base, name) = if let Some(name) = name.strip_prefix("vs-") {
                    ("http://hl7.org/fhir/ValueSet/", name)
                } else if let Some(name) = name.strip_prefix("ext-") {
                    ("http://hl7.org/fhir/StructureDefinition/", name)
                } else {
                    return Err(EvalError::Variable);
                };
                text(format!("{base}{name}").into())
            }
        };
        out.push(item);
        Ok(())
    }

    /// What a reference, or a URL, points at: contained, in the same Bundle, outside, or a resource
    /// of which only the type is known.
    pub(super) fn resolve(&self, element: &Element<'n>) -> Option<Element<'n>> {
        let node = element.node()?;
        let Some(text) = node.str().or_else(|| node.text("reference")) else {
            let kind = node.text("type").and_then(Kind::named)?;
            return Some(Element::stub(Type::of_kind(kind)));
        };
        if let Some(id) = text.strip_prefix('#') {
            if id.is_empty() {
                return Some(Element::resource(self.root));
            }
            let holders = [self.resource, self.root];
            let mut contained = holders
                .into_iter()
                .filter_map(|holder| holder.get("contained"))
                .flat_map(Node::each);
            let found = contained.find(|node| node.text("id") == Some(id));
            return found.map(Element::resource);
        }
        let beside = self.root.get("entry").map(Node::each).unwrap_or_default();
        let beside = beside
            .iter()
            .find(|entry| entry.text("fullUrl") == Some(text));
        if let Some(resource) = beside.and_then(|entry| entry.get("resource")) {
            return Some(Element::resource(resource));
        }
        if let Some(node) = self.outside.and_then(|outside| outside.resolve(text)) {
            return Some(Element::resource(node));
        }
        let said = node.text("type").and_then(Kind::named);
        let kind = kind_of(text).or(said)?;
        Some(Element::stub(Type::of_kind(kind)))
    }
}

/// The type that a reference's text names.
fn kind_of(text: &str) -> Option<Kind> {
    match Target::parse(text, None) {
        Target::Local(key) => Some(key.kind),
        Target::Conditional(text) => text.split_once('?').and_then(|(kind, _)| Kind::named(kind)),
        Target::Elsewhere(url) => {
            let way = url.split_once("/_history/").map_or(&*url, |(way, _)| way);
            way.rsplit('/').nth(1).and_then(Kind::named)
        }
        Target::Urn(_) | Target::Contained(_) => None,
    }
}
