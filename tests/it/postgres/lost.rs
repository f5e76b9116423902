//! Connections that are lost, and transactions that have to give way.

use super::{NOW, batch, wire::Wire};
use crate::harness::{On, Room, Start, Who};
use confide::{
    policy::Settings,
    store::{Batch, StoreError, WriteError, postgres::PostgresStore},
};
use reqwest::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_server_answers_503_and_goes_on_when_it_is_back() {
    let wire = Wire::new();
    let start = Start::default().on(On::Postgres).by(wire.at());
    let server = start.go().await;
    let ehr = server.token(&Who::ehr()).await;
    let read = async || server.get("Patient/rivera-maya", &ehr).await;
    let write = async |id: &str| {
        let record = json!({"resourceType": "Condition", "id": id, "code": {"text": "x"},
            "subject": {"reference": "Patient/rivera-maya"}});
        server.put(&ehr, &record).await
    };
    let ready = async || {
        server
            .send(Method::GET, "/readyz", &[], vec![])
            .await
            .status
    };
    let whole = read().await;
    assert_eq!(
        (whole.status, write("one").await.status, ready().await),
        (200, 201, 200)
    );

    // Connections that nobody used are found dead and made anew: nobody notices.
    wire.shake();
    assert_eq!(read().await.text(), whole.text());
    wire.shake();
    assert_eq!(write("two").await.status, 201);

    wire.cut();
    for _ in 0..3 {
        for away in [
            read().await,
            write("three").await,
            server.get("Condition?_id=x", &ehr).await,
        ] {
            assert_eq!(away.status, 503, "{}", away.whole());
            assert!(!away.header("retry-after").is_empty(), "{}", away.whole());
            assert_eq!(away.json()["resourceType"], "OperationOutcome");
            for told in ["postgres", "127.0.0.1", "SELECT"] {
                assert!(!away.whole().contains(told), "{}", away.whole());
            }
        }
    }
    assert_eq!(ready().await, 503);

    wire.mend();
    assert_eq!(read().await.text(), whole.text());
    assert_eq!(ready().await, 200);
    assert_eq!(server.get("Condition/three", &ehr).await.status, 404);
    assert_eq!(write("three").await.status, 201);
}

/// PostgreSQL ends one of two transactions that can't be put one after the other, or that wait for each
/// other: that write is done again, and not for ever.
#[test]
fn a_write_that_had_to_give_way_is_done_again() {
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let (data, store) = (folder.path(), room.open(folder.path()));
    // A sequence moves whatever becomes of the transaction.
    room.alter(data, "CREATE SEQUENCE tries");
    let record = |id: &str| json!({"resourceType": "Patient", "id": id});
    for (code, ends) in [("40001", 2), ("40P01", 3), ("40001", 1000)] {
        room.alter(data, "ALTER SEQUENCE tries RESTART");
        let function = format!(
            "CREATE OR REPLACE FUNCTION gives_way() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('tries') <= {ends} THEN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END IF; \
             RETURN NEW; END $$"
        );
        room.alter(data, &function);
        room.alter(data, "DROP TRIGGER IF EXISTS gives_way ON record");
        let trigger = "CREATE TRIGGER gives_way BEFORE INSERT ON record FOR EACH ROW EXECUTE FUNCTION gives_way()";
        room.alter(data, trigger);
        let key = format!("{code}-{ends}").to_lowercase();
        let written = store.write_now(batch(&[record(&key)]));
        let tries = room.number(data, "SELECT last_value FROM tries").unwrap();
        if ends < 1000 {
            assert!(written.unwrap().iter().all(|written| written.created));
            assert_eq!(tries, ends + 1);
        } else {
            assert!(matches!(
                written,
                Err(WriteError::Store(StoreError::Away(_)))
            ));
            assert!(tries > 2 && tries < 20, "{tries}");
        }
    }
    assert_eq!(store.totals().unwrap(), [("Patient", 2)]);
}

/// What the database says of a failure names its code and no value.
#[test]
fn a_failure_is_told_without_its_values() {
    let (folder, room) = (tempfile::tempdir().unwrap(), Room::postgres());
    let store = PostgresStore::open(&room.url().unwrap(), 1).unwrap();
    room.alter(
        folder.path(),
        "ALTER TABLE locator ADD CHECK (id <> 'zqsecret')",
    );
    let patient = json!({"resourceType": "Patient", "id": "zqsecret"});
    let failed = store.write_now(batch(&[patient])).unwrap_err();
    let WriteError::Store(StoreError::Away(told)) = &failed else {
        panic!("{failed:?}");
    };
    assert!(
        told.contains("23514") && !told.contains("zqsecret"),
        "{told}"
    );
    let nothing = Batch {
        changes: Vec::new(),
        at: NOW,
        settings: Settings::default(),
        sought: Vec::new(),
        fail_closed: true,
    };
    assert!(store.write_now(nothing).unwrap().is_empty());
}

/// A statement may take as long as a request may, not some time of its own.
#[test]
fn the_databases_time_limit_is_the_requests() {
    let room = Room::postgres();
    let store = PostgresStore::open(&room.url().unwrap(), 1).unwrap();
    let told = |read: &dyn confide::store::session::Session| {
        let sql = "SELECT current_setting('statement_timeout')";
        read.one(sql, &[], |row| row.get::<String>(0))
    };
    for (seconds, shown) in [(7, "7s"), (120, "2min")] {
        store.limit(std::time::Duration::from_secs(seconds));
        assert_eq!(store.ask_now(move |read| told(read)).unwrap(), shown);
    }
}
