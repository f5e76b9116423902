//! `X-Request-Id`: ties a reply to its audit entry and its log lines.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, request::Parts},
};
use std::convert::Infallible;
use uuid::Uuid;

/// The header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// One request's id: the caller's own where it is well formed, else a UUIDv7.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes a caller's id of 1 to 64 of `[A-Za-z0-9._-]`, so that nothing else reaches logs and the
    /// audit chain; anything else is replaced.
    pub fn of(header: Option<&HeaderValue>) -> RequestId {
        match header {
            Some(value) if well_formed(value.as_bytes()) => RequestId(value.clone()),
            _ => RequestId::fresh(),
        }
    }

    /// A new one.
    pub fn fresh() -> RequestId {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        Uuid::now_v7().hyphenated().encode_lower(&mut text);
        // A UUID's text is a header value; the fallback can't be reached.
        RequestId(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// As a header's value.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }
}

fn well_formed(text: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.iter().all(plain)
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestId, Infallible> {
        let known = parts.extensions.get::<RequestId>().cloned();
        Ok(known.unwrap_or_else(RequestId::fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_formed_id_is_kept_and_anything_else_replaced() {
        let kept = RequestId::of(Some(&HeaderValue::from_static("abc-1.2_3")));
        assert_eq!(kept.as_str(), "abc-1.2_3");
        let long = HeaderValue::from_str(&"x".repeat(65)).unwrap();
        for odd in ["", "a b", "a\"b", "{id}"] {
            let odd = HeaderValue::from_static(odd);
            assert_eq!(RequestId::of(Some(&odd)).as_str().len(), 36);
        }
        assert_eq!(RequestId::of(Some(&long)).as_str().len(), 36);
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }
}
