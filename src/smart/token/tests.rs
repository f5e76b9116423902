//! STANDARDS, checks 16 to 18 and 27 to 31, at the token endpoint.

use super::*;
use crate::{
    authn::{
        RemoteKeys, Tokens,
        fixture::{self, ClientKey, Memory},
    },
    gate::JournalError,
    policy::Credentials,
    smart::Urls,
    statute::Purpose,
};
use serde_json::Value;
use std::sync::Mutex;

/// Entries in memory.
#[derive(Default)]
pub(crate) struct Notebook {
    entries: Mutex<Vec<Entry>>,
    broken: std::sync::atomic::AtomicBool,
}

impl Notebook {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    pub(crate) fn break_down(&self) {
        self.broken.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Journal for Notebook {
    async fn record(&self, entry: Entry) -> Result<(), JournalError> {
        if self.broken.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(JournalError);
        }
        self.entries.lock().unwrap().push(entry);
        Ok(())
    }
}

pub(crate) struct Place {
    pub(crate) tokens: Tokens,
    pub(crate) registry: Memory,
    pub(crate) journal: Notebook,
    remote: RemoteKeys,
    urls: Urls,
}

impl Place {
    pub(crate) fn of(clients: impl IntoIterator<Item = Client>) -> Place {
        Place {
            tokens: fixture::tokens(),
            registry: Memory::of(clients),
            journal: Notebook::default(),
            remote: RemoteKeys::new(),
            urls: Urls::new(fixture::PUBLIC),
        }
    }

    pub(crate) fn smart(&self) -> Smart<'_, Notebook, Memory> {
        Smart {
            tokens: &self.tokens,
            registry: &self.registry,
            journal: &self.journal,
            remote: &self.remote,
            clock: fixture::clock(),
            urls: &self.urls,
        }
    }

    async fn post(&self, form: &[(&str, &str)]) -> (Answer, Value) {
        self.post_as(form, None).await
    }

    async fn post_as(&self, form: &[(&str, &str)], header: Option<&str>) -> (Answer, Value) {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let pairs: Vec<_> = form
            .iter()
            .map(|(n, v)| format!("{n}={}", encode(v)))
            .collect();
        let answer = self
            .smart()
            .token(pairs.join("&").as_bytes(), header, ("r", None))
            .await;
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("pragma"), Some("no-cache"));
        let json = serde_json::from_slice(&answer.body).unwrap();
        (answer, json)
    }
}

fn plan() -> Place {
    Place::of([fixture::client("plan", "plan", &["COC"])])
}

fn assertion(jti: &str) -> String {
    ClientKey::ec("ec-1").sign(&fixture::claims("plan", jti))
}

fn form<'a>(assertion: &'a str, scope: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
        ("scope", scope),
    ]
}

#[tokio::test]
async fn checks_27_and_31_a_backend_service_gets_its_token() {
    let place = plan();
    for (jti, key) in ["a", "b"].iter().zip(fixture::client_keys()) {
        let assertion = key.sign(&fixture::claims("plan", jti));
        let (answer, json) = place.post(&form(&assertion, "system/*.rs")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 300);
        assert_eq!(json["scope"], "system/*.rs");
        assert!(json.get("refresh_token").is_none());
        let token = json["access_token"].as_str().unwrap();
        let verified = place.tokens.verify(token, &place.registry).await.unwrap();
        assert_eq!(verified.purpose(), Purpose::Coc);
        assert!(!format!("{answer:?}").contains(token));
    }
    let entries = place.journal.entries();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].interaction, "token");
    assert_eq!((&*entries[0].client, entries[0].role), ("plan", "plan"));
    assert_eq!(entries[0].purpose, Some(Purpose::Coc));
}

#[tokio::test]
async fn check_28_bad_types_are_refused() {
    let place = plan();
    let good = assertion("a");
    let mut bad = form(&good, "system/*.rs");
    bad[1].1 = "not-an-assertion-type";
    let (answer, json) = place.post(&bad).await;
    assert_eq!(
        (answer.status, json["error"].as_str()),
        (400, Some("invalid_client"))
    );
    let mut bad = form(&good, "system/*.rs");
    bad[0].1 = "not-a-grant-type";
    let (answer, json) = place.post(&bad).await;
    assert_eq!(
        (answer.status, json["error"].as_str()),
        (400, Some("unsupported_grant_type"))
    );
    bad.remove(0);
    let (answer, json) = place.post(&bad).await;
    assert_eq!(
        (answer.status, json["error"].as_str()),
        (400, Some("invalid_request"))
    );
    assert!(place.journal.entries().is_empty());
}

#[tokio::test]
async fn check_29_a_bad_assertion_is_an_invalid_client() {
    let place = plan();
    let good = assertion("a");
    assert_eq!(place.post(&form(&good, "system/*.rs")).await.0.status, 200);
    let wrong = ClientKey::another_ec("ec-1").sign(&fixture::claims("plan", "b"));
    let ghost = ClientKey::ec("ec-1").sign(&fixture::claims("ghost", "b"));
    for bad in [good.as_str(), &wrong, &ghost, "nonsense"] {
        let (answer, json) = place.post(&form(bad, "system/*.rs")).await;
        assert_eq!(
            (answer.status, json["error"].as_str()),
            (400, Some("invalid_client"))
        );
        assert_eq!(json["error_description"], CLIENT, "tells nothing more");
    }
    let (_, json) = place.post(&[("grant_type", "client_credentials")]).await;
    assert_eq!(json["error"], "invalid_client");
    let fresh = assertion("c");
    let mut other = form(&fresh, "system/*.rs");
    other.push(("client_id", "other"));
    assert_eq!(place.post(&other).await.1["error"], "invalid_client");
}

#[tokio::test]
async fn check_30_scopes_without_a_meaning_are_refused() {
    let mut metadata = fixture::metadata("plan", "plan", &["COC"]);
    metadata["scope"] = "system/*.rs user/*.rs openid".into();
    let place = Place::of([fixture::register(&metadata)]);
    let refused = [
        "",
        "nonsense",
        "system/Patient.write",
        "user/*.rs",
        "openid",
        "system/Observation.rs?category=laboratory",
        "system/Ghost.read",
    ];
    for (at, scope) in refused.iter().enumerate() {
        let assertion = assertion(&at.to_string());
        let (answer, json) = place.post(&form(&assertion, scope)).await;
        assert_eq!(
            (answer.status, json["error"].as_str()),
            (400, Some("invalid_scope")),
            "{scope}"
        );
    }
    let fresh = assertion("mixed");
    let mixed = "system/Patient.read system/Observation.rs user/*.rs nonsense";
    let (_, json) = place.post(&form(&fresh, mixed)).await;
    assert_eq!(json["scope"], "system/Patient.read system/Observation.rs");
    let fresh = assertion("none");
    let mut missing = form(&fresh, "");
    missing.pop();
    assert_eq!(place.post(&missing).await.1["error"], "invalid_scope");
}

#[tokio::test]
async fn no_usable_purpose_is_an_invalid_request() {
    let place = Place::of([
        fixture::client("plan", "plan", &["COC", "HDM"]),
        fixture::client("ehr", "provider", &["ETREAT"]),
    ]);
    let ask = async |jti: &str, more: &[(&'static str, &'static str)]| {
        let assertion = assertion(jti);
        let mut form = form(&assertion, "system/*.rs");
        form.extend(more);
        place.post(&form).await.1
    };
    assert_eq!(ask("a", &[]).await["error"], "invalid_request");
    assert_eq!(
        ask("b", &[("purpose_of_use", "TREAT")]).await["error"],
        "invalid_request"
    );
    assert!(ask("c", &[("purpose_of_use", "HDM")]).await["access_token"].is_string());
    let with_system = "http://terminology.hl7.org/CodeSystem/v3-ActReason|COC";
    assert!(ask("d", &[("purpose_of_use", with_system)]).await["access_token"].is_string());

    let emergency = async |jti: &str, reason: &'static str| {
        let assertion = ClientKey::ec("ec-1").sign(&fixture::claims("ehr", jti));
        let mut form = form(&assertion, "system/*.rs");
        form.push(("break_glass_reason", reason));
        place.post(&form).await.1
    };
    assert_eq!(emergency("e", "").await["error"], "invalid_request");
    assert!(emergency("f", "unconscious").await["access_token"].is_string());
    let last = place.journal.entries().pop().unwrap();
    assert_eq!(last.break_glass.as_deref(), Some("unconscious"));
}

#[tokio::test]
async fn the_assertions_purpose_and_the_forms_must_agree() {
    let place = Place::of([fixture::client("plan", "plan", &["COC", "HDM"])]);
    let ask = async |jti: &str, in_assertion: Value, in_form: Option<&'static str>| {
        let mut claims = fixture::claims("plan", jti);
        claims["extensions"] = json!({"hl7-b2b": {"purpose_of_use": in_assertion}});
        let assertion = ClientKey::ec("ec-1").sign(&claims);
        let mut form = form(&assertion, "system/*.rs");
        form.extend(in_form.map(|code| ("purpose_of_use", code)));
        place.post(&form).await.0.status
    };
    let oid = json!(["urn:oid:2.16.840.1.113883.5.8#HDM"]);
    assert_eq!(ask("a", oid.clone(), None).await, 200);
    assert_eq!(ask("b", oid.clone(), Some("HDM")).await, 200);
    assert_eq!(ask("c", oid, Some("COC")).await, 400);
    assert_eq!(ask("d", json!(["COC", "HDM"]), None).await, 400);
}

#[tokio::test]
async fn check_18_secrets_work_for_whom_they_are_registered() {
    let mut metadata = fixture::metadata("secretive", "plan", &["COC"]);
    metadata["token_endpoint_auth_method"] = "client_secret_basic".into();
    let (client, secret) = Client::register(metadata.to_string().as_bytes()).unwrap();
    let secret = secret.unwrap();
    let place = Place::of([client]);
    let ask = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
    ];
    let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("secretive:{secret}")));
    let (answer, _) = place.post_as(&ask, Some(&basic(secret.reveal()))).await;
    assert_eq!(answer.status, 200);
    for bad in [basic("wrong"), "Basic ???".into(), "Bearer x".into()] {
        let (answer, json) = place.post_as(&ask, Some(&bad)).await;
        assert_eq!(
            (answer.status, json["error"].as_str()),
            (401, Some("invalid_client"))
        );
        assert!(answer.header("www-authenticate").is_some());
    }
    let mut post = ask.to_vec();
    post.push(("client_id", "secretive"));
    post.push(("client_secret", secret.reveal()));
    assert_eq!(
        place.post(&post).await.1["error"],
        "invalid_client",
        "another method"
    );
    let both = place.post_as(&post, Some(&basic(secret.reveal()))).await;
    assert_eq!(both.1["error"], "invalid_request");
}

#[tokio::test]
async fn a_client_registered_for_another_grant_or_disabled_gets_nothing() {
    let mut metadata = fixture::metadata("plan", "plan", &["COC"]);
    metadata["grant_types"] = json!(["refresh_token"]);
    let place = Place::of([fixture::register(&metadata)]);
    let good = assertion("a");
    assert_eq!(
        place.post(&form(&good, "system/*.rs")).await.1["error"],
        "unauthorized_client"
    );
    let place = plan();
    place.registry.disable_client("plan").await.unwrap();
    assert_eq!(
        place.post(&form(&good, "system/*.rs")).await.1["error"],
        "invalid_client"
    );
}

#[tokio::test]
async fn without_a_durable_entry_there_is_no_token() {
    let place = plan();
    place.journal.break_down();
    let good = assertion("a");
    let (answer, json) = place.post(&form(&good, "system/*.rs")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some() && json.get("access_token").is_none());
}

#[tokio::test]
async fn nobody_gets_a_persons_purpose_without_the_person() {
    let place = Place::of([fixture::client("plan", "app", &["PATRQT"])]);
    let good = assertion("a");
    let (_, json) = place.post(&form(&good, "system/*.rs")).await;
    assert_eq!(json["error"], "invalid_request");
}
