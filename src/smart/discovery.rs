//! `/fhir/.well-known/smart-configuration`: what exists today and no more.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html>

use super::{Answer, Urls};
use serde_json::{Value, json};

/// The discovery document. `issuer` and `jwks_uri` come with `sso-openid-connect`, which is not there
/// yet: certification warns of them without it.
pub fn configuration(urls: &Urls) -> Value {
    json!({
        "token_endpoint": urls.token(),
        "token_endpoint_auth_methods_supported": [
            "private_key_jwt", "client_secret_basic", "client_secret_post"
        ],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": [
            "system/*.rs", "system/*.cruds", "system/*.read", "system/*.write", "system/*.*"
        ],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": [
            "client-confidential-asymmetric",
            "client-confidential-symmetric",
            "permission-v1",
            "permission-v2"
        ]
    })
}

/// As an answer, whatever the request's Accept header.
pub fn answer(urls: &Urls) -> Answer {
    Answer::open(&configuration(urls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_1_to_8_of_what_exists_today() {
        let answer = answer(&Urls::new("https://here.example/"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            document["token_endpoint"],
            "https://here.example/auth/token"
        );
        assert_eq!(
            document["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(
            document["grant_types_supported"],
            json!(["client_credentials"])
        );
        let all = document.as_object().unwrap();
        for name in all.keys().filter(|name| name.ends_with("_supported")) {
            assert!(
                document[name]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(Value::is_string)
            );
        }
        let openid = document["capabilities"]
            .as_array()
            .unwrap()
            .contains(&json!("sso-openid-connect"));
        assert_eq!(
            openid,
            all.contains_key("issuer") && all.contains_key("jwks_uri")
        );
        let scopes = document["scopes_supported"].as_array().unwrap();
        for scope in scopes {
            let (_, dropped) = crate::scope::ScopeSet::read(scope.as_str().unwrap());
            assert!(dropped.is_empty());
        }
    }
}
