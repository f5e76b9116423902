//! Client metadata as it is written, and its checks.

use super::{
    client::{AuthMethod, ClientError, KeySource, purposes_of},
    jwks::PublicKeys,
};
use crate::{
    fhir::{Key, Kind},
    policy::Role,
    scope::{ScopeSet, Why},
    statute::Purpose,
};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// RFC 7591's names and ours. An unknown field is an error: a misspelt restriction must not pass for
/// none. A secret is never among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    missing_docs,
    reason = "RFC 7591 section 2 and CONTRACT.md, client metadata"
)]
pub struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<Vec<String>>,
    #[serde(default)]
    pub scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_purpose: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl Metadata {
    pub(super) fn read(json: &[u8]) -> Result<Metadata, ClientError> {
        serde_json::from_slice(json).map_err(|error| ClientError::Shape(error.to_string().into()))
    }
}

/// What the checks found out.
pub(super) struct Checked {
    pub role: Role,
    pub organization: Option<Key>,
    pub purposes: Vec<Purpose>,
    pub default_purpose: Option<Purpose>,
    pub auth: AuthMethod,
    pub keys: KeySource,
}

const GRANTS: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];

/// US postal codes: states, the district, territories.
const STATES: &str = "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV \
     NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC AS GU MP PR VI";

fn wrong<T>(field: &'static str, problem: impl Into<Box<str>>) -> Result<T, ClientError> {
    Err(ClientError::Field {
        field,
        problem: problem.into(),
    })
}

pub(super) fn check(metadata: &Metadata) -> Result<Checked, ClientError> {
    check_id(metadata.client_id.as_deref().unwrap_or_default())?;
    let Some(role) = Role::named(&metadata.role) else {
        let names: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        return wrong("role", format!("not one of {}", names.join(", ")));
    };
    let organization = check_organization(metadata.organization.as_deref())?;
    let (purposes, default_purpose) = check_purposes(metadata, role)?;
    if let Some(state) = &metadata.state
        && !STATES.split_whitespace().any(|known| known == state)
    {
        return wrong("state", "not a US postal code of a state, in capitals");
    }
    check_scope(&metadata.scope)?;
    let auth = check_auth(metadata)?;
    check_flow(metadata, auth)?;
    let keys = check_keys(metadata, auth)?;
    Ok(Checked {
        role,
        organization,
        purposes,
        default_purpose,
        auth,
        keys,
    })
}

fn check_id(id: &str) -> Result<(), ClientError> {
    // VSCHAR of RFC 6749 without space, and ':' would be ambiguous in HTTP Basic.
    let fits =
        (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    if fits {
        return Ok(());
    }
    wrong(
        "client_id",
        "1 to 128 visible ASCII characters without a colon",
    )
}

fn check_organization(text: Option<&str>) -> Result<Option<Key>, ClientError> {
    let organization = Kind::named("Organization");
    match text {
        None => Ok(None),
        Some(text) => match Key::parse(text) {
            Some(key) if Some(key.kind) == organization => Ok(Some(key)),
            _ => wrong("organization", "not a reference Organization/id"),
        },
    }
}

fn check_purposes(
    metadata: &Metadata,
    role: Role,
) -> Result<(Vec<Purpose>, Option<Purpose>), ClientError> {
    let mut purposes = Vec::new();
    for code in metadata.purpose_of_use.iter().flatten() {
        let fits = Purpose::parse(code).filter(|purpose| purposes_of(role).contains(purpose));
        match fits {
            Some(purpose) if purposes.contains(&purpose) => {
                return wrong("purpose_of_use", format!("{code} twice"));
            }
            Some(purpose) => purposes.push(purpose),
            None => {
                let problem = format!("{code} is not a purpose of the role {}", role.name());
                return wrong("purpose_of_use", problem);
            }
        }
    }
    let default = match &metadata.default_purpose {
        None => None,
        Some(code) => match Purpose::parse(code) {
            Some(purpose) if purposes.contains(&purpose) => Some(purpose),
            _ => return wrong("default_purpose", "not in purpose_of_use"),
        },
    };
    Ok((purposes, default))
}

fn check_scope(text: &str) -> Result<(), ClientError> {
    let (scopes, dropped) = ScopeSet::read(text);
    // Filtered scopes are registered by clients that ask for them elsewhere; here they are never granted.
    if let Some(bad) = dropped.iter().find(|dropped| dropped.why != Why::Filter) {
        return wrong("scope", format!("{}: {}", bad.scope, bad.why));
    }
    if scopes.text().is_empty() {
        return wrong("scope", "the most that the client may get must be named");
    }
    Ok(())
}

fn check_auth(metadata: &Metadata) -> Result<AuthMethod, ClientError> {
    let Some(name) = &metadata.token_endpoint_auth_method else {
        let keyed = metadata.jwks.is_some() || metadata.jwks_uri.is_some();
        return Ok(match keyed {
            true => AuthMethod::PrivateKeyJwt,
            false => AuthMethod::ClientSecretBasic,
        });
    };
    match AuthMethod::ALL
        .into_iter()
        .find(|method| method.name() == name)
    {
        Some(method) => Ok(method),
        None => wrong("token_endpoint_auth_method", "not supported"),
    }
}

fn check_flow(metadata: &Metadata, auth: AuthMethod) -> Result<(), ClientError> {
    let grants = metadata.grant_types.as_deref().unwrap_or_default();
    if let Some(bad) = grants
        .iter()
        .find(|grant| !GRANTS.contains(&grant.as_str()))
    {
        return wrong("grant_types", format!("{bad} is not supported"));
    }
    let has = |grant: &str| grants.iter().any(|known| known == grant);
    if has("client_credentials") && auth == AuthMethod::None {
        let problem = "client_credentials need a client that can prove who it is";
        return wrong("token_endpoint_auth_method", problem);
    }
    let redirects = metadata.redirect_uris.as_deref().unwrap_or_default();
    if has("authorization_code") && redirects.is_empty() {
        return wrong("redirect_uris", "authorization_code needs at least one");
    }
    for uri in redirects {
        check_redirect(uri)?;
    }
    let responses = metadata.response_types.as_deref().unwrap_or_default();
    if responses.iter().any(|response| response != "code") {
        return wrong("response_types", "only code is supported");
    }
    let pages = [
        ("launch_uri", &metadata.launch_uri),
        ("client_uri", &metadata.client_uri),
        ("logo_uri", &metadata.logo_uri),
        ("tos_uri", &metadata.tos_uri),
        ("policy_uri", &metadata.policy_uri),
    ];
    for (field, uri) in pages {
        if let Some(uri) = uri {
            check_web(field, uri)?;
        }
    }
    Ok(())
}

fn check_keys(metadata: &Metadata, auth: AuthMethod) -> Result<KeySource, ClientError> {
    let algorithm = metadata.token_endpoint_auth_signing_alg.as_deref();
    if !matches!(algorithm, None | Some("RS384" | "ES384")) {
        return wrong("token_endpoint_auth_signing_alg", "RS384 or ES384");
    }
    match (&metadata.jwks, &metadata.jwks_uri) {
        (Some(_), Some(_)) => wrong("jwks", "not together with jwks_uri"),
        (Some(jwks), None) => match PublicKeys::inline(jwks) {
            Ok(keys) => Ok(KeySource::Inline(keys)),
            Err(problem) => wrong("jwks", problem.to_string()),
        },
        (None, Some(uri)) => {
            check_web("jwks_uri", uri)?;
            Ok(KeySource::Remote(uri.as_str().into()))
        }
        (None, None) if auth == AuthMethod::PrivateKeyJwt => wrong(
            "jwks",
            "private_key_jwt needs jwks (it may be empty) or jwks_uri",
        ),
        (None, None) => Ok(KeySource::Absent),
    }
}

/// `https`, or `http` on the machine itself.
fn check_web(field: &'static str, text: &str) -> Result<(), ClientError> {
    let Ok(url) = Url::parse(text) else {
        return wrong(field, "not an absolute URL");
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return wrong(field, "no user name, password or fragment in the URL");
    }
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        _ => wrong(
            field,
            "must be https (http only for localhost and 127.0.0.1)",
        ),
    }
}

/// A web address, or a native app's own scheme, which RFC 8252 7.1 makes a reversed domain name.
fn check_redirect(text: &str) -> Result<(), ClientError> {
    match Url::parse(text) {
        Ok(url) if url.scheme().contains('.') && url.fragment().is_none() => Ok(()),
        _ => check_web("redirect_uris", text),
    }
}
