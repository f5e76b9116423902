//! Lines of a claim: each reveals what the diagnoses and procedures that it points at reveal.

use super::{Marks, Part, place};
use crate::fhir::{Node, Path, Resource};
use std::collections::HashMap;

/// The pointers of a line, and the lists whose `sequence` they name.
const POINTERS: &[(&str, &str)] = &[
    ("diagnosisSequence", "diagnosis"),
    ("procedureSequence", "procedure"),
    ("informationSequence", "supportingInfo"),
];

/// What each line reveals by what it points at; lines that reveal nothing so are left out.
pub(super) fn lines(resource: &Resource, parts: &[Part]) -> Vec<(Path, Marks)> {
    let root = resource.root();
    let pointed: Vec<(&str, HashMap<&str, Marks>)> = POINTERS
        .iter()
        .map(|(pointer, list)| (*pointer, entries(root, list, parts)))
        .collect();
    let mut found = Vec::new();
    for list in ["item", "addItem"] {
        let lines = root.get(list).map(Node::items).unwrap_or_default();
        for (at, line) in lines.iter().enumerate() {
            let mut marks = Marks::NONE;
            for (pointer, entries) in &pointed {
                let numbers = line.get(pointer).map(Node::each).unwrap_or_default();
                for number in numbers.iter().filter_map(Node::number) {
                    marks = marks.and(entries.get(number).copied().unwrap_or_default());
                }
            }
            if let (false, Some(path)) = (marks.is_none(), Path::member(root, list, Some(at))) {
                found.push((path, marks));
            }
        }
    }
    found
}

/// What the entries of `list` reveal, by their `sequence`; of several with the same, the first.
fn entries<'r>(root: &'r Node, list: &str, parts: &[Part]) -> HashMap<&'r str, Marks> {
    let mut by_entry: HashMap<Path, Marks> = HashMap::new();
    for part in parts {
        if place::first_name(root, &part.path) == Some(list) {
            let marks = by_entry.entry(part.path.first(2)).or_default();
            *marks = marks.and(part.marks);
        }
    }
    let mut by_sequence = HashMap::new();
    let items = root.get(list).map(Node::items).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        let path = Path::member(root, list, Some(at));
        let marks = path.and_then(|path| by_entry.get(&path)).copied();
        if let Some(sequence) = item.get("sequence").and_then(Node::number) {
            by_sequence
                .entry(sequence)
                .or_insert(marks.unwrap_or_default());
        }
    }
    by_sequence
}
