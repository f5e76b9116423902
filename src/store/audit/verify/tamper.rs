//! Every way to meddle with the log that `verify` must find, and where.

use super::{Broken, VerifyError, What};
use crate::{
    gate::Journal as _,
    store::audit::{
        body, chain, head,
        log::tests::{Fixture, entry},
        place::Place,
    },
};
use rusqlite::Connection;
use std::fs;

const INDEXED: bool = true;
const BARE: bool = false;

/// Chains 1 and 2 of four entries each, chain 3 of none; searched, so that the index is there, or not.
async fn log(indexed: bool) -> Fixture {
    let fixture = Fixture::new();
    for _ in 0..2 {
        let log = fixture.open();
        for number in 0..4 {
            log.record(entry(number)).await.unwrap();
        }
    }
    let log = fixture.open();
    if indexed {
        log.search(Default::default()).await.unwrap();
    }
    drop(log);
    fixture
}

fn meddle(fixture: &Fixture, sql: &str) {
    let connection = Connection::open(fixture.file()).unwrap();
    connection.execute_batch(sql).unwrap();
}

fn broken(fixture: &Fixture) -> (i64, i64, What) {
    match fixture.verify() {
        Err(VerifyError::Broken(Broken { chain, seq, what })) => (chain, seq, what),
        other => panic!("not found: {other:?}"),
    }
}

/// What `verify` says after `sql`.
async fn after(sql: &str) -> (i64, i64, What) {
    let fixture = log(BARE).await;
    meddle(&fixture, sql);
    broken(&fixture)
}

#[tokio::test]
async fn an_untouched_log_is_whole() {
    for indexed in [INDEXED, BARE] {
        let verified = log(indexed).await.verify().unwrap();
        assert_eq!((verified.chains, verified.entries), (3, 8));
    }
}

#[tokio::test]
async fn an_altered_entry_is_found() {
    for change in [
        "body = replace(body, 'ehr', 'ehs')",
        "body = CAST(body || ' ' AS BLOB)",
        "at = at + 1",
        "at = 'never'",
        "hash = zeroblob(32)",
        "previous = zeroblob(32)",
        "body = 7",
    ] {
        let sql = format!("UPDATE audit_entry SET {change} WHERE chain = 1 AND seq = 2");
        assert_eq!(after(&sql).await, (1, 2, What::Altered), "{change}");
    }
}

#[tokio::test]
async fn a_removed_entry_is_found() {
    for seq in 1..4 {
        let sql = format!("DELETE FROM audit_entry WHERE chain = 2 AND seq = {seq}");
        assert_eq!(after(&sql).await, (2, seq, What::Missing));
    }
}

#[tokio::test]
async fn a_removed_entry_whose_gap_was_closed_is_found() {
    let sql = "DELETE FROM audit_entry WHERE chain = 1 AND seq = 2;
               UPDATE audit_entry SET seq = seq - 1 WHERE chain = 1 AND seq > 2";
    assert_eq!(after(sql).await, (1, 2, What::Altered));
}

#[tokio::test]
async fn entries_that_changed_places_are_found() {
    for (one, other) in [(2, 3), (1, 4)] {
        let numbers = format!(
            "UPDATE audit_entry SET seq = -1 WHERE chain = 1 AND seq = {one};
             UPDATE audit_entry SET seq = {one} WHERE chain = 1 AND seq = {other};
             UPDATE audit_entry SET seq = {other} WHERE seq = -1"
        );
        assert_eq!(after(&numbers).await, (1, one, What::Reordered));
        let ids = format!(
            "UPDATE audit_entry SET id = -1 WHERE id = {one};
             UPDATE audit_entry SET id = {one} WHERE id = {other};
             UPDATE audit_entry SET id = {other} WHERE id = -1"
        );
        assert_eq!(after(&ids).await, (1, one, What::Reordered));
    }
}

#[tokio::test]
async fn an_entry_that_was_put_in_is_found() {
    let sql = "INSERT INTO audit_entry SELECT id + 100, chain, seq + 1, at, previous, hash, body
               FROM audit_entry WHERE chain = 1 AND seq = 4";
    assert_eq!(after(sql).await, (1, 5, What::Altered));
    let elsewhere = "INSERT INTO audit_entry SELECT id + 100, 9, 1, at, previous, hash, body
                     FROM audit_entry WHERE chain = 1 AND seq = 4";
    assert_eq!(after(elsewhere).await, (9, 0, What::ChainMissing));
}

#[tokio::test]
async fn an_entry_that_was_replaced_with_a_fresh_hash_is_found() {
    let fixture = log(BARE).await;
    let connection = Connection::open(fixture.file()).unwrap();
    let forge = |seq: i64| {
        let sql = "SELECT previous FROM audit_entry WHERE chain = 1 AND seq = ?1";
        let previous: Vec<u8> = connection.query_row(sql, [seq], |row| row.get(0)).unwrap();
        let text = body::encode(&entry(seq + 100));
        let hash = chain::entry_hash(Place { chain: 1, seq }, &previous, &text);
        let text = String::from_utf8(text).unwrap();
        let at = entry(seq + 100).at;
        let sql = "UPDATE audit_entry SET body = ?1, hash = ?2, at = ?3
                   WHERE chain = 1 AND seq = ?4";
        connection.execute(sql, (text, hash, at, seq)).unwrap();
    };
    forge(4);
    // The last of its chain: nothing follows, but chain 2 covers it.
    assert_eq!(broken(&fixture), (1, 4, What::Altered));
    forge(2);
    assert_eq!(broken(&fixture), (1, 3, What::Unlinked));
}

#[tokio::test]
async fn a_chain_that_was_cut_short_is_found() {
    let fixture = log(BARE).await;
    meddle(
        &fixture,
        "DELETE FROM audit_entry WHERE chain = 1 AND seq > 2",
    );
    assert_eq!(broken(&fixture), (1, 3, What::Truncated));
    // The later chain knows it without the marks, too.
    fs::remove_file(fixture.folder.path().join(head::FILE)).unwrap();
    assert_eq!(broken(&fixture), (1, 3, What::Truncated));
}

#[tokio::test]
async fn the_newest_tail_is_kept_by_its_mark_only() {
    let fixture = Fixture::new();
    let log = fixture.open();
    for number in 0..4 {
        log.record(entry(number)).await.unwrap();
    }
    drop(log);
    meddle(&fixture, "DELETE FROM audit_entry WHERE seq > 2");
    assert_eq!(broken(&fixture), (1, 3, What::Truncated));
    fs::remove_file(fixture.folder.path().join(head::FILE)).unwrap();
    assert_eq!(fixture.verify().unwrap().entries, 2);
}

#[tokio::test]
async fn a_removed_chain_is_found() {
    for chain in 1..=3 {
        let sql = format!(
            "DELETE FROM audit_entry WHERE chain = {chain};
             DELETE FROM audit_link WHERE chain = {chain};
             DELETE FROM audit_chain WHERE id = {chain}"
        );
        assert_eq!(after(&sql).await, (chain, 0, What::ChainMissing));
        let entries = format!("DELETE FROM audit_entry WHERE chain = {chain}");
        if chain < 3 {
            assert_eq!(after(&entries).await, (chain, 1, What::Truncated));
        }
    }
}

#[tokio::test]
async fn an_altered_chain_row_or_link_is_found() {
    for change in [
        "node = 'x'",
        "boot = 'x'",
        "started = 6",
        "genesis = zeroblob(32)",
    ] {
        let sql = format!("UPDATE audit_chain SET {change} WHERE id = 2");
        assert_eq!(after(&sql).await, (2, 0, What::Altered), "{change}");
    }
    let links = "DELETE FROM audit_link WHERE chain = 2";
    assert_eq!(after(links).await, (2, 0, What::Altered));
    let hash = "UPDATE audit_link SET hash = zeroblob(32) WHERE chain = 3";
    assert_eq!(after(hash).await, (3, 0, What::Altered));
}

#[tokio::test]
async fn an_altered_search_index_is_found() {
    for (sql, place) in [
        ("DELETE FROM audit_patient WHERE id = 6", (2, 2)),
        (
            "UPDATE audit_patient SET patient = 'Patient/x' WHERE id = 6",
            (2, 2),
        ),
        (
            "INSERT INTO audit_patient VALUES ('Patient/x', 1000000, 6)",
            (2, 2),
        ),
        (
            "INSERT INTO audit_patient VALUES ('Patient/x', 0, 99)",
            (0, 0),
        ),
        ("DELETE FROM audit_event WHERE id = 1", (1, 1)),
        ("UPDATE audit_event SET client = NULL WHERE id = 1", (1, 1)),
        ("UPDATE audit_event SET at = 9 WHERE id = 1", (1, 1)),
        ("UPDATE audit_projection SET upto = 7", (0, 0)),
    ] {
        let fixture = log(INDEXED).await;
        meddle(&fixture, sql);
        let (chain, seq) = place;
        assert_eq!(broken(&fixture), (chain, seq, What::Index), "{sql}");
    }
}

#[tokio::test]
async fn a_file_that_is_none_is_no_log() {
    let fixture = Fixture::new();
    let unreadable = fixture.verify();
    assert!(matches!(unreadable, Err(VerifyError::Unreadable(_))));
}
