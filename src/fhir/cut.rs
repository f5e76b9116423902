//! Taking elements out of a document, and putting others in, without touching the other bytes.

use super::{
    json::{Node, Value},
    resource::Path,
};
use std::collections::BTreeMap;

/// Changes to one document, by path. A change at a path wins over any inside it.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    by_path: BTreeMap<Path, Edit>,
}

/// What happens to the value at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// It goes; a list or object left empty goes with it.
    Remove,
    /// These bytes (JSON) stand in its place.
    Replace(Vec<u8>),
}

impl Edits {
    /// No change.
    pub fn none() -> Edits {
        Edits::default()
    }

    /// Takes out the value at `path`.
    pub fn remove(&mut self, path: Path) {
        self.by_path.insert(path, Edit::Remove);
    }

    /// Takes out a member of the root, and what stands beside it under its name with an underscore: a
    /// translation says the same.
    pub fn remove_member(&mut self, root: &Node, name: &str) {
        let beside = format!("_{name}");
        for name in [name, &beside] {
            if let Some(path) = Path::member(root, name, None) {
                self.remove(path);
            }
        }
    }

    /// Puts `json` in the place of the value at `path`.
    pub fn replace(&mut self, path: Path, json: Vec<u8>) {
        self.by_path.entry(path).or_insert(Edit::Replace(json));
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Whether the value at `path` is taken out, itself or with something around it.
    pub fn removes(&self, path: &Path) -> bool {
        (0..=path.0.len()).any(|steps| self.by_path.get(&path.first(steps)) == Some(&Edit::Remove))
    }

    fn at(&self, path: &[u16]) -> Option<&Edit> {
        self.by_path.get(&Path(path.into()))
    }

    /// Whether anything at or below `path` changes.
    fn touches(&self, path: &[u16]) -> bool {
        let from = Path(path.into());
        self.by_path
            .range(from.clone()..)
            .next()
            .is_some_and(|(edited, _)| edited.within(&from))
    }

    /// The document with the edits made; `None` when nothing is left.
    pub fn apply(&self, text: &[u8], root: &Node) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len());
        let mut path = Vec::new();
        self.write(text, root, &mut path, &mut out).then_some(out)
    }

    /// Writes `node`; false (and nothing written) when it went.
    fn write(&self, text: &[u8], node: &Node, path: &mut Vec<u16>, out: &mut Vec<u8>) -> bool {
        match self.at(path) {
            Some(Edit::Remove) => return false,
            Some(Edit::Replace(json)) => {
                out.extend_from_slice(json);
                return true;
            }
            None => {}
        }
        if !self.touches(path) {
            out.extend_from_slice(node.slice(text));
            return true;
        }
        let before = out.len();
        let (open, close) = match &node.value {
            Value::Object(_) => (b'{', b'}'),
            Value::Array(_) => (b'[', b']'),
            _ => {
                out.extend_from_slice(node.slice(text));
                return true;
            }
        };
        out.push(open);
        let inside = out.len();
        match &node.value {
            Value::Object(members) => {
                for (at, member) in members.iter().enumerate() {
                    let mark = out.len();
                    if mark > inside {
                        out.push(b',');
                    }
                    let name = text
                        .get(member.start as usize..member.node.start as usize)
                        .unwrap_or_default();
                    out.extend_from_slice(name);
                    if !self.step(text, &member.node, at, path, out) {
                        out.truncate(mark);
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    let mark = out.len();
                    if mark > inside {
                        out.push(b',');
                    }
                    if !self.step(text, item, at, path, out) {
                        out.truncate(mark);
                    }
                }
            }
            _ => {}
        }
        if out.len() == inside {
            out.truncate(before);
            return false;
        }
        out.push(close);
        true
    }

    fn step(
        &self,
        text: &[u8],
        node: &Node,
        at: usize,
        path: &mut Vec<u16>,
        out: &mut Vec<u8>,
    ) -> bool {
        let Ok(step) = u16::try_from(at) else {
            return false;
        };
        path.push(step);
        let written = self.write(text, node, path, out);
        path.pop();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Limits, parse};

    fn path(steps: &[u16]) -> Path {
        Path(steps.into())
    }

    fn edited(text: &str, edits: &Edits) -> Option<String> {
        let root = parse(text.as_bytes(), Limits::default()).unwrap();
        edits
            .apply(text.as_bytes(), &root)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let mut edits = Edits::none();
        edits.remove(path(&[1, 0]));
        let text = r#"{ "a" : 1.50, "b": [ {"x":1}, {"y" :  "\u00e9"} ] }"#;
        assert_eq!(
            edited(text, &edits).as_deref(),
            Some(r#"{"a" : 1.50,"b": [{"y" :  "\u00e9"}]}"#)
        );
        assert_eq!(edited(text, &Edits::none()).as_deref(), Some(text));
    }

    #[test]
    fn what_is_left_empty_goes_too() {
        let mut edits = Edits::none();
        edits.remove(path(&[0, 0, 0]));
        assert_eq!(
            edited(r#"{"a":[{"b":1}],"c":2}"#, &edits).as_deref(),
            Some(r#"{"c":2}"#)
        );
        assert_eq!(edited(r#"{"a":[{"b":1}]}"#, &edits), None);
    }

    #[test]
    fn a_removal_wins_over_changes_inside_and_later_replacements() {
        let mut edits = Edits::none();
        edits.replace(path(&[0, 0]), b"7".to_vec());
        edits.remove(path(&[0]));
        edits.replace(path(&[0]), b"8".to_vec());
        assert_eq!(
            edited(r#"{"a":{"b":1},"c":2}"#, &edits).as_deref(),
            Some(r#"{"c":2}"#)
        );
        assert!(edits.removes(&path(&[0, 0])));
    }

    #[test]
    fn replacing_puts_other_bytes_in_place() {
        let mut edits = Edits::none();
        edits.replace(path(&[1]), b"12.30".to_vec());
        assert_eq!(
            edited(r#"{"a":1,"b":2}"#, &edits).as_deref(),
            Some(r#"{"a":1,"b":12.30}"#)
        );
    }
}
