//! What is hidden is as what never was: ghosts, and faces that stand still.

use crate::harness::{NOW, PUBLIC, Reply, Server, Who, expectation, fixtures, record, texts};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;

/// Everything but the path's own id, which a ghost can't share.
fn same(hidden: &Reply, ghost: &Reply) -> bool {
    hidden.whole() == ghost.whole()
}

#[tokio::test]
async fn a_hidden_record_is_read_as_one_that_never_was() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for section in ["maya", "elena", "daniel"] {
        for (persona, view) in expectation()[section]["personas"].as_object().unwrap() {
            let token = server.token(&Who::of(&view["token"])).await;
            for key in texts(&view["must_not_see"]) {
                let (kind, _) = key.split_once('/').unwrap();
                let ghost = server.get(&format!("{kind}/never-was"), &token).await;
                let hidden = server.get(&key, &token).await;
                let bearer = format!("Bearer {token}");
                let headers = [("authorization", bearer.as_str())];
                let mut heads = Vec::new();
                for path in [format!("/fhir/{key}"), format!("/fhir/{kind}/never-was")] {
                    heads.push(
                        server
                            .send(Method::HEAD, &path, &headers, Vec::new())
                            .await
                            .whole(),
                    );
                }
                assert_eq!(heads[0], heads[1]);
                if !same(&hidden, &ghost) {
                    wrong.push(format!(
                        "{section}/{persona} {key}\n{}\n{}",
                        hidden.whole(),
                        ghost.whole()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_hidden_patient_has_the_everything_of_one_who_never_was() {
    let server = Server::start().await;
    for (section, persona) in [
        ("maya", "subscriber"),
        ("maya", "member"),
        ("elena", "plan"),
        ("maya", "auditor"),
    ] {
        let token = server.token(&Who::persona(section, persona)).await;
        let ghost = server.get("Patient/never-was/$everything", &token).await;
        assert_eq!(ghost.status, 404);
        for hidden in ["Patient/okafor-tobi", "Patient/chen-lan"] {
            let reply = server.get(&format!("{hidden}/$everything"), &token).await;
            assert!(
                same(&reply, &ghost),
                "{section}/{persona}: {}",
                reply.whole()
            );
        }
    }
}

#[tokio::test]
async fn who_may_not_write_learns_nothing_of_an_id() {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    let maya = &expectation()["maya"]["personas"];
    for (persona, view) in maya.as_object().unwrap() {
        let token = server.token(&Who::of(&view["token"])).await;
        for key in [
            "Encounter/maya-mh-encounter",
            "DocumentReference/maya-therapy-note",
            "Consent/maya-ccr",
            "Consent/lan-ccr",
            "Patient/okafor-tobi",
        ] {
            let (kind, id) = key.split_once('/').unwrap();
            let mut tried = Vec::new();
            for id in [id, "never-was"] {
                let body = format!("{{\"resourceType\":\"{kind}\",\"id\":\"{id}\"}}");
                let path = format!("{kind}/{id}");
                for condition in [&[][..], &[("if-match", "W/\"1\"")]] {
                    tried.push(
                        server
                            .write(Method::PUT, &path, &token, condition, body.clone())
                            .await,
                    );
                }
                tried.push(server.write(Method::DELETE, &path, &token, &[], "").await);
                tried.push(server.write(Method::PATCH, &path, &token, &[], "[]").await);
            }
            let (hidden, ghost) = tried.split_at(4);
            for (hidden, ghost) in hidden.iter().zip(ghost) {
                if !same(hidden, ghost) {
                    wrong.push(format!(
                        "{persona} {key}\n{}\n{}",
                        hidden.whole(),
                        ghost.whole()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A member who may write Consents about themselves, but no one else's.
#[tokio::test]
async fn a_member_learns_nothing_of_other_consents() {
    let server = Server::start().await;
    server.register(&crate::api::member_app()).await;
    let token = server.token(&crate::api::elena_writes()).await;
    let mut consent = crate::harness::record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    for condition in [&[][..], &[("if-match", "W/\"1\"")]] {
        let mut replies = Vec::new();
        for id in ["lan-ccr", "maya-ccr", "never-was"] {
            consent["id"] = id.into();
            let path = format!("Consent/{id}");
            let body = consent.to_string();
            replies.push(
                server
                    .write(Method::PUT, &path, &token, condition, body)
                    .await,
            );
        }
        assert!(
            same(&replies[0], &replies[2]),
            "{}\n{}",
            replies[0].whole(),
            replies[2].whole()
        );
        assert!(
            same(&replies[1], &replies[2]),
            "{}\n{}",
            replies[1].whole(),
            replies[2].whole()
        );
    }
    let mut outcomes = BTreeSet::new();
    for id in ["lan-ccr", "maya-ccr", "never-was"] {
        consent["id"] = id.into();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": consent, "request": {"method": "PUT", "url": format!("Consent/{id}")}}]});
        outcomes.insert(server.post("", &token, &bundle).await.whole());
    }
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
}

/// A Consent's labels are those of what it names: a member can't ask for another's labels by naming
/// another's records.
#[tokio::test]
async fn a_member_learns_no_labels_by_naming_records_in_a_consent() {
    let server = Server::start().await;
    server.register(&crate::api::member_app()).await;
    let token = server.token(&crate::api::elena_writes()).await;
    let consent = |key: &str| {
        let mut consent = record("Consent/elena-authorizes-daniel");
        consent["status"] = "active".into();
        consent.as_object_mut().unwrap().remove("id");
        consent["provision"]["provision"][0]["data"] =
            json!([{"meaning": "instance", "reference": {"reference": key}}]);
        consent
    };
    let mut outcomes = BTreeSet::new();
    for key in ["Condition/maya-st-condition", "Condition/never-was"] {
        let alone = server.post("Consent", &token, &consent(key)).await;
        assert_eq!(alone.status, 422, "{}", alone.whole());
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": consent(key), "request": {"method": "POST", "url": "Consent"}}]});
        let together = server.post("", &token, &bundle).await;
        outcomes.insert((alone.whole(), together.whole()));
    }
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    let own = consent("Condition/elena-mh-condition");
    let made = server.post("Consent", &token, &own).await;
    assert_eq!(made.status, 201, "{}", made.whole());
}

/// A change of what is hidden in a bill moves nothing that the household sees: not the version, not
/// the time, not the order.
#[tokio::test]
async fn a_change_of_a_hidden_part_moves_nothing_that_is_seen() {
    let server = Server::start().await;
    let daniel = server.token(&Who::persona("maya", "subscriber")).await;
    let maya = server.token(&Who::persona("maya", "member")).await;
    let ehr = server.token(&Who::ehr()).await;
    let key = "ExplanationOfBenefit/maya-eob-2026-08-12";
    let since = "ExplanationOfBenefit?patient=Patient/rivera-maya&_lastUpdated=gt2026-11-24T12:30:00Z&_total=accurate";
    let newest = "ExplanationOfBenefit?patient=Patient/rivera-maya&_sort=-_lastUpdated&_count=100";
    let all = "Patient/rivera-maya/$everything?_count=500";
    let mut before = Vec::new();
    for path in [key, since, newest, all] {
        before.push(server.get(path, &daniel).await.whole());
    }
    let server = server.restart_at(NOW + 3_600_000_000).await;
    // As text: numbers keep their digits.
    let lines = std::fs::read_to_string(fixtures("households.ndjson")).unwrap();
    let bill = lines
        .lines()
        .find(|line| line.contains("\"id\":\"maya-eob-2026-08-12\""));
    let hidden = bill.unwrap().replace("zqmheob0", "another word 0");
    let put = server
        .write(Method::PUT, key, &ehr, &[], hidden.clone())
        .await;
    assert_eq!(put.status, 200, "{}", put.whole());
    let mut note = record("Condition/maya-mh-condition");
    note["note"] = json!([{"text": "another word"}]);
    assert_eq!(server.put(&ehr, &note).await.status, 200);
    for (path, before) in [key, since, newest, all].iter().zip(&before) {
        assert_eq!(&server.get(path, &daniel).await.whole(), before, "{path}");
    }
    assert_eq!(server.get(since, &maya).await.keys(), [key]);
    assert!(server.get(key, &maya).await.text().contains("another word"));
    // A change of what is seen is seen.
    let seen = hidden.replace("\"date\":\"2026-08-12\"", "\"date\":\"2026-08-20\"");
    assert_ne!(seen, hidden);
    let put = server.write(Method::PUT, key, &ehr, &[], seen).await;
    assert_eq!(put.status, 200, "{}", put.whole());
    assert_ne!(server.get(key, &daniel).await.whole(), before[0]);
    assert_eq!(server.get(since, &daniel).await.keys(), [key]);
}

/// A reference is one whether it is relative or absolute: what happened in a hidden Encounter is hidden
/// with it.
#[tokio::test]
async fn an_absolute_reference_hides_as_a_relative_one_does() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let parent = server.token(&Who::persona("maya", "representative")).await;
    let member = server.token(&Who::persona("maya", "member")).await;
    let base = format!("{}/fhir/", PUBLIC);
    for (id, below) in [("near", ""), ("far", base.as_str())] {
        let pulse = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": format!("{below}Patient/rivera-maya")},
            "encounter": {"reference": format!("{below}Encounter/maya-mh-encounter")},
            "effectiveDateTime": "2026-08-11T10:00:00-07:00"});
        let put = server.put(&ehr, &pulse).await;
        assert_eq!(put.status, 201, "{}", put.whole());
        let key = format!("Observation/{id}");
        assert_eq!(server.get(&key, &parent).await.status, 404, "{key}");
        assert_eq!(server.get(&key, &member).await.status, 200, "{key}");
    }
}

/// What an EHR reads and writes back unchanged stays as visible as it was: the labels that its copy
/// carries because of a hidden part do not hide the rest.
#[tokio::test]
async fn a_copy_written_back_hides_no_more_than_before() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    let mut wrong = Vec::new();
    for (persona, keys) in [
        (
            "representative",
            &["CarePlan/maya-care-plan", "List/maya-problem-list"][..],
        ),
        ("subscriber", &["ExplanationOfBenefit/maya-eob-2026-08-12"]),
    ] {
        let eyes = server.token(&Who::persona("maya", persona)).await;
        for key in keys {
            let before = server.get(key, &eyes).await;
            assert_eq!(before.status, 200, "{key}");
            let copy = server.get(key, &ehr).await;
            assert!(copy.text().contains("\"code\":\"R\""), "{}", copy.whole());
            let put = server
                .write(Method::PUT, key, &ehr, &[], copy.text().to_owned())
                .await;
            assert_eq!(put.status, 200, "{}", put.whole());
            let after = server.get(key, &eyes).await;
            if !same(&after, &before) {
                wrong.push(format!("{persona} {key}\n{}", after.whole()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A label of one's own still hides the whole.
    let parent = server.token(&Who::persona("maya", "representative")).await;
    let mut plan = record("CarePlan/maya-care-plan");
    plan["meta"]["security"] = json!([{"code": "STD",
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode"}]);
    assert_eq!(server.put(&ehr, &plan).await.status, 200);
    let key = "CarePlan/maya-care-plan";
    assert_eq!(server.get(key, &parent).await.status, 404);
}

/// Whoever is shown what concerns HIV is not shown every infection.
#[tokio::test]
async fn an_authorization_of_a_narrow_class_opens_no_broader_one() {
    let server = Server::start().await;
    server.register(&crate::api::member_app()).await;
    let elena = server.token(&crate::api::elena_writes()).await;
    let mut consent = record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    let daniel = server.token(&Who::persona("elena", "subscriber")).await;
    let mut seen = Vec::new();
    for code in ["HIV", "PSYTHPN", "OPIOIDUD", "MH"] {
        let mut text = consent.to_string();
        text = text.replace("\"code\":\"MH\"", &format!("\"code\":\"{code}\""));
        let created = server
            .write(Method::POST, "Consent", &elena, &[], text.clone())
            .await;
        assert_eq!(created.status, 201, "{}", created.whole());
        for key in [
            "Condition/elena-st-condition",
            "Condition/elena-mh-condition",
        ] {
            if server.get(key, &daniel).await.status == 200 {
                seen.push((code, key));
            }
        }
    }
    assert_eq!(seen, [("MH", "Condition/elena-mh-condition")]);
}

/// What comes along stands in an order of its own, not in that in which the store first heard of it:
/// it may have from a hidden record.
#[tokio::test]
async fn what_comes_along_tells_nothing_of_who_pointed_first() {
    let server = Server::start().await;
    let ehr = server.token(&Who::ehr()).await;
    for id in ["zz", "aa"] {
        let practitioner = json!({"resourceType": "Practitioner", "id": id, "active": true});
        assert_eq!(server.put(&ehr, &practitioner).await.status, 201, "{id}");
        let seen = json!({"resourceType": "Observation", "id": format!("by-{id}"), "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": "Patient/rivera-maya"},
            "performer": [{"reference": format!("Practitioner/{id}")}],
            "effectiveDateTime": "2026-08-11T10:00:00-07:00"});
        let put = server.put(&ehr, &seen).await;
        assert_eq!(put.status, 201, "{}", put.whole());
    }
    let path = "Observation?_id=by-zz,by-aa&_include=Observation:performer";
    let found = server.get(path, &ehr).await;
    let keys = found.keys();
    let came: Vec<&str> = keys
        .iter()
        .map(String::as_str)
        .filter(|key| key.starts_with("Practitioner/"))
        .collect();
    assert_eq!(came, ["Practitioner/aa", "Practitioner/zz"]);
}
