//! The search parameters of every type: R4's table, and those of every resource.

use super::path::ParamPath;
use crate::fhir::{Kind, Kinds};
use std::{collections::HashMap, fmt, sync::LazyLock};

/// A parameter as databases store it: the FNV-1a hash of its code. The same code is the same
/// number on every type; that no two codes share one is a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub u32);

/// The kind of values that a parameter takes (<https://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FHIR's own names")]
pub enum ParamType {
    Number,
    Date,
    String,
    Token,
    Reference,
    Quantity,
    Uri,
}

/// A search parameter of one type.
#[derive(Debug)]
pub struct Param {
    /// Its stored number.
    pub id: ParamId,
    /// The type that it searches.
    pub base: Kind,
    /// Its name in a query.
    pub code: &'static str,
    /// What its values are.
    pub kind: ParamType,
    /// Where it looks.
    pub paths: Vec<ParamPath>,
    /// The types that a reference parameter may point at; [`Kinds::ALL`] for any.
    pub targets: Kinds,
}

/// The parameters of every resource, in the form of the table. `_security` is known but has no
/// index entries: labels live in the record's head and only some may be known to the requester.
const OF_EVERY_RESOURCE: [(&str, ParamType, &str); 6] = [
    (ID, ParamType::Token, "id:id"),
    (LAST_UPDATED, ParamType::Date, "meta.lastUpdated:instant"),
    (TAG, ParamType::Token, "meta.tag:Coding"),
    (PROFILE, ParamType::Uri, "meta.profile:canonical"),
    (SECURITY, ParamType::Token, "meta.security:Coding"),
    (SOURCE, ParamType::Uri, "meta.source:uri"),
];

/// The logical id: a column of the record, not an index entry.
pub const ID: &str = "_id";
/// The record's time: a column of the record, not an index entry.
pub const LAST_UPDATED: &str = "_lastUpdated";
/// Tags: in `meta`, for those who may know labels.
pub const TAG: &str = "_tag";
/// Profiles.
pub const PROFILE: &str = "_profile";
/// Where a record came from: as tags.
pub const SOURCE: &str = "_source";
/// Labels: see `OF_EVERY_RESOURCE`.
pub const SECURITY: &str = "_security";

static TABLE: LazyLock<Table> =
    LazyLock::new(|| Table::read(include_str!("../../profiles/r4/search-parameters.tsv")));

struct Table {
    by_kind: HashMap<Kind, Vec<Param>>,
}

/// The parameter `code` of a type.
pub fn param(base: Kind, code: &str) -> Option<&'static Param> {
    let params = of(base);
    let at = params.binary_search_by_key(&code, |param| param.code);
    at.ok().and_then(|at| params.get(at))
}

/// Every parameter of a type, by code.
pub fn of(base: Kind) -> &'static [Param] {
    TABLE
        .by_kind
        .get(&base)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A parameter that every resource has (`_tag`), for searches over all types.
pub fn of_every_resource(code: &str) -> Option<&'static Param> {
    OF_EVERY_RESOURCE
        .iter()
        .find(|(name, ..)| *name == code)
        .and_then(|_| param(Kind::all().next()?, code))
}

/// Whether the standard has `code` on `base` as a parameter that we don't evaluate yet
/// (composites, extensions, `special`). Said apart from an unknown name so that a client learns
/// which of the two it is.
pub fn known_elsewhere(base: Kind, code: &str) -> bool {
    let rest = include_str!("../../profiles/r4/search-parameters.tsv");
    rest.lines()
        .filter_map(|line| line.strip_prefix("# not expressible: "))
        .filter_map(|line| line.split_once(": "))
        .filter_map(|(name, _)| name.split_once('.'))
        .any(|(on, name)| name == code && [base.name(), "Resource", "DomainResource"].contains(&on))
}

impl ParamId {
    /// The number of a code.
    pub const fn of(code: &str) -> ParamId {
        let bytes = code.as_bytes();
        let mut rest = bytes;
        let mut hash = 0x811c_9dc5_u32;
        while let [byte, tail @ ..] = rest {
            hash = (hash ^ *byte as u32).wrapping_mul(0x0100_0193);
            rest = tail;
        }
        ParamId(hash)
    }
}

impl ParamType {
    fn named(name: &str) -> Option<ParamType> {
        Some(match name {
            "number" => ParamType::Number,
            "date" => ParamType::Date,
            "string" => ParamType::String,
            "token" => ParamType::Token,
            "reference" => ParamType::Reference,
            "quantity" => ParamType::Quantity,
            "uri" => ParamType::Uri,
            _ => return None,
        })
    }

    /// FHIR's name.
    pub fn name(self) -> &'static str {
        match self {
            ParamType::Number => "number",
            ParamType::Date => "date",
            ParamType::String => "string",
            ParamType::Token => "token",
            ParamType::Reference => "reference",
            ParamType::Quantity => "quantity",
            ParamType::Uri => "uri",
        }
    }
}

impl fmt::Display for ParamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Param {
    fn read(row: &[&'static str]) -> Option<Param> {
        let [base, code, kind, paths, targets @ ..] = row else {
            return None;
        };
        let targets = match targets.first().copied() {
            None => Kinds::NONE,
            Some("*") => Kinds::ALL,
            Some(names) => names.split(',').filter_map(Kind::named).collect(),
        };
        let paths = paths.split(';').map(ParamPath::parse);
        Some(Param {
            id: ParamId::of(code),
            base: Kind::named(base)?,
            code,
            kind: ParamType::named(kind)?,
            paths: paths.collect::<Option<_>>()?,
            targets,
        })
    }

    /// Whether all that it reads lies in these elements of the resource; see
    /// [`ParamPath::covered_by`]. Where not, a projection must treat it as an absent element.
    pub fn covered_by(&self, elements: &[&str]) -> bool {
        self.paths.iter().all(|path| path.covered_by(elements))
    }
}

impl Table {
    fn read(text: &'static str) -> Table {
        let mut by_kind: HashMap<Kind, Vec<Param>> = HashMap::new();
        for param in rows(text).filter_map(|row| Param::read(&row)) {
            by_kind.entry(param.base).or_default().push(param);
        }
        for base in Kind::all() {
            let params = by_kind.entry(base).or_default();
            params.extend(OF_EVERY_RESOURCE.iter().filter_map(|(code, kind, path)| {
                Some(Param {
                    id: ParamId::of(code),
                    base,
                    code,
                    kind: *kind,
                    paths: vec![ParamPath::parse(path)?],
                    targets: Kinds::NONE,
                })
            }));
            params.sort_by_key(|param| param.code);
        }
        Table { by_kind }
    }
}

fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split('\t').collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::schema::{SCHEMA, Shape};
    use std::collections::{BTreeMap, BTreeSet};

    fn all() -> impl Iterator<Item = &'static Param> {
        Kind::all().flat_map(of)
    }

    #[test]
    fn every_row_is_read() {
        let text = include_str!("../../profiles/r4/search-parameters.tsv");
        for row in rows(text) {
            let read = Param::read(&row);
            assert!(read.is_some(), "{row:?}");
            assert!(param(read.unwrap().base, row[1]).is_some(), "{row:?}");
        }
    }

    #[test]
    fn no_two_codes_share_a_number_and_no_type_has_a_code_twice() {
        let mut codes = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for param in all() {
            let other = codes.insert(param.id, param.code).unwrap_or(param.code);
            assert_eq!(other, param.code);
            assert!(seen.insert((param.base, param.code)), "{param:?}");
        }
        assert_eq!(ParamId::of("patient"), ParamId(0x80ee_595e));
    }

    #[test]
    fn every_path_is_one_of_the_definitions() {
        for param in all() {
            for path in &param.paths {
                let mut owner = SCHEMA.resource(param.base);
                for step in &path.steps {
                    let at = owner.expect(param.code);
                    let element = SCHEMA.element(at, step.name);
                    let element = element.unwrap_or_else(|| panic!("{param:?}"));
                    owner = match element.shape {
                        Shape::Complex(owner) | Shape::Reference(owner, _) => Some(owner),
                        _ => None,
                    };
                }
            }
        }
    }

    #[test]
    fn parameters_are_found_by_type_and_code() {
        let observation = Kind::named("Observation").unwrap();
        let patient = param(observation, "patient").unwrap();
        assert_eq!(patient.kind, ParamType::Reference);
        assert_eq!(patient.targets, Kinds::of(&["Patient"]));
        assert!(param(observation, "_tag").is_some());
        assert!(param(observation, "birthdate").is_none());
        assert!(of_every_resource("_id").is_some());
        assert!(of_every_resource("code").is_none());
        assert!(known_elsewhere(observation, "code-value-quantity"));
        assert!(known_elsewhere(observation, "_content"));
        assert!(!known_elsewhere(observation, "ghost"));
    }

    #[test]
    fn a_parameter_is_covered_only_with_all_its_paths() {
        let patient = Kind::named("Patient").unwrap();
        let deceased = param(patient, "deceased").unwrap();
        assert!(!deceased.covered_by(&["deceasedBoolean"]));
        assert!(deceased.covered_by(&["deceasedBoolean", "deceasedDateTime"]));
        assert!(param(patient, "family").unwrap().covered_by(&["name"]));
    }
}
