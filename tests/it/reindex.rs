//! `confide reindex`: the search index comes back from the records, with its labels, while the server runs.

use crate::harness::{Room, Server, Start, Who};
use confide::store::engine::Engine;
use serde_json::json;
use std::path::Path;

const TABLES: [&str; 8] = [
    "index_token",
    "index_date",
    "index_string",
    "index_reference",
    "index_uri",
    "index_number",
    "index_text",
    "part",
];

/// Rows and, all added up, their labels and where they stand.
fn index(room: &Room, data: &Path) -> Vec<(&'static str, i64, i64)> {
    let number = |sql: String| room.number(data, &sql).unwrap();
    TABLES
        .into_iter()
        .map(|table| {
            let rows = number(format!("SELECT count(*) FROM {table}"));
            let labels = "labels * 7 + conditional * 5 + protected * 3 + c_protected";
            let sum = match table {
                "part" => labels.to_owned(),
                _ => format!("{labels} + rid * (param % 1009) + kind + place"),
            };
            let sql = format!("SELECT CAST(COALESCE(sum({sum}), 0) AS BIGINT) FROM {table}");
            (table, rows, number(sql))
        })
        .collect()
}

fn inside() -> serde_json::Value {
    json!({ "resourceType": "MedicationRequest", "id": "inside", "status": "active", "intent": "order",
        "subject": { "reference": "Patient/rivera-maya" },
        "contained": [{ "resourceType": "Medication", "id": "med",
            "code": { "coding": [{ "system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J45.909" }] } }],
        "medicationReference": { "reference": "#med" } })
}

async fn start() -> Server {
    Start::default().import(&[inside()]).go().await
}

/// What some searches by those who may not see all say.
async fn answers(server: &Server) -> Vec<String> {
    let mut all = Vec::new();
    for persona in ["subscriber", "representative", "plan", "provider"] {
        let token = server.token(&Who::persona("maya", persona)).await;
        for query in [
            "Condition?patient=rivera-maya&_total=accurate",
            "Encounter?patient=rivera-maya&reason-code:missing=false&_total=accurate",
            "ExplanationOfBenefit?patient=rivera-maya&_sort=-created&_total=accurate",
            "Medication?_contained=true&_total=accurate",
        ] {
            let reply = server.get(query, &token).await;
            assert_eq!(reply.status, 200);
            all.push(format!("{persona} {query} {}", reply.text()));
        }
    }
    all
}

fn whole(store: &Engine) -> (u64, usize) {
    let (mut records, mut pieces) = (0, 0);
    loop {
        let piece = store.reindex(false).unwrap();
        records += piece.records;
        pieces += 1;
        if piece.is_done {
            return (records, pieces);
        }
    }
}

#[tokio::test]
async fn a_damaged_index_comes_back_as_it_was_and_shows_nothing_hidden_meanwhile() {
    let server = start().await;
    let (room, data) = (server.room(), server.data.clone());
    let before = index(room, &data);
    let said = answers(&server).await;
    let store = room.open(&data);
    for table in TABLES {
        room.alter(&data, &format!("DELETE FROM {table} WHERE rid % 2 = 0"));
    }
    // A record that lost its labels here would show: rows that never were are gone as well.
    room.alter(&data, "UPDATE index_date SET low = low + 1, labels = 0");
    assert_ne!(index(room, &data), before);
    assert_ne!(answers(&server).await, said);
    let (records, pieces) = whole(&store);
    assert!(records > 2000 && pieces > 8, "{records} {pieces}");
    assert_eq!(index(room, &data), before);
    assert_eq!(answers(&server).await, said);
    // Of a whole index each piece changes nothing that anybody is told.
    for _ in 0..3 {
        assert!(!store.reindex(false).unwrap().is_done);
        assert_eq!(answers(&server).await, said);
    }
    assert_eq!(index(room, &data), before);
}

#[tokio::test]
async fn what_was_interrupted_goes_on_where_it_stopped() {
    let server = start().await;
    let (room, data) = (server.room(), server.data.clone());
    let store = room.open(&data);
    let (all, _) = whole(&store);
    assert!(store.is_index_current().unwrap());
    let first = store.reindex(false).unwrap();
    assert!(!first.is_done && first.records < all);
    drop(store);
    let store = room.open(&data);
    let (rest, _) = whole(&store);
    assert_eq!(first.records + rest, all);
    // From the first again, where that is asked for, and where another program had begun.
    assert_eq!(store.reindex(false).unwrap().records, first.records);
    assert_eq!(store.reindex(true).unwrap().records, first.records);
    assert_eq!(whole(&store).0, all - first.records);
    store.reindex(false).unwrap();
    room.alter(&data, "UPDATE index_made SET next = 'another'");
    assert_eq!(whole(&store).0, all);
}

#[tokio::test]
async fn an_index_of_an_earlier_program_is_told_and_made_again() {
    let server = start().await;
    let (room, data) = (server.room(), server.data.clone());
    let before = index(room, &data);
    let ran = |arguments: &[&str]| {
        let ran = crate::harness::program()
            .args(arguments)
            .current_dir(&data)
            .env("CONFIDE_DATA_DIR", &data)
            .envs(room.environment())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.code().unwrap(), text)
    };
    let (_, told) = ran(&["doctor"]);
    assert!(told.contains("ok    search index"), "{told}");
    // As it was when nobody looked into records, and kept no note of it.
    let token = server.token(&Who::ehr()).await;
    let query = "Medication?_contained=true&code=J45.909";
    assert_eq!(
        server.get(query, &token).await.keys(),
        ["MedicationRequest/inside"]
    );
    for table in TABLES.iter().filter(|table| **table != "part") {
        room.alter(&data, &format!("DELETE FROM {table} WHERE place >= 65536"));
    }
    room.alter(&data, "DELETE FROM index_made");
    assert!(server.get(query, &token).await.keys().is_empty());
    let (code, told) = ran(&["doctor"]);
    assert!(
        code == 1 && told.contains("MEND  search index") && told.contains("confide reindex"),
        "{told}"
    );
    let (code, told) = ran(&["reindex"]);
    assert!(code == 0 && told.contains("indexed again"), "{told}");
    assert_eq!(
        server.get(query, &token).await.keys(),
        ["MedicationRequest/inside"]
    );
    assert_eq!(index(room, &data), before);
    let (_, told) = ran(&["doctor"]);
    assert!(told.contains("ok    search index"), "{told}");
    let auditor = server.token(&Who::persona("maya", "auditor")).await;
    let log = server.get("AuditEvent?_count=20", &auditor).await;
    assert!(log.text().contains("reindex"), "{}", log.text());
}

#[test]
fn a_store_without_records_has_no_index_of_an_earlier_program() {
    let (room, folder) = (Room::new(), tempfile::tempdir().unwrap());
    let store = room.open(folder.path());
    assert!(store.is_index_current().unwrap());
    let done = store.reindex(false).unwrap();
    assert!(done.is_done && done.records == 0);
    room.alter(folder.path(), "UPDATE index_made SET made = 'older'");
    assert!(room.open(folder.path()).is_index_current().unwrap());
}
