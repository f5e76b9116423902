//! Every error that leaves the server. Texts are fixed or name the caller's own words; none names a
//! stored value, hidden content, or a cause inside.

use super::negotiate::FHIR_JSON;
use crate::{
    fhir::outcome::{Issue, IssueType, outcome},
    interaction::refusal,
};
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::{error::Error, fmt, sync::Arc};

/// Why a request was not done (SEMANTICS section 8; CONTRACT, HTTP).
#[derive(Debug)]
pub enum Failure {
    /// 401 and `WWW-Authenticate`: no token, or one that is not good.
    Unauthenticated(Challenge),
    /// 403: no usable purpose, type or interaction outside scope, or a role that may not write this.
    /// The text says which, in words of the token, never of the store.
    Forbidden(&'static str),
    /// 404: the ghost. It never existed, or the requester may not know that it does: the same bytes.
    NotFound,
    /// 400: the request itself is wrong: unknown parameter, malformed JSON.
    Invalid(Vec<Issue>),
    /// 422: well formed, but not what the server can hold or honour.
    Unprocessable(Vec<Issue>),
    /// 409: one of the two that `docs/security.md` lists; the text never says which.
    Conflict,
    /// 412: a condition of the request (`If-Match`, `If-None-Exist`) does not hold.
    PreconditionFailed,
    /// 410: the record was deleted, said only to who might see it before.
    Gone,
    /// 415: a body in a media type or an encoding that is not read here.
    UnsupportedMedia,
    /// 406: nothing in the formats asked for; XML among them.
    NotAcceptable,
    /// 405: the path exists, not with this method.
    MethodNotAllowed,
    /// 413: the body is larger than `limits.body_bytes`.
    TooLarge,
    /// 429 and `Retry-After`: the client asks more often than `limits.requests_per_second`.
    TooMany {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// 503 and `Retry-After`: the audit can't be made durable, the store is away, or the server is
    /// busy.
    Unavailable {
        /// Seconds to wait.
        retry_after: u32,
        /// What goes to the log, once, with the request's id; never sent.
        cause: Option<Cause>,
    },
    /// 503 and `Retry-After`: longer than `limits.request_seconds`. A write may have been done.
    TimedOut,
    /// 500: a bug or a broken store. The cause goes to the log, once, with the request's id.
    Internal(Cause),
}

/// What is wrong with the token, for RFC 6750's challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// None was sent: the challenge has no error code.
    Absent,
    /// Malformed, expired, revoked, for someone else, of an unknown client: which is not said.
    Invalid,
}

/// Why it failed, for the log only. Implementors of the error keep stored values out of its text.
#[derive(Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Cause {
    /// Wraps an error.
    pub fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Cause {
        Cause(Arc::from(error.into()))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(f, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What the edge learns of a failure from its response: the cause to log, and RFC 6749's word for it
/// where the route is the authorization server's.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) cause: Option<Cause>,
    pub(super) oauth: &'static str,
    pub(super) text: &'static str,
}

impl Failure {
    /// A failure inside, from any error.
    pub fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Internal(Cause::of(error))
    }

    /// 503 for this cause.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Unavailable {
            retry_after: 2,
            cause: Some(Cause::of(error)),
        }
    }

    /// 400 with one issue.
    pub fn invalid(text: impl Into<String>) -> Failure {
        Failure::Invalid(vec![Issue::new(IssueType::Invalid, text)])
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Failure::Forbidden(_) => StatusCode::FORBIDDEN,
            Failure::NotFound => StatusCode::NOT_FOUND,
            Failure::Invalid(_) => StatusCode::BAD_REQUEST,
            Failure::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::Conflict => StatusCode::CONFLICT,
            Failure::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Failure::Gone => StatusCode::GONE,
            Failure::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Failure::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Failure::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Failure::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Failure::Unavailable { .. } | Failure::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The failure that a foreign error reply stands for, so that it too leaves as an
    /// OperationOutcome.
    pub(super) fn of_status(status: StatusCode) -> Failure {
        match status.as_u16() {
            404 => Failure::NotFound,
            405 => Failure::MethodNotAllowed,
            413 => Failure::TooLarge,
            415 => Failure::UnsupportedMedia,
            422 => Failure::Unprocessable(vec![Issue::new(IssueType::Invalid, UNREADABLE)]),
            400..=499 => Failure::invalid(UNREADABLE),
            _ => Failure::internal(format!("a handler answered {status} without saying why")),
        }
    }

    fn kind(&self) -> (IssueType, &'static str) {
        match self {
            Failure::Unauthenticated(Challenge::Absent) => {
                (IssueType::Login, "An access token is needed")
            }
            Failure::Unauthenticated(Challenge::Invalid) => {
                (IssueType::Login, "The access token is not valid")
            }
            Failure::Forbidden(text) => (IssueType::Forbidden, text),
            Failure::NotFound => (IssueType::NotFound, refusal::NOT_FOUND),
            Failure::Invalid(_) | Failure::Unprocessable(_) => (IssueType::Invalid, UNREADABLE),
            Failure::Conflict => (IssueType::Conflict, refusal::CONFLICT),
            Failure::PreconditionFailed => (IssueType::Conflict, refusal::PRECONDITION),
            Failure::Gone => (IssueType::Deleted, refusal::GONE),
            Failure::UnsupportedMedia => (
                IssueType::NotSupported,
                "Bodies are application/fhir+json, without a content encoding",
            ),
            Failure::NotAcceptable => (IssueType::NotSupported, refusal::NOT_ACCEPTABLE),
            Failure::MethodNotAllowed => (IssueType::NotSupported, refusal::NOT_ALLOWED),
            Failure::TooLarge => (IssueType::TooLong, refusal::TOO_LARGE),
            Failure::TooMany { .. } => (
                IssueType::Throttled,
                "Too many requests of this client: try again later",
            ),
            Failure::Unavailable { .. } => (IssueType::Transient, refusal::AWAY),
            Failure::TimedOut => (
                IssueType::Timeout,
                "The request took too long. What it was to write may have been written",
            ),
            Failure::Internal(_) => (
                IssueType::Exception,
                "The server failed. Its operator finds the cause under the X-Request-Id",
            ),
        }
    }

    /// RFC 6749's error code that comes nearest.
    fn oauth(&self) -> &'static str {
        match self.status().as_u16() {
            401 => "invalid_client",
            429 | 503 => "temporarily_unavailable",
            500 => "server_error",
            _ => "invalid_request",
        }
    }

    /// RFC 6750 section 3, or the seconds to wait.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let bearer = |text| Some((header::WWW_AUTHENTICATE, HeaderValue::from_static(text)));
        match self {
            Failure::Unauthenticated(Challenge::Absent) => bearer(r#"Bearer realm="confide""#),
            Failure::Unauthenticated(Challenge::Invalid) => {
                bearer(r#"Bearer realm="confide", error="invalid_token""#)
            }
            Failure::TooMany { retry_after } | Failure::Unavailable { retry_after, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            Failure::TimedOut => Some((header::RETRY_AFTER, HeaderValue::from(5))),
            _ => None,
        }
    }
}

const UNREADABLE: &str = "The request can't be read";

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (kind, text) = self.kind();
        let body = match &self {
            Failure::Invalid(issues) | Failure::Unprocessable(issues) if !issues.is_empty() => {
                outcome(issues)
            }
            _ => outcome(&[Issue::new(kind, text)]),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, FHIR_JSON);
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        let oauth = self.oauth();
        let cause = match self {
            Failure::Internal(cause) => Some(cause),
            Failure::Unavailable { cause, .. } => cause,
            _ => None,
        };
        response
            .extensions_mut()
            .insert(Told { cause, oauth, text });
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn sent(failure: Failure) -> (u16, String, Option<String>) {
        let response = failure.into_response();
        let header = response.headers().get(header::WWW_AUTHENTICATE);
        let header = header.or_else(|| response.headers().get(header::RETRY_AFTER));
        let header = header.map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap(), header)
    }

    #[tokio::test]
    async fn a_cause_is_never_sent() {
        for failure in [Failure::internal("secret"), Failure::unavailable("secret")] {
            let (status, body, _) = sent(failure).await;
            assert!(status >= 500);
            assert!(!body.contains("secret"), "{body}");
        }
    }

    #[tokio::test]
    async fn challenges_and_waits_have_their_header() {
        let absent = sent(Failure::Unauthenticated(Challenge::Absent)).await;
        assert_eq!(
            (absent.0, absent.2.unwrap().as_str()),
            (401, r#"Bearer realm="confide""#)
        );
        let bad = sent(Failure::Unauthenticated(Challenge::Invalid)).await;
        assert!(bad.2.unwrap().ends_with(r#"error="invalid_token""#));
        let wait = sent(Failure::TooMany { retry_after: 7 }).await;
        assert_eq!((wait.0, wait.2.unwrap().as_str()), (429, "7"));
    }

    #[tokio::test]
    async fn the_ghost_is_one_text() {
        let ghost = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"not-found","diagnostics":"Not found"}]}"#;
        assert_eq!(sent(Failure::NotFound).await, (404, ghost.into(), None));
    }

    #[test]
    fn the_log_gets_the_whole_chain() {
        let inner = std::io::Error::other("disk full");
        let outer = std::io::Error::other(crate::gate::JournalError);
        assert_eq!(Cause::of(inner).to_string(), "disk full");
        assert!(Cause::of(outer).to_string().contains("durable"));
    }
}
