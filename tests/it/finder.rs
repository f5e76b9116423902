//! Searches against an independent reading of the records: by chance over Synthea's, and each official
//! example by each of its own parameters.

mod chance;
mod http;
mod labels;
mod oracle;
mod walk;

use crate::agreement::{
    ask,
    shelf::{Shelf, View},
};
use chance::{Maker, Search, query};
use confide::{
    fhir::{Key, Kind},
    policy::{Case, Settings},
    search::{ParseOptions, plan::Plan},
};
use oracle::World;
use serde_json::Value;
use std::{collections::BTreeMap, io::Read as _, path::Path};
use walk::Said;

/// How many searches by chance.
const SEARCHES: usize = 800;

/// Who sees nearly all: a facility that treats.
fn clinician() -> Case {
    ask::cases().swap_remove(12)
}

fn key(record: &Value) -> Key {
    let name = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    Key::parse(&format!("{}/{}", name("resourceType"), name("id"))).unwrap()
}

/// The records of some Bundles, their references by `urn:uuid` made references to them.
fn bundles(names: &[&str]) -> Vec<(Key, Value)> {
    let mut all = BTreeMap::new();
    for name in names {
        let file = crate::harness::fixtures("synthea").join(format!("{name}.json.gz"));
        let mut text = String::new();
        let file = std::fs::File::open(file).unwrap();
        flate2::read::GzDecoder::new(file)
            .read_to_string(&mut text)
            .unwrap();
        let bundle: Value = serde_json::from_str(&text).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            let key = key(&entry["resource"]);
            text = text.replace(
                &format!("\"reference\":\"{}\"", entry["fullUrl"].as_str().unwrap()),
                &format!("\"reference\":\"{key}\""),
            );
            text = text.replace(
                &format!("\"reference\": \"{}\"", entry["fullUrl"].as_str().unwrap()),
                &format!("\"reference\":\"{key}\""),
            );
        }
        let bundle: Value = serde_json::from_str(&text).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            all.insert(key(&entry["resource"]), entry["resource"].clone());
        }
    }
    all.into_iter().collect()
}

fn world(view: &View) -> World {
    view.iter()
        .map(|(key, shown)| {
            let body = serde_json::from_slice(shown.resource.text()).unwrap();
            (key.to_string(), (shown.updated, body))
        })
        .collect()
}

fn plan(kind: &str, pairs: &[(String, String)]) -> Plan {
    Plan::parse(Kind::named(kind), pairs, ParseOptions::default())
        .unwrap_or_else(|issues| panic!("{kind} {pairs:?}: {issues:?}"))
}

fn pairs(search: &Search) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = search
        .asks
        .iter()
        .map(|(code, ask)| query(code, ask))
        .collect();
    if !search.sort.is_empty() {
        let keys = search.sort.iter();
        let keys: Vec<String> = keys
            .map(|(code, falling)| format!("{}{code}", if *falling { "-" } else { "" }))
            .collect();
        pairs.push(("_sort".into(), keys.join(",")));
    }
    if let Some((which, alone)) = search.contained {
        pairs.push(("_contained".into(), which.into()));
        let kind = if alone { "contained" } else { "container" };
        pairs.push(("_containedType".into(), kind.into()));
    }
    pairs.push(("_count".into(), search.count.to_string()));
    pairs.push(("_total".into(), "accurate".into()));
    pairs
}

#[test]
fn searches_by_chance_find_what_a_reading_of_every_record_finds() {
    let records = bundles(&["nilsen-ollie", "chen-lan", "chen-mei", "okafor-grace"]);
    let shelf = Shelf::write(records, Settings::default());
    let case = clinician();
    let world = world(&shelf.view(&case));
    assert!(world.len() > 500, "{}", world.len());
    let mut maker = Maker::new(&world, 20_261_124);
    let (mut some, mut inside, mut wrong) = (0, 0, Vec::new());
    for _ in 0..SEARCHES {
        let search = maker.search();
        let pairs = pairs(&search);
        let expected = oracle::search(&world, &search);
        let found = shelf.search(&case, &plan(search.kind, &pairs));
        assert!(found.refused.is_empty(), "{pairs:?}");
        let names = match search.contained {
            Some((_, true)) => found.alone.clone(),
            _ => found.matches.iter().map(ToString::to_string).collect(),
        };
        if names != expected || found.total != Some(expected.len() as u64) {
            let missing: Vec<_> = expected
                .iter()
                .filter(|n| !names.contains(n))
                .take(2)
                .collect();
            let more: Vec<_> = names
                .iter()
                .filter(|n| !expected.contains(n))
                .take(2)
                .collect();
            wrong.push(format!(
                "{}?{pairs:?}: {} found, {} expected; missing {missing:?}, more {more:?}",
                search.kind,
                names.len(),
                expected.len()
            ));
        }
        some += usize::from(!expected.is_empty());
        inside += usize::from(search.contained.is_some() && !expected.is_empty());
    }
    assert!(
        wrong.is_empty(),
        "{} of {SEARCHES}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        some * 3 > SEARCHES,
        "only {some} of {SEARCHES} found anything"
    );
    assert!(inside > 40, "only {inside} found anything contained");
}

/// A search that what is said answers; nothing where no query can name it.
fn naming(code: &str, said: &Said) -> Option<(String, String)> {
    use oracle::{Ask, Unit};
    let day = |at: i128| {
        let at = jiff::Timestamp::from_microsecond(i64::try_from(at).ok()?).ok()?;
        Some(at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").to_string())
    };
    let digits = |n: f64| {
        let plain = n == 0.0 || (1e-6..1e15).contains(&n.abs());
        Some(if plain {
            format!("{n}")
        } else {
            format!("{n:e}")
        })
    };
    let ask = match said {
        Said::Token(system, Some(code), _) => {
            let system = system.clone().map(Some);
            Ask::Token(vec![(system, Some(code.clone()))])
        }
        Said::Token(Some(_), None, _) => return None,
        Said::Token(_, None, words) => Ask::Words(words.clone()?),
        Said::Typed(kind, value) => Ask::OfType(kind.clone(), value.clone()),
        Said::Date(from, until) => match (day(*from), day(*until)) {
            (Some(from), _) => Ask::Date(vec![("ge", from)]),
            (None, Some(until)) => Ask::Date(vec![("lt", until)]),
            (None, None) => return None,
        },
        Said::Text(text) => Ask::Text(":exact", vec![text.clone()]),
        Said::Reference(target) if target.starts_with('#') => return None,
        Said::Reference(target) => Ask::Reference(vec![target.clone()]),
        Said::Logical(system, value) => Ask::Logical(system.clone(), value.clone()?),
        Said::Uri(uri) => Ask::Uri("", uri.clone()),
        Said::Number(low, _) => Ask::Number("", digits(*low)?),
        Said::Quantity(low, high, system, code, unit) => {
            let (prefix, number) = match (*low == f64::MIN, *high == f64::MAX) {
                (true, true) => return None,
                (true, _) => ("le", *high),
                (_, true) => ("ge", *low),
                _ if low != high => ("ge", *low),
                _ => ("", *low),
            };
            let ucum = system.as_deref() == Some("http://unitsofmeasure.org");
            let unit = match (code, unit) {
                (Some(code), _) if ucum => Unit::Ucum(code.clone()),
                (Some(code), _) => Unit::Said(code.clone()),
                (None, Some(unit)) => Unit::Said(unit.clone()),
                (None, None) => Unit::Any,
            };
            Ask::Quantity(prefix, digits(number)?, unit)
        }
    };
    Some(query(code, &ask))
}

/// The folder of the official examples, where it is at hand: `scripts/test` is told by `R4_EXAMPLES`.
fn examples() -> Option<Vec<(Key, Value)>> {
    let folder = std::env::var("R4_EXAMPLES").ok()?;
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(&folder)).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let Ok(record) = serde_json::from_slice::<Value>(&text) else {
            continue;
        };
        let name = format!(
            "{}/{}",
            record["resourceType"].as_str().unwrap_or_default(),
            record["id"].as_str().unwrap_or_default()
        );
        if let Some(key) = Key::parse(&name) {
            all.insert(key, record);
        }
    }
    Some(all.into_iter().collect())
}

#[test]
fn each_official_example_is_found_by_each_of_its_own_parameters() {
    let Some(records) = examples() else {
        println!("without R4_EXAMPLES there is nothing to find");
        return;
    };
    let all = records.len();
    assert!(all > 400, "{all}");
    let shelf = Shelf::write(records, Settings::default());
    let case = clinician();
    let world = world(&shelf.view(&case));
    let (mut asked, mut codes, mut wrong) = (0, 0, Vec::new());
    for (name, (_, record)) in &world {
        let kind = oracle::kind_of(record);
        for row in walk::rows(kind) {
            let facts = if row.kind == "composite" {
                Vec::new()
            } else {
                walk::facts(record, row)
            };
            let mut named: Vec<_> = facts
                .iter()
                .filter_map(|(_, said)| naming(row.code, said))
                .collect();
            named.dedup();
            codes += usize::from(!named.is_empty());
            for pair in named.into_iter().take(4) {
                let mut pairs = vec![pair];
                if asked % 8 > 0 {
                    // Beside the id; some by themselves.
                    let id = name.split_once('/').unwrap().1;
                    pairs.push(("_id".into(), id.to_owned()));
                }
                pairs.push(("_count".into(), "1000".into()));
                asked += 1;
                let found = shelf.search(&case, &plan(kind, &pairs));
                if !found.matches.iter().any(|found| found.to_string() == *name) {
                    wrong.push(format!("{name} {pairs:?}"));
                }
            }
        }
    }
    println!(
        "{} of {all} examples seen, {codes} parameters, {asked} searches",
        world.len()
    );
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(
        world.len() * 10 > all * 9 && asked > 4_000,
        "{} {asked}",
        world.len()
    );
}
