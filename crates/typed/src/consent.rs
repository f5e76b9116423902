//! Consent. <https://hl7.org/fhir/R4/consent.html>

use fhir_sdk::r4b::codes::{ConsentDataMeaning, ConsentProvisionType};
use fhir_sdk::r4b::resources as sdk;
use serde_json::Value as Json;

use crate::TypedError;
use crate::datatypes::{
    Coding, Concept, Period, Reference, codings, concept, concepts, period, reference, references,
};
use crate::document::{entries, member, modifiers, parse, refuse_dropped, text};
use crate::extension::{Extension, extensions};

/// What of a Consent a directive is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// The logical id, if any yet.
    pub id: Option<String>,
    /// `draft`, `proposed`, `active`, `rejected`, `inactive` or
    /// `entered-in-error`; only `active` counts.
    pub status: String,
    /// Privacy, treatment, research or advance directive.
    pub scope: Concept,
    /// What kind of consent: ours are `authorization`, `part2-consent` and so on.
    pub category: Vec<Concept>,
    /// Whom it is about.
    pub patient: Option<Reference>,
    /// A FHIR dateTime, verbatim.
    pub date_time: Option<String>,
    /// Who consented.
    pub performer: Vec<Option<Reference>>,
    /// Who keeps the consent.
    pub organization: Vec<Option<Reference>>,
    /// The signed form, if one is attached or pointed to.
    pub source: Option<Source>,
    /// The policies it is under.
    pub policy: Vec<Policy>,
    /// The base answer that the provisions depart from, such as `OPTIN`.
    pub policy_rule: Option<Concept>,
    /// Checks made with the patient or family.
    pub verification: Vec<Verification>,
    /// Extensions of the Consent itself.
    pub extension: Vec<Extension>,
    /// The rules: a tree, exceptions within exceptions.
    pub provision: Option<Provision>,
    /// The URLs of all modifier extensions in the resource. One that is not
    /// understood makes the Consent one that can't be honoured exactly.
    pub modifiers: Vec<String>,
    /// `implicitRules`, which likewise must be understood or refused.
    pub implicit_rules: Option<String>,
}

/// Where the consent was taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The form is in the resource, or at its URL.
    Attachment,
    /// The form is another record; none if given by identifier only.
    Reference(Option<Reference>),
}

/// A policy that the consent is under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who enforces it.
    pub authority: Option<String>,
    /// The policy itself.
    pub uri: Option<String>,
}

/// A check of the consent with the patient or family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whether it was confirmed.
    pub verified: bool,
    /// With whom.
    pub with: Option<Reference>,
    /// A FHIR dateTime, verbatim.
    pub date: Option<String>,
}

/// Whether a provision permits or denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Permits what it matches.
    Permit,
    /// Denies what it matches.
    Deny,
}

/// One rule. An empty list does not restrict; an entry without a code or a
/// reference restricts to something unknown, and must match nothing that would
/// be permitted by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provision {
    /// None at the root, as a rule: the base answer is then the policy's.
    pub kind: Option<Kind>,
    /// When the rule is in force.
    pub period: Option<Period>,
    /// Who or what it controls.
    pub actors: Vec<Actor>,
    /// What it controls doing.
    pub actions: Vec<Concept>,
    /// Which labels the data carries.
    pub security_labels: Vec<Coding>,
    /// For which purposes of use.
    pub purposes: Vec<Coding>,
    /// Which resource types, profiles or document types.
    pub classes: Vec<Coding>,
    /// Which clinical codes.
    pub codes: Vec<Concept>,
    /// When the data was created.
    pub data_period: Option<Period>,
    /// Which records.
    pub data: Vec<Data>,
    /// Exceptions to this rule.
    pub provisions: Vec<Provision>,
}

/// Someone a provision controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// In what role.
    pub role: Concept,
    /// Who; none if only an identifier or a display was given.
    pub reference: Option<Reference>,
}

/// Records a provision controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Data {
    /// How the reference is meant.
    pub meaning: Meaning,
    /// The record; none if only an identifier or a display was given.
    pub reference: Option<Reference>,
}

/// How far a reference to data reaches.
/// <https://hl7.org/fhir/R4/valueset-consent-data-meaning.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// The record itself.
    Instance,
    /// The record and what it refers to.
    Related,
    /// The record and what refers to it.
    Dependents,
    /// Whatever the referenced party authored.
    AuthoredBy,
}

/// Reads a Consent.
///
/// # Errors
///
/// If the body is not a Consent that `fhir-sdk` can read in full.
pub fn parse_consent(body: &[u8]) -> Result<Consent, TypedError> {
    let (typed, json): (sdk::Consent, Json) = parse(body, "Consent")?;
    let json = &json;
    Ok(Consent {
        id: typed.id.clone(),
        status: typed.status.to_string(),
        scope: concept(&typed.scope, member(json, "scope"))?,
        category: concepts(&typed.category, json, "category")?,
        patient: typed.patient.as_ref().and_then(reference),
        date_time: text(json, "dateTime"),
        performer: references(&typed.performer, json, "performer")?,
        organization: references(&typed.organization, json, "organization")?,
        source: source(typed.source.as_ref(), json)?,
        policy: entries(&typed.policy, json, "policy")?
            .into_iter()
            .map(|(p, _)| Policy {
                authority: p.authority.clone(),
                uri: p.uri.clone(),
            })
            .collect(),
        policy_rule: typed
            .policy_rule
            .as_ref()
            .map(|rule| concept(rule, member(json, "policyRule")))
            .transpose()?,
        verification: entries(&typed.verification, json, "verification")?
            .into_iter()
            .map(|(v, json)| verification(v, json))
            .collect(),
        extension: extensions(&typed.extension, json)?,
        provision: typed
            .provision
            .as_ref()
            .map(|root| provision(root, member(json, "provision")))
            .transpose()?,
        modifiers: modifiers(json),
        implicit_rules: typed.implicit_rules.clone(),
    })
}

fn source(typed: Option<&sdk::ConsentSource>, json: &Json) -> Result<Option<Source>, TypedError> {
    refuse_dropped(typed, json, "source")?;
    Ok(typed.map(|source| match source {
        sdk::ConsentSource::Attachment(_) => Source::Attachment,
        sdk::ConsentSource::Reference(r) => Source::Reference(reference(r)),
    }))
}

fn verification(typed: &sdk::ConsentVerification, json: &Json) -> Verification {
    Verification {
        verified: typed.verified,
        with: typed.verified_with.as_ref().and_then(reference),
        date: text(json, "verificationDate"),
    }
}

/// Recursion is bounded by `document::MAX_DEPTH`.
fn provision(typed: &sdk::ConsentProvision, json: &Json) -> Result<Provision, TypedError> {
    Ok(Provision {
        kind: typed.r#type.map(|kind| match kind {
            ConsentProvisionType::Permit => Kind::Permit,
            ConsentProvisionType::Deny => Kind::Deny,
        }),
        period: period(typed.period.as_ref(), member(json, "period")),
        actors: entries(&typed.actor, json, "actor")?
            .into_iter()
            .map(|(actor, json)| {
                let role = concept(&actor.role, member(json, "role"))?;
                Ok(Actor {
                    role,
                    reference: reference(&actor.reference),
                })
            })
            .collect::<Result<_, TypedError>>()?,
        actions: concepts(&typed.action, json, "action")?,
        security_labels: codings(&typed.security_label, json, "securityLabel")?,
        purposes: codings(&typed.purpose, json, "purpose")?,
        classes: codings(&typed.class, json, "class")?,
        codes: concepts(&typed.code, json, "code")?,
        data_period: period(typed.data_period.as_ref(), member(json, "dataPeriod")),
        data: entries(&typed.data, json, "data")?
            .into_iter()
            .map(|(data, _)| Data {
                meaning: meaning(data.meaning),
                reference: reference(&data.reference),
            })
            .collect(),
        provisions: entries(&typed.provision, json, "provision")?
            .into_iter()
            .map(|(nested, json)| provision(nested, json))
            .collect::<Result<_, TypedError>>()?,
    })
}

fn meaning(typed: ConsentDataMeaning) -> Meaning {
    match typed {
        ConsentDataMeaning::Instance => Meaning::Instance,
        ConsentDataMeaning::Related => Meaning::Related,
        ConsentDataMeaning::Dependents => Meaning::Dependents,
        ConsentDataMeaning::Authoredby => Meaning::AuthoredBy,
    }
}
