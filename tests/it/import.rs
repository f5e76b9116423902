//! `confide import` as a process that can be killed.

use crate::harness::Room;
use confide::store::{audit, engine::Engine};
use std::{
    io::Write,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

const RECORDS: u64 = 6_000;

fn start(folder: &Path, room: &Room) -> Child {
    crate::harness::program()
        .args(["import", "patients.ndjson"])
        .env("CONFIDE_DATA_DIR", "data")
        .envs(room.environment())
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn patients(store: &Engine) -> u64 {
    store.totals().unwrap().iter().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn an_import_that_is_killed_leaves_a_whole_store_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(folder.path().join("patients.ndjson")).unwrap();
    for number in 0..RECORDS {
        writeln!(file, r#"{{"resourceType":"Patient","id":"p{number}"}}"#).unwrap();
    }
    drop(file);
    let data = folder.path().join("data");
    let room = Room::new();
    let store = room.open(&data);
    let mut child = start(folder.path(), &room);
    while patients(&store) == 0 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    store.check().unwrap();
    let kept = patients(&store);
    assert!(
        kept > 0 && kept.is_multiple_of(500),
        "{kept}: batches are whole"
    );
    assert!(!store.is_pending().unwrap());
    assert!(audit::verify(&audit::file(&data)).unwrap().entries > 0);

    assert!(start(folder.path(), &room).wait().unwrap().success());
    assert_eq!(patients(&store), RECORDS);
    audit::verify(&audit::file(&data)).unwrap();
}
