//! What handlers of `/fhir` and `/auth` share: the parts of the server, who asks, and how an
//! interaction's answer becomes a reply.

use super::{
    Failure, RequestId,
    extract::Bearer,
    failure::Challenge,
    forwarded::Arrival,
    negotiate::FHIR_JSON,
    rate::Rates,
    refused::{Denied, is_left},
    router::Act,
};
use crate::{
    authn::{RemoteKeys, TokenError, Tokens},
    calendar::Clock,
    faces::Stamp,
    gate::Asked,
    interaction::{Answer, Question, Refusal, Service},
    policy::Case,
    smart::{Smart, Urls},
    statute::Purpose,
    store::{audit::AuditLog, engine::Engine, registry::AnyRegistry},
};
use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use std::{fmt, sync::Arc};

/// The interactions over the store and the audit chain.
pub type Interactions = Service<Engine, AuditLog>;

/// The parts of a server. Handlers take this and nothing global.
#[derive(Clone)]
pub struct Api {
    parts: Arc<Shared>,
}

/// What an [`Api`] is made of.
pub struct Shared {
    /// Interactions.
    pub service: Interactions,
    /// The audit chain, for reading it.
    pub log: AuditLog,
    /// Access tokens.
    pub tokens: Tokens,
    /// Clients.
    pub registry: AnyRegistry,
    /// Clients' key sets.
    pub remote: RemoteKeys,
    /// Where we are to be found.
    pub urls: Urls,
    /// Requests a second and client.
    pub rates: Rates,
    /// The one clock.
    pub clock: Clock,
}

impl Api {
    /// An API of these parts.
    pub fn new(shared: Shared) -> Api {
        Api {
            parts: Arc::new(shared),
        }
    }

    /// Its parts.
    pub fn parts(&self) -> &Arc<Shared> {
        &self.parts
    }

    /// The authorization server.
    pub fn smart(&self) -> Smart<'_, AuditLog, AnyRegistry> {
        Smart {
            tokens: &self.parts.tokens,
            registry: &self.parts.registry,
            journal: &self.parts.log,
            remote: &self.parts.remote,
            clock: self.parts.clock,
            urls: &self.parts.urls,
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

/// A verified requester and the request's id: the precondition of every clinical handler.
#[derive(Debug)]
pub struct Asker {
    case: Case,
    request: RequestId,
    arrival: Arrival,
}

impl Asker {
    /// The question that this requester asks by `act` of `target`.
    pub fn asks(self, act: Act, target: impl Into<Box<str>>) -> Question {
        Question {
            case: self.case,
            asked: Asked {
                request: self.request.as_str().into(),
                interaction: act.name(),
                target: target.into(),
                from: self.arrival.from,
            },
            base: self.arrival.base,
        }
    }
}

impl<S> FromRequestParts<S> for Asker
where
    S: Sync,
    Api: FromRef<S>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asker, Failure> {
        let api = Api::from_ref(state);
        let bearer = Bearer::from_request_parts(parts, state).await?;
        let request = RequestId::from_request_parts(parts, state)
            .await
            .unwrap_or_else(|never| match never {});
        let shared = api.parts();
        let verified = shared
            .tokens
            .verify(bearer.token(), &shared.registry)
            .await
            .map_err(refused)?;
        let case = Case::from_verified(&*verified, shared.clock.now());
        shared.rates.take(&case.requester.client)?;
        let arrival = parts.extensions.get::<Arrival>().cloned();
        let arrival = arrival.unwrap_or_else(|| Arrival {
            base: (*shared.service.base).into(),
            from: None,
        });
        Ok(Asker {
            case,
            request,
            arrival,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn refused(error: TokenError) -> Failure {
    match error.status() {
        403 => Failure::Forbidden("the token has no usable purpose of use"),
        503 => Failure::unavailable("the registry of clients is away"),
        _ => Failure::Unauthenticated(Challenge::Invalid),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Failure::NotFound,
            Refusal::Forbidden(text) => Failure::Forbidden(text),
            Refusal::Invalid(issues) => Failure::Invalid(issues),
            Refusal::Unprocessable(issues) => Failure::Unprocessable(issues),
            Refusal::Conflict | Refusal::Moved => Failure::Conflict,
            Refusal::PreconditionFailed => Failure::PreconditionFailed,
            Refusal::Gone => Failure::Gone,
            Refusal::TooLarge => Failure::TooLarge,
            Refusal::NotAllowed => Failure::MethodNotAllowed,
            Refusal::NotAcceptable => Failure::NotAcceptable,
            Refusal::Store(error) => Failure::unavailable(error),
            Refusal::Journal(error) => Failure::unavailable(error),
        }
    }
}

/// Says to who treats, always and in the same words, that the law may withhold records.
const WITHHELD: HeaderValue = HeaderValue::from_static(
    "299 confide \"Records may be withheld by law; for an emergency ask with purpose of use ETREAT and break_glass_reason\"",
);

const WARNING: HeaderName = HeaderName::from_static("warning");

/// An answer, or why there is none, as a reply. Who treats is told the constant word each time, also
/// where nothing was found: "not found" must not be taken for "there is none" (SEMANTICS section 5).
pub fn reply(question: &Question, answer: Result<Answer, Refusal>) -> Response {
    let mut response = match answer {
        Ok(answer) => answered(answer),
        Err(refusal) => {
            let left = is_left(&refusal);
            let mut response = Failure::from(refusal).into_response();
            if left {
                response.extensions_mut().insert(Denied(question.clone()));
            }
            response
        }
    };
    if matches!(question.case.purpose, Purpose::Treat | Purpose::Etreat) {
        response.headers_mut().insert(WARNING, WITHHELD);
    }
    response
}

fn answered(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, FHIR_JSON);
    if let Some(stamp) = &answer.stamp {
        stamp_headers(headers, stamp);
    }
    if let Some(location) = answer
        .location
        .and_then(|location| HeaderValue::try_from(location).ok())
    {
        headers.insert(header::LOCATION, location);
    }
    response
}

fn stamp_headers(headers: &mut axum::http::HeaderMap, stamp: &Stamp) {
    if let Ok(etag) = HeaderValue::try_from(format!("W/\"{}\"", stamp.version)) {
        headers.insert(header::ETAG, etag);
    }
    if let Ok(at) = HeaderValue::try_from(http_date(stamp.updated)) {
        headers.insert(header::LAST_MODIFIED, at);
    }
}

/// IMF-fixdate (RFC 9110 section 5.6.7).
fn http_date(at: crate::fhir::Instant) -> String {
    let stamp = jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_http_dates() {
        assert_eq!(
            http_date(784_111_777_000_000),
            "Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }
}
