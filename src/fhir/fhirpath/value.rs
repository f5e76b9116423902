//! What an expression works on: elements of the tree, and values of the System types.

use super::{
    parser::Name,
    quantity::Quantity,
    temporal::{Sort, Temporal},
    types::{System, Type},
};
use crate::fhir::{
    Node, Path,
    json::{self, Value as Json},
    schema::{SCHEMA, Shape},
};
use rust_decimal::Decimal;
use std::borrow::Cow;

/// One item of a collection.
#[derive(Debug, Clone)]
pub enum Item<'n> {
    /// An element, in its place in the tree.
    Element(Element<'n>),
    /// A value that was computed, or stood in the expression.
    Value(Value<'n>),
}

/// An element of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Element<'n> {
    node: Option<&'n Node>,
    extra: Option<&'n Node>,
    kind: Type,
}

/// A value of a System type (<http://hl7.org/fhirpath/N1/#literals>).
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'n> {
    /// true or false.
    Boolean(bool),
    /// A text.
    String(Cow<'n, str>),
    /// A whole number.
    Integer(i64),
    /// An exact decimal.
    Decimal(Decimal),
    /// A date, a moment or a time of day.
    Temporal(Temporal),
    /// A decimal with a unit.
    Quantity(Quantity<'n>),
}

impl<'n> Item<'n> {
    /// The element, where it is one.
    pub fn element(&self) -> Option<&Element<'n>> {
        match self {
            Item::Element(element) => Some(element),
            Item::Value(_) => None,
        }
    }

    /// As a value of a System type: itself, or what a primitive or Quantity says.
    pub fn value(&self) -> Option<Value<'n>> {
        match self {
            Item::Element(element) => element.value(),
            Item::Value(value) => Some(value.clone()),
        }
    }

    /// As a boolean.
    pub fn boolean(&self) -> Option<bool> {
        match self.value() {
            Some(Value::Boolean(value)) => Some(value),
            _ => None,
        }
    }

    /// As text: a string, or any primitive of FHIR that JSON writes as one.
    pub fn text(&self) -> Option<Cow<'n, str>> {
        match self {
            Item::Element(element) => element.node()?.str().map(Cow::Borrowed),
            Item::Value(Value::String(text)) => Some(text.clone()),
            Item::Value(_) => None,
        }
    }
}

impl<'n> Element<'n> {
    /// A whole resource.
    pub fn resource(node: &'n Node) -> Element<'n> {
        Element {
            node: Some(node),
            extra: None,
            kind: Type::of_resource(node),
        }
    }

    /// An element of a known type; `extra` is a primitive's `_name` object. `None` where both are
    /// missing or null.
    pub fn of(node: Option<&'n Node>, extra: Option<&'n Node>, kind: Type) -> Option<Element<'n>> {
        let there = |node: &&Node| node.value != Json::Null;
        let (node, extra) = (node.filter(there), extra.filter(there));
        (node.is_some() || extra.is_some()).then_some(Element { node, extra, kind })
    }

    /// A resource of which no more than its type is known.
    pub(super) fn stub(kind: Type) -> Element<'n> {
        Element {
            node: None,
            extra: None,
            kind,
        }
    }

    /// A node of which the type does not matter.
    pub(super) fn known(node: &'n Node) -> Element<'n> {
        Element {
            node: Some(node),
            extra: None,
            kind: Type::Unknown,
        }
    }

    /// A primitive's id and extensions.
    pub(super) fn extra(&self) -> Option<&'n Node> {
        self.extra
    }

    /// Its JSON, where it has a value of its own.
    pub fn node(&self) -> Option<&'n Node> {
        self.node
    }

    /// What it is.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Its place in the tree below `root`; of a primitive without a value, the place of its
    /// extensions. `None` where it is in another tree.
    pub fn path(&self, root: &Node) -> Option<Path> {
        place(root, self.node.or(self.extra)?)
    }

    /// What a primitive or Quantity says, as a System type.
    pub fn value(&self) -> Option<Value<'n>> {
        let node = self.node?;
        match (&node.value, self.kind) {
            (Json::Bool(value), _) => Some(Value::Boolean(*value)),
            (Json::Number(text), kind) => match kind {
                Type::Primitive("decimal") => decimal(text).map(Value::Decimal),
                _ => Value::number(text),
            },
            (Json::String(text), Type::Primitive(kind)) => {
                let temporal = match kind {
                    "date" => Temporal::date(text),
                    "dateTime" | "instant" => Temporal::moment(text),
                    "time" => Temporal::time(text),
                    _ => None,
                };
                Some(match temporal {
                    Some(temporal) => Value::Temporal(temporal),
                    None => Value::String(Cow::Borrowed(text)),
                })
            }
            (Json::String(text), _) => Some(Value::String(Cow::Borrowed(text))),
            (Json::Object(_), kind) if kind.is("Quantity") => quantity(node).map(Value::Quantity),
            _ => None,
        }
    }

    /// Whether it is a primitive with a value.
    pub(super) fn has_value(&self) -> bool {
        let plain = |node: &Node| !matches!(node.value, Json::Object(_) | Json::Array(_));
        self.node.is_some_and(plain)
    }

    /// Its children of that name.
    pub(super) fn member(&self, name: &Name, out: &mut Vec<Item<'n>>) {
        let object = match self.node {
            Some(node) if matches!(node.value, Json::Object(_)) => node,
            // A primitive has an id and extensions.
            _ => {
                if let Some(extra) = self.extra {
                    below(extra, &name.plain, "Element", out);
                }
                return;
            }
        };
        let Type::Complex(owner) = self.kind else {
            if let Some(node) = object.get(&name.plain)
                && &*name.plain != "resourceType"
            {
                each(Some(node), None, None, out);
            }
            return;
        };
        let (node, extra) = (object.get(&name.plain), object.get(&name.extra));
        if node.is_some() || extra.is_some() {
            if let Some(element) = SCHEMA.element(owner, &name.plain) {
                each(node, extra, Some(element.shape), out);
            } else if &*name.plain != "resourceType" {
                each(node, None, None, out);
            }
            return;
        }
        // A choice is called without its type: `value` for `valueQuantity`.
        for member in object.members() {
            let bare = member.name.strip_prefix('_').unwrap_or(&member.name);
            if !bare.starts_with(&*name.plain) {
                continue;
            }
            let element = SCHEMA.element(owner, bare);
            let Some(element) = element.filter(|e| e.choice == Some(&*name.choice)) else {
                continue;
            };
            if bare.len() == member.name.len() {
                let extra = object
                    .members()
                    .iter()
                    .find(|other| other.name.strip_prefix('_') == Some(bare));
                let extra = extra.map(|member| &member.node);
                each(Some(&member.node), extra, Some(element.shape), out);
            } else if object.get(bare).is_none() {
                each(None, Some(&member.node), Some(element.shape), out);
            }
        }
    }

    /// All its children, in the order of the text.
    pub(super) fn children(&self, out: &mut Vec<Item<'n>>) {
        let (Some(object), owner) = (match self.node {
            Some(node) if matches!(node.value, Json::Object(_)) => {
                let owner = match self.kind {
                    Type::Complex(owner) => Some(owner),
                    _ => None,
                };
                (Some(node), owner)
            }
            _ => (self.extra, SCHEMA.named("Element")),
        }) else {
            return;
        };
        for member in object.members() {
            if &*member.name == "resourceType" {
                continue;
            }
            let (bare, extra) = match member.name.strip_prefix('_') {
                Some(bare) => (bare, true),
                None => (&*member.name, false),
            };
            let shape = owner
                .and_then(|owner| SCHEMA.element(owner, bare))
                .map(|element| element.shape);
            if !extra {
                let beside = match shape {
                    Some(Shape::Primitive(_)) => object
                        .members()
                        .iter()
                        .find(|other| other.name.strip_prefix('_') == Some(bare)),
                    _ => None,
                };
                let beside = beside.map(|member| &member.node);
                each(Some(&member.node), beside, shape, out);
            } else if object.get(bare).is_none() {
                each(None, Some(&member.node), shape, out);
            }
        }
    }

    /// Its extensions, a primitive's too.
    pub(super) fn extensions(&self) -> &'n [Node] {
        let holder = match self.node {
            Some(node) if matches!(node.value, Json::Object(_)) => Some(node),
            _ => self.extra,
        };
        let extensions = holder.and_then(|holder| holder.get("extension"));
        extensions.map(Node::each).unwrap_or_default()
    }
}

/// A FHIR Quantity (<https://hl7.org/fhir/R4/fhirpath.html#quantity>). Units other than UCUM's are
/// like none but themselves.
fn quantity(node: &Node) -> Option<Quantity<'_>> {
    if node.get("comparator").is_some() {
        return None;
    }
    let value = decimal(node.get("value")?.number()?)?;
    let (system, code) = (node.text("system"), node.text("code"));
    let unit = match (system, code.or(node.text("unit"))) {
        (Some(super::UCUM), _) => Cow::Borrowed(code?),
        (None, None) => Cow::Borrowed("1"),
        (system, unit) => format!("{}|{}", system.unwrap_or(""), unit.unwrap_or("")).into(),
    };
    Some(Quantity::new(value, unit, false))
}

/// The children called `name` of an object of the type `owner`.
fn below<'n>(object: &'n Node, name: &str, owner: &str, out: &mut Vec<Item<'n>>) {
    let shape = SCHEMA
        .named(owner)
        .and_then(|owner| SCHEMA.element(owner, name))
        .map(|element| element.shape);
    each(object.get(name), None, shape, out);
}

/// The values of an element, an array's items one by one.
fn each<'n>(
    node: Option<&'n Node>,
    extra: Option<&'n Node>,
    shape: Option<Shape>,
    out: &mut Vec<Item<'n>>,
) {
    let kind = |node| shape.map_or(Type::Unknown, |shape| Type::of(shape, node));
    let (values, extras) = (
        node.map(Node::each).unwrap_or_default(),
        extra.map(Node::each).unwrap_or_default(),
    );
    for at in 0..values.len().max(extras.len()) {
        let node = values.get(at);
        let element = Element::of(node, extras.get(at), kind(node));
        out.extend(element.map(Item::Element));
    }
}

/// The way from `root` to a node of the same text, by the places of both in it.
fn place(root: &Node, wanted: &Node) -> Option<Path> {
    let (mut node, mut steps) = (root, Vec::new());
    while !std::ptr::eq(node, wanted) {
        let step = match &node.value {
            Json::Object(members) => members.partition_point(|m| m.node.end <= wanted.start),
            Json::Array(items) => items.partition_point(|item| item.end <= wanted.start),
            _ => return None,
        };
        node = match &node.value {
            Json::Object(members) => &members.get(step)?.node,
            Json::Array(items) => items.get(step)?,
            _ => return None,
        };
        steps.push(u16::try_from(step).ok()?);
    }
    Some(Path(steps.into()))
}

/// An exact decimal, where it has at most 28 digits.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    if text.contains(['e', 'E']) {
        return Decimal::from_scientific(text).ok();
    }
    Decimal::from_str_exact(text).ok()
}

impl<'n> Value<'n> {
    /// What a number says: an Integer without a fraction, else a Decimal.
    pub(super) fn number(text: &str) -> Option<Value<'static>> {
        match text.parse::<i64>() {
            Ok(value) => Some(Value::Integer(value)),
            Err(_) => decimal(text).map(Value::Decimal),
        }
    }

    pub(super) fn decimal(&self) -> Option<Decimal> {
        match self {
            Value::Integer(value) => Some((*value).into()),
            Value::Decimal(value) => Some(*value),
            _ => None,
        }
    }

    /// The same, without its own text.
    pub(super) fn borrowed(&self) -> Value<'_> {
        match self {
            Value::String(text) => Value::String(Cow::Borrowed(text)),
            Value::Quantity(quantity) => Value::Quantity(quantity.borrowed()),
            Value::Boolean(value) => Value::Boolean(*value),
            Value::Integer(value) => Value::Integer(*value),
            Value::Decimal(value) => Value::Decimal(*value),
            Value::Temporal(value) => Value::Temporal(*value),
        }
    }

    /// The same with its own text.
    pub fn owned(self) -> Value<'static> {
        match self {
            Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Value::Quantity(quantity) => Value::Quantity(quantity.owned()),
            Value::Boolean(value) => Value::Boolean(value),
            Value::Integer(value) => Value::Integer(value),
            Value::Decimal(value) => Value::Decimal(value),
            Value::Temporal(value) => Value::Temporal(value),
        }
    }

    pub(super) fn system(&self) -> System {
        match self {
            Value::Boolean(_) => System::Boolean,
            Value::String(_) => System::String,
            Value::Integer(_) => System::Integer,
            Value::Decimal(_) => System::Decimal,
            Value::Quantity(_) => System::Quantity,
            Value::Temporal(temporal) => match temporal.sort {
                Sort::Date => System::Date,
                Sort::DateTime => System::DateTime,
                Sort::Time => System::Time,
            },
        }
    }

    /// As `toString()` writes it.
    pub fn words(&self) -> Cow<'n, str> {
        match self {
            Value::String(text) => text.clone(),
            Value::Boolean(value) => value.to_string().into(),
            Value::Integer(value) => value.to_string().into(),
            Value::Decimal(value) => value.to_string().into(),
            Value::Temporal(value) => value.to_string().into(),
            Value::Quantity(value) => value.to_string().into(),
        }
    }

    /// As JSON: booleans and numbers as such, all else as text.
    pub fn json(&self) -> Vec<u8> {
        match self {
            Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) => {
                self.words().into_owned().into_bytes()
            }
            _ => {
                let mut out = Vec::new();
                json::quote(&mut out, &self.words());
                out
            }
        }
    }
}
