//! Clients' public keys, given in the registration or fetched from their `jwks_uri`.
//! <https://www.rfc-editor.org/rfc/rfc7517>

use crate::fhir::Instant;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// A client's key that may sign assertions.
#[derive(Clone)]
pub struct PublicKey {
    kid: Box<str>,
    algorithm: Algorithm,
    key: DecodingKey,
    /// The members that make the key, for comparison.
    parts: (Box<str>, Box<str>),
}

impl PublicKey {
    /// Its algorithm: RS384 or ES384.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// For verification.
    pub fn key(&self) -> &DecodingKey {
        &self.key
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {:?})", self.kid, self.algorithm)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.parts == other.parts
    }
}

impl Eq for PublicKey {}

/// A client's keys that may sign assertions; others in its set are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublicKeys(Vec<PublicKey>);

/// What is wrong with a JWK Set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Not a JWK Set.
    #[error("not a JWK Set with an array \"keys\"")]
    Shape,
    /// Private or secret key material was given: it is burnt now.
    #[error("key {0} holds private or secret members; register public keys only")]
    Private(usize),
    /// None of the keys can be used.
    #[error("no key in it is an RSA (2048 bits or more) or EC P-384 signing key with a kid")]
    Unusable,
    /// The same kid twice.
    #[error("the kid of key {0} occurs twice")]
    Twice(usize),
    /// The set could not be fetched.
    #[error("the key set could not be fetched: {0}")]
    Fetch(&'static str),
}

/// Members that only private and symmetric keys have (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKeys {
    /// From a registration: an empty set is accepted, a set without a usable key is a mistake.
    pub fn inline(set: &Value) -> Result<PublicKeys, JwksError> {
        let keys = PublicKeys::read(set)?;
        let given = set.get("keys").and_then(Value::as_array);
        if keys.0.is_empty() && given.is_some_and(|given| !given.is_empty()) {
            return Err(JwksError::Unusable);
        }
        Ok(keys)
    }

    fn read(set: &Value) -> Result<PublicKeys, JwksError> {
        let given = set.get("keys").and_then(Value::as_array);
        let mut keys: Vec<PublicKey> = Vec::new();
        for (at, jwk) in given.ok_or(JwksError::Shape)?.iter().enumerate() {
            let jwk = jwk.as_object().ok_or(JwksError::Shape)?;
            if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
                return Err(JwksError::Private(at));
            }
            let Some(key) = public_key(jwk) else { continue };
            let twice = keys
                .iter()
                .any(|known| known.kid == key.kid && known.algorithm == key.algorithm);
            if twice {
                return Err(JwksError::Twice(at));
            }
            keys.push(key);
        }
        Ok(PublicKeys(keys))
    }

    /// The key of that id for that algorithm.
    pub fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&PublicKey> {
        self.0
            .iter()
            .find(|key| &*key.kid == kid && key.algorithm == algorithm)
    }
}

fn public_key(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let kid = text("kid").filter(|kid| !kid.is_empty())?;
    if jwk.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops") {
        let verify = |operation: &Value| operation == "verify";
        operations.as_array()?.iter().find(|op| verify(op))?;
    }
    let (algorithm, key, parts) = match text("kty")? {
        "RSA" => {
            let (n, e) = (text("n")?, text("e")?);
            let bytes = URL_SAFE_NO_PAD.decode(n).ok()?;
            let significant = bytes.iter().skip_while(|byte| **byte == 0).count();
            if !(256..=1024).contains(&significant) {
                return None;
            }
            let key = DecodingKey::from_rsa_components(n, e).ok()?;
            (Algorithm::RS384, key, (n, e))
        }
        "EC" if text("crv")? == "P-384" => {
            let (x, y) = (text("x")?, text("y")?);
            let whole = |text| URL_SAFE_NO_PAD.decode(text).is_ok_and(|b| b.len() == 48);
            if !whole(x) || !whole(y) {
                return None;
            }
            let key = DecodingKey::from_ec_components(x, y).ok()?;
            (Algorithm::ES384, key, (x, y))
        }
        _ => return None,
    };
    let named = match algorithm {
        Algorithm::RS384 => "RS384",
        _ => "ES384",
    };
    if jwk.contains_key("alg") && text("alg") != Some(named) {
        return None;
    }
    Some(PublicKey {
        kid: kid.into(),
        algorithm,
        key,
        parts: (parts.0.into(), parts.1.into()),
    })
}

/// How much of a `jwks_uri` is read.
const MOST_BYTES: usize = 64 * 1024;
/// However long a set may be cached, after this it is asked for again.
const MOST_SECONDS: i64 = 3600;
/// An unknown kid makes us ask again, but not more often than this.
const AGAIN_AFTER: Instant = 2_000_000;

/// Anyone can make us fetch by naming a client; so no more than this at a time.
const AT_ONCE: usize = 8;

/// Fetches key sets and keeps them no longer than their Cache-Control allows.
#[derive(Debug)]
pub struct RemoteKeys {
    http: OnceLock<Option<reqwest::Client>>,
    known: Mutex<HashMap<Box<str>, Known>>,
    turns: Semaphore,
}

#[derive(Debug, Clone)]
struct Known {
    /// A failure is remembered too, but shortly.
    keys: Result<Arc<PublicKeys>, JwksError>,
    fetched: Instant,
    until: Instant,
}

impl Default for RemoteKeys {
    fn default() -> RemoteKeys {
        RemoteKeys {
            http: OnceLock::new(),
            known: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl RemoteKeys {
    /// With nothing fetched yet.
    pub fn new() -> RemoteKeys {
        RemoteKeys::default()
    }

    /// The key of that id at `uri`. A kid that the cached set lacks makes us fetch again, since
    /// clients rotate keys before caches end (check 32).
    pub async fn find(
        &self,
        uri: &str,
        kid: &str,
        algorithm: Algorithm,
        now: Instant,
    ) -> Result<Option<PublicKey>, JwksError> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(uri).cloned()
        };
        if let Some(known) = known.filter(|known| now < known.until) {
            let key = known.keys?.find(kid, algorithm).cloned();
            if key.is_some() || now < known.fetched + AGAIN_AFTER {
                return Ok(key);
            }
        }
        let fetched = self.fetch(uri).await;
        let (keys, kept) = match fetched {
            Ok((keys, seconds)) => (Ok(Arc::new(keys)), seconds * 1_000_000),
            Err(error) => (Err(error), AGAIN_AFTER),
        };
        let fresh = Known {
            keys: keys.clone(),
            fetched: now,
            until: now + kept,
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| now < known.until);
        known.insert(uri.into(), fresh);
        Ok(keys?.find(kid, algorithm).cloned())
    }

    /// The set and for how many seconds it may be kept.
    async fn fetch(&self, uri: &str) -> Result<(PublicKeys, i64), JwksError> {
        let _turn = self.turns.acquire().await;
        let http = self.http.get_or_init(|| {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(3))
                .timeout(Duration::from_secs(5))
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .ok()
        });
        let http = http.as_ref().ok_or(JwksError::Fetch("no TLS client"))?;
        let asked = http.get(uri).header("Accept", "application/json").send();
        let mut answer = asked.await.map_err(|_| JwksError::Fetch("no answer"))?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(JwksError::Fetch("the answer is not 200"));
        }
        let seconds = answer
            .headers()
            .get("cache-control")
            .and_then(|value| value.to_str().ok())
            .map_or(0, seconds_of);
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|_| JwksError::Fetch("the answer broke off"))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_BYTES {
                return Err(JwksError::Fetch("the answer is too large"));
            }
        }
        let set: Value = serde_json::from_slice(&body).map_err(|_| JwksError::Shape)?;
        Ok((PublicKeys::read(&set)?, seconds))
    }
}

/// `max-age` in a Cache-Control, 0 where it forbids keeping or says nothing.
fn seconds_of(control: &str) -> i64 {
    let mut seconds = 0;
    for directive in control.split(',') {
        let directive = directive.trim().to_ascii_lowercase();
        if matches!(directive.as_str(), "no-store" | "no-cache") {
            return 0;
        }
        if let Some(age) = directive.strip_prefix("max-age=") {
            seconds = age.trim_matches('"').parse().unwrap_or(0);
        }
    }
    seconds.clamp(0, MOST_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::fixture::{ClientKey, serve};
    use serde_json::json;

    #[test]
    fn only_public_signing_keys_are_taken() {
        let rsa = ClientKey::rsa("a").jwk();
        let ec = ClientKey::ec("b").jwk();
        let keys = PublicKeys::inline(&json!({"keys": [rsa, ec]})).unwrap();
        assert!(keys.find("a", Algorithm::RS384).is_some());
        assert!(keys.find("b", Algorithm::ES384).is_some());
        assert!(keys.find("a", Algorithm::ES384).is_none());
        assert!(keys.find("c", Algorithm::RS384).is_none());
        let with = |name: &str, value: &str| {
            let mut jwk = ec.clone();
            jwk[name] = value.into();
            PublicKeys::inline(&json!({"keys": [jwk]})).unwrap_err()
        };
        assert_eq!(with("d", "AA"), JwksError::Private(0));
        assert_eq!(with("k", "AA"), JwksError::Private(0));
        assert_eq!(with("use", "enc"), JwksError::Unusable);
        assert_eq!(with("alg", "ES256"), JwksError::Unusable);
        assert_eq!(with("kid", ""), JwksError::Unusable);
        assert_eq!(with("x", "AAAA"), JwksError::Unusable);
        let twice = PublicKeys::inline(&json!({"keys": [ec, ec]}));
        assert_eq!(twice.unwrap_err(), JwksError::Twice(1));
        assert_eq!(
            PublicKeys::inline(&json!({})).unwrap_err(),
            JwksError::Shape
        );
        assert!(PublicKeys::inline(&json!({"keys": []})).is_ok());
    }

    #[test]
    fn a_set_is_kept_no_longer_than_allowed() {
        assert_eq!(seconds_of("public, max-age=60"), 60);
        assert_eq!(seconds_of("max-age=60, no-store"), 0);
        assert_eq!(seconds_of("private"), 0);
        assert_eq!(seconds_of("max-age=999999999"), MOST_SECONDS);
        assert_eq!(seconds_of("max-age=-5"), 0);
    }

    #[tokio::test]
    async fn check_32_a_rotated_key_is_found() {
        let set = |kid: &str| json!({"keys": [ClientKey::ec(kid).jwk()]}).to_string();
        let uri = serve(vec![set("old"), set("new")], "max-age=600").await;
        let remote = RemoteKeys::new();
        let find = |kid: &'static str, now| remote.find(&uri, kid, Algorithm::ES384, now);
        assert!(find("old", 0).await.unwrap().is_some());
        assert!(find("old", 1).await.unwrap().is_some(), "from the cache");
        assert!(find("new", 1).await.unwrap().is_none(), "not at once again");
        assert!(find("new", AGAIN_AFTER).await.unwrap().is_some());
        assert!(find("old", AGAIN_AFTER + 1).await.unwrap().is_none());
        // The server is gone: once the cache has ended there is an error, not an old key.
        assert!(find("new", 700_000_000).await.is_err());
    }

    #[tokio::test]
    async fn a_large_set_is_not_read_to_its_end() {
        let uri = serve(vec!["x".repeat(MOST_BYTES + 1)], "max-age=600").await;
        let found = RemoteKeys::new().find(&uri, "a", Algorithm::ES384, 0).await;
        assert_eq!(
            found.unwrap_err(),
            JwksError::Fetch("the answer is too large")
        );
    }
}
