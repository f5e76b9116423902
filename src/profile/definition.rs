//! Profiles as trees of rules, from the differentials of StructureDefinitions
//! (<https://hl7.org/fhir/R4/profiling.html>). A derived profile is laid over what it derives from.

use super::invariant::Condition;
use crate::fhir::{Kind, Node, json::Value};

/// The base of HL7's own definitions.
pub(super) const HL7: &str = "http://hl7.org/fhir/StructureDefinition/";

/// A profile of a resource type or a datatype.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Canonical URL, without a version.
    pub url: Box<str>,
    /// The version that it has, where it says one.
    pub version: Option<Box<str>>,
    /// The type that is narrowed (`Task`, `Extension`).
    pub kind: Box<str>,
    /// What it derives from.
    pub base: Box<str>,
    /// What must hold.
    pub(super) root: Rule,
}

/// What must hold of an element, or of one slice of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rule {
    /// Its name in the path (`component`, `value[x]`).
    pub(super) name: Box<str>,
    /// The name of the slice, where it is one.
    pub(super) slice: Option<Box<str>>,
    pub(super) min: u32,
    /// `None` is any number.
    pub(super) max: Option<u32>,
    /// Empty is what the base allows.
    pub(super) types: Vec<TypeRule>,
    pub(super) fixed: Option<Node>,
    pub(super) pattern: Option<Node>,
    /// A value set that is required.
    pub(super) binding: Option<Box<str>>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) slicing: Option<Slicing>,
    pub(super) children: Vec<Rule>,
    pub(super) slices: Vec<Rule>,
}

/// A type that an element may have.
#[derive(Debug, Clone, Default)]
pub(super) struct TypeRule {
    pub(super) code: Box<str>,
    /// Profiles of which it must keep to one.
    pub(super) profiles: Vec<Box<str>>,
    /// Resource types and profiles that a reference may point at.
    pub(super) targets: Vec<Box<str>>,
}

/// An invariant of a profile.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    pub(super) key: Box<str>,
    pub(super) error: bool,
    pub(super) condition: Condition,
    pub(super) human: Box<str>,
}

/// How items are told apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Slicing {
    pub(super) discriminators: Vec<(Discriminator, Box<str>)>,
    pub(super) closed: bool,
    /// Items of slices stand in the order of the slices.
    pub(super) ordered: bool,
    /// Items of no slice come after those of slices.
    pub(super) at_end: bool,
}

/// <https://hl7.org/fhir/R4/valueset-discriminator-type.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discriminator {
    /// Also `pattern`: R4 gives both the same meaning.
    Value,
    Exists,
    Type,
    Profile,
}

/// Why a StructureDefinition can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// No `url`, `type`, `baseDefinition` or differential.
    #[error("it has no url, type, baseDefinition or differential")]
    Incomplete,
    /// An element's id leads nowhere.
    #[error("the id of an element is not a path of its type")]
    Id,
    /// A kind of discriminator that R4 does not have.
    #[error("a discriminator is none of R4's")]
    Discriminator,
    /// A limit of occurrences that is no number.
    #[error("min or max is not a number")]
    Cardinality,
}

impl Definition {
    /// Reads a StructureDefinition of kind `constraint`, laid over `base` where that is a profile too.
    pub fn read(node: &Node, base: Option<&Definition>) -> Result<Definition, DefinitionError> {
        let text = |name: &str| node.text(name).ok_or(DefinitionError::Incomplete);
        let kind = text("type")?;
        let elements = node
            .at(&["differential", "element"])
            .map(Node::items)
            .ok_or(DefinitionError::Incomplete)?;
        let mut root = match base {
            Some(base) => base.root.clone(),
            None => Rule::named(kind),
        };
        for element in elements {
            let id = element.text("id").or_else(|| element.text("path"));
            let mut steps = id.ok_or(DefinitionError::Id)?.split('.');
            if steps.next() != Some(kind) {
                return Err(DefinitionError::Id);
            }
            let mut at = &mut root;
            for step in steps {
                at = at.step(step).ok_or(DefinitionError::Id)?;
            }
            at.lay(element)?;
        }
        Ok(Definition {
            url: text("url")?.into(),
            version: node.text("version").map(Into::into),
            kind: kind.into(),
            base: text("baseDefinition")?.into(),
            root,
        })
    }
}

impl Rule {
    fn named(name: &str) -> Rule {
        Rule {
            name: name.into(),
            ..Rule::default()
        }
    }

    /// The rule of a child (`coding`) or of a slice of it (`coding:code`), made where there is none.
    fn step(&mut self, step: &str) -> Option<&mut Rule> {
        let (name, slice) = match step.split_once(':') {
            Some((name, slice)) => (name, Some(slice)),
            None => (step, None),
        };
        let child = find_or_make(
            &mut self.children,
            |rule| &*rule.name == name,
            || Rule::named(name),
        )?;
        match slice {
            None => Some(child),
            Some(slice) => find_or_make(
                &mut child.slices,
                |rule| rule.slice.as_deref() == Some(slice),
                || Rule {
                    slice: Some(slice.into()),
                    ..Rule::named(name)
                },
            ),
        }
    }

    /// Takes over what an element says.
    fn lay(&mut self, element: &Node) -> Result<(), DefinitionError> {
        if let Some(min) = element.get("min").and_then(Node::number) {
            self.min = min.parse().or(Err(DefinitionError::Cardinality))?;
        }
        match element.text("max") {
            None => {}
            Some("*") => self.max = None,
            Some(max) => self.max = Some(max.parse().or(Err(DefinitionError::Cardinality))?),
        }
        if let Some(types) = element.get("type") {
            self.types = types.items().iter().map(TypeRule::read).collect();
        }
        for member in element.members() {
            if member.name.starts_with("fixed") {
                self.fixed = Some(member.node.clone());
            } else if member.name.starts_with("pattern") {
                self.pattern = Some(member.node.clone());
            }
        }
        if let Some(binding) = element.get("binding") {
            self.binding = match binding.text("strength") {
                Some("required") => binding.text("valueSet").map(Into::into),
                _ => None,
            };
        }
        for constraint in items(element, "constraint") {
            if let (Some(key), Some(expression)) =
                (constraint.text("key"), constraint.text("expression"))
            {
                self.constraints.push(Constraint {
                    key: key.into(),
                    error: constraint.text("severity") != Some("warning"),
                    condition: Condition::new(expression),
                    human: constraint.text("human").unwrap_or_default().into(),
                });
            }
        }
        if let Some(slicing) = element.get("slicing") {
            let told = items(slicing, "discriminator");
            self.slicing = Some(Slicing {
                discriminators: told.iter().map(discriminator).collect::<Result<_, _>>()?,
                closed: slicing.text("rules") == Some("closed"),
                ordered: slicing.get("ordered").and_then(Node::bool) == Some(true),
                at_end: slicing.text("rules") == Some("openAtEnd"),
            });
        }
        Ok(())
    }

    /// A child by the name of a path (`value` finds `value[x]`).
    pub(super) fn child(&self, name: &str) -> Option<&Rule> {
        let fits = |rule: &&Rule| {
            *rule.name == *name
                || rule
                    .name
                    .strip_suffix("[x]")
                    .is_some_and(|base| base == name)
        };
        self.children.iter().find(fits)
    }
}

impl TypeRule {
    fn read(node: &Node) -> TypeRule {
        let texts = |name: &str| {
            let items = items(node, name).iter();
            items.filter_map(Node::str).map(Into::into).collect()
        };
        TypeRule {
            code: node.text("code").unwrap_or_default().into(),
            profiles: texts("profile"),
            targets: texts("targetProfile"),
        }
    }

    /// The type that a canonical URL of HL7's base definitions names.
    pub(super) fn base_kind(url: &str) -> Option<&str> {
        let name = url.strip_prefix(HL7)?;
        (name == "Resource" || Kind::named(name).is_some()).then_some(name)
    }
}

fn items<'n>(node: &'n Node, name: &str) -> &'n [Node] {
    node.get(name).map(Node::items).unwrap_or_default()
}

fn discriminator(node: &Node) -> Result<(Discriminator, Box<str>), DefinitionError> {
    let kind = match node.text("type") {
        Some("value" | "pattern") => Discriminator::Value,
        Some("exists") => Discriminator::Exists,
        Some("type") => Discriminator::Type,
        Some("profile") => Discriminator::Profile,
        _ => return Err(DefinitionError::Discriminator),
    };
    let path = node.text("path").ok_or(DefinitionError::Discriminator)?;
    Ok((kind, path.into()))
}

/// The first that is meant, put there where it is not.
fn find_or_make(
    rules: &mut Vec<Rule>,
    is: impl Fn(&Rule) -> bool,
    make: impl FnOnce() -> Rule,
) -> Option<&mut Rule> {
    if !rules.iter().any(&is) {
        rules.push(make());
    }
    rules.iter_mut().find(|rule| is(rule))
}

/// Whether a value equals a fixed one, to the letter.
pub(super) fn equals(value: &Node, fixed: &Node) -> bool {
    match (&value.value, &fixed.value) {
        (Value::Object(has), Value::Object(members)) => {
            has.len() == members.len() && covers(value, fixed, equals)
        }
        (Value::Array(has), Value::Array(items)) => {
            let mut pairs = has.iter().zip(items);
            has.len() == items.len() && pairs.all(|(value, fixed)| equals(value, fixed))
        }
        (value, fixed) => value == fixed,
    }
}

/// Whether a value has everything that a pattern has; arrays have one item for each of the pattern's.
pub(super) fn has_pattern(value: &Node, pattern: &Node) -> bool {
    match (&value.value, &pattern.value) {
        (Value::Object(_), Value::Object(_)) => covers(value, pattern, has_pattern),
        (Value::Array(has), Value::Array(items)) => items
            .iter()
            .all(|item| has.iter().any(|value| has_pattern(value, item))),
        (value, pattern) => value == pattern,
    }
}

fn covers(value: &Node, other: &Node, fits: fn(&Node, &Node) -> bool) -> bool {
    other.members().iter().all(|member| {
        let found = value.get(&member.name);
        found.is_some_and(|found| fits(found, &member.node))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Limits, parse};

    fn node(text: &str) -> Node {
        parse(text.as_bytes(), Limits::default()).unwrap()
    }

    #[test]
    fn a_derived_profile_lies_over_its_base() {
        let base = node(
            r#"{"url":"http://x/b","type":"Observation","baseDefinition":"http://y","differential":{"element":[
            {"id":"Observation"},{"id":"Observation.component","min":1,"slicing":{"discriminator":[{"type":"value","path":"code"}],"rules":"closed"}},
            {"id":"Observation.component:a","max":"1"},{"id":"Observation.component:a.code","fixedCode":"x"}]}}"#,
        );
        let base = Definition::read(&base, None).unwrap();
        let derived = node(
            r#"{"url":"http://x/d","type":"Observation","baseDefinition":"http://x/b","differential":{"element":[
            {"id":"Observation.component:a","min":1},{"id":"Observation.component:b"},{"id":"Observation.value[x]","min":1}]}}"#,
        );
        let derived = Definition::read(&derived, Some(&base)).unwrap();
        let component = derived.root.child("component").unwrap();
        assert_eq!((component.min, component.max), (1, None));
        assert!(component.slicing.as_ref().unwrap().closed);
        let slices: Vec<_> = component.slices.iter().collect();
        assert_eq!(slices.len(), 2);
        assert_eq!((slices[0].min, slices[0].max), (1, Some(1)));
        assert!(slices[0].child("code").unwrap().fixed.is_some());
        assert_eq!(derived.root.child("value").unwrap().min, 1);
    }

    #[test]
    fn what_can_t_be_used_is_refused() {
        let read = |element: &str| {
            let text = format!(
                r#"{{"url":"u","type":"Task","baseDefinition":"b","differential":{{"element":[{element}]}}}}"#
            );
            Definition::read(&node(&text), None).err()
        };
        assert_eq!(read(r#"{"id":"Task.code"}"#), None);
        assert_eq!(read(r#"{"id":"Patient.name"}"#), Some(DefinitionError::Id));
        assert_eq!(
            read(r#"{"id":"Task","max":"many"}"#),
            Some(DefinitionError::Cardinality)
        );
        let slicing =
            r#"{"id":"Task.note","slicing":{"discriminator":[{"type":"guess","path":"x"}]}}"#;
        assert_eq!(read(slicing), Some(DefinitionError::Discriminator));
        let nothing = Definition::read(&node(r#"{"url":"u"}"#), None);
        assert_eq!(nothing.err(), Some(DefinitionError::Incomplete));
    }

    #[test]
    fn fixed_is_to_the_letter_and_a_pattern_is_part_of() {
        let value = node(r#"{"coding":[{"code":"b"},{"code":"a","system":"s"}],"text":"t"}"#);
        let same = node(r#"{"text":"t","coding":[{"code":"b"},{"system":"s","code":"a"}]}"#);
        assert!(equals(&value, &same) && has_pattern(&value, &same));
        let part = node(r#"{"coding":[{"code":"a"}]}"#);
        assert!(!equals(&value, &part) && has_pattern(&value, &part));
        let other = node(r#"{"coding":[{"code":"a"},{"code":"c"}]}"#);
        assert!(!has_pattern(&value, &other));
        assert!(!equals(&node("1.0"), &node("1.00")));
    }
}
