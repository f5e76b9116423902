//! `_security` finds what `meta.security` shows, persona by persona, and nothing of what it doesn't.

use crate::harness::{Server, Who, expectation};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const LEVEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// Names with the labels that each shows.
type Shown = Vec<(String, BTreeSet<(String, String)>)>;

async fn shown(server: &Server, token: &str, query: &str) -> Shown {
    let mut all = Shown::new();
    for page in server.pages(&format!("?{query}_count=1000"), token).await {
        assert_eq!(page.status, 200, "{query} {page:?}");
        let bundle = page.json();
        for entry in bundle["entry"].as_array().into_iter().flatten() {
            let record = &entry["resource"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let labels = record["meta"]["security"].as_array().into_iter().flatten();
            let labels = labels.map(|label| (text(&label["system"]), text(&label["code"])));
            let name = format!("{}/{}", text(&record["resourceType"]), text(&record["id"]));
            all.push((name, labels.collect()));
        }
    }
    all
}

fn names(shown: &Shown, of: impl Fn(&BTreeSet<(String, String)>) -> bool) -> Vec<String> {
    let with = shown.iter().filter(|(_, labels)| of(labels));
    with.map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn a_search_by_label_finds_what_shows_the_label() {
    let server = Server::start().await;
    let (mut labelled, mut plain) = (BTreeSet::new(), BTreeSet::new());
    for section in ["maya", "elena", "daniel"] {
        for (persona, view) in expectation()[section]["personas"].as_object().unwrap() {
            let who = format!("{section}/{persona}");
            let token = server.token(&Who::of(&view["token"])).await;
            let all = shown(&server, &token, "").await;
            let codes = [
                "MH", "SEX", "STD", "SUD", "SDV", "PSYTHPN", "HIV", "N", "R", "V",
            ];
            for code in codes {
                let expected = names(&all, |labels| labels.iter().any(|(_, said)| said == code));
                let found = shown(&server, &token, &format!("_security={code}&")).await;
                assert_eq!(names(&found, |_| true), expected, "{who} {code}");
                let other = shown(&server, &token, &format!("_security:not={code}&")).await;
                assert_eq!(other.len() + found.len(), all.len(), "{who} not {code}");
            }
            let whole = names(&all, |labels| labels.iter().any(|(of, _)| of == ACT_CODE));
            let found = shown(&server, &token, &format!("_security={ACT_CODE}|&")).await;
            assert_eq!(names(&found, |_| true), whole, "{who}");
            let high = (LEVEL.to_owned(), "R".to_owned());
            let expected = names(&all, |labels| labels.contains(&high));
            let found = shown(&server, &token, &format!("_security={LEVEL}|R&")).await;
            assert_eq!(names(&found, |_| true), expected, "{who}");
            let bare = shown(&server, &token, "_security:missing=true&").await;
            assert_eq!(
                names(&bare, |_| true),
                names(&all, BTreeSet::is_empty),
                "{who}"
            );
            let told = names(&all, |labels| !labels.is_empty()).len();
            let into = if told > 0 { &mut labelled } else { &mut plain };
            into.insert(persona.clone());
        }
    }
    assert!(labelled.contains("member"), "{labelled:?}");
    assert!(plain.contains("subscriber"), "{plain:?}");
}

#[tokio::test]
async fn what_was_taken_out_is_no_search() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    for query in [
        "_security=REDACTED",
        "_security=http://terminology.hl7.org/CodeSystem/v3-ObservationValue|",
        "_security:in=http://hl7.org/fhir/ValueSet/security-labels",
        "_security:text=mental",
    ] {
        let reply = server.get(&format!("Encounter?{query}"), &token).await;
        assert_eq!(reply.status, 400, "{query}");
    }
    // Nor is a label a condition of a write.
    for condition in ["_security=MH", "encounter._security:not=R"] {
        let body =
            r#"{"resourceType":"Condition","subject":{"reference":"Patient/elena-ramirez"}}"#;
        let headers = [("if-none-exist", condition)];
        let reply = server
            .write(Method::POST, "Condition", &token, &headers, body)
            .await;
        assert_eq!(reply.status, 400, "{condition} {reply:?}");
        assert!(reply.text().contains("labels"), "{reply:?}");
    }
    let set = "_security:in=http://terminology.hl7.org/ValueSet/v3-InformationSensitivityPolicy";
    let reply = server
        .get(&format!("Encounter?{set}&_total=accurate"), &token)
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.json()["total"].as_u64() > Some(0), "{reply:?}");
}
