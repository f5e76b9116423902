//! What the edge costs: the same bytes from a bare axum server, from our own accept loop alone, and
//! with everything that surrounds a handler. `cargo run --release --example edge -- bare|loop|whole
//! [file]` prints its address; ask it with `wrk -t1 -c16 http://…/fhir/Patient/1`. And what a write
//! costs at least: `inserts file each folder seconds` prints the rate of plain inserts.
#![allow(clippy::unwrap_used, reason = "a bench")]

use axum::{Router, http::header, response::IntoResponse, routing::get};
use confide::{
    cli::print,
    config::Config,
    http::{Act, Edge, Mount, Proxies, negotiate::FHIR_JSON, server},
};
use std::sync::{Arc, LazyLock};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is sent: the file that the second argument names, or about 2 KB.
static BODY: LazyLock<bytes::Bytes> = LazyLock::new(|| {
    if let Some(file) = std::env::args().nth(2) {
        return std::fs::read(file).unwrap().into();
    }
    let text = "x".repeat(2000);
    format!(r#"{{"resourceType":"Patient","id":"1","text":"{text}"}}"#).into()
});

async fn body() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, FHIR_JSON)], BODY.clone())
}

/// Plain inserts of a file's bytes by one writer, so many a synced transaction, for some seconds.
fn inserts(mut arguments: impl Iterator<Item = String>) {
    let body = std::fs::read(arguments.next().unwrap()).unwrap();
    let each: u64 = arguments.next().unwrap().parse().unwrap();
    let folder = std::path::PathBuf::from(arguments.next().unwrap());
    let seconds = arguments.next().unwrap().parse().unwrap();
    std::fs::create_dir_all(&folder).unwrap();
    let mut plain = rusqlite::Connection::open(folder.join("plain.db")).unwrap();
    plain.pragma_update(None, "journal_mode", "wal").unwrap();
    plain.pragma_update(None, "synchronous", "full").unwrap();
    let table = "CREATE TABLE plain (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB)";
    plain.execute_batch(table).unwrap();
    let began = std::time::Instant::now();
    let mut inserted = 0;
    while began.elapsed() < std::time::Duration::from_secs(seconds) {
        let transaction = plain.transaction().unwrap();
        for _ in 0..each {
            let sql = "INSERT INTO plain (name, body) VALUES (?1, ?2)";
            let mut insert = transaction.prepare_cached(sql).unwrap();
            let name = uuid::Uuid::now_v7().to_string();
            insert.execute((name, &body)).unwrap();
            inserted += 1;
        }
        transaction.commit().unwrap();
    }
    let rate = f64::from(inserted) / began.elapsed().as_secs_f64();
    print::line(rate.round());
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("inserts") {
        return inserts(arguments);
    }
    let config = Config::read(None, [], &[]).unwrap();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    print::line(listener.local_addr().unwrap());
    let bare = Router::new()
        .route("/fhir/{type}/{id}", get(body))
        .route("/fhir/{type}", get(body))
        .route("/fhir/{type}/{id}/{operation}", get(body));
    let mode = std::env::args().nth(1).unwrap_or_default();
    let router = match mode.as_str() {
        "bare" => return axum::serve(listener, bare).await.unwrap(),
        "loop" => bare,
        _ => {
            confide::http::meters::install().unwrap();
            let edge = Arc::new(Edge::new(
                &config.limits,
                Proxies::new(&config.public_url, &[]),
            ));
            Mount::new(edge).on(Act::Read, body, ()).router()
        }
    };
    server::serve(listener, router, server::signal(), server::GRACE).await;
}
