//! What surrounds every handler, in this order:
//!
//! 1. **Request id**: first, so that whatever follows can name it. **Arrival**: by which address the
//!    request came and from where, as a trusted proxy says it (`forwarded`).
//! 2. **Span**: the method and the route's template; never the path, the query or an id of a record.
//! 3. **Shedding**: more requests at work than `limits.concurrent_requests` are refused at once with
//!    503, before anything is spent on them; a queue would only make everyone late. The operator's
//!    routes are exempt.
//! 4. **Negotiation**: what can't be given is 406 before any work.
//! 5. **Body limit**: 413 by the announced length, or while reading where none was announced.
//! 6. **Time limit**: around the handler; a timer is made only for a handler that has to wait.
//! 7. **Panic**: caught around the handler, so that one bug costs one request, as a 500.
//!    Then, on the way out:
//! 8. **Refused access**: its audit entry, on disk before the reply (`refused`).
//! 9. **Failure**: its cause is logged once, with the request id; errors that axum made itself become
//!    OperationOutcomes.
//! 10. **Headers**: `Cache-Control: no-store`, `X-Content-Type-Options`, the content type,
//!     `X-Request-Id`: on every reply, errors included.
//! 11. **Metrics**: last, so that they count what was sent.
//!
//! A client's own rate is not here: it is taken where the client is known (`rate`, called by the
//! extractor that verifies the token).
//!
//! All of it is one future around the handler's own, without a box, a lock or a look-up by name:
//! stacked tower layers would box the request once each, and the read path is to stay within half of
//! a bare server's speed.

use super::{
    Failure, Format, RequestId,
    failure::Told,
    forwarded::{Arrival, Peer, Proxies},
    meters::{self, RouteMeters},
    negotiate::{FHIR_JSON, JSON},
    pretty,
    refused::{Refusals, Writing},
    request_id::X_REQUEST_ID,
    router::{self, Area, Route},
};
use crate::{calendar::Stopwatch, config::LimitsConfig};
use axum::{
    body::{Body, HttpBody},
    extract::Request,
    handler::Handler,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use http_body_util::Limited;
use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;
use tracing::Span;

/// The bounds of a server and what it has at work.
#[derive(Debug)]
pub struct Edge {
    in_flight: AtomicUsize,
    most: usize,
    body_bytes: usize,
    time: Duration,
    refusals: OnceLock<Refusals>,
    proxies: Proxies,
}

impl Edge {
    /// With these bounds, behind these proxies.
    pub fn new(limits: &LimitsConfig, proxies: Proxies) -> Edge {
        Edge {
            in_flight: AtomicUsize::new(0),
            most: limits.concurrent_requests,
            body_bytes: limits.body_bytes,
            time: Duration::from_secs(limits.request_seconds),
            refusals: OnceLock::new(),
            proxies,
        }
    }

    /// Where refused access is recorded; the first word counts.
    pub(super) fn tell(&self, refusals: Refusals) {
        let _ = self.refusals.set(refusals);
    }

    /// Requests at work now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The service of one row: the handler and everything around it.
    pub(super) fn wrap<H, T, S>(
        self: &Arc<Edge>,
        route: &'static Route,
        handler: H,
        state: S,
    ) -> Wrapped<H, T, S> {
        let meters = Arc::new(router::meters(route));
        let row = Row {
            edge: self.clone(),
            route,
            meters,
        };
        Wrapped {
            row,
            handler,
            state,
            takes: PhantomData,
        }
    }

    fn permit(self: &Arc<Edge>, area: Area) -> Option<Permit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.clone());
        (before < self.most || area == Area::Operations).then_some(permit)
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Edge {
        Edge {
            in_flight: AtomicUsize::new(0),
            most: 2,
            body_bytes: 1024,
            time: Duration::from_millis(20),
            refusals: OnceLock::new(),
            proxies: Proxies::new("http://here.example", &[]),
        }
    }
}

/// A request at work; gives its place back when dropped, also when the client went away.
struct Permit(Arc<Edge>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Row {
    edge: Arc<Edge>,
    route: &'static Route,
    meters: Arc<RouteMeters>,
}

/// A row's handler with everything around it.
pub(super) struct Wrapped<H, T, S> {
    row: Row,
    handler: H,
    state: S,
    takes: PhantomData<fn() -> T>,
}

impl<H: Clone, T, S: Clone> Clone for Wrapped<H, T, S> {
    fn clone(&self) -> Self {
        Wrapped {
            row: self.row.clone(),
            handler: self.handler.clone(),
            state: self.state.clone(),
            takes: PhantomData,
        }
    }
}

impl<H, T, S> tower::Service<Request> for Wrapped<H, T, S>
where
    H: Handler<T, S>,
    H::Future: Unpin,
    S: Clone,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Surrounded<H::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Surrounded<H::Future> {
        let began = Stopwatch::start();
        let row = self.row.clone();
        let id = RequestId::of(request.headers().get(X_REQUEST_ID));
        let peer = request.extensions().get::<Peer>().copied();
        let arrival = row.edge.proxies.arrival(peer, request.headers());
        let (method, route) = (row.route.verb.name(), row.route.path);
        let span = tracing::debug_span!("request", id = id.as_str(), method, route);
        let permit = row.edge.permit(row.route.area);
        let pretty = row.route.area == Area::Fhir && pretty::is_asked(request.uri().query());
        let mut format = Format::FhirJson;
        let admitted = match permit {
            None => Err(shed()),
            Some(_) => admit(&row, &mut request, &mut format),
        };
        let work = match admitted {
            Ok(()) => {
                request.extensions_mut().insert(id.clone());
                request.extensions_mut().insert(arrival.clone());
                let handler = self.handler.clone();
                Work::Running(handler.call(request, self.state.clone()))
            }
            Err(failure) => Work::Refused(failure),
        };
        Surrounded {
            work,
            late: None,
            permit,
            row,
            id,
            arrival,
            format,
            began,
            span,
            noted: false,
            pretty,
        }
    }
}

fn shed() -> Failure {
    meters::refused("busy");
    Failure::Unavailable {
        retry_after: 1,
        cause: None,
    }
}

/// Steps 4 and 5.
fn admit(row: &Row, request: &mut Request, format: &mut Format) -> Result<(), Failure> {
    if row.route.area == Area::Fhir {
        *format = Format::of(request.headers(), request.uri().query())?;
    }
    let most = row.edge.body_bytes;
    match request.body().size_hint().upper() {
        Some(bytes) if bytes <= most as u64 => Ok(()),
        Some(_) => {
            meters::refused("body");
            Err(Failure::TooLarge)
        }
        None => {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::new(Limited::new(body, most));
            Ok(())
        }
    }
}

enum Work<F> {
    Running(F),
    Refused(Failure),
    /// The reply waits for its audit entry.
    Noting(Writing, Response),
    Over,
}

/// One request between its head and its reply.
pub(super) struct Surrounded<F> {
    work: Work<F>,
    late: Option<Pin<Box<Sleep>>>,
    permit: Option<Permit>,
    row: Row,
    id: RequestId,
    arrival: Arrival,
    format: Format,
    began: Stopwatch,
    span: Span,
    noted: bool,
    pretty: bool,
}

impl<F: Future<Output = Response> + Unpin> Future for Surrounded<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let span = this.span.clone();
        let _in = span.enter();
        let mut response = match std::mem::replace(&mut this.work, Work::Over) {
            Work::Running(mut handler) => {
                match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut handler).poll(context))) {
                    Ok(Poll::Ready(response)) => response,
                    Ok(Poll::Pending) if this.in_time(context) => {
                        this.work = Work::Running(handler);
                        return Poll::Pending;
                    }
                    Ok(Poll::Pending) => Failure::TimedOut.into_response(),
                    Err(_) => {
                        meters::panicked();
                        Failure::internal("a handler panicked").into_response()
                    }
                }
            }
            Work::Refused(failure) => failure.into_response(),
            Work::Noting(mut writing, response) => {
                if writing.as_mut().poll(context).is_pending() {
                    this.work = Work::Noting(writing, response);
                    return Poll::Pending;
                }
                response
            }
            // Polled after its end, which no caller does: never an answer.
            Work::Over => return Poll::Pending,
        };
        if let Some(mut writing) = this.note(&mut response)
            && writing.as_mut().poll(context).is_pending()
        {
            this.noted = true;
            this.work = Work::Noting(writing, response);
            return Poll::Pending;
        }
        if this.pretty {
            response = pretty::printed(response, context);
        }
        let response = this.leave(response);
        this.permit = None;
        Poll::Ready(Ok(response))
    }
}

impl<F> Surrounded<F> {
    fn in_time(&mut self, context: &mut Context<'_>) -> bool {
        let time = self.row.edge.time;
        let late = self
            .late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        late.as_mut().poll(context).is_pending()
    }

    /// The audit entry of a refused access. Once for a reply: what it is made of is taken off.
    fn note(&self, response: &mut Response) -> Option<Writing> {
        let route = self.row.route;
        let refused = response.status().is_client_error();
        if !refused || route.open || route.area != Area::Fhir || self.noted {
            return None;
        }
        let refusals = self.row.edge.refusals.get()?;
        let at = (&self.id, &self.arrival);
        refusals.note(response, at, route.path, route.act.name())
    }

    /// Steps 9 to 11.
    fn leave(&mut self, response: Response) -> Response {
        let mut response = self.speak(response);
        let headers = response.headers_mut();
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(X_REQUEST_ID, self.id.header().clone());
        let (status, took) = (response.status().as_u16(), self.began.elapsed());
        self.row.meters.answered(status, took);
        tracing::debug!(status, took_us = took.as_micros(), "answered");
        response
    }

    /// Logs a failure's cause and puts the reply into the words of the row's area.
    fn speak(&self, mut response: Response) -> Response {
        let status = response.status();
        if !status.is_client_error() && !status.is_server_error() {
            if self.format == Format::Json
                && response.headers().get(header::CONTENT_TYPE) == Some(&FHIR_JSON)
            {
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            }
            return response;
        }
        let area = self.row.route.area;
        let mut told = response.extensions_mut().remove::<Told>();
        if told.is_none() && area == Area::Fhir && !is_json(&response) {
            let allow = response.headers_mut().remove(header::ALLOW);
            response = Failure::of_status(status).into_response();
            told = response.extensions_mut().remove::<Told>();
            if let Some(allow) = allow {
                response.headers_mut().insert(header::ALLOW, allow);
            }
        }
        let Some(told) = told else { return response };
        if let Some(cause) = &told.cause {
            let (id, route) = (self.id.as_str(), self.row.route.path);
            let status = response.status().as_u16();
            tracing::error!(id, route, status, cause = %cause, "request failed");
        }
        match area {
            Area::Fhir => {
                let kind = self.format.content_type();
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            Area::Auth | Area::Operations => {
                let (error, text) = (told.oauth, told.text);
                let body = format!(r#"{{"error":"{error}","error_description":"{text}"}}"#);
                *response.body_mut() = Body::from(body);
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            }
        }
        response
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/"))
}

#[cfg(test)]
#[path = "middleware_tests.rs"]
mod tests;
