//! What opens and closes records, and that it does so at once: authorizations, emergencies, grants,
//! relations, requests.

use crate::harness::{Server, Start, Who, expectation, record, texts};
use serde_json::{Value, json};

/// What Daniel reads of Elena's episode that the authorization names, and of the rest.
async fn of_elena(server: &Server, token: &str) -> (Vec<u16>, usize) {
    let when = &expectation()["elena"]["when_active"][0];
    let mut named = Vec::new();
    for key in texts(&when["then_sees"]) {
        named.push(server.get(&key, token).await.status);
    }
    let barred = texts(&when["still_none_of"]);
    let mut rest = 0;
    for known in expectation()["elena"]["records"].as_array().unwrap() {
        let is_bill = known["ref"]
            .as_str()
            .unwrap()
            .starts_with("ExplanationOfBenefit");
        let category = known["category"].as_str().unwrap();
        if barred.iter().any(|barred| barred == category) {
            let reply = server.get(known["ref"].as_str().unwrap(), token).await;
            rest += usize::from(reply.status == 200 && !is_bill);
            for word in texts(&known["markers"]) {
                assert!(!reply.whole().contains(&word), "{word}");
            }
        }
    }
    (named, rest)
}

#[tokio::test]
async fn an_authorization_opens_what_it_names_and_its_revocation_closes_it_at_once() {
    let server = Server::start().await;
    let staff = server.token(&Who::staff()).await;
    let daniel = server.token(&Who::persona("elena", "subscriber")).await;
    let mut consent = record("Consent/elena-authorizes-daniel");
    let before = of_elena(&server, &daniel).await;
    assert_eq!(before, (vec![404; 4], 0));
    consent["status"] = "active".into();
    let put = server.put(&staff, &consent).await;
    assert_eq!(put.status, 200, "{}", put.whole());
    assert_eq!(of_elena(&server, &daniel).await, (vec![200; 4], 0));
    let found = server
        .get(
            "Condition?patient=Patient/rivera-elena&_total=accurate",
            &daniel,
        )
        .await;
    assert_eq!(
        (found.keys(), &found.json()["total"]),
        (vec!["Condition/elena-mh-condition".to_owned()], &json!(1))
    );
    // It is Daniel's alone, and about Elena alone.
    let noah = Who {
        user: Some("Patient/rivera-noah".into()),
        ..Who::persona("elena", "subscriber")
    };
    let noah = server.token(&noah).await;
    assert_eq!(of_elena(&server, &noah).await, (vec![404; 4], 0));
    let maya = server.token(&Who::persona("maya", "subscriber")).await;
    assert_eq!(
        server
            .get("Condition/maya-mh-condition", &maya)
            .await
            .status,
        404
    );
    let server = server.restart().await;
    assert_eq!(of_elena(&server, &daniel).await, (vec![200; 4], 0));
    consent["status"] = "inactive".into();
    assert_eq!(server.put(&staff, &consent).await.status, 200);
    assert_eq!(of_elena(&server, &daniel).await, before);
    let found = server
        .get(
            "Condition?patient=Patient/rivera-elena&_total=accurate",
            &daniel,
        )
        .await;
    assert_eq!(found.json()["total"], 0);
}

#[tokio::test]
async fn an_authorization_gives_nothing_past_its_period() {
    let mut consent = record("Consent/elena-authorizes-daniel");
    consent["status"] = "active".into();
    for provision in ["/provision/period", "/provision/provision/0/period"] {
        *consent.pointer_mut(provision).unwrap() =
            json!({"start": "2026-01-01", "end": "2026-11-22"});
    }
    let server = Start::default().import(&[consent]).go().await;
    let daniel = server.token(&Who::persona("elena", "subscriber")).await;
    assert_eq!(of_elena(&server, &daniel).await, (vec![404; 4], 0));
}

#[tokio::test]
async fn an_emergency_opens_a_part_2_programs_records_to_who_treats() {
    let server = Server::start().await;
    let emergency = Who {
        reason: Some("found unconscious".into()),
        purpose: Some("ETREAT".into()),
        ..Who::persona("elena", "provider")
    };
    let treats = server.token(&Who::persona("elena", "provider")).await;
    let breaks = server.token(&emergency).await;
    for key in [
        "Encounter/elena-su-encounter",
        "MedicationRequest/elena-su-medication",
    ] {
        assert_eq!(server.get(key, &treats).await.status, 404);
        let opened = server.get(key, &breaks).await;
        assert_eq!(opened.status, 200, "{key}");
    }
    // A psychotherapy note stays its author's.
    assert_eq!(
        server
            .get("DocumentReference/maya-therapy-note", &breaks)
            .await
            .status,
        404
    );
    let auditor = server.token(&Who::persona("elena", "auditor")).await;
    let log = server
        .get("AuditEvent?patient=rivera-elena&_count=20", &auditor)
        .await;
    assert!(log.text().contains("found unconscious"), "{}", log.whole());
}

async fn statuses(server: &Server, token: &str, keys: &[&str]) -> Vec<u16> {
    let mut all = Vec::new();
    for key in keys {
        all.push(server.get(key, token).await.status);
    }
    all
}

#[tokio::test]
async fn a_plan_sees_nothing_once_its_grant_has_ended() {
    let server = Server::start().await;
    let plan = server.token(&Who::persona("maya", "plan")).await;
    let ehr = server.token(&Who::staff()).await;
    let keys = [
        "Encounter/maya-rh-encounter",
        "Condition/maya-office-condition",
        "Patient/rivera-maya",
    ];
    assert_eq!(statuses(&server, &plan, &keys).await, [200; 3]);
    let mut task = record("Task/emr-access-coc");
    for (status, answer) in [
        ("completed", 404),
        ("in-progress", 200),
        ("cancelled", 404),
        ("accepted", 200),
        ("failed", 404),
        ("requested", 404),
    ] {
        task["status"] = status.into();
        let put = server.put(&ehr, &task).await;
        assert_eq!(put.status, 200, "{}", put.whole());
        assert_eq!(
            statuses(&server, &plan, &keys).await,
            [answer; 3],
            "{status}"
        );
        let found = server
            .get(
                "Condition?patient=Patient/rivera-maya&_summary=count",
                &plan,
            )
            .await;
        assert_eq!(found.json()["total"] == 0, answer == 404, "{status}");
    }
}

#[tokio::test]
async fn a_representative_ends_with_the_period_and_with_the_authority() {
    let server = Server::start().await;
    let elena = server.token(&Who::persona("maya", "representative")).await;
    let staff = server.token(&Who::staff()).await;
    let keys = ["Condition/maya-office-condition", "Patient/rivera-maya"];
    assert_eq!(statuses(&server, &elena, &keys).await, [200; 2]);
    let person = record("RelatedPerson/elena-for-maya");
    let change = |name: &str, value: Value| {
        let mut changed = person.clone();
        changed[name] = value;
        changed
    };
    for ended in [
        change(
            "period",
            json!({"start": "2026-01-01", "end": "2026-11-22"}),
        ),
        change("period", json!({"start": "2026-11-26"})),
        change("active", json!(false)),
        change("extension", json!([])),
    ] {
        let mut ended = ended;
        if ended["extension"] == json!([]) {
            ended.as_object_mut().unwrap().remove("extension");
        }
        assert_eq!(server.put(&staff, &ended).await.status, 200);
        assert_eq!(statuses(&server, &elena, &keys).await, [404; 2], "{ended}");
        assert_eq!(server.put(&staff, &person).await.status, 200);
        assert_eq!(statuses(&server, &elena, &keys).await, [200; 2]);
    }
}

/// A confidential communications request takes the claims from the household too.
#[tokio::test]
async fn a_request_for_confidential_communications_hides_the_bills_at_once() {
    let server = Server::start().await;
    let staff = server.token(&Who::staff()).await;
    let daniel = server.token(&Who::persona("maya", "subscriber")).await;
    let keys = [
        "ExplanationOfBenefit/maya-eob-2026-09-02",
        "ExplanationOfBenefit/maya-eob-2026-08-12",
    ];
    assert_eq!(statuses(&server, &daniel, &keys).await, [200; 2]);
    let mut request = record("Consent/maya-ccr");
    request["status"] = "active".into();
    let put = server.put(&staff, &request).await;
    assert_eq!(put.status, 200, "{}", put.whole());
    assert_eq!(statuses(&server, &daniel, &keys).await, [404; 2]);
    let bills = "ExplanationOfBenefit?patient=Patient/rivera-maya&_summary=count";
    assert_eq!(server.get(bills, &daniel).await.json()["total"], 0);
    let maya = server.token(&Who::persona("maya", "member")).await;
    assert_eq!(statuses(&server, &maya, &keys).await, [200; 2]);
}

/// The body of a psychotherapy note is its author's; nobody becomes that by pointing at it.
#[tokio::test]
async fn a_note_and_its_body_are_their_authors_alone() {
    let server = Server::start().await;
    let novak = server
        .token(&Who::ehr().user("Practitioner/dr-novak"))
        .await;
    let lee = server.token(&Who::ehr()).await;
    let body = "Binary/maya-therapy-note-binary";
    let keys = ["DocumentReference/maya-therapy-note", body];
    assert_eq!(statuses(&server, &novak, &keys).await, [200; 2]);
    assert_eq!(statuses(&server, &lee, &keys).await, [404; 2]);
    let mut note = record("DocumentReference/maya-therapy-note");
    note["author"][0]["reference"] = "Practitioner/dr-lee".into();
    let mut mine = note.clone();
    mine["id"] = "it-mine".into();
    let put = server.put(&lee, &mine).await;
    assert_eq!(put.status, 201, "{}", put.whole());
    assert_eq!(server.get(body, &lee).await.status, 404);
    // Its author may hand it over, and then has it no more.
    assert_eq!(server.put(&novak, &note).await.status, 200);
    assert_eq!(statuses(&server, &novak, &keys).await, [404; 2]);
    assert_eq!(statuses(&server, &lee, &keys).await, [200; 2]);
}

#[tokio::test]
async fn a_workforce_user_named_as_a_member_is_refused_the_records_of_their_own_coverage() {
    let server = Server::start().await;
    let kin = "Communication?patient=Patient/rivera-maya";
    let stranger = server.token(&Who::staff()).await;
    assert!(!server.get(kin, &stranger).await.keys().is_empty());
    let person = json!({"resourceType": "Person", "id": "daniel-as-person", "link": [
        {"target": {"reference": "Patient/rivera-daniel"}, "assurance": "level3"}]});
    assert_eq!(server.put(&stranger, &person).await.status, 404);
    let made = server.post("Person", &stranger, &person).await;
    assert_eq!(made.status, 201, "{}", made.whole());
    let person = format!("Person/{}", made.json()["id"].as_str().unwrap());
    for user in ["Patient/rivera-daniel", person.as_str()] {
        let kinsman = server.token(&Who::staff().user(user)).await;
        assert!(server.get(kin, &kinsman).await.keys().is_empty(), "{user}");
        let read = server.get("Patient/rivera-maya", &kinsman).await;
        assert_eq!(read.status, 404, "{user}");
        let other = server.get("Patient/okafor-tobi", &kinsman).await;
        assert_eq!(other.status, 200, "{user}");
    }
}
