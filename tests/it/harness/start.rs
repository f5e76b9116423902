//! How a server starts: over a copy of the fixtures, which are loaded once.

use super::{Kept, NOW, On, PUBLIC, Room, Server, fixture, sources};
use confide::{
    authn::{Client, Registry as _},
    calendar::Clock,
    cli::{
        import::{self, Source},
        open::{self, Opened},
    },
    config::Config,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// How a server is to start.
#[derive(Debug, Default)]
pub struct Start {
    flags: Vec<(&'static str, String)>,
    sources: Option<Vec<Source>>,
    more: Vec<Source>,
    on: Option<On>,
    by: Option<std::net::SocketAddr>,
}

impl Start {
    /// With a configuration key.
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Start {
        self.flags.push((key, value.into()));
        self
    }

    /// With these records in place of the fixtures.
    pub fn only(mut self, sources: Vec<Source>) -> Start {
        self.sources = Some(sources);
        self
    }

    /// With further records imported before it serves.
    pub fn import(mut self, records: &[Value]) -> Start {
        let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
        let source = Source::bytes("more.ndjson", lines.join("\n").into_bytes());
        self.more.push(source);
        self
    }

    /// On SQLite or on PostgreSQL, whatever the others run on.
    pub fn on(mut self, engine: On) -> Start {
        self.on = Some(engine);
        self
    }

    /// By another address of its database than the usual one.
    pub fn by(mut self, at: std::net::SocketAddr) -> Start {
        self.by = Some(at);
        self
    }

    /// Starts it.
    pub async fn go(self) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let on = self.on.unwrap_or_else(On::chosen);
        let room = if self.sources.is_none() {
            let (from, records) = template(on);
            copy(from, &data);
            Room::like(records)
        } else {
            Room::empty(on)
        };
        let mut flags = self.flags;
        let by = self.by.and_then(|at| room.url_by(at));
        flags.extend(by.map(|url| ("database_url", url)));
        let config = config(&data, &room, &flags);
        let opened = open::open(&config, Clock::At(NOW)).unwrap();
        if let Some(sources) = self.sources {
            fill(&opened, sources).await;
        }
        if !self.more.is_empty() {
            load(&opened, self.more).await;
        }
        let kept = Kept {
            room,
            _folder: folder,
        };
        Server::serve(kept, config, opened).await
    }
}

impl Server {
    /// Another node over the same records, with the same keys and clients and an audit log of its own. It
    /// goes before the first one does.
    pub async fn beside(&self) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(&data).unwrap();
        copy(&self.data.join("keys"), &data.join("keys"));
        for entry in fs::read_dir(&self.data).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("clients.") || name.starts_with("cursor") {
                fs::copy(entry.path(), data.join(name)).unwrap();
            }
        }
        let file = self.data.join("confide.db");
        let url = self.room().url();
        let url = url.unwrap_or_else(|| format!("sqlite://{}", file.display()));
        let room = Room::file();
        let config = config(&data, &room, &[("database_url", url)]);
        let opened = open::open(&config, Clock::At(NOW)).unwrap();
        let kept = Kept {
            room,
            _folder: folder,
        };
        Server::serve(kept, config, opened).await
    }
}

fn config(data: &Path, room: &Room, flags: &[(&'static str, String)]) -> Config {
    let mut all = vec![
        ("data_dir", data.display().to_string()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("public_url", PUBLIC.to_owned()),
    ];
    all.extend(room.url().map(|url| ("database_url", url)));
    all.push(("database_connections", "3".to_owned()));
    all.extend(flags.iter().cloned());
    let file = data.with_extension("toml");
    fs::write(&file, "").unwrap();
    Config::read(Some(&file), [], &all).unwrap()
}

async fn load(opened: &Opened, sources: Vec<Source>) {
    let mut report = ();
    let loading = import::load(opened, sources, import::Options::default(), &mut report);
    let totals = Box::pin(loading).await.unwrap();
    assert_eq!(totals.refused, 0);
}

/// Records and the fixtures' clients.
async fn fill(opened: &Opened, sources: Vec<Source>) {
    load(opened, sources).await;
    for metadata in fixture("clients.json").as_array().unwrap() {
        let (client, _) = Client::register(metadata.to_string().as_bytes()).unwrap();
        opened.registry.add_client(client).await.unwrap();
    }
}

/// The data folder with the fixtures loaded: made once, never served itself.
pub fn template(on: On) -> (&'static Path, &'static Room) {
    static SQLITE: OnceLock<(PathBuf, Room)> = OnceLock::new();
    static POSTGRES: OnceLock<(PathBuf, Room)> = OnceLock::new();
    let (data, room) = match on {
        On::Sqlite => made(&SQLITE, on),
        On::Postgres => made(&POSTGRES, on),
    };
    (data, room)
}

fn made(made: &'static OnceLock<(PathBuf, Room)>, on: On) -> &'static (PathBuf, Room) {
    made.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for old in fs::read_dir(place).unwrap().filter_map(Result::ok) {
            let name = old.file_name().into_string().unwrap_or_default();
            let process = name.strip_prefix("fixtures-");
            if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let folder = place.join(format!("fixtures-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let data = folder.join(format!("{on:?}"));
        let (made, room) = (data.clone(), Room::empty(on));
        let config = config(&data, &room, &[]);
        let loading = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build();
            runtime.unwrap().block_on(async {
                let opened = open::open(&config, Clock::At(NOW)).unwrap();
                fill(&opened, sources()).await;
            });
        });
        loading.join().unwrap();
        room.quiet();
        (made, room)
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
