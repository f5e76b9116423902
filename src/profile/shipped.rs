//! The profiles that this server knows: its own (`profiles/ig/`) and R4's (`profiles/r4/profiles.ndjson`),
//! with the value sets that they require.

use super::definition::{Definition, DefinitionError};
use crate::fhir::{
    Node,
    codes::{CODES, CodeSet},
    json::{Limits, parse},
};
use std::{collections::HashMap, sync::LazyLock};

/// Our own definitions. A test compares the list with the folder.
const OWN: &[&str] = &[
    include_str!("../../profiles/ig/StructureDefinition-authorization-form.json"),
    include_str!("../../profiles/ig/StructureDefinition-by.json"),
    include_str!("../../profiles/ig/StructureDefinition-consented-by.json"),
    include_str!("../../profiles/ig/StructureDefinition-emr-access.json"),
    include_str!("../../profiles/ig/StructureDefinition-facility-regime.json"),
    include_str!("../../profiles/ig/StructureDefinition-minor-mature.json"),
    include_str!("../../profiles/ig/StructureDefinition-psychotherapy-note-released.json"),
    include_str!("../../profiles/ig/StructureDefinition-representative-authority.json"),
    include_str!("../../profiles/ig/ValueSet-care-consenter.json"),
    include_str!("../../profiles/ig/ValueSet-consent-category.json"),
    include_str!("../../profiles/ig/ValueSet-decision-reason.json"),
    include_str!("../../profiles/ig/ValueSet-facility-regime.json"),
    include_str!("../../profiles/ig/ValueSet-member-flag.json"),
    include_str!("../../profiles/ig/ValueSet-representative-kind.json"),
    include_str!("../../profiles/ig/ValueSet-sensitive-service.json"),
    include_str!("../../profiles/ig/ValueSet-task-code.json"),
    include_str!("../../profiles/ig/CodeSystem-care-consenter.json"),
    include_str!("../../profiles/ig/CodeSystem-consent-category.json"),
    include_str!("../../profiles/ig/CodeSystem-decision-reason.json"),
    include_str!("../../profiles/ig/CodeSystem-facility-regime.json"),
    include_str!("../../profiles/ig/CodeSystem-member-flag.json"),
    include_str!("../../profiles/ig/CodeSystem-representative-kind.json"),
    include_str!("../../profiles/ig/CodeSystem-sensitive-service.json"),
    include_str!("../../profiles/ig/CodeSystem-task-code.json"),
];

/// Our own definition of that type and canonical URL, where there is one.
pub fn own(kind: &str, url: &str) -> Option<Node> {
    let said = format!("\"url\": \"{url}\"");
    let found = OWN.iter().filter(|text| text.contains(&said));
    let mut found = found.filter_map(|text| parse(text.as_bytes(), Limits::default()).ok());
    found.find(|node| node.text("url") == Some(url) && node.text("resourceType") == Some(kind))
}

/// All of them, read once.
pub static PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let r4 = include_str!("../../profiles/r4/profiles.ndjson").lines();
    Profiles::read(OWN.iter().copied().chain(r4)).0
});

/// Profiles by their canonical URL.
#[derive(Debug, Default)]
pub struct Profiles {
    /// Those that come first.
    under: Option<&'static Profiles>,
    by_url: HashMap<Box<str>, Definition>,
    codes: HashMap<Box<str>, Vec<Codes>>,
}

/// Codes of one system in a value set.
#[derive(Debug)]
struct Codes {
    system: Box<str>,
    codes: Vec<Box<str>>,
}

/// A value set that is known here.
enum Known<'p> {
    Own(&'p [Codes]),
    R4(&'static CodeSet),
}

impl Known<'_> {
    fn has(&self, system: Option<&str>, code: &str) -> bool {
        match (self, system) {
            (Known::R4(set), None) => set.has_code(code),
            (Known::R4(set), Some(system)) => set.has_coding(system, code),
            (Known::Own(sets), system) => sets.iter().any(|set| {
                system.is_none_or(|system| *system == *set.system)
                    && set.codes.iter().any(|known| **known == *code)
            }),
        }
    }
}

impl Profiles {
    /// Reads definitions in any order, and says which can't be used.
    pub fn read<'t>(
        texts: impl IntoIterator<Item = &'t str>,
    ) -> (Profiles, Vec<(Box<str>, DefinitionError)>) {
        Profiles::default().with(texts)
    }

    /// Further definitions beside the shipped ones, which nothing takes the place of.
    pub fn beside_shipped<'t>(
        texts: impl IntoIterator<Item = &'t str>,
    ) -> (Profiles, Vec<(Box<str>, DefinitionError)>) {
        let profiles = Profiles {
            under: Some(&PROFILES),
            ..Profiles::default()
        };
        profiles.with(texts)
    }

    fn with<'t>(
        self,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> (Profiles, Vec<(Box<str>, DefinitionError)>) {
        let mut profiles = self;
        let parsed = texts
            .into_iter()
            .filter_map(|text| parse(text.as_bytes(), Limits::default()).ok());
        let (mut structures, terms): (Vec<Node>, Vec<Node>) =
            parsed.partition(|node| node.text("resourceType") == Some("StructureDefinition"));
        profiles.terms(&terms);
        let mut unusable = Vec::new();
        let named = |node: &Node, name: &str| node.text(name).unwrap_or_default().to_owned();
        // A base comes before what derives from it; what waits for one that never comes stands alone.
        while !structures.is_empty() {
            let waiting: Vec<String> = structures.iter().map(|node| named(node, "url")).collect();
            let waits = |node: &Node| waiting.contains(&named(node, "baseDefinition"));
            let (mut later, mut now): (Vec<Node>, Vec<Node>) =
                structures.into_iter().partition(waits);
            if now.is_empty() {
                now.append(&mut later);
            }
            for node in &now {
                let base = profiles.find(&named(node, "baseDefinition"));
                match Definition::read(node, base) {
                    Ok(definition) => {
                        profiles.by_url.insert(definition.url.clone(), definition);
                    }
                    Err(error) => unusable.push((named(node, "url").into(), error)),
                }
            }
            structures = later;
        }
        (profiles, unusable)
    }

    fn terms(&mut self, nodes: &[Node]) {
        let of = |kind: &'static str| {
            let fits = move |node: &&Node| node.text("resourceType") == Some(kind);
            nodes.iter().filter(fits)
        };
        let mut systems: HashMap<&str, Vec<Box<str>>> = HashMap::new();
        for node in of("CodeSystem") {
            let mut codes = Vec::new();
            concepts(node, &mut codes);
            systems.insert(node.text("url").unwrap_or_default(), codes);
        }
        for node in of("ValueSet") {
            let includes = node.at(&["compose", "include"]).map(Node::items);
            let mut set = Vec::new();
            for include in includes.unwrap_or_default() {
                let system = include.text("system").unwrap_or_default();
                let mut codes = Vec::new();
                concepts(include, &mut codes);
                if codes.is_empty() {
                    codes.extend(systems.get(system).into_iter().flatten().cloned());
                }
                let system = system.into();
                set.push(Codes { system, codes });
            }
            self.codes
                .insert(node.text("url").unwrap_or_default().into(), set);
        }
    }

    /// The profile of a canonical URL, with or without `|version`.
    pub fn find(&self, canonical: &str) -> Option<&Definition> {
        if let Some(first) = self.under.and_then(|under| under.find(canonical)) {
            return Some(first);
        }
        let (url, version) = crate::fhir::canonical(canonical);
        let definition = self.by_url.get(url)?;
        let same = version.is_none_or(|version| definition.version.as_deref() == Some(version));
        same.then_some(definition)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_url.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }

    /// Whether a code, Coding, Quantity or CodeableConcept is of a value set; `None` where the set is
    /// not known.
    pub(super) fn has_codes(&self, canonical: &str, node: &Node) -> Option<bool> {
        let url = canonical.split('|').next().unwrap_or(canonical);
        if let Some(first) = self
            .under
            .and_then(|under| under.has_codes(canonical, node))
        {
            return Some(first);
        }
        let known = match self.codes.get(url) {
            Some(own) => Known::Own(own),
            None => {
                let name = url.strip_prefix("http://hl7.org/fhir/ValueSet/")?;
                Known::R4(CODES.set(CODES.named(name)?)?)
            }
        };
        if let Some(code) = node.str() {
            return Some(known.has(None, code));
        }
        let coded = |node: &Node| {
            let system = node.text("system").unwrap_or_default();
            node.text("code")
                .is_some_and(|code| known.has(Some(system), code))
        };
        Some(match node.get("coding") {
            Some(codings) => codings.items().iter().any(coded),
            None => coded(node),
        })
    }
}

fn concepts(node: &Node, codes: &mut Vec<Box<str>>) {
    for concept in node.get("concept").map(Node::items).unwrap_or_default() {
        codes.extend(concept.text("code").map(Into::into));
        concepts(concept, codes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_definition_of_the_folder_is_known_and_usable() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/ig");
        let mut own = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let kinds = ["StructureDefinition-", "ValueSet-", "CodeSystem-"];
            if !kinds.iter().any(|kind| name.starts_with(kind)) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(OWN.contains(&&*text), "{name} is not in OWN");
            own += 1;
        }
        assert_eq!(own, OWN.len());
        let r4 = include_str!("../../profiles/r4/profiles.ndjson").lines();
        let (profiles, unusable) = Profiles::read(OWN.iter().copied().chain(r4));
        assert_eq!(unusable, []);
        assert!(profiles.len() > 50, "{}", profiles.len());
    }

    #[test]
    fn a_profile_is_found_by_its_url_and_version() {
        let url = "http://hl7.org/fhir/StructureDefinition/bp";
        assert_eq!(&*PROFILES.find(url).unwrap().kind, "Observation");
        assert!(PROFILES.find(&format!("{url}|4.0.1")).is_some());
        assert!(PROFILES.find(&format!("{url}|3.0.0")).is_none());
        assert!(PROFILES.find("http://ghost.example").is_none());
    }
}
