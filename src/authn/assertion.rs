//! `private_key_jwt`: a client proves who it is with a signed assertion.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html>, RFC 7523

use super::{
    client::{AuthMethod, Client, KeySource},
    jwks::{JwksError, PublicKey, RemoteKeys},
    registry::{Registry, RegistryError},
};
use crate::calendar::Clock;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// The one `client_assertion_type`.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An assertion may last five minutes.
const MOST_SECONDS: i64 = 300;
/// How far the clocks of two careful machines are apart.
const SKEW: i64 = 10;
const MOST_BYTES: usize = 8 * 1024;
const MOST_JTI: usize = 256;

/// Why an assertion is not accepted: for the log. The client is told `invalid_client` and no more.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// Not a JWT with the claims that are required.
    #[error("not a well-formed assertion")]
    Malformed,
    /// Not RS384 or ES384.
    #[error("algorithm not accepted")]
    Algorithm,
    /// The header names no key, or none that the client has.
    #[error("no such key of this client")]
    Key,
    /// Not registered, disabled, or registered for another method.
    #[error("no such client for private_key_jwt")]
    Client,
    /// The signature is not by that key.
    #[error("wrong signature")]
    Signature,
    /// iss, sub and client_id differ.
    #[error("iss, sub and client_id are not the same")]
    Subject,
    /// Not for our token endpoint alone.
    #[error("aud is not the token endpoint")]
    Audience,
    /// Ended, not begun, or too long.
    #[error("outside its time, or longer than five minutes")]
    Time,
    /// Seen before.
    #[error("jti was used before")]
    Replay,
    /// The client's key set could not be had.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// The registry could not be asked: 503, not the client's fault.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// An accepted assertion.
#[derive(Debug, Clone)]
pub struct Assertion {
    /// Who it is.
    pub client: Arc<Client>,
    /// Purposes in its `hl7-b2b` extension.
    pub purposes: Vec<String>,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: Seconds,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    jti: String,
    extensions: Option<Extensions>,
}

/// A NumericDate, which may have a fraction (RFC 7519 section 2).
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "f64")]
struct Seconds(i64);

impl TryFrom<f64> for Seconds {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Seconds, &'static str> {
        // Within what a double counts exactly.
        let fits = (0.0..9e15).contains(&seconds);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked; the fraction goes"
        )]
        fits.then_some(Seconds(seconds as i64)).ok_or("not a time")
    }
}

#[derive(Deserialize)]
struct Extensions {
    #[serde(rename = "hl7-b2b")]
    b2b: Option<B2b>,
}

#[derive(Deserialize)]
struct B2b {
    purpose_of_use: Option<OneOrMore>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What assertions are checked against.
pub struct Checker<'a, R> {
    /// Clients and spent assertions.
    pub registry: &'a R,
    /// Key sets at `jwks_uri`.
    pub remote: &'a RemoteKeys,
    /// The one clock.
    pub clock: Clock,
    /// The absolute URL of our token endpoint.
    pub token_url: &'a str,
}

impl<R: Registry> Checker<'_, R> {
    /// Checks an assertion and spends it. `client_id` is the form's, which may repeat it.
    pub async fn check(
        &self,
        assertion: &str,
        client_id: Option<&str>,
    ) -> Result<Assertion, AssertionError> {
        if assertion.len() > MOST_BYTES {
            return Err(AssertionError::Malformed);
        }
        let header =
            jsonwebtoken::decode_header(assertion).map_err(|_| AssertionError::Malformed)?;
        if !matches!(header.alg, Algorithm::RS384 | Algorithm::ES384) {
            return Err(AssertionError::Algorithm);
        }
        let typed = header
            .typ
            .as_deref()
            .is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        if header.crit.is_some() || !typed {
            return Err(AssertionError::Malformed);
        }
        // `jku` is not looked at: only the registered set counts.
        let kid = header.kid.as_deref().ok_or(AssertionError::Key)?;
        let client = self.issuer(assertion).await?;
        let key = self.key(&client, kid, header.alg).await?;
        let claims = opened(assertion, &key)?;
        self.check_claims(&claims, &client, client_id)?;
        let expires = claims.exp.0.saturating_add(SKEW);
        let now = self.clock.seconds();
        let spent = self
            .registry
            .spend_jti(&claims.iss, &claims.jti, expires, now);
        if !spent.await? {
            return Err(AssertionError::Replay);
        }
        let purposes = claims.extensions.and_then(|all| all.b2b);
        let purposes = match purposes.and_then(|b2b| b2b.purpose_of_use) {
            None => Vec::new(),
            Some(OneOrMore::One(one)) => vec![one],
            Some(OneOrMore::More(more)) => more,
        };
        Ok(Assertion { client, purposes })
    }

    /// The client that the assertion says it is from; not yet believed.
    async fn issuer(&self, assertion: &str) -> Result<Arc<Client>, AssertionError> {
        let claimed: Issuer = jsonwebtoken::dangerous::insecure_decode(assertion)
            .map_err(|_| AssertionError::Malformed)?
            .claims;
        let client = self.registry.client(&claimed.iss).await?;
        client
            .filter(|client| !client.disabled && client.auth == AuthMethod::PrivateKeyJwt)
            .ok_or(AssertionError::Client)
    }

    async fn key(
        &self,
        client: &Client,
        kid: &str,
        algorithm: Algorithm,
    ) -> Result<PublicKey, AssertionError> {
        let key = match &client.keys {
            KeySource::Absent => None,
            KeySource::Inline(keys) => keys.find(kid, algorithm).cloned(),
            KeySource::Remote(uri) => {
                let now = self.clock.now();
                self.remote.find(uri, kid, algorithm, now).await?
            }
        };
        key.ok_or(AssertionError::Key)
    }

    fn check_claims(
        &self,
        claims: &Claims,
        client: &Client,
        client_id: Option<&str>,
    ) -> Result<(), AssertionError> {
        let same = |id: &str| id == &*client.id;
        if !same(&claims.iss) || !same(&claims.sub) || !client_id.is_none_or(same) {
            return Err(AssertionError::Subject);
        }
        // One audience: with several, another server could hand the assertion on to us.
        let audience = match &claims.aud {
            Value::String(one) => Some(one.as_str()),
            Value::Array(many) => match many.as_slice() {
                [Value::String(one)] => Some(one.as_str()),
                _ => None,
            },
            _ => None,
        };
        if audience != Some(self.token_url) {
            return Err(AssertionError::Audience);
        }
        let now = self.clock.seconds();
        let begun = |at: Option<Seconds>| at.is_none_or(|at| at.0 <= now.saturating_add(SKEW));
        let ended = claims.exp.0 <= now.saturating_sub(SKEW);
        let long = claims.exp.0 > now.saturating_add(MOST_SECONDS + SKEW);
        if ended || long || !begun(claims.nbf) || !begun(claims.iat) {
            return Err(AssertionError::Time);
        }
        if claims.jti.is_empty() || claims.jti.len() > MOST_JTI {
            return Err(AssertionError::Malformed);
        }
        Ok(())
    }
}

/// The claims, once the signature is found to be by `key`. Times and names are checked by hand, with
/// the one clock.
fn opened(assertion: &str, key: &PublicKey) -> Result<Claims, AssertionError> {
    let mut validation = Validation::new(key.algorithm());
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    jsonwebtoken::decode::<Claims>(assertion, key.key(), &validation)
        .map(|data| data.claims)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => AssertionError::Signature,
            _ => AssertionError::Malformed,
        })
}

#[cfg(test)]
mod tests;
