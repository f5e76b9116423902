//! Consent/$evaluate: what would this requester see of this record, and why
//! (`profiles/ig/OperationDefinition-Consent-evaluate.json`). For auditors: codes, no clinical
//! content; the record's body is never opened.

use crate::{
    authn::{Client, Registry},
    fhir::{Id, Instant, Interval, Key, Node, json},
    gate::{Journal, disclose},
    interaction::{Answer, Question, Refusal, Service, search::invalid},
    policy::{Case, Decision, Requester, Role, decide},
    scope::ScopeSet,
    statute::{Purpose, Reason},
    store::Store,
};

/// A requester and a record, described.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// A registered client's id.
    pub client: Option<String>,
    /// The person (`Type/id`).
    pub user: Option<Key>,
    /// The patient in context.
    pub patient: Option<Id>,
    /// What for.
    pub purpose: Option<Purpose>,
    /// Scopes; the client's maximum where absent.
    pub scope: Option<String>,
    /// When; now where absent.
    pub at: Option<Instant>,
    /// An emergency's reason.
    pub break_glass: Option<String>,
    /// The record.
    pub record: Option<Key>,
}

impl Described {
    /// From the query and the Parameters of a POST.
    pub fn from_pairs(pairs: &[(String, String)]) -> Result<Described, Refusal> {
        let mut described = Described::default();
        for (name, value) in pairs {
            if !["_format", "_pretty"].contains(&name.as_str()) {
                described.set(name, value)?;
            }
        }
        Ok(described)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let key = || Key::parse(value).ok_or_else(|| invalid("a reference is not Type/id"));
        match name {
            "client" => self.client = Some(value.to_owned()),
            "user" => self.user = Some(key()?),
            "record" => self.record = Some(key()?),
            "patient" => {
                let id = value.strip_prefix("Patient/").unwrap_or(value);
                self.patient = Some(Id::parse(id).ok_or_else(|| invalid("patient is not an id"))?);
            }
            "purpose" => {
                self.purpose = Some(
                    Purpose::parse(value)
                        .ok_or_else(|| invalid("purpose is not one that a request can have"))?,
                );
            }
            "scope" => self.scope = Some(value.to_owned()),
            "break-glass-reason" => self.break_glass = Some(value.to_owned()),
            "at" => {
                let at = Interval::of(value, &crate::calendar::zone());
                self.at = Some(
                    at.ok_or_else(|| invalid("at is not a FHIR dateTime"))?
                        .start,
                );
            }
            _ => {
                return Err(invalid(
                    "$evaluate takes client, user, patient, purpose, scope, at, break-glass-reason and record",
                ));
            }
        }
        Ok(())
    }

    /// The case that is meant.
    fn case(&self, client: &Client, now: Instant) -> Result<Case, Refusal> {
        let purpose = match (
            self.purpose,
            client.default_purpose,
            client.purposes.as_slice(),
        ) {
            (Some(purpose), ..) | (None, Some(purpose), _) => purpose,
            (None, None, [purpose]) => *purpose,
            _ => return Err(invalid("purpose is needed for this client")),
        };
        if !client.purposes.contains(&purpose) {
            return Err(invalid("the client is not registered for this purpose"));
        }
        let scopes = match &self.scope {
            Some(asked) => ScopeSet::granted(&ScopeSet::parse(asked), &client.most),
            None => client.most.clone(),
        };
        Ok(Case {
            requester: Requester {
                client: client.id.clone(),
                role: client.role,
                user: self.user.clone(),
                organization: client.organization.clone(),
                state: client.state.clone(),
            },
            purpose,
            scopes,
            patient: self.patient.clone(),
            break_glass: self.break_glass.as_deref().map(Into::into),
            at: self.at.unwrap_or(now),
        })
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// The decision for one record and one requester: outcome, step, reason code.
    pub async fn evaluate<R: Registry>(
        &self,
        registry: &R,
        question: &Question,
        described: &Described,
    ) -> Result<Answer, Refusal> {
        let asker = &question.case;
        let may = matches!(
            (asker.requester.role, asker.purpose),
            (Role::Auditor, Purpose::Hcompl) | (Role::PrivacyOffice, Purpose::Hoperat)
        );
        if !may {
            return Err(Refusal::Forbidden(
                "$evaluate is for auditors and the privacy office",
            ));
        }
        let client = described
            .client
            .as_deref()
            .ok_or_else(|| invalid("client is needed"))?;
        let record = described
            .record
            .as_ref()
            .ok_or_else(|| invalid("record is needed"))?;
        let client = registry
            .client(client)
            .await
            .map_err(|error| {
                Refusal::Store(crate::store::StoreError::Away(error.to_string().into()))
            })?
            .ok_or_else(|| invalid("no client is registered under that id"))?;
        let case = described.case(&client, asker.at)?;
        let found = self.store.read(&case, self.settings, record).await?;
        let decision =
            found.map(|found| decide(&case, self.settings, found.sealed.facts(), &found.standing));
        disclose(&self.journal, asker, &question.asked, 200, Vec::new()).await?;
        match decision {
            Some(decision) => Ok(Answer::of(200, parameters(&decision))),
            None => Err(Refusal::NotFound),
        }
    }
}

/// Parameters: `outcome`, `step`, `reason`, each `bar` that stood, each `partial` reason.
fn parameters(decision: &Decision) -> Vec<u8> {
    let mut out = br#"{"resourceType":"Parameters","parameter":["#.to_vec();
    let reason = decision.reason();
    let outcome = match decision {
        Decision::Release(basis) if !basis.partial.is_empty() => "permit-partial",
        Decision::Release(_) => "permit",
        Decision::Withhold(_) if reason == Reason::HoldReview => "hold-review",
        Decision::Withhold(_) => "deny",
    };
    out.extend_from_slice(format!(r#"{{"name":"outcome","valueCode":"{outcome}"}}"#).as_bytes());
    out.extend_from_slice(
        format!(
            r#",{{"name":"step","valueInteger":{}}}"#,
            reason.step().number()
        )
        .as_bytes(),
    );
    coding(&mut out, "reason", reason);
    let (bars, partial): (&[Reason], &[Reason]) = match decision {
        Decision::Release(basis) => (&[], &basis.partial),
        Decision::Withhold(withheld) => (&withheld.reasons, &[]),
    };
    bars.iter().for_each(|bar| coding(&mut out, "bar", *bar));
    partial
        .iter()
        .for_each(|bar| coding(&mut out, "partial", *bar));
    out.extend_from_slice(b"]}");
    out
}

fn coding(out: &mut Vec<u8>, name: &str, reason: Reason) {
    let system = format!("{}decision-reason", crate::fhir::CODE_SYSTEM);
    out.extend_from_slice(
        format!(
            r#",{{"name":"{name}","valueCoding":{{"system":"{system}","code":"{}","display":"#,
            reason.code()
        )
        .as_bytes(),
    );
    json::quote(out, reason.source());
    out.extend_from_slice(b"}}");
}

/// The value of a parameter, for tests and the demo.
pub fn value<'n>(parameters: &'n Node, name: &str) -> Option<&'n str> {
    let found = parameters
        .get("parameter")?
        .items()
        .iter()
        .find(|p| p.text("name") == Some(name))?;
    found
        .text("valueCode")
        .or_else(|| found.at(&["valueCoding", "code"]).and_then(Node::str))
}
