//! Bad input: one clear message, the right status or exit code, nothing half-written, and no value of
//! what was sent in the answer.

use crate::harness::{Reply, Room, Server, Start, Who};
use reqwest::Method;
use std::{
    fs,
    path::{Path, PathBuf},
};

async fn post(server: &Server, token: &str, body: impl Into<Vec<u8>>) -> Reply {
    server
        .write(Method::POST, "Condition", token, &[], body)
        .await
}

fn outcome(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.whole());
    assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    assert!(reply.json()["issue"][0]["diagnostics"].is_string());
    assert!(!reply.whole().contains("zqbad"), "{}", reply.whole());
    assert!(!reply.header("x-request-id").is_empty());
}

const GOOD: &str = r#"{"resourceType":"Condition","subject":{"reference":"Patient/rivera-maya"},"code":{"text":"zqbad"}}"#;

#[tokio::test]
async fn a_body_that_is_no_good_resource_is_400() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    let count = "Condition?patient=Patient/rivera-maya&_summary=count";
    let before = server.get(count, &token).await.json();
    let mut bad: Vec<Vec<u8>> = [
        "",
        "zqbad",
        "[]",
        "null",
        "\"zqbad\"",
        "{}",
        r#"{"resourceType":"Condition","#,
        r#"{"resourceType":"zqbad"}"#,
        r#"{"resourceType":7}"#,
        r#"{"resourceType":"Observation","status":"final"}"#,
        r#"{"resourceType":"Condition","resourceType":"Condition","subject":{"reference":"Patient/x"}}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"code":{"text":"a","text":"zqbad"}}"#,
        r#"{"resourceType":"Condition","subject":"zqbad"}"#,
        r#"{"resourceType":"Condition","subject":{"reference":7}}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"nonsense":1}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"recordedDate":"zqbad"}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"code":[]}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"code":null}"#,
        r#"{"resourceType":"Condition","subject":{"reference":"Patient/x"},"note":{"text":"zqbad"}}"#,
        r#"{"resourceType":"Condition","code":{"text":"zqbad"}}"#,
        r#"{"resourceType":"Condition","id":"zqbad_!","subject":{"reference":"Patient/x"}}"#,
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    bad.push(format!("{GOOD}x").into_bytes());
    bad.push(GOOD.replace("zqbad", "zq\u{0}").into_bytes());
    bad.push(
        [
            b"{\"resourceType\":\"Condition\",\"code\":{\"text\":\"".as_slice(),
            &[0xff, 0xfe],
            b"\"}}",
        ]
        .concat(),
    );
    let deep = [
        format!(
            "{{\"resourceType\":\"Condition\",\"extension\":{}{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        )
        .into_bytes(),
        format!(
            "{{\"resourceType\":\"Condition\",\"extension\":{}1{}}}",
            "[{\"extension\":".repeat(200),
            "}]".repeat(200)
        )
        .into_bytes(),
    ];
    for body in deep {
        outcome(&post(&server, &token, body).await, 413);
    }
    for body in bad {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned();
        let reply = post(&server, &token, body).await;
        assert_eq!(reply.status, 400, "{shown}: {}", reply.whole());
        outcome(&reply, 400);
    }
    let after = server.get(count, &token).await.json();
    assert_eq!(before, after);
    let good = post(&server, &token, GOOD).await;
    assert_eq!(good.status, 201, "{}", good.whole());
}

#[tokio::test]
async fn a_transaction_that_can_not_be_read_is_400_and_writes_nothing() {
    let server = Server::start().await;
    let token = server.token(&Who::ehr()).await;
    for body in [
        "{}",
        r#"{"resourceType":"Condition"}"#,
        r#"{"resourceType":"Bundle","type":"collection"}"#,
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{}]}"#,
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"DELETE","url":"Condition"}}]}"#,
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"OPTIONS","url":"Condition/x"}}]}"#,
        r#"{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Condition","id":"a","subject":{"reference":"urn:uuid:0193c1aa-0000-7000-8000-00000000ffff"}},"request":{"method":"PUT","url":"Condition/a"}}]}"#,
    ] {
        let reply = server.write(Method::POST, "", &token, &[], body).await;
        outcome(&reply, 400);
    }
    assert_eq!(server.get("Condition/a", &token).await.status, 404);
}

#[tokio::test]
async fn sizes_media_and_paths_are_bounded() {
    let server = Start::default()
        .with("limits.body_bytes", "20000")
        .go()
        .await;
    let token = server.token(&Who::ehr()).await;
    let large = GOOD.replace("zqbad", &"zqbad".repeat(10_000));
    outcome(&post(&server, &token, large).await, 413);
    let bearer = format!("Bearer {token}");
    for kind in [
        "text/plain",
        "application/fhir+xml",
        "application/x-www-form-urlencoded",
        "application/fhir+json; charset=latin1",
        "",
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let reply = server
            .send(Method::POST, "/fhir/Condition", &headers, GOOD.into())
            .await;
        outcome(&reply, 415);
    }
    let packed = server
        .write(
            Method::POST,
            "Condition",
            &token,
            &[("content-encoding", "gzip")],
            GOOD,
        )
        .await;
    outcome(&packed, 415);
    for (path, accept) in [
        ("Patient/rivera-maya", "application/fhir+xml"),
        ("Patient/rivera-maya?_format=xml", "*/*"),
        ("metadata", "text/turtle"),
        ("Condition?_format=ttl", "application/fhir+json"),
    ] {
        outcome(
            &server.get_with(path, &token, &[("accept", accept)]).await,
            406,
        );
    }
    for path in [
        "Nonsense/1",
        "Nonsense",
        "patient/rivera-maya",
        "Patient/a_b",
        "Patient/rivera-maya/x",
        "x/y/z/zqbad",
    ] {
        outcome(&server.get(path, &token).await, 404);
    }
    let many = format!("Condition?{}", "code=zqbad&".repeat(200));
    outcome(&server.get(&many, &token).await, 400);
    let long = format!("Condition?code={}", "zqbad".repeat(5000));
    outcome(&server.get(&long, &token).await, 400);
    let wide = format!("Condition?code={}", "a,".repeat(5000));
    let reply = server.get(&wide, &token).await;
    assert!([200, 400].contains(&reply.status), "{}", reply.whole());
    for query in [
        "code:zqbad=1",
        "date=zqbad",
        "_count=-1",
        "_sort=zqbad",
        "_id=zqbad_",
        "onset-date=ge",
        "patient=zqbad/x/y",
        "_lastUpdated=zqbad",
    ] {
        let reply = server.get(&format!("Condition?{query}"), &token).await;
        assert!(
            [200, 400].contains(&reply.status),
            "{query}: {}",
            reply.whole()
        );
        assert_eq!(
            reply.status == 400,
            reply.json()["resourceType"] == "OperationOutcome"
        );
    }
}

/// Any free port; not where a file is to say it.
const FREE: (&str, &str) = ("CONFIDE_LISTEN", "127.0.0.1:0");

struct Ran {
    code: i32,
    out: String,
    error: String,
}

/// The program in a folder of its own, with an environment.
fn confide(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    in_room(None, folder, arguments, environment)
}

fn in_room(
    room: Option<&Room>,
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Ran {
    let ran = crate::harness::program()
        .args(arguments)
        .current_dir(folder)
        .envs(room.map(Room::environment).unwrap_or_default())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran {
        code: ran.status.code().unwrap(),
        out: text(ran.stdout),
        error: text(ran.stderr),
    }
}

fn refused(ran: &Ran, code: i32, words: &[&str]) {
    let told = format!("{} | {}", ran.out, ran.error);
    assert_eq!(ran.code, code, "{told}");
    assert_eq!(ran.error.lines().count(), 1, "{told}");
    for word in words {
        assert!(ran.error.contains(word), "no {word} in {told}");
    }
}

#[test]
fn a_bad_configuration_names_the_file_the_key_and_the_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    for (text, words) in [
        (
            "nonsense = 1",
            &["mine.toml", "nonsense", "unknown key"][..],
        ),
        (
            "[policy]\nhousehold = \"all\"",
            &["mine.toml", "policy.household", "claims"],
        ),
        (
            "[policy]\nhousehold = \"clinical\"",
            &["policy.household_basis"],
        ),
        (
            "[limits]\nbody_bytes = \"much\"",
            &["mine.toml", "limits.body_bytes"],
        ),
        ("listen = \"nowhere\"", &["mine.toml", "listen"]),
        (
            "database_url = \"mysql://secret@x/y\"",
            &["mine.toml", "database_url"],
        ),
        ("listen = ", &["mine.toml"]),
    ] {
        fs::write(&file, text).unwrap();
        for command in [&["serve"][..], &["doctor"], &["import", "x.json"]] {
            let ran = confide(
                folder.path(),
                &[command, &["--config", "mine.toml"]].concat(),
                &[],
            );
            refused(&ran, 2, words);
            assert!(!ran.error.contains("secret"), "{}", ran.error);
        }
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(
        left.len(),
        1,
        "something was made before the configuration was read"
    );
}

#[test]
fn a_busy_port_is_said_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = busy.local_addr().unwrap().to_string();
    let ran = confide(folder.path(), &["serve"], &[("CONFIDE_LISTEN", &at)]);
    refused(&ran, 2, &[&at, "another program uses this port"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Also root can't make a folder below a file.
    fs::write(folder.path().join("file"), "").unwrap();
    for command in [
        &["serve"][..],
        &["import", "file.json"],
        &["client", "list"],
    ] {
        fs::write(folder.path().join("file.json"), "{}").unwrap();
        let ran = confide(
            folder.path(),
            command,
            &[("CONFIDE_DATA_DIR", "file/data"), FREE],
        );
        refused(&ran, 2, &["file/data"]);
    }
}

/// A data folder as `confide import` leaves it.
fn made(folder: &Path) -> PathBuf {
    let file = folder.join("one.json");
    fs::write(&file, r#"{"resourceType":"Patient","id":"one"}"#).unwrap();
    let ran = confide(folder, &["import", "one.json"], &[]);
    assert_eq!(ran.code, 0, "{} {}", ran.out, ran.error);
    folder.join("confide-data")
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = made(folder.path());
    for (file, word) in [("confide.db", "newer"), ("audit.db", "1000")] {
        let path = data.join(file);
        let store = rusqlite::Connection::open(&path).unwrap();
        let version: i64 = store
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        store.pragma_update(None, "user_version", 1000).unwrap();
        let ran = confide(folder.path(), &["serve"], &[FREE]);
        refused(&ran, 2, &[file, word]);
        store.pragma_update(None, "user_version", version).unwrap();
    }
}

#[test]
fn a_damaged_store_is_told_and_its_content_is_not() {
    for file in ["confide.db", "audit.db", "clients.db"] {
        let folder = tempfile::tempdir().unwrap();
        let data = made(folder.path());
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(data.join(format!("{file}{end}")));
        }
        fs::write(data.join(file), "zqbad, no database at all. ".repeat(400)).unwrap();
        let ran = confide(folder.path(), &["serve"], &[FREE]);
        refused(&ran, 1, &[file]);
        assert!(!ran.error.contains("zqbad"), "{}", ran.error);
    }
}

#[test]
fn an_import_tells_what_it_refuses_and_keeps_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"resourceType":"Patient","id":"a","name":[{"family":"zqbad"}]}"#,
        r#"{"resourceType":"Patient","id":"b","name":"zqbad"}"#,
        r#"{"resourceType":"Patient","id":"c""#,
        r#"{"resourceType":"zqbad","id":"d"}"#,
        r#"{"resourceType":"Patient","id":"e"}"#,
    ];
    fs::write(folder.path().join("some.ndjson"), lines.join("\n")).unwrap();
    let room = Room::new();
    let confide = |arguments: &[&str]| in_room(Some(&room), folder.path(), arguments, &[]);
    let ran = confide(&["import", "some.ndjson"]);
    assert_eq!(ran.code, 1, "{} {}", ran.out, ran.error);
    for line in [2, 3, 4] {
        assert!(
            ran.out.contains(&format!("some.ndjson:{line}")),
            "{}",
            ran.out
        );
    }
    assert!(
        ran.out.contains("2 new") && !ran.out.contains("zqbad"),
        "{}",
        ran.out
    );
    let again = confide(&["import", "some.ndjson"]);
    assert!(
        again.code == 1 && again.out.contains("2 unchanged"),
        "{}",
        again.out
    );
    let missing = confide(&["import", "none.ndjson"]);
    refused(&missing, 2, &["none.ndjson"]);
}
