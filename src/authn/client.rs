//! A registered client: RFC 7591 metadata and ours, checked once, at registration.
//! <https://www.rfc-editor.org/rfc/rfc7591#section-2>

use super::{
    jwks::PublicKeys,
    metadata::{self, Metadata},
    secret::{HashError, Secret, SecretHash},
};
use crate::{fhir::Key, policy::Role, scope::ScopeSet, statute::Purpose};

/// How a client proves who it is at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMethod {
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
    /// A public client.
    None,
}

impl AuthMethod {
    /// All of them.
    pub const ALL: [AuthMethod; 4] = [
        AuthMethod::PrivateKeyJwt,
        AuthMethod::ClientSecretBasic,
        AuthMethod::ClientSecretPost,
        AuthMethod::None,
    ];

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            AuthMethod::PrivateKeyJwt => "private_key_jwt",
            AuthMethod::ClientSecretBasic => "client_secret_basic",
            AuthMethod::ClientSecretPost => "client_secret_post",
            AuthMethod::None => "none",
        }
    }

    /// Whether the client has a secret.
    pub fn has_secret(self) -> bool {
        matches!(
            self,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost
        )
    }
}

/// Where a client's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// It has none.
    Absent,
    /// In the registration.
    Inline(PublicKeys),
    /// At this URL.
    Remote(Box<str>),
}

/// A client as registered. What a token of it may do is looked up here when the token is used, so
/// that a change of the registration takes effect on tokens that are out.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its id.
    pub id: Box<str>,
    /// As registered, for listing.
    pub metadata: Metadata,
    /// What it acts as.
    pub role: Role,
    /// The Organization it acts for.
    pub organization: Option<Key>,
    /// What it may ask for.
    pub purposes: Vec<Purpose>,
    /// What it means when it says nothing.
    pub default_purpose: Option<Purpose>,
    /// Where it is (US postal code of the state).
    pub state: Option<Box<str>>,
    /// The most it may ever get.
    pub most: ScopeSet,
    /// How it proves who it is.
    pub auth: AuthMethod,
    /// Its keys.
    pub keys: KeySource,
    /// The hash of its secret.
    pub secret: Option<SecretHash>,
    /// Whether it may still act.
    pub disabled: bool,
}

/// Why a registration is refused: the field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Not JSON of the expected shape; unknown fields are errors.
    #[error("client metadata: {0}")]
    Shape(Box<str>),
    /// A field's value is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// The RFC 7591 or own name.
        field: &'static str,
        /// What is wrong.
        problem: Box<str>,
    },
    /// The secret could not be made.
    #[error(transparent)]
    Secret(#[from] HashError),
}

impl Client {
    /// Registers what the JSON says: a `client_id` is made if none is chosen, and a secret for a
    /// method that needs one, which is to be shown once. Hashing takes tens of milliseconds.
    pub fn register(json: &[u8]) -> Result<(Client, Option<Secret>), ClientError> {
        let mut metadata = Metadata::read(json)?;
        if metadata.client_id.is_none() {
            metadata.client_id = Some(uuid::Uuid::new_v4().to_string());
        }
        let mut client = Client::of(metadata)?;
        let secret = match client.auth.has_secret() {
            true => Some(Secret::random()?),
            false => None,
        };
        client.secret = secret.as_ref().map(Secret::hash).transpose()?;
        Ok((client, secret))
    }

    /// From its stored form; checked again, since rules may have become stricter.
    pub fn stored(
        json: &[u8],
        secret: Option<SecretHash>,
        disabled: bool,
    ) -> Result<Client, ClientError> {
        let mut client = Client::of(Metadata::read(json)?)?;
        client.secret = secret;
        client.disabled = disabled;
        Ok(client)
    }

    fn of(metadata: Metadata) -> Result<Client, ClientError> {
        let checked = metadata::check(&metadata)?;
        Ok(Client {
            id: metadata.client_id.clone().unwrap_or_default().into(),
            role: checked.role,
            organization: checked.organization,
            purposes: checked.purposes,
            default_purpose: checked.default_purpose,
            state: metadata.state.clone().map(Into::into),
            most: ScopeSet::parse(&metadata.scope),
            auth: checked.auth,
            keys: checked.keys,
            secret: None,
            disabled: false,
            metadata,
        })
    }

    /// Whether it may use that grant type at the token endpoint.
    pub fn may_grant(&self, grant_type: &str) -> bool {
        match &self.metadata.grant_types {
            Some(types) => types.iter().any(|known| known == grant_type),
            // RFC 7591: absent means authorization_code.
            None => grant_type == "authorization_code",
        }
    }

    /// Its metadata as JSON; never a secret nor its hash.
    pub fn json(&self) -> serde_json::Value {
        serde_json::to_value(&self.metadata).unwrap_or_default()
    }
}

/// The purposes that each role may be registered with (SEMANTICS section 2).
pub fn purposes_of(role: Role) -> &'static [Purpose] {
    match role {
        Role::App => &[
            Purpose::Patrqt,
            Purpose::Pwatrny,
            Purpose::Coverage,
            Purpose::Famrqt,
            Purpose::Supnwk,
        ],
        Role::Provider => &[Purpose::Treat, Purpose::Etreat],
        Role::Plan => &[
            Purpose::Coc,
            Purpose::Hdm,
            Purpose::Hqualimp,
            Purpose::Perfmsr,
        ],
        Role::Auditor => &[Purpose::Hcompl],
        Role::Staff | Role::PrivacyOffice => &[Purpose::Hoperat],
        Role::Operator => &[Purpose::Hsysadmin],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan() -> serde_json::Value {
        json!({
            "client_id": "plan", "client_name": "A plan", "role": "plan",
            "grant_types": ["client_credentials"], "scope": "system/*.rs",
            "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []},
            "organization": "Organization/plan", "purpose_of_use": ["COC", "HDM"],
            "default_purpose": "COC", "state": "CA"
        })
    }

    fn with(change: impl Fn(&mut serde_json::Value)) -> Result<Client, ClientError> {
        let mut json = plan();
        change(&mut json);
        Client::register(json.to_string().as_bytes()).map(|(client, _)| client)
    }

    fn refused(change: impl Fn(&mut serde_json::Value)) -> String {
        with(change).unwrap_err().to_string()
    }

    #[test]
    fn a_registration_is_read_whole_and_comes_back_as_it_was() {
        let client = with(|_| ()).unwrap();
        assert_eq!(&*client.id, "plan");
        assert_eq!(client.role, Role::Plan);
        assert_eq!(client.purposes, [Purpose::Coc, Purpose::Hdm]);
        assert!(client.may_grant("client_credentials") && !client.may_grant("password"));
        assert_eq!(client.json(), plan());
        let again = Client::stored(client.json().to_string().as_bytes(), None, true).unwrap();
        assert!(again.disabled && again.most == client.most);
    }

    #[test]
    fn unknown_fields_and_unfit_values_are_refused_by_name() {
        assert!(refused(|j| j["colour"] = "blue".into()).contains("colour"));
        assert!(refused(|j| j["client_secret"] = "x".into()).contains("client_secret"));
        assert!(refused(|j| j["role"] = "king".into()).starts_with("role"));
        assert!(refused(|j| j["purpose_of_use"] = json!(["TREAT"])).contains("TREAT"));
        assert!(
            refused(|j| j["default_purpose"] = "HQUALIMP".into()).starts_with("default_purpose")
        );
        assert!(refused(|j| j["state"] = "ca".into()).starts_with("state"));
        assert!(refused(|j| j["organization"] = "Patient/x".into()).starts_with("organization"));
        assert!(refused(|j| j["scope"] = "system/Ghost.rs".into()).starts_with("scope"));
        assert!(refused(|j| j["scope"] = "".into()).starts_with("scope"));
        assert!(refused(|j| j["grant_types"] = json!(["password"])).starts_with("grant_types"));
        assert!(
            refused(|j| j["grant_types"] = json!(["authorization_code"]))
                .starts_with("redirect_uris")
        );
        assert!(refused(|j| j["jwks_uri"] = "https://a.example/jwks".into()).starts_with("jwks"));
        assert!(refused(|j| j["jwks"] = json!(null)).starts_with("jwks"));
        assert!(refused(|j| j["client_id"] = "a b".into()).starts_with("client_id"));
        assert!(
            refused(|j| j["token_endpoint_auth_method"] = "none".into())
                .starts_with("token_endpoint_auth_method")
        );
    }

    #[test]
    fn addresses_are_https_or_loopback() {
        let remote = |uri: &'static str| {
            with(move |j| {
                j["jwks"] = json!(null);
                j["jwks_uri"] = uri.into();
            })
        };
        assert!(remote("https://a.example/jwks").is_ok());
        assert!(remote("http://localhost:1/jwks").is_ok());
        assert!(remote("http://127.0.0.1:1/jwks").is_ok());
        assert!(remote("http://a.example/jwks").is_err());
        assert!(remote("http://localhost.a.example/jwks").is_err());
        assert!(remote("file:///etc/passwd").is_err());
        assert!(remote("https://user:pass@a.example/jwks").is_err());
        let redirect = |uri: &'static str| with(move |j| j["redirect_uris"] = json!([uri]));
        assert!(redirect("https://app.example/back").is_ok());
        assert!(redirect("org.example.app:/back").is_ok());
        assert!(redirect("http://app.example/back").is_err());
        assert!(redirect("https://app.example/back#x").is_err());
        assert!(redirect("javascript:alert(1)").is_err());
    }

    #[test]
    fn a_secret_is_made_for_who_needs_one_and_is_not_listed() {
        let mut json = plan();
        json["token_endpoint_auth_method"] = "client_secret_basic".into();
        json["jwks"] = json!(null);
        let (client, secret) = Client::register(json.to_string().as_bytes()).unwrap();
        let secret = secret.unwrap();
        assert!(client.secret.as_ref().unwrap().fits(&secret));
        assert!(!client.json().to_string().contains("secret\":"));
        assert!(!format!("{client:?}").contains(secret.reveal()));
        let (keyed, none) = Client::register(plan().to_string().as_bytes()).unwrap();
        assert!(keyed.secret.is_none() && none.is_none());
    }
}
