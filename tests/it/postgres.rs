//! What is PostgreSQL's own: its connections, its transactions, several nodes, its plans. Run on either
//! pass: where the others run on SQLite, a server is started for these.

#[path = "postgres/both.rs"]
mod both;
#[path = "postgres/lost.rs"]
mod lost;
#[path = "postgres/plans.rs"]
mod plans;
#[path = "postgres/wire.rs"]
mod wire;

use crate::harness::Room;
use confide::{
    fhir::{Key, Resource},
    policy::{Case, Requester, Role, Settings},
    scope::ScopeSet,
    statute::Purpose,
    store::{Batch, Change, Expect, Store as _, engine::Engine},
};
use serde_json::{Value, json};
use std::{path::Path, sync::Barrier};

const NOW: i64 = crate::harness::NOW;

fn batch(records: &[Value]) -> Batch {
    let change = |record: &Value| {
        let resource = Resource::ours(record.to_string()).unwrap();
        Change {
            key: resource.key().unwrap(),
            resource: Some(resource),
            expect: Expect::Any,
        }
    };
    Batch {
        changes: records.iter().map(change).collect(),
        at: NOW,
        settings: Settings::default(),
        sought: Vec::new(),
        fail_closed: true,
    }
}

fn provider() -> Case {
    Case {
        requester: Requester {
            client: "c".into(),
            role: Role::Provider,
            user: Key::parse("Practitioner/dr"),
            organization: Key::parse("Organization/org"),
            state: Some("CA".into()),
        },
        purpose: Purpose::Treat,
        scopes: ScopeSet::parse("user/*.rs"),
        patient: None,
        break_glass: None,
        at: NOW,
    }
}

/// Labels and parts of a record, as decisions read them.
fn labels(store: &Engine, key: &str) -> String {
    let key = Key::parse(key).unwrap();
    let found = crate::harness::now(store.read(&provider(), Settings::default(), &key)).unwrap();
    let found = found.unwrap();
    let facts = found.sealed.facts();
    format!("{:?} {:?}", facts.whole, facts.parts)
}

/// A diagnosis in an Encounter, of which each gives the other what it has.
fn pair(number: usize) -> (Value, Value) {
    let encounter = json!({"resourceType": "Encounter", "id": format!("e{number}"), "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/p"},
        "diagnosis": [{"condition": {"reference": format!("Condition/c{number}")}}]});
    let condition = json!({"resourceType": "Condition", "id": format!("c{number}"),
        "subject": {"reference": "Patient/p"}, "encounter": {"reference": format!("Encounter/e{number}")},
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.9"}]}});
    (encounter, condition)
}

/// Two nodes write a record and what it refers to at the same time. Neither may miss the other's: then
/// neither would be labelled by it.
#[test]
fn two_nodes_that_write_at_once_label_as_one() {
    const PAIRS: usize = 12;
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let nodes = [room.open(folder.path()), room.open(folder.path())];
    let patient = json!({"resourceType": "Patient", "id": "p", "birthDate": "1980-01-01"});
    nodes[0]
        .write_now(batch(std::slice::from_ref(&patient)))
        .unwrap();
    let together = Barrier::new(2);
    std::thread::scope(|scope| {
        for (node, store) in nodes.iter().enumerate() {
            let together = &together;
            scope.spawn(move || {
                for number in 0..PAIRS {
                    let (encounter, condition) = pair(number);
                    together.wait();
                    let record = if node == 0 { encounter } else { condition };
                    store.write_now(batch(&[record])).unwrap();
                }
            });
        }
    });
    let (alone, file) = (tempfile::tempdir().unwrap(), Room::file());
    let alone = file.open(alone.path());
    alone.write_now(batch(&[patient])).unwrap();
    for number in 0..PAIRS {
        let (encounter, condition) = pair(number);
        alone.write_now(batch(&[condition])).unwrap();
        alone.write_now(batch(&[encounter])).unwrap();
        for key in [
            format!("Encounter/e{number}"),
            format!("Condition/c{number}"),
        ] {
            let expected = labels(&alone, &key);
            assert!(!expected.contains("{}"), "{expected}");
            for node in &nodes {
                assert_eq!(labels(node, &key), expected, "{key}");
            }
        }
    }
}

/// What another node wrote is known with its commit: what a reader remembers is of one snapshot.
#[test]
fn what_another_node_wrote_is_seen_at_once() {
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let (one, other) = (room.open(folder.path()), room.open(folder.path()));
    for day in 1..20 {
        let born = format!("1990-01-{day:02}");
        let patient = json!({"resourceType": "Patient", "id": "p", "birthDate": born});
        one.write_now(batch(&[patient])).unwrap();
        let key = Key::parse("Patient/p").unwrap();
        let found = crate::harness::now(other.read(&provider(), Settings::default(), &key));
        assert_eq!(found.unwrap().unwrap().seq, day);
    }
}

/// Longer than an index row may be, and with the one character that PostgreSQL's text can't hold.
#[test]
fn values_of_any_length_are_kept_and_found() {
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let store = room.open(folder.path());
    let mut number = 7_u64;
    let mut long = || -> String {
        let next = |_| {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            char::from(b'a' + u8::try_from(number >> 60).unwrap())
        };
        (0..40_000).map(next).collect()
    };
    let patient = json!({"resourceType": "Patient", "id": "p", "name": [{"family": long()}],
        "identifier": [{"system": format!("http://x/{}", long()), "value": long()}],
        "meta": {"profile": [format!("http://x/{}", long())]}});
    store.write_now(batch(&[patient])).unwrap();
    assert_eq!(store.totals().unwrap(), [("Patient", 1)]);
}

fn confide(folder: &Path, room: &Room, arguments: &[&str]) -> (i32, String) {
    let ran = crate::harness::program()
        .args(arguments)
        .current_dir(folder)
        .env("CONFIDE_LISTEN", "127.0.0.1:0")
        .envs(room.environment())
        .output()
        .unwrap();
    let text = [ran.stdout, ran.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (ran.status.code().unwrap(), text)
}

#[test]
fn a_database_that_is_no_store_of_ours_is_left_alone() {
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let data = folder.path();
    room.alter(data, "CREATE TABLE theirs (x INTEGER)");
    let (code, told) = confide(data, &room, &["serve"]);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("not a confide store"), "{told}");
    assert_eq!(room.tables(data).len(), 1);

    let room = Room::postgres();
    let (code, told) = confide(data, &room, &["doctor"]);
    assert!(told.contains("is not there yet"), "{told}");
    assert_eq!(code, 0, "{told}");
    assert!(room.tables(data).is_empty(), "looking makes nothing");
    drop(room.open(data));
    room.alter(data, "UPDATE confide_schema SET version = 1000");
    for command in ["serve", "doctor"] {
        let (code, told) = confide(data, &room, &[command]);
        assert_eq!(code, if command == "serve" { 2 } else { 1 }, "{told}");
        assert!(
            told.contains("newer version") && told.contains("1000"),
            "{told}"
        );
    }
    room.alter(data, "UPDATE confide_schema SET version = 1");
    let (code, told) = confide(data, &room, &["doctor"]);
    assert!(told.contains("whole, 0 records"), "{told}");
    // The store is there and the audit chain is not: in a data folder of its own that is to be mended.
    assert_eq!(code, 1, "{told}");
}
