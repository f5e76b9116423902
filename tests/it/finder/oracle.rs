//! A search as the specification words it, over records in memory.

use super::{
    chance::Search,
    walk::{self, Fact, Row, Said, fold, range},
};
use confide::fhir::Kind;
use serde_json::Value;
use std::{cmp::Ordering, collections::BTreeMap};

/// Records by `Type/id`, with the time that each is said to have.
pub type World = BTreeMap<String, (i64, Value)>;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Ask {
    Id(Vec<String>),
    /// `_lastUpdated`.
    Updated(&'static str, String),
    Missing(bool),
    /// Alternatives of system (any, none, that one) and code (any, that one).
    Token(Vec<(Option<Option<String>>, Option<String>)>),
    Not(Box<Ask>),
    Words(String),
    OfType(String, String),
    Date(Vec<(&'static str, String)>),
    /// `""`, `:exact`, `:contains`.
    Text(&'static str, Vec<String>),
    Reference(Vec<String>),
    Logical(Option<String>, String),
    /// `""`, `:below`, `:above`.
    Uri(&'static str, String),
    Number(&'static str, String),
    /// Prefix, number, then none, `||unit` or a code of UCUM.
    Quantity(&'static str, String, Unit),
    Composite(Vec<(&'static str, Ask)>),
    /// The target's type, whether it is named in the query, the parameter there.
    Chain(&'static str, bool, &'static str, Box<Ask>),
    /// The referring type, its reference, the parameter there.
    Has(&'static str, &'static str, &'static str, Box<Ask>),
}

#[derive(Debug, Clone)]
pub enum Unit {
    Any,
    Said(String),
    Ucum(String),
}

pub fn kind_of(record: &Value) -> &'static str {
    Kind::named(record["resourceType"].as_str().unwrap())
        .unwrap()
        .name()
}

fn name_of(record: &Value) -> String {
    format!("{}/{}", kind_of(record), record["id"].as_str().unwrap())
}

/// Whether a record passes.
pub fn passes(world: &World, record: &Value, code: &str, ask: &Ask) -> bool {
    passes_in(world, record, record, code, ask)
}

/// The same of a resource that `around` contains; a record is around itself.
fn passes_in(world: &World, record: &Value, around: &Value, code: &str, ask: &Ask) -> bool {
    let is_inside = !std::ptr::eq(record, around);
    let facts = |record, row: &Row| walk::facts_in(record, around, row);
    match ask {
        Ask::Id(ids) => ids.iter().any(|id| record["id"] == id.as_str()),
        Ask::Updated(..) if is_inside => false,
        Ask::Updated(prefix, text) => {
            let at = i128::from(world[&name_of(record)].0);
            compare(prefix, range(text).unwrap(), (at, at + 1))
        }
        Ask::Not(ask) => !passes_in(world, record, around, code, ask),
        Ask::Composite(parts) => {
            let of = |code: &str| facts(record, row(record, code));
            let parts: Vec<(Vec<Fact>, &Ask)> =
                parts.iter().map(|(code, ask)| (of(code), ask)).collect();
            let mut places = parts
                .iter()
                .flat_map(|(facts, _)| facts.iter().map(|(at, _)| *at));
            places.any(|place| {
                parts.iter().all(|(facts, ask)| {
                    facts
                        .iter()
                        .any(|(at, said)| *at == place && says(said, ask))
                })
            })
        }
        Ask::Chain(kind, _, inner, ask) => {
            facts(record, row(record, code)).iter().any(|(_, said)| {
                let Said::Reference(target) = said else {
                    return false;
                };
                let on = |one: &Value| {
                    kind_of(one) == *kind && passes_in(world, one, around, inner, ask)
                };
                if let Some(id) = target.strip_prefix('#') {
                    return if id.is_empty() {
                        is_inside && on(around)
                    } else {
                        walk::inside(around).any(|one| one["id"] == id && on(one))
                    };
                }
                world.get(target).is_some_and(|(_, target)| {
                    kind_of(target) == *kind && passes(world, target, inner, ask)
                })
            })
        }
        Ask::Has(kind, by, inner, ask) if is_inside => {
            let here = Said::Reference(format!("#{}", record["id"].as_str().unwrap()));
            let mut near = walk::inside(around).chain([around]);
            near.any(|other| {
                kind_of(other) == *kind
                    && facts(other, walk::row(kind, by))
                        .iter()
                        .any(|(_, said)| *said == here)
                    && passes_in(world, other, around, inner, ask)
            })
        }
        Ask::Has(kind, by, inner, ask) => {
            let name = name_of(record);
            world.values().any(|(_, other)| {
                kind_of(other) == *kind
                    && walk::facts(other, walk::row(kind, by))
                        .iter()
                        .any(|(_, said)| *said == Said::Reference(name.clone()))
                    && passes(world, other, inner, ask)
            })
        }
        Ask::Missing(missing) => {
            let any = facts(record, row(record, code));
            let any = any.iter().any(|(_, said)| !matches!(said, Said::Typed(..)));
            any != *missing
        }
        _ => facts(record, row(record, code))
            .iter()
            .any(|(_, said)| says(said, ask)),
    }
}

fn row(record: &Value, code: &str) -> &'static Row {
    walk::row(kind_of(record), code)
}

fn says(said: &Said, ask: &Ask) -> bool {
    match (said, ask) {
        (Said::Token(system, code, _), Ask::Token(any)) => any.iter().any(|(of, is)| {
            of.as_ref().is_none_or(|of| of == system)
                && match is {
                    Some(is) => code.as_ref() == Some(is),
                    None => code.is_some(),
                }
        }),
        (Said::Token(_, _, Some(words)), Ask::Words(begin)) => {
            fold(words).starts_with(&fold(begin))
        }
        (Said::Typed(kind, value), Ask::OfType(of, is)) => kind == of && value == is,
        (Said::Date(from, until), Ask::Date(any)) => any
            .iter()
            .any(|(prefix, text)| compare(prefix, range(text).unwrap(), (*from, *until))),
        (Said::Text(text), Ask::Text(how, any)) => any.iter().any(|asked| match *how {
            ":exact" => text == asked,
            ":contains" => fold(text).contains(&fold(asked)),
            _ => fold(text).starts_with(&fold(asked)),
        }),
        (Said::Reference(target), Ask::Reference(any)) => any.iter().any(|asked| {
            let local = target.split_once('/').is_some_and(|(kind, id)| {
                Kind::named(kind).is_some() && !asked.contains('/') && id == asked
            });
            target == asked || local
        }),
        (Said::Logical(system, value), Ask::Logical(of, is)) => {
            (of.is_none() || of == system) && value.as_ref() == Some(is)
        }
        (Said::Uri(uri), Ask::Uri(how, asked)) => match *how {
            ":below" => uri.starts_with(asked.as_str()),
            ":above" => asked.starts_with(uri.as_str()),
            _ => uri == asked,
        },
        (Said::Number(low, high), Ask::Number(prefix, text)) => {
            amount(prefix, text, |n| n, (*low, *high))
        }
        (Said::Quantity(low, high, system, code, unit), Ask::Quantity(prefix, text, asked)) => {
            match asked {
                Unit::Any => amount(prefix, text, |n| n, (*low, *high)),
                Unit::Said(word) => {
                    (code.as_ref() == Some(word) || unit.as_ref() == Some(word))
                        && amount(prefix, text, |n| n, (*low, *high))
                }
                Unit::Ucum(asked) => {
                    let ucum = system.as_deref() == Some("http://unitsofmeasure.org");
                    let own = code.as_deref().filter(|_| ucum);
                    match (scale(asked), own.and_then(scale)) {
                        (Some((as_asked, factor, add)), Some((as_said, own, plus))) => {
                            let on = (low * own + plus, high * own + plus);
                            as_asked == as_said && amount(prefix, text, |n| n * factor + add, on)
                        }
                        _ => {
                            own == Some(asked.as_str())
                                && amount(prefix, text, |n| n, (*low, *high))
                        }
                    }
                }
            }
        }
        _ => false,
    }
}

/// Times as the specification compares them, of ranges that end before their second value.
fn compare(prefix: &str, asked: (i128, i128), value: (i128, i128)) -> bool {
    let within = asked.0 <= value.0 && value.1 <= asked.1;
    match prefix {
        "" | "eq" => within,
        "ne" => !within,
        "gt" => value.1 > asked.1,
        "lt" => value.0 < asked.0,
        "ge" => value.1 > asked.1 || within,
        "le" => value.0 < asked.0 || within,
        "sa" => value.0 >= asked.1,
        "eb" => value.1 <= asked.0,
        other => panic!("{other}"),
    }
}

/// The same of numbers, whose digits count for equality alone.
fn amount(prefix: &str, text: &str, scale: impl Fn(f64) -> f64, value: (f64, f64)) -> bool {
    let places = text.split_once('.').map_or(0, |(_, places)| places.len());
    let digits: i128 = text.replace('.', "").parse().unwrap();
    let at = |half: i128| {
        format!("{}e-{}", digits * 10 + half, places + 1)
            .parse::<f64>()
            .unwrap()
    };
    let number = scale(text.parse().unwrap());
    let (low, high) = (
        scale(at(-5)).min(number),
        scale(at(5)).max(number.next_up()),
    );
    let same = value.0 >= low && value.1 < high;
    match prefix {
        "" | "eq" => same,
        "ne" => !same,
        "gt" | "sa" if prefix == "gt" => value.1 > number,
        "lt" => value.0 < number,
        "ge" => value.1 >= number,
        "le" => value.0 <= number,
        "sa" => value.0 > number,
        "eb" => value.1 < number,
        other => panic!("{other}"),
    }
}

/// Dimension, factor and offset of the units that Synthea writes (UCUM's own tables).
fn scale(code: &str) -> Option<(&'static str, f64, f64)> {
    const MOLE: f64 = 6.022_136_7e23;
    Some(match code {
        "{score}" | "{count}" => ("1", 1.0, 0.0),
        "%" => ("1", 0.01, 0.0),
        "m" => ("m", 1.0, 0.0),
        "cm" => ("m", 0.01, 0.0),
        "g" => ("g", 1.0, 0.0),
        "kg" => ("g", 1000.0, 0.0),
        "pg" => ("g", 1e-12, 0.0),
        "kg/m2" => ("g/m2", 1000.0, 0.0),
        "mm[Hg]" => ("g/m/s2", 133_322.0, 0.0),
        "kPa" => ("g/m/s2", 1e6, 0.0),
        "10*3/uL" => ("/m3", 1e12, 0.0),
        "10*6/uL" => ("/m3", 1e15, 0.0),
        "mmol/L" => ("/m3", MOLE, 0.0),
        "g/dL" => ("g/m3", 1e4, 0.0),
        "mg/dL" => ("g/m3", 10.0, 0.0),
        "g/L" => ("g/m3", 1000.0, 0.0),
        "fL" => ("m3", 1e-18, 0.0),
        "mL/min/{1.73_m2}" => ("m3/s", 1e-6 / 60.0, 0.0),
        "kU/L" => ("/s/m3", MOLE / 60.0, 0.0),
        "/min" => ("/s", 1.0 / 60.0, 0.0),
        "Cel" => ("K", 1.0, 273.15),
        "[degF]" => ("K", 5.0 / 9.0, 273.15 - 32.0 * 5.0 / 9.0),
        _ => return None,
    })
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Key {
    Time(i128),
    Number(f64),
    Text(String),
}

fn sort_key(
    world: &World,
    record: &Value,
    around: &Value,
    code: &str,
    falling: bool,
) -> Option<Key> {
    match code {
        "_id" => return Some(Key::Text(record["id"].as_str().unwrap().to_owned())),
        "_lastUpdated" if !std::ptr::eq(record, around) => return None,
        "_lastUpdated" => return Some(Key::Time(world[&name_of(record)].0.into())),
        _ => {}
    }
    let keys = walk::facts_in(record, around, row(record, code)).into_iter();
    let mut keys: Vec<Key> = keys
        .filter_map(|(_, said)| match said {
            Said::Token(_, code, _) => code.map(Key::Text),
            Said::Date(from, _) => Some(Key::Time(from)),
            Said::Text(text) => Some(Key::Text(fold(&text))),
            Said::Uri(uri) => Some(Key::Text(uri)),
            Said::Number(low, _) => Some(Key::Number(low)),
            Said::Quantity(low, _, system, code, _) => {
                let ucum = system.as_deref() == Some("http://unitsofmeasure.org");
                let scale = code.filter(|_| ucum).and_then(|code| scale(&code));
                Some(Key::Number(
                    scale.map_or(low, |(_, factor, add)| low * factor + add),
                ))
            }
            Said::Reference(target) => {
                let (kind, id) = target.split_once('/')?;
                Kind::named(kind).map(|_| Key::Text(id.to_owned()))
            }
            Said::Typed(..) | Said::Logical(..) => None,
        })
        .collect();
    keys.sort_by(|a, b| a.partial_cmp(b).unwrap());
    if falling {
        keys.pop()
    } else {
        keys.into_iter().next()
    }
}

/// The names of what passes, in order.
pub fn search(world: &World, search: &Search) -> Vec<String> {
    let Search {
        kind, asks, sort, ..
    } = search;
    let mut found: Vec<(String, Vec<Option<Key>>)> = Vec::new();
    for (name, (_, record)) in world {
        let passes = |one: &Value| {
            kind_of(one) == *kind
                && asks
                    .iter()
                    .all(|(code, ask)| passes_in(world, one, record, code, ask))
        };
        let keys = |one: &Value| -> Vec<Option<Key>> {
            let keys = sort.iter();
            keys.map(|(code, falling)| sort_key(world, one, record, code, *falling))
                .collect()
        };
        let mut here = Vec::new();
        let (records, inside, alone) = search.reach();
        if records && passes(record) {
            here.push((name.clone(), keys(record)));
        }
        for one in walk::inside(record).filter(|one| inside && passes(one)) {
            let id = one["id"].as_str().unwrap();
            let name = if alone {
                format!("{name}#{id}")
            } else {
                name.clone()
            };
            here.push((name, keys(one)));
        }
        if !alone {
            here = here
                .into_iter()
                .reduce(|(name, one), (_, other)| {
                    let best = one.into_iter().zip(other).zip(sort);
                    (
                        name,
                        best.map(|(pair, (_, falling))| best_of(pair, *falling))
                            .collect(),
                    )
                })
                .into_iter()
                .collect();
        }
        found.append(&mut here);
    }
    found.sort_by(|(name, keys), (other, others)| {
        for ((key, other), (_, falling)) in keys.iter().zip(others).zip(sort) {
            let order = match (key, other) {
                (Some(key), Some(other)) => {
                    let order = key.partial_cmp(other).unwrap();
                    if *falling { order.reverse() } else { order }
                }
                (key, other) => key.is_none().cmp(&other.is_none()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        name.cmp(other)
    });
    found.into_iter().map(|(name, _)| name).collect()
}

fn best_of((one, other): (Option<Key>, Option<Key>), falling: bool) -> Option<Key> {
    match (one, other) {
        (Some(one), Some(other))
            if (one.partial_cmp(&other) == Some(Ordering::Less)) != falling =>
        {
            Some(one)
        }
        (Some(_), Some(other)) => Some(other),
        (one, other) => one.or(other),
    }
}
