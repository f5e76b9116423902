//! The fixtures' personas against the store and the gate, without a server.

use super::SqliteStore;
use crate::{
    fhir::{Key, Resource},
    gate::{Asked, Entry, Journal, JournalError, disclose, release},
    policy::{Case, Requester, Role, Settings},
    scope::ScopeSet,
    search::plan::{ParseOptions, Plan},
    statute::Purpose,
    store::{
        Batch, Change, Expect, Position, Store, StoreError,
        engine::Engine,
        query::{self, Order},
        records::{remembered::Snapshot, search},
        session::Session,
    },
};
use serde_json::Value;
use std::io::Read as _;

struct Accepts;

impl Journal for Accepts {
    async fn record(&self, _: Entry) -> Result<(), JournalError> {
        Ok(())
    }
}

/// 2026-11-24T12:00:00Z, the fixtures' reference date.
const NOW: i64 = 1_795_521_600_000_000;

fn resources() -> Vec<Resource> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut all = Vec::new();
    let mut bundles: Vec<_> = std::fs::read_dir(root.join("synthea"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    bundles.sort();
    for path in bundles {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
            .read_to_end(&mut text)
            .unwrap();
        let bundle: Value = serde_json::from_slice(&text).unwrap();
        for entry in bundle["entry"].as_array().unwrap() {
            if entry["resource"]["resourceType"] == "Patient" {
                all.push(Resource::ours(entry["resource"].to_string()).unwrap());
            }
        }
    }
    for line in std::fs::read_to_string(root.join("households.ndjson"))
        .unwrap()
        .lines()
    {
        all.push(Resource::ours(line.to_owned()).unwrap());
    }
    all
}

fn loaded(folder: &std::path::Path) -> SqliteStore {
    let store = SqliteStore::open(&folder.join("confide.db")).unwrap();
    let changes = resources()
        .into_iter()
        .map(|resource| Change {
            key: resource.key().unwrap(),
            resource: Some(resource),
            expect: Expect::Any,
        })
        .collect();
    let batch = Batch {
        changes,
        at: NOW,
        settings: Settings::default(),
        sought: Vec::new(),
        fail_closed: false,
    };
    store.write_now(batch).unwrap();
    store
}

fn case(token: &Value, clients: &Value) -> Case {
    let client = clients
        .as_array()
        .unwrap()
        .iter()
        .find(|client| client["client_id"] == token["client"])
        .unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Case {
        requester: Requester {
            client: text(&token["client"]).unwrap().into(),
            role: Role::named(client["role"].as_str().unwrap()).unwrap(),
            user: token["user"].as_str().and_then(Key::parse),
            organization: client["organization"].as_str().and_then(Key::parse),
            state: client["state"].as_str().map(Into::into),
        },
        purpose: Purpose::parse(token["purpose"].as_str().unwrap()).unwrap(),
        scopes: ScopeSet::parse(token["scope"].as_str().unwrap()),
        patient: token["patient"].as_str().and_then(crate::fhir::Id::parse),
        break_glass: None,
        at: NOW,
    }
}

fn fixture(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

async fn shown(store: &Engine, case: &Case, key: &str) -> Result<String, String> {
    let key = Key::parse(key).unwrap();
    let found = store.read(case, Settings::default(), &key).await.unwrap();
    let found = found.ok_or("absent")?;
    let released = release(found.sealed, case, Settings::default(), &found.standing)
        .map_err(|withheld| format!("{:?}", withheld.reasons))?;
    let asked = Asked {
        request: "r".into(),
        interaction: "read",
        target: "t".into(),
        from: None,
    };
    let disclosure = disclose(&Accepts, case, &asked, 200, vec![released])
        .await
        .unwrap();
    let body = disclosure.entries().next().unwrap().body.clone();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_persona_of_the_fixtures_sees_what_it_must_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let store = Engine::from(loaded(folder.path()));
    let (expectation, clients) = (fixture("expectation.json"), fixture("clients.json"));
    let mut wrong = Vec::new();
    for section in ["maya", "elena", "daniel"] {
        for (persona, view) in expectation[section]["personas"].as_object().unwrap() {
            let case = case(&view["token"], &clients);
            let list = |name: &str| -> Vec<String> {
                let values = view[name].as_array().cloned().unwrap_or_default();
                values
                    .iter()
                    .filter_map(|v| v.as_str().map(str::to_owned))
                    .collect()
            };
            for key in list("sees") {
                match shown(&store, &case, &key).await {
                    Err(why) => wrong.push(format!("{section}/{persona} must see {key}: {why}")),
                    Ok(body) => {
                        for word in list("forbidden_markers") {
                            if body.contains(&word) {
                                wrong.push(format!("{section}/{persona} sees {word} in {key}"));
                            }
                        }
                        for word in list("forbidden_references") {
                            if body.contains(&format!("{word}\"")) {
                                wrong.push(format!("{section}/{persona} sees {word} in {key}"));
                            }
                        }
                    }
                }
            }
            for key in list("must_not_see") {
                if shown(&store, &case, &key).await.is_ok() {
                    wrong.push(format!("{section}/{persona} must not see {key}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

fn plan(query: &str) -> Plan {
    let (kind, pairs) = query.split_once('?').unwrap();
    let pairs: Vec<(String, String)> = pairs
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let kind = crate::fhir::Kind::named(kind);
    Plan::parse(kind, &pairs, ParseOptions::default()).unwrap()
}

/// The ids of all pages.
fn walked(store: &SqliteStore, case: &Case, query: &str) -> Vec<String> {
    let (plan, mut all, mut from) = (plan(query), Vec::new(), None);
    loop {
        let ask = |read: &Snapshot<'_>| {
            search::search(read, case, Settings::default(), &plan, from.as_ref())
        };
        let page = store.ask(ask).unwrap();
        assert!(page.matches.len() <= usize::from(plan.count));
        let ids = page.matches.iter();
        all.extend(ids.map(|sealed| sealed.facts().key.id.as_str().to_owned()));
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}

#[test]
fn pages_that_an_index_orders_are_those_of_the_whole_query() {
    let folder = tempfile::tempdir().unwrap();
    let store = loaded(folder.path());
    let (clients, personas) = (fixture("clients.json"), fixture("personas.json"));
    let mut queries = vec![
        "Observation?patient.family=Rivera".to_owned(),
        "Observation?patient.family=Rivera&status=final".to_owned(),
        "ExplanationOfBenefit?patient.birthdate=lt1990-01-01".to_owned(),
        "Observation?patient.gender=female".to_owned(),
        "Observation?patient.family=Nobody".to_owned(),
        "Observation?patient.family=Inside".to_owned(),
        "Observation?patient=nobody".to_owned(),
    ];
    let patients: Vec<Key> = resources()
        .into_iter()
        .filter_map(|resource| resource.key())
        .filter(|key| key.kind.name() == "Patient")
        .collect();
    // One that points at a patient whom it contains, and records that point at one more than once.
    let inside = r##"{"resourceType":"Observation","id":"inside","status":"final","contained":[
        {"resourceType":"Patient","id":"p","name":[{"family":"Inside"}]}],
        "code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"#p"}}"##;
    let inside = Resource::ours(inside.to_owned()).unwrap();
    let twice = |number: usize, key: &Key| {
        let text = format!(
            r#"{{"resourceType":"Observation","id":"twice-{number}","status":"final","code":{{"coding":[
            {{"system":"http://loinc.org","code":"8867-4"}}]}},"subject":{{"reference":"{key}"}},
            "performer":[{{"reference":"{key}"}},{{"reference":"{key}"}},{{"reference":"{key}"}}]}}"#
        );
        let resource = Resource::ours(text).unwrap();
        Change {
            key: resource.key().unwrap(),
            resource: Some(resource),
            expect: Expect::Any,
        }
    };
    let changes = (0..40).map(|number| twice(number, &patients[number % patients.len()]));
    let mut changes: Vec<Change> = changes.collect();
    changes.push(Change {
        key: inside.key().unwrap(),
        resource: Some(inside),
        expect: Expect::Any,
    });
    let batch = Batch {
        changes,
        at: NOW,
        settings: Settings::default(),
        sought: Vec::new(),
        fail_closed: false,
    };
    store.write_now(batch).unwrap();
    for key in &patients {
        queries.push(format!("Observation?performer={key}"));
        for kind in [
            "Observation",
            "Condition",
            "ExplanationOfBenefit",
            "Coverage",
        ] {
            queries.push(format!("{kind}?patient={}", key.id.as_str()));
        }
        queries.push(format!("Coverage?beneficiary={key}&status=active"));
        queries.push(format!("Encounter?patient:Patient._id={}", key.id.as_str()));
        queries.push(format!("Observation?subject={key}&patient.family=Rivera"));
    }
    let (mut some, mut pages, mut inside) = (0, 0, 0);
    for persona in personas.as_array().unwrap() {
        let case = case(persona, &clients);
        for query in &queries {
            let whole = walked(
                &store,
                &case,
                &format!("{query}&_total=accurate&_count=1000"),
            );
            some += usize::from(!whole.is_empty());
            inside += usize::from(whole == ["inside"]);
            for count in [1, 3, 1000] {
                let found = walked(&store, &case, &format!("{query}&_count={count}"));
                assert_eq!(found, whole, "{query} by {count} as {persona}");
                pages += whole.len() / count;
            }
        }
    }
    assert!(some > 50 && pages > 500, "{some} {pages}");
    assert!(inside > 0);
}

#[test]
fn a_patient_s_records_come_in_order_without_sorting() {
    let folder = tempfile::tempdir().unwrap();
    let store = loaded(folder.path());
    let clients = fixture("clients.json");
    let personas = fixture("personas.json");
    for persona in personas.as_array().unwrap() {
        let case = case(persona, &clients);
        let plan = plan("Observation?patient=p&status=final");
        let steps = store
            .ask(|read| {
                let names = read.names(&case.requester)?;
                let lens = search::lens(read, &case, Settings::default(), &names, None)?;
                let from = Position::of(Vec::new(), 95, "x".to_owned());
                let searched = query::pointing_at(&lens, &plan, 0, 7).unwrap();
                let everything = query::everything(&lens, 7);
                let mut steps: Vec<String> = Vec::new();
                for inner in [searched, everything] {
                    let sql = query::page(inner, &Order::Name, 5, Some(&from));
                    let read: &dyn Session = read;
                    let explained = format!("EXPLAIN QUERY PLAN {}", sql.text);
                    steps.extend(read.all(&explained, &sql.values, |row| row.get::<String>(3))?);
                }
                Ok(steps)
            })
            .unwrap();
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert!(!sorts && !steps.is_empty(), "{steps:#?}");
    }
}

/// How the engine goes about a search, step by step.
fn steps(store: &SqliteStore, case: &Case, query: &str) -> Vec<String> {
    let plan = plan(query);
    store
        .ask(|read| {
            let names = read.names(&case.requester)?;
            let wanted = query::patients_of(&plan);
            let settings = Settings::default();
            let lens = search::lens(read, case, settings, &names, wanted.as_deref())?;
            let sql = query::page(query::matching(&lens, &plan), &Order::of(&plan), 50, None);
            let read: &dyn Session = read;
            let explained = format!("EXPLAIN QUERY PLAN {}", sql.text);
            read.all(&explained, &sql.values, |row| row.get(3))
        })
        .unwrap()
}

#[test]
fn a_search_starts_from_what_it_names_and_never_walks_a_type() {
    let folder = tempfile::tempdir().unwrap();
    let store = loaded(folder.path());
    let (clients, personas) = (fixture("clients.json"), fixture("personas.json"));
    let (mut searched, mut never) = (0, 0);
    for persona in personas.as_array().unwrap() {
        let case = case(persona, &clients);
        for (query, by, index) in [
            ("Observation?patient=p", "rowid", "index_reference_by_value"),
            (
                "Observation?code=8867-4&date=ge2026-01-01&patient=p",
                "rowid",
                "index_reference_by_value",
            ),
            (
                "Observation?date=2026-01-01&code=8867-4",
                "rowid",
                "index_token_by_value",
            ),
            ("Patient?_id=p", "kind=? AND id=?", "record_by_kind"),
        ] {
            let steps = steps(&store, &case, query);
            let of_record = steps.iter().find(|step| step.starts_with("SEARCH r "));
            if let Some(of_record) = of_record {
                searched += 1;
                assert!(of_record.contains(by), "{query}: {steps:#?}");
                let starts = steps.iter().any(|step| step.contains(index));
                assert!(starts, "{query}: {steps:#?}");
            } else {
                // Nothing of the type is ever theirs, and the engine is told.
                assert!(
                    case.purpose == Purpose::Coverage || case.purpose == Purpose::Hcompl,
                    "{case:?} {steps:#?}"
                );
                never += 1;
                continue;
            }
            // `f` is the one row of an entry's own target.
            let one_row = ["SCAN CONSTANT ROW", "SCAN f"];
            let walks =
                |step: &String| step.starts_with("SCAN") && !one_row.contains(&step.as_str());
            assert!(!steps.iter().any(walks), "{query}: {steps:#?}");
        }
        let all = steps(&store, &case, "Observation?");
        assert!(
            !all.iter().any(|step| step.contains("TEMP B-TREE")),
            "{all:#?}"
        );
    }
    assert!(searched > 10 && never > 5, "{searched} {never}");
}

#[test]
fn a_question_that_takes_too_long_is_interrupted_and_the_next_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("confide.db")).unwrap();
    let endless =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    store.limit(std::time::Duration::ZERO);
    let asked = store.ask(|read| {
        let read: &dyn Session = read;
        read.one(endless, &[], |row| row.get::<i64>(0))
    });
    assert!(matches!(asked, Err(StoreError::Away(_))), "{asked:?}");
    store.limit(std::time::Duration::MAX);
    assert!(store.check().is_ok());
}
