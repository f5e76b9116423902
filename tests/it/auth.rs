//! Tokens: which are good, how a backend service gets one, and what discovery says.

use crate::harness::{NOW, PUBLIC, Server, Who};
use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_bad_token_is_401_and_says_how_to_ask() {
    let server = Server::start().await;
    let good = server.token(&Who::persona("maya", "member")).await;
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    parts[1] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("{\"sub\":\"x\"}");
    let forged = parts.join(".");
    let none = format!(
        "{}.{}.",
        "eyJhbGciOiJub25lIn0",
        good.split('.').nth(1).unwrap()
    );
    let bad = ["x", "a.b.c", &forged, &none, &good[..good.len() - 4]];
    for token in bad {
        let reply = server.get("Patient/rivera-maya", token).await;
        assert_eq!(reply.status, 401, "{token}");
        assert_eq!(
            reply.header("www-authenticate"),
            "Bearer realm=\"confide\", error=\"invalid_token\""
        );
        assert_eq!(reply.json()["resourceType"], "OperationOutcome");
    }
    for headers in [&[][..], &[("authorization", "Basic eDp5")]] {
        let reply = server
            .send(
                Method::GET,
                "/fhir/Patient/rivera-maya",
                headers,
                Vec::new(),
            )
            .await;
        assert_eq!(
            (reply.status, reply.header("www-authenticate")),
            (401, "Bearer realm=\"confide\"")
        );
    }
    // A ghost, a hidden record and a type that is not there need a token alike.
    for path in [
        "Patient/never-was",
        "Encounter/maya-mh-encounter",
        "Condition?patient=x",
        "Patient/x/$everything",
    ] {
        let reply = server
            .send(Method::GET, &format!("/fhir/{path}"), &[], Vec::new())
            .await;
        assert_eq!(reply.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_token_of_another_server_or_a_disabled_client_is_not_good() {
    let server = Server::start().await;
    let other = crate::harness::Start::default().only(Vec::new()).go().await;
    let foreign = other.token(&Who::persona("maya", "auditor")).await;
    assert_eq!(
        server.get("Patient/rivera-maya", &foreign).await.status,
        401
    );
    let token = server.token(&Who::persona("maya", "provider")).await;
    assert_eq!(server.get("Patient/rivera-maya", &token).await.status, 200);
    use confide::authn::Registry as _;
    server
        .api
        .parts()
        .registry
        .disable_client("demo-ehr")
        .await
        .unwrap();
    assert_eq!(server.get("Patient/rivera-maya", &token).await.status, 401);
}

struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
}

fn signers() -> Vec<Signer> {
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random).unwrap();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    vec![
        Signer {
            algorithm: Algorithm::ES384,
            key: EncodingKey::from_ec_der(ec.as_ref()),
        },
        Signer {
            algorithm: Algorithm::RS384,
            key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(),
        },
    ]
}

impl Signer {
    fn kid(&self) -> String {
        format!("it-{:?}", self.algorithm)
    }

    fn jwk(&self) -> Value {
        let jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk["kid"] = self.kid().into();
        jwk
    }

    fn assertion(&self, client: &str, jti: &str) -> String {
        let header = Header {
            kid: Some(self.kid()),
            ..Header::new(self.algorithm)
        };
        let claims = json!({"iss": client, "sub": client, "aud": format!("{PUBLIC}/auth/token"),
            "exp": NOW / 1_000_000 + 240, "jti": jti});
        jsonwebtoken::encode(&header, &claims, &self.key).unwrap()
    }
}

async fn ask(server: &Server, assertion: &str, scope: &str, more: &str) -> crate::harness::Reply {
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let form = format!(
        "grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}&scope={scope}{more}"
    );
    server
        .send(Method::POST, "/auth/token", &[FORM], form.into_bytes())
        .await
}

#[tokio::test]
async fn a_backend_service_gets_a_token_by_assertion_and_reads_with_it() {
    let server = Server::start().await;
    let signers = signers();
    let mut plan = crate::harness::fixture("clients.json")
        .as_array()
        .unwrap()
        .iter()
        .find(|client| client["client_id"] == "demo-plan")
        .cloned()
        .unwrap();
    plan["client_id"] = "it-plan".into();
    plan["jwks"] = json!({"keys": signers.iter().map(Signer::jwk).collect::<Vec<_>>()});
    server.register(&plan).await;
    for (at, signer) in signers.iter().enumerate() {
        let assertion = signer.assertion("it-plan", &format!("jti-{at}"));
        let reply = ask(&server, &assertion, "system/*.rs", "&purpose_of_use=COC").await;
        assert_eq!(reply.status, 200, "{}", reply.whole());
        assert_eq!(reply.header("cache-control"), "no-store");
        let answer = reply.json();
        assert_eq!(
            answer["token_type"].as_str().unwrap().to_lowercase(),
            "bearer"
        );
        let token = answer["access_token"].as_str().unwrap();
        assert_eq!(
            server
                .get("Encounter/maya-rh-encounter", token)
                .await
                .status,
            200
        );
        assert_eq!(
            server
                .get("Encounter/maya-mh-encounter", token)
                .await
                .status,
            404
        );
        let again = ask(&server, &assertion, "system/*.rs", "&purpose_of_use=COC").await;
        assert_eq!(
            (again.status, again.json()["error"].as_str()),
            (400, Some("invalid_client"))
        );
    }
    let forged = Signer {
        algorithm: Algorithm::ES384,
        key: self::signers().remove(0).key,
    };
    let refused = ask(
        &server,
        &forged.assertion("it-plan", "f"),
        "system/*.rs",
        "",
    )
    .await;
    assert_eq!(refused.status, 400);
    let purpose = signers[0].assertion("it-plan", "p");
    let refused = ask(&server, &purpose, "system/*.rs", "&purpose_of_use=TREAT").await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
}

#[tokio::test]
async fn a_token_request_without_a_usable_purpose_is_refused() {
    let server = Server::start().await;
    let signers = signers();
    let client = json!({"client_id": "it-two", "client_name": "two purposes", "role": "provider",
        "organization": "Organization/valley-clinic", "grant_types": ["client_credentials"],
        "scope": "system/*.rs", "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [signers[0].jwk()]}, "purpose_of_use": ["TREAT", "ETREAT"], "state": "CA"});
    server.register(&client).await;
    let none = ask(
        &server,
        &signers[0].assertion("it-two", "1"),
        "system/*.rs",
        "",
    )
    .await;
    assert_eq!(
        (none.status, none.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
    let unreasoned = ask(
        &server,
        &signers[0].assertion("it-two", "2"),
        "system/*.rs",
        "&purpose_of_use=ETREAT",
    )
    .await;
    assert_eq!(
        (unreasoned.status, unreasoned.json()["error"].as_str()),
        (400, Some("invalid_request"))
    );
    let good = ask(
        &server,
        &signers[0].assertion("it-two", "3"),
        "system/*.rs",
        "&purpose_of_use=TREAT",
    )
    .await;
    assert_eq!(good.status, 200, "{}", good.whole());
}

#[tokio::test]
async fn discovery_is_open_json_whatever_is_accepted() {
    let server = Server::start().await;
    for accept in [
        "application/fhir+xml",
        "text/html",
        "application/json",
        "nonsense",
    ] {
        let headers = [("accept", accept)];
        let reply = server
            .send(
                Method::GET,
                "/fhir/.well-known/smart-configuration",
                &headers,
                Vec::new(),
            )
            .await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, "application/json"),
            "{accept}"
        );
        assert_eq!(
            reply.json()["token_endpoint"],
            format!("{PUBLIC}/auth/token")
        );
    }
    let keys = server
        .send(Method::GET, "/auth/jwks", &[], Vec::new())
        .await;
    let keys = keys.json()["keys"].as_array().unwrap().clone();
    let algorithms: Vec<&str> = keys.iter().map(|k| k["alg"].as_str().unwrap()).collect();
    assert!(
        algorithms.contains(&"ES256") && algorithms.contains(&"RS256"),
        "{algorithms:?}"
    );
    assert!(
        keys.iter()
            .all(|key| key["d"].is_null() && key["p"].is_null())
    );
}

#[tokio::test]
async fn the_capability_statement_lists_the_routes_that_are_served() {
    let server = Server::start().await;
    let reply = server
        .send(Method::GET, "/fhir/metadata", &[], Vec::new())
        .await;
    assert_eq!(reply.status, 200);
    let rest = reply.json()["rest"][0].clone();
    assert_eq!(
        rest["interaction"],
        json!([
            {"code": "batch"},
            {"code": "history-system"},
            {"code": "search-system"},
            {"code": "transaction"}
        ])
    );
    for resource in rest["resource"].as_array().unwrap() {
        let name = resource["type"].as_str().unwrap();
        let codes: Vec<&str> = resource["interaction"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| i["code"].as_str().unwrap())
            .collect();
        let expected: &[&str] = match name {
            "Bundle" | "OperationOutcome" | "Parameters" => &[
                "history-instance",
                "history-type",
                "read",
                "search-type",
                "vread",
            ],
            _ => &[
                "create",
                "delete",
                "history-instance",
                "history-type",
                "patch",
                "read",
                "search-type",
                "update",
                "vread",
            ],
        };
        assert_eq!(codes, expected, "{name}");
        assert_eq!(
            resource["updateCreate"],
            codes.contains(&"update"),
            "{name}"
        );
        let operations: Vec<&str> = resource["operation"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|o| o["name"].as_str().unwrap())
            .collect();
        let expected: &[&str] = match name {
            "Patient" => &["everything", "validate"],
            "Consent" => &["evaluate", "validate"],
            _ => &["validate"],
        };
        assert_eq!(operations, expected, "{name}");
    }
    // What is not listed is not served.
    let token = server.token(&Who::staff()).await;
    for (method, path) in [
        (Method::DELETE, "Patient/rivera-maya/_history"),
        (Method::PATCH, "Patient/_history"),
        (Method::GET, "Patient/rivera-maya/_nothing"),
        (Method::GET, "Patient/$match"),
        (Method::PUT, "Patient/rivera-maya/_history/1"),
    ] {
        let reply = server.write(method.clone(), path, &token, &[], "{}").await;
        assert!(
            [404, 405].contains(&reply.status),
            "{method} {path}: {}",
            reply.status
        );
    }
}

/// Tokens with our own signature whose claims are not as we make them.
#[tokio::test]
async fn a_token_is_good_for_its_time_its_audience_and_a_purpose() {
    let server = Server::start().await;
    let good = server.token(&Who::persona("maya", "provider")).await;
    let pem = std::fs::read(server.data.join("keys/access-es256.pem")).unwrap();
    let key = EncodingKey::from_ec_pem(&pem).unwrap();
    let header = jsonwebtoken::decode_header(&good).unwrap();
    let part = good.split('.').nth(1).unwrap();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(part)
        .unwrap();
    let claims: Value = serde_json::from_slice(&text).unwrap();
    let now = NOW / 1_000_000;
    let sign = |name: &str, value: Value| {
        let mut changed = claims.clone();
        match value {
            Value::Null => drop(changed.as_object_mut().unwrap().remove(name)),
            value => changed[name] = value,
        }
        jsonwebtoken::encode(&header, &changed, &key).unwrap()
    };
    for (name, value, status) in [
        ("x", json!("y"), 200),
        ("purpose_of_use", Value::Null, 403),
        ("purpose_of_use", json!("NONSENSE"), 403),
        ("exp", json!(now - 120), 401),
        ("exp", Value::Null, 401),
        ("aud", json!("http://elsewhere.test/fhir"), 401),
        ("iss", json!("http://elsewhere.test"), 401),
        ("client_id", json!("nobody"), 401),
        ("scope", json!("user/Observation.rs"), 403),
    ] {
        let token = sign(name, value.clone());
        let reply = server.get("Condition/maya-office-condition", &token).await;
        assert_eq!(reply.status, status, "{name} {value}: {}", reply.whole());
    }
}
