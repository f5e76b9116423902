//! Searching by reading: filters, order and includes over released bodies.

use super::shelf::{Shown, View};
use confide::{
    fhir::{Key, Kind, Node, Path, Target},
    search::{
        contained::{Contained, contained},
        index::{IndexEntry, IndexValue, TokenRole, entries},
        matching::{Subject, World},
        params::{CONTENT, ID, LAST_UPDATED, ParamId, ParamType, SECURITY},
        plan::{self, ContainedType, Include, Plan, SortKey},
    },
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// All that one requester sees, read once.
pub struct Seen(BTreeMap<Key, Read>);

/// What one record says: its time, itself, what it contains.
type Read = (i64, Vec<IndexEntry>, Vec<Contained>);

impl Seen {
    pub fn of(view: &View) -> Seen {
        let inside = |shown: &Shown| contained(&shown.resource, None);
        let read = |shown: &Shown| (shown.updated, of(shown), inside(shown));
        Seen(
            view.iter()
                .map(|(key, shown)| (key.clone(), read(shown)))
                .collect(),
        )
    }

    fn subject<'s>(key: &'s Key, (updated, entries, inside): &'s Read) -> Subject<'s> {
        Subject {
            kind: key.kind,
            id: Some(&key.id),
            last_updated: Some(*updated),
            entries,
            inside,
            around: None,
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

/// A match: what it is sorted by, its type and its id.
type Named = (Vec<Option<Value>>, (i64, String));

/// The matches in order, by name: records and, where they are asked for alone, what they contain.
pub fn search(seen: &Seen, plan: &Plan) -> Vec<String> {
    let mut matches: Vec<Named> = Vec::new();
    let alone = plan.contained_type == ContainedType::Contained;
    for (key, read) in &seen.0 {
        let subject = Seen::subject(key, read);
        let mut here = Vec::new();
        if plan.contained != plan::Contained::True && plan.matches_in(seen, &subject) {
            here.push((values(plan, &subject), key.id.to_string()));
        }
        for one in read
            .2
            .iter()
            .filter(|_| plan.contained != plan::Contained::False)
        {
            let inside = subject.inside(one);
            if plan.matches_in(seen, &inside) {
                let name = if alone {
                    format!("{}#{}", key.id, one.id)
                } else {
                    key.id.to_string()
                };
                here.push((values(plan, &inside), name));
            }
        }
        if !alone {
            // Once, with the best of what matched.
            here = here
                .into_iter()
                .reduce(|(one, name), (other, _)| {
                    let pairs = plan.sort.iter().zip(one.into_iter().zip(other));
                    let best = pairs.map(|(sort, (one, other))| better(sort, one, other));
                    (best.collect(), name)
                })
                .into_iter()
                .collect();
        }
        let named = here.into_iter();
        matches.extend(named.map(|(values, id)| (values, (key.kind.number(), id))));
    }
    matches.sort_by(|(values, name), (others, other)| {
        let pairs = plan.sort.iter().zip(values.iter().zip(others));
        let by_values = pairs.map(|(sort, pair)| match pair {
            (Some(value), Some(other)) if sort.descending => other.partial_cmp(value).unwrap(),
            (Some(value), Some(other)) => value.partial_cmp(other).unwrap(),
            // Those without one come last, whatever the direction.
            (value, other) => value.is_none().cmp(&other.is_none()),
        });
        by_values
            .fold(Ordering::Equal, Ordering::then)
            .then(name.cmp(other))
    });
    let names = matches.into_iter().map(|(_, (kind, id))| {
        let kind = Kind::numbered(kind).unwrap();
        format!("{}/{id}", kind.name())
    });
    names.collect()
}

fn better(sort: &SortKey, one: Option<Value>, other: Option<Value>) -> Option<Value> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let less = one.partial_cmp(&other).unwrap() == Ordering::Less;
            Some(if less == sort.descending { other } else { one })
        }
        (one, other) => one.or(other),
    }
}

fn values(plan: &Plan, subject: &Subject) -> Vec<Option<Value>> {
    plan.sort.iter().map(|sort| value(sort, subject)).collect()
}

fn value(sort: &SortKey, subject: &Subject) -> Option<Value> {
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    #[allow(clippy::cast_precision_loss)]
    match sort.param.code {
        ID => return text(subject.id?.as_str()),
        LAST_UPDATED => return subject.last_updated.map(|at| Value::Number(at as f64)),
        _ => {}
    }
    let reference = sort.param.kind == ParamType::Reference;
    let values = subject
        .entries
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
