//! The structure of every R4 type, from the official definitions (`profiles/r4/elements.tsv`).

use super::{
    Kind,
    codes::{CODES, SetId},
};
use std::{collections::HashMap, sync::LazyLock};

/// The table, read once; its form is checked by the tests and by `confide doctor`.
pub static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::read(include_str!("../../profiles/r4/elements.tsv")));

/// A type or backbone element, by its place in [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerId(u16);

/// All types and backbone elements.
#[derive(Debug)]
pub struct Schema {
    owners: Vec<Owner>,
    by_name: HashMap<&'static str, OwnerId>,
}

/// A type or backbone element with its children.
#[derive(Debug)]
pub struct Owner {
    /// Type name or path (`Patient`, `Patient.contact`, `HumanName`).
    pub name: &'static str,
    elements: Vec<Element>,
    required: Vec<&'static str>,
}

/// A child element.
#[derive(Debug)]
pub struct Element {
    /// Its name in JSON (choice elements with their type: `valueQuantity`).
    pub name: &'static str,
    /// Fewest occurrences; for a choice, of the whole choice.
    pub min: u8,
    /// Whether JSON writes it as an array.
    pub many: bool,
    /// What its values are.
    pub shape: Shape,
    /// The choice it belongs to (`value[x]`).
    pub choice: Option<&'static str>,
    /// The value set that its codes must be of, where R4 requires one.
    pub binding: Option<SetId>,
}

/// What an element's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A primitive by its FHIR name (`code`, `dateTime`, …).
    Primitive(&'static str),
    /// A datatype or backbone element.
    Complex(OwnerId),
    /// A `Reference`, with its target types, comma-separated; `*` is any.
    Reference(OwnerId, &'static str),
    /// A whole resource (contained, Bundle entries, Parameters).
    Resource,
}

impl Schema {
    fn read(table: &'static str) -> Schema {
        let rows = || {
            table
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .map(|line| line.split('\t').collect::<Vec<_>>())
        };
        let mut by_name = HashMap::new();
        let mut owners: Vec<Owner> = Vec::new();
        for row in rows() {
            if let [owner, ..] = row.as_slice()
                && !by_name.contains_key(owner)
                && let Ok(number) = u16::try_from(owners.len())
            {
                by_name.insert(*owner, OwnerId(number));
                owners.push(Owner {
                    name: owner,
                    elements: Vec::new(),
                    required: Vec::new(),
                });
            }
        }
        for row in rows() {
            let [owner, name, min, max, shape, rest @ ..] = row.as_slice() else {
                continue;
            };
            let (choice, binding) = match rest {
                [choice, binding] => (*choice, CODES.named(binding)),
                [choice] => (*choice, None),
                _ => ("", None),
            };
            let element = Element {
                name,
                min: min.parse().unwrap_or(0),
                many: *max != "1",
                shape: Shape::read(shape, &by_name),
                choice: Some(choice).filter(|choice| !choice.is_empty()),
                binding,
            };
            if let Some(owner) = by_name
                .get(owner)
                .and_then(|id| owners.get_mut(usize::from(id.0)))
            {
                owner.elements.push(element);
            }
        }
        for owner in &mut owners {
            owner.elements.sort_by_key(|element| element.name);
            let needed = owner.elements.iter().filter(|element| element.min > 0);
            owner.required = needed
                .map(|element| element.choice.unwrap_or(element.name))
                .collect();
            owner.required.sort_unstable();
            owner.required.dedup();
        }
        Schema { owners, by_name }
    }

    /// The type or backbone element of that name.
    pub fn named(&self, name: &str) -> Option<OwnerId> {
        self.by_name.get(name).copied()
    }

    /// The structure of a resource type.
    pub fn resource(&self, kind: Kind) -> Option<OwnerId> {
        self.named(kind.name())
    }

    /// The type behind an id.
    pub fn owner(&self, id: OwnerId) -> Option<&Owner> {
        self.owners.get(usize::from(id.0))
    }

    /// A child of an owner by its JSON name.
    pub fn element(&self, owner: OwnerId, name: &str) -> Option<&Element> {
        self.owner(owner)?.element(name)
    }
}

impl OwnerId {
    /// Its place among all types and backbone elements.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl Owner {
    /// A child by its JSON name.
    pub fn element(&self, name: &str) -> Option<&Element> {
        let at = self
            .elements
            .binary_search_by_key(&name, |element| element.name)
            .ok()?;
        self.elements.get(at)
    }

    /// What must occur: names of elements, and of choices (`value[x]`) as a whole.
    pub fn required(&self) -> &[&'static str] {
        &self.required
    }

    /// All children.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }
}

impl Shape {
    fn read(text: &'static str, by_name: &HashMap<&'static str, OwnerId>) -> Shape {
        if text == "Resource" {
            return Shape::Resource;
        }
        if let Some(targets) = text.strip_prefix("Reference(") {
            return match by_name.get("Reference") {
                Some(owner) => Shape::Reference(*owner, targets.trim_end_matches(')')),
                None => Shape::Primitive("Reference"),
            };
        }
        let name = text.strip_prefix("Backbone:").unwrap_or(text);
        match by_name.get(name) {
            Some(owner) => Shape::Complex(*owner),
            None => Shape::Primitive(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_type_has_a_structure() {
        for kind in Kind::all() {
            let owner = SCHEMA.resource(kind).unwrap();
            assert!(SCHEMA.element(owner, "id").is_some(), "{kind}");
        }
    }

    #[test]
    fn shapes_are_read() {
        let observation = SCHEMA.named("Observation").unwrap();
        let value = SCHEMA.element(observation, "valueQuantity").unwrap();
        assert_eq!(value.choice, Some("value[x]"));
        assert!(matches!(value.shape, Shape::Complex(_)));
        let subject = SCHEMA.element(observation, "subject").unwrap();
        assert!(
            matches!(subject.shape, Shape::Reference(_, targets) if targets.contains("Patient"))
        );
        let component = SCHEMA.element(observation, "component").unwrap();
        assert!(component.many);
        let required = SCHEMA.owner(observation).unwrap().required();
        assert_eq!(required, ["code", "status"]);
    }

    #[test]
    fn every_binding_of_the_table_is_to_a_set_that_exists() {
        let table = include_str!("../../profiles/r4/elements.tsv");
        let bound: Vec<&str> = table
            .lines()
            .filter_map(|row| row.split('\t').nth(6))
            .collect();
        assert!(bound.len() > 500);
        for name in bound {
            assert!(CODES.named(name).is_some(), "{name}");
        }
        let patient = SCHEMA.named("Patient").unwrap();
        let gender = SCHEMA.element(patient, "gender").unwrap();
        assert_eq!(gender.binding, CODES.named("administrative-gender"));
        assert_eq!(SCHEMA.element(patient, "birthDate").unwrap().binding, None);
    }

    #[test]
    fn every_primitive_is_one_of_fhirs() {
        const PRIMITIVES: [&str; 20] = [
            "base64Binary",
            "boolean",
            "canonical",
            "code",
            "date",
            "dateTime",
            "decimal",
            "id",
            "instant",
            "integer",
            "markdown",
            "oid",
            "positiveInt",
            "string",
            "time",
            "unsignedInt",
            "uri",
            "url",
            "uuid",
            "xhtml",
        ];
        for owner in &SCHEMA.owners {
            for element in owner.elements() {
                if let Shape::Primitive(name) = element.shape {
                    assert!(
                        PRIMITIVES.contains(&name),
                        "{}.{}: {name}",
                        owner.name,
                        element.name
                    );
                }
            }
        }
    }
}
