//! Several nodes over one store.

use crate::harness::{On, Server, Start, Who};
use confide::authn::Registry as _;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;

fn weight(identifier: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "identifier": [{"system": "urn:x", "value": identifier}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/rivera-maya"}})
}

/// Both nodes are asked the same at once, `each` times; the statuses, sorted.
async fn at_once<F>(
    nodes: &[Arc<Server>; 2],
    each: usize,
    ask: impl Fn(Arc<Server>, String) -> F,
) -> Vec<String>
where
    F: Future<Output = String> + Send + 'static,
{
    let mut all = tokio::task::JoinSet::new();
    for node in nodes {
        let token = node.token(&Who::ehr()).await;
        for _ in 0..each {
            all.spawn(ask(node.clone(), token.clone()));
        }
    }
    let mut statuses = all.join_all().await;
    statuses.sort_unstable();
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_on_two_nodes_create_one() {
    for engine in [On::Sqlite, On::Postgres] {
        let one = Start::default().on(engine).go().await;
        let other = one.beside().await;
        let nodes = [Arc::new(one), Arc::new(other)];
        for round in 0..5 {
            let condition = format!("identifier=urn:x|round-{round}");
            let body = weight(&format!("round-{round}")).to_string();
            let statuses = at_once(&nodes, 3, |node, token| {
                let (condition, body) = (condition.clone(), body.clone());
                async move {
                    let headers = [("if-none-exist", condition.as_str())];
                    let done = node.write(Method::POST, "Observation", &token, &headers, body);
                    done.await.status.to_string()
                }
            })
            .await;
            assert_eq!(
                statuses,
                ["200", "200", "200", "200", "200", "201"],
                "{engine:?}"
            );
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                {"resource": weight(&format!("in-{round}")), "request": {"method": "POST",
                    "url": "Observation", "ifNoneExist": format!("identifier=urn:x|in-{round}")}},
                {"resource": weight(&format!("put-{round}")), "request": {"method": "PUT",
                    "url": format!("Observation?identifier=urn:x|put-{round}")}},
            ]});
            let statuses = at_once(&nodes, 2, |node, token| {
                let bundle = bundle.clone();
                async move {
                    let done = node.post("", &token, &bundle).await.json();
                    let status = |at: usize| done["entry"][at]["response"]["status"].clone();
                    format!("{} {}", status(0), status(1))
                }
            })
            .await;
            let created = r#""201 Created" "201 Created""#;
            let there = r#""200 OK" "200 OK""#;
            assert_eq!(statuses, [there, there, there, created], "{engine:?}");
            for made in ["round", "in", "put"] {
                let token = nodes[1].token(&Who::ehr()).await;
                let query = format!("Observation?identifier=urn:x|{made}-{round}");
                let found = nodes[1].get(&query, &token).await.keys();
                assert_eq!(found.len(), 1, "{made} {engine:?}");
            }
        }
        let [one, other] = nodes;
        let other = Arc::into_inner(other).unwrap();
        other.stop().await;
        drop(one);
    }
}

/// What one node takes away is gone on all at once, and what one has spent is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_disabled_on_one_node_is_on_the_other() {
    let one = Start::default().on(On::Postgres).go().await;
    let other = one.beside().await;
    let token = one.token(&Who::ehr()).await;
    let (here, there) = (&one.api.parts().registry, &other.api.parts().registry);
    for node in [&one, &other] {
        assert_eq!(node.get("Patient/rivera-maya", &token).await.status, 200);
    }
    assert!(
        here.spend_jti("iss", "jti", 2_000_000_000, 1)
            .await
            .unwrap()
    );
    assert!(
        !there
            .spend_jti("iss", "jti", 2_000_000_000, 1)
            .await
            .unwrap()
    );
    assert!(
        there
            .spend_jti("iss", "jti", 3_000_000_000, 2_000_000_001)
            .await
            .unwrap()
    );
    assert!(
        here.client("demo-ehr")
            .await
            .unwrap()
            .is_some_and(|client| !client.disabled)
    );
    assert!(here.disable_client("demo-ehr").await.unwrap());
    assert!(!here.disable_client("nobody").await.unwrap());
    for node in [&other, &one] {
        assert_eq!(node.get("Patient/rivera-maya", &token).await.status, 401);
    }
    // A new client of one is known to the other.
    other.register(&crate::api::member_app()).await;
    assert!(here.client("it-member-writes").await.unwrap().is_some());
    let ids = |all: Vec<Arc<confide::authn::Client>>| {
        all.iter().map(|c| c.id.clone()).collect::<Vec<_>>()
    };
    let (mine, theirs) = (
        here.clients().await.unwrap(),
        there.clients().await.unwrap(),
    );
    assert_eq!(ids(mine), ids(theirs));
    other.stop().await;
}
