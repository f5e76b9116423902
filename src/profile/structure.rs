//! Whether a resource has the structure of its type: names, kinds, cardinalities, primitive
//! formats, reference targets, required bindings, invariants. One pass over the tree; every problem
//! is told, with its FHIRPath.

use super::{
    PROFILES, binding, conform, invariant, narrative,
    place::At,
    primitive,
    reference::{self, Contained},
};
use crate::fhir::{
    EXTENSION, Kind, Node, Resource,
    fhirpath::Type,
    json::{Member, Value},
    outcome::{Issue, IssueType},
    schema::{Element, Owner, OwnerId, SCHEMA, Shape},
};
use std::mem;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Names, kinds, cardinalities, formats of primitives, types of references.
    Structure,
    /// Required bindings, contained resources, narrative and invariants too.
    #[default]
    Strict,
}

/// How far a check goes.
#[derive(Debug, Clone, Copy)]
pub struct CheckLimits {
    /// What is checked.
    pub depth: Depth,
    /// Whether remarks are made that refuse nothing, and extensions of ours held to their definitions.
    /// A write takes a malformed one: what follows from it is decided where it is read, and a Consent is
    /// refused, or kept for review, with reasons.
    pub remarks: bool,
    /// Most problems that are told.
    pub issues: usize,
    /// Longest text in bytes; FHIR's own limit is 1 MB. Binary data and attachments are bounded
    /// by the size of the request instead.
    pub text: usize,
}

impl Default for CheckLimits {
    fn default() -> Self {
        CheckLimits {
            depth: Depth::Strict,
            remarks: false,
            issues: 100,
            text: 1024 * 1024,
        }
    }
}

/// All problems of a resource's structure, in the order of its text. Texts name elements and
/// types, never values.
pub fn check(resource: &Resource, limits: CheckLimits) -> Vec<Issue> {
    let mut walk = Walk {
        resource: resource.root(),
        contained: Contained::new(),
        limits,
        acted_on: ACTED_ON.contains(&resource.kind().name()),
        issues: Vec::new(),
    };
    let at = At::root(resource.kind().name());
    walk.resource(resource.root(), &at, None);
    walk.issues
}

/// Types from which rights, relations or bars are derived. A modifier extension may turn what such a
/// record says into its contrary, and none is known here: it must not be processed
/// (<https://hl7.org/fhir/R4/extensibility.html#modifierExtension>). Records of other types are kept
/// and given back with theirs.
const ACTED_ON: [&str; 9] = [
    "Consent",
    "Coverage",
    "Flag",
    "Group",
    "Organization",
    "Patient",
    "Person",
    "RelatedPerson",
    "Task",
];

struct Walk<'n> {
    /// The resource that is looked at; a contained one is one of its own.
    resource: &'n Node,
    /// What the resource at the root of this one contains.
    contained: Contained<'n>,
    limits: CheckLimits,
    acted_on: bool,
    issues: Vec<Issue>,
}

impl<'n> Walk<'n> {
    fn say(&mut self, kind: IssueType, text: impl Into<String>, at: &At) {
        if self.issues.len() < self.limits.issues {
            self.issues.push(Issue::at(kind, text, at.words()));
        }
    }

    fn tell(&mut self, issue: Issue) {
        if self.issues.len() < self.limits.issues {
            self.issues.push(issue);
        }
    }

    fn strict(&self) -> bool {
        self.limits.depth == Depth::Strict
    }

    /// A whole resource; `holder` is the one that contains it.
    fn resource(&mut self, node: &'n Node, at: &At, holder: Option<&'n Node>) {
        if !matches!(node.value, Value::Object(_)) {
            return self.say(IssueType::Structure, "must be a resource", at);
        }
        let kind = node.text("resourceType").and_then(Kind::named);
        let Some(owner) = kind.and_then(|kind| SCHEMA.resource(kind)) else {
            let text = "resourceType is missing or not a type of FHIR R4";
            return self.say(IssueType::Structure, text, at);
        };
        let outer = mem::replace(&mut self.resource, node);
        let around = match holder {
            None => Some(mem::replace(
                &mut self.contained,
                reference::contained(node),
            )),
            Some(_) => None,
        };
        self.object(node, owner, at, holder.unwrap_or(node), Place::of(holder));
        self.resource = outer;
        if let Some(around) = around {
            self.contained = around;
        }
        if self.limits.remarks && holder.is_none() && node.at(&["text", "div"]).is_none() {
            let text = "dom-6: A resource should have narrative for robust management";
            if SCHEMA.element(owner, "text").is_some() {
                self.tell(Issue::at(IssueType::Invariant, text, at.words()).as_warning());
            }
        }
        if holder.is_none() && self.strict() && node.get("contained").is_some() {
            for issue in reference::contained_faults(node, &at.words()) {
                self.tell(issue);
            }
        }
    }

    fn object(&mut self, node: &'n Node, owner: OwnerId, at: &At, root: &'n Node, place: Place) {
        let id = owner;
        let Some(owner) = SCHEMA.owner(id) else {
            return;
        };
        let before = self.issues.len();
        let members = node.members();
        let content = members.iter().any(|m| &*m.name != "resourceType");
        if !content && place == Place::Inside {
            self.say(IssueType::Structure, "must not be empty", at);
        }
        let mut choices: Vec<(&'static str, &'static str)> = Vec::new();
        for member in members {
            if &*member.name == "resourceType" && place != Place::Inside {
                continue;
            }
            let (name, extra) = match member.name.strip_prefix('_') {
                Some(name) => (name, true),
                None => (&*member.name, false),
            };
            let here = at.name(name);
            let Some(element) = owner.element(name) else {
                self.say(IssueType::Structure, "no such element in FHIR R4", &here);
                continue;
            };
            if let Some(choice) = element.choice {
                self.choice(&mut choices, choice, element, &here);
            }
            if name == "modifierExtension" && self.acted_on && !matches!(place, Place::Contained) {
                let text =
                    "a modifier extension is not understood, and rights follow from this record";
                self.say(IssueType::Extension, text, &here);
            }
            if extra {
                self.extra(member, element, node, &here, root);
            } else if name == "contained" && place == Place::Contained {
                let text = "a contained resource must not contain others";
                self.say(IssueType::Structure, text, &here);
            } else {
                let before = self.issues.len();
                self.member(member, element, node, &here, root);
                if self.issues.len() == before {
                    self.hold_element(id, element, &member.node, &here, root);
                }
            }
        }
        self.required(node, owner, &choices, at);
        if owner.name == "Extension" {
            self.extension(node, !choices.is_empty(), at, root);
        }
        if self.issues.len() == before {
            self.hold(invariant::of_type(id), node, Type::Complex(id), at, root);
        }
    }

    /// The invariants of an element, of each of its values.
    fn hold_element(
        &mut self,
        owner: OwnerId,
        element: &Element,
        node: &'n Node,
        at: &At,
        root: &'n Node,
    ) {
        let kind = match element.shape {
            Shape::Primitive(name) => Type::Primitive(name),
            Shape::Complex(id) | Shape::Reference(id, _) => Type::Complex(id),
            Shape::Resource => Type::Unknown,
        };
        for rule in invariant::of_element(owner, element) {
            for (number, item) in node.each().iter().enumerate() {
                let rules = std::iter::once(rule);
                if element.many {
                    self.hold(rules, item, kind, &at.item(number), root);
                } else {
                    self.hold(rules, item, kind, at, root);
                }
            }
        }
    }

    fn hold(
        &mut self,
        rules: impl Iterator<Item = &'static invariant::Rule>,
        node: &'n Node,
        kind: Type,
        at: &At,
        root: &'n Node,
    ) {
        if !self.strict() {
            return;
        }
        let remarks = self.limits.remarks;
        for rule in rules.filter(|rule| rule.error || remarks) {
            let value = invariant::Value {
                node,
                extra: None,
                kind,
                resource: self.resource,
                root,
            };
            if rule.holds(value) == Some(false) {
                let text = format!("{}: {}", rule.key, rule.human);
                let issue = Issue::at(IssueType::Invariant, text, at.words());
                self.tell(if rule.error {
                    issue
                } else {
                    issue.as_warning()
                });
            }
        }
    }

    fn choice(
        &mut self,
        seen: &mut Vec<(&'static str, &'static str)>,
        choice: &'static str,
        element: &Element,
        at: &At,
    ) {
        match seen.iter().find(|(of, _)| *of == choice) {
            Some((_, name)) if *name == element.name => {}
            Some(_) => {
                let text = format!("only one of {choice} may be given");
                self.say(IssueType::Structure, text, at);
            }
            None => seen.push((choice, element.name)),
        }
    }

    fn required(&mut self, node: &'n Node, owner: &Owner, choices: &[(&str, &str)], at: &At) {
        for name in owner.required() {
            let given = match choices.iter().find(|(choice, _)| choice == name) {
                Some(_) => true,
                None => node.get(name).is_some() || has_extra(node, name),
            };
            if !given {
                self.say(IssueType::Required, format!("{name} is required"), at);
            }
        }
    }

    /// ext-1; and whether an extension of ours keeps to its definition.
    fn extension(&mut self, node: &'n Node, value: bool, at: &At, root: &'n Node) {
        match (value, node.get("extension").is_some()) {
            (true, true) => {
                let text = "an extension has a value or extensions, not both";
                self.say(IssueType::Structure, text, at);
            }
            (false, false) => {
                let text = "an extension has a value or extensions";
                self.say(IssueType::Required, text, at);
            }
            _ => {}
        }
        if self.limits.remarks
            && let Some(url) = node.text("url").filter(|url| url.starts_with(EXTENSION))
            && let Some(definition) = PROFILES.find(url)
        {
            for issue in conform::conform(&PROFILES, definition, (node, root), at, self.limits) {
                self.tell(issue);
            }
        }
    }

    fn member(
        &mut self,
        member: &'n Member,
        element: &Element,
        owner: &'n Node,
        at: &At,
        root: &'n Node,
    ) {
        match (&member.node.value, element.many) {
            (Value::Array(items), true) => {
                if items.is_empty() {
                    self.say(IssueType::Structure, "must not be an empty array", at);
                }
                for (number, item) in items.iter().enumerate() {
                    let at = at.item(number);
                    let stands_for = || {
                        matches!(element.shape, Shape::Primitive(_))
                            && extra_item(owner, element.name, number).is_some_and(is_object)
                    };
                    if item.value != Value::Null || !stands_for() {
                        self.value(item, element, &at, root);
                    }
                }
            }
            (Value::Array(_), false) => {
                self.say(IssueType::Structure, "must not be an array", at);
            }
            (_, true) => self.say(IssueType::Structure, "must be an array", at),
            (_, false) => self.value(&member.node, element, at, root),
        }
    }

    fn value(&mut self, node: &'n Node, element: &Element, at: &At, root: &'n Node) {
        if node.value == Value::Null {
            return self.say(IssueType::Structure, "must not be null", at);
        }
        match element.shape {
            Shape::Primitive(kind) => {
                let longest = match kind {
                    "base64Binary" => usize::MAX,
                    _ => self.limits.text,
                };
                if let Some(fault) = primitive::fault(kind, &node.value, longest) {
                    self.say(IssueType::Value, fault, at);
                } else if self.strict()
                    && kind == "xhtml"
                    && let Some((key, fault)) = node.str().and_then(narrative::broken)
                {
                    self.say(IssueType::Invariant, format!("{key}: {fault}"), at);
                } else {
                    self.bound(node, element, at);
                }
            }
            Shape::Resource => {
                let holder = (element.name == "contained").then_some(root);
                self.resource(node, at, holder);
            }
            Shape::Complex(_) | Shape::Reference(..) if !is_object(node) => {
                self.say(IssueType::Structure, "must be an object", at);
            }
            Shape::Complex(owner) => {
                self.object(node, owner, at, root, Place::Inside);
                self.bound(node, element, at);
            }
            Shape::Reference(owner, targets) => {
                self.object(node, owner, at, root, Place::Inside);
                if let Some(fault) = reference::fault(node, targets, root, &self.contained)
                    && (self.strict() || fault.kind == IssueType::Value)
                {
                    self.say(fault.kind, fault.text, &at.name("reference"));
                }
            }
        }
    }

    fn bound(&mut self, node: &'n Node, element: &Element, at: &At) {
        if self.strict()
            && let Some(id) = element.binding
            && let Some(fault) = binding::fault(node, id)
        {
            self.say(IssueType::CodeInvalid, fault, at);
        }
    }

    /// `_name`: id and extensions of a primitive, or of each of a list of them.
    fn extra(
        &mut self,
        member: &'n Member,
        element: &Element,
        owner: &'n Node,
        at: &At,
        root: &'n Node,
    ) {
        let Some(id) = SCHEMA.named("Element") else {
            return;
        };
        if !matches!(element.shape, Shape::Primitive(_)) {
            let text = "only a primitive element has a twin with an underscore";
            return self.say(IssueType::Structure, text, at);
        }
        match (&member.node.value, element.many) {
            (Value::Object(_), false) => self.object(&member.node, id, at, root, Place::Inside),
            (Value::Array(items), true) => {
                let values = owner.get(element.name).map(Node::items);
                if values.is_some_and(|values| values.len() != items.len()) {
                    let text = "the twin with an underscore must have as many items";
                    self.say(IssueType::Structure, text, at);
                }
                if !items.iter().any(is_object) {
                    let text = "the twin with an underscore must hold an object";
                    self.say(IssueType::Structure, text, at);
                }
                for (number, item) in items.iter().enumerate() {
                    let at = at.item(number);
                    match item.value {
                        Value::Object(_) => self.object(item, id, &at, root, Place::Inside),
                        Value::Null if values.is_some() => {}
                        _ => self.say(IssueType::Structure, "must be an object or null", &at),
                    }
                }
            }
            (_, false) => self.say(IssueType::Structure, "must be an object", at),
            (_, true) => self.say(IssueType::Structure, "must be an array", at),
        }
    }
}

/// Which `resourceType` and `contained` an object may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Resource,
    Contained,
    Inside,
}

impl Place {
    fn of(holder: Option<&Node>) -> Place {
        match holder {
            Some(_) => Place::Contained,
            None => Place::Resource,
        }
    }
}

fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Object(_))
}

fn has_extra(node: &Node, name: &str) -> bool {
    let named = |member: &Member| member.name.strip_prefix('_') == Some(name);
    node.members().iter().any(named)
}

fn extra_item<'n>(node: &'n Node, name: &str, number: usize) -> Option<&'n Node> {
    let named = |member: &&Member| member.name.strip_prefix('_') == Some(name);
    let extra = node.members().iter().find(named)?;
    extra.node.items().get(number)
}

#[cfg(test)]
#[path = "structure_tests.rs"]
mod tests;
