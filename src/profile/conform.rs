//! Whether a resource keeps to a profile (<https://hl7.org/fhir/R4/profiling.html>): cardinalities,
//! types, fixed values and patterns, slices, required bindings, nested profiles, constraints. Structure
//! itself is checked elsewhere.

use super::{
    CheckLimits, Profiles,
    definition::{Definition, Rule, TypeRule, equals, has_pattern},
    invariant,
    place::At,
    reference,
};
use crate::fhir::{
    Node,
    fhirpath::Type,
    json::{Member, Value},
    outcome::{Issue, IssueType},
    schema::{SCHEMA, Shape},
};

/// Profiles within profiles; deeper than any that exist.
const NESTED: usize = 16;

/// Every way in which a value, within a resource, does not keep to a profile.
pub(super) fn conform(
    profiles: &Profiles,
    definition: &Definition,
    (node, root): (&Node, &Node),
    at: &At,
    limits: CheckLimits,
) -> Vec<Issue> {
    let mut check = Conform {
        profiles,
        root,
        limits,
        nested: NESTED,
        issues: Vec::new(),
    };
    check.whole(node, definition, at);
    check.issues
}

/// One value of an element, or what stands for it.
#[derive(Clone, Copy)]
pub(super) struct Item<'n> {
    /// The member's name in JSON (`valueQuantity`).
    pub(super) name: &'n str,
    /// Its number, where the element is a list.
    pub(super) number: Option<usize>,
    /// The value; nothing where only extensions stand for it.
    pub(super) node: Option<&'n Node>,
}

pub(super) struct Conform<'p> {
    pub(super) profiles: &'p Profiles,
    /// The resource that is checked, for its contained ones.
    pub(super) root: &'p Node,
    limits: CheckLimits,
    nested: usize,
    issues: Vec<Issue>,
}

impl<'p> Conform<'p> {
    fn say(&mut self, kind: IssueType, text: impl Into<String>, at: &At) {
        if self.issues.len() < self.limits.issues {
            self.issues.push(Issue::at(kind, text, at.words()));
        }
    }

    fn remark(&mut self, kind: IssueType, text: &str, at: &At) {
        if self.limits.remarks && self.issues.len() < self.limits.issues {
            let issue = Issue::at(kind, text, at.words());
            self.issues.push(issue.as_warning());
        }
    }

    /// Whether a value keeps to a rule, without a word.
    pub(super) fn fits(&self, item: Item<'_>, rule: &Rule) -> bool {
        let mut check = Conform {
            profiles: self.profiles,
            root: self.root,
            limits: CheckLimits {
                issues: 1,
                remarks: false,
                ..self.limits
            },
            nested: self.nested,
            issues: Vec::new(),
        };
        check.value(item, rule, Type::Unknown, &At::root(""));
        check.issues.is_empty()
    }

    /// Whether a value keeps to one of these profiles; `None` where none of them is known here.
    pub(super) fn keeps_to(&self, node: &Node, urls: &[Box<str>]) -> Option<bool> {
        let nested = self.nested.checked_sub(1)?;
        let mut known = false;
        for url in urls {
            if TypeRule::base_kind(url).is_some() {
                return Some(true);
            }
            let Some(definition) = self.profiles.find(url) else {
                continue;
            };
            known = true;
            let mut check = Conform {
                profiles: self.profiles,
                root: self.root,
                limits: CheckLimits {
                    issues: 1,
                    remarks: false,
                    ..self.limits
                },
                nested,
                issues: Vec::new(),
            };
            check.whole(node, definition, &At::root(""));
            if check.issues.is_empty() {
                return Some(true);
            }
        }
        known.then_some(false)
    }

    /// A value against a whole profile.
    fn whole(&mut self, node: &Node, definition: &Definition, at: &At) {
        let kind = named(&definition.kind);
        self.children(node, &definition.root, kind, at);
        self.constraints(node, &definition.root, kind, at);
    }

    fn children(&mut self, node: &Node, rule: &Rule, kind: Type, at: &At) {
        for child in &rule.children {
            self.child(node, child, kind, at);
        }
    }

    fn child(&mut self, node: &Node, rule: &Rule, holder: Type, at: &At) {
        let items = items(node, &rule.name);
        let plain = rule.name.strip_suffix("[x]").unwrap_or(&rule.name);
        self.count(rule, items.len(), &at.name(plain));
        for item in &items {
            let member = at.name(item.name);
            match item.number {
                Some(number) => {
                    self.value(*item, rule, kind_of(holder, *item), &member.item(number));
                }
                None => self.value(*item, rule, kind_of(holder, *item), &member),
            }
        }
        if !rule.slices.is_empty() {
            self.slices(&items, rule, holder, at);
        }
    }

    fn count(&mut self, rule: &Rule, count: usize, at: &At) {
        let of = match &rule.slice {
            Some(slice) => format!(" of slice {slice}"),
            None => String::new(),
        };
        if count < rule.min as usize {
            let text = format!("the profile requires at least {}{of}", rule.min);
            self.say(IssueType::Required, text, at);
        }
        if let Some(max) = rule.max
            && count > max as usize
        {
            let text = match max {
                0 => format!("the profile does not allow this{of}"),
                max => format!("the profile allows at most {max}{of}"),
            };
            self.say(IssueType::Structure, text, at);
        }
    }

    fn slices(&mut self, items: &[Item<'_>], rule: &Rule, holder: Type, at: &At) {
        let plain = rule.name.strip_suffix("[x]").unwrap_or(&rule.name);
        let mut counts = vec![0_usize; rule.slices.len()];
        let mut unsure = false;
        let slicing = rule.slicing.as_ref();
        let (ordered, at_end) = slicing.map_or((false, false), |all| (all.ordered, all.at_end));
        let (mut furthest, mut others) = (0, false);
        for item in items {
            let member = at.name(item.name);
            let listed = item.number.map(|number| member.item(number));
            let place = listed.as_ref().unwrap_or(&member);
            let mut taken = false;
            for (number, (slice, count)) in rule.slices.iter().zip(&mut counts).enumerate() {
                match self.belongs(*item, rule, slice) {
                    Some(true) => {
                        *count += 1;
                        taken = true;
                        // Where an item before it can't be told, neither can the order.
                        if ordered && !unsure && number < furthest {
                            let text = "stands after a slice that the profile has after it";
                            self.say(IssueType::Structure, text, place);
                        }
                        if at_end && !unsure && others {
                            let text = "stands after items of no slice, which come at the end";
                            self.say(IssueType::Structure, text, place);
                        }
                        furthest = furthest.max(number);
                        self.value(*item, slice, kind_of(holder, *item), place);
                        break;
                    }
                    Some(false) => {}
                    None => unsure = true,
                }
            }
            others |= !taken;
            let closed = slicing.is_some_and(|slicing| slicing.closed);
            if !taken && closed && !unsure {
                let text = "is of none of the slices that the profile allows";
                self.say(IssueType::Structure, text, place);
            }
        }
        let here = at.name(plain);
        if unsure {
            self.remark(
                IssueType::NotSupported,
                "can't be told to a slice of the profile",
                &here,
            );
        } else {
            for (slice, count) in rule.slices.iter().zip(counts) {
                self.count(slice, count, &here);
            }
        }
    }

    /// One value of an element.
    fn value(&mut self, item: Item<'_>, rule: &Rule, kind: Type, at: &At) {
        if let Some(choice) = choice_kind(item.name, &rule.name)
            && !rule.types.is_empty()
            && !rule.types.iter().any(|of| capital(&of.code) == choice)
        {
            self.say(
                IssueType::Structure,
                "the profile does not allow this type",
                at,
            );
        }
        let Some(node) = item.node else {
            return;
        };
        if rule
            .fixed
            .as_ref()
            .is_some_and(|fixed| !equals(node, fixed))
        {
            self.say(
                IssueType::Value,
                "is not the value that the profile fixes",
                at,
            );
        }
        let pattern = rule.pattern.as_ref();
        if pattern.is_some_and(|pattern| !has_pattern(node, pattern)) {
            self.say(IssueType::Value, "does not have the profile's pattern", at);
        }
        if let Some(set) = &rule.binding {
            self.bound(node, set, at);
        }
        self.types(node, rule, at);
        self.children(node, rule, kind, at);
        self.constraints(node, rule, kind, at);
    }

    fn bound(&mut self, node: &Node, set: &str, at: &At) {
        match self.profiles.has_codes(set, node) {
            Some(true) => {}
            Some(false) => {
                let set = set.split('|').next().unwrap_or(set);
                let name = set.rsplit('/').next().unwrap_or(set);
                let text = format!("must be of the value set {name}");
                self.say(IssueType::CodeInvalid, text, at);
            }
            None => self.remark(
                IssueType::NotSupported,
                "the value set of the profile is not known here",
                at,
            ),
        }
    }

    /// Profiles of a value's type, and what references may point at.
    fn types(&mut self, node: &Node, rule: &Rule, at: &At) {
        let profiles: Vec<Box<str>> = rule
            .types
            .iter()
            .flat_map(|of| of.profiles.iter().cloned())
            .collect();
        let narrowed = rule.types.iter().all(|of| !of.profiles.is_empty());
        if narrowed && !profiles.is_empty() {
            match self.keeps_to(node, &profiles) {
                Some(true) => {}
                Some(false) => {
                    let text = "does not keep to a profile that the profile requires here";
                    self.say(IssueType::Value, text, at);
                }
                None => self.remark(
                    IssueType::NotSupported,
                    "a profile that is required here is not known",
                    at,
                ),
            }
        }
        let targets = rule.types.iter().flat_map(|of| &of.targets);
        let targets: Option<Vec<&str>> = targets
            .map(|url| match TypeRule::base_kind(url) {
                Some(kind) => Some(kind),
                None => self.profiles.find(url).map(|definition| &*definition.kind),
            })
            .collect();
        if let Some(targets) = targets
            && !targets.is_empty()
            && !targets.contains(&"Resource")
            && node.get("reference").is_some()
            && let Some(kind) = reference::kind(node, self.root)
            && !targets.contains(&kind)
        {
            let text = "refers to a type that the profile does not allow";
            self.say(IssueType::Value, text, &at.name("reference"));
        }
    }

    fn constraints(&mut self, node: &Node, rule: &Rule, kind: Type, at: &At) {
        for constraint in &rule.constraints {
            if !constraint.error && !self.limits.remarks {
                continue;
            }
            let value = invariant::Value {
                node,
                extra: None,
                kind,
                resource: self.root,
                root: self.root,
            };
            match constraint.condition.holds(value) {
                Some(true) => {}
                Some(false) => {
                    let text = format!("{}: {}", constraint.key, constraint.human);
                    if constraint.error {
                        self.say(IssueType::Invariant, text, at);
                    } else {
                        self.remark(IssueType::Invariant, &text, at);
                    }
                }
                None => {
                    let text = format!("{}: can't be evaluated here", constraint.key);
                    self.remark(IssueType::NotSupported, &text, at);
                }
            }
        }
    }
}

/// The type of an item of an element of a type, where the definitions know it.
fn kind_of(holder: Type, item: Item<'_>) -> Type {
    let Type::Complex(owner) = holder else {
        return Type::Unknown;
    };
    match SCHEMA
        .element(owner, item.name)
        .map(|element| element.shape)
    {
        Some(Shape::Primitive(name)) => Type::Primitive(name),
        Some(Shape::Complex(id) | Shape::Reference(id, _)) => Type::Complex(id),
        Some(Shape::Resource) => {
            let kind = item.node.and_then(|node| node.text("resourceType"));
            named(kind.unwrap_or_default())
        }
        None => Type::Unknown,
    }
}

/// A type by its name.
fn named(name: &str) -> Type {
    SCHEMA.named(name).map_or(Type::Unknown, Type::Complex)
}

/// The values of an element by its name in a path: a choice by any of its names, a primitive also where
/// only extensions stand for it.
pub(super) fn items<'n>(node: &'n Node, name: &str) -> Vec<Item<'n>> {
    let mut found: Vec<Item<'n>> = Vec::new();
    for member in node.members() {
        let (plain, extra) = match member.name.strip_prefix('_') {
            Some(plain) => (plain, true),
            None => (&*member.name, false),
        };
        if plain != name && choice_kind(plain, name).is_none() {
            continue;
        }
        if extra && node.get(plain).is_some() {
            // Counted by the values; one that is null has its place among them.
            continue;
        }
        found.extend(each(member, plain, extra));
    }
    found
}

fn each<'n>(member: &'n Member, name: &'n str, extra: bool) -> Vec<Item<'n>> {
    let known = |node: &'n Node| (!extra && node.value != Value::Null).then_some(node);
    match &member.node.value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(number, node)| Item {
                name,
                number: Some(number),
                node: known(node),
            })
            .collect(),
        _ => vec![Item {
            name,
            number: None,
            node: known(&member.node),
        }],
    }
}

/// The type that a name in JSON gives a choice: `Quantity` of `valueQuantity` for `value[x]`.
pub(super) fn choice_kind<'n>(name: &'n str, path: &str) -> Option<&'n str> {
    let kind = name.strip_prefix(path.strip_suffix("[x]")?)?;
    kind.starts_with(|c: char| c.is_ascii_uppercase())
        .then_some(kind)
}

/// A type's code as it stands at the end of a choice's name.
pub(super) fn capital(code: &str) -> String {
    let code = code.rsplit('/').next().unwrap_or(code);
    let code = code.strip_prefix("System.").unwrap_or(code);
    let mut chars = code.chars();
    match chars.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
        None => String::new(),
    }
}

#[cfg(test)]
#[path = "conform_tests.rs"]
mod tests;
