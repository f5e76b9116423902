//! What handlers take from a request. The extractor is the precondition: a handler that has one in
//! its hands needs no further check of it.

use super::{Failure, failure::Challenge};
use crate::{
    fhir::{Id, Key, Kind},
    interaction::patch::Patch,
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Uri, header, request::Parts},
};
use http_body_util::{BodyExt, LengthLimitError};
use std::error::Error;

/// The type of `/fhir/{type}…`; one that R4 doesn't have is a ghost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtType(pub Kind);

/// The record of `/fhir/{type}/{id}…`; a type or an id that can't be is a ghost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtRecord(pub Key);

/// What `/fhir/{type}/{id}/{inner}` asks for: the compartment of a record, and one type in it or (`*`)
/// all; what can't be is a ghost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtCompartment(pub Key, pub Option<Kind>);

/// The version of `/fhir/{type}/{id}/_history/{version}`; one that can't be is a ghost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtVersion(pub Key, pub Id);

/// A patch within the size limit: `application/json-patch+json`, or FHIR's JSON for Parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchBody(pub Patch);

/// The bearer token, unread; none or no bearer token is 401.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(Box<str>);

/// A JSON body within the size limit: `application/fhir+json` or `application/json`, else 415.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody(pub Bytes);

/// A form's body within the size limit, undecoded: `application/x-www-form-urlencoded`, else 415.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormBody(pub Bytes);

impl Bearer {
    /// The token.
    pub fn token(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(…)")
    }
}

/// The `at`-th segment below `/fhir`. Escapes are undone, for `%2D` is a hyphen too.
fn segment(uri: &Uri, at: usize) -> Option<std::borrow::Cow<'_, str>> {
    let raw = uri.path().strip_prefix("/fhir/")?.split('/').nth(at)?;
    percent_encoding::percent_decode_str(raw).decode_utf8().ok()
}

fn kind(uri: &Uri) -> Result<Kind, Failure> {
    segment(uri, 0)
        .and_then(|name| Kind::named(&name))
        .ok_or(Failure::NotFound)
}

impl<S: Sync> FromRequestParts<S> for AtType {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AtType, Failure> {
        kind(&parts.uri).map(AtType)
    }
}

impl<S: Sync> FromRequestParts<S> for AtRecord {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<AtRecord, Failure> {
        let kind = kind(&parts.uri)?;
        let id = segment(&parts.uri, 1).and_then(|id| Id::parse(&id));
        let id = id.ok_or(Failure::NotFound)?;
        Ok(AtRecord(Key { kind, id }))
    }
}

impl<S: Sync> FromRequestParts<S> for AtCompartment {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<AtCompartment, Failure> {
        let AtRecord(of) = AtRecord::from_request_parts(parts, state).await?;
        let name = segment(&parts.uri, 2).ok_or(Failure::NotFound)?;
        let kind = match &*name {
            "*" => None,
            name => Some(Kind::named(name).ok_or(Failure::NotFound)?),
        };
        Ok(AtCompartment(of, kind))
    }
}

impl<S: Sync> FromRequestParts<S> for AtVersion {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<AtVersion, Failure> {
        let AtRecord(key) = AtRecord::from_request_parts(parts, state).await?;
        let version = segment(&parts.uri, 3).and_then(|version| Id::parse(&version));
        let version = version.ok_or(Failure::NotFound)?;
        Ok(AtVersion(key, version))
    }
}

impl<S: Sync> FromRequest<S> for PatchBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<PatchBody, Failure> {
        let json = media(request.headers(), &["application/json-patch+json"]).is_ok();
        if !json {
            media(request.headers(), FHIR)?;
        }
        let body = read(request.into_body()).await?;
        Ok(PatchBody(match json {
            true => Patch::Json(body),
            false => Patch::FhirPath(body),
        }))
    }
}

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Bearer, Failure> {
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Err(Failure::Unauthenticated(Challenge::Absent));
        };
        let token = value.to_str().ok().and_then(|text| text.split_once(' '));
        match token {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                let token = token.trim();
                // Two credentials, or none after the scheme: which one was meant is not guessed.
                if token.is_empty() || values.next().is_some() {
                    return Err(Failure::Unauthenticated(Challenge::Invalid));
                }
                Ok(Bearer(token.into()))
            }
            _ => Err(Failure::Unauthenticated(Challenge::Absent)),
        }
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<JsonBody, Failure> {
        media(request.headers(), FHIR)?;
        read(request.into_body()).await.map(JsonBody)
    }
}

impl<S: Sync> FromRequest<S> for FormBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<FormBody, Failure> {
        media(request.headers(), &["application/x-www-form-urlencoded"])?;
        read(request.into_body()).await.map(FormBody)
    }
}

const FHIR: &[&str] = &["application/fhir+json", "application/json"];

/// Refuses bodies that are not in one of these types, in another charset than UTF-8, or encoded.
fn media(headers: &HeaderMap, types: &[&str]) -> Result<(), Failure> {
    let refused = Err(Failure::UnsupportedMedia);
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return refused;
    }
    let Some(Ok(value)) = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str())
    else {
        return refused;
    };
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let known = types.iter().any(|known| known.eq_ignore_ascii_case(name));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if known && utf8 { Ok(()) } else { refused }
}

/// Reads a body. The edge has bounded it already, or fails the read where it grows past the bound.
async fn read(body: Body) -> Result<Bytes, Failure> {
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if is_too_long(&error) => Err(Failure::TooLarge),
        Err(_) => Err(Failure::invalid("The body ended before it was whole")),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    async fn at(path: &str) -> Option<String> {
        let (mut parts, ()) = axum::http::Request::get(path)
            .body(())
            .unwrap()
            .into_parts();
        let record = AtRecord::from_request_parts(&mut parts, &()).await;
        record.ok().map(|AtRecord(key)| key.to_string())
    }

    #[tokio::test]
    async fn a_path_that_can_not_be_is_a_ghost() {
        assert_eq!(at("/fhir/Patient/a-1").await.unwrap(), "Patient/a-1");
        assert_eq!(at("/fhir/Patient/a%2D1?x=/").await.unwrap(), "Patient/a-1");
        for path in [
            "/fhir/Nobody/1",
            "/fhir/Patient/a_1",
            "/fhir/Patient/%2F",
            "/fhir/Patient/%FF",
        ] {
            assert_eq!(at(path).await, None, "{path}");
        }
    }

    async fn bearer(values: &[&'static str]) -> Result<Box<str>, Challenge> {
        let (mut parts, ()) = axum::http::Request::new(()).into_parts();
        for value in values {
            let value = HeaderValue::from_static(value);
            parts.headers.append(header::AUTHORIZATION, value);
        }
        match Bearer::from_request_parts(&mut parts, &()).await {
            Ok(Bearer(token)) => Ok(token),
            Err(Failure::Unauthenticated(challenge)) => Err(challenge),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_token_is_one_bearer_token() {
        assert_eq!(bearer(&["Bearer x.y"]).await, Ok("x.y".into()));
        assert_eq!(bearer(&["bearer x"]).await, Ok("x".into()));
        assert_eq!(bearer(&[]).await, Err(Challenge::Absent));
        assert_eq!(bearer(&["Basic x"]).await, Err(Challenge::Absent));
        assert_eq!(bearer(&["Bearer "]).await, Err(Challenge::Invalid));
        assert_eq!(
            bearer(&["Bearer a", "Bearer b"]).await,
            Err(Challenge::Invalid)
        );
    }

    #[test]
    fn bodies_are_json_in_utf_8() {
        let json = &["application/fhir+json", "application/json"];
        let of = |value: &'static str| {
            let pair = (header::CONTENT_TYPE, HeaderValue::from_static(value));
            media(&HeaderMap::from_iter([pair]), json).is_ok()
        };
        assert!(of("application/fhir+json"));
        assert!(of("Application/JSON; charset=UTF-8"));
        assert!(of("application/fhir+json; fhirVersion=4.0"));
        assert!(!of("application/fhir+xml"));
        assert!(!of("application/json; charset=latin1"));
        assert!(media(&HeaderMap::new(), json).is_err());
    }
}
