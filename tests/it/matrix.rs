//! Who sees which records of which category and type: snapshots for review.

use crate::harness::{Server, Start, Who, expectation, texts};
use std::collections::BTreeMap;

/// Further pairs of eyes on Maya, beside the fixtures' personas.
fn others() -> Vec<(&'static str, Who)> {
    let household = |user: &str, purpose| Who {
        patient: Some("rivera-maya".into()),
        ..Who::client("demo-household-app", "patient/*.rs", purpose).user(user)
    };
    let emergency = Who {
        reason: Some("found unconscious".into()),
        purpose: Some("ETREAT".into()),
        ..Who::persona("maya", "provider")
    };
    let plan = |purpose| Who::client("demo-plan", "system/*.rs", purpose);
    vec![
        (
            "originator, TREAT",
            Who::of(&expectation()["originator"]["token"]),
        ),
        ("provider, ETREAT", emergency),
        (
            "father without authority, PWATRNY",
            household("RelatedPerson/daniel-for-maya", "PWATRNY"),
        ),
        (
            "mother of another child, PWATRNY",
            household("RelatedPerson/elena-for-noah", "PWATRNY"),
        ),
        (
            "subscriber claiming PATRQT",
            household("Patient/rivera-daniel", "PATRQT"),
        ),
        (
            "subscriber claiming FAMRQT",
            household("Patient/rivera-daniel", "FAMRQT"),
        ),
        (
            "brother, COVERAGE",
            household("Patient/rivera-noah", "COVERAGE"),
        ),
        (
            "stranger, COVERAGE",
            household("Patient/chen-wei", "COVERAGE"),
        ),
        ("plan without a grant, HDM", plan("HDM")),
        ("plan without a grant, HQUALIMP", plan("HQUALIMP")),
        (
            "staff, HOPERAT",
            Who::client("demo-staff", "user/*.rs", "HOPERAT").user("Practitioner/ms-quinn"),
        ),
        (
            "privacy office, HOPERAT",
            Who::client("demo-privacy-office", "user/*.rs", "HOPERAT")
                .user("Practitioner/ms-quinn"),
        ),
        (
            "operator, HSYSADMIN",
            Who::client("demo-operator", "system/*.rs", "HSYSADMIN"),
        ),
    ]
}

/// One line a category: of each type, how many of how many are read, and how many of these are cut.
async fn table(server: &Server, section: &str, who: &Who) -> String {
    let token = server.token(who).await;
    let mut rows: BTreeMap<String, BTreeMap<String, (u32, u32, u32)>> = BTreeMap::new();
    for known in expectation()[section]["records"].as_array().unwrap() {
        let key = known["ref"].as_str().unwrap();
        let kind = key.split('/').next().unwrap().to_owned();
        let category = known["category"].as_str().unwrap().to_owned();
        let count = rows.entry(category).or_default().entry(kind).or_default();
        let reply = server.get(key, &token).await;
        count.1 += 1;
        if reply.status == 200 {
            count.0 += 1;
            let markers = [texts(&known["markers"]), texts(&known["ordinary_markers"])].concat();
            let all = reply.text();
            count.2 += u32::from(markers.iter().any(|word| !all.contains(word)));
        } else {
            assert_eq!(reply.status, 404, "{key}");
        }
    }
    let mut out = String::new();
    for (category, kinds) in rows {
        let none = kinds.values().all(|count| count.0 == 0);
        let row: Vec<String> = kinds
            .into_iter()
            .map(|(kind, (seen, all, cut))| match cut {
                0 => format!("{kind} {seen}/{all}"),
                cut => format!("{kind} {seen}/{all} ({cut} cut)"),
            })
            .collect();
        let row = if none {
            "–".to_owned()
        } else {
            row.join(", ")
        };
        out.push_str(&format!("  {category:26}{row}\n"));
    }
    out
}

async fn personas(server: &Server, section: &str) -> String {
    let mut out = String::new();
    for (persona, view) in expectation()[section]["personas"].as_object().unwrap() {
        let who = Who::of(&view["token"]);
        let purpose = who.purpose.clone().unwrap();
        out.push_str(&format!(
            "{persona}, {purpose}\n{}\n",
            table(server, section, &who).await
        ));
    }
    out
}

#[tokio::test]
async fn the_fixtures_personas_see_what_was_reviewed() {
    let server = Server::start().await;
    insta::assert_snapshot!("maya", personas(&server, "maya").await);
    insta::assert_snapshot!("elena", personas(&server, "elena").await);
}

#[tokio::test]
async fn others_see_what_was_reviewed() {
    let server = Server::start().await;
    let mut out = String::new();
    for (name, who) in others() {
        out.push_str(&format!("{name}\n{}\n", table(&server, "maya", &who).await));
    }
    insta::assert_snapshot!("others", out);
}

#[tokio::test]
async fn a_clinical_household_sees_what_was_reviewed() {
    let clinical = || {
        Start::default()
            .with("policy.household", "clinical")
            .with("policy.household_basis", "a contract")
    };
    let server = clinical().go().await;
    let mut out = String::new();
    for (persona, view) in expectation()["maya"]["household_clinical"]
        .as_object()
        .unwrap()
    {
        let who = Who::of(&view["token"]);
        out.push_str(&format!(
            "{persona}\n{}\n",
            table(&server, "maya", &who).await
        ));
        let token = server.token(&who).await;
        let (forbidden, references) = (
            texts(&view["forbidden_markers"]),
            texts(&view["forbidden_references"]),
        );
        for (list, status) in [("sees", 200), ("must_not_see", 404)] {
            for key in texts(&view[list]) {
                let reply = server.get(&key, &token).await;
                assert_eq!(reply.status, status, "{persona} {key}");
                let all = reply.whole();
                for word in &forbidden {
                    assert!(!all.contains(word.as_str()), "{persona}: {word} in {key}");
                }
                for hidden in &references {
                    assert!(
                        !all.contains(&format!("{hidden}\"")),
                        "{persona}: {hidden} in {key}"
                    );
                }
            }
        }
    }
    insta::assert_snapshot!("clinical", out);
}
