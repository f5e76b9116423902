//! How long the checks of a write take, and what they say of a folder of resources.
//!
//! `cargo run --release --example validate -- [--structure] FOLDER…` checks each resource of each JSON
//! file (entries of Bundles one by one), prints each kind of problem with how often it was found, and
//! the time a resource of about 2 KB takes. With `--lines` it reads one resource a line from standard
//! input and prints for each the number of its problems, a tab, and the first.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for people"
)]

use confide::{
    fhir::{Resource, json::Limits},
    profile::{CheckLimits, Depth, check},
};
use std::{collections::BTreeMap, env, fs, hint::black_box, io, path::Path, time::Instant};

/// Rounds over all resources.
const ROUNDS: u32 = 5;

fn main() {
    let (options, folders): (Vec<String>, Vec<String>) = env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let verbose = options.iter().any(|option| option == "--verbose");
    let depth = if options.iter().any(|option| option == "--structure") {
        Depth::Structure
    } else {
        Depth::Strict
    };
    let limits = CheckLimits {
        depth,
        ..CheckLimits::default()
    };
    if options.iter().any(|option| option == "--lines") {
        return lines(limits);
    }
    let mut all = Vec::new();
    for folder in &folders {
        gather(Path::new(folder), &mut all);
    }
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    let mut refused = 0;
    for (name, resource) in &all {
        let issues = check(resource, limits);
        refused += u32::from(!issues.is_empty());
        for issue in issues {
            let place = issue.expression.unwrap_or_default();
            if verbose {
                println!("{name}: {place}: {}", issue.text);
            }
            let place: String = place.chars().filter(|c| !c.is_ascii_digit()).collect();
            *reasons
                .entry(format!("{place}: {}", issue.text))
                .or_default() += 1;
        }
    }
    for (reason, times) in &reasons {
        println!("{times:6}  {reason}");
    }
    println!("{} resources, {refused} with problems", all.len());
    let bytes: usize = all.iter().map(|(_, resource)| resource.text().len()).sum();
    let started = Instant::now();
    for _ in 0..ROUNDS {
        for (_, resource) in &all {
            black_box(check(black_box(resource), limits));
        }
    }
    let seconds = started.elapsed().as_secs_f64() / f64::from(ROUNDS);
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let (each, size) = (
        seconds * 1e6 / all.len().max(1) as f64,
        bytes as f64 / all.len().max(1) as f64,
    );
    println!(
        "{each:.1} µs a resource of {size:.0} bytes; {:.1} µs for 2 KB ({depth:?})",
        each * 2048.0 / size
    );
}

fn lines(limits: CheckLimits) {
    for line in io::stdin().lines() {
        let line = line.expect("lines of UTF-8");
        match Resource::parse(line, Limits::default()) {
            Err(error) => println!("1\t{error}"),
            Ok(resource) => {
                let issues = check(&resource, limits);
                let first = issues.first().map(|issue| {
                    let place = issue.expression.as_deref().unwrap_or_default();
                    format!("{place}: {}", issue.text)
                });
                println!("{}\t{}", issues.len(), first.unwrap_or_default());
            }
        }
    }
}

fn gather(path: &Path, all: &mut Vec<(String, Resource)>) {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a readable folder");
        let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| gather(entry, all));
    } else if path.extension().is_some_and(|end| end == "json") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = fs::read(path).expect("a readable file");
        let Ok(resource) = Resource::parse(text, Limits::default()) else {
            println!("{name}: no resource");
            return;
        };
        let entries = resource.nodes("entry.resource");
        if matches!(resource.kind().name(), "Bundle") && name.starts_with(['s', 'p']) {
            for node in entries {
                let text = node.slice(resource.text()).to_vec();
                if let Ok(entry) = Resource::parse(text, Limits::default()) {
                    all.push((name.to_string(), entry));
                }
            }
        } else {
            all.push((name.to_string(), resource));
        }
    }
}
