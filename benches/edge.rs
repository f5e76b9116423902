//! What the edge costs: the same bytes from a bare axum server, from our own accept loop alone, and
//! with everything that surrounds a handler. `cargo run --release --example edge -- bare|loop|whole
//! [file]` prints its address; ask it with `wrk -t1 -c16 http://…/fhir/Patient/1`.
#![allow(clippy::unwrap_used, reason = "a bench")]

use axum::{Router, http::header, response::IntoResponse, routing::get};
use confide::{
    cli::print,
    config::Config,
    http::{Act, Edge, Mount, negotiate::FHIR_JSON, server},
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

#[tokio::main]
async fn main() {
    let config = Config::read(None, [], &[]).unwrap();
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    print::line(listener.local_addr().unwrap());
    let bare = Router::new()
        .route("/fhir/{type}/{id}", get(body))
        .route("/fhir/{type}", get(body));
    let mode = std::env::args().nth(1).unwrap_or_default();
    let router = match mode.as_str() {
        "bare" => return axum::serve(listener, bare).await.unwrap(),
        "loop" => bare,
        _ => {
            confide::http::meters::install().unwrap();
            let edge = Arc::new(Edge::new(&config.limits));
            Mount::new(edge).on(Act::Read, body, ()).router()
        }
    };
    server::serve(listener, router, server::signal(), server::GRACE).await;
}
