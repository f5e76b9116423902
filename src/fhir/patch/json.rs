//! JSON Patch (RFC 6902, <https://hl7.org/fhir/R4/http.html#patch>).

use super::{
    OPERATIONS, PatchError, SIZE,
    draft::{Piece, Refusal},
};
use crate::fhir::{
    Node, Path, Resource,
    json::{Limits, Value, parse},
};
use std::borrow::Cow;

/// A resource with a JSON Patch applied.
pub fn json(resource: &Resource, patch: &[u8]) -> Result<Resource, PatchError> {
    json_shown(resource, &[], patch)
}

/// The same by a writer to whom these parts are as if they were not there.
pub fn json_shown(
    resource: &Resource,
    hidden: &[Path],
    patch: &[u8],
) -> Result<Resource, PatchError> {
    let tree = parse(patch, Limits::default())?;
    let Value::Array(operations) = &tree.value else {
        return Err(PatchError::List);
    };
    if operations.len() > OPERATIONS {
        return Err(PatchError::Operations);
    }
    let mut draft = Piece::kept(resource.text(), resource.root());
    for path in hidden {
        draft.hide(path);
    }
    let mut room = SIZE.saturating_sub(resource.text().len() + patch.len());
    for (at, operation) in operations.iter().enumerate() {
        let operation = Operation {
            patch,
            operation,
            at,
        };
        operation.make(&mut draft, &mut room)?;
    }
    let mut out = Vec::with_capacity(resource.text().len() + patch.len());
    draft.write(&mut out);
    Ok(Resource::parse(out, Limits::default())?)
}

struct Operation<'t> {
    patch: &'t [u8],
    operation: &'t Node,
    at: usize,
}

impl<'t> Operation<'t> {
    fn make(&self, draft: &mut Piece<'t>, room: &mut usize) -> Result<(), PatchError> {
        let path = self.pointer("path", "its path is missing or no JSON Pointer")?;
        let done = match self.operation.text("op") {
            Some("add") => {
                let value = self.value()?;
                self.fits(&value, &path, None)?;
                draft.add(&path, value)
            }
            Some("remove") => draft.remove(&path).map(|_| ()),
            Some("replace") => {
                let value = self.value()?;
                self.fits(&value, &path, None)?;
                match draft.find(&path) {
                    Some(found) => found.replace(value),
                    None => Err(Refusal::Missing),
                }
            }
            Some("copy") => {
                let from = self.pointer("from", "its from is missing or no JSON Pointer")?;
                match draft.look(&from) {
                    Some(piece) if piece.hides() => Err(Refusal::Hidden),
                    Some(piece) => {
                        self.fits(&piece, &path, Some(room))?;
                        draft.add(&path, piece)
                    }
                    None => Err(Refusal::Missing),
                }
            }
            Some("move") => {
                let from = self.pointer("from", "its from is missing or no JSON Pointer")?;
                if path.len() > from.len() && path.starts_with(&from) {
                    return self.wrong("a value can't be moved into itself");
                }
                match draft.look(&from) {
                    None => Err(Refusal::Missing),
                    // Nothing moves, but it must be there.
                    Some(_) if from == path => Ok(()),
                    Some(piece) => {
                        self.fits(&piece, &path, None)?;
                        let taken = draft.remove(&from);
                        taken.and_then(|piece| draft.add(&path, piece))
                    }
                }
            }
            Some("test") => {
                let wanted = self.node()?;
                let found = draft.look(&path);
                if !found.is_some_and(|found| found.says(wanted)) {
                    return Err(PatchError::Test { at: self.at });
                }
                Ok(())
            }
            _ => return self.wrong("its op is none of add, remove, replace, move, copy, test"),
        };
        done.map_err(|refusal| refusal.told(self.at))
    }

    fn wrong<T>(&self, what: &'static str) -> Result<T, PatchError> {
        Err(PatchError::Form { at: self.at, what })
    }

    fn node(&self) -> Result<&'t Node, PatchError> {
        match self.operation.get("value") {
            Some(node) => Ok(node),
            None => self.wrong("its value is missing"),
        }
    }

    fn value(&self) -> Result<Piece<'t>, PatchError> {
        Ok(Piece::kept(self.patch, self.node()?))
    }

    /// Whether a value is neither too deep there nor, where it is one more, too large.
    fn fits(
        &self,
        piece: &Piece<'t>,
        path: &[Cow<'t, str>],
        room: Option<&mut usize>,
    ) -> Result<(), PatchError> {
        let size = piece.measure(path.len());
        let left = size.and_then(|size| match room {
            Some(room) => {
                *room = room.checked_sub(size)?;
                Some(())
            }
            None => Some(()),
        });
        left.ok_or(PatchError::Size { at: self.at })
    }

    /// A JSON Pointer (RFC 6901).
    fn pointer(&self, name: &str, wrong: &'static str) -> Result<Vec<Cow<'t, str>>, PatchError> {
        let text = self.operation.text(name);
        match text.and_then(steps) {
            Some(steps) => Ok(steps),
            None => self.wrong(wrong),
        }
    }
}

fn steps(pointer: &str) -> Option<Vec<Cow<'_, str>>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let step = |step| -> Option<Cow<'_, str>> {
        let step: &str = step;
        if !step.contains('~') {
            return Some(Cow::Borrowed(step));
        }
        // Only ~0 and ~1 are escapes.
        let mut rest = step.split('~').skip(1);
        let fits = rest.all(|rest| rest.starts_with(['0', '1']));
        fits.then(|| Cow::Owned(step.replace("~1", "/").replace("~0", "~")))
    };
    pointer.strip_prefix('/')?.split('/').map(step).collect()
}

#[cfg(test)]
mod tests;
