//! Which labels an index entry carries: what is left of a record's entries when parts of it go.

use crate::{
    faces,
    fhir::{Key, Path, Resource, Target},
    label::{DIRECTORY, Marks, Part},
    search::{
        contained::{Contained, contained},
        index::{IndexEntry, IndexValue, entries},
        params::ParamId,
    },
};
use std::{collections::HashMap, rc::Rc};

/// The most parts of a record that are cut one by one to see which entries go with them.
const EXACT: usize = 40;

/// What is left of the entries when parts go: an entry of a care team goes with the last line that
/// used it, though it lies in none of them.
pub(super) struct Lasting<'l> {
    parts: Vec<&'l Part>,
    /// Without one part, in the order of `parts`.
    without_one: Vec<Said>,
    /// With no other part, in the same order.
    with_one: Vec<Said>,
    /// Without any.
    without_all: Said,
}

/// Entries by what they say, wherever they say it.
#[derive(Clone)]
struct Said(Rc<Values>);

/// The values of each parameter, of the record and of each of what it contains, by its id.
type Values = HashMap<(Option<Box<str>>, ParamId), Vec<IndexValue>>;

impl Said {
    fn of(resource: Option<&Resource>) -> Said {
        let Some(resource) = resource else {
            return Said(Rc::default());
        };
        Said::by(entries(resource, None), contained(resource, None))
    }

    fn by(entries: Vec<IndexEntry>, inside: Vec<Contained>) -> Said {
        let mut said = Values::new();
        for entry in entries {
            said.entry((None, entry.param))
                .or_default()
                .push(entry.value);
        }
        for one in inside {
            for entry in std::iter::once(one.itself()).chain(one.entries) {
                said.entry((Some(one.id.as_str().into()), entry.param))
                    .or_default()
                    .push(entry.value);
            }
        }
        Said(Rc::new(said))
    }

    fn has(&self, inside: Option<&str>, entry: &IndexEntry) -> bool {
        let values = self.0.get(&(inside.map(Into::into), entry.param));
        values.is_some_and(|values| values.contains(&entry.value))
    }
}

impl<'l> Lasting<'l> {
    /// What is left of `found`, and of what is `inside`, without these parts.
    pub(super) fn of(
        resource: &Resource,
        parts: &'l [Part],
        found: &[IndexEntry],
        inside: &[Contained],
    ) -> Lasting<'l> {
        let parts: Vec<&Part> = parts.iter().collect();
        if parts.len() > EXACT {
            // Too many to cut one by one: what does not outlast all cuts goes with each of them.
            let all = faces::without(resource, &parts);
            return Lasting {
                without_one: Vec::new(),
                with_one: Vec::new(),
                without_all: Said::of(all.as_deref()),
                parts,
            };
        }
        let left = |parts: &[&Part]| {
            let left = faces::without(resource, parts);
            Said::of(left.as_deref())
        };
        if parts.len() == 1 {
            let without = left(&parts);
            return Lasting {
                without_one: vec![without.clone()],
                with_one: vec![Said::by(found.to_vec(), inside.to_vec())],
                without_all: without,
                parts,
            };
        }
        let others = |one: &&Part| -> Vec<&Part> {
            let others = parts.iter().filter(|other| other.path != one.path);
            others.copied().collect()
        };
        Lasting {
            without_one: parts.iter().map(|part| left(&[part])).collect(),
            with_one: parts.iter().map(|part| left(&others(part))).collect(),
            without_all: left(&parts),
            parts,
        }
    }

    /// The labels under which an entry (of what is contained under that id) is there, one row each: it is
    /// there for whoever sees one.
    pub(super) fn marks(&self, inside: Option<&str>, entry: &IndexEntry) -> Vec<Marks> {
        let mut marks = Marks::NONE;
        for (part, left) in self.parts.iter().zip(&self.without_one) {
            // What the parts around it reveal, and those inside it: an entry made of an element that
            // loses a child is an entry of that child too. The absence of an element reveals nothing.
            let touches = entry.path.within(&part.path) || part.path.within(&entry.path);
            if (touches && !entry.path.0.is_empty()) || !left.has(inside, entry) {
                marks = marks.and(part.marks);
            }
        }
        if self.parts.len() > EXACT && !self.without_all.has(inside, entry) {
            return vec![
                self.parts
                    .iter()
                    .fold(marks, |all, part| all.and(part.marks)),
            ];
        }
        if !marks.is_none() || self.without_all.has(inside, entry) {
            return vec![marks];
        }
        let keepers = self.parts.iter().zip(&self.with_one);
        let rows: Vec<Marks> = keepers
            .filter(|(_, left)| left.has(inside, entry))
            .map(|(part, _)| part.marks)
            .collect();
        if rows.is_empty() {
            vec![
                self.parts
                    .iter()
                    .fold(marks, |all, part| all.and(part.marks)),
            ]
        } else {
            rows
        }
    }
}

/// What a member's restriction may hide of what the record refers to.
fn restrictable(target: &Target) -> Option<&Key> {
    let key = target.local()?;
    let stays = key.kind.name() == "Patient" || DIRECTORY.has(key.kind);
    (!stays).then_some(key)
}

/// What may go with a reference that a restriction takes out: what is said beside it, and what speaks of
/// the record as a whole.
pub(super) struct Falls<'r> {
    spoken: Vec<usize>,
    beside: Vec<&'r Path>,
}

impl<'r> Falls<'r> {
    pub(super) fn of(resource: &'r Resource) -> Falls<'r> {
        let spoken = faces::spoken(resource.kind()).filter_map(|name| {
            let mut members = resource.root().members().iter();
            members.position(|member| &*member.name == name)
        });
        let references = resource.found().references.iter();
        let beside = references.filter(|one| restrictable(&one.target).is_some());
        Falls {
            spoken: spoken.collect(),
            beside: beside.map(|one| &one.path).collect(),
        }
    }

    /// Whether an element at `path` is one of that.
    pub(super) fn has(&self, path: &Path) -> bool {
        let top = path.0.first().map(|at| usize::from(*at));
        top.is_some_and(|at| self.spoken.contains(&at))
            || self.beside.iter().any(|beside| path.within(beside))
    }
}

/// Which contained resources (by their place in `inside`) go with the references to which record, because
/// nothing else refers to them.
pub(super) fn orphans(resource: &Resource, inside: &[Contained]) -> Vec<(usize, Key)> {
    let all = &resource.found().references;
    let mut targets: Vec<&Key> = all
        .iter()
        .filter_map(|reference| restrictable(&reference.target))
        .collect();
    targets.sort_unstable();
    targets.dedup();
    if inside.is_empty() || targets.is_empty() {
        return Vec::new();
    }
    // Cutting is dear: first whether what refers to one can go with anything at all.
    let falls = Falls::of(resource);
    let near = |path: &Path| {
        let shares = |other: &Path| {
            let steps = path.0.len().min(other.0.len()).min(2);
            path.0.get(..steps) == other.0.get(..steps)
        };
        falls.has(path) || falls.beside.iter().any(|other| shares(other))
    };
    let may_go = |one: &Contained| {
        let own = Path(one.path.0.get(..2).unwrap_or_default().into());
        let mut refers = all.iter().filter(|reference| {
            matches!(&reference.target, Target::Contained(id) if **id == *one.id.as_str())
                && !reference.path.within(&own)
        });
        refers.all(|reference| near(&reference.path))
    };
    if !inside.iter().any(may_go) {
        return Vec::new();
    }
    let mut orphans = Vec::new();
    for target in targets {
        let parts = all
            .iter()
            .filter(|reference| reference.target.local() == Some(target));
        let parts: Vec<Part> = parts
            .map(|reference| Part {
                path: reference.path.clone(),
                marks: Marks::NONE,
                target: Some(target.clone()),
            })
            .collect();
        // A record that can't be without it is hidden with it.
        let Some(left) = faces::without(resource, &parts.iter().collect::<Vec<_>>()) else {
            continue;
        };
        let left = contained(&left, None);
        for (at, one) in inside.iter().enumerate() {
            if !left.iter().any(|left| left.id == one.id) {
                orphans.push((at, target.clone()));
            }
        }
    }
    orphans
}
