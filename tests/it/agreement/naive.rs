//! Searching by reading: filters, order and includes over released bodies.

use super::shelf::{Shown, View};
use confide::{
    fhir::{Key, Kind, Node, Path, Target},
    search::{
        index::{IndexEntry, IndexValue, TokenRole, entries},
        matching::{Subject, World},
        params::{CONTENT, ID, LAST_UPDATED, ParamId, ParamType, SECURITY},
        plan::{Include, Plan, SortKey},
    },
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// All that one requester sees, read once.
pub struct Seen(BTreeMap<Key, (i64, Vec<IndexEntry>)>);

impl Seen {
    pub fn of(view: &View) -> Seen {
        let read = |shown: &Shown| (shown.updated, of(shown));
        Seen(
            view.iter()
                .map(|(key, shown)| (key.clone(), read(shown)))
                .collect(),
        )
    }

    fn subject<'s>(key: &'s Key, (updated, entries): &'s (i64, Vec<IndexEntry>)) -> Subject<'s> {
        Subject {
            kind: key.kind,
            id: Some(&key.id),
            last_updated: Some(*updated),
            entries,
        }
    }
}

impl World for Seen {
    fn record(&self, key: &Key) -> Option<Subject<'_>> {
        let (key, read) = self.0.get_key_value(key)?;
        Some(Seen::subject(key, read))
    }

    fn any(&self, kind: Kind, test: &mut dyn FnMut(&Subject) -> bool) -> bool {
        let mut of = self.0.iter().filter(|(key, _)| key.kind == kind);
        of.any(|(key, read)| test(&Seen::subject(key, read)))
    }
}

fn of(shown: &Shown) -> Vec<IndexEntry> {
    let mut entries = entries(&shown.resource, None);
    // What `meta.security` shows, as it is on the wire.
    let shown_labels = shown.resource.root().at(&["meta", "security"]);
    for coding in shown_labels.map(Node::items).unwrap_or_default() {
        entries.push(IndexEntry {
            param: ParamId::of(SECURITY),
            path: Path(Box::new([0])),
            place: 0,
            value: IndexValue::Token {
                system: coding.text("system").map(Into::into),
                code: coding.text("code").unwrap_or_default().into(),
                text: None,
                role: TokenRole::Plain,
            },
        });
    }
    // On the household face, a parameter that asks whether an element is there is never answered, nor
    // one that looks through all of them.
    entries.retain(|entry| {
        let anywhere = entry.path.0.is_empty() || entry.param == ParamId::of(CONTENT);
        !(shown.household && anywhere)
    });
    entries
}

/// A value to sort by.
#[derive(PartialEq, PartialOrd)]
enum Value {
    Number(f64),
    Text(String),
}

/// The matches in order.
pub fn search(seen: &Seen, plan: &Plan) -> Vec<Key> {
    let mut matches: Vec<(Vec<Option<Value>>, &Key)> = Vec::new();
    for (key, read) in &seen.0 {
        if plan.matches_in(seen, &Seen::subject(key, read)) {
            let values = plan.sort.iter().map(|sort| value(sort, key, read));
            matches.push((values.collect(), key));
        }
    }
    matches.sort_by(|(values, key), (others, other)| {
        let pairs = plan.sort.iter().zip(values.iter().zip(others));
        let by_values = pairs.map(|(sort, pair)| match pair {
            (Some(value), Some(other)) if sort.descending => other.partial_cmp(value).unwrap(),
            (Some(value), Some(other)) => value.partial_cmp(other).unwrap(),
            // Those without one come last, whatever the direction.
            (value, other) => value.is_none().cmp(&other.is_none()),
        });
        let names =
            (key.kind.number(), key.id.as_str()).cmp(&(other.kind.number(), other.id.as_str()));
        by_values.fold(Ordering::Equal, Ordering::then).then(names)
    });
    matches.into_iter().map(|(_, key)| key.clone()).collect()
}

fn value(sort: &SortKey, key: &Key, (updated, entries): &(i64, Vec<IndexEntry>)) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    #[allow(clippy::cast_precision_loss)]
    match sort.param.code {
        ID => return text(key.id.as_str()),
        LAST_UPDATED => return Some(Value::Number(*updated as f64)),
        _ => {}
    }
    let reference = sort.param.kind == ParamType::Reference;
    let values = entries
        .iter()
        .filter(|entry| entry.param == sort.param.id)
        .filter_map(|entry| match &entry.value {
            IndexValue::Token { code, role, .. } => {
                text(code).filter(|_| *role == TokenRole::Plain && !reference && !code.is_empty())
            }
            #[allow(clippy::cast_precision_loss)]
            IndexValue::Date(interval) => Some(Value::Number(interval.start as f64)),
            IndexValue::String { folded, .. } => text(folded),
            IndexValue::Reference(Target::Local(key)) => text(key.id.as_str()),
            IndexValue::Uri(uri) => text(uri),
            IndexValue::Number(span) => Some(Value::Number(span.low)),
            IndexValue::Quantity { span, scaled, .. } => {
                let span = scaled.as_ref().map_or(span, |(span, _)| span);
                Some(Value::Number(span.low))
            }
            _ => None,
        });
    values.reduce(|one, other| {
        let less = one.partial_cmp(&other).unwrap() == Ordering::Less;
        if less == sort.descending { other } else { one }
    })
}

/// What the matches include and are included by.
pub fn included(seen: &Seen, plan: &Plan, matches: &[Key]) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    let mut from: BTreeSet<Key> = matches.iter().cloned().collect();
    let mut first = true;
    while !from.is_empty() {
        let mut next = BTreeSet::new();
        let goes = |include: &&Include| first || include.iterate;
        for key in &from {
            for include in plan.include.iter().filter(goes) {
                let targets = targets(seen, key, include).into_iter();
                next.extend(targets.filter(|target| seen.0.contains_key(target)));
            }
        }
        for key in seen.0.keys() {
            for include in plan.revinclude.iter().filter(goes) {
                let targets = targets(seen, key, include);
                if targets.iter().any(|target| from.contains(target)) {
                    next.insert(key.clone());
                }
            }
        }
        next.retain(|key| !matches.contains(key) && !found.contains(key));
        found.extend(next.iter().cloned());
        from = next;
        first = false;
    }
    found
}

fn targets(seen: &Seen, key: &Key, include: &Include) -> Vec<Key> {
    let params = include.params(key.kind);
    seen.0[key]
        .1
        .iter()
        .filter(|entry| params.iter().any(|param| param.id == entry.param))
        .filter_map(|entry| match &entry.value {
            IndexValue::Reference(Target::Local(target)) => Some(target.clone()),
            _ => None,
        })
        .filter(|target| include.target.is_none_or(|kind| kind == target.kind))
        .collect()
}
