//! What a record says under a search parameter, read off its JSON by the parameter's paths alone. Shares
//! nothing with the index but the table of paths, which is made from the official definitions.

use serde_json::Value;
use std::{collections::BTreeMap, sync::LazyLock};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    pub base: &'static str,
    pub code: &'static str,
    pub kind: &'static str,
    pub paths: Vec<&'static str>,
    pub targets: Vec<&'static str>,
}

type Table = BTreeMap<&'static str, BTreeMap<&'static str, Row>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../../profiles/r4/search-parameters.tsv");
    let mut table = Table::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (base, code, kind) = (next(), next(), next());
        let row = Row {
            base,
            code,
            kind,
            paths: next().split(';').collect(),
            targets: next().split(',').filter(|name| !name.is_empty()).collect(),
        };
        table.entry(base).or_default().insert(code, row);
    }
    table
});

/// The rows of a type.
pub fn rows(base: &str) -> impl Iterator<Item = &'static Row> {
    TABLE.get(base).into_iter().flat_map(BTreeMap::values)
}

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Row> {
    TABLE.values().flat_map(BTreeMap::values)
}

/// The row of a parameter.
pub fn row(base: &str, code: &str) -> &'static Row {
    &TABLE[base][code]
}

/// The resources that a record contains.
pub fn inside(record: &Value) -> impl Iterator<Item = &Value> {
    record["contained"].as_array().into_iter().flatten()
}

/// One thing that a record says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// System, code, words.
    Token(Option<String>, Option<String>, Option<String>),
    /// `type system|type code` and value of an identifier.
    Typed(String, String),
    /// From, up to but not including, in microseconds.
    Date(i128, i128),
    Text(String),
    /// `Type/id` here, or any other text.
    Reference(String),
    /// The identifier of a reference.
    Logical(Option<String>, Option<String>),
    Uri(String),
    Number(f64, f64),
    /// Low, high, system, code, unit.
    Quantity(f64, f64, Option<String>, Option<String>, Option<String>),
}

/// What is said, with its place: which entry of a list at the top, from 1, or 0.
pub type Fact = (usize, Said);

/// All that a record says under a parameter.
pub fn facts(record: &Value, row: &Row) -> Vec<Fact> {
    facts_in(record, record, row)
}

/// The same of a resource that `around` contains.
pub fn facts_in(record: &Value, around: &Value, row: &Row) -> Vec<Fact> {
    let mut found = Vec::new();
    let mut presence = false;
    for path in &row.paths {
        let (way, leaf) = path.rsplit_once(':').unwrap();
        let (way, target) = match way.split_once('[') {
            Some((way, target)) => (way, Some(target.trim_end_matches(']'))),
            None => (way, None),
        };
        presence |= row.kind == "token" && ["dateTime", "date"].contains(&leaf);
        for (place, node) in reach(record, way) {
            if target.is_none_or(|target| points_at(around, node, target)) {
                found.extend(
                    say(row.kind, leaf, node)
                        .into_iter()
                        .map(|said| (place, said)),
                );
            }
        }
    }
    if presence && found.is_empty() {
        found.push((0, Said::Token(None, Some("false".into()), None)));
    }
    found
}

fn split(way: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut inside = false;
    for char in way.chars() {
        inside = (inside || char == '{') && char != '}';
        match char {
            '.' if !inside => steps.push(String::new()),
            _ => steps.last_mut().unwrap().push(char),
        }
    }
    steps
}

fn reach<'v>(record: &'v Value, way: &str) -> Vec<(usize, &'v Value)> {
    let mut at: Vec<(usize, &Value)> = vec![(0, record)];
    for (depth, step) in split(way).iter().enumerate() {
        let (name, filter) = match step.split_once('{') {
            Some((name, filter)) => (name, filter.trim_end_matches('}').split_once('=')),
            None => (step.as_str(), None),
        };
        let mut next = Vec::new();
        for (place, node) in at {
            match &node[name] {
                Value::Null => {}
                Value::Array(items) => next.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(at, item)| (if depth == 0 { at + 1 } else { place }, item)),
                ),
                item => next.push((place, item)),
            }
        }
        next.retain(|(_, node)| match filter {
            None => true,
            Some(("extension", url)) => node["extension"]
                .as_array()
                .is_some_and(|all| all.iter().any(|e| e["url"] == url)),
            Some((key, value)) => node[key] == value,
        });
        at = next;
    }
    at
}

fn points_at(record: &Value, node: &Value, target: &str) -> bool {
    let reference = node["reference"].as_str().unwrap_or_default();
    if reference == "#" {
        return record["resourceType"] == target;
    }
    if let Some(id) = reference.strip_prefix('#') {
        let contained = record["contained"].as_array();
        let mut all = contained.into_iter().flatten();
        return all.any(|one| one["id"] == id && one["resourceType"] == target);
    }
    let reference = reference.split("/_history/").next().unwrap();
    let mut parts = reference.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(_), Some(kind)) => kind == target,
        _ => {
            let condition = reference.split_once('?').map(|(kind, _)| kind == target);
            condition.unwrap_or(node["type"] == target)
        }
    }
}

fn text(node: &Value, name: &str) -> Option<String> {
    node[name].as_str().map(str::to_owned)
}

fn each<'v>(node: &'v Value, name: &str) -> Vec<&'v Value> {
    match &node[name] {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn say(kind: &str, leaf: &str, node: &Value) -> Vec<Said> {
    match (kind, leaf) {
        ("token", "CodeableConcept") => {
            let mut all: Vec<Said> = each(node, "coding")
                .into_iter()
                .filter_map(coding)
                .collect();
            if let Some(words) = text(node, "text") {
                all.push(Said::Token(None, None, Some(words)));
            }
            all
        }
        ("token", "Coding") => coding(node).into_iter().collect(),
        ("token", "Identifier") => {
            let (system, value) = (text(node, "system"), text(node, "value"));
            let mut all = Vec::new();
            if system.is_some() || value.is_some() {
                let words = text(&node["type"], "text");
                all.push(Said::Token(system, value.clone(), words));
            }
            for coding in each(&node["type"], "coding") {
                if let (Some(system), Some(code), Some(value)) =
                    (text(coding, "system"), text(coding, "code"), &value)
                {
                    all.push(Said::Typed(format!("{system}|{code}"), value.clone()));
                }
            }
            all
        }
        ("token", "ContactPoint") => {
            let value = text(node, "value");
            value
                .map(|value| Said::Token(None, Some(value), None))
                .into_iter()
                .collect()
        }
        ("token", "dateTime" | "date") => vec![Said::Token(None, Some("true".into()), None)],
        ("token", _) => match node {
            Value::Bool(_) | Value::String(_) => {
                let code = node
                    .as_str()
                    .map_or_else(|| node.to_string(), str::to_owned);
                vec![Said::Token(None, Some(code), None)]
            }
            _ => Vec::new(),
        },
        ("date", "Period") => period(node).into_iter().collect(),
        ("date", "Timing") => {
            let events = each(node, "event").into_iter();
            let events = events.filter_map(|event| range(event.as_str()?));
            let bounds = match period(&node["repeat"]["boundsPeriod"]) {
                Some(Said::Date(from, until)) => Some((from, until)),
                _ => None,
            };
            let all = events.chain(bounds);
            let all = all.reduce(|(a, b), (c, d)| (a.min(c), b.max(d)));
            all.map(|(from, until)| Said::Date(from, until))
                .into_iter()
                .collect()
        }
        ("date", _) => {
            let at = node.as_str().and_then(range);
            at.map(|(from, until)| Said::Date(from, until))
                .into_iter()
                .collect()
        }
        ("string", "HumanName") => words(node, &["text", "family", "given", "prefix", "suffix"]),
        ("string", "Address") => words(
            node,
            &[
                "text",
                "line",
                "city",
                "district",
                "state",
                "postalCode",
                "country",
            ],
        ),
        ("string", _) => node
            .as_str()
            .map(|text| Said::Text(text.into()))
            .into_iter()
            .collect(),
        ("reference", "Reference") => {
            let mut all = Vec::new();
            all.extend(text(node, "reference").map(Said::Reference));
            let identifier = &node["identifier"];
            if identifier["system"].is_string() || identifier["value"].is_string() {
                all.push(Said::Logical(
                    text(identifier, "system"),
                    text(identifier, "value"),
                ));
            }
            all
        }
        ("reference", _) => canonical(node).into_iter().map(Said::Reference).collect(),
        ("uri", "canonical") => canonical(node).into_iter().map(Said::Uri).collect(),
        ("uri", _) => node
            .as_str()
            .map(|uri| Said::Uri(uri.into()))
            .into_iter()
            .collect(),
        ("number", _) => node
            .as_f64()
            .map(|n| Said::Number(n, n))
            .into_iter()
            .collect(),
        ("quantity", "Money") => node["value"]
            .as_f64()
            .map(|n| {
                let iso = Some("urn:iso:std:iso:4217".to_owned());
                Said::Quantity(n, n, iso, text(node, "currency"), None)
            })
            .into_iter()
            .collect(),
        ("quantity", "Range") => {
            let (low, high) = (&node["low"], &node["high"]);
            let unit = if low.is_object() { low } else { high };
            if !unit.is_object() {
                return Vec::new();
            }
            vec![measured(
                low["value"].as_f64().unwrap_or(f64::MIN),
                high["value"].as_f64().unwrap_or(f64::MAX),
                unit,
            )]
        }
        ("quantity", _) => node["value"]
            .as_f64()
            .map(|n| match node["comparator"].as_str() {
                Some("<" | "<=") => measured(f64::MIN, n, node),
                Some(">" | ">=") => measured(n, f64::MAX, node),
                _ => measured(n, n, node),
            })
            .into_iter()
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn measured(low: f64, high: f64, unit: &Value) -> Said {
    Said::Quantity(
        low,
        high,
        text(unit, "system"),
        text(unit, "code"),
        text(unit, "unit"),
    )
}

fn coding(node: &Value) -> Option<Said> {
    let (system, code, display) = (
        text(node, "system"),
        text(node, "code"),
        text(node, "display"),
    );
    let any = system.is_some() || code.is_some() || display.is_some();
    any.then_some(Said::Token(system, code, display))
}

fn words(node: &Value, names: &[&str]) -> Vec<Said> {
    let parts = names.iter().flat_map(|name| each(node, name));
    parts
        .filter_map(|part| Some(Said::Text(part.as_str()?.into())))
        .collect()
}

fn canonical(node: &Value) -> Vec<String> {
    let Some(url) = node.as_str() else {
        return Vec::new();
    };
    let bare = url.split_once('|').map(|(bare, _)| bare.to_owned());
    [Some(url.to_owned()), bare].into_iter().flatten().collect()
}

fn period(node: &Value) -> Option<Said> {
    let (start, end) = (node["start"].as_str(), node["end"].as_str());
    if start.is_none() && end.is_none() {
        return None;
    }
    let from = start.map_or(Some(i64::MIN.into()), |start| Some(range(start)?.0))?;
    let until = end.map_or(Some(i128::from(i64::MAX) + 1), |end| Some(range(end)?.1))?;
    (from < until).then_some(Said::Date(from, until))
}

/// The time that a text stands for: from, and up to but not including.
pub fn range(text: &str) -> Option<(i128, i128)> {
    const DAY: i128 = 86_400_000_000;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i128>().ok();
    let day = |year: i128, month: i128, day: i128| {
        // Days since 1970 by counting from a March.
        let (year, month) = if month <= 2 {
            (year - 1, month + 9)
        } else {
            (year, month - 3)
        };
        let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        days + (month * 153 + 2) / 5 + day - 1 - 719_468
    };
    let year = number(0, 4)?;
    match text.len() {
        4 => return Some((day(year, 1, 1) * DAY, day(year + 1, 1, 1) * DAY)),
        7 => {
            let month = number(5, 7)?;
            let (next, of) = if month == 12 {
                (1, year + 1)
            } else {
                (month + 1, year)
            };
            return Some((day(year, month, 1) * DAY, day(of, next, 1) * DAY));
        }
        _ => {}
    }
    let start = day(year, number(5, 7)?, number(8, 10)?) * DAY;
    if text.len() == 10 {
        return Some((start, start + DAY));
    }
    let clock = text.get(11..)?;
    let zone = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let part = |from: usize| clock.get(from..from + 2)?.parse::<i128>().ok();
    let mut at = start + (part(0)? * 3600 + part(3)? * 60) * 1_000_000;
    let mut width = 60_000_000;
    if clock.len() >= 8 {
        at += part(6)? * 1_000_000;
        width = 1_000_000;
        for digit in clock.get(9..).unwrap_or_default().bytes().take(6) {
            width /= 10;
            at += i128::from(digit - b'0') * width;
        }
    }
    if let [sign @ (b'+' | b'-'), rest @ ..] = zone.as_bytes() {
        let digits = std::str::from_utf8(rest).ok()?;
        let minutes =
            digits.get(..2)?.parse::<i128>().ok()? * 60 + digits.get(3..)?.parse::<i128>().ok()?;
        at += if *sign == b'+' { -minutes } else { minutes } * 60_000_000;
    }
    Some((at, at + width))
}

/// Without case, accents and double spaces.
pub fn fold(text: &str) -> String {
    let plain: String = text.nfkd().filter(|c| !is_combining_mark(*c)).collect();
    let plain = plain
        .to_lowercase()
        .replace('ß', "ss")
        .replace('ø', "o")
        .replace('æ', "ae");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}
