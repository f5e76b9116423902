//! Texts of queries that a connection has written before: for the same lanes and the same filters only bound
//! numbers differ, and the text need not be made again.

use crate::{
    fhir::Kind,
    search::{filter::Filter, params::ParamId, plan::Plan},
    statute::Labels,
    store::{
        query::{self, Order},
        sql::{Sql, Value},
        visible::{Lens, are_bound},
    },
};
use std::rc::Rc;

/// A bit that no label has.
const MARKED: u32 = 1 << 31;

/// The most texts that are remembered.
const MOST: usize = 32;

/// A first page, in the order of type and id where it is a patient's.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Of what a plan matches, by the filter at that place ([`query::pointing_at`]).
    Pointing(&'a Plan, usize),
    /// Of all that is a patient's own, so many at most ([`query::everything`]).
    Everything(u16),
    /// Of one record of that type, by number.
    One(Kind),
    /// The records of a type that pass a filter, whatever the patient: so many at most, in no order.
    Passing(Kind, &'a Filter, u16),
}

/// Texts, the last used first.
#[derive(Debug, Default)]
pub struct Shapes {
    known: Vec<Shape>,
}

/// A query with marks in the place of the numbers that differ ([`Lens::marked`]); the first is the patient, or the record.
#[derive(Debug)]
struct Shape {
    lens: Lens,
    name: Name,
    text: Rc<str>,
    values: Vec<Value>,
}

/// What an [`Asked`] is known by.
#[derive(Debug, PartialEq)]
struct Name {
    kind: Option<Kind>,
    by: Option<ParamId>,
    filters: Vec<Filter>,
    count: u16,
}

impl Name {
    fn of(asked: Asked<'_>) -> Name {
        let (plan, place) = match asked {
            Asked::Pointing(plan, place) => (plan, place),
            Asked::Everything(count) => {
                return Name {
                    kind: None,
                    by: None,
                    filters: Vec::new(),
                    count,
                };
            }
            Asked::One(kind) => {
                return Name {
                    kind: Some(kind),
                    by: None,
                    filters: Vec::new(),
                    count: 1,
                };
            }
            Asked::Passing(kind, filter, count) => {
                return Name {
                    kind: Some(kind),
                    by: None,
                    filters: vec![filter.clone()],
                    count,
                };
            }
        };
        let others = plan.filters.iter().enumerate();
        let others = others.filter(|(at, _)| *at != place);
        Name {
            kind: plan.kind,
            by: plan.filters.get(place).map(|filter| filter.param.id),
            filters: others.map(|(_, filter)| filter.clone()).collect(),
            count: plan.count,
        }
    }
}

/// The query itself.
fn written(lens: &Lens, asked: Asked<'_>, patient: i64) -> Option<Sql> {
    let (inner, count) = match asked {
        Asked::Pointing(plan, by) => (query::pointing_at(lens, plan, by, patient)?, plan.count),
        Asked::Everything(count) => (query::everything(lens, patient), count),
        Asked::One(kind) => return Some(query::one(lens, kind, patient)),
        Asked::Passing(kind, filter, count) => {
            let mut sql = query::matching(lens, &Plan::of(kind, filter.clone()));
            sql.push(&format!(" LIMIT {count}"));
            return Some(sql);
        }
    };
    Some(query::page(inner, &Order::Name, u32::from(count), None))
}

impl Shapes {
    /// Text and values of the first page of what is asked about a patient or a record, by number.
    pub fn page(
        &mut self,
        lens: &Lens,
        asked: Asked<'_>,
        patient: i64,
    ) -> Option<(Rc<str>, Vec<Value>)> {
        let name = Name::of(asked);
        let mut known = self.known.iter();
        match known.position(|shape| shape.name == name && shape.lens.is_like(lens)) {
            Some(at) => self.known.get_mut(..=at)?.rotate_right(1),
            None => {
                let marked = lens.marked(1);
                let sql = written(&marked, asked, -1)?;
                self.known.truncate(MOST - 1);
                let shape = Shape {
                    lens: marked,
                    name,
                    text: sql.text.into(),
                    values: sql.values,
                };
                self.known.insert(0, shape);
            }
        }
        let shape = self.known.first()?;
        let mut numbers = vec![patient];
        numbers.extend(lens.bound());
        let values: Vec<Value> = shape
            .values
            .iter()
            .map(|value| filled(value, &numbers))
            .collect();
        debug_assert_eq!(
            written(lens, asked, patient),
            Some(Sql {
                text: shape.text.to_string(),
                values: values.clone(),
            })
        );
        Some((shape.text.clone(), values))
    }
}

impl Lens {
    /// Whether queries for both have the same text: they differ in numbers that are bound at most.
    pub fn is_like(&self, other: &Lens) -> bool {
        let mut groups = self.groups.iter().zip(&other.groups);
        let mut known = self.known.iter().zip(&other.known);
        let alike = |one: &[i64], other: &[i64]| {
            one == other || (one.len() == other.len() && are_bound(one))
        };
        self.groups.len() == other.groups.len()
            && self.known.len() == other.known.len()
            && self.everyone_else == other.everyone_else
            && self.role == other.role
            && self.scopes == other.scopes
            && self.nobody == other.nobody
            && self.grant_groups == other.grant_groups
            && self.author == other.author
            && self.organization == other.organization
            && self.household == other.household
            && groups.all(|(one, other)| one.1 == other.1 && alike(&one.0, &other.0))
            && known.all(|(one, other)| {
                one.lanes == other.lanes && alike(&one.patients, &other.patients)
            })
    }

    /// The numbers that are bound, in one order.
    pub fn bound(&self) -> Vec<i64> {
        let groups = self.groups.iter().map(|(patients, _)| patients);
        let patients = groups.chain(self.known.iter().map(|group| &group.patients));
        let patients = patients.filter(|patients| are_bound(patients)).flatten();
        let known = self.known.iter();
        let labels = known.flat_map(|group| [group.hits.column(), group.tightening.column()]);
        patients.copied().chain(labels).collect()
    }

    /// The same with a mark in the place of each number of [`bound`](Self::bound): of the number at place
    /// `n`, counted from `first`, a patient `-1 - n` or labels of [`MARKED`] and `n`.
    pub fn marked(&self, first: u32) -> Lens {
        let (mut lens, mut at) = (self.clone(), first);
        let mut next = || {
            at += 1;
            at - 1
        };
        let groups = lens.groups.iter_mut().map(|(patients, _)| patients);
        let patients = groups.chain(lens.known.iter_mut().map(|group| &mut group.patients));
        for patients in patients.filter(|patients| are_bound(patients)) {
            for patient in patients {
                *patient = -1 - i64::from(next());
            }
        }
        for group in &mut lens.known {
            group.hits = Labels(MARKED | next());
            group.tightening = Labels(MARKED | next());
        }
        lens
    }
}

/// A value, with the number that a mark stands for.
fn filled(value: &Value, numbers: &[i64]) -> Value {
    let Value::Integer(mark) = value else {
        return value.clone();
    };
    let place = if *mark < 0 {
        -1 - *mark
    } else {
        *mark - i64::from(MARKED)
    };
    let number = usize::try_from(place).ok().and_then(|at| numbers.get(at));
    Value::Integer(*number.unwrap_or(mark))
}
