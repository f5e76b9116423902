//! `kill -9`: nothing that was acknowledged is lost, nothing is half written, and every reply that
//! was received has its entry. Kills come at observable conditions, never after a time.

use crate::harness::Room;
use confide::{
    calendar::Clock,
    store::audit::{self, AuditLog, Options, Search},
};
use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

const URL: &str = "http://confide.test";

fn confide(place: &Place, arguments: &[&str]) -> Command {
    let data = &place.data;
    let mut command = crate::harness::program();
    command
        .args(arguments)
        .current_dir(data.parent().unwrap())
        .env("CONFIDE_DATA_DIR", data)
        .env("CONFIDE_PUBLIC_URL", URL)
        .env("CONFIDE_LISTEN", "127.0.0.1:0")
        .envs(place.room.environment())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs to the end; standard output.
fn told(place: &Place, arguments: &[&str]) -> String {
    let ran = confide(place, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(ran.status.success(), "{arguments:?}: {}", text(&ran.stderr));
    text(&ran.stdout)
}

/// A data folder in a folder of its own, and where its records are.
struct Place {
    data: PathBuf,
    room: Room,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        Place {
            data: folder.path().join("data"),
            room: Room::new(),
            folder,
        }
    }

    /// How many records are committed; none while the tables are still being made. The connection goes
    /// again, so that nothing of this process is left to recover a file after a kill.
    fn stored(&self) -> i64 {
        let sql = "SELECT count(*) FROM record WHERE deleted = 0";
        self.room.number(&self.data, sql).unwrap_or(0)
    }

    /// Waits until so many records are committed, or the process has ended; whether it still ran.
    fn until_stored(&self, records: i64, running: &mut Running) -> bool {
        loop {
            if running.0.try_wait().unwrap().is_some() {
                return false;
            }
            let begun = self.room.url().is_some() || self.data.join("confide.db").exists();
            if begun && self.stored() >= records {
                return true;
            }
            std::thread::yield_now();
        }
    }
}

fn fixture(name: &str) -> String {
    format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A process that never outlives its test.
struct Running(Child);

impl Running {
    fn kill(&mut self) -> ExitStatus {
        // SIGKILL on Unix; a process that has ended by itself is no error.
        let _ = self.0.kill();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_killed_import_leaves_a_whole_store_and_goes_on_where_it_was() {
    let sources = [
        fixture("households.ndjson"),
        fixture("synthea/nilsen-ollie.json.gz"),
        fixture("synthea/chen-lan.json.gz"),
        fixture("synthea/rivera-maya.json.gz"),
    ];
    let mut import = vec!["import"];
    import.extend(sources.iter().map(String::as_str));

    let clean = Place::new();
    told(&clean, &import);
    let whole = clean.room.tables(&clean.data);
    let all = clean.stored();

    let place = Place::new();
    let data = place.data.clone();
    // Each time further: before anything, in the first files, within the last one. Each import goes on
    // from what the one before it left.
    let mut killed = 0;
    for records in [0, 1, all / 3, all * 2 / 3] {
        let mut running = Running(confide(&place, &import).spawn().unwrap());
        let ran = place.until_stored(records, &mut running);
        let ended = running.kill();
        if ran && !ended.success() {
            killed += 1;
        }
        if place.room.url().is_none() && !data.join("confide.db").exists() {
            continue;
        }
        place.room.open(&data).check().unwrap();
        let left = place.stored();
        assert!(left >= records && left <= all, "{records} {left} {all}");
        if audit::file(&data).exists() {
            told(&place, &["audit", "verify"]);
        }
    }
    assert!(killed > 0, "no kill came before the import's own end");
    let table = told(&place, &import);
    let refused = |line: &str| line.starts_with("refused  ") && line.contains(": ");
    assert!(!table.lines().any(refused), "{table}");
    assert_eq!(place.room.tables(&data), whole);
    assert!(told(&place, &import).contains("(0 new, 0 changed,"));
    told(&place, &["audit", "verify"]);
}

/// A server, and where it listens.
fn serve(place: &Place) -> (Running, String) {
    let mut running = Running(confide(place, &["serve"]).spawn().unwrap());
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    let ready = lines
        .find(|line| line.contains("ready: http://"))
        .expect("the server said that it is ready");
    let (_, at) = ready.split_once("ready: ").unwrap();
    let end = at.find(['"', ' ']).unwrap_or(at.len());
    let at = at[..end].to_owned();
    // What it goes on to say must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (running, at)
}

/// A reply that came in whole.
struct Received {
    request: String,
    status: u16,
    /// The record that it shows.
    record: String,
}

async fn ask(
    http: &reqwest::Client,
    at: &str,
    token: &str,
    number: usize,
) -> Result<Received, reqwest::Error> {
    let asked = if number.is_multiple_of(4) {
        let body = serde_json::json!({
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": "Patient/nilsen-ollie"},
            "valueInteger": number,
        });
        http.post(format!("{at}/fhir/Observation"))
            .header("content-type", "application/fhir+json")
            .body(body.to_string())
    } else {
        http.get(format!("{at}/fhir/Patient/nilsen-ollie"))
    };
    let reply = asked.bearer_auth(token).send().await?;
    let header = |name: &str| {
        let value = reply.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (request, location) = (header("x-request-id").unwrap(), header("location"));
    let status = reply.status().as_u16();
    reply.bytes().await?;
    let record = location.map_or("Patient/nilsen-ollie".into(), |location| {
        let path = location.strip_prefix("http://confide.test/fhir/").unwrap();
        path.split("/_history").next().unwrap().to_owned()
    });
    Ok(Received {
        request,
        status,
        record,
    })
}

/// Asks from many sides, kills the server after so many replies; what came in whole.
async fn storm(mut running: Running, at: &str, token: &str) -> Vec<Received> {
    const REPLIES: usize = 400;
    let http = reqwest::Client::new();
    let received = Arc::new(Mutex::new(Vec::new()));
    let numbers = Arc::new(AtomicUsize::new(0));
    let enough = Arc::new(tokio::sync::Notify::new());
    let asking: Vec<_> = (0..16)
        .map(|_| {
            let (http, at, token) = (http.clone(), at.to_owned(), token.to_owned());
            let (received, numbers) = (received.clone(), numbers.clone());
            let enough = enough.clone();
            tokio::spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let Ok(reply) = ask(&http, &at, &token, number).await else {
                        return;
                    };
                    let mut received = received.lock().unwrap();
                    received.push(reply);
                    if received.len() == REPLIES {
                        enough.notify_one();
                    }
                }
            })
        })
        .collect();
    enough.notified().await;
    running.kill();
    for asking in asking {
        asking.await.unwrap();
    }
    Arc::into_inner(received).unwrap().into_inner().unwrap()
}

/// All entries of a log with their request's id, as `(status, records)`.
async fn entries(data: &Path) -> HashMap<String, Vec<(u16, Vec<String>)>> {
    let log = AuditLog::open(&Options::new(data, "test", Clock::System)).unwrap();
    let mut entries: HashMap<_, Vec<_>> = HashMap::new();
    let mut after = None;
    loop {
        let search = Search {
            count: 500,
            after,
            ..Search::default()
        };
        let page = log.search(search).await.unwrap();
        for found in page.entries {
            let recorded = found.recorded;
            let records = recorded.records.iter();
            let records = records.map(|record| record.key.to_string()).collect();
            let entry = (recorded.status, records);
            entries
                .entry(recorded.request.to_string())
                .or_default()
                .push(entry);
        }
        after = page.next;
        if after.is_none() {
            return entries;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_has_an_entry_for_every_reply_and_every_record_that_it_acknowledged() {
    let place = Place::new();
    let data = place.data.clone();
    let households = fixture("households.ndjson");
    let member = fixture("synthea/nilsen-ollie.json.gz");
    told(&place, &["import", &member, &households]);
    let clients = std::fs::read_to_string(fixture("clients.json")).unwrap();
    let clients: Vec<serde_json::Value> = serde_json::from_str(&clients).unwrap();
    let ehr = clients.iter().find(|c| c["client_id"] == "demo-ehr");
    let file = place.folder.path().join("ehr.json");
    std::fs::write(&file, ehr.unwrap().to_string()).unwrap();
    told(&place, &["client", "add", file.to_str().unwrap()]);
    let words = "token --client demo-ehr --user Practitioner/dr-lee --scope user/*.cruds \
                 --purpose TREAT --ttl 86400";
    let words: Vec<&str> = words.split_whitespace().collect();
    let token = told(&place, &words);
    let token = token.trim();

    let (running, at) = serve(&place);
    let received = storm(running, &at, token).await;
    let created: Vec<_> = received.iter().filter(|r| r.status == 201).collect();
    assert!(created.len() > 40 && received.len() >= created.len() * 2);

    told(&place, &["audit", "verify"]);
    let entries = entries(&data).await;
    for reply in &received {
        assert!([200, 201].contains(&reply.status), "{}", reply.status);
        let of = entries.get(&reply.request).expect("the reply's entry");
        let tells = |(status, records): &(u16, Vec<String>)| {
            *status == reply.status && records.contains(&reply.record)
        };
        assert!(of.iter().any(tells), "{} {of:?}", reply.record);
    }

    let (mut running, at) = serve(&place);
    let http = reqwest::Client::new();
    for reply in created {
        let url = format!("{at}/fhir/{}", reply.record);
        let read = http.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(read.status(), 200, "{}", reply.record);
    }
    running.kill();
    told(&place, &["audit", "verify"]);
}
