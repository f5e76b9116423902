//! Value sets and code systems that are stored as resources, as far as searches need them
//! (`:in`, `:not-in`, `:below`, `:above`; <https://hl7.org/fhir/R4/valueset.html#compose>).

use super::{
    filter::{Defined, Filter, Test, TokenTest},
    implied::{Systems, systems},
    kin::{Kin, references},
    params::{Param, SECURITY},
    plan::Plan,
    values::is_handling,
};
use crate::fhir::{Id, Node, Resource};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Most codes that a search is widened to.
pub const CODES: usize = 10_000;

/// Most value sets within each other.
const DEPTH: usize = 16;

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    /// A value set.
    ValueSet(ValueSet),
    /// A code system.
    CodeSystem(CodeSystem),
    /// A record and those above or below it.
    Kin(Vec<Id>),
}

/// What a ValueSet says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueSet {
    include: Vec<Include>,
    exclude: Vec<Include>,
    /// The codes of its expansion, where there is one.
    expansion: Option<BTreeSet<Coded>>,
}

/// A system and a code of it.
type Coded = (Box<str>, Box<str>);

/// `compose.include` or `exclude`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Include {
    system: Option<Box<str>>,
    codes: Vec<Box<str>>,
    /// (property, op, value).
    filters: Vec<[Box<str>; 3]>,
    sets: Vec<Box<str>>,
}

/// What a CodeSystem says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CodeSystem {
    /// Whether it holds all of its codes.
    complete: bool,
    /// Each code with the codes right above it.
    above: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

/// What is still to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// A ValueSet, by URL or as `ValueSet/id`.
    ValueSet(Box<str>),
    /// A CodeSystem, by URL.
    CodeSystem(Box<str>),
    /// The records above or below one.
    Kin(Kin),
}

/// Definitions by what asked for them. `None`: there is none.
#[derive(Debug, Default)]
pub struct Library {
    known: HashMap<Need, Option<Definition>>,
}

/// Why codes can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// Fetch this and ask again.
    Needs(Need),
    /// It can't be evaluated here. The text names no code.
    Because(&'static str),
}

/// Codes, and systems all of whose codes are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Codes {
    whole: BTreeSet<Box<str>>,
    single: BTreeSet<Coded>,
}

impl Definition {
    /// Reads a ValueSet or CodeSystem.
    pub fn of(resource: &Resource) -> Option<Definition> {
        match resource.kind().name() {
            "ValueSet" => Some(Definition::ValueSet(ValueSet::of(resource.root()))),
            "CodeSystem" => Some(Definition::CodeSystem(CodeSystem::of(resource.root()))),
            _ => None,
        }
    }

    /// Reads one that comes with the program.
    pub fn of_ours(root: &Node) -> Option<Definition> {
        match root.text("resourceType")? {
            "ValueSet" => Some(Definition::ValueSet(ValueSet::of(root))),
            "CodeSystem" => Some(Definition::CodeSystem(CodeSystem::of(root))),
            _ => None,
        }
    }

    /// Reads the rows of a value set (`value-sets.tsv`).
    pub(super) fn of_set<'r>(rows: impl Iterator<Item = &'r [&'r str]>) -> Definition {
        let mut set = ValueSet::default();
        for row in rows {
            let at = |at: usize| row.get(at).copied().unwrap_or_default();
            let (way, system, codes, filters, sets) = (at(2), at(3), at(4), at(5), at(6));
            let words = |text: &str| -> Vec<Box<str>> {
                let words = text.split(' ').filter(|word| !word.is_empty());
                words.map(unwritten).collect()
            };
            let include = Include {
                system: (!system.is_empty()).then(|| system.into()),
                codes: words(codes),
                filters: filters
                    .split('|')
                    .filter_map(|filter| {
                        let mut parts = filter.splitn(3, ' ').map(Into::into);
                        Some([parts.next()?, parts.next()?, parts.next()?])
                    })
                    .collect(),
                sets: words(sets),
            };
            match way {
                "exclude" => set.exclude.push(include),
                _ => set.include.push(include),
            }
        }
        Definition::ValueSet(set)
    }

    /// Reads the row of a code system (`code-systems.tsv`).
    pub(super) fn of_system(row: &[&str]) -> Option<Definition> {
        let [_, _, content, codes, ..] = row else {
            return None;
        };
        let mut system = CodeSystem {
            complete: *content == "complete",
            above: BTreeMap::new(),
        };
        for code in codes.split(' ').filter(|code| !code.is_empty()) {
            let (code, above) = code.split_once('<').unwrap_or((code, ""));
            let above = above.split('<').filter(|above| !above.is_empty());
            let known = system.above.entry(unwritten(code)).or_default();
            known.extend(above.map(unwritten));
        }
        Some(Definition::CodeSystem(system))
    }
}

/// A code as it is, from how the tables write it.
fn unwritten(code: &str) -> Box<str> {
    code.replace("%20", " ").replace("%3C", "<").into()
}

fn items<'n>(node: &'n Node, name: &str) -> &'n [Node] {
    node.get(name).map(Node::items).unwrap_or_default()
}

impl ValueSet {
    fn of(root: &Node) -> ValueSet {
        let compose = |name: &str| -> Vec<Include> {
            let list = root.at(&["compose", name]).map(Node::items);
            list.unwrap_or_default().iter().map(Include::of).collect()
        };
        let expansion = root.get("expansion").map(|expansion| {
            let mut codes = BTreeSet::new();
            expanded(expansion, &mut codes);
            codes
        });
        ValueSet {
            include: compose("include"),
            exclude: compose("exclude"),
            expansion,
        }
    }
}

/// The codes of an expansion, at any depth; abstract entries group others.
fn expanded(node: &Node, codes: &mut BTreeSet<Coded>) {
    for entry in items(node, "contains") {
        let is_abstract = entry.get("abstract").and_then(Node::bool) == Some(true);
        if let (false, Some(system), Some(code)) =
            (is_abstract, entry.text("system"), entry.text("code"))
        {
            codes.insert((system.into(), code.into()));
        }
        expanded(entry, codes);
    }
}

impl Include {
    fn of(node: &Node) -> Include {
        let text =
            |node: &Node, name: &str| -> Box<str> { node.text(name).unwrap_or_default().into() };
        let concepts = items(node, "concept").iter();
        let filters = items(node, "filter").iter();
        Include {
            system: node.text("system").map(Into::into),
            codes: concepts.map(|concept| text(concept, "code")).collect(),
            filters: filters
                .map(|f| [text(f, "property"), text(f, "op"), text(f, "value")])
                .collect(),
            sets: items(node, "valueSet")
                .iter()
                .filter_map(|url| url.str().map(Into::into))
                .collect(),
        }
    }
}

impl CodeSystem {
    fn of(root: &Node) -> CodeSystem {
        let mut system = CodeSystem {
            complete: root.text("content") == Some("complete"),
            above: BTreeMap::new(),
        };
        system.concepts(root, None);
        system
    }

    fn concepts(&mut self, node: &Node, parent: Option<&str>) {
        for concept in items(node, "concept") {
            let Some(code) = concept.text("code") else {
                continue;
            };
            let above = self.above.entry(code.into()).or_default();
            above.extend(parent.map(Into::into));
            for property in items(concept, "property") {
                let other = property.text("valueCode");
                match (property.text("code"), other) {
                    (Some("parent"), Some(other)) => {
                        let above = self.above.entry(code.into()).or_default();
                        above.insert(other.into());
                    }
                    (Some("child"), Some(other)) => {
                        let above = self.above.entry(other.into()).or_default();
                        above.insert(code.into());
                    }
                    _ => {}
                }
            }
            self.concepts(concept, Some(code));
        }
    }

    /// The code and all above it.
    fn and_above(&self, code: &str) -> BTreeSet<Box<str>> {
        let mut found = BTreeSet::new();
        let mut next: Vec<Box<str>> = vec![code.into()];
        while let Some(code) = next.pop() {
            if found.insert(code.clone()) {
                next.extend(self.above.get(&code).into_iter().flatten().cloned());
            }
        }
        found
    }

    /// The code and all below it.
    fn and_below(&self, code: &str) -> BTreeSet<Box<str>> {
        let mut below: HashMap<&str, Vec<&str>> = HashMap::new();
        for (child, parents) in &self.above {
            for parent in parents {
                below.entry(parent).or_default().push(child);
            }
        }
        let mut found: BTreeSet<Box<str>> = BTreeSet::new();
        let mut next = vec![code];
        while let Some(code) = next.pop() {
            if found.insert(code.into()) {
                next.extend(below.get(code).into_iter().flatten().copied());
            }
        }
        found
    }
}

impl Library {
    /// Keeps what was fetched, or that there is nothing.
    pub fn put(&mut self, need: Need, definition: Option<Definition>) {
        self.known.insert(need, definition);
    }

    /// How much was fetched.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing was fetched.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What was fetched for a need; `None` where it was not yet.
    pub(super) fn found(&self, need: &Need) -> Option<Option<&Definition>> {
        self.known.get(need).map(Option::as_ref)
    }

    fn value_set(&self, name: &str) -> Result<&ValueSet, Unclear> {
        let need = Need::ValueSet(name.into());
        match self.known.get(&need) {
            Some(Some(Definition::ValueSet(set))) => Ok(set),
            Some(_) => Err(Unclear::Because("the value set is not known here")),
            None => Err(Unclear::Needs(need)),
        }
    }

    fn code_system(&self, url: &str) -> Result<Option<&CodeSystem>, Unclear> {
        let need = Need::CodeSystem(url.into());
        match self.known.get(&need) {
            Some(Some(Definition::CodeSystem(system))) => Ok(Some(system)),
            Some(_) => Ok(None),
            None => Err(Unclear::Needs(need)),
        }
    }

    fn of_set(&self, name: &str, depth: usize) -> Result<Codes, Unclear> {
        if depth > DEPTH {
            return Err(Unclear::Because(
                "the value sets are too many within each other",
            ));
        }
        if let Some(system) = name.strip_suffix("?fhir_vs") {
            return Ok(Codes::whole(system));
        }
        let set = self.value_set(name)?;
        let composed = match set.include.is_empty() {
            true => Err(Unclear::Because(
                "the value set has neither include nor expansion",
            )),
            false => self.composed(set, depth),
        };
        match (composed, &set.expansion) {
            (Ok(codes), _) => Ok(codes),
            (Err(Unclear::Needs(need)), _) => Err(Unclear::Needs(need)),
            (Err(_), Some(expansion)) => Ok(Codes {
                whole: BTreeSet::new(),
                single: expansion.clone(),
            }),
            (Err(because), None) => Err(because),
        }
    }

    fn composed(&self, set: &ValueSet, depth: usize) -> Result<Codes, Unclear> {
        let mut all = Codes::default();
        for include in &set.include {
            all = all.or(self.of_include(include, depth)?);
        }
        for exclude in &set.exclude {
            let out = self.of_include(exclude, depth)?;
            for system in all.whole.clone() {
                let meets = out.whole.contains(&system)
                    || out.single.iter().any(|(other, _)| *other == system);
                if meets && !out.whole.contains(&system) {
                    // All of a system but some codes: only where all of its codes are known.
                    all.single.extend(self.every(&system)?);
                }
                if meets {
                    all.whole.remove(&system);
                }
            }
            all.single.retain(|code| !out.has(code));
        }
        if all.single.len() > CODES {
            return Err(Unclear::Because("the value set has too many codes"));
        }
        Ok(all)
    }

    fn every(&self, system: &str) -> Result<BTreeSet<Coded>, Unclear> {
        match self.code_system(system)? {
            Some(known) if known.complete => {
                let codes = known.above.keys();
                Ok(codes.map(|code| (system.into(), code.clone())).collect())
            }
            _ => Err(Unclear::Because(
                "the code system is not known here as a whole",
            )),
        }
    }

    fn of_include(&self, include: &Include, depth: usize) -> Result<Codes, Unclear> {
        let mut found: Option<Codes> = None;
        if let Some(system) = &include.system {
            found = Some(if !include.codes.is_empty() {
                Codes::of(system, include.codes.iter().cloned())
            } else if include.filters.is_empty() {
                Codes::whole(system)
            } else {
                let mut codes: Option<BTreeSet<Box<str>>> = None;
                for filter in &include.filters {
                    let some = self.filtered(system, filter)?;
                    codes = Some(match codes {
                        None => some,
                        Some(codes) => codes.intersection(&some).cloned().collect(),
                    });
                }
                Codes::of(system, codes.unwrap_or_default())
            });
        }
        for url in &include.sets {
            let codes = self.of_set(url, depth + 1)?;
            found = Some(match found {
                None => codes,
                Some(found) => found.both(&codes),
            });
        }
        found.ok_or(Unclear::Because("the value set includes nothing"))
    }

    fn filtered(
        &self,
        system: &str,
        [property, op, value]: &[Box<str>; 3],
    ) -> Result<BTreeSet<Box<str>>, Unclear> {
        let known = self.code_system(system)?.ok_or(Unclear::Because(
            "the value set selects from a code system that is not known here",
        ))?;
        match (&**property, &**op) {
            ("concept" | "code", "is-a") => Ok(known.and_below(value)),
            ("concept" | "code", "descendent-of") => {
                let mut codes = known.and_below(value);
                codes.remove(value);
                Ok(codes)
            }
            ("concept" | "code", "is-not-a") if known.complete => {
                let out = known.and_below(value);
                Ok(known
                    .above
                    .keys()
                    .filter(|code| !out.contains(*code))
                    .cloned()
                    .collect())
            }
            ("concept" | "code", "in") => Ok(value.split(',').map(|c| c.trim().into()).collect()),
            ("concept" | "code", "=") => Ok(BTreeSet::from([value.clone()])),
            _ => Err(Unclear::Because(
                "the value set selects codes in a way that is not supported",
            )),
        }
    }

    /// The codes that a search means.
    fn of(&self, defined: &Defined) -> Result<Codes, Unclear> {
        let around = |system: &str, code: &str, below: bool| {
            let known = self
                .code_system(system)?
                .ok_or(Unclear::Because("the code system is not known here"))?;
            let codes = if below {
                known.and_below(code)
            } else {
                known.and_above(code)
            };
            Ok(Codes::of(system, codes))
        };
        match defined {
            Defined::In(name) => self.of_set(name, 0),
            Defined::Below(system, code) => around(system, code, true),
            Defined::Above(system, code) => around(system, code, false),
        }
    }
}

impl Codes {
    fn whole(system: &str) -> Codes {
        Codes {
            whole: BTreeSet::from([system.into()]),
            single: BTreeSet::new(),
        }
    }

    fn of(system: &str, codes: impl IntoIterator<Item = Box<str>>) -> Codes {
        let codes = codes.into_iter();
        Codes {
            whole: BTreeSet::new(),
            single: codes.map(|code| (system.into(), code)).collect(),
        }
    }

    fn has(&self, code: &Coded) -> bool {
        self.whole.contains(&code.0) || self.single.contains(code)
    }

    fn or(mut self, other: Codes) -> Codes {
        self.whole.extend(other.whole);
        self.single.extend(other.single);
        self
    }

    fn both(&self, other: &Codes) -> Codes {
        let here = self.single.iter().filter(|code| other.has(code));
        let there = other.single.iter().filter(|code| self.has(code));
        Codes {
            whole: self.whole.intersection(&other.whole).cloned().collect(),
            single: here.chain(there).cloned().collect(),
        }
    }

    fn tests(self) -> Vec<TokenTest> {
        let whole = self.whole.into_iter().map(|system| TokenTest {
            system: Some(Some(system)),
            code: None,
        });
        let single = self.single.into_iter().map(|(system, code)| TokenTest {
            system: Some(Some(system)),
            code: Some(code),
        });
        whole.chain(single).collect()
    }
}

impl Plan {
    /// Puts codes in the place of definitions. [`Unclear::Needs`] says what to fetch first.
    pub fn define(&mut self, library: &Library) -> Result<(), Unclear> {
        self.filters
            .iter_mut()
            .try_for_each(|filter| define(filter, library))
    }
}

fn define(filter: &mut Filter, library: &Library) -> Result<(), Unclear> {
    let param = filter.param;
    in_test(param, &mut filter.test, library)
}

fn in_test(param: &Param, test: &mut Test, library: &Library) -> Result<(), Unclear> {
    match test {
        Test::Defined(defined) => {
            let systems = systems(param);
            if matches!(systems, Systems::None) {
                return Err(Unclear::Because(
                    "the codes of this parameter are of no code system",
                ));
            }
            let mut all = Codes::default();
            for one in defined.iter() {
                all = all.or(library.of(one)?);
            }
            let tests = all.tests().into_iter();
            if param.code == SECURITY && tests.as_slice().iter().any(is_handling) {
                return Err(Unclear::Because(
                    "a search for what was taken out is not supported",
                ));
            }
            *test = Test::Token(tests.flat_map(|test| systems.said(test)).collect());
            Ok(())
        }
        Test::Kin(kin) => {
            *test = Test::Reference(references(kin, library)?);
            Ok(())
        }
        Test::Not(test) | Test::Among(_, test) => in_test(param, test, library),
        Test::Chain(legs) => legs
            .iter_mut()
            .try_for_each(|leg| define(&mut leg.filter, library)),
        Test::Has(filter) => define(filter, library),
        Test::Any(filters) => filters
            .iter_mut()
            .try_for_each(|filter| define(filter, library)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
