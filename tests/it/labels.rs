//! Labels are those of the records as they stand: in whatever order and batches they came, and
//! whatever they were before.

use crate::{
    agreement::made::{self, Made},
    harness::{Room, now},
};
use confide::{
    fhir::{Id, Key, Kind, Resource},
    gate::{Asked, Entry, Journal, JournalError, disclose, release},
    label::Marks,
    policy::{Case, Requester, Role, Settings},
    scope::ScopeSet,
    statute::Purpose,
    store::{Batch, Change, Expect, Store, engine::Engine},
};
use proptest::{collection::vec, prelude::*, sample::subsequence, test_runner::RngSeed};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read as _, path::Path};

/// The fixtures' reference date.
const NOW: i64 = 1_795_521_600_000_000;

fn config(cases: u32) -> ProptestConfig {
    let seed = std::env::var("CONFIDE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let wanted = std::env::var("CONFIDE_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: wanted.unwrap_or(cases),
        rng_seed: RngSeed::Fixed(seed.unwrap_or(0x001a_be15)),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    }
}

struct Accepts;

impl Journal for Accepts {
    async fn record(&self, _: Entry) -> Result<(), JournalError> {
        Ok(())
    }
}

/// A store and its folder.
struct Kept {
    store: Engine,
    at: i64,
    _room: Room,
    _folder: tempfile::TempDir,
}

/// What decisions ask of a record.
type Columns = (Marks, Vec<Marks>, Vec<Key>, Option<Key>);

impl Kept {
    fn new() -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::new();
        let store = room.open(folder.path());
        Kept {
            store,
            at: NOW - 1_000_000_000,
            _room: room,
            _folder: folder,
        }
    }

    fn write(&mut self, batch: &[(Key, Option<Value>)]) {
        self.at += 1_000_000;
        let changes = batch.iter().map(|(key, record)| Change {
            key: key.clone(),
            resource: record
                .as_ref()
                .map(|r| Resource::ours(r.to_string()).unwrap()),
            expect: Expect::Any,
        });
        let batch = Batch {
            changes: changes.collect(),
            at: self.at,
            settings: Settings::default(),
            sought: Vec::new(),
            fail_closed: true,
        };
        self.store.write_now(batch).unwrap();
    }

    fn columns(&self, keys: &[Key]) -> BTreeMap<Key, Columns> {
        let columns = keys.iter().filter_map(|key| {
            let found = now(self.store.read(&provider(), Settings::default(), key)).unwrap()?;
            let facts = found.sealed.facts();
            let mut patients = facts.patients.clone();
            patients.sort();
            let columns = (
                facts.whole,
                facts.parts.clone(),
                patients,
                facts.organization.clone(),
            );
            Some((key.clone(), columns))
        });
        columns.collect()
    }

    /// The body that a requester sees, less what differs by the moment; its version and time.
    fn shown(&self, case: &Case, key: &Key) -> Option<(Value, String, i64)> {
        let found = now(self.store.read(case, Settings::default(), key)).unwrap()?;
        let released = release(found.sealed, case, Settings::default(), &found.standing).ok()?;
        let asked = Asked {
            request: "r".into(),
            interaction: "read",
            target: "t".into(),
            from: None,
        };
        let disclosure = now(disclose(&Accepts, case, &asked, 200, vec![released])).unwrap();
        let entry = disclosure.entries().next()?;
        let mut body: Value = serde_json::from_slice(entry.body).unwrap();
        let meta = body["meta"].as_object_mut().unwrap();
        meta.remove("versionId");
        meta.remove("lastUpdated");
        Some((body, entry.stamp.version.to_string(), entry.stamp.updated))
    }
}

fn case(role: Role, purpose: Purpose, user: &str, organization: &str) -> Case {
    Case {
        requester: Requester {
            client: "c".into(),
            role,
            user: Key::parse(user),
            organization: Key::parse(organization),
            state: Some("CA".into()),
        },
        purpose,
        scopes: ScopeSet::parse("user/*.rs"),
        patient: Id::parse(""),
        break_glass: None,
        at: NOW,
    }
}

fn provider() -> Case {
    case(
        Role::Provider,
        Purpose::Treat,
        "Practitioner/dr-lee",
        "Organization/valley-clinic",
    )
}

fn key(record: &Value) -> Key {
    let part = |name: &str| record[name].as_str().unwrap().to_owned();
    Key::parse(&format!("{}/{}", part("resourceType"), part("id"))).unwrap()
}

/// The Riveras, and Noah's bundle.
fn fixtures() -> Vec<(Key, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let text = std::fs::read_to_string(root.join("households.ndjson")).unwrap();
    let mut all: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut bundle = Vec::new();
    let file = std::fs::File::open(root.join("synthea/rivera-maya.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut bundle)
        .unwrap();
    let bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let ids = |entry: &Value| {
        let url = entry["fullUrl"].as_str().unwrap_or_default().to_owned();
        let kind = entry["resource"]["resourceType"].as_str().unwrap();
        let id = entry["resource"]["id"].as_str().unwrap_or_default();
        (url, format!("{kind}/{id}"))
    };
    let entries = bundle["entry"].as_array().unwrap();
    let names: Vec<(String, String)> = entries.iter().map(ids).collect();
    for entry in entries {
        let mut text = entry["resource"].to_string();
        for (url, name) in names.iter().filter(|(url, _)| !url.is_empty()) {
            text = text.replace(&format!("\"{url}\""), &format!("\"{name}\""));
        }
        all.push(serde_json::from_str(&text).unwrap());
    }
    all.into_iter()
        .map(|record| (key(&record), record))
        .collect()
}

/// A generator of small numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[test]
fn the_fixtures_get_the_same_labels_in_any_order() {
    let records = fixtures();
    let keys: Vec<Key> = records.iter().map(|(key, _)| key.clone()).collect();
    let changes: Vec<(Key, Option<Value>)> = records
        .into_iter()
        .map(|(key, record)| (key, Some(record)))
        .collect();
    let mut whole = Kept::new();
    whole.write(&changes);
    let expected = whole.columns(&keys);
    assert!(expected.len() > 200 && expected.values().any(|(whole, ..)| !whole.is_none()));
    let member = case(Role::App, Purpose::Patrqt, "Patient/rivera-maya", "");
    for (seed, most) in [(1, 1), (2, 7), (3, 60)] {
        let mut dice = Dice(seed);
        let mut shuffled = changes.clone();
        dice.shuffle(&mut shuffled);
        let mut kept = Kept::new();
        let mut rest = shuffled.as_slice();
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(rest.len().min(1 + dice.below(most)));
            kept.write(batch);
            rest = after;
        }
        let found = kept.columns(&keys);
        for (key, columns) in &expected {
            assert_eq!(Some(columns), found.get(key), "{key}, order {seed}");
            for case in [&member, &provider()] {
                let (one, other) = (whole.shown(case, key), kept.shown(case, key));
                assert_eq!(
                    one.map(|one| one.0),
                    other.map(|one| one.0),
                    "{key}, order {seed}"
                );
            }
        }
    }
}

/// A generated store; the same with other codes here and there; what is gone in the end; a seed.
fn history() -> impl Strategy<Value = (Made, Made, Vec<usize>, u64)> {
    let gone = subsequence((0..12usize).collect::<Vec<_>>(), 0..5);
    let other = vec((any::<bool>(), vec(0..made::CODES.len(), 1..3)), 40);
    let consents = vec((0..12u8, 1..3usize), 0..3);
    (made::made(), other, consents, gone, any::<u64>()).prop_map(
        |(before, other, consents, gone, seed)| {
            let mut after = Made {
                consents,
                ..before.clone()
            };
            for (item, (changes, codes)) in after.items.iter_mut().zip(other) {
                if changes {
                    item.codes = codes;
                }
            }
            (before, after, gone, seed)
        },
    )
}

proptest! {
    #![proptest_config(config(32))]

    /// What a record was before leaves no trace in the labels of any.
    #[test]
    fn labels_are_those_of_the_records_as_they_stand((before, after, gone, seed) in history()) {
        let mut dice = Dice(seed);
        let list = |made: &Made| -> Vec<(Key, Value)> {
            made::records(made).into_iter().map(|record| (key(&record), record)).collect()
        };
        let last = list(&after);
        let mut kept = Kept::new();
        let mut early: Vec<_> = list(&before).into_iter().map(|(key, r)| (key, Some(r))).collect();
        // A writer who leaves out a label that came with a record does not lower it.
        for record in early.iter_mut().filter_map(|(_, record)| record.as_mut()) {
            record.as_object_mut().unwrap().remove("meta");
        }
        dice.shuffle(&mut early);
        for batch in early.chunks(5) {
            kept.write(batch);
        }
        // Everything that is not in the last state goes, and what is takes its last form.
        let is_gone = |key: &Key| {
            let id = key.id.as_str();
            let number = id.strip_prefix('r').and_then(|number| number.parse().ok());
            number.is_some_and(|number: usize| gone.contains(&number))
                || (id.starts_with("consent") && gone.contains(&7))
                || (key.kind.name() == "Flag" && gone.contains(&8))
                || (id == "b" && gone.contains(&9))
        };
        let mut end: Vec<(Key, Value)> = last;
        end.retain(|(key, _)| !is_gone(key));
        let mut steps: Vec<(Key, Option<Value>)> =
            end.iter().map(|(key, record)| (key.clone(), Some(record.clone()))).collect();
        let stays = |key: &Key| end.iter().any(|(other, _)| other == key);
        steps.extend(early.iter().filter(|(key, _)| !stays(key)).map(|(key, _)| (key.clone(), None)));
        dice.shuffle(&mut steps);
        for batch in steps.chunks(1 + dice.below(6)) {
            kept.write(batch);
        }
        let mut fresh = Kept::new();
        let all: Vec<_> = end.iter().map(|(key, r)| (key.clone(), Some(r.clone()))).collect();
        fresh.write(&all);
        let keys: Vec<Key> = end.iter().map(|(key, _)| key.clone()).collect();
        let (one, other) = (kept.columns(&keys), fresh.columns(&keys));
        for key in &keys {
            prop_assert_eq!(one.get(key), other.get(key), "{}", key);
        }
    }
}

/// The subscriber's version of a record moves when what the subscriber sees of it does.
#[test]
fn household_versions_move_only_with_the_face() {
    let records = fixtures();
    let mut kept = Kept::new();
    let changes: Vec<(Key, Option<Value>)> = records
        .iter()
        .map(|(key, record)| (key.clone(), Some(record.clone())))
        .collect();
    kept.write(&changes);
    let household = case(Role::App, Purpose::Coverage, "Patient/rivera-daniel", "");
    let all = |kept: &Kept| -> BTreeMap<Key, (Value, String, i64)> {
        let shown = records
            .iter()
            .filter_map(|(key, _)| Some((key.clone(), kept.shown(&household, key)?)));
        shown.collect()
    };
    let before = all(&kept);
    let mut bills = 0;
    for (key, record) in &records {
        let mut changed = record.clone();
        let hidden = match key.kind.name() {
            // A word in a note that no household sees.
            "Encounter" | "Condition" | "Observation" | "Communication" | "Claim" | "Procedure" => {
                changed["text"] = serde_json::json!({ "status": "generated",
                    "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">other words</div>" });
                true
            }
            "ExplanationOfBenefit" => {
                changed["disposition"] = Value::from("Processed otherwise");
                true
            }
            _ => false,
        };
        if hidden {
            bills += usize::from(before.contains_key(key));
            kept.write(&[(key.clone(), Some(changed))]);
        }
    }
    assert!(bills > 5, "{bills}");
    assert_eq!(all(&kept), before);
    // A class that comes and goes within one transaction moves nothing.
    let condition = Kind::named("Condition").unwrap();
    let (key, record) = records
        .iter()
        .find(|(key, _)| key.kind == condition)
        .unwrap();
    kept.write(&[(key.clone(), None), (key.clone(), Some(record.clone()))]);
    assert_eq!(all(&kept), before);
    // And what is seen moves it.
    let eob = |key: &&Key| key.kind.name() == "ExplanationOfBenefit";
    let seen = before.keys().find(eob).unwrap();
    let mut changed = records
        .iter()
        .find(|(key, _)| key == seen)
        .unwrap()
        .1
        .clone();
    changed["created"] = Value::from("2026-11-23");
    kept.write(&[(seen.clone(), Some(changed))]);
    let after = kept.shown(&household, seen).unwrap();
    assert_ne!(after.1, before[seen].1);
    assert!(after.2 > before[seen].2);
}

/// Two records that point at each other don't keep alive what neither has any more.
#[test]
fn what_two_records_gave_each_other_goes_with_its_source() {
    let icd = |code: &str| serde_json::json!({ "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code }] });
    let encounter = serde_json::json!({ "resourceType": "Encounter", "id": "e", "status": "finished",
        "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB" },
        "subject": { "reference": "Patient/p" }, "period": { "start": "2026-03-02", "end": "2026-03-02" },
        "diagnosis": [{ "condition": { "reference": "Condition/c" } }] });
    let condition = |code: &str| {
        serde_json::json!({ "resourceType": "Condition", "id": "c", "code": icd(code),
        "subject": { "reference": "Patient/p" }, "encounter": { "reference": "Encounter/e" } })
    };
    let born =
        |date: &str| serde_json::json!({ "resourceType": "Patient", "id": "p", "birthDate": date });
    let change = |record: &Value| vec![(key(record), Some(record.clone()))];
    let keys = [key(&encounter), key(&condition("F64.0"))];
    // Care that a minor can't consent to is the parent's to see once the age is known.
    let mut kept = Kept::new();
    for record in [&encounter, &condition("F64.0"), &born("2011-07-24")] {
        kept.write(&change(record));
    }
    let whole = |kept: &Kept, at: usize| kept.columns(&keys)[&keys[at]].0;
    for at in [0, 1] {
        assert!(
            !whole(&kept, at).labels.is_none() && whole(&kept, at).protected.is_none(),
            "{at}"
        );
    }
    kept.write(&change(&condition("J45.909")));
    assert!(whole(&kept, 0).is_none() && whole(&kept, 1).is_none());
    // The day, where only the visit has it, and the visit comes last.
    let mut kept = Kept::new();
    for record in [&born("2011-07-24"), &condition("F64.0"), &encounter] {
        kept.write(&change(record));
    }
    assert!(whole(&kept, 0).protected.is_none() && whole(&kept, 1).protected.is_none());
}
