//! How PostgreSQL goes about the searches that are asked most: each step by an index, from what the search
//! names. The steps are kept as snapshots that a person has read.

use super::provider;
use crate::harness::{On, Room, template};
use confide::{
    fhir::Kind,
    policy::Settings,
    search::plan::{ParseOptions, Plan},
    store::postgres::PostgresStore,
};

/// The version that the snapshots are of; of another, steps may follow in another order.
const VERSION: i64 = 15;

const SEARCHES: [&str; 13] = [
    "Patient?_id=rivera-maya",
    "Patient?identifier=http://hospital.example/mrn|12345",
    "Patient?family=rivera&birthdate=2009-03-12",
    "Observation?patient=rivera-maya",
    "Observation?patient=rivera-maya&category=laboratory",
    "Observation?patient=rivera-maya&code=http://loinc.org|8867-4&date=ge2026-01-01",
    "Condition?patient=rivera-maya&clinical-status=active",
    "Encounter?patient=rivera-maya&_sort=-date",
    "MedicationRequest?patient=rivera-maya&status=active&intent=order",
    "ExplanationOfBenefit?patient=rivera-maya&_lastUpdated=ge2026-01-01",
    "Observation?subject:Patient.family=rivera",
    "Medication?code=http://www.nlm.nih.gov/research/umls/rxnorm|310430&_contained=true",
    "Coverage?_contained=both&_containedType=contained&beneficiary=rivera-maya&_sort=type",
];

/// The steps and what each starts from: without filters, and without numbers, which are of the fixtures.
fn steps(explained: &[String]) -> Vec<String> {
    let is_step = |line: &&String| {
        let line = line.trim_start();
        let words = ["->", "Index Cond", "Recheck Cond", "Limit", "Sort"];
        words.iter().any(|word| line.starts_with(word))
    };
    let bare = |line: &String| {
        let mut text = String::new();
        let mut quoted = false;
        for c in line.chars() {
            quoted ^= c == '\'';
            let in_word = text.ends_with(|last: char| last.is_alphanumeric() || last == '_');
            match c {
                '0'..='9' if !quoted && !in_word => {
                    if !text.ends_with('#') {
                        text.push('#');
                    }
                }
                // The end of what begins with a text.
                '\u{10ffff}' => text.push('…'),
                _ => text.push(c),
            }
        }
        // A long list of numbers is a list.
        let list = text
            .find("ANY ('{")
            .and_then(|from| Some((from, from + text[from..].find('}')?)));
        if let Some((from, to)) = list {
            text.replace_range(from..=to, "ANY ('{…}");
        }
        // The number of the patient.
        const TARGET: &str = "target = '";
        let number = text.find(TARGET).map(|from| from + TARGET.len());
        if let Some((from, to)) =
            number.and_then(|from| Some((from, from + text[from..].find('\'')?)))
        {
            text.replace_range(from..to, "#");
        }
        text
    };
    explained.iter().filter(is_step).map(bare).collect()
}

#[test]
fn the_searches_asked_most_are_bounded_by_an_index() {
    let (data, records) = template(On::Postgres);
    let room = Room::like(records);
    // Every row is looked at: of a sample, plans that cost about the same would change places by chance, and
    // whether pages are known to be visible to all would depend on when the engine last tidied up.
    room.alter(
        data,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_statistics_target = 10000', \
         current_database()); END $$",
    );
    room.alter(data, "VACUUM (FREEZE, ANALYZE)");
    let store = PostgresStore::open(&room.url().unwrap(), 1).unwrap();
    let version = room.number(
        data,
        "SELECT current_setting('server_version_num')::BIGINT / 10000",
    );
    for (number, search) in SEARCHES.iter().enumerate() {
        let (kind, query) = search.split_once('?').unwrap();
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let plan = Plan::parse(Kind::named(kind), &pairs, ParseOptions::default()).unwrap();
        let explained = store
            .explain(&provider(), Settings::default(), &plan)
            .unwrap();
        for (at, line) in explained.iter().enumerate() {
            let whole = explained.join("\n");
            assert!(!line.contains("Seq Scan"), "{search}\n{whole}");
            // Nor a whole index: each scan starts from something.
            if line.contains("Index Scan using") || line.contains("Index Only Scan using") {
                let next = explained.get(at + 1).map(|next| next.trim_start());
                let bounded = next.is_some_and(|next| next.starts_with("Index Cond"));
                assert!(bounded, "{search}: {line}\n{whole}");
            }
        }
        if version == Some(VERSION) {
            let name = format!("plan-{:02}", number + 1);
            let shown = format!("{search}\n\n{}", steps(&explained).join("\n"));
            insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
                insta::assert_snapshot!(name, shown);
            });
        }
    }
}
