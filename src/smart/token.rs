//! `/auth/token`: client_credentials, for backend services.
//! <https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html>, RFC 6749 section 4.4

use super::{
    Smart,
    answer::{Answer, OAuthError, Refusal},
    form::{Form, decode},
};
use crate::{
    authn::{
        AssertionError, AuthMethod, Client, Grant, IssueError, Issued, Registry, RegistryError,
        Secret,
        assertion::{Checker, JWT_BEARER},
    },
    gate::{Entry, Journal},
    scope::ScopeSet,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use std::{net::IpAddr, sync::Arc};

/// How long a backend service's token lasts, in seconds (SMART: at most 300).
pub const TTL: i64 = 300;

/// How a client showed who it is.
enum Proof {
    Assertion {
        kind: Option<String>,
        assertion: String,
    },
    Basic(String, Secret),
    Post(String, Secret),
    Nothing,
}

/// A token request, well-formed but not yet believed.
pub struct TokenRequest {
    grant_type: String,
    client_id: Option<String>,
    proof: Proof,
    scope: Option<String>,
    purpose: Option<String>,
    reason: Option<String>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenRequest({})", self.grant_type)
    }
}

fn refuse<T>(error: OAuthError, description: impl Into<Box<str>>) -> Result<T, Refusal> {
    Err(Refusal::new(error, description))
}

impl TokenRequest {
    /// From a form's body and the `Authorization` header. Unknown parameters are ignored, as
    /// RFC 6749 says.
    pub fn from_form(body: &[u8], authorization: Option<&str>) -> Result<TokenRequest, Refusal> {
        let invalid = |problem: &str| Refusal::new(OAuthError::InvalidRequest, problem);
        let mut form = Form::parse(body).map_err(invalid)?;
        let grant_type = form
            .take("grant_type")
            .ok_or_else(|| invalid("grant_type is missing"))?;
        let client_id = form.take("client_id");
        let proof = Proof::of(&mut form, client_id.as_deref(), authorization)?;
        Ok(TokenRequest {
            grant_type,
            client_id,
            proof,
            scope: form.take("scope"),
            purpose: form.take("purpose_of_use"),
            reason: form.take("break_glass_reason"),
        })
    }
}

impl Proof {
    /// A client uses one method in a request (RFC 6749 section 2.3).
    fn of(
        form: &mut Form,
        client_id: Option<&str>,
        authorization: Option<&str>,
    ) -> Result<Proof, Refusal> {
        let kind = form.take("client_assertion_type");
        let assertion = form.take("client_assertion");
        let secret = form.take("client_secret");
        match (assertion, secret, authorization) {
            (Some(assertion), None, None) => Ok(Proof::Assertion { kind, assertion }),
            (None, Some(secret), None) => match client_id {
                Some(id) => Ok(Proof::Post(id.to_owned(), Secret::new(secret))),
                None => refuse(OAuthError::InvalidRequest, "client_id is missing"),
            },
            (None, None, Some(header)) => Proof::basic(header, client_id),
            (None, None, None) => Ok(Proof::Nothing),
            _ => refuse(
                OAuthError::InvalidRequest,
                "more than one way of client authentication",
            ),
        }
    }

    /// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
    fn basic(header: &str, client_id: Option<&str>) -> Result<Proof, Refusal> {
        let both = || {
            let (scheme, text) = header.split_once(' ')?;
            let text = scheme
                .eq_ignore_ascii_case("Basic")
                .then_some(text.trim())?;
            let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
            let (id, secret) = text.split_once(':')?;
            Some((decode(id)?, decode(secret)?))
        };
        match both() {
            Some((id, secret)) if client_id.is_none_or(|same| same == id) => {
                Ok(Proof::Basic(id, Secret::new(secret)))
            }
            _ => {
                let mut refusal = Refusal::new(OAuthError::InvalidClient, CLIENT);
                refusal.basic = true;
                Err(refusal)
            }
        }
    }
}

/// All that a client is told; the log says more.
const CLIENT: &str = "the client could not be authenticated";

fn away() -> Refusal {
    Refusal::new(OAuthError::TemporarilyUnavailable, "try again later")
}

impl<J: Journal, R: Registry> Smart<'_, J, R> {
    /// Answers a token request, once its audit entry is durable. It names the answer's `X-Request-Id`
    /// and the address that asked.
    pub async fn token(
        &self,
        body: &[u8],
        authorization: Option<&str>,
        (request_id, from): (&str, Option<IpAddr>),
    ) -> Answer {
        let granted = match TokenRequest::from_form(body, authorization) {
            Ok(request) => self.grant(&request, (request_id, from)).await,
            Err(refusal) => Err(refusal),
        };
        match granted {
            Ok(issued) => Answer::secret(
                200,
                &json!({
                    "access_token": issued.token,
                    "token_type": "Bearer",
                    "expires_in": issued.claims.exp - issued.claims.iat,
                    "scope": issued.claims.scope,
                }),
            ),
            Err(refusal) => {
                tracing::info!(
                    error = refusal.error.code(),
                    why = &*refusal.description,
                    "no token"
                );
                refusal.answer()
            }
        }
    }

    /// The token of a request, its audit entry durable.
    pub async fn grant(
        &self,
        request: &TokenRequest,
        (request_id, from): (&str, Option<IpAddr>),
    ) -> Result<Issued, Refusal> {
        if request.grant_type != "client_credentials" {
            return refuse(
                OAuthError::UnsupportedGrantType,
                "only client_credentials is supported",
            );
        }
        let (client, in_assertion) = self.authenticate(request).await?;
        if !client.may_grant("client_credentials") {
            return refuse(
                OAuthError::UnauthorizedClient,
                "the client is not registered for client_credentials",
            );
        }
        let scopes = system_scopes(request.scope.as_deref(), &client)?;
        let purpose = one_purpose(request.purpose.as_deref(), &in_assertion)?;
        let grant = Grant {
            scopes,
            user: None,
            patient: None,
            purpose: purpose.as_deref(),
            reason: request.reason.as_deref(),
            ttl: TTL,
        };
        let issued = self
            .tokens
            .issue(&client, grant)
            .map_err(|error| match error {
                IssueError::Purpose(error) => {
                    Refusal::new(OAuthError::InvalidRequest, error.to_string())
                }
                IssueError::Key(error) => {
                    tracing::error!(%error, "signing failed");
                    Refusal::new(OAuthError::ServerError, "the token could not be signed")
                }
            })?;
        let entry = Entry {
            at: self.clock.now(),
            request: request_id.into(),
            client: client.id.clone(),
            role: client.role.name(),
            user: None,
            organization: client.organization.clone(),
            purpose: Some(issued.purpose),
            break_glass: issued.claims.break_glass_reason.clone().map(Into::into),
            interaction: "token",
            target: format!("client_credentials {}", issued.claims.scope).into(),
            from,
            status: 200,
            records: Vec::new(),
            patients: Vec::new(),
        };
        self.journal.record(entry).await.map_err(|_| away())?;
        Ok(issued)
    }

    /// Who it is, and the purposes that its assertion names.
    async fn authenticate(
        &self,
        request: &TokenRequest,
    ) -> Result<(Arc<Client>, Vec<String>), Refusal> {
        let (id, secret, method) = match &request.proof {
            Proof::Assertion { kind, assertion } => {
                return self.by_assertion(request, kind.as_deref(), assertion).await;
            }
            Proof::Basic(id, secret) => (id, secret, AuthMethod::ClientSecretBasic),
            Proof::Post(id, secret) => (id, secret, AuthMethod::ClientSecretPost),
            Proof::Nothing => return refuse(OAuthError::InvalidClient, CLIENT),
        };
        let client = self.registry.client(id).await.map_err(unavailable)?;
        let client = client.filter(|client| !client.disabled && client.auth == method);
        let hash = client.as_ref().and_then(|client| client.secret.clone());
        let fits = match hash {
            Some(hash) => hash.fits_in_turn(secret.clone()).await,
            None => false,
        };
        match client {
            Some(client) if fits => Ok((client, Vec::new())),
            _ => {
                let mut refusal = Refusal::new(OAuthError::InvalidClient, CLIENT);
                refusal.basic = method == AuthMethod::ClientSecretBasic;
                Err(refusal)
            }
        }
    }

    async fn by_assertion(
        &self,
        request: &TokenRequest,
        kind: Option<&str>,
        assertion: &str,
    ) -> Result<(Arc<Client>, Vec<String>), Refusal> {
        if kind != Some(JWT_BEARER) {
            let description = "client_assertion_type is not jwt-bearer";
            return refuse(OAuthError::InvalidClient, description);
        }
        let checker = Checker {
            registry: self.registry,
            remote: self.remote,
            clock: self.clock,
            token_url: self.urls.token(),
        };
        match checker.check(assertion, request.client_id.as_deref()).await {
            Ok(checked) => Ok((checked.client, checked.purposes)),
            Err(AssertionError::Registry(error)) => Err(unavailable(error)),
            Err(error) => {
                tracing::info!(%error, "client assertion refused");
                refuse(OAuthError::InvalidClient, CLIENT)
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn unavailable(error: RegistryError) -> Refusal {
    tracing::error!(%error, "the registry is away");
    away()
}

/// Without a user only `system/` scopes have a meaning.
fn system_scopes(asked: Option<&str>, client: &Client) -> Result<ScopeSet, Refusal> {
    let (asked, dropped) = ScopeSet::read(asked.unwrap_or_default());
    let scopes = ScopeSet::granted(&asked, &client.most).system_only();
    if !scopes.is_empty() {
        return Ok(scopes);
    }
    let description = match dropped.first() {
        Some(dropped) => dropped.why.to_string(),
        None => "no system/ scope within what the client is registered for".to_owned(),
    };
    refuse(OAuthError::InvalidScope, description)
}

/// The purpose of the form or of the assertion; where both speak, they must agree.
fn one_purpose(form: Option<&str>, in_assertion: &[String]) -> Result<Option<String>, Refusal> {
    use crate::authn::purpose::named;
    let invalid = |description: &str| refuse(OAuthError::InvalidRequest, description);
    match (form, in_assertion) {
        (form, []) => Ok(form.map(ToOwned::to_owned)),
        (None, [one]) => Ok(Some(one.clone())),
        (Some(form), [one]) if named(form) == named(one) => Ok(Some(form.to_owned())),
        (Some(_), [_]) => invalid("purpose_of_use differs from the assertion's"),
        _ => invalid("one purpose_of_use a token"),
    }
}

#[cfg(test)]
pub(super) mod tests;
