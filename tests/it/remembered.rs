//! A connection that remembers answers as one that was opened just now, whatever was written in between.

use crate::{
    agreement::{
        ask::{NOW, cases},
        made::{self, Made},
    },
    harness::{Room, now},
};
use confide::{
    fhir::{Key, Resource},
    policy::{Case, Settings},
    store::{Batch, Change, Expect, Store, engine::Engine},
};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::Value;

fn key(record: &Value) -> Key {
    let part = |name: &str| record[name].as_str().unwrap().to_owned();
    Key::parse(&format!("{}/{}", part("resourceType"), part("id"))).unwrap()
}

fn write(store: &Engine, changes: &[(Key, Option<&Value>)], settings: Settings) {
    let change = |(key, record): &(Key, Option<&Value>)| Change {
        key: key.clone(),
        resource: record.map(|record| Resource::ours(record.to_string()).unwrap()),
        expect: Expect::Any,
    };
    let batch = Batch {
        changes: changes.iter().map(change).collect(),
        at: NOW - 60_000_000,
        settings,
        sought: Vec::new(),
        fail_closed: true,
    };
    store.write_now(batch).unwrap();
}

/// All that the store says to everyone of these records and their patients.
fn said(store: &Engine, cases: &[Case], keys: &[Key], settings: Settings) -> Vec<String> {
    let mut all = Vec::new();
    for case in cases {
        for key in keys {
            let found = now(store.read(case, settings, key)).unwrap();
            let found = found.map(|found| (found.sealed.facts().clone(), found.standing));
            all.push(format!("{:?} {key} {found:?}", case.requester));
        }
        let named = now(store.named(case, settings, keys)).unwrap();
        let matches = named.matches.iter().map(|sealed| sealed.facts());
        all.push(format!(
            "{:?} {:?}",
            case.requester,
            matches.collect::<Vec<_>>()
        ));
    }
    all
}

/// What is remembered after every few changes, against what a connection finds that remembers nothing.
fn hold(first: &Made, then: &Made, by_organization: bool) {
    let settings = Settings {
        by_organization,
        ..Settings::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let room = Room::new();
    let store = room.open(folder.path());
    let (first, then) = (made::records(first), made::records(then));
    let wanted = |record: &&Value| {
        record["resourceType"] == "Patient" || key(record).id.as_str().ends_with('1')
    };
    let mut keys: Vec<Key> = first.iter().chain(&then).filter(wanted).map(key).collect();
    keys.sort();
    keys.dedup();
    let cases = cases();
    let mut steps: Vec<Vec<(Key, Option<&Value>)>> = Vec::new();
    for records in [&first, &then] {
        let changes: Vec<_> = records
            .iter()
            .map(|record| (key(record), Some(record)))
            .collect();
        steps.extend(changes.chunks(4).map(<[_]>::to_vec));
    }
    let rules = then.iter().filter(|record| {
        let told = [
            "Coverage",
            "RelatedPerson",
            "Person",
            "Flag",
            "Task",
            "Group",
            "Consent",
            "Organization",
        ];
        told.contains(&record["resourceType"].as_str().unwrap())
    });
    steps.extend(rules.map(|record| vec![(key(record), None)]));
    for step in steps {
        write(&store, &step, settings);
        let anew = room.open(folder.path());
        let keys_of = step.iter().map(|(key, _)| key.to_string());
        let written = keys_of.collect::<Vec<_>>().join(", ");
        assert_eq!(
            said(&store, &cases, &keys, settings),
            said(&anew, &cases, &keys, settings),
            "after {written}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3,
        rng_seed: RngSeed::Fixed(0x5eed),
        failure_persistence: None,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_remembered_is_what_is_found_anew(
        first in made::made(), then in made::made(), by_organization in any::<bool>(),
    ) {
        hold(&first, &then, by_organization);
    }
}
