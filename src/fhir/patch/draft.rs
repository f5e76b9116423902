//! A document while it is changed: what was not opened stays a reference to its bytes.

use super::PatchError;
use crate::fhir::{
    Node, Path,
    json::{Value, alike, quote},
};
use std::borrow::Cow;

/// Deepest document; what is kept counts as deep as a document may be.
const DEPTH: usize = 128;
const KEPT: usize = 64;

/// A value, and whether the writer is shown it.
#[derive(Debug, Clone)]
pub(super) struct Piece<'t> {
    pub(super) form: Form<'t>,
    pub(super) hidden: bool,
}

/// What a value is made of.
#[derive(Debug, Clone)]
pub(super) enum Form<'t> {
    /// A node of this text, as it is.
    Kept(&'t [u8], &'t Node),
    Object(Vec<Field<'t>>),
    Array(Vec<Piece<'t>>),
}

/// A member: `head` is its name as it is written, up to the value.
#[derive(Debug, Clone)]
pub(super) struct Field<'t> {
    pub(super) name: Cow<'t, str>,
    head: Cow<'t, [u8]>,
    pub(super) piece: Piece<'t>,
}

/// Why a change can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is nothing at the path.
    Missing,
    /// What is not shown would be overwritten or taken.
    Hidden,
    /// What is wrong with the operation as it is written.
    Form(&'static str),
    /// Why it can't be made on this record.
    Unfit(&'static str),
}

impl Refusal {
    pub(super) fn told(self, at: usize) -> PatchError {
        match self {
            Refusal::Missing => PatchError::Missing { at },
            Refusal::Hidden => PatchError::Hidden { at },
            Refusal::Form(what) => PatchError::Form { at, what },
            Refusal::Unfit(what) => PatchError::Unfit { at, what },
        }
    }
}

impl<'t> Field<'t> {
    pub(super) fn new(name: Cow<'t, str>, piece: Piece<'t>) -> Field<'t> {
        let mut head = Vec::with_capacity(name.len() + 3);
        quote(&mut head, &name);
        head.push(b':');
        Field {
            name,
            head: head.into(),
            piece,
        }
    }
}

impl<'t> Piece<'t> {
    pub(super) fn kept(text: &'t [u8], node: &'t Node) -> Piece<'t> {
        Piece::shown(Form::Kept(text, node))
    }

    pub(super) fn shown(form: Form<'t>) -> Piece<'t> {
        Piece {
            form,
            hidden: false,
        }
    }

    /// Marks the value at a path as hidden.
    pub(super) fn hide(&mut self, path: &Path) {
        let mut piece = self;
        for step in &path.0 {
            let step = usize::from(*step);
            piece.open();
            let inner = match &mut piece.form {
                Form::Object(fields) => fields.get_mut(step).map(|field| &mut field.piece),
                Form::Array(items) => items.get_mut(step),
                Form::Kept(..) => None,
            };
            match inner {
                Some(inner) => piece = inner,
                None => return,
            }
        }
        piece.hidden = true;
    }

    /// Whether something in it is hidden, itself included.
    pub(super) fn hides(&self) -> bool {
        self.hidden
            || match &self.form {
                Form::Kept(..) => false,
                Form::Object(fields) => fields.iter().any(|field| field.piece.hides()),
                Form::Array(items) => items.iter().any(Piece::hides),
            }
    }

    /// Makes its members or items pieces of their own.
    pub(super) fn open(&mut self) {
        let Form::Kept(text, node) = self.form else {
            return;
        };
        self.form = match &node.value {
            Value::Object(members) => Form::Object(
                members
                    .iter()
                    .map(|member| {
                        let head = text.get(member.start as usize..member.node.start as usize);
                        Field {
                            name: Cow::Borrowed(&member.name),
                            head: Cow::Borrowed(head.unwrap_or_default()),
                            piece: Piece::kept(text, &member.node),
                        }
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                Form::Array(items.iter().map(|item| Piece::kept(text, item)).collect())
            }
            _ => return,
        };
    }

    /// The value at a pointer, among what is shown; opens nothing.
    pub(super) fn look(&self, steps: &[Cow<'_, str>]) -> Option<Piece<'t>> {
        let mut piece = self;
        for (at, step) in steps.iter().enumerate() {
            piece = match &piece.form {
                Form::Kept(text, node) => {
                    let rest = steps.get(at..)?;
                    let found = rest.iter().try_fold(*node, |node, step| inside(node, step));
                    return found.map(|node| Piece::kept(text, node));
                }
                Form::Object(fields) => {
                    let field = fields.iter().find(|field| field.name == *step)?;
                    &field.piece
                }
                Form::Array(items) => items.get(shown_at(items, index(step)?)?)?,
            };
            if piece.hidden {
                return None;
            }
        }
        Some(piece.clone())
    }

    /// The value at a pointer, its containers opened.
    pub(super) fn find(&mut self, steps: &[Cow<'_, str>]) -> Option<&mut Piece<'t>> {
        let mut piece = self;
        for step in steps {
            piece.open();
            piece = match &mut piece.form {
                Form::Object(fields) => {
                    let field = fields.iter_mut().find(|field| field.name == *step)?;
                    &mut field.piece
                }
                Form::Array(items) => {
                    let at = shown_at(items, index(step)?)?;
                    items.get_mut(at)?
                }
                Form::Kept(..) => return None,
            };
            if piece.hidden {
                return None;
            }
        }
        Some(piece)
    }

    /// Puts a value at a pointer: a member, or an item before the one that is there.
    pub(super) fn add(&mut self, steps: &[Cow<'t, str>], value: Piece<'t>) -> Result<(), Refusal> {
        let Some((last, above)) = steps.split_last() else {
            return self.replace(value);
        };
        let holder = self.find(above).ok_or(Refusal::Missing)?;
        holder.open();
        match &mut holder.form {
            Form::Object(fields) => {
                match fields.iter_mut().find(|field| field.name == *last) {
                    Some(field) => field.piece.replace(value)?,
                    None => fields.push(Field::new(last.clone(), value)),
                }
                Ok(())
            }
            Form::Array(items) => {
                let shown = items.iter().filter(|item| !item.hidden).count();
                let at = if *last == "-" {
                    items.len()
                } else {
                    match index(last) {
                        Some(index) if index == shown => items.len(),
                        Some(index) => shown_at(items, index).ok_or(Refusal::Missing)?,
                        None => return Err(Refusal::Missing),
                    }
                };
                items.insert(at, value);
                Ok(())
            }
            Form::Kept(..) => Err(Refusal::Missing),
        }
    }

    /// Puts another value in its place.
    pub(super) fn replace(&mut self, value: Piece<'t>) -> Result<(), Refusal> {
        if self.hides() {
            return Err(Refusal::Hidden);
        }
        *self = value;
        Ok(())
    }

    /// Takes out the value at a pointer.
    pub(super) fn remove(&mut self, steps: &[Cow<'_, str>]) -> Result<Piece<'t>, Refusal> {
        let (last, above) = steps.split_last().ok_or(Refusal::Missing)?;
        let holder = self.find(above).ok_or(Refusal::Missing)?;
        holder.open();
        match &mut holder.form {
            Form::Object(fields) => {
                let at = fields
                    .iter()
                    .position(|field| field.name == *last && !field.piece.hidden)
                    .ok_or(Refusal::Missing)?;
                if fields.get(at).is_some_and(|field| field.piece.hides()) {
                    return Err(Refusal::Hidden);
                }
                Ok(fields.remove(at).piece)
            }
            Form::Array(items) => {
                let at = index(last).and_then(|index| shown_at(items, index));
                let at = at.ok_or(Refusal::Missing)?;
                if items.get(at).is_some_and(Piece::hides) {
                    return Err(Refusal::Hidden);
                }
                Ok(items.remove(at))
            }
            Form::Kept(..) => Err(Refusal::Missing),
        }
    }

    /// Bytes, about, and levels; `None` where it is deeper than a document may be.
    pub(super) fn measure(&self, above: usize) -> Option<usize> {
        let below = above + 1;
        match &self.form {
            _ if above > DEPTH => None,
            Form::Kept(_, node) => {
                let deep = matches!(node.value, Value::Object(_) | Value::Array(_));
                let fits = !deep || above + KEPT <= DEPTH;
                fits.then_some((node.end - node.start) as usize)
            }
            Form::Object(fields) => fields.iter().try_fold(2_usize, |sum, field| {
                let size = field.piece.measure(below)?;
                Some(
                    sum.saturating_add(field.head.len() + 1)
                        .saturating_add(size),
                )
            }),
            Form::Array(items) => items.iter().try_fold(2_usize, |sum, item| {
                Some(sum.saturating_add(1).saturating_add(item.measure(below)?))
            }),
        }
    }

    /// Appends its JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut between = false;
        let mut comma = |out: &mut Vec<u8>| {
            if between {
                out.push(b',');
            }
            between = true;
        };
        match &self.form {
            Form::Kept(text, node) => out.extend_from_slice(node.slice(text)),
            Form::Object(fields) => {
                out.push(b'{');
                for field in fields {
                    comma(out);
                    out.extend_from_slice(&field.head);
                    field.piece.write(out);
                }
                out.push(b'}');
            }
            Form::Array(items) => {
                out.push(b'[');
                for item in items {
                    comma(out);
                    item.write(out);
                }
                out.push(b']');
            }
        }
    }

    /// Appends the JSON of what is shown, without what is empty for it; whether that is anything.
    pub(super) fn write_shown(&self, out: &mut Vec<u8>) -> bool {
        if self.hidden {
            return false;
        }
        let before = out.len();
        match &self.form {
            Form::Kept(..) => self.write(out),
            Form::Object(fields) => {
                out.push(b'{');
                for field in fields {
                    let mark = out.len();
                    if mark > before + 1 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&field.head);
                    if !field.piece.write_shown(out) {
                        out.truncate(mark);
                    }
                }
                out.push(b'}');
            }
            Form::Array(items) => {
                out.push(b'[');
                for item in items {
                    let mark = out.len();
                    if mark > before + 1 {
                        out.push(b',');
                    }
                    if !item.write_shown(out) {
                        out.truncate(mark);
                    }
                }
                out.push(b']');
            }
        }
        let empty = !matches!(self.form, Form::Kept(..)) && out.len() == before + 2;
        if empty {
            out.truncate(before);
        }
        !empty
    }

    /// Whether what is shown of it says the same as a node (RFC 6902, section 4.6).
    pub(super) fn says(&self, wanted: &Node) -> bool {
        match (&self.form, &wanted.value) {
            (Form::Kept(_, node), _) => alike(node, wanted),
            (Form::Object(fields), Value::Object(members)) => {
                let shown = || fields.iter().filter(|field| !field.piece.hidden);
                shown().count() == members.len()
                    && shown().all(|field| {
                        wanted
                            .get(&field.name)
                            .is_some_and(|wanted| field.piece.says(wanted))
                    })
            }
            (Form::Array(items), Value::Array(wanted)) => {
                let shown = || items.iter().filter(|item| !item.hidden);
                shown().count() == wanted.len()
                    && shown().zip(wanted).all(|(item, wanted)| item.says(wanted))
            }
            _ => false,
        }
    }
}

/// An array index: digits without a leading zero.
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|b| b.is_ascii_digit());
    let fits = digits && (step == "0" || !step.starts_with('0'));
    fits.then(|| step.parse().ok()).flatten()
}

/// Where among all items the one stands that is shown as number `index`.
fn shown_at(items: &[Piece<'_>], index: usize) -> Option<usize> {
    let shown = items.iter().enumerate().filter(|(_, item)| !item.hidden);
    shown.map(|(at, _)| at).nth(index)
}

fn inside<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match &node.value {
        Value::Object(_) => node.get(step),
        Value::Array(items) => items.get(index(step)?),
        _ => None,
    }
}
