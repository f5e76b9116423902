//! What `confide token` does: the local operator makes a token of any registered client, as
//! `/auth/token` would issue it. Audited as a local act.

use super::Smart;
use crate::{
    authn::{Grant, IssueError, Issued, Registry, RegistryError},
    fhir::{Id, Kind},
    gate::{Entry, Journal, JournalError},
    scope::{Context, ScopeSet},
};

/// The longest that the operator may ask for, in seconds.
pub const MOST_TTL: i64 = 86_400;

/// What the operator asks for: the command's options.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// `--client`
    pub client: &'a str,
    /// `--user`: `Type/id` or absolute under the FHIR base.
    pub user: Option<&'a str>,
    /// `--patient`: an id, or `Patient/id`.
    pub patient: Option<&'a str>,
    /// `--scope`
    pub scope: &'a str,
    /// `--purpose`
    pub purpose: Option<&'a str>,
    /// `--break-glass-reason`
    pub reason: Option<&'a str>,
    /// `--ttl`, in seconds.
    pub ttl: i64,
}

/// Why the operator gets no token.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Not registered.
    #[error("no client {0} is registered")]
    NoClient(Box<str>),
    /// Disabled.
    #[error("the client {0} is disabled")]
    Disabled(Box<str>),
    /// `--user`
    #[error(
        "--user must be a Patient, Practitioner, PractitionerRole, RelatedPerson or Person, as Type/id"
    )]
    User,
    /// `--patient`
    #[error("--patient must be the id of a Patient")]
    Patient,
    /// `--ttl`
    #[error("--ttl must be 1 to {MOST_TTL} seconds")]
    Ttl,
    /// Nothing of `--scope` is within the client's registration.
    #[error("nothing of --scope can be granted: {0}")]
    Scope(Box<str>),
    /// Purpose or signing.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The audit entry; the token is not given out.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl<J: Journal, R: Registry> Smart<'_, J, R> {
    /// Issues the token, its audit entry durable. A member's app with `patient/` scopes gets the
    /// member as patient in context where no other is named.
    pub async fn issue(&self, order: &Order<'_>) -> Result<Issued, OrderError> {
        let client = self.registry.client(order.client).await?;
        let client = client.ok_or_else(|| OrderError::NoClient(order.client.into()))?;
        if client.disabled {
            return Err(OrderError::Disabled(client.id.clone()));
        }
        if !(1..=MOST_TTL).contains(&order.ttl) {
            return Err(OrderError::Ttl);
        }
        let scopes = scopes_of(order.scope, &client.most)?;
        let user = match order.user {
            None => None,
            Some(text) => Some(self.tokens.user(text).ok_or(OrderError::User)?),
        };
        let own = user
            .as_ref()
            .filter(|user| {
                scopes.has(Context::Patient) && Kind::named("Patient") == Some(user.kind)
            })
            .map(|user| user.id.clone());
        let patient = match order.patient {
            None => own,
            Some(text) => {
                let id = text.strip_prefix("Patient/").unwrap_or(text);
                Some(Id::parse(id).ok_or(OrderError::Patient)?)
            }
        };
        let grant = Grant {
            scopes,
            user: user.clone(),
            patient,
            purpose: order.purpose,
            reason: order.reason,
            ttl: order.ttl,
        };
        let issued = self.tokens.issue(&client, grant)?;
        let patient = issued.claims.patient.as_deref();
        let target = format!(
            "client {} {}patient {} for {} s",
            client.id,
            format_args!("scope \"{}\" ", issued.claims.scope),
            patient.unwrap_or("-"),
            issued.claims.exp - issued.claims.iat,
        );
        let mut entry = Entry::local(self.clock.now(), "token", target);
        entry.user = user;
        entry.organization = client.organization.clone();
        entry.purpose = Some(issued.purpose);
        entry.break_glass = issued.claims.break_glass_reason.clone().map(Into::into);
        self.journal.record(entry).await?;
        Ok(issued)
    }
}

fn scopes_of(text: &str, most: &ScopeSet) -> Result<ScopeSet, OrderError> {
    let (asked, dropped) = ScopeSet::read(text);
    let scopes = ScopeSet::granted(&asked, most);
    if !scopes.is_empty() {
        return Ok(scopes);
    }
    let why = match dropped.first() {
        Some(dropped) => format!("{}: {}", dropped.scope, dropped.why),
        None => format!("the client is registered for {}", most.text()),
    };
    Err(OrderError::Scope(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        authn::{PurposeError, fixture},
        smart::token::tests::Place,
    };

    const ORDER: Order<'_> = Order {
        client: "app",
        user: Some("Patient/a"),
        patient: None,
        scope: "patient/*.read",
        purpose: None,
        reason: None,
        ttl: 300,
    };

    fn place() -> Place {
        Place::of([
            fixture::client("app", "app", &["PATRQT", "COVERAGE"]),
            fixture::client("ehr", "provider", &["TREAT", "ETREAT"]),
        ])
    }

    #[tokio::test]
    async fn the_operator_makes_a_members_token_and_leaves_an_entry() {
        let place = place();
        let issued = place.smart().issue(&ORDER).await.unwrap();
        assert_eq!(issued.claims.patient.as_deref(), Some("a"));
        assert_eq!(issued.claims.purpose_of_use.as_deref(), Some("PATRQT"));
        assert_eq!(issued.claims.scope, "patient/*.read");
        assert!(
            place
                .tokens
                .verify(&issued.token, &place.registry)
                .await
                .is_ok()
        );
        let entries = place.journal.entries();
        assert_eq!(entries.len(), 1);
        assert_eq!(
            (entries[0].interaction, entries[0].role),
            ("token", "local")
        );
        assert!(entries[0].target.contains("client app"));
        assert!(!entries[0].target.contains(&issued.token));
    }

    #[tokio::test]
    async fn a_subscriber_must_say_what_for() {
        let place = place();
        let dependent = Order {
            patient: Some("b"),
            ..ORDER
        };
        let refused = place.smart().issue(&dependent).await.unwrap_err();
        let missing = IssueError::Purpose(PurposeError::Missing);
        assert_eq!(refused.to_string(), missing.to_string());
        let said = Order {
            purpose: Some("COVERAGE"),
            ..dependent
        };
        assert!(place.smart().issue(&said).await.is_ok());
        assert_eq!(place.journal.entries().len(), 1);
    }

    #[tokio::test]
    async fn what_can_not_be_granted_is_refused_with_its_reason() {
        let place = place();
        let refused = async |order: Order<'static>| place.smart().issue(&order).await.unwrap_err();
        let error = refused(Order {
            client: "ghost",
            ..ORDER
        })
        .await;
        assert!(matches!(error, OrderError::NoClient(_)));
        let error = refused(Order {
            user: Some("Observation/a"),
            ..ORDER
        })
        .await;
        assert!(matches!(error, OrderError::User));
        let error = refused(Order {
            patient: Some("a/b"),
            ..ORDER
        })
        .await;
        assert!(matches!(error, OrderError::Patient));
        for ttl in [0, -1, MOST_TTL + 1] {
            let error = refused(Order { ttl, ..ORDER }).await;
            assert!(matches!(error, OrderError::Ttl));
        }
        let error = refused(Order {
            scope: "patient/Ghost.rs",
            ..ORDER
        })
        .await;
        assert!(matches!(error, OrderError::Scope(_)));
        place.registry.disable_client("app").await.unwrap();
        assert!(matches!(refused(ORDER).await, OrderError::Disabled(_)));
        place.journal.break_down();
        let error = refused(Order {
            client: "ehr",
            scope: "user/*.rs",
            user: None,
            purpose: Some("TREAT"),
            ..ORDER
        });
        assert!(matches!(error.await, OrderError::Journal(_)));
    }
}
