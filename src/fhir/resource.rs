//! A checked envelope over one resource's JSON: type, id, meta, references and codings found once.

use super::{
    Id, Key, Kind, Target,
    json::{self, JsonError, Limits, Node, Value},
    schema::{OwnerId, SCHEMA, Shape},
};
use bytes::Bytes;

/// A resource: its bytes, its tree, and what every later step asks for.
#[derive(Debug, Clone)]
pub struct Resource {
    text: Bytes,
    root: Node,
    kind: Kind,
    id: Option<Id>,
    found: Found,
}

/// Why a text is no resource. Says where, never what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// Not acceptable JSON.
    #[error("not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// Not an object.
    #[error("a resource is a JSON object")]
    NotAnObject,
    /// `resourceType` is missing or unknown.
    #[error("resourceType is missing or not a type of FHIR R4")]
    Kind,
    /// `id` is not a FHIR id.
    #[error("id is not 1 to 64 of the characters A-Z a-z 0-9 - .")]
    Id,
}

/// The way to a value: at each level the number of the member or of the item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Path(pub Box<[u16]>);

/// What one walk over the tree finds.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Every coding, contained resources and extensions included.
    pub codings: Vec<FoundCoding>,
    /// Every reference.
    pub references: Vec<FoundReference>,
    /// Concepts that have a text and no coding.
    pub texts: Vec<Path>,
    /// Attachments.
    pub attachments: Vec<Path>,
}

/// A coding and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCoding {
    /// Of the Coding.
    pub path: Path,
    /// The code system, where one is named.
    pub system: Option<Box<str>>,
    /// The code.
    pub code: Box<str>,
}

/// A reference and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundReference {
    /// Of the Reference (the object).
    pub path: Path,
    /// What it points at.
    pub target: Target,
}

impl Resource {
    /// Reads one resource. Structure is checked elsewhere (`profile`); this only refuses what can't
    /// be a resource at all.
    pub fn parse(text: impl Into<Bytes>, limits: Limits) -> Result<Resource, ResourceError> {
        let text = text.into();
        let root = json::parse(&text, limits)?;
        Resource::of_tree(text, root)
    }

    /// A resource of JSON that is known to be small and ours.
    pub fn ours(text: impl Into<Bytes>) -> Result<Resource, ResourceError> {
        Resource::parse(text, Limits::default())
    }

    fn of_tree(text: Bytes, root: Node) -> Result<Resource, ResourceError> {
        if !matches!(root.value, Value::Object(_)) {
            return Err(ResourceError::NotAnObject);
        }
        let kind = root
            .text("resourceType")
            .and_then(Kind::named)
            .ok_or(ResourceError::Kind)?;
        let id = match root.get("id") {
            None => None,
            Some(node) => Some(node.str().and_then(Id::parse).ok_or(ResourceError::Id)?),
        };
        let mut finder = Finder::default();
        finder.resource(&root);
        Ok(Resource {
            text,
            root,
            kind,
            id,
            found: finder.found,
        })
    }

    /// The original bytes.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// The tree.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// The resource type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The id, where the text has one.
    pub fn id(&self) -> Option<&Id> {
        self.id.as_ref()
    }

    /// Type and id.
    pub fn key(&self) -> Option<Key> {
        self.id.clone().map(|id| Key {
            kind: self.kind,
            id,
        })
    }

    /// What the walk found.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The codings of `meta.security`.
    pub fn security(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.root
            .at(&["meta", "security"])
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|coding| Some((coding.text("system"), coding.text("code")?)))
    }

    /// The nodes at a dotted path of element names, through arrays.
    pub fn nodes(&self, path: &str) -> Vec<&Node> {
        nodes(&self.root, path)
    }

    /// The references at a dotted path, as keys of this server.
    pub fn keys(&self, path: &str) -> Vec<Key> {
        self.nodes(path)
            .iter()
            .filter_map(|node| node.text("reference"))
            .filter_map(Key::parse)
            .collect()
    }

    /// The first string at a dotted path.
    pub fn string(&self, path: &str) -> Option<&str> {
        self.nodes(path).first().and_then(|node| node.str())
    }

    /// The value of our extension `name` on `node` (its `value[x]` member).
    pub fn extension<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
        extension(node, name)?
            .members()
            .iter()
            .find(|member| member.name.starts_with("value"))
            .map(|member| &member.node)
    }
}

/// The extension of ours called `name` on a node.
pub fn extension<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.get("extension")?.items().iter().find(|extension| {
        extension
            .text("url")
            .is_some_and(|url| url.strip_prefix(super::EXTENSION) == Some(name) || url == name)
    })
}

/// The nodes at a dotted path below `root`, through arrays.
pub fn nodes<'n>(root: &'n Node, path: &str) -> Vec<&'n Node> {
    let mut found = vec![root];
    for name in path.split('.') {
        found = found
            .into_iter()
            .filter_map(|node| node.get(name))
            .flat_map(Node::each)
            .collect();
    }
    found
}

impl Path {
    /// The node at this path below `root`.
    pub fn node<'n>(&self, root: &'n Node) -> Option<&'n Node> {
        self.0.iter().try_fold(root, |node, step| {
            let step = usize::from(*step);
            match &node.value {
                Value::Object(members) => members.get(step).map(|member| &member.node),
                Value::Array(items) => items.get(step),
                _ => None,
            }
        })
    }

    /// The path in words: `item[1].productOrService`.
    pub fn words(&self, root: &Node) -> String {
        let mut out = String::new();
        let mut node = Some(root);
        for step in &self.0 {
            let at = usize::from(*step);
            node = match node.map(|node| &node.value) {
                Some(Value::Object(members)) => members.get(at).map(|member| {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(&member.name);
                    &member.node
                }),
                Some(Value::Array(items)) => {
                    out.push_str(&format!("[{at}]"));
                    items.get(at)
                }
                _ => None,
            };
        }
        out
    }

    /// Whether this path leads to `other` or into it.
    pub fn within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Its first `steps` steps.
    pub fn first(&self, steps: usize) -> Path {
        Path(self.0.iter().take(steps).copied().collect())
    }

    /// With one more step.
    pub fn then(&self, step: usize) -> Option<Path> {
        let step = u16::try_from(step).ok()?;
        Some(Path(self.0.iter().copied().chain([step]).collect()))
    }

    /// The path of the top-level member `name`, and of its item where it is a list.
    pub fn member(root: &Node, name: &str, item: Option<usize>) -> Option<Path> {
        let at = root
            .members()
            .iter()
            .position(|member| &*member.name == name)?;
        let path = Path::default().then(at)?;
        match item {
            Some(item) => path.then(item),
            None => Some(path),
        }
    }
}

#[derive(Default)]
struct Finder {
    path: Vec<u16>,
    found: Found,
}

impl Finder {
    fn resource(&mut self, node: &Node) {
        let owner = node
            .text("resourceType")
            .and_then(Kind::named)
            .and_then(|kind| SCHEMA.resource(kind));
        self.object(node, owner);
    }

    fn object(&mut self, node: &Node, owner: Option<OwnerId>) {
        for (at, member) in node.members().iter().enumerate() {
            let element = owner.and_then(|owner| SCHEMA.element(owner, &member.name));
            self.step(at, |finder| {
                if let Value::Array(items) = &member.node.value {
                    for (item, node) in items.iter().enumerate() {
                        finder.step(item, |finder| finder.value(node, element.map(|e| e.shape)));
                    }
                } else {
                    finder.value(&member.node, element.map(|e| e.shape));
                }
            });
        }
    }

    fn step(&mut self, at: usize, inside: impl FnOnce(&mut Self)) {
        if let Ok(at) = u16::try_from(at) {
            self.path.push(at);
            inside(self);
            self.path.pop();
        }
    }

    fn here(&self) -> Path {
        Path(self.path.as_slice().into())
    }

    fn value(&mut self, node: &Node, shape: Option<Shape>) {
        match shape {
            Some(Shape::Primitive(_)) => {}
            Some(Shape::Resource) => self.resource(node),
            Some(Shape::Reference(owner, _)) => {
                self.reference(node);
                self.object(node, Some(owner));
            }
            Some(Shape::Complex(owner)) => {
                match SCHEMA.owner(owner).map(|owner| owner.name) {
                    Some("Coding") => self.coding(node),
                    Some("CodeableConcept") => self.concept(node),
                    Some("Attachment") => self.attachment(node),
                    _ => {}
                }
                self.object(node, Some(owner));
            }
            // Not in the definitions (refused by the structure check, but labelled all the same).
            None => {
                if node.text("reference").is_some() {
                    self.reference(node);
                }
                if node.text("code").is_some() && node.get("value").is_none() {
                    self.coding(node);
                }
                self.object(node, None);
            }
        }
    }

    fn reference(&mut self, node: &Node) {
        if let Some(text) = node.text("reference") {
            self.found.references.push(FoundReference {
                path: self.here(),
                target: Target::parse(text, None),
            });
        }
    }

    /// An attachment whose URL is a record of ours (`Binary/x`) points at it as a reference does.
    fn attachment(&mut self, node: &Node) {
        self.found.attachments.push(self.here());
        let target = node.text("url").map(|url| Target::parse(url, None));
        if let Some(target @ Target::Local(_)) = target {
            self.found.references.push(FoundReference {
                path: self.here(),
                target,
            });
        }
    }

    fn coding(&mut self, node: &Node) {
        if let Some(code) = node.text("code") {
            self.found.codings.push(FoundCoding {
                path: self.here(),
                system: node.text("system").map(Into::into),
                code: code.into(),
            });
        }
    }

    fn concept(&mut self, node: &Node) {
        let coded = node
            .get("coding")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .any(|coding| coding.text("code").is_some());
        if !coded && (node.get("text").is_some() || node.get("coding").is_some()) {
            self.found.texts.push(self.here());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONDITION: &str = r##"{"resourceType":"Condition","id":"c","contained":[{"resourceType":"Observation","id":"o","status":"final","code":{"text":"said"}}],
        "code":{"coding":[{"system":"http://snomed.info/sct","code":"1"}]},"subject":{"reference":"Patient/p"},"evidence":[{"detail":[{"reference":"#o"}]}]}"##;

    #[test]
    fn codings_references_and_texts_are_found_with_their_places() {
        let resource = Resource::ours(CONDITION).unwrap();
        let found = resource.found();
        let words = |path: &Path| path.words(resource.root());
        assert_eq!(words(&found.codings[0].path), "code.coding[0]");
        assert_eq!(
            found.codings[0]
                .path
                .node(resource.root())
                .unwrap()
                .text("code"),
            Some("1")
        );
        assert_eq!(words(&found.texts[0]), "contained[0].code");
        assert_eq!(
            found.references[0].target.local().unwrap().to_string(),
            "Patient/p"
        );
        assert_eq!(found.references[1].target, Target::Contained("o".into()));
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        let refused = |text: &str| Resource::ours(text.to_owned()).unwrap_err();
        assert_eq!(refused("[]"), ResourceError::NotAnObject);
        assert_eq!(refused("{}"), ResourceError::Kind);
        assert_eq!(refused(r#"{"resourceType":"Ghost"}"#), ResourceError::Kind);
        assert_eq!(
            refused(r#"{"resourceType":"Patient","id":"a/b"}"#),
            ResourceError::Id
        );
        assert!(matches!(refused("{"), ResourceError::Json(_)));
    }
}
