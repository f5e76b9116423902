//! Access tokens: JWTs signed ES256, audience the FHIR base (RFC 9068 as far as SMART uses it).
//! What a token may do is looked up in the client's registration each time it is verified.

use super::{
    cache::{Cache, Digest, digest_of},
    client::Client,
    keys::{KeyError, Keys},
    purpose::{PurposeError, check_needs, purpose_for},
    registry::{Registry, RegistryError},
};
use crate::{
    calendar::Clock,
    fhir::{Id, Key, Kinds, Target},
    policy::{Credentials, Requester},
    scope::ScopeSet,
    statute::Purpose,
};
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What an access token says.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 9068, SMART and IHE IUA name them")]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose_of_use: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass_reason: Option<String>,
    /// The emergency's own end, which a longer token would not move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass_until: Option<i64>,
}

/// Where tokens are for, and how long an emergency lasts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `iss` of our tokens.
    pub issuer: Box<str>,
    /// The FHIR base, `aud` of access tokens; without a slash at its end.
    pub base: Box<str>,
    /// `[policy] break_glass_minutes`.
    pub break_glass_minutes: u16,
}

/// Why a token is not accepted. The text says nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours: malformed, wrong signature, algorithm, issuer or audience.
    #[error("the token is not valid")]
    Invalid,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// Its client is gone or disabled.
    #[error("the client is not active")]
    Client,
    /// It lacks a usable purpose, or what its purpose needs.
    #[error(transparent)]
    Purpose(#[from] PurposeError),
    /// The registry could not be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl TokenError {
    /// The HTTP status (SEMANTICS section 8).
    pub fn status(&self) -> u16 {
        match self {
            TokenError::Invalid | TokenError::Expired | TokenError::Client => 401,
            TokenError::Purpose(_) => 403,
            TokenError::Registry(_) => 503,
        }
    }
}

/// A verified token's content. Only [`Tokens::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    requester: Requester,
    purpose: Purpose,
    scopes: ScopeSet,
    patient: Option<Id>,
    break_glass: Option<Box<str>>,
    jti: Box<str>,
    ends: i64,
}

impl Verified {
    /// When it ends, in seconds since 1970: the token's end or that of its emergency.
    pub fn ends(&self) -> i64 {
        self.ends
    }

    /// The token's id.
    pub fn jti(&self) -> &str {
        &self.jti
    }
}

impl Credentials for Verified {
    fn requester(&self) -> &Requester {
        &self.requester
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }

    fn patient(&self) -> Option<&Id> {
        self.patient.as_ref()
    }

    /// Within its time: a token whose emergency has ended is refused whole.
    fn break_glass(&self) -> Option<&str> {
        self.break_glass.as_deref()
    }
}

/// What a token is to say beside who holds it.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    /// The scopes, within the client's maximum.
    pub scopes: ScopeSet,
    /// The person.
    pub user: Option<Key>,
    /// The patient in context.
    pub patient: Option<Id>,
    /// `purpose_of_use` as asked.
    pub purpose: Option<&'a str>,
    /// `break_glass_reason` as asked.
    pub reason: Option<&'a str>,
    /// Seconds; an emergency may make it shorter.
    pub ttl: i64,
}

/// A token made.
#[derive(Clone)]
pub struct Issued {
    /// The compact JWT.
    pub token: String,
    /// What it says.
    pub claims: Claims,
    /// Its purpose.
    pub purpose: Purpose,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued({})", self.claims.jti)
    }
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// No usable purpose, or what it needs is missing.
    #[error(transparent)]
    Purpose(#[from] PurposeError),
    /// The signer failed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Issues and verifies access tokens.
pub struct Tokens {
    keys: Arc<Keys>,
    settings: Settings,
    clock: Clock,
    validation: Validation,
    cache: Cache,
}

/// Longer is no token of ours.
const MOST_BYTES: usize = 8 * 1024;

/// The types that may stand behind a token (SMART, `fhirUser`).
const USERS: [&str; 5] = [
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
    "Person",
];

impl Tokens {
    /// For these keys and this place.
    pub fn new(keys: Arc<Keys>, settings: Settings, clock: Clock) -> Tokens {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[&settings.base]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The end is checked against the one clock, below.
        validation.validate_exp = false;
        Tokens {
            keys,
            settings,
            clock,
            validation,
            cache: Cache::default(),
        }
    }

    /// The signing keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Where its tokens are for.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads a `fhirUser`: absolute under the FHIR base, or `Type/id`.
    pub fn user(&self, text: &str) -> Option<Key> {
        let under = text.strip_prefix(&*self.settings.base);
        let relative = match under {
            Some(rest) => rest.strip_prefix('/')?,
            None => text,
        };
        match Target::parse(relative, None) {
            Target::Local(key) if Kinds::of(&USERS).has(key.kind) => {
                (key.to_string() == relative).then_some(key)
            }
            _ => None,
        }
    }

    /// Makes a token. Not audited here: every caller leaves its entry first.
    pub fn issue(&self, client: &Client, grant: Grant<'_>) -> Result<Issued, IssueError> {
        let Grant {
            scopes,
            user,
            patient,
            purpose,
            reason,
            ttl,
        } = grant;
        let purpose = purpose_for(client, purpose, &scopes, user.as_ref(), patient.as_ref())?;
        check_needs(purpose, &scopes, user.as_ref(), patient.as_ref(), reason)?;
        let now = self.clock.seconds();
        let emergency = i64::from(self.settings.break_glass_minutes) * 60;
        let until = (purpose == Purpose::Etreat).then_some(now + emergency);
        let base = &self.settings.base;
        let claims = Claims {
            iss: self.settings.issuer.to_string(),
            sub: match &user {
                Some(user) => user.to_string(),
                None => client.id.to_string(),
            },
            aud: base.to_string(),
            exp: (now + ttl).min(until.unwrap_or(i64::MAX)),
            iat: now,
            jti: uuid::Uuid::new_v4().to_string(),
            client_id: client.id.to_string(),
            scope: scopes.text().to_owned(),
            fhir_user: user.map(|user| format!("{base}/{user}")),
            patient: patient.map(|patient| patient.to_string()),
            purpose_of_use: Some(purpose.code().to_owned()),
            break_glass_reason: reason.map(|reason| reason.trim().to_owned()),
            break_glass_until: until,
        };
        Ok(Issued {
            token: self.keys.access().sign("at+jwt", &claims)?,
            claims,
            purpose,
        })
    }

    /// Verifies a bearer token, from memory if it was verified before and nothing was taken away
    /// since.
    pub async fn verify<R: Registry>(
        &self,
        token: &str,
        registry: &R,
    ) -> Result<Arc<Verified>, TokenError> {
        if token.len() > MOST_BYTES {
            return Err(TokenError::Invalid);
        }
        // Before anything is read: a change that comes after it makes the entry stale.
        let generation = registry.generation()?;
        let (key, now) = (digest_of(token), self.clock.seconds());
        match self.cache.find(&key, generation, now) {
            Some(verified) => Ok(verified),
            None => {
                self.verify_anew(token, registry, key, generation, now)
                    .await
            }
        }
    }

    async fn verify_anew<R: Registry>(
        &self,
        token: &str,
        registry: &R,
        key: Digest,
        generation: u64,
        now: i64,
    ) -> Result<Arc<Verified>, TokenError> {
        let claims = self.open(token)?;
        if now >= claims.exp {
            return Err(TokenError::Expired);
        }
        let client = registry.client(&claims.client_id).await?;
        let client = client.filter(|client| !client.disabled);
        let client = client.ok_or(TokenError::Client)?;
        let verified = Arc::new(self.verified(claims, &client, now)?);
        self.cache.keep(key, generation, now, verified.clone());
        Ok(verified)
    }

    /// Signature, algorithm, key, type, issuer, audience.
    fn open(&self, token: &str) -> Result<Claims, TokenError> {
        let key = self.keys.access();
        let data = jsonwebtoken::decode::<Claims>(token, key.public(), &self.validation)
            .map_err(|_| TokenError::Invalid)?;
        let ours = data.header.kid.as_deref() == Some(key.kid())
            && data.header.typ.as_deref() == Some("at+jwt")
            && data.header.crit.is_none();
        ours.then_some(data.claims).ok_or(TokenError::Invalid)
    }

    fn verified(&self, claims: Claims, client: &Client, now: i64) -> Result<Verified, TokenError> {
        let user = match &claims.fhir_user {
            None => None,
            Some(text) => Some(self.user(text).ok_or(TokenError::Invalid)?),
        };
        let patient = match &claims.patient {
            None => None,
            Some(text) => Some(Id::parse(text).ok_or(TokenError::Invalid)?),
        };
        let purpose = claims.purpose_of_use.as_deref();
        let purpose = Purpose::parse(purpose.ok_or(PurposeError::Missing)?);
        let purpose = purpose.ok_or(PurposeError::Unknown)?;
        if !client.purposes.contains(&purpose) {
            return Err(PurposeError::NotRegistered.into());
        }
        let scopes = ScopeSet::granted(&ScopeSet::parse(&claims.scope), &client.most);
        let reason = claims.break_glass_reason.as_deref();
        check_needs(purpose, &scopes, user.as_ref(), patient.as_ref(), reason)?;
        let ends = match (purpose, claims.break_glass_until) {
            (Purpose::Etreat, Some(until)) if now < until => until.min(claims.exp),
            (Purpose::Etreat, Some(_)) => return Err(TokenError::Expired),
            (Purpose::Etreat, None) => return Err(PurposeError::NoReason.into()),
            _ => claims.exp,
        };
        Ok(Verified {
            requester: Requester {
                client: client.id.clone(),
                role: client.role,
                user,
                organization: client.organization.clone(),
                state: client.state.clone(),
            },
            purpose,
            scopes,
            patient,
            break_glass: claims.break_glass_reason.map(Into::into),
            jti: claims.jti.into(),
            ends,
        })
    }

    /// Signs claims as they are, for tests of what must not be accepted.
    #[cfg(test)]
    pub fn sign(&self, claims: &Claims) -> String {
        self.keys.access().sign("at+jwt", claims).unwrap()
    }

    /// A verified token made by hand, for tests of the memory.
    #[cfg(test)]
    pub fn by_hand(client: &Client, purpose: Purpose, ends: i64) -> Verified {
        Verified {
            requester: Requester {
                client: client.id.clone(),
                role: client.role,
                user: None,
                organization: client.organization.clone(),
                state: client.state.clone(),
            },
            purpose,
            scopes: ScopeSet::default(),
            patient: None,
            break_glass: None,
            jti: "".into(),
            ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::fixture::{self, Memory, NOW};

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

    /// Prints what a remembered token costs; run with `--ignored --nocapture`-free `cargo test measure`.
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
}
