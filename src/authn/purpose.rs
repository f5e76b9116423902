//! Which purpose of use a token gets (SEMANTICS section 2), and what each purpose needs.

use super::client::Client;
use crate::{
    fhir::{Id, Key, Kind},
    scope::{Context, ScopeSet},
    statute::Purpose,
};

/// Why no purpose is usable: `invalid_request`, never an empty result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PurposeError {
    /// None named, none registered as the only one or the default.
    #[error("purpose_of_use is missing")]
    Missing,
    /// Not a purpose of use that we know.
    #[error("purpose_of_use is not known")]
    Unknown,
    /// The client is not registered with it.
    #[error("the client is not registered with this purpose_of_use")]
    NotRegistered,
    /// An emergency access without its reason.
    #[error("ETREAT needs break_glass_reason")]
    NoReason,
    /// A reason without an emergency.
    #[error("break_glass_reason is for ETREAT, 3 to 500 characters")]
    Reason,
    /// A person's purpose without the person.
    #[error("this purpose_of_use needs a fhirUser")]
    NoUser,
    /// A `patient/` scope without the patient.
    #[error("patient/ scopes need a patient in context")]
    NoPatient,
}

/// Reads `CODE`, `system|CODE`, and `system#CODE` as UDAP's hl7-b2b extension writes it.
pub fn named(text: &str) -> Option<Purpose> {
    Purpose::parse(text).or_else(|| Purpose::parse(&text.replacen('#', "|", 1)))
}

/// The purpose that a token of `client` gets. The relation of the user to the patient is not known
/// here; only where the user is the patient in context is PATRQT meant without being said.
pub fn purpose_for(
    client: &Client,
    asked: Option<&str>,
    scopes: &ScopeSet,
    user: Option<&Key>,
    patient: Option<&Id>,
) -> Result<Purpose, PurposeError> {
    if let Some(asked) = asked {
        let purpose = named(asked).ok_or(PurposeError::Unknown)?;
        let registered = client.purposes.contains(&purpose);
        return registered
            .then_some(purpose)
            .ok_or(PurposeError::NotRegistered);
    }
    let own = scopes.has(Context::Patient)
        && client.purposes.contains(&Purpose::Patrqt)
        && is_patient(user, patient);
    match (own, client.default_purpose, client.purposes.as_slice()) {
        (true, ..) => Ok(Purpose::Patrqt),
        (false, Some(default), _) => Ok(default),
        (false, None, [only]) => Ok(*only),
        _ => Err(PurposeError::Missing),
    }
}

fn is_patient(user: Option<&Key>, patient: Option<&Id>) -> bool {
    let Some(user) = user else { return false };
    Some(user.kind) == Kind::named("Patient") && patient == Some(&user.id)
}

/// What a token must hold beside its purpose, asked when it is issued and again when it is used.
pub fn check_needs(
    purpose: Purpose,
    scopes: &ScopeSet,
    user: Option<&Key>,
    patient: Option<&Id>,
    reason: Option<&str>,
) -> Result<(), PurposeError> {
    let reason_fits = |reason: &str| (3..=500).contains(&reason.trim().chars().count());
    match (purpose, reason) {
        (Purpose::Etreat, None) => return Err(PurposeError::NoReason),
        (Purpose::Etreat, Some(reason)) if reason_fits(reason) => {}
        (_, Some(_)) => return Err(PurposeError::Reason),
        (_, None) => {}
    }
    let personal = matches!(
        purpose,
        Purpose::Patrqt | Purpose::Pwatrny | Purpose::Famrqt | Purpose::Supnwk | Purpose::Coverage
    );
    if personal && user.is_none() {
        return Err(PurposeError::NoUser);
    }
    if scopes.has(Context::Patient) && patient.is_none() {
        return Err(PurposeError::NoPatient);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::fixture;

    #[test]
    fn a_purpose_is_said_or_meant_but_never_guessed() {
        let app = fixture::client("app", "app", &["PATRQT", "COVERAGE"]);
        let (own, other) = (Id::parse("a").unwrap(), Id::parse("b").unwrap());
        let user = Key::parse("Patient/a").unwrap();
        let scopes = ScopeSet::parse("patient/*.rs");
        let ask = |asked, patient| purpose_for(&app, asked, &scopes, Some(&user), Some(patient));
        assert_eq!(ask(None, &own), Ok(Purpose::Patrqt));
        assert_eq!(ask(None, &other), Err(PurposeError::Missing));
        assert_eq!(ask(Some("COVERAGE"), &other), Ok(Purpose::Coverage));
        assert_eq!(ask(Some("TREAT"), &other), Err(PurposeError::NotRegistered));
        assert_eq!(ask(Some("FUN"), &other), Err(PurposeError::Unknown));
        let oid = "urn:oid:2.16.840.1.113883.5.8#COVERAGE";
        assert_eq!(ask(Some(oid), &own), Ok(Purpose::Coverage));

        let plan = fixture::client("plan", "plan", &["COC"]);
        let system = ScopeSet::parse("system/*.rs");
        assert_eq!(
            purpose_for(&plan, None, &system, None, None),
            Ok(Purpose::Coc)
        );
        let none = fixture::client("plan", "plan", &[]);
        let missing = purpose_for(&none, None, &system, None, None);
        assert_eq!(missing, Err(PurposeError::Missing));
        let two = fixture::client("plan", "plan", &["COC", "HDM"]);
        let missing = purpose_for(&two, None, &system, None, None);
        assert_eq!(missing, Err(PurposeError::Missing));
    }

    #[test]
    fn what_a_purpose_needs_must_be_there() {
        let (user, id) = (Key::parse("Patient/a").unwrap(), Id::parse("a").unwrap());
        let patient = ScopeSet::parse("patient/*.rs");
        let system = ScopeSet::parse("system/*.rs");
        let needs = |purpose, scopes, user, patient, reason| {
            check_needs(purpose, scopes, user, patient, reason).err()
        };
        let (etreat, treat) = (Purpose::Etreat, Purpose::Treat);
        assert_eq!(
            needs(etreat, &system, None, None, None),
            Some(PurposeError::NoReason)
        );
        assert_eq!(
            needs(etreat, &system, None, None, Some(" ")),
            Some(PurposeError::Reason)
        );
        assert_eq!(
            needs(etreat, &system, None, None, Some("unconscious")),
            None
        );
        assert_eq!(
            needs(treat, &system, None, None, Some("curious")),
            Some(PurposeError::Reason)
        );
        let patrqt = Purpose::Patrqt;
        assert_eq!(
            needs(patrqt, &patient, None, Some(&id), None),
            Some(PurposeError::NoUser)
        );
        assert_eq!(
            needs(patrqt, &patient, Some(&user), None, None),
            Some(PurposeError::NoPatient)
        );
        assert_eq!(needs(patrqt, &patient, Some(&user), Some(&id), None), None);
    }
}
