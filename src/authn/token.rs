//! Access tokens: JWTs signed ES256, audience the FHIR base (RFC 9068 as far as SMART uses it).
//! What a token may do is looked up in the client's registration each time it is verified.

use super::{
    cache::{Cache, Digest, digest_of},
    claims::{Claims, Grant, IssueError, Issued, Settings},
    client::Client,
    keys::Keys,
    purpose::{PurposeError, check_needs, purpose_for},
    registry::Registry,
    verified::{TokenError, Verified},
};
use crate::{
    calendar::Clock,
    fhir::{Id, Key, Kinds, Target},
    policy::Requester,
    scope::ScopeSet,
    statute::Purpose,
};
use jsonwebtoken::{Algorithm, Validation};
use std::sync::Arc;

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
        let generation = registry.generation().await?;
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
mod tests;
