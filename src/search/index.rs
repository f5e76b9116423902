//! A record's index entries: one walk over the tree along all parameter paths of its type.

use super::{
    fold::{fold, words},
    near::Place,
    params::{self, CONTENT, ID, LAST_UPDATED, Param, ParamId, ParamType, SECURITY},
    path::{Leaf, ParamPath, Step},
    unit::{Scale, UCUM},
};
use crate::fhir::{Interval, Kind, Node, Path, Resource, Target, json::Value};
use std::{collections::HashMap, sync::LazyLock};

/// Goes up with every change of the program by which the same record gets other entries: a store then
/// knows that its index is an earlier program's (`confide reindex`).
pub const MADE: u32 = 2;

/// What a record answers to under one parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexEntry {
    /// Under which parameter.
    pub param: ParamId,
    /// The element that says so: entries inside a labelled part carry its labels
    /// ([`Path::within`]). Empty where the absence of an element says it (`deceased=false`).
    pub path: Path,
    /// Which entry of a list at the top holds the element, from 1; 0 where none does. Entries of a
    /// composite's parts belong together where they have the same.
    pub place: u16,
    /// What it says.
    pub value: IndexValue,
}

/// The value of an entry, ready to be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum IndexValue {
    /// A code, identifier, boolean or contact. An empty code stands for an element that has none
    /// (text-only concepts), and equals no queried code.
    Token {
        /// The code system or identifier's system.
        system: Option<Box<str>>,
        /// Compared exactly: systems differ in whether case matters, and joining identifiers that
        /// differ by case would mix up people.
        code: Box<str>,
        /// Folded display or text, for `:text`.
        text: Option<Box<str>>,
        /// What it is, where that is no plain code.
        role: TokenRole,
    },
    /// Any kind of time, as the interval that it stands for. Without a zone: UTC.
    Date(Interval),
    /// A text.
    String {
        /// Without case and accents.
        folded: Box<str>,
        /// As written, where that differs.
        exact: Option<Box<str>>,
    },
    /// A reference; canonical URLs are [`Target::Elsewhere`], with and without their version.
    Reference(Target),
    /// A URI, compared exactly; canonicals with and without their version.
    Uri(Box<str>),
    /// A number.
    Number(Span),
    /// A place.
    Place(Place),
    /// Folded words, each after a space.
    Words(Box<str>),
    /// A measured value.
    Quantity {
        /// The value as written.
        span: Span,
        /// The value on UCUM's common scale, and its dimension.
        scaled: Option<(Span, Box<str>)>,
        /// The unit's system.
        system: Option<Box<str>>,
        /// The unit's code, or a currency.
        code: Option<Box<str>>,
        /// The unit in words.
        unit: Option<Box<str>>,
    },
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRole {
    /// A code, identifier, boolean or contact under a token parameter.
    Plain,
    /// An identifier whose type is its system, for `:of-type`.
    Typed,
    /// The identifier of a reference without a record of this server, for `:identifier`.
    Logical,
    /// The identifier beside a reference to a record of this server: it is there as long as that.
    Beside,
}

/// A decimal, or a range of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The decimal as written, where it is one.
    pub text: Option<Box<str>>,
    /// Lowest value; −∞ where open.
    pub low: f64,
    /// Highest value; ∞ where open.
    pub high: f64,
}

impl IndexValue {
    pub(super) fn token(system: Option<&str>, code: &str, text: Option<&str>) -> IndexValue {
        IndexValue::Token {
            system: system.map(Into::into),
            code: code.into(),
            text: text.map(fold).filter(|text| !text.is_empty()),
            role: TokenRole::Plain,
        }
    }

    /// The same token in another role.
    pub(super) fn playing(mut self, is: TokenRole) -> IndexValue {
        if let IndexValue::Token { role, .. } = &mut self {
            *role = is;
        }
        self
    }

    pub(super) fn quantity(
        span: Span,
        system: Option<&str>,
        code: Option<&str>,
        unit: Option<&str>,
    ) -> IndexValue {
        let scale = code.filter(|_| system == Some(UCUM)).and_then(Scale::of);
        IndexValue::Quantity {
            scaled: scale.map(|scale| {
                let on_scale = Span {
                    text: None,
                    low: scale.put(span.low),
                    high: scale.put(span.high),
                };
                (on_scale, scale.dimension)
            }),
            span,
            system: system.map(Into::into),
            code: code.map(Into::into),
            unit: unit.map(Into::into),
        }
    }

    pub(super) fn string(text: &str) -> IndexValue {
        let folded = fold(text);
        let exact = (&*folded != text).then(|| text.into());
        IndexValue::String { folded, exact }
    }
}

/// The entries of a record, in the order of its text. Contained resources have theirs apart
/// ([`contained`](super::contained())). `base` is this server's FHIR base, whose absolute URLs are references to its own
/// records. `_id` and `_lastUpdated` are columns of the store; `_security` is the labels' affair.
pub fn entries(resource: &Resource, base: Option<&str>) -> Vec<IndexEntry> {
    let root = resource.root();
    Walk::of(root, root, base, Vec::new()).all(resource.kind(), &[])
}

static TREES: LazyLock<HashMap<Kind, Tree>> = LazyLock::new(|| {
    let trees = Kind::all().map(|kind| (kind, Tree::of(params::of(kind))));
    trees.collect()
});

/// All paths of a type, joined at their common beginnings.
#[derive(Default)]
struct Tree {
    branches: Vec<Branch>,
    /// Parameters that ask whether an element is present.
    presence: Vec<ParamId>,
}

struct Branch {
    step: Step,
    branches: Vec<Branch>,
    readers: Vec<Reader>,
}

/// What to make of an element at a path's end.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) param: ParamId,
    pub(super) kind: ParamType,
    pub(super) leaf: Leaf,
    pub(super) target: Option<Kind>,
}

impl Tree {
    fn of(params: &[Param]) -> Tree {
        let mut tree = Tree::default();
        for param in params {
            if [ID, LAST_UPDATED, SECURITY].contains(&param.code) {
                continue;
            }
            for path in &param.paths {
                grow(&mut tree.branches, &path.steps, Reader::of(param, path));
                if param.kind == ParamType::Token && path.leaf == Leaf::Moment {
                    tree.presence.push(param.id);
                }
            }
        }
        tree
    }
}

impl Reader {
    fn of(param: &Param, path: &ParamPath) -> Reader {
        Reader {
            param: param.id,
            kind: param.kind,
            leaf: path.leaf,
            target: path.target,
        }
    }
}

/// Adds a path to branches that stay sorted by name.
fn grow(branches: &mut Vec<Branch>, steps: &[Step], reader: Reader) {
    let [step, rest @ ..] = steps else { return };
    let at = match branches.binary_search_by_key(step, |branch| branch.step) {
        Ok(at) => at,
        Err(at) => {
            let branch = Branch {
                step: *step,
                branches: Vec::new(),
                readers: Vec::new(),
            };
            branches.insert(at, branch);
            at
        }
    };
    if let Some(branch) = branches.get_mut(at) {
        if rest.is_empty() {
            branch.readers.push(reader);
        } else {
            grow(&mut branch.branches, rest, reader);
        }
    }
}

/// The walk: where it stands and what it found. What a leaf gives is in `leaf.rs`.
pub(super) struct Walk<'r> {
    /// The record.
    pub(super) root: &'r Node,
    /// What is indexed: the record, or a contained resource of it.
    own: &'r Node,
    pub(super) base: Option<&'r str>,
    path: Vec<u16>,
    /// How long the path of `own` is.
    depth: usize,
    out: Vec<IndexEntry>,
}

impl<'r> Walk<'r> {
    /// Of `own`, which is at `path` in the record.
    pub(super) fn of(
        root: &'r Node,
        own: &'r Node,
        base: Option<&'r str>,
        path: Vec<u16>,
    ) -> Walk<'r> {
        Walk {
            root,
            own,
            base,
            depth: path.len(),
            path,
            out: Vec::new(),
        }
    }

    /// All entries of a resource of that type; what an absence says is said at `absent` in it.
    pub(super) fn all(mut self, kind: Kind, absent: &[u16]) -> Vec<IndexEntry> {
        let Some(tree) = TREES.get(&kind) else {
            return Vec::new();
        };
        self.object(self.own, &tree.branches);
        self.content(self.own);
        for param in &tree.presence {
            if self.out.iter().all(|entry| entry.param != *param) {
                let path = self.path.iter().chain(absent).copied().collect();
                self.out.push(IndexEntry {
                    param: *param,
                    path: Path(path),
                    place: 0,
                    value: IndexValue::token(None, "false", None),
                });
            }
        }
        self.out
    }

    fn object(&mut self, node: &Node, branches: &[Branch]) {
        for (at, member) in node.members().iter().enumerate() {
            let from = branches.partition_point(|branch| branch.step.name < &*member.name);
            let here = branches.get(from..).unwrap_or_default();
            let count = here
                .iter()
                .take_while(|branch| branch.step.name == &*member.name)
                .count();
            let here = here.get(..count).unwrap_or_default();
            if here.is_empty() {
                continue;
            }
            self.step(at, |walk| match &member.node.value {
                Value::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        walk.step(at, |walk| walk.element(item, here));
                    }
                }
                _ => walk.element(&member.node, here),
            });
        }
    }

    fn element(&mut self, node: &Node, branches: &[Branch]) {
        for branch in branches {
            let meant = |(key, value)| match key {
                "extension" => {
                    let extensions = node.get("extension").map(Node::items);
                    let mut extensions = extensions.unwrap_or_default().iter();
                    extensions.any(|extension| extension.text("url") == Some(value))
                }
                key => node.text(key) == Some(value),
            };
            if branch.step.filter.is_none_or(meant) {
                for reader in &branch.readers {
                    self.leaf(*reader, node);
                }
                self.object(node, &branch.branches);
            }
        }
    }

    /// Goes one step down for as long as `inside` runs. (A document has fewer than 65,536 items
    /// at any level, or is refused; beyond it nothing is indexed.)
    pub(super) fn step(&mut self, at: usize, inside: impl FnOnce(&mut Self)) {
        if let Ok(at) = u16::try_from(at) {
            self.path.push(at);
            inside(self);
            self.path.pop();
        }
    }

    /// Visits the member `name`, and each of its items where it is a list.
    pub(super) fn each(
        &mut self,
        node: &Node,
        name: &str,
        mut visit: impl FnMut(&mut Self, &Node),
    ) {
        let members = node.members().iter().enumerate();
        for (at, member) in members.filter(|(_, member)| &*member.name == name) {
            self.step(at, |walk| match &member.node.value {
                Value::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        walk.step(at, |walk| visit(walk, item));
                    }
                }
                _ => visit(walk, &member.node),
            });
        }
    }

    pub(super) fn emit(&mut self, param: ParamId, value: IndexValue) {
        let place = match *self.path.get(self.depth..).unwrap_or_default() {
            [member, item, ..] => {
                let list = self.own.members().get(usize::from(member));
                let is_list = list.is_some_and(|m| matches!(m.node.value, Value::Array(_)));
                if is_list { item.saturating_add(1) } else { 0 }
            }
            _ => 0,
        };
        self.out.push(IndexEntry {
            param,
            path: Path(self.path.as_slice().into()),
            place,
            value,
        });
    }

    /// The words of all texts (`_content`): what people write and read, not addresses and markup.
    fn content(&mut self, node: &Node) {
        for (at, member) in node.members().iter().enumerate() {
            if self.path.len() == self.depth
                && ["resourceType", "id", "meta", "contained"].contains(&&*member.name)
            {
                continue;
            }
            self.step(at, |walk| match &member.node.value {
                Value::Array(items) => {
                    for (at, item) in items.iter().enumerate() {
                        walk.step(at, |walk| walk.content_of(&member.name, item));
                    }
                }
                _ => walk.content_of(&member.name, &member.node),
            });
        }
    }

    fn content_of(&mut self, name: &str, node: &Node) {
        const UNREAD: [&str; 8] = [
            "system",
            "url",
            "uri",
            "reference",
            "data",
            "contentType",
            "resourceType",
            "id",
        ];
        match &node.value {
            Value::String(_) if UNREAD.contains(&name) => {}
            Value::String(text) if name == "div" => {
                self.words(ParamId::of(CONTENT), &markup_out(text));
            }
            Value::String(text) => self.words(ParamId::of(CONTENT), text),
            Value::Object(_) => self.content(node),
            _ => {}
        }
    }

    /// The words of a text under a parameter.
    pub(super) fn words(&mut self, param: ParamId, text: &str) {
        let words = words(text);
        if !words.is_empty() {
            let mut all = String::with_capacity(text.len() + 8);
            for word in words {
                all.push(' ');
                all.push_str(&word);
            }
            self.emit(param, IndexValue::Words(all.into()));
        }
    }
}

/// The text of a narrative: tags and character references become spaces.
pub(super) fn markup_out(div: &str) -> String {
    let mut out = String::with_capacity(div.len());
    let mut until = None;
    for char in div.chars() {
        match (until, char) {
            (Some(end), char) if char == end => {
                until = None;
                out.push(' ');
            }
            // No character reference is so long that a space is in it.
            (Some(';'), ' ') => {
                until = None;
                out.push(' ');
            }
            (Some(_), _) => {}
            (None, '<') => until = Some('>'),
            (None, '&') => until = Some(';'),
            (None, char) => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Resource, Vec<IndexEntry>) {
        let resource = Resource::ours(text.to_owned()).unwrap();
        let entries = entries(&resource, Some("https://here.example/fhir"));
        (resource, entries)
    }

    /// `path code` of every token under a parameter.
    fn tokens(text: &str, code: &str) -> Vec<String> {
        let (resource, entries) = of(text);
        entries
            .iter()
            .filter(|entry| entry.param == ParamId::of(code))
            .map(|entry| match &entry.value {
                IndexValue::Token { code, .. } => {
                    format!("{} {code}", entry.path.words(resource.root()))
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn codings_are_found_at_any_level_with_their_places() {
        let text = r#"{"resourceType":"Observation","code":{"coding":[{"code":"a"},{"code":"b"}]},
            "component":[{"code":{"text":"said"}},{"code":{"coding":[{"code":"c"}]}}]}"#;
        assert_eq!(
            tokens(text, "combo-code"),
            [
                "code.coding[0] a",
                "code.coding[1] b",
                "component[0].code ",
                "component[1].code.coding[0] c"
            ]
        );
        assert_eq!(tokens(text, "code").len(), 2);
    }

    #[test]
    fn filters_on_a_step_hold() {
        let text = r#"{"resourceType":"Patient","telecom":[{"system":"email","value":"e"},{"system":"phone","value":"p"}]}"#;
        assert_eq!(tokens(text, "phone"), ["telecom[1] p"]);
        assert_eq!(tokens(text, "telecom").len(), 2);
    }

    #[test]
    fn presence_is_true_and_absence_is_false() {
        assert_eq!(
            tokens(r#"{"resourceType":"Patient"}"#, "deceased"),
            [" false"]
        );
        let dead = r#"{"resourceType":"Patient","deceasedDateTime":"2020"}"#;
        assert_eq!(tokens(dead, "deceased"), ["deceasedDateTime true"]);
        let alive = r#"{"resourceType":"Patient","deceasedBoolean":false}"#;
        assert_eq!(tokens(alive, "deceased"), ["deceasedBoolean false"]);
    }

    #[test]
    fn contained_resources_and_labels_are_not_indexed() {
        let (_, entries) = of(
            r#"{"resourceType":"Condition","meta":{"security":[{"code":"R"}]},
            "contained":[{"resourceType":"Observation","status":"final","code":{"coding":[{"code":"x"}]}}]}"#,
        );
        assert_eq!(entries, []);
    }

    #[test]
    fn a_reference_counts_for_a_typed_parameter_only_when_it_names_that_type() {
        let (_, entries) = of(
            r##"{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"c"}],
            "subject":{"reference":"https://here.example/fhir/Patient/a"}}"##,
        );
        let patient = entries
            .iter()
            .find(|entry| entry.param == ParamId::of("patient"));
        let IndexValue::Reference(target) = &patient.unwrap().value else {
            panic!()
        };
        assert_eq!(target.local().unwrap().to_string(), "Patient/a");
        let of = |reference: &str| {
            of(&format!(
                r#"{{"resourceType":"Observation","subject":{{"reference":"{reference}"}}}}"#
            ))
            .1
            .len()
        };
        assert_eq!(of("Group/a"), 1);
        assert_eq!(of("https://else.example/x/Patient/a"), 2);
    }
}
