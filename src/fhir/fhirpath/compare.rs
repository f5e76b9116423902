//! Equality, equivalence and order (<http://hl7.org/fhirpath/N1/#equality>).

use super::{
    EvalError,
    value::{Element, Item, Value},
};
use crate::fhir::json::alike;
use rust_decimal::{Decimal, RoundingStrategy};
use std::{borrow::Cow, cmp::Ordering, collections::HashSet};

/// Whether two items are equal; `None` where that is not known (dates of different precision).
/// `zone` is that of times which state none.
pub(super) fn equal(a: &Item<'_>, b: &Item<'_>, zone: i16) -> Option<bool> {
    match (a.value(), b.value()) {
        (Some(a), Some(b)) => values_equal(&a, &b, zone),
        (None, None) => match (a, b) {
            (Item::Element(a), Item::Element(b)) => Some(deep(a, b)),
            _ => Some(false),
        },
        _ => Some(false),
    }
}

fn values_equal(a: &Value<'_>, b: &Value<'_>, zone: i16) -> Option<bool> {
    if let (Some(a), Some(b)) = (a.decimal(), b.decimal()) {
        return Some(a == b);
    }
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a == b),
        (Value::String(a), Value::String(b)) => Some(a == b),
        (Value::Temporal(a), Value::Temporal(b)) if a.is_time() == b.is_time() => {
            a.order(*b, zone).map(|order| order == Ordering::Equal)
        }
        (Value::Quantity(a), Value::Quantity(b)) => {
            a.order(b).map(|order| order == Ordering::Equal)
        }
        (Value::Quantity(quantity), number) | (number, Value::Quantity(quantity)) => {
            let number = number.decimal();
            Some(&*quantity.unit == "1" && number == Some(quantity.value))
        }
        _ => Some(false),
    }
}

/// Both structures say the same, whatever the order of their members.
fn deep(a: &Element<'_>, b: &Element<'_>) -> bool {
    a.kind() == b.kind()
        && match (a.node(), b.node()) {
            (Some(a), Some(b)) => alike(a, b),
            (None, None) => match (a.extra(), b.extra()) {
                (Some(a), Some(b)) => alike(a, b),
                (None, None) => true,
                _ => false,
            },
            _ => false,
        }
}

/// Two collections, item by item.
pub(super) fn all_equal(a: &[Item<'_>], b: &[Item<'_>], zone: i16) -> Option<bool> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    if a.len() != b.len() {
        return Some(false);
    }
    let mut known = true;
    for (a, b) in a.iter().zip(b) {
        match equal(a, b, zone) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => known = false,
        }
    }
    known.then_some(true)
}

/// Whether two items mean the same (<http://hl7.org/fhirpath/N1/#equivalence>).
pub(super) fn equivalent(a: &Item<'_>, b: &Item<'_>, zone: i16) -> bool {
    match (a.value(), b.value()) {
        (Some(Value::String(a)), Some(Value::String(b))) => folded(&a) == folded(&b),
        (Some(Value::Temporal(a)), Some(Value::Temporal(b))) => a.equivalent(b, zone),
        (Some(Value::Quantity(a)), Some(Value::Quantity(b))) => {
            a.alike(&b).is_some_and(|(a, b)| about(a, b))
        }
        (Some(a), Some(b)) => match (a.decimal(), b.decimal()) {
            (Some(a), Some(b)) => about(a, b),
            _ => values_equal(&a, &b, zone) == Some(true),
        },
        (None, None) => match (a, b) {
            (Item::Element(a), Item::Element(b)) => means_the_same(a, b, zone),
            _ => false,
        },
        _ => false,
    }
}

/// Equal to the precision of the less precise, trailing zeros aside.
fn about(a: Decimal, b: Decimal) -> bool {
    let (a, b) = (a.normalize(), b.normalize());
    let scale = a.scale().min(b.scale());
    let round = |value: Decimal| {
        value.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)
    };
    round(a) == round(b)
}

/// Case and kind of white space don't count.
fn folded(text: &str) -> String {
    let lower = text.to_lowercase();
    lower
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect()
}

fn means_the_same(a: &Element<'_>, b: &Element<'_>, zone: i16) -> bool {
    if a.kind() != b.kind() {
        return false;
    }
    let children = |element: &Element<'_>| {
        let mut out = Vec::new();
        element.children(&mut out);
        out.len()
    };
    if children(a) != children(b) {
        return false;
    }
    let (Some(a_node), Some(b_node)) = (a.node(), b.node()) else {
        return deep(a, b);
    };
    a_node.members().iter().all(|member| {
        let other = b_node.get(&member.name);
        let of = |node| Item::Element(Element::known(node));
        other.is_some_and(|other| {
            let (own, others): (Vec<_>, Vec<_>) = (
                member.node.each().iter().map(of).collect(),
                other.each().iter().map(of).collect(),
            );
            all_equivalent(&own, &others, zone)
        })
    })
}

/// Two collections, in any order.
pub(super) fn all_equivalent(a: &[Item<'_>], b: &[Item<'_>], zone: i16) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut left: Vec<&Item<'_>> = b.iter().collect();
    a.iter().all(|item| {
        let found = left.iter().position(|other| equivalent(item, other, zone));
        found.map(|at| left.swap_remove(at)).is_some()
    })
}

/// The order of two single items (<http://hl7.org/fhirpath/N1/#comparison>).
pub(super) fn order(a: &Item<'_>, b: &Item<'_>, zone: i16) -> Result<Option<Ordering>, EvalError> {
    let (Some(a), Some(b)) = (a.value(), b.value()) else {
        return Err(EvalError::Type);
    };
    if let (Some(a), Some(b)) = (a.decimal(), b.decimal()) {
        return Ok(Some(a.cmp(&b)));
    }
    match (&a, &b) {
        (Value::String(a), Value::String(b)) => Ok(Some(a.cmp(b))),
        (Value::Temporal(a), Value::Temporal(b)) if a.is_time() == b.is_time() => {
            Ok(a.order(*b, zone))
        }
        (Value::Quantity(a), Value::Quantity(b)) => Ok(a.order(b)),
        (Value::Quantity(quantity), number) if &*quantity.unit == "1" => match number.decimal() {
            Some(number) => Ok(Some(quantity.value.cmp(&number))),
            None => Err(EvalError::Type),
        },
        (number, Value::Quantity(quantity)) if &*quantity.unit == "1" => match number.decimal() {
            Some(number) => Ok(Some(number.cmp(&quantity.value))),
            None => Err(EvalError::Type),
        },
        _ => Err(EvalError::Type),
    }
}

/// What was seen before: texts by their hash, all else one by one.
#[derive(Default)]
pub(super) struct Seen<'n> {
    texts: HashSet<Cow<'n, str>>,
    others: Vec<Item<'n>>,
}

impl<'n> Seen<'n> {
    /// Of a collection.
    pub(super) fn of(items: &[Item<'n>], zone: i16) -> Seen<'n> {
        let mut seen = Seen::default();
        for item in items {
            seen.add(item, zone);
        }
        seen
    }

    /// Whether an equal item is there.
    pub(super) fn has(&self, item: &Item<'n>, zone: i16) -> bool {
        match item.value() {
            Some(Value::String(text)) => self.texts.contains(&*text),
            _ => self
                .others
                .iter()
                .any(|other| equal(other, item, zone) == Some(true)),
        }
    }

    /// Adds it; whether it was new.
    pub(super) fn add(&mut self, item: &Item<'n>, zone: i16) -> bool {
        match item.value() {
            Some(Value::String(text)) => self.texts.insert(text),
            _ if self.has(item, zone) => false,
            _ => {
                self.others.push(item.clone());
                true
            }
        }
    }

    /// What looking for one item costs.
    pub(super) fn cost(&self) -> usize {
        self.others.len()
    }
}
