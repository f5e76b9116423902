//! Answers of the authorization server (RFC 6749 section 5).

use serde_json::{Value, json};

/// An HTTP answer: `http/` only sends it.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    /// The body may be a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl Answer {
    /// JSON that anyone may keep.
    pub fn open(json: &Value) -> Answer {
        Answer {
            status: 200,
            headers: vec![("content-type", "application/json")],
            body: json.to_string().into_bytes(),
        }
    }

    /// JSON that nobody may keep.
    pub fn secret(status: u16, json: &Value) -> Answer {
        Answer {
            status,
            headers: vec![
                ("content-type", "application/json"),
                ("cache-control", "no-store"),
                ("pragma", "no-cache"),
            ],
            body: json.to_string().into_bytes(),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&'static str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// The error codes of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 6749's own codes")]
pub enum OAuthError {
    InvalidRequest,
    InvalidClient,
    InvalidScope,
    UnauthorizedClient,
    UnsupportedGrantType,
    /// The registry or the journal is away (not of RFC 6749 5.2, whose codes blame the client).
    TemporarilyUnavailable,
    /// The signer failed.
    ServerError,
}

impl OAuthError {
    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            OAuthError::InvalidRequest => "invalid_request",
            OAuthError::InvalidClient => "invalid_client",
            OAuthError::InvalidScope => "invalid_scope",
            OAuthError::UnauthorizedClient => "unauthorized_client",
            OAuthError::UnsupportedGrantType => "unsupported_grant_type",
            OAuthError::TemporarilyUnavailable => "temporarily_unavailable",
            OAuthError::ServerError => "server_error",
        }
    }
}

/// A request that gets no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub error: OAuthError,
    /// What a developer needs to know; nothing of what was sent.
    pub description: Box<str>,
    /// Whether the client used HTTP Basic, which makes `invalid_client` a 401 with a challenge.
    pub basic: bool,
}

impl Refusal {
    /// With that code and description.
    pub fn new(error: OAuthError, description: impl Into<Box<str>>) -> Refusal {
        Refusal {
            error,
            description: description.into(),
            basic: false,
        }
    }

    /// As an answer.
    pub fn answer(&self) -> Answer {
        let status = match self.error {
            OAuthError::InvalidClient if self.basic => 401,
            OAuthError::TemporarilyUnavailable => 503,
            OAuthError::ServerError => 500,
            _ => 400,
        };
        let body = json!({"error": self.error.code(), "error_description": &*self.description});
        let mut answer = Answer::secret(status, &body);
        match status {
            401 => answer
                .headers
                .push(("www-authenticate", "Basic realm=\"confide\"")),
            503 => answer.headers.push(("retry-after", "5")),
            _ => {}
        }
        answer
    }
}
