//! Lines of a claim: each reveals what the diagnoses and procedures that it points at reveal; one that
//! points at none, what those do that no line points at: nobody said that it was not for them.

use super::{Marks, Part, place};
use crate::fhir::{Node, Path, Resource};
use std::collections::{HashMap, HashSet};

/// The pointers of a line, and the lists whose `sequence` they name.
const POINTERS: [(&str, &str); 3] = [
    ("diagnosisSequence", "diagnosis"),
    ("procedureSequence", "procedure"),
    ("informationSequence", "supportingInfo"),
];

/// What each line reveals by what it points at; lines that reveal nothing so are left out.
pub(super) fn lines(resource: &Resource, parts: &[Part]) -> Vec<(Path, Marks)> {
    let root = resource.root();
    let lines = ["item", "addItem"];
    let lines = lines.iter().filter_map(|list| root.get(list));
    let lines: Vec<&Node> = lines.flat_map(Node::items).collect();
    let pointed: Vec<(&str, Pointed<'_>)> = POINTERS
        .iter()
        .map(|(pointer, list)| {
            let taken = lines.iter().filter_map(|line| line.get(pointer));
            let taken = taken
                .flat_map(Node::each)
                .filter_map(Node::number)
                .collect();
            (*pointer, entries(root, list, parts, &taken))
        })
        .collect();
    let mut found = Vec::new();
    for list in ["item", "addItem"] {
        let lines = root.get(list).map(Node::items).unwrap_or_default();
        for (at, line) in lines.iter().enumerate() {
            let mut marks = Marks::NONE;
            for (pointer, entries) in &pointed {
                let numbers = line.get(pointer).map(Node::each).unwrap_or_default();
                if numbers.is_empty() {
                    marks = marks.and(entries.left);
                }
                for number in numbers.iter().filter_map(Node::number) {
                    let entry = entries.by_sequence.get(number).copied();
                    marks = marks.and(entry.unwrap_or_default());
                }
            }
            if let (false, Some(path)) = (marks.is_none(), Path::member(root, list, Some(at))) {
                found.push((path, marks));
            }
        }
    }
    added(root, parts, &mut found);
    found
}

/// A line that the payer added reveals what the lines do in whose place it stands.
fn added(root: &Node, parts: &[Part], found: &mut Vec<(Path, Marks)>) {
    let lines = root.get("addItem").map(Node::items).unwrap_or_default();
    if lines.is_empty() {
        return;
    }
    let by_pointing = found.iter().map(|(path, marks)| Part {
        path: path.clone(),
        marks: *marks,
        target: None,
    });
    let all: Vec<Part> = parts.iter().cloned().chain(by_pointing).collect();
    let items = entries(root, "item", &all, &HashSet::new()).by_sequence;
    for (at, line) in lines.iter().enumerate() {
        let numbers = line.get("itemSequence").map(Node::each).unwrap_or_default();
        let marks = numbers
            .iter()
            .filter_map(|number| items.get(number.number()?))
            .fold(Marks::NONE, |all, marks| all.and(*marks));
        if let (false, Some(path)) = (marks.is_none(), Path::member(root, "addItem", Some(at))) {
            found.push((path, marks));
        }
    }
}

/// What a bill without lines reveals: what its diagnoses and procedures do. It is for them alone.
pub(super) fn without(resource: &Resource, parts: &[Part]) -> Marks {
    let root = resource.root();
    let is_bill = ["Claim", "ExplanationOfBenefit"].contains(&resource.kind().name());
    let has = |list: &str| root.get(list).is_some_and(|node| !node.items().is_empty());
    if !is_bill || has("item") || has("addItem") {
        return Marks::NONE;
    }
    let lists = POINTERS.map(|(_, list)| list);
    let told = parts.iter().filter(|part| {
        place::first_name(root, &part.path).is_some_and(|name| lists.contains(&name))
    });
    told.fold(Marks::NONE, |all, part| all.and(part.marks))
}

/// What the entries of a list reveal.
#[derive(Default)]
struct Pointed<'r> {
    /// By their `sequence`; of several with the same, the first.
    by_sequence: HashMap<&'r str, Marks>,
    /// Those that no line points at, together.
    left: Marks,
}

fn entries<'r>(root: &'r Node, list: &str, parts: &[Part], taken: &HashSet<&str>) -> Pointed<'r> {
    let mut pointed = Pointed::default();
    let mut by_entry: HashMap<Path, Marks> = HashMap::new();
    for part in parts {
        if place::first_name(root, &part.path) == Some(list) {
            let marks = by_entry.entry(part.path.first(2)).or_default();
            *marks = marks.and(part.marks);
        }
    }
    let items = root.get(list).map(Node::items).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        let path = Path::member(root, list, Some(at));
        let marks = path.and_then(|path| by_entry.get(&path)).copied();
        let sequence = item.get("sequence").and_then(Node::number);
        if sequence.is_none_or(|sequence| !taken.contains(sequence)) {
            pointed.left = pointed.left.and(marks.unwrap_or_default());
        }
        if let Some(sequence) = sequence {
            let known = pointed.by_sequence.entry(sequence);
            known.or_insert(marks.unwrap_or_default());
        }
    }
    pointed
}
