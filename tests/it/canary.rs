//! Marker words: whatever a persona asks, none that it must not see comes back, in no part of any
//! reply; and what it must see does.

use crate::{
    harness::{Server, Who, expectation, texts},
    shapes::shapes,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The personas whose token is bound to one patient.
const BOUND: &[&str] = &["member", "subscriber", "enrollee", "representative"];

struct Eyes {
    name: String,
    token: String,
    view: Value,
    forbidden: BTreeSet<String>,
    records: Vec<String>,
    member: String,
    /// Which fifth of the searches it asks; five neighbours ask them all.
    fifth: usize,
}

fn records(section: &Value) -> Vec<String> {
    let list = section["records"].as_array().unwrap().iter();
    list.map(|r| r["ref"].as_str().unwrap().to_owned())
        .collect()
}

fn markers(section: &Value) -> BTreeSet<String> {
    let list = section["records"].as_array().unwrap().iter();
    list.flat_map(|r| [texts(&r["markers"]), texts(&r["ordinary_markers"])].concat())
        .collect()
}

async fn eyes(server: &Server) -> Vec<Eyes> {
    let mut all = Vec::new();
    for section in ["maya", "elena", "daniel"] {
        let of = &expectation()[section];
        for (persona, view) in of["personas"].as_object().unwrap() {
            let mut forbidden: BTreeSet<String> =
                texts(&view["forbidden_markers"]).into_iter().collect();
            if BOUND.contains(&persona.as_str()) {
                // Nothing of anyone but the patient in context.
                for other in ["maya", "elena", "daniel"]
                    .iter()
                    .filter(|o| **o != section)
                {
                    forbidden.extend(markers(&expectation()[*other]));
                }
            }
            all.push(Eyes {
                name: format!("{section}/{persona}"),
                token: server.token(&Who::of(&view["token"])).await,
                view: view.clone(),
                forbidden,
                records: records(of),
                member: format!("Patient/rivera-{section}"),
                fifth: all.len() % 5,
            });
        }
    }
    all
}

async fn look(server: &Server, eyes: &Eyes) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut missing: BTreeSet<String> = texts(&eyes.view["required_markers"]).into_iter().collect();
    let mut read: BTreeMap<String, u16> = BTreeMap::new();
    let references = texts(&eyes.view["forbidden_references"]);
    let mut asked = shapes(&eyes.member, &eyes.records);
    let mut at = 0..;
    asked.retain(|shape| shape.is_read() || at.next().is_some_and(|at| at % 5 == eyes.fifth));
    assert!(asked.len() >= 150, "{}: {}", eyes.name, asked.len());
    for shape in &asked {
        for reply in shape.ask(server, &eyes.token).await {
            if reply.status >= 500 {
                wrong.push(format!(
                    "{}: {} answers {}",
                    eyes.name, shape.path, reply.status
                ));
            }
            let all = reply.whole();
            for word in eyes
                .forbidden
                .iter()
                .filter(|word| all.contains(word.as_str()))
            {
                wrong.push(format!("{}: {word} in {}", eyes.name, shape.path));
            }
            for key in &references {
                let pointer = format!("\"reference\":\"{key}\"");
                let entry = format!("/{key}\",\"resource\"");
                if all.contains(&pointer) || all.contains(&entry) {
                    wrong.push(format!("{}: {key} in {}", eyes.name, shape.path));
                }
            }
            missing.retain(|word| !all.contains(word.as_str()));
            read.insert(shape.path.clone(), reply.status);
        }
    }
    for key in texts(&eyes.view["sees"]) {
        if read[&key] != 200 {
            wrong.push(format!("{}: {key} answers {}", eyes.name, read[&key]));
        }
    }
    for key in texts(&eyes.view["must_not_see"]) {
        if read[&key] != 404 {
            wrong.push(format!("{}: {key} answers {}", eyes.name, read[&key]));
        }
    }
    wrong.extend(
        missing
            .iter()
            .map(|word| format!("{}: never saw {word}", eyes.name)),
    );
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_marker_reaches_who_must_not_see_it_by_any_route() {
    let server = Arc::new(Server::start().await);
    let mut looking = tokio::task::JoinSet::new();
    for eyes in eyes(&server).await {
        let server = server.clone();
        looking.spawn(async move { look(&server, &eyes).await });
    }
    let mut wrong = looking.join_all().await.concat();
    wrong.sort();
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}
