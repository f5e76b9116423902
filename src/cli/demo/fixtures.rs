//! The bundled fixtures (`fixtures/SOURCES.md` says where they come from).

use crate::cli::import::Source;
use serde::Deserialize;

/// The day on which the fixtures' members have the ages that their stories need. Loading moves all
/// dates so that this day is today.
pub const REFERENCE: &str = "2026-11-24";

const SYNTHEA: &[(&str, &[u8])] = &[
    (
        "brooks-omar.json.gz",
        include_bytes!("../../../fixtures/synthea/brooks-omar.json.gz"),
    ),
    (
        "chen-lan.json.gz",
        include_bytes!("../../../fixtures/synthea/chen-lan.json.gz"),
    ),
    (
        "chen-mei.json.gz",
        include_bytes!("../../../fixtures/synthea/chen-mei.json.gz"),
    ),
    (
        "chen-wei.json.gz",
        include_bytes!("../../../fixtures/synthea/chen-wei.json.gz"),
    ),
    (
        "nilsen-ollie.json.gz",
        include_bytes!("../../../fixtures/synthea/nilsen-ollie.json.gz"),
    ),
    (
        "okafor-grace.json.gz",
        include_bytes!("../../../fixtures/synthea/okafor-grace.json.gz"),
    ),
    (
        "okafor-samuel.json.gz",
        include_bytes!("../../../fixtures/synthea/okafor-samuel.json.gz"),
    ),
    (
        "okafor-tobi.json.gz",
        include_bytes!("../../../fixtures/synthea/okafor-tobi.json.gz"),
    ),
    (
        "rivera-daniel.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-daniel.json.gz"),
    ),
    (
        "rivera-elena.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-elena.json.gz"),
    ),
    (
        "rivera-iris.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-iris.json.gz"),
    ),
    (
        "rivera-luis.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-luis.json.gz"),
    ),
    (
        "rivera-maya.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-maya.json.gz"),
    ),
    (
        "rivera-noah.json.gz",
        include_bytes!("../../../fixtures/synthea/rivera-noah.json.gz"),
    ),
];

const HOUSEHOLDS: &[u8] = include_bytes!("../../../fixtures/households.ndjson");

/// The records, as sources of an import.
pub fn records() -> Vec<Source> {
    let mut sources: Vec<Source> = SYNTHEA
        .iter()
        .map(|(name, bytes)| Source::bytes(*name, *bytes))
        .collect();
    sources.push(Source::bytes("households.ndjson", HOUSEHOLDS));
    sources
}

/// The registered clients' metadata.
pub const CLIENTS: &[u8] = include_bytes!("../../../fixtures/clients.json");

/// One pair of eyes.
#[derive(Debug, Clone, Deserialize)]
pub struct Persona {
    /// Its short name.
    pub name: String,
    /// Who it is.
    pub title: String,
    /// The client that it uses.
    pub client: String,
    /// The person.
    pub user: Option<String>,
    /// The patient in context.
    pub patient: Option<String>,
    /// The token's scope.
    pub scope: String,
    /// What for.
    pub purpose: String,
    /// Whose record all of them look at.
    pub member: String,
}

/// The personas, in order.
pub fn personas() -> Result<Vec<Persona>, serde_json::Error> {
    serde_json::from_str(include_str!("../../../fixtures/personas.json"))
}

/// What each persona must and must not see of the member.
#[derive(Debug, Deserialize)]
pub struct Expectation {
    /// The member's section.
    pub maya: Section,
}

/// What is expected about one member.
#[derive(Debug, Deserialize)]
pub struct Section {
    /// The member's hand-made records.
    pub records: Vec<Record>,
    /// By persona.
    pub personas: std::collections::BTreeMap<String, View>,
}

/// A record of the fixtures.
#[derive(Debug, Deserialize)]
pub struct Record {
    /// Type and id.
    #[serde(rename = "ref")]
    pub key: String,
    /// The category of the service that it belongs to.
    pub category: String,
}

/// What is expected of one persona.
#[derive(Debug, Deserialize)]
pub struct View {
    /// Records that it must be able to read.
    pub sees: Vec<String>,
    /// Records that are ghosts to it.
    pub must_not_see: Vec<String>,
    /// Words that must appear in nothing that it gets.
    pub forbidden_markers: Vec<String>,
}

/// The expectation.
pub fn expectation() -> Result<Expectation, serde_json::Error> {
    serde_json::from_str(include_str!("../../../fixtures/expectation.json"))
}
