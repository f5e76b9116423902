//! Tokens that must and must not be accepted.

use super::*;
use crate::{
    authn::fixture::{self, Memory, NOW},
    policy::Credentials,
};

fn key(text: &str) -> Option<Key> {
    Key::parse(text)
}

fn registry() -> Memory {
    Memory::of([
        fixture::client("plan", "plan", &["COC"]),
        fixture::client("app", "app", &["PATRQT", "COVERAGE"]),
        fixture::client("ehr", "provider", &["TREAT", "ETREAT"]),
    ])
}

fn grant(scope: &str) -> Grant<'static> {
    Grant {
        scopes: ScopeSet::parse(scope),
        user: None,
        patient: None,
        purpose: None,
        reason: None,
        ttl: 300,
    }
}

fn plan_claims() -> Claims {
    let client = fixture::client("plan", "plan", &["COC"]);
    let issued = fixture::tokens().issue(&client, grant("system/*.rs"));
    issued.unwrap().claims
}

async fn refused(change: impl Fn(&mut Claims)) -> TokenError {
    let (tokens, mut claims) = (fixture::tokens(), plan_claims());
    change(&mut claims);
    tokens
        .verify(&tokens.sign(&claims), &registry())
        .await
        .unwrap_err()
}

#[tokio::test]
async fn what_is_issued_verifies_with_what_the_registration_says() {
    let (tokens, registry) = (fixture::tokens(), registry());
    let app = registry.client("app").await.unwrap().unwrap();
    let member = Grant {
        user: key("Patient/a"),
        patient: Id::parse("a"),
        ..grant("patient/*.rs")
    };
    let issued = tokens.issue(&app, member).unwrap();
    let user = "https://here.example/fhir/Patient/a";
    assert_eq!(issued.claims.fhir_user.as_deref(), Some(user));
    let verified = tokens.verify(&issued.token, &registry).await.unwrap();
    assert_eq!(verified.purpose(), Purpose::Patrqt);
    assert_eq!(verified.requester().user, key("Patient/a"));
    assert_eq!(verified.requester().organization, key("Organization/acme"));
    assert_eq!(verified.requester().state.as_deref(), Some("CA"));
    assert_eq!(verified.patient().map(Id::as_str), Some("a"));
    assert_eq!(verified.scopes().text(), "patient/*.rs");
    assert_eq!(verified.ends(), NOW + 300);
    assert!(!format!("{issued:?}").contains(&issued.token));
}

#[tokio::test]
async fn foreign_stale_and_misdirected_tokens_are_refused() {
    assert!(matches!(
        refused(|c| c.exp = NOW).await,
        TokenError::Expired
    ));
    assert!(matches!(
        refused(|c| c.aud = "https://else.example/fhir".into()).await,
        TokenError::Invalid
    ));
    assert!(matches!(
        refused(|c| c.iss = "https://else.example".into()).await,
        TokenError::Invalid
    ));
    assert!(matches!(
        refused(|c| c.client_id = "ghost".into()).await,
        TokenError::Client
    ));
    let (tokens, registry) = (fixture::tokens(), registry());
    let dir = tempfile::tempdir().unwrap();
    let foreign = Keys::open(dir.path()).unwrap();
    let claims = plan_claims();
    let by_another = foreign.access().sign("at+jwt", &claims).unwrap();
    let refused = tokens.verify(&by_another, &registry).await;
    assert!(matches!(refused, Err(TokenError::Invalid)));
    // An id_token's key or type makes no access token.
    for token in [
        tokens.keys().id().sign("at+jwt", &claims).unwrap(),
        tokens.keys().access().sign("JWT", &claims).unwrap(),
    ] {
        let refused = tokens.verify(&token, &registry).await;
        assert!(matches!(refused, Err(TokenError::Invalid)));
    }
    let good = tokens.sign(&claims);
    let cut = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    for bad in ["", "a.b.c", &cut] {
        let refused = tokens.verify(bad, &registry).await;
        assert!(matches!(refused, Err(TokenError::Invalid)));
    }
}

#[tokio::test]
async fn check_46_a_token_without_what_its_purpose_needs_fails_closed() {
    let missing = refused(|c| c.purpose_of_use = None).await;
    assert!(matches!(
        missing,
        TokenError::Purpose(PurposeError::Missing)
    ));
    assert_eq!(missing.status(), 403);
    for purpose in ["TREAT", "FUN", "PATRQT"] {
        let error = refused(|c| c.purpose_of_use = Some(purpose.into())).await;
        assert_eq!(error.status(), 403);
    }
    let app = |c: &mut Claims| {
        c.client_id = "app".into();
        c.purpose_of_use = Some("PATRQT".into());
        c.scope = "patient/*.rs".into();
    };
    let error = refused(app).await;
    assert!(matches!(error, TokenError::Purpose(PurposeError::NoUser)));
    let error = refused(|c| {
        app(c);
        c.fhir_user = Some("Patient/a".into());
    });
    assert!(matches!(
        error.await,
        TokenError::Purpose(PurposeError::NoPatient)
    ));
    for user in [
        "Observation/a",
        "https://else.example/fhir/Patient/a",
        "Patient/a/_history/1",
        "",
    ] {
        let error = refused(|c| c.fhir_user = Some(user.into())).await;
        assert!(matches!(error, TokenError::Invalid), "{user}");
    }
}

#[tokio::test]
async fn an_emergency_needs_its_reason_and_ends_by_itself() {
    let (tokens, registry) = (fixture::tokens(), registry());
    let ehr = registry.client("ehr").await.unwrap().unwrap();
    let emergency = |reason| Grant {
        purpose: Some("ETREAT"),
        reason,
        ttl: 86_400,
        ..grant("user/*.rs")
    };
    assert!(tokens.issue(&ehr, emergency(None)).is_err());
    let issued = tokens.issue(&ehr, emergency(Some("unconscious"))).unwrap();
    assert_eq!(issued.claims.exp, NOW + 1800);
    let verified = tokens.verify(&issued.token, &registry).await.unwrap();
    assert_eq!(verified.break_glass(), Some("unconscious"));
    let mut long = issued.claims.clone();
    long.exp = NOW + 86_400;
    let verified = tokens.verify(&tokens.sign(&long), &registry).await.unwrap();
    assert_eq!(verified.ends(), NOW + 1800);
    long.break_glass_until = Some(NOW);
    let ended = tokens.verify(&tokens.sign(&long), &registry).await;
    assert!(matches!(ended, Err(TokenError::Expired)));
    long.break_glass_until = None;
    assert!(tokens.verify(&tokens.sign(&long), &registry).await.is_err());
}

#[tokio::test]
async fn a_token_is_remembered_until_something_is_taken_away() {
    let (tokens, registry) = (fixture::tokens(), registry());
    let token = tokens.sign(&plan_claims());
    let first = tokens.verify(&token, &registry).await.unwrap();
    let again = tokens.verify(&token, &registry).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(registry.asked(), 1);
    registry.disable_client("app").await.unwrap();
    assert!(tokens.verify(&token, &registry).await.is_ok());
    assert_eq!(registry.asked(), 2);
    registry.disable_client("plan").await.unwrap();
    let refused = tokens.verify(&token, &registry).await;
    assert!(matches!(refused, Err(TokenError::Client)));
}

#[tokio::test]
async fn a_token_never_gets_more_than_the_registration_now_allows() {
    let mut metadata = fixture::metadata("plan", "plan", &["COC"]);
    metadata["scope"] = "system/Patient.rs".into();
    let registry = Memory::of([fixture::register(&metadata)]);
    let tokens = fixture::tokens();
    let token = tokens.sign(&plan_claims());
    let verified = tokens.verify(&token, &registry).await.unwrap();
    assert_eq!(verified.scopes().text(), "system/Patient.rs");
}

/// Prints what a remembered token costs: `cargo test --lib measure -- --nocapture`.
#[tokio::test]
async fn measure_of_a_remembered_token() {
    let (tokens, registry) = (fixture::tokens(), registry());
    let token = tokens.sign(&plan_claims());
    tokens.verify(&token, &registry).await.unwrap();
    let start = std::time::Instant::now();
    for _ in 0..20_000 {
        std::hint::black_box(tokens.verify(&token, &registry).await.unwrap());
    }
    let each = start.elapsed() / 20_000;
    println!("remembered token of {} bytes: {each:?}", token.len());
}
