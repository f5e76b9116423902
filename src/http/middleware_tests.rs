//! The promises of `middleware`, one by one, without a socket.

use super::*;
use crate::http::{Act, Mount, extract::JsonBody};
use axum::http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use tower::ServiceExt;

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

fn mount() -> Mount {
    Mount::new(Arc::new(Edge::for_tests()))
}

async fn ask(mount: Mount, request: axum::http::request::Builder, body: Body) -> Answer {
    let router = mount.router();
    let response = router.oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn get(mount: Mount, path: &str) -> Answer {
    ask(mount, Request::get(path), Body::empty()).await
}

fn is_outcome(answer: &Answer) -> bool {
    answer.header("content-type") == "application/fhir+json; charset=utf-8"
        && answer
            .body
            .starts_with(r#"{"resourceType":"OperationOutcome""#)
}

async fn fine() -> Response {
    ([(header::CONTENT_TYPE, FHIR_JSON)], "{}").into_response()
}

#[tokio::test]
async fn every_reply_has_its_headers() {
    for path in ["/fhir/Patient/1", "/fhir/nothing/like/this", "/elsewhere"] {
        let answer = get(mount().on(Act::Read, fine, ()), path).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-request-id").len(), 36);
        assert!(
            answer
                .header("content-type")
                .starts_with("application/fhir+json")
        );
    }
}

#[tokio::test]
async fn the_callers_id_comes_back_and_the_handler_has_it() {
    let handler = |id: RequestId| async move { id.as_str().to_owned() };
    let request = Request::get("/fhir/Patient/1").header("x-request-id", "mine-1");
    let answer = ask(mount().on(Act::Read, handler, ()), request, Body::empty()).await;
    assert_eq!(
        (answer.header("x-request-id"), answer.body.as_str()),
        ("mine-1", "mine-1")
    );
}

#[tokio::test]
async fn a_panic_is_one_500() {
    async fn broken() -> Response {
        panic!("no clinical content leaves")
    }
    let answer = get(mount().on(Act::Read, broken, ()), "/fhir/Patient/1").await;
    assert_eq!(answer.status, 500);
    assert!(is_outcome(&answer) && !answer.body.contains("clinical"));
}

#[tokio::test]
async fn a_handler_that_never_ends_is_timed_out() {
    async fn endless() -> Response {
        std::future::pending().await
    }
    let answer = get(mount().on(Act::Read, endless, ()), "/fhir/Patient/1").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "5"));
    assert!(is_outcome(&answer));
}

#[tokio::test]
async fn more_than_fits_is_shed_at_once_and_places_come_back() {
    let edge = Arc::new(Edge {
        time: Duration::from_secs(60),
        ..Edge::for_tests()
    });
    let (started, mut running) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let state = (started, gate.clone());
    type Held = (
        tokio::sync::mpsc::UnboundedSender<()>,
        Arc<tokio::sync::Semaphore>,
    );
    let held = |axum::extract::State((started, gate)): axum::extract::State<Held>| async move {
        started.send(()).unwrap();
        drop(gate.acquire().await);
        "done"
    };
    let mount = Mount::new(edge.clone()).on(Act::Read, held, state);
    let router = crate::http::health::mount(mount, Default::default(), None).router();
    let ask = |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        tokio::spawn(router.clone().oneshot(request))
    };
    let first = [ask("/fhir/Patient/1"), ask("/fhir/Patient/1")];
    running.recv().await.unwrap();
    running.recv().await.unwrap();
    let refused = ask("/fhir/Patient/1").await.unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let looked = ask("/livez").await.unwrap().unwrap();
    assert_eq!(looked.status(), StatusCode::OK);
    gate.add_permits(2);
    for running in first {
        assert_eq!(running.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!(edge.in_flight(), 0);
}

#[tokio::test]
async fn a_body_is_bounded_announced_or_not() {
    let handler = |JsonBody(body): JsonBody| async move { body.len().to_string() };
    let whole = |body: Body| {
        let request = Request::post("/fhir/Patient").header("content-type", "application/json");
        ask(mount().on(Act::Create, handler, ()), request, body)
    };
    let chunked = |bytes: usize| {
        let part = bytes::Bytes::from(vec![b' '; 100]);
        let frames = (0..bytes / 100)
            .map(move |_| Ok::<_, Infallible>(http_body::Frame::data(part.clone())));
        Body::new(StreamBody::new(tokio_stream_of(frames)))
    };
    assert_eq!(whole(Body::from(vec![b' '; 1024])).await.status, 200);
    let answer = whole(Body::from(vec![b' '; 1025])).await;
    assert!(answer.status == 413 && is_outcome(&answer));
    assert_eq!(whole(chunked(1000)).await.body, "1000");
    let answer = whole(chunked(1100)).await;
    assert!(answer.status == 413 && is_outcome(&answer));
}

/// An iterator as a stream that is always ready.
fn tokio_stream_of<I: Iterator + Unpin>(iterator: I) -> Ready<I> {
    Ready(iterator)
}

struct Ready<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Ready<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn formats_are_negotiated_and_errors_follow() {
    let asked = |accept: &'static str| {
        let request = Request::get("/fhir/Patient/1").header("accept", accept);
        ask(mount().on(Act::Read, fine, ()), request, Body::empty())
    };
    let json = "application/json; charset=utf-8";
    assert_eq!(asked("application/json").await.header("content-type"), json);
    let xml = asked("application/fhir+xml").await;
    assert!(xml.status == 406 && is_outcome(&xml));
    let ghost = || async { Failure::NotFound };
    let answer = get(
        mount().on(Act::Read, ghost, ()),
        "/fhir/Patient/1?_format=json",
    )
    .await;
    assert_eq!((answer.status, answer.header("content-type")), (404, json));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_says_what_is_allowed() {
    let request = Request::delete("/fhir/Patient/1");
    let answer = ask(mount().on(Act::Read, fine, ()), request, Body::empty()).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD"));
    assert!(is_outcome(&answer));
}

#[tokio::test]
async fn what_axum_refuses_itself_becomes_an_outcome() {
    let handler = |_: axum::Json<serde_json::Value>| async { "" };
    let request = Request::post("/fhir/Patient").header("content-type", "application/json");
    let answer = ask(
        mount().on(Act::Create, handler, ()),
        request,
        Body::from("{"),
    )
    .await;
    assert_eq!(answer.status, 400);
    assert!(is_outcome(&answer), "{}", answer.body);
}

#[tokio::test]
async fn the_authorization_server_fails_in_oauths_words() {
    let away = || async { Failure::unavailable("disk full") };
    let request = Request::post("/auth/token");
    let answer = ask(mount().on(Act::Token, away, ()), request, Body::empty()).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .body
            .starts_with(r#"{"error":"temporarily_unavailable""#),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains("disk"));
}
