//! Names of records: ids, `Type/id` keys and what a reference points at.

use super::Kind;
use std::fmt;

/// A logical id: 1 to 64 of `[A-Za-z0-9.-]` (<https://hl7.org/fhir/R4/datatypes.html#id>).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(Box<str>);

impl Id {
    /// Checks a text as an id.
    pub fn parse(text: &str) -> Option<Id> {
        let fits = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        fits.then(|| Id(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The URL of a canonical name (`url` or `url|version`), and its version where it says one
/// (<https://hl7.org/fhir/R4/references.html#canonical>).
pub fn canonical(name: &str) -> (&str, Option<&str>) {
    match name.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (name, None),
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Type and id of a record.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The resource type.
    pub kind: Kind,
    /// The logical id.
    pub id: Id,
}

impl Key {
    /// Parses `Type/id`.
    pub fn parse(text: &str) -> Option<Key> {
        match Target::parse(text, None) {
            Target::Local(key) => Some(key),
            _ => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Key::parse(&text).ok_or_else(|| serde::de::Error::custom("not Type/id"))
    }
}

/// What the text of a `Reference.reference` points at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A record of this server.
    Local(Key),
    /// A resource contained in the holder.
    Contained(Box<str>),
    /// A `urn:uuid:` or `urn:oid:` that a transaction resolves.
    Urn(Box<str>),
    /// A conditional reference (`Type?query`).
    Conditional(Box<str>),
    /// Anything else: another server, or a text that we can't read.
    Elsewhere(Box<str>),
}

impl Target {
    /// Reads a reference's text; `base` is this server's FHIR base, whose absolute URLs are local.
    pub fn parse(text: &str, base: Option<&str>) -> Target {
        if let Some(local) = text.strip_prefix('#') {
            return Target::Contained(local.into());
        }
        if text.starts_with("urn:") {
            return Target::Urn(text.into());
        }
        let relative = base
            .and_then(|base| text.strip_prefix(base))
            .map_or(text, |rest| rest.trim_start_matches('/'));
        let mut steps = relative.split('/');
        let (kind, id) = (steps.next(), steps.next());
        if let Some(kind) = kind.and_then(Kind::named)
            && let Some(id) = id.and_then(Id::parse)
            && matches!(
                (steps.next(), steps.next(), steps.next()),
                (None, ..) | (Some("_history"), Some(_), None)
            )
        {
            return Target::Local(Key { kind, id });
        }
        match relative.split_once('?') {
            Some((kind, _)) if Kind::named(kind).is_some() => Target::Conditional(relative.into()),
            _ => Target::Elsewhere(text.into()),
        }
    }

    /// The record of this server that it points at.
    pub fn local(&self) -> Option<&Key> {
        match self {
            Target::Local(key) => Some(key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_every_form_are_read() {
        let base = Some("https://here.example/fhir");
        let local = |text| Target::parse(text, base).local().map(ToString::to_string);
        assert_eq!(local("Patient/a").as_deref(), Some("Patient/a"));
        assert_eq!(local("Patient/a/_history/3").as_deref(), Some("Patient/a"));
        assert_eq!(
            local("https://here.example/fhir/Patient/a").as_deref(),
            Some("Patient/a")
        );
        assert_eq!(local("https://else.example/fhir/Patient/a"), None);
        assert_eq!(local("Patient/a/b"), None);
        assert_eq!(local("Ghost/a"), None);
        assert!(matches!(Target::parse("#x", base), Target::Contained(_)));
        assert!(matches!(Target::parse("urn:uuid:1", base), Target::Urn(_)));
        assert!(matches!(
            Target::parse("Practitioner?identifier=1", base),
            Target::Conditional(_)
        ));
    }

    #[test]
    fn ids_keep_to_the_datatype() {
        assert!(Id::parse("a.B-9").is_some());
        assert!(Id::parse("").is_none());
        assert!(Id::parse("a/b").is_none());
        assert!(Id::parse(&"x".repeat(65)).is_none());
    }
}
