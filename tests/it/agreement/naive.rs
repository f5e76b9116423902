//! Searching by reading: filters, order and includes over released bodies.

use super::shelf::{Shown, View};
use confide::{
    fhir::{Key, Target},
    search::{
        index::{IndexEntry, IndexValue, entries},
        matching::Subject,
        params::{ID, LAST_UPDATED},
        plan::{Include, Plan, SortKey},
    },
};
use std::collections::BTreeSet;

/// A value to sort by: those without one come last, whatever the direction.
type Value = (bool, i64, String);

fn of(shown: &Shown) -> Vec<IndexEntry> {
    let mut entries = entries(&shown.resource, None);
    // On the household face, a parameter that asks whether an element is there is never answered.
    entries.retain(|entry| !(shown.household && entry.path.0.is_empty()));
    entries
}

/// The matches in order.
pub fn search(view: &View, plan: &Plan) -> Vec<Key> {
    let mut matches: Vec<(Value, &Key)> = Vec::new();
    for (key, shown) in view {
        let entries = of(shown);
        let subject = Subject {
            kind: key.kind,
            id: Some(&key.id),
            last_updated: Some(shown.updated),
            entries: &entries,
        };
        if plan.matches(&subject) {
            matches.push((value(plan.sort.first(), key, shown, &entries), key));
        }
    }
    let descending = plan.sort.first().is_some_and(|key| key.descending);
    matches.sort_by(
        |((no, number, text), key), ((other_no, other_number, other_text), other)| {
            let mut values = (number, text).cmp(&(other_number, other_text));
            if descending {
                values = values.reverse();
            }
            let names =
                (key.kind.number(), key.id.as_str()).cmp(&(other.kind.number(), other.id.as_str()));
            no.cmp(other_no).then(values).then(names)
        },
    );
    matches.into_iter().map(|(_, key)| key.clone()).collect()
}

fn value(sort: Option<&SortKey>, key: &Key, shown: &Shown, entries: &[IndexEntry]) -> Value {
    let none = (true, 0, String::new());
    let Some(sort) = sort else {
        return none;
    };
    match sort.param.code {
        ID => return (false, 0, key.id.as_str().to_owned()),
        LAST_UPDATED => return (false, shown.updated, String::new()),
        _ => {}
    }
    let values = entries
        .iter()
        .filter(|entry| entry.param == sort.param.id)
        .filter_map(|entry| match &entry.value {
            IndexValue::Token { code, .. } => Some((false, 0, code.to_string())),
            IndexValue::Date(interval) => Some((false, interval.start, String::new())),
            IndexValue::String { folded, .. } => Some((false, 0, folded.to_string())),
            IndexValue::Reference(Target::Local(key)) => {
                Some((false, 0, key.id.as_str().to_owned()))
            }
            _ => None,
        });
    let found = if sort.descending {
        values.max()
    } else {
        values.min()
    };
    found.unwrap_or(none)
}

/// What the matches include and are included by.
pub fn included(view: &View, plan: &Plan, matches: &[Key]) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    for key in matches {
        for include in &plan.include {
            found.extend(
                targets(view, key, include)
                    .into_iter()
                    .filter(|t| view.contains_key(t)),
            );
        }
    }
    for (key, _) in view {
        for include in &plan.revinclude {
            if targets(view, key, include)
                .iter()
                .any(|target| matches.contains(target))
            {
                found.insert(key.clone());
            }
        }
    }
    found.retain(|key| !matches.contains(key));
    found
}

fn targets(view: &View, key: &Key, include: &Include) -> Vec<Key> {
    if key.kind != include.source {
        return Vec::new();
    }
    of(&view[key])
        .into_iter()
        .filter(|entry| entry.param == include.param.id)
        .filter_map(|entry| match entry.value {
            IndexValue::Reference(Target::Local(target)) => Some(target),
            _ => None,
        })
        .filter(|target| include.target.is_none_or(|kind| kind == target.kind))
        .collect()
}
