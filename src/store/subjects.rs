//! Whose record a record is: from its own elements, by the table made from the R4 definitions.

use crate::{
    fhir::{Key, Kind, Resource, resource::nodes},
    label::DIRECTORY,
};
use std::{collections::HashMap, sync::LazyLock};

/// A patient that a record names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// The Patient.
    pub patient: Key,
    /// Whether the record is about this patient, so that this patient's permission is needed.
    pub own: bool,
}

struct Row {
    path: String,
    own: bool,
}

static TABLE: LazyLock<HashMap<Kind, Vec<Row>>> = LazyLock::new(|| {
    let mut table: HashMap<Kind, Vec<Row>> = HashMap::new();
    for line in include_str!("../../profiles/r4/patient-references.tsv").lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        if let [kind, path, role, ..] = columns.as_slice()
            && let Some(kind) = Kind::named(kind)
        {
            let path = path.split(['[', ':']).next().unwrap_or_default().to_owned();
            table.entry(kind).or_default().push(Row {
                path,
                own: *role == "own",
            });
        }
    }
    table
});

/// The patients that a resource names, each once.
pub fn named(resource: &Resource) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut add = |patient: Key, own: bool| {
        let known = places.get(&patient).and_then(|at| found.get_mut(*at));
        match known {
            Some(known) => known.own |= own,
            None => {
                places.insert(patient.clone(), found.len());
                found.push(Named { patient, own });
            }
        }
    };
    if resource.kind().name() == "Patient" {
        if let Some(key) = resource.key() {
            add(key, true);
        }
        return found;
    }
    for row in TABLE
        .get(&resource.kind())
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        for node in nodes(resource.root(), &row.path) {
            if let Some(key) = node.text("reference").and_then(Key::parse)
                && key.kind.name() == "Patient"
            {
                add(key, row.own);
            }
        }
    }
    found
}

/// Whether a type takes patients and labels from the records around it when it names none.
pub fn takes_from_others(kind: Kind) -> bool {
    !DIRECTORY.has(kind) && kind.name() != "Group" && kind.name() != "Patient"
}

/// Whether it takes them from what it points at (a Provenance of its targets); otherwise from what
/// points at it.
pub fn takes_from_targets(kind: Kind) -> bool {
    matches!(
        kind.name(),
        "Provenance"
            | "Task"
            | "Communication"
            | "CommunicationRequest"
            | "List"
            | "PaymentNotice"
            | "PaymentReconciliation"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(String, bool)> {
        let resource = Resource::ours(text.to_owned()).unwrap();
        named(&resource)
            .into_iter()
            .map(|n| (n.patient.to_string(), n.own))
            .collect()
    }

    #[test]
    fn a_record_that_merely_names_a_patient_is_not_its_own() {
        assert_eq!(
            of(
                r#"{"resourceType":"Coverage","subscriber":{"reference":"Patient/s"},"beneficiary":{"reference":"Patient/b"}}"#
            ),
            [
                ("Patient/b".to_owned(), true),
                ("Patient/s".to_owned(), false)
            ]
        );
        assert_eq!(
            of(r#"{"resourceType":"Patient","id":"p"}"#),
            [("Patient/p".to_owned(), true)]
        );
        assert_eq!(
            of(r#"{"resourceType":"Task","for":{"reference":"Patient/p"}}"#),
            [("Patient/p".to_owned(), true)]
        );
        assert!(of(r#"{"resourceType":"Organization","id":"o"}"#).is_empty());
    }
}
