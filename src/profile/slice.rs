//! To which slice an item belongs (<https://hl7.org/fhir/R4/profiling.html#discriminator>).

use super::{
    conform::{Conform, Item, capital, choice_kind, items},
    definition::{Discriminator, Rule},
    reference,
};
use crate::fhir::Node;

impl Conform<'_> {
    /// Whether an item is of a slice; `None` where that can't be told here, for what decides stands
    /// in a record elsewhere or in a profile that is not known.
    pub(super) fn belongs(&self, item: Item<'_>, rule: &Rule, slice: &Rule) -> Option<bool> {
        let given = rule
            .slicing
            .as_ref()
            .map(|slicing| &*slicing.discriminators);
        match given {
            Some([]) | None if rule.name.ends_with("[x]") => Some(of_type(item, slice)),
            // R4 slices extensions by their url where nothing else is said.
            Some([]) | None => self.by(item, slice, Discriminator::Value, default_path(rule)),
            Some(discriminators) => {
                let mut sure = true;
                for (kind, path) in discriminators {
                    match self.by(item, slice, *kind, path) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => sure = false,
                    }
                }
                sure.then_some(true)
            }
        }
    }

    fn by(&self, item: Item<'_>, slice: &Rule, kind: Discriminator, path: &str) -> Option<bool> {
        if path == "$this" || path.is_empty() {
            return match kind {
                Discriminator::Type => Some(of_type(item, slice)),
                Discriminator::Profile => self.keeps_to(item.node?, &profiles(slice)),
                Discriminator::Exists => Some(true),
                Discriminator::Value => Some(self.fits(item, &told(slice))),
            };
        }
        if path == "url" && slice.child("url").is_none() {
            // A slice of extensions by the profile of each: its url is the profile's.
            let url = item.node.and_then(|node| node.text("url"))?;
            return Some(profiles(slice).iter().any(|profile| &**profile == url));
        }
        let mut at = vec![item];
        let mut rules = vec![slice];
        for step in path.split('.') {
            if step == "resolve()" {
                let resolved: Option<Vec<_>> = at.iter().map(|item| self.resolved(*item)).collect();
                at = resolved?;
                continue;
            }
            let next = below(&rules, step_name(step));
            let Some(first) = next.first() else {
                // What is said of an element further up says it for what is below.
                break;
            };
            at = at
                .iter()
                .filter_map(|item| item.node)
                .flat_map(|node| items(node, &first.name))
                .collect();
            rules = next;
        }
        let mut all = true;
        for rule in rules {
            all &= self.tells(&at, rule, kind)?;
        }
        Some(all)
    }

    fn tells(&self, at: &[Item<'_>], rule: &Rule, kind: Discriminator) -> Option<bool> {
        match kind {
            Discriminator::Exists => Some(match rule.max {
                Some(0) => at.is_empty(),
                _ => rule.min == 0 || !at.is_empty(),
            }),
            Discriminator::Type => Some(at.iter().any(|item| of_type(*item, rule))),
            Discriminator::Profile => {
                let urls = profiles(rule);
                let mut nodes = at.iter().filter_map(|item| item.node);
                nodes.try_fold(false, |any, node| Some(any || self.keeps_to(node, &urls)?))
            }
            Discriminator::Value => Some(at.iter().any(|item| self.fits(*item, rule))),
        }
    }

    /// What a reference points at, where it is contained.
    fn resolved<'n>(&'n self, item: Item<'n>) -> Option<Item<'n>> {
        let id = item.node?.text("reference")?.strip_prefix('#')?;
        let node = reference::contained_node(self.root, id)?;
        Some(Item {
            name: item.name,
            number: None,
            node: Some(node),
        })
    }
}

/// The rules of a child, also those that slices of its parent have for it: what tells a slice apart may
/// stand in a slice of its own (`component:Systolic.code.coding:LOINC.code`).
fn below<'r>(rules: &[&'r Rule], name: &str) -> Vec<&'r Rule> {
    let with_slices = rules.iter().flat_map(|rule| {
        let slices = rule.slices.iter();
        std::iter::once(*rule).chain(slices)
    });
    with_slices.filter_map(|rule| rule.child(name)).collect()
}

/// What tells a slice apart by `$this`: what it fixes, its pattern or its binding, not what it asks for
/// further.
fn told(slice: &Rule) -> Rule {
    let mut told = Rule {
        name: slice.name.clone(),
        fixed: slice.fixed.clone(),
        pattern: slice.pattern.clone(),
        binding: slice.binding.clone(),
        ..Rule::default()
    };
    if told.fixed.is_none() && told.pattern.is_none() && told.binding.is_none() {
        told.children.clone_from(&slice.children);
    }
    told
}

fn profiles(rule: &Rule) -> Vec<Box<str>> {
    let profiles = rule.types.iter().flat_map(|of| &of.profiles);
    profiles.cloned().collect()
}

fn default_path(rule: &Rule) -> &'static str {
    match &*rule.name {
        "extension" | "modifierExtension" => "url",
        _ => "$this",
    }
}

/// `extension('url')` and `ofType(X)` are followed by their element's name alone.
fn step_name(step: &str) -> &str {
    step.split_once('(').map_or(step, |(name, _)| name)
}

/// Whether an item's type is one of the slice's: by its name in JSON, its resourceType, or what its
/// reference names.
fn of_type(item: Item<'_>, slice: &Rule) -> bool {
    if let Some(kind) = choice_kind(item.name, &slice.name) {
        return slice.types.iter().any(|of| capital(&of.code) == kind)
            || slice.slice.as_deref() == Some(item.name);
    }
    let named = item.node.and_then(|node: &Node| node.text("resourceType"));
    named.is_some_and(|kind| slice.types.iter().any(|of| &*of.code == kind))
}
