//! Records with their bodies shut, and the few doors to them. Bodies are visible within
//! `crate::gate` and nowhere else; `tests/architecture.rs` lists who may use the doors.

use crate::{
    faces::{self, Face, Stamp},
    fhir::{Id, Key, Kinds, Node, Resource, ResourceError, Target},
    label::{self, Labelled, Marks, Part},
    policy::Facts,
    search::terms::Definition,
    statute::Labels,
};
use bytes::Bytes;
use std::fmt;

/// A stored record. It can't be shown, cloned, compared or serialized: only [`super::release()`]
/// opens it for a requester, and [`super::amend`] for the write path.
pub struct Sealed {
    pub(super) facts: Facts,
    pub(super) full: Stamp,
    pub(super) household: Stamp,
    pub(super) faces: Faces,
    pub(super) targets: Vec<Facts>,
}

/// The two faces, ready to send, and what can be taken out of the full one.
pub(super) struct Faces {
    pub(super) full: Face,
    /// Labels as they came in with the record, for relabelling.
    pub(super) incoming: Vec<u8>,
    pub(super) household: Household,
    pub(super) parts: Vec<Part>,
}

/// The household face.
pub(super) enum Household {
    /// Nothing is taken out: the full face serves.
    Same,
    /// With all labelled parts out.
    Other(Face),
    /// The record can't be without what is taken out.
    Nothing,
}

/// A record that may go, once its audit entry is durable. Serializable only through
/// [`super::Disclosure`].
pub struct Released {
    pub(super) key: Key,
    /// Where it is one resource that the record contains, and that alone: its id.
    pub(super) inside: Option<Id>,
    pub(super) patients: Vec<Key>,
    pub(super) stamp: Stamp,
    pub(super) body: Bytes,
    pub(super) why: crate::policy::Basis,
}

/// A row as the store keeps it: the store's side of the doors `from_row` and `into_row`.
pub struct Row {
    /// What decisions ask; what its parts reveal is read from `parts`.
    pub facts: Facts,
    /// Version and time of the full face.
    pub full: Stamp,
    /// Version and time of the household face.
    pub household: Stamp,
    /// The full body, framed.
    pub body: Vec<u8>,
    /// The household body, framed; empty where the full one serves, `None` where there is none.
    pub household_body: Option<Vec<u8>>,
    /// The parts, as JSON.
    pub parts: String,
    /// Facts of the records that it refers to, where a restriction must be tested on them.
    pub targets: Vec<Facts>,
}

/// A stored row that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored record is damaged")]
pub struct Damaged;

impl Sealed {
    /// Labels that only parts of it reveal.
    pub fn by_parts(&self) -> Labels {
        let parts = self.faces.parts.iter().map(|part| part.marks);
        let all = parts.fold(Marks::NONE, Marks::and);
        let of = |marks: Marks| marks.labels.and(marks.conditional);
        of(all).without(of(self.facts.whole))
    }

    /// Seals a row as it comes from the store.
    pub fn from_row(row: Row) -> Result<Sealed, Damaged> {
        let (full, incoming) = unframe(&row.body).ok_or(Damaged)?;
        let household = match row.household_body {
            None => Household::Nothing,
            Some(body) if body.is_empty() => Household::Same,
            Some(body) => Household::Other(unframe(&body).ok_or(Damaged)?.0),
        };
        let parts = parts_from_json(&row.parts).ok_or(Damaged)?;
        let mut facts = row.facts;
        facts.parts = label::distinct(&parts);
        Ok(Sealed {
            facts,
            full: row.full,
            household: row.household,
            faces: Faces {
                full,
                incoming,
                household,
                parts,
            },
            targets: row.targets,
        })
    }

    /// The row to store.
    pub fn into_row(self) -> Row {
        Row {
            body: frame(&self.faces.full, &self.faces.incoming),
            household_body: match &self.faces.household {
                Household::Same => Some(Vec::new()),
                Household::Other(face) => Some(frame(face, b"")),
                Household::Nothing => None,
            },
            parts: parts_to_json(&self.faces.parts),
            facts: self.facts,
            full: self.full,
            household: self.household,
            targets: self.targets,
        }
    }

    /// With the facts of the records that it refers to.
    #[must_use]
    pub fn referring_to(self, targets: Vec<Facts>) -> Sealed {
        Sealed { targets, ..self }
    }

    /// Version and time of the full face, and of the household's.
    pub fn stamps(&self) -> (Stamp, Stamp) {
        (self.full.clone(), self.household.clone())
    }

    /// What decisions ask of it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Where its labelled parts are, by their paths in the layout in which it is kept.
    pub fn parts(&self) -> &[Part] {
        &self.faces.parts
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed")
            .field("key", &self.facts.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Released")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("key", &self.facts.key)
            .finish_non_exhaustive()
    }
}

impl Released {
    /// Its type and id.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Version and time as the requester sees them.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// The records that its body, as released, refers to.
    pub fn references(&self) -> Vec<Key> {
        let Ok(shown) = Resource::ours(self.body.clone()) else {
            return Vec::new();
        };
        let references = shown.found().references.iter();
        references
            .filter_map(|reference| reference.target.local().cloned())
            .collect()
    }

    /// The records of these types that its body, as released, refers to.
    pub fn mentions(&self, kinds: Kinds) -> Vec<Key> {
        mentioned(&self.body, kinds)
    }

    /// The resource of that id that the record contains, alone: cut out of what is released, so that what
    /// was taken out of the record is not there either.
    pub fn contained(&self, id: &Id) -> Option<Released> {
        let whole = Resource::ours(self.body.clone()).ok()?;
        let contained = whole.root().get("contained").map(Node::items)?;
        let found = contained
            .iter()
            .find(|node| node.text("id") == Some(id.as_str()))?;
        Some(Released {
            key: self.key.clone(),
            inside: Some(id.clone()),
            patients: self.patients.clone(),
            stamp: self.stamp.clone(),
            body: Bytes::copy_from_slice(found.slice(whole.text())),
            why: self.why.clone(),
        })
    }

    /// The same with less, as a search asked for; tagged as such where the requester may know that
    /// more is there.
    #[must_use]
    pub fn trimmed(self, trim: &faces::Trim) -> Released {
        let tagged = self.why.may_know;
        let whole = Resource::ours(self.body.clone()).ok();
        let left = whole.and_then(|whole| faces::trim(&whole, trim, tagged));
        match left {
            Some(left) => Released {
                body: left.text().clone(),
                ..self
            },
            None => self,
        }
    }

    /// What it defines, where it is a value set or a code system: for a search that names it.
    pub fn definition(&self) -> Option<Definition> {
        Definition::of(&Resource::ours(self.body.clone()).ok()?)
    }

    /// Whether the same is shown of both, version and time aside.
    pub fn shows_what(&self, other: &Released) -> bool {
        let rest = |released: &Released| {
            let head = faces::render(&released.key, &released.stamp, &Face::default(), b"").len();
            // Without the brace that closes `meta`.
            let at = head.saturating_sub(1).min(released.body.len());
            released.body.slice(at..)
        };
        rest(self) == rest(other)
    }

    /// Why it may go.
    pub fn why(&self) -> &crate::policy::Basis {
        &self.why
    }

    /// Whether the requester is shown less than the whole of it.
    pub fn is_partial(&self) -> bool {
        !self.why.partial.is_empty()
            || matches!(self.why.face, crate::policy::FaceKind::Household(_))
    }
}

/// A resource in the layout in which it is labelled and kept: `resourceType`, `id`, `meta`, then
/// the rest as the author wrote it. Paths of parts are paths in this layout.
///
/// Labels that came in with an earlier version (`before`) stay: a writer that leaves them out does not
/// lower them; only the privacy office does. Labels that replies carried only because some part of the
/// earlier version reveals them (`by_parts`, see [`Sealed::by_parts`]) come back with a read that is
/// written again: they say nothing about the whole, and the parts are labelled anew.
pub fn canonical(
    key: &Key,
    resource: &Resource,
    before: Option<&Resource>,
    by_parts: Labels,
) -> Result<Resource, ResourceError> {
    let stamp = Stamp {
        version: "0".into(),
        updated: 0,
    };
    let face = faces::full(resource);
    let mut security = incoming(resource);
    if let Some(before) = before {
        let came = before.security();
        let came = came.filter_map(|(system, code)| Labels::of_security(system, code));
        let echoed = by_parts.without(came.collect());
        if !echoed.is_none() {
            security = news(resource, before, echoed);
        }
        keep_labels(resource, before, &mut security);
    }
    Resource::ours(faces::render(key, &stamp, &face, &security))
}

/// Adds the sensitivity codings of `before` that `resource` lacks.
fn keep_labels(resource: &Resource, before: &Resource, security: &mut Vec<u8>) {
    let has = |node: &Node| {
        let mut codes = resource.security();
        codes.any(|(system, code)| node.text("system") == system && node.text("code") == Some(code))
    };
    let codings = before.root().at(&["meta", "security"]).map(Node::items);
    for coding in codings.unwrap_or_default() {
        let label = coding
            .text("code")
            .and_then(|code| Labels::of_security(coding.text("system"), code));
        if label.is_some() && !has(coding) {
            if !security.is_empty() {
                security.push(b',');
            }
            security.extend_from_slice(coding.slice(before.text()));
        }
    }
}

/// The members of `meta.security` less the `echoed` labels and the level, where they are what a reply
/// carried: all of those labels with the level that a reply adds. A label without it is the author's own.
fn news(resource: &Resource, before: &Resource, echoed: Labels) -> Vec<u8> {
    let codings = resource.root().at(&["meta", "security"]).map(Node::items);
    let codings = codings.unwrap_or_default();
    let label = |coding: &Node| {
        let code = coding.text("code")?;
        Labels::of_security(coding.text("system"), code)
    };
    let is_echo = |coding: &Node| label(coding).is_some_and(|labels| echoed.holds(labels));
    let known = |coding: &Node| {
        let mut came = before.security();
        came.any(|(system, code)| {
            coding.text("system") == system && coding.text("code") == Some(code)
        })
    };
    let is_level = |coding: &Node| {
        coding.text("system") == Some(faces::CONFIDENTIALITY)
            && matches!(coding.text("code"), Some("R" | "V"))
            && !known(coding)
    };
    let carried: Labels = codings.iter().filter_map(label).collect();
    if !codings.iter().any(is_level) || !carried.holds(echoed) {
        return incoming(resource);
    }
    let kept = codings
        .iter()
        .filter(|coding| !is_echo(coding) && !is_level(coding));
    let kept: Vec<&[u8]> = kept.map(|coding| coding.slice(resource.text())).collect();
    kept.join(&b","[..])
}

/// The members of the array `meta.security` as they came in.
pub(super) fn incoming(resource: &Resource) -> Vec<u8> {
    let security = resource.root().at(&["meta", "security"]);
    let bytes = security
        .map(|node| node.slice(resource.text()))
        .unwrap_or_default();
    let inner = bytes
        .strip_prefix(b"[")
        .and_then(|bytes| bytes.strip_suffix(b"]"));
    inner.map(<[u8]>::to_vec).unwrap_or_default()
}

/// Seals a canonical resource with its labels, and what of it a household may see
/// ([`faces::household`]).
pub fn seal(
    facts: Facts,
    full: Stamp,
    household: Stamp,
    resource: &Resource,
    labelled: &Labelled,
    left: Option<&Resource>,
) -> Sealed {
    let household_face = match left {
        None => Household::Nothing,
        Some(left) if left.text() == resource.text() => Household::Same,
        Some(left) => Household::Other(faces::full(left)),
    };
    Sealed {
        facts,
        full,
        household,
        faces: Faces {
            full: faces::full(resource),
            incoming: incoming(resource),
            household: household_face,
            parts: labelled.parts.clone(),
        },
        targets: Vec::new(),
    }
}

/// Frames: two lengths (meta, incoming) as little-endian `u32`, then meta, incoming and tail.
fn frame(face: &Face, incoming: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(0).to_le_bytes();
    let mut out = Vec::with_capacity(8 + face.meta.len() + incoming.len() + face.tail.len());
    out.extend_from_slice(&length(&face.meta));
    out.extend_from_slice(&length(incoming));
    out.extend_from_slice(&face.meta);
    out.extend_from_slice(incoming);
    out.extend_from_slice(&face.tail);
    out
}

fn unframe(bytes: &[u8]) -> Option<(Face, Vec<u8>)> {
    let (meta, rest) = bytes.split_first_chunk::<4>()?;
    let (incoming, rest) = rest.split_first_chunk::<4>()?;
    let meta = usize::try_from(u32::from_le_bytes(*meta)).ok()?;
    let incoming = usize::try_from(u32::from_le_bytes(*incoming)).ok()?;
    let (meta, rest) = rest.split_at_checked(meta)?;
    let (incoming, tail) = rest.split_at_checked(incoming)?;
    let face = Face {
        meta: meta.to_vec(),
        tail: tail.to_vec(),
    };
    Some((face, incoming.to_vec()))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct PartRow(Vec<u16>, [u32; 4], bool, Option<Key>);

fn parts_to_json(parts: &[Part]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let rows: Vec<PartRow> = parts
        .iter()
        .map(|part| {
            let Marks {
                labels,
                conditional,
                protected,
                conditional_protected,
                review,
            } = part.marks;
            let marks = [
                labels.0,
                conditional.0,
                protected.0,
                conditional_protected.0,
            ];
            PartRow(part.path.0.to_vec(), marks, review, part.target.clone())
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

fn parts_from_json(text: &str) -> Option<Vec<Part>> {
    use crate::fhir::Path;
    if text.is_empty() {
        return Some(Vec::new());
    }
    let rows: Vec<PartRow> = serde_json::from_str(text).ok()?;
    let part =
        |PartRow(path, [labels, conditional, protected, conditional_protected], review, target)| {
            Part {
                path: Path(path.into()),
                marks: Marks {
                    labels: Labels(labels),
                    conditional: Labels(conditional),
                    protected: Labels(protected),
                    conditional_protected: Labels(conditional_protected),
                    review,
                },
                target,
            }
        };
    Some(rows.into_iter().map(part).collect())
}

/// The references in a JSON text. Read from the bytes: a quote within a string is escaped, so what
/// looks like a reference's name is one.
fn mentioned(text: &[u8], kinds: Kinds) -> Vec<Key> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Vec::new();
    };
    let found = text.split("\"reference\"").skip(1).filter_map(|rest| {
        let value = rest.trim_start().strip_prefix(':')?.trim_start();
        let (value, _) = value.strip_prefix('"')?.split_once('"')?;
        let target = Target::parse(value, None);
        target.local().filter(|key| kinds.has(key.kind)).cloned()
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mentioned_is_what_is_referred_to() {
        let text = include_str!("../../fixtures/households.ndjson");
        let mut all = 0;
        for line in text.lines() {
            let resource = Resource::ours(line.to_owned()).unwrap();
            let references = resource.found().references.iter();
            let local = references.filter_map(|reference| reference.target.local().cloned());
            // An attachment's address is none.
            let kinds = Kinds::ALL.without(Kinds::of(&["Binary"]));
            let expected: Vec<Key> = local.filter(|key| kinds.has(key.kind)).collect();
            assert_eq!(mentioned(line.as_bytes(), kinds), expected, "{line}");
            all += expected.len();
        }
        assert!(all > 100);
        let odd = br##"{"a":"\"reference\":\"Patient/x\"", "reference" : "Organization/o/_history/2","reference":"#c"}"##;
        let odd = mentioned(odd, Kinds::ALL);
        assert_eq!(odd, [Key::parse("Organization/o").unwrap()]);
    }
}
