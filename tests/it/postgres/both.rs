//! The same writes, searches and reads on both engines: the same bodies, totals and order.

use crate::{
    harness::{On, Reply, Start, Who, expectation, originals},
    shapes::shapes,
    twin::bare,
};
use serde_json::Value;

/// A seeded choice.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

/// Records that staff writes again, changed, and new ones beside them.
fn writes() -> Vec<Value> {
    let households: Vec<&Value> = originals()
        .iter()
        .filter(|record| record["resourceType"] != "Bundle")
        .collect();
    let mut chance = Chance(0x0e26_17e5);
    let mut all = Vec::new();
    for number in 0..90 {
        let mut record = households[chance.below(households.len())].clone();
        let kind = record["resourceType"].as_str().unwrap().to_owned();
        if ["AuditEvent", "Consent"].contains(&kind.as_str()) {
            continue;
        }
        match chance.below(3) {
            0 => record["id"] = format!("more-{number}").into(),
            1 => record["language"] = ["en", "es", "fr"][chance.below(3)].into(),
            _ => {
                record["meta"] =
                    serde_json::json!({"profile": [format!("http://x/{}", chance.below(5))]})
            }
        }
        all.push(record);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_answer_the_same() {
    let (one, other) = (
        Start::default().on(On::Sqlite),
        Start::default().on(On::Postgres),
    );
    let (one, other) = (one.go().await, other.go().await);
    let (who, mut written) = ([Who::ehr(), Who::staff()], 0);
    let mut tokens = Vec::new();
    for who in &who {
        tokens.push((one.token(who).await, other.token(who).await));
    }
    for record in writes() {
        let administrative = [
            "Patient",
            "Coverage",
            "RelatedPerson",
            "Organization",
            "Group",
        ];
        let kind = record["resourceType"].as_str().unwrap();
        let (here, there) = &tokens[usize::from(administrative.contains(&kind))];
        let (here, there) = (
            one.put(here, &record).await,
            other.put(there, &record).await,
        );
        assert_eq!(bare(&here), bare(&there), "{record}");
        written += usize::from(here.status < 300);
    }
    assert!(written > 30, "{written}");
    let (mut asked, mut wrong) = (0, Vec::new());
    for (section, persona, every) in [
        ("maya", "member", 5),
        ("maya", "subscriber", 5),
        ("maya", "provider", 3),
        ("maya", "plan", 7),
        ("maya", "representative", 7),
        ("elena", "subscriber", 7),
    ] {
        let who = Who::persona(section, persona);
        let (token, there) = (one.token(&who).await, other.token(&who).await);
        let list = expectation()[section]["records"].as_array().unwrap().iter();
        let records: Vec<String> = list
            .map(|r| r["ref"].as_str().unwrap().to_owned())
            .collect();
        for shape in shapes(&format!("Patient/rivera-{section}"), &records)
            .iter()
            .step_by(every)
        {
            let (here, there) = (
                shape.ask(&one, &token).await,
                shape.ask(&other, &there).await,
            );
            let bare = |replies: &[Reply]| replies.iter().map(bare).collect::<Vec<_>>();
            let (here, there) = (bare(&here), bare(&there));
            asked += 1;
            if here != there {
                let at = here.iter().zip(&there).position(|(a, b)| a != b);
                let at = at.unwrap_or(here.len().min(there.len()));
                let (here, there) = (here.get(at), there.get(at));
                wrong.push(format!(
                    "{persona} {shape:?} page {at}\nSQLITE {here:?}\nPOSTGRES {there:?}"
                ));
            }
        }
    }
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {asked}\n{shown}", wrong.len());
    assert!(asked > 150, "{asked}");
}
