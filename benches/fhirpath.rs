//! FHIRPath against an oracle, and what it costs.
//!
//! `cargo run --release --example fhirpath -- compare EXPECTED.ndjson EXAMPLES KNOWN.tsv` reads what
//! npm fhirpath said (`scripts/fhirpath-oracle` makes it) and fails where we say otherwise, save for
//! the differences that are known. `… -- time EXAMPLE.json EXPRESSION…` prints nanoseconds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench"
)]

use confide::fhir::{
    Node,
    fhirpath::{Element, Environment, EvalError, Expression, Item, Outside},
    json::{self, Limits},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::ExitCode,
    time::Instant,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The oracle takes every narrative for a good one.
struct Narratives;

impl<'n> Outside<'n> for Narratives {
    fn html_checks(&self, _: &Element<'n>) -> Option<bool> {
        Some(true)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["compare", expected, examples, known] => compare(expected, examples, known),
        ["time", example, ref expressions @ ..] => time(example, expressions),
        _ => {
            println!("compare EXPECTED EXAMPLES KNOWN | time EXAMPLE EXPRESSION…");
            ExitCode::from(2)
        }
    }
}

fn time(example: &str, expressions: &[&str]) -> ExitCode {
    let text = fs::read(example).unwrap();
    let root = json::parse(&text, Limits::default()).unwrap();
    for text in expressions {
        let expression = Expression::compile(text).unwrap();
        let environment = Environment::of(&root).with(&Narratives);
        let rounds = 20_000;
        let start = Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(expression.evaluate(&environment).unwrap());
        }
        println!("{:8} ns  {text}", start.elapsed().as_nanos() / rounds);
    }
    ExitCode::SUCCESS
}

/// File (or `*`), expression, reason.
fn known(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let rows = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    rows.map(|row| {
        let mut columns = row.split('\t').map(str::to_owned);
        (columns.next().unwrap(), columns.next().unwrap())
    })
    .collect()
}

fn compare(expected: &str, examples: &str, list: &str) -> ExitCode {
    let known = known(list);
    let mut used = vec![false; known.len()];
    let mut compiled = HashMap::new();
    let (mut same, mut excused, mut empty) = (0, 0, 0);
    let mut wrong: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut file, mut text, mut root) = (String::new(), Vec::new(), None);
    let rows = fs::read_to_string(expected).unwrap();
    for row in rows.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let (name, expression) = (
            row["file"].as_str().unwrap(),
            row["expression"].as_str().unwrap(),
        );
        if name != file {
            file = name.to_owned();
            text = fs::read(Path::new(examples).join(name)).unwrap();
            root = Some(json::parse(&text, Limits::default()).unwrap());
        }
        let root: &Node = root.as_ref().unwrap();
        let ours = compiled
            .entry(expression.to_owned())
            .or_insert_with(|| Expression::compile(expression));
        let ours = match ours {
            Ok(ours) => evaluate(ours, root, &text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let theirs = row["result"].as_array().map(Vec::as_slice);
        let agree = match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| alike(a, b))
            }
            (Err(_), None) => true,
            _ => false,
        };
        if agree {
            same += 1;
            empty += usize::from(theirs.is_some_and(<[_]>::is_empty));
            continue;
        }
        let excuse = known
            .iter()
            .position(|(file, known)| (file == "*" || file == name) && known == expression);
        if let Some(excuse) = excuse {
            used[excuse] = true;
            excused += 1;
            continue;
        }
        let first = |ours: &[Value], theirs: &[Value]| {
            let differ = ours.iter().zip(theirs).position(|(a, b)| !alike(a, b));
            format!(
                "{} items, {} theirs, first at {differ:?}",
                ours.len(),
                theirs.len()
            )
        };
        let lists = ours.as_ref().ok().zip(theirs);
        let lists = lists.map(|(ours, theirs)| first(ours, theirs));
        let short = |text: String| text.chars().take(300).collect::<String>();
        let (ours, theirs) = (short(format!("{ours:?}")), short(format!("{theirs:?}")));
        let said = format!(
            "{name} {}\n    ours   {ours}\n    theirs {theirs}",
            lists.unwrap_or_default()
        );
        wrong.entry(expression.to_owned()).or_insert((0, said)).0 += 1;
    }
    for (expression, (times, said)) in &wrong {
        println!("{times} x {expression}\n    {said}");
    }
    let unused = known.iter().zip(&used).filter(|(_, used)| !**used);
    let unused: Vec<_> = unused.map(|((_, expression), _)| expression).collect();
    for expression in &unused {
        println!("no longer different: {expression}");
    }
    println!(
        "{same} results as npm fhirpath's ({empty} of them empty), {excused} known to differ, {} expressions that differ",
        wrong.len()
    );
    if wrong.is_empty() && unused.is_empty() && same > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn evaluate(expression: &Expression, root: &Node, text: &[u8]) -> Result<Vec<Value>, EvalError> {
    let environment = Environment::of(root).with(&Narratives).steps(1_000_000_000);
    let items = expression.evaluate(&environment)?;
    let value = |item: &Item| match item {
        Item::Value(value) => Some(value.json()),
        Item::Element(element) => element.node().map(|node| node.slice(text).to_vec()),
    };
    let values = items.iter().filter_map(value);
    Ok(values
        .map(|json| serde_json::from_slice(&json).unwrap())
        .collect())
}

/// Equal as JSON; numbers as far as JavaScript keeps them.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-9 * a.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}
