//! FHIRPath Patch (<https://hl7.org/fhir/R4/fhirpatch.html>).

use super::{
    OPERATIONS, PatchError, SIZE,
    draft::{Piece, Refusal},
    list::{Given, delete, insert, put, relocate, replace},
};
use crate::fhir::{
    Kind, Node, Path, Resource,
    fhirpath::{Environment, EvalError, Expression, Type},
    json::{Limits, Value, parse},
    schema::{OwnerId, SCHEMA, Shape},
};
use std::{borrow::Cow, cell::Cell};

/// Steps that all operations together may take in looking for their elements.
const STEPS: usize = 4_000_000;

const MANY: &str = "its path leads to more than one element";

/// A resource with the operations of a Parameters resource made.
pub fn fhirpath(resource: &Resource, patch: &Resource) -> Result<Resource, PatchError> {
    fhirpath_shown(resource, &[], patch)
}

/// The same by a writer to whom these parts are as if they were not there.
pub fn fhirpath_shown(
    resource: &Resource,
    hidden: &[Path],
    patch: &Resource,
) -> Result<Resource, PatchError> {
    let parameters = match (patch.kind().name(), patch.root().get("parameter")) {
        ("Parameters", Some(parameters)) => parameters.each(),
        _ => return Err(PatchError::List),
    };
    if parameters.len() > OPERATIONS {
        return Err(PatchError::Operations);
    }
    let mut draft = Piece::kept(resource.text(), resource.root());
    for path in hidden {
        draft.hide(path);
    }
    let left = Cell::new(STEPS);
    // Each operation reads the document anew.
    let mut room = SIZE.saturating_mul(8);
    for (at, parameter) in parameters.iter().enumerate() {
        if parameter.text("name") != Some("operation") {
            return Err(PatchError::List);
        }
        let operation = Operation {
            text: patch.text(),
            parts: parameter.get("part").map(Node::each).unwrap_or_default(),
            at,
            steps: &left,
        };
        let mut shown = Vec::new();
        draft.write_shown(&mut shown);
        room = room
            .checked_sub(shown.len())
            .ok_or(PatchError::Size { at })?;
        let tree = parse(&shown, Limits::default()).map_err(|_| PatchError::Size { at })?;
        operation.make(&tree, &mut draft)?;
    }
    let mut out = Vec::with_capacity(resource.text().len() + patch.text().len());
    draft.write(&mut out);
    Ok(Resource::parse(out, Limits::default())?)
}

struct Operation<'t> {
    text: &'t [u8],
    parts: &'t [Node],
    at: usize,
    steps: &'t Cell<usize>,
}

/// An element that was found: the way to it, and what it is.
struct Found {
    steps: Vec<Cow<'static, str>>,
    kind: Type,
}

impl<'t> Operation<'t> {
    fn make(&self, tree: &Node, draft: &mut Piece<'t>) -> Result<(), PatchError> {
        let expression = self.expression()?;
        let done = match self.word("type") {
            Some("add") => {
                let name = self.word("name");
                let Some(name) = name else {
                    return self.wrong("its name is missing");
                };
                let (holder, owner) = self.holder(&expression, tree)?;
                let given = self.given()?;
                match draft.find(&holder) {
                    Some(holder) => put(holder, owner, name, given, self.text),
                    None => Err(Refusal::Missing),
                }
            }
            Some("insert") => {
                let index = self.number("index")?;
                let given = self.given()?;
                let (holder, owner, name) = self.collection(&expression, tree)?;
                match draft.find(&holder) {
                    Some(holder) => insert(holder, owner, &name, index, given, self.text),
                    None => Err(Refusal::Missing),
                }
            }
            Some("delete") => {
                // What is not there need not be deleted.
                match self.one(&expression, tree)? {
                    Some(found) => delete(draft, &found.steps),
                    None => Ok(()),
                }
            }
            Some("replace") => {
                let given = self.given()?;
                let found = self.one(&expression, tree)?;
                let found = found.ok_or(PatchError::Missing { at: self.at })?;
                let owner = owner_above(tree, &found.steps);
                replace(draft, &found.steps, found.kind, owner, given, self.text)
            }
            Some("move") => {
                let (from, to) = (self.number("source")?, self.number("destination")?);
                let (holder, _, name) = self.collection(&expression, tree)?;
                match draft.find(&holder) {
                    Some(holder) => relocate(holder, &name, from, to),
                    None => Err(Refusal::Missing),
                }
            }
            _ => return self.wrong("its type is none of add, insert, delete, replace, move"),
        };
        done.map_err(|refusal| refusal.told(self.at))
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, PatchError> {
        Err(PatchError::Form { at: self.at, what })
    }

    fn unfit<T>(&self, what: &'static str) -> Result<T, PatchError> {
        Err(PatchError::Unfit { at: self.at, what })
    }

    fn part(&self, name: &str) -> Option<&'t Node> {
        let mut named = self.parts.iter();
        named.find(|part| part.text("name") == Some(name))
    }

    /// A part that is a text.
    fn word(&self, name: &str) -> Option<&'t str> {
        let members = self.part(name)?.members();
        let value = members
            .iter()
            .find(|member| member.name.starts_with("value"));
        value.and_then(|member| member.node.str())
    }

    fn number(&self, name: &str) -> Result<usize, PatchError> {
        let node = self.part(name).and_then(|part| part.get("valueInteger"));
        match node.and_then(Node::number).map(str::parse) {
            Some(Ok(number)) => Ok(number),
            _ => self.wrong("its index, source or destination is missing or no whole number"),
        }
    }

    fn given(&self) -> Result<Given<'t>, PatchError> {
        match self
            .part("value")
            .and_then(|part| Given::read(self.text, part))
        {
            Some(given) => Ok(given),
            None => self.wrong("its value is missing"),
        }
    }

    fn expression(&self) -> Result<Expression, PatchError> {
        let Some(text) = self.word("path") else {
            return self.wrong("its path is missing");
        };
        Expression::compile(text).or_else(|_| self.wrong("its path is no FHIRPath"))
    }

    /// The elements that an expression selects.
    fn select(&self, expression: &Expression, tree: &Node) -> Result<Vec<Found>, PatchError> {
        let environment = Environment::of(tree);
        let items = match expression.evaluate_within(&environment, self.steps) {
            Ok(items) => items,
            Err(EvalError::Steps) => return self.unfit("its path takes too many steps"),
            Err(_) => return self.unfit("its path can't be evaluated"),
        };
        let found = items.iter().map(|item| {
            let element = item.element()?;
            let path = element.path(tree)?;
            Some(Found {
                steps: steps(&path, tree),
                kind: element.kind(),
            })
        });
        match found.collect() {
            Some(found) => Ok(found),
            None => self.unfit("its path does not lead to elements of the resource"),
        }
    }

    fn one(&self, expression: &Expression, tree: &Node) -> Result<Option<Found>, PatchError> {
        let mut found = self.select(expression, tree)?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => self.unfit(MANY),
        }
    }

    /// The one element to which something is added.
    fn holder(
        &self,
        expression: &Expression,
        tree: &Node,
    ) -> Result<(Vec<Cow<'static, str>>, OwnerId), PatchError> {
        match self.one(expression, tree)? {
            Some(Found {
                steps,
                kind: Type::Complex(owner),
            }) => Ok((steps, owner)),
            Some(_) => self.unfit("nothing can be added to what its path leads to"),
            None => Err(PatchError::Missing { at: self.at }),
        }
    }

    /// The list that a path names: whose element it is, and its name.
    fn collection(
        &self,
        expression: &Expression,
        tree: &Node,
    ) -> Result<(Vec<Cow<'static, str>>, OwnerId, String), PatchError> {
        let Some((above, name)) = expression.member() else {
            return self.wrong("its path does not name a list");
        };
        let (steps, owner) = self.holder(&above, tree)?;
        Ok((steps, owner, name))
    }
}

/// The type of which an element is a child.
fn owner_above(tree: &Node, steps: &[Cow<'_, str>]) -> Option<OwnerId> {
    let of_resource = |node: &Node| {
        let kind = node.text("resourceType").and_then(Kind::named)?;
        SCHEMA.resource(kind)
    };
    let name = steps.iter().rposition(|step| !is_index(step))?;
    let (mut node, mut owner, mut resource) = (tree, of_resource(tree), false);
    for step in steps.get(..name)? {
        if is_index(step) {
            node = node.items().get(step.parse::<usize>().ok()?)?;
        } else {
            let element = SCHEMA.element(owner?, step)?;
            node = node.get(step)?;
            owner = match element.shape {
                Shape::Complex(owner) | Shape::Reference(owner, _) => Some(owner),
                _ => None,
            };
            resource = element.shape == Shape::Resource;
        }
        if resource {
            owner = of_resource(node);
        }
    }
    owner
}

fn is_index(step: &str) -> bool {
    step.bytes().all(|b| b.is_ascii_digit())
}

/// A path as names and numbers.
fn steps(path: &Path, tree: &Node) -> Vec<Cow<'static, str>> {
    let mut out = Vec::with_capacity(path.0.len());
    let mut node = Some(tree);
    for step in &path.0 {
        let at = usize::from(*step);
        node = match node.map(|node| &node.value) {
            Some(Value::Object(members)) => members.get(at).map(|member| {
                out.push(Cow::Owned(String::from(&*member.name)));
                &member.node
            }),
            Some(Value::Array(items)) => {
                out.push(Cow::Owned(at.to_string()));
                items.get(at)
            }
            _ => None,
        };
    }
    out
}

#[cfg(test)]
mod tests;
