//! A server in this process on a free port, over a copy of the loaded fixtures, at a fixed time.

mod reply;
mod room;
mod start;
mod who;

pub use reply::Reply;
pub use room::{On, Room, listens};
pub use start::{Start, template};
pub use who::Who;

use confide::{
    authn::{Client, Registry as _},
    calendar::Clock,
    cli::{
        import::Source,
        open::{self, Opened},
        serve,
    },
    config::Config,
    http::Api,
    smart::Order,
};
use reply::joined;
use reqwest::Method;
use serde_json::Value;
use std::{
    fs,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::OnceLock,
};
use tokio::{sync::oneshot, task::JoinHandle};

/// The fixtures' reference date, 2026-11-24T12:00:00Z.
pub const NOW: i64 = 1_795_521_600_000_000;

/// The base that every server of the tests believes to have, so that two of them say the same.
pub const PUBLIC: &str = "http://confide.test";

/// A folder of the fixtures.
pub fn fixtures(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fixtures").join(name)
}

/// A JSON file of the fixtures.
pub fn fixture(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixtures(name)).unwrap()).unwrap()
}

/// What each persona must and must not see.
pub fn expectation() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| fixture("expectation.json"))
}

/// Runs a future to its end on this thread: those of SQLite wait for nothing, those of PostgreSQL for a
/// thread of the store.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut waker = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut waker) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

/// The program. What the tests are told by the environment is not for it: it refuses what it doesn't know.
pub fn program() -> std::process::Command {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_confide"));
    for name in ["CONFIDE_TEST_DATABASE", "CONFIDE_CASES", "CONFIDE_SEED"] {
        program.env_remove(name);
    }
    program
}

/// All records of the fixtures: the Bundles, then the hand-made records.
pub fn originals() -> &'static [Value] {
    static READ: OnceLock<Vec<Value>> = OnceLock::new();
    READ.get_or_init(|| {
        let mut all = Vec::new();
        let mut bundles: Vec<_> = fs::read_dir(fixtures("synthea"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        bundles.sort();
        for path in bundles {
            let file = fs::File::open(path).unwrap();
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(file)
                .read_to_end(&mut text)
                .unwrap();
            all.push(serde_json::from_slice(&text).unwrap());
        }
        let lines = fs::read_to_string(fixtures("households.ndjson")).unwrap();
        all.extend(
            lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()),
        );
        all
    })
}

/// The record of this name.
pub fn record(key: &str) -> Value {
    let (kind, id) = key.split_once('/').unwrap();
    let is = |r: &&Value| r["resourceType"] == kind && r["id"] == id;
    let mut all = originals().iter().flat_map(|record| {
        let entries = record["entry"].as_array().into_iter().flatten();
        entries.map(|e| &e["resource"]).chain([record])
    });
    let found = all.find(is);
    found
        .unwrap_or_else(|| panic!("no {key} in the fixtures"))
        .clone()
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().cloned().unwrap_or_default();
    items
        .iter()
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

/// The fixtures' sources.
pub fn sources() -> Vec<Source> {
    let mut files: Vec<PathBuf> = fs::read_dir(fixtures("synthea"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.push(fixtures("households.ndjson"));
    files.into_iter().map(Source::file).collect()
}

/// What a server leaves when it stops: there until this is dropped.
pub struct Kept {
    room: Room,
    _folder: tempfile::TempDir,
}

/// A running server.
pub struct Server {
    /// Its data folder.
    pub data: PathBuf,
    /// Its parts.
    pub api: Api,
    at: SocketAddr,
    client: reqwest::Client,
    config: Config,
    kept: Kept,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// Over the fixtures, with defaults.
    pub async fn start() -> Server {
        Start::default().go().await
    }

    async fn serve(kept: Kept, config: Config, opened: Opened) -> Server {
        let listener = serve::bind(&config).await.unwrap();
        let at = listener.local_addr().unwrap();
        let api = serve::api(&config, opened).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = {
            let (config, api) = (config.clone(), api.clone());
            tokio::spawn(async move {
                let until = async {
                    let _ = stopped.await;
                };
                let base = config.base();
                let routes = |mount| serve::routes(mount, &api, &base);
                let checks = serve::checks(&api);
                let served = serve::serve(&config, listener, checks, routes, until);
                served.await.unwrap();
            })
        };
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Server {
            data: config.data_dir.clone(),
            api,
            at,
            client,
            config,
            kept,
            stop,
            serving,
        }
    }

    /// Where its records are.
    pub fn room(&self) -> &Room {
        &self.kept.room
    }

    /// Stops it; its records are there until the answer is dropped.
    pub async fn stop(self) -> (Kept, Config) {
        let _ = self.stop.send(());
        drop(self.client);
        self.serving.await.unwrap();
        (self.kept, self.config)
    }

    /// Stops it and starts another over the same data.
    pub async fn restart(self) -> Server {
        self.restart_at(NOW).await
    }

    /// The same at another time.
    pub async fn restart_at(self, now: i64) -> Server {
        let (kept, config) = self.stop().await;
        let opened = open::open(&config, Clock::At(now)).unwrap();
        Server::serve(kept, config, opened).await
    }

    /// A token as `confide token` prints it.
    pub async fn token(&self, who: &Who) -> String {
        let order = Order {
            client: &who.client,
            user: who.user.as_deref(),
            patient: who.patient.as_deref(),
            scope: &who.scope,
            purpose: who.purpose.as_deref(),
            reason: who.reason.as_deref(),
            ttl: if who.reason.is_some() { 600 } else { 86_400 },
        };
        let issued = self.api.smart().issue(&order).await;
        issued.unwrap_or_else(|e| panic!("{who:?}: {e}")).token
    }

    /// Registers a client with this metadata.
    pub async fn register(&self, metadata: &Value) {
        let (client, _) = Client::register(metadata.to_string().as_bytes()).unwrap();
        let registry = &self.api.parts().registry;
        registry.add_client(client).await.unwrap();
    }

    /// Sends what is asked; `path` begins below the host.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let url = format!("http://{}{path}", self.at);
        let mut request = self.client.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = joined(response.headers());
        let body = response.bytes().await.unwrap().to_vec();
        Reply {
            status,
            headers,
            body,
        }
    }

    /// GET below the FHIR base.
    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.get_with(path, token, &[]).await
    }

    /// GET with further headers.
    pub async fn get_with(&self, path: &str, token: &str, more: &[(&str, &str)]) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        let path = format!("/fhir/{path}");
        self.send(Method::GET, &path, &headers, Vec::new()).await
    }

    /// POST or PUT of a resource below the FHIR base.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        token: &str,
        more: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/fhir+json"),
        ];
        headers.extend(more);
        let path = match path {
            "" => "/fhir".to_owned(),
            path => format!("/fhir/{path}"),
        };
        self.send(method, &path, &headers, body.into()).await
    }

    /// PUT of a resource to its own place.
    pub async fn put(&self, token: &str, resource: &Value) -> Reply {
        let (kind, id) = (resource["resourceType"].as_str(), resource["id"].as_str());
        let path = format!("{}/{}", kind.unwrap(), id.unwrap());
        self.write(Method::PUT, &path, token, &[], resource.to_string())
            .await
    }

    /// POST of a resource.
    pub async fn post(&self, path: &str, token: &str, resource: &Value) -> Reply {
        self.write(Method::POST, path, token, &[], resource.to_string())
            .await
    }

    /// A search by form.
    pub async fn search(&self, kind: &str, token: &str, form: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let path = format!("/fhir/{kind}/_search");
        self.send(Method::POST, &path, &headers, form.into()).await
    }

    /// All pages that begin with `path`.
    pub async fn pages(&self, path: &str, token: &str) -> Vec<Reply> {
        let mut all = vec![self.get(path, token).await];
        while let Some(next) = all.last().and_then(Reply::next) {
            all.push(self.get(&next, token).await);
            assert!(all.len() < 1000, "{path} never ends");
        }
        all
    }
}
