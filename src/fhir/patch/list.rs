//! Changes to an element as FHIR's JSON writes it: a member, and beside it `_member` with the ids and
//! extensions of primitives, place by place (<https://hl7.org/fhir/R4/json.html#primitive>).

use super::draft::{Field, Form, Piece, Refusal};
use crate::fhir::{
    Node,
    fhirpath::Type,
    json::Value,
    schema::{Element, OwnerId, SCHEMA, Shape},
};
use std::borrow::Cow;

/// A value as a parameter gives it.
#[derive(Debug)]
pub(super) enum Given<'t> {
    /// `valueType`, `_valueType` or a whole resource.
    Plain {
        value: Option<Piece<'t>>,
        extra: Option<Piece<'t>>,
        /// `Type`; empty for a resource.
        suffix: &'t str,
    },
    /// One part for each of its elements, where FHIR has no `valueType` for it.
    Parts(&'t [Node]),
}

/// A value, and its id and extensions where it is a primitive; null where there is none.
type Pair<'t> = (Piece<'t>, Piece<'t>);

static NULL: Node = Node {
    start: 0,
    end: 4,
    value: Value::Null,
};

fn null<'t>() -> Piece<'t> {
    Piece::kept(b"null", &NULL)
}

fn is_null(piece: &Piece<'_>) -> bool {
    matches!(piece.form, Form::Kept(_, node) if node.value == Value::Null)
}

const NO_ELEMENT: Refusal = Refusal::Unfit("there is no such element in its type");

impl<'t> Given<'t> {
    /// Of a parameter or part.
    pub(super) fn read(text: &'t [u8], part: &'t Node) -> Option<Given<'t>> {
        let (mut value, mut extra, mut kind) = (None, None, None);
        for member in part.members() {
            let piece = Piece::kept(text, &member.node);
            if let Some(suffix) = member.name.strip_prefix("value") {
                (value, kind) = (Some(piece), Some(suffix));
            } else if let Some(suffix) = member.name.strip_prefix("_value") {
                (extra, kind) = (Some(piece), Some(suffix));
            } else if &*member.name == "resource" {
                (value, kind) = (Some(piece), Some(""));
            }
        }
        match kind {
            Some(suffix) => Some(Given::Plain {
                value,
                extra,
                suffix,
            }),
            None => part.get("part").map(|parts| Given::Parts(parts.each())),
        }
    }

    fn suffix(&self) -> &'t str {
        match self {
            Given::Plain { suffix, .. } => suffix,
            Given::Parts(_) => "",
        }
    }

    fn pair(self, shape: Option<Shape>, text: &'t [u8]) -> Result<Pair<'t>, Refusal> {
        let parts = match self {
            Given::Plain { value, extra, .. } => {
                return Ok((value.unwrap_or_else(null), extra.unwrap_or_else(null)));
            }
            Given::Parts(parts) => parts,
        };
        let (Some(Shape::Complex(owner) | Shape::Reference(owner, _)), false) =
            (shape, parts.is_empty())
        else {
            return Err(Refusal::Unfit("its value has parts, its element none"));
        };
        let mut piece = Piece::shown(Form::Object(Vec::new()));
        for part in parts {
            let given = Given::read(text, part);
            let (Some(name), Some(given)) = (part.text("name"), given) else {
                return Err(Refusal::Form("a part of its value has no name or no value"));
            };
            put(&mut piece, owner, name, given, text)?;
        }
        Ok((piece, null()))
    }
}

/// The element that is meant by a name and a value of that type.
fn element(owner: OwnerId, name: &str, suffix: &str) -> Result<&'static Element, Refusal> {
    let found = SCHEMA.element(owner, name).or_else(|| {
        let found = SCHEMA.element(owner, &format!("{name}{suffix}"))?;
        let choice = found.choice.and_then(|choice| choice.strip_suffix("[x]"));
        (choice == Some(name)).then_some(found)
    });
    found.ok_or(NO_ELEMENT)
}

fn extra_name(name: &str) -> String {
    format!("_{name}")
}

/// Adds a value: to the end of a list, or where there is none yet.
pub(super) fn put<'t>(
    holder: &mut Piece<'t>,
    owner: OwnerId,
    name: &str,
    given: Given<'t>,
    text: &'t [u8],
) -> Result<(), Refusal> {
    let element = element(owner, name, given.suffix())?;
    let pair = given.pair(Some(element.shape), text)?;
    if element.many {
        return edit(holder, element.name, |pairs| {
            pairs.push(pair);
            Ok(())
        });
    }
    holder.open();
    let Form::Object(fields) = &mut holder.form else {
        return Err(Refusal::Missing);
    };
    for field in fields.iter() {
        let bare = field.name.strip_prefix('_').unwrap_or(&field.name);
        let same = bare == element.name
            || (element.choice.is_some()
                && SCHEMA.element(owner, bare).and_then(|other| other.choice) == element.choice);
        if same && field.piece.hides() {
            return Err(Refusal::Hidden);
        }
        if same {
            return Err(Refusal::Unfit("there is one already"));
        }
    }
    let (value, extra) = pair;
    if !is_null(&value) {
        fields.push(Field::new(Cow::Borrowed(element.name), value));
    }
    if !is_null(&extra) {
        fields.push(Field::new(Cow::Owned(extra_name(element.name)), extra));
    }
    Ok(())
}

/// Puts a value into a list.
pub(super) fn insert<'t>(
    holder: &mut Piece<'t>,
    owner: OwnerId,
    name: &str,
    index: usize,
    given: Given<'t>,
    text: &'t [u8],
) -> Result<(), Refusal> {
    let element = element(owner, name, given.suffix())?;
    if !element.many {
        return Err(Refusal::Unfit("its path does not lead to a list"));
    }
    let pair = given.pair(Some(element.shape), text)?;
    edit(holder, element.name, |pairs| {
        let at = place(pairs, index, true)?;
        pairs.insert(at, pair);
        Ok(())
    })
}

/// Moves an item within a list.
pub(super) fn relocate(
    holder: &mut Piece<'_>,
    name: &str,
    from: usize,
    to: usize,
) -> Result<(), Refusal> {
    edit(holder, name, |pairs| {
        place(pairs, to, false)?;
        let from = place(pairs, from, false)?;
        let pair = pairs.remove(from);
        let to = place(pairs, to, true)?;
        pairs.insert(to, pair);
        Ok(())
    })
}

/// Takes out a value, and what is left empty by that.
pub(super) fn delete(draft: &mut Piece<'_>, steps: &[Cow<'static, str>]) -> Result<(), Refusal> {
    let (above, name, index) = parted(steps)?;
    let holder = draft.find(above).ok_or(Refusal::Missing)?;
    match index {
        Some(index) => edit(holder, name, |pairs| {
            let at = place(pairs, index, false)?;
            if pairs
                .get(at)
                .is_some_and(|pair| pair.0.hides() || pair.1.hides())
            {
                return Err(Refusal::Hidden);
            }
            pairs.remove(at);
            Ok(())
        })?,
        None => {
            holder.open();
            let Form::Object(fields) = &mut holder.form else {
                return Err(Refusal::Missing);
            };
            let own = |field: &Field<'_>| {
                field.name == name || field.name.strip_prefix('_') == Some(name)
            };
            if fields.iter().any(|field| own(field) && field.piece.hides()) {
                return Err(Refusal::Hidden);
            }
            fields.retain(|field| !own(field));
        }
    }
    let empty = matches!(&holder.form, Form::Object(fields) if fields.is_empty());
    if empty && !above.is_empty() {
        return delete(draft, above);
    }
    Ok(())
}

/// Puts a value in the place of another; of a choice, under the name of its own type.
pub(super) fn replace<'t>(
    draft: &mut Piece<'t>,
    steps: &[Cow<'static, str>],
    kind: Type,
    owner: Option<OwnerId>,
    given: Given<'t>,
    text: &'t [u8],
) -> Result<(), Refusal> {
    let (above, name, index) = parted(steps)?;
    let old = owner.and_then(|owner| SCHEMA.element(owner, name));
    let choice = old
        .and_then(|old| old.choice)
        .and_then(|choice| choice.strip_suffix("[x]"));
    let new = match (owner, choice, given.suffix()) {
        (Some(owner), Some(choice), suffix) if !suffix.is_empty() => {
            element(owner, choice, suffix)?.name
        }
        _ => name,
    };
    let shape = match kind {
        Type::Complex(owner) => Some(Shape::Complex(owner)),
        _ => None,
    };
    let pair = given.pair(shape, text)?;
    let holder = draft.find(above).ok_or(Refusal::Missing)?;
    if let Some(index) = index {
        return edit(holder, name, |pairs| {
            let at = place(pairs, index, false)?;
            match pairs.get_mut(at) {
                Some(old) if old.0.hides() || old.1.hides() => Err(Refusal::Hidden),
                Some(old) => {
                    *old = pair;
                    Ok(())
                }
                None => Err(Refusal::Missing),
            }
        });
    }
    holder.open();
    let Form::Object(fields) = &mut holder.form else {
        return Err(Refusal::Missing);
    };
    let own = |field: &Field<'_>| field.name == name || field.name.strip_prefix('_') == Some(name);
    if fields.iter().any(|field| own(field) && field.piece.hides()) {
        return Err(Refusal::Hidden);
    }
    let at = fields.iter().position(own).ok_or(Refusal::Missing)?;
    fields.retain(|field| !own(field));
    let (value, extra) = pair;
    let mut at = at.min(fields.len());
    if !is_null(&value) {
        fields.insert(at, Field::new(Cow::Owned(new.to_owned()), value));
        at += 1;
    }
    if !is_null(&extra) {
        fields.insert(at, Field::new(Cow::Owned(extra_name(new)), extra));
    }
    Ok(())
}

/// The way to the holder, the element's name, its number in a list.
type Parted<'s> = (&'s [Cow<'static, str>], &'s str, Option<usize>);

fn parted<'s>(steps: &'s [Cow<'static, str>]) -> Result<Parted<'s>, Refusal> {
    let bare = |name: &'s Cow<'static, str>| name.strip_prefix('_').unwrap_or(name);
    match steps {
        [above @ .., name, index] if index.bytes().all(|b| b.is_ascii_digit()) => {
            let index = index.parse().map_err(|_| Refusal::Missing)?;
            Ok((above, bare(name), Some(index)))
        }
        [above @ .., name] => Ok((above, bare(name), None)),
        [] => Err(Refusal::Unfit("its path leads to the whole resource")),
    }
}

/// Where the item stands that is shown as number `index`; `end`: or where one more would stand.
fn place(pairs: &[Pair<'_>], index: usize, end: bool) -> Result<usize, Refusal> {
    let shown = pairs.iter().enumerate().filter(|(_, pair)| !pair.0.hidden);
    let mut places = shown.map(|(at, _)| at).chain(end.then_some(pairs.len()));
    let outside = Refusal::Unfit("its index, source or destination is outside the list");
    places.nth(index).ok_or(outside)
}

/// Changes a list with the ids and extensions of its items.
fn edit<'t>(
    holder: &mut Piece<'t>,
    name: &str,
    change: impl FnOnce(&mut Vec<Pair<'t>>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    holder.open();
    let Form::Object(fields) = &mut holder.form else {
        return Err(Refusal::Missing);
    };
    let mut items = |name: &str| -> Result<Vec<Piece<'t>>, Refusal> {
        let Some(field) = fields.iter_mut().find(|field| field.name == name) else {
            return Ok(Vec::new());
        };
        if field.piece.hidden {
            return Err(Refusal::Hidden);
        }
        field.piece.open();
        match &mut field.piece.form {
            Form::Array(items) => Ok(std::mem::take(items)),
            _ => Err(Refusal::Unfit("its path does not lead to a list")),
        }
    };
    let extra = extra_name(name);
    let (mut values, mut extras) = (items(name)?, items(&extra)?);
    let length = values.len().max(extras.len());
    values.resize_with(length, null);
    extras.resize_with(length, null);
    let mut pairs: Vec<Pair<'t>> = values.into_iter().zip(extras).collect();
    change(&mut pairs)?;
    let (values, extras): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    for (name, items) in [(name, values), (&extra, extras)] {
        let nothing = items.iter().all(is_null);
        let array = Piece::shown(Form::Array(items));
        let at = fields.iter().position(|field| field.name == name);
        match (at, nothing) {
            (Some(at), true) => {
                fields.remove(at);
            }
            (Some(at), false) => {
                if let Some(field) = fields.get_mut(at) {
                    field.piece = array;
                }
            }
            (None, true) => {}
            (None, false) => fields.push(Field::new(Cow::Owned(name.to_owned()), array)),
        }
    }
    Ok(())
}
