//! STANDARDS, checks 27 and 29.

use super::*;
use crate::authn::fixture::{self, ClientKey, Memory, NOW, TOKEN_URL};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

struct Place {
    registry: Memory,
    remote: RemoteKeys,
}

fn place() -> Place {
    Place {
        registry: Memory::of([
            fixture::client("plan", "plan", &["COC"]),
            fixture::client("other", "plan", &["COC"]),
        ]),
        remote: RemoteKeys::new(),
    }
}

impl Place {
    async fn check(&self, assertion: &str) -> Result<Assertion, AssertionError> {
        let checker = Checker {
            registry: &self.registry,
            remote: &self.remote,
            clock: fixture::clock(),
            token_url: TOKEN_URL,
        };
        checker.check(assertion, None).await
    }

    /// Good but for one claim.
    async fn with(&self, name: &str, value: Value) -> Option<AssertionError> {
        let mut claims = fixture::claims("plan", "j");
        claims[name] = value;
        self.check(&ClientKey::ec("ec-1").sign(&claims)).await.err()
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
    let part = |value: &Value| B64.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

#[tokio::test]
async fn check_27_rs384_and_es384_succeed() {
    let place = place();
    for (jti, key) in ["a", "b"].iter().zip(fixture::client_keys()) {
        let assertion = key.sign(&fixture::claims("plan", jti));
        let checked = place.check(&assertion).await.unwrap();
        assert_eq!(&*checked.client.id, "plan");
    }
}

#[tokio::test]
async fn check_29_a_wrong_key_or_algorithm_is_refused() {
    let place = place();
    let claims = fixture::claims("plan", "j");
    let check = async |assertion: String| place.check(&assertion).await.unwrap_err();
    let wrong = ClientKey::another_ec("ec-1").sign(&claims);
    assert!(matches!(check(wrong).await, AssertionError::Signature));
    let unknown = ClientKey::ec("ec-2").sign(&claims);
    assert!(matches!(check(unknown).await, AssertionError::Key));
    // The kid of the RSA key with an EC signature.
    let crossed = ClientKey::ec("rsa-1").sign(&claims);
    assert!(matches!(check(crossed).await, AssertionError::Key));
    let mut header = ClientKey::ec("ec-1").header();
    header.kid = None;
    let no_kid = ClientKey::ec("ec-1").sign_with(&header, &claims);
    assert!(matches!(check(no_kid).await, AssertionError::Key));
    for alg in ["none", "None", "NONE"] {
        let none = unsigned(&json!({"alg": alg, "kid": "ec-1"}), &claims);
        assert!(matches!(check(none).await, AssertionError::Malformed));
    }
    // HS256 with the public key as the secret.
    let public = ClientKey::rsa("rsa-1").jwk()["n"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("rsa-1".into());
    let secret = EncodingKey::from_secret(public.as_bytes());
    let confused = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
    assert!(matches!(check(confused).await, AssertionError::Algorithm));
    assert!(matches!(
        check("a.b".into()).await,
        AssertionError::Malformed
    ));
    let long = "x".repeat(MOST_BYTES + 1);
    assert!(matches!(check(long).await, AssertionError::Malformed));
}

#[tokio::test]
async fn check_29_wrong_claims_are_refused() {
    let place = place();
    let audience = |value| place.with("aud", value);
    assert!(matches!(
        audience(json!("https://here.example/fhir")).await,
        Some(AssertionError::Audience)
    ));
    assert!(matches!(
        audience(json!([TOKEN_URL, "https://else.example"])).await,
        Some(AssertionError::Audience)
    ));
    assert!(matches!(
        place.with("sub", json!("other")).await,
        Some(AssertionError::Subject)
    ));
    assert!(matches!(
        place.with("iss", json!("other")).await,
        Some(AssertionError::Subject)
    ));
    assert!(matches!(
        place.with("iss", json!("ghost")).await,
        Some(AssertionError::Client)
    ));
    for exp in [NOW + 312, NOW - 11, 0] {
        assert!(matches!(
            place.with("exp", json!(exp)).await,
            Some(AssertionError::Time)
        ));
    }
    for exp in [json!(null), json!("soon"), json!(1e300)] {
        assert!(matches!(
            place.with("exp", exp).await,
            Some(AssertionError::Malformed)
        ));
    }
    assert!(matches!(
        place.with("nbf", json!(NOW + 60)).await,
        Some(AssertionError::Time)
    ));
    assert!(matches!(
        place.with("iat", json!(NOW + 60)).await,
        Some(AssertionError::Time)
    ));
    assert!(matches!(
        place.with("jti", json!("")).await,
        Some(AssertionError::Malformed)
    ));
    assert!(matches!(
        place.with("jti", json!(null)).await,
        Some(AssertionError::Malformed)
    ));
    assert!(place.with("exp", json!(NOW as f64 + 60.5)).await.is_none());
}

#[tokio::test]
async fn check_29_a_replay_is_refused_per_issuer() {
    let place = place();
    let key = ClientKey::ec("ec-1");
    let once = key.sign(&fixture::claims("plan", "j"));
    assert!(place.check(&once).await.is_ok());
    assert!(matches!(
        place.check(&once).await,
        Err(AssertionError::Replay)
    ));
    let other = key.sign(&fixture::claims("other", "j"));
    assert!(place.check(&other).await.is_ok());
}

#[tokio::test]
async fn a_refused_assertion_does_not_spend_the_jti() {
    let place = place();
    assert!(place.with("aud", json!("x")).await.is_some());
    assert!(place.with("aud", json!(TOKEN_URL)).await.is_none());
}

#[tokio::test]
async fn a_disabled_client_is_refused() {
    let place = place();
    place.registry.disable_client("plan").await.unwrap();
    assert!(matches!(
        place.with("jti", json!("k")).await,
        Some(AssertionError::Client)
    ));
}

#[tokio::test]
async fn the_purpose_of_an_hl7_b2b_extension_is_read() {
    let place = place();
    let mut claims = fixture::claims("plan", "j");
    claims["extensions"] = json!({"hl7-b2b": {"version": "1", "purpose_of_use": ["COC"]}});
    let assertion = ClientKey::ec("ec-1").sign(&claims);
    assert_eq!(place.check(&assertion).await.unwrap().purposes, ["COC"]);
}

#[tokio::test]
async fn check_32_keys_at_a_url_are_fetched_and_refetched() {
    let set = |kid: &str| json!({"keys": [ClientKey::ec(kid).jwk()]}).to_string();
    let uri = fixture::serve(vec![set("old"), set("new")], "no-store").await;
    let mut metadata = fixture::metadata("plan", "plan", &["COC"]);
    metadata["jwks"] = json!(null);
    metadata["jwks_uri"] = uri.into();
    let place = Place {
        registry: Memory::of([fixture::register(&metadata)]),
        remote: RemoteKeys::new(),
    };
    for (jti, kid) in [("a", "old"), ("b", "new")] {
        let mut header = ClientKey::ec(kid).header();
        // Where the assertion says its keys are is of no account.
        header.jku = Some("https://else.example/jwks".into());
        let claims = fixture::claims("plan", jti);
        let assertion = ClientKey::ec(kid).sign_with(&header, &claims);
        assert!(place.check(&assertion).await.is_ok());
    }
    let late = ClientKey::ec("new").sign(&fixture::claims("plan", "c"));
    assert!(matches!(
        place.check(&late).await,
        Err(AssertionError::Jwks(_))
    ));
}
