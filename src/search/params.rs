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
    Composite,
    Special,
}

/// A search parameter of one type.
#[derive(Debug, PartialEq)]
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
    /// What a composite is made of.
    pub parts: Vec<Part>,
    /// The types that a reference parameter may point at; [`Kinds::ALL`] for any.
    pub targets: Kinds,
}

/// A part of a composite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The parameter of the same type.
    pub code: &'static str,
    /// Whether it need not stand at the place of the other parts.
    pub is_free: bool,
}

/// The parameters of every resource, in the form of the table. `_security` has no index entries:
/// labels live in the record's head and only some may be known to the requester.
const OF_EVERY_RESOURCE: [(&str, ParamType, &str); 8] = [
    (ID, ParamType::Token, "id:id"),
    (LAST_UPDATED, ParamType::Date, "meta.lastUpdated:instant"),
    (TAG, ParamType::Token, "meta.tag:Coding"),
    (PROFILE, ParamType::Uri, "meta.profile:canonical"),
    (SECURITY, ParamType::Token, "meta.security:Coding"),
    (SOURCE, ParamType::Uri, "meta.source:uri"),
    (TEXT, ParamType::String, "text.div:xhtml"),
    (CONTENT, ParamType::String, "*:Resource"),
];

/// What no expression says: the parameter of one type that is a place.
const NEAR: [&str; 4] = ["Location", "near", "special", "position:position"];

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
/// The narrative's words.
pub const TEXT: &str = "_text";
/// The words of the whole resource.
pub const CONTENT: &str = "_content";
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

/// Whether the standard has `code` on `base` as a parameter that is not evaluated here (it has no
/// expression, or looks into a Bundle's entries). Said apart from an unknown name so that a client
/// learns which of the two it is.
pub fn known_elsewhere(base: Kind, code: &str) -> bool {
    notes().any(|note| {
        let name = note
            .split_once(": ")
            .and_then(|(name, _)| name.split_once('.'));
        name.is_some_and(|(on, name)| {
            name == code && [base.name(), "Resource", "DomainResource"].contains(&on)
        })
    })
}

/// What of the official parameters has no row, each with its reason: `Type.code: reason`.
pub fn notes() -> impl Iterator<Item = &'static str> {
    let rest = include_str!("../../profiles/r4/search-parameters.tsv");
    rest.lines()
        .filter_map(|line| line.strip_prefix("# not expressible: "))
}

/// The parameters that put a record of type `kind` in a compartment of type `of`
/// (<https://hl7.org/fhir/R4/compartmentdefinition.html>); `None` where there is no such compartment.
/// `{def}`, the type itself, is a parameter of the record's id.
pub fn compartment(of: Kind, kind: Kind) -> Option<Vec<&'static Param>> {
    let of = COMPARTMENTS.get(&of)?;
    Some(of.get(&kind).cloned().unwrap_or_default())
}

type Compartments = HashMap<Kind, HashMap<Kind, Vec<&'static Param>>>;

static COMPARTMENTS: LazyLock<Compartments> = LazyLock::new(|| {
    let mut all = Compartments::new();
    for row in rows(include_str!("../../profiles/r4/compartments.tsv")) {
        if let [of, kind, codes] = *row
            && let (Some(of), Some(kind)) = (Kind::named(of), Kind::named(kind))
        {
            let params = codes.split(',').filter_map(|code| match code {
                "{def}" => param(kind, ID),
                code => param(kind, code),
            });
            all.entry(of).or_default().insert(kind, params.collect());
        }
    }
    all
});

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
            "composite" => ParamType::Composite,
            "special" => ParamType::Special,
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
            ParamType::Composite => "composite",
            ParamType::Special => "special",
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
        let kind = ParamType::named(kind)?;
        let (paths, parts) = match kind {
            ParamType::Composite => (Vec::new(), paths.split(';').map(Part::read).collect()),
            _ => {
                let paths = paths.split(';').map(ParamPath::parse);
                (paths.collect::<Option<_>>()?, Vec::new())
            }
        };
        Some(Param {
            id: ParamId::of(code),
            base: Kind::named(base)?,
            code,
            kind,
            paths,
            parts,
            targets,
        })
    }

    /// The parameters that a composite is made of, and whether each need not be at the place of the
    /// others.
    pub fn of_parts(&self) -> impl Iterator<Item = (&'static Param, bool)> {
        self.parts
            .iter()
            .filter_map(|part| Some((param(self.base, part.code)?, part.is_free)))
    }

    /// Whether its values are words of longer texts (`_text`, `_content`).
    pub fn is_words(&self) -> bool {
        [TEXT, CONTENT].contains(&self.code)
    }

    /// The number of its rows that say the identifier beside a reference to a record of this server.
    pub fn beside(&self) -> ParamId {
        ParamId(self.id.0 ^ BESIDE)
    }

    /// The number of its rows that say an identifier's type (`:of-type`).
    pub fn of_type(&self) -> ParamId {
        ParamId(self.id.0 ^ OF_TYPE)
    }

    /// Whether all that it reads lies in these elements of the resource; see
    /// [`ParamPath::covered_by`]. Where not, a projection must treat it as an absent element.
    pub fn covered_by(&self, elements: &[&str]) -> bool {
        self.paths.iter().all(|path| path.covered_by(elements))
    }
}

/// What tells the rows of `:of-type` from the others of their parameter.
pub const OF_TYPE: u32 = 0x0f7e_0f7e;

/// What tells the rows of identifiers beside references from the others of their parameter.
pub const BESIDE: u32 = 0x0be5_1de0;

/// What tells the rows of contained resources from those of records, under any number. Under `_id` a
/// contained resource itself has a row: a record's id is a column.
pub const INSIDE: u32 = 0x1251_de00;

/// The table as it stands: what an index was made by ([`super::index`] is the rest).
pub fn text() -> &'static str {
    include_str!("../../profiles/r4/search-parameters.tsv")
}

impl Part {
    fn read(text: &'static str) -> Part {
        Part {
            code: text.trim_start_matches('^'),
            is_free: text.starts_with('^'),
        }
    }
}

impl Table {
    fn read(text: &'static str) -> Table {
        let mut by_kind: HashMap<Kind, Vec<Param>> = HashMap::new();
        let near = Param::read(&NEAR);
        for param in rows(text).filter_map(|row| Param::read(&row)).chain(near) {
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
                    parts: Vec::new(),
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
        let derived: BTreeSet<u32> = codes
            .keys()
            .flat_map(|id| [id.0, id.0 ^ OF_TYPE, id.0 ^ BESIDE])
            .flat_map(|id| [id, id ^ INSIDE])
            .filter(|id| !codes.contains_key(&ParamId(*id)))
            .collect();
        assert_eq!(derived.len(), codes.len() * 5);
        assert!(codes.keys().all(|id| !derived.contains(&id.0)));
        assert_eq!(ParamId::of("patient"), ParamId(0x80ee_595e));
    }

    #[test]
    fn every_path_is_one_of_the_definitions() {
        for param in all() {
            for path in &param.paths {
                let mut owner = SCHEMA.resource(param.base);
                // Binary, Bundle and Parameters have no narrative.
                let steps = match param.code {
                    TEXT | CONTENT => continue,
                    _ => &path.steps,
                };
                for step in steps {
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
        assert!(known_elsewhere(observation, "_filter"));
        assert!(!known_elsewhere(observation, "ghost"));
    }

    #[test]
    fn what_has_no_row_is_listed_with_its_reason() {
        let notes: Vec<_> = notes().collect();
        let expected = [
            // The first entry of a Bundle: Bundles are no records here.
            "Bundle.composition: Bundle.entry[0].resource",
            "Bundle.message: Bundle.entry[0].resource",
            // In code, for every type.
            "DomainResource._text: no expression",
            // In code.
            "Location.near: special",
            // No expression, and an age changes with the clock.
            "Patient.age: no expression",
            // In code, for every type.
            "Resource._content: no expression",
            // Another language, and named queries: the server defines none.
            "Resource._filter: special",
            "Resource._query: no expression",
        ];
        assert_eq!(notes, expected);
    }

    #[test]
    fn parts_of_composites_are_parameters_of_the_type_with_rows_of_their_own() {
        let composites = all().filter(|param| param.kind == ParamType::Composite);
        let mut count = 0;
        for composite in composites {
            assert_eq!(composite.of_parts().count(), composite.parts.len());
            assert!(composite.parts.len() >= 2, "{composite:?}");
            // Parts that belong together lie in one element at the top, or beside each other in it.
            count += 1;
        }
        assert!(count > 60);
    }

    #[test]
    fn every_compartment_of_r4_is_read_whole() {
        let patient = Kind::named("Patient").unwrap();
        let observation = Kind::named("Observation").unwrap();
        let codes: Vec<_> = compartment(patient, observation)
            .unwrap()
            .iter()
            .map(|param| param.code)
            .collect();
        assert_eq!(codes, ["subject", "performer"]);
        assert!(compartment(observation, patient).is_none());
        let organization = Kind::named("Organization").unwrap();
        assert!(compartment(patient, organization).unwrap().is_empty());
        for row in rows(include_str!("../../profiles/r4/compartments.tsv")) {
            let kind = Kind::named(row[1]).unwrap();
            for code in row[2].split(',') {
                assert!(code == "{def}" || param(kind, code).is_some(), "{row:?}");
            }
        }
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
