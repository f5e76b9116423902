//! The elements of a valid authorization (Civ. 56.11(b)); what is missing is listed.

use super::{Directive, Reason};
use crate::{calendar, fhir::Interval};
use confide_typed::{Consent, Extension, Value};

/// A year and a day: an expiry is normally at most a year away (AB 1697).
const A_YEAR: i64 = 366 * 86_400 * 1_000_000;

/// What the authorization lacks.
pub(super) fn missing(consent: &Consent, directive: &Directive) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut lacks = |text: &str, expression| {
        reasons.push(Reason {
            text: format!("Civ. 56.11: {text}"),
            expression,
        });
    };
    let form = consent.extension.iter().find(|extension| {
        extension.url.strip_prefix(crate::fhir::EXTENSION) == Some("authorization-form")
    });
    let flag = |name: &str| form.is_some_and(|form| boolean(form, name));
    if !flag("handwritten") && form.and_then(points).is_none_or(|points| points < 14) {
        lacks(
            "handwritten or in a typeface of at least 14 points",
            "Consent.extension",
        );
    }
    if !flag("separateDocument") {
        lacks(
            "clearly separate from any other language",
            "Consent.extension",
        );
    }
    if !flag("copyOffered") {
        lacks(
            "the signer is told of the right to a copy",
            "Consent.extension",
        );
    }
    if consent.date_time.is_none() {
        lacks("dated", "Consent.dateTime");
    }
    let signers: Vec<_> = consent.performer.iter().flatten().collect();
    if signers.is_empty() {
        lacks("signed", "Consent.performer");
    } else if !signers
        .iter()
        .any(|signer| signer.0 == directive.patient.to_string())
    {
        lacks("signed by the protected individual", "Consent.performer");
    }
    if consent.organization.iter().flatten().next().is_none() {
        lacks("who may disclose", "Consent.organization");
    }
    if directive.permits.is_empty() {
        lacks("what is authorized", "Consent.provision");
    }
    for permit in &directive.permits {
        if permit.on.actors.as_ref().is_none_or(Vec::is_empty) {
            lacks("who may receive", "Consent.provision.actor");
        }
        if permit.on.labels.is_none() && permit.on.kinds.is_none() && permit.on.records.is_none() {
            lacks("which information", "Consent.provision.securityLabel");
        }
    }
    if directive.period.end == i64::MAX {
        lacks("an expiration date", "Consent.provision.period.end");
    } else if begins(consent, directive)
        .is_some_and(|start| directive.period.end.saturating_sub(start) > A_YEAR)
    {
        lacks(
            "an expiration of at most a year",
            "Consent.provision.period.end",
        );
    }
    reasons
}

/// When it begins: as its period says, else when it was signed.
fn begins(consent: &Consent, directive: &Directive) -> Option<i64> {
    if directive.period.start != i64::MIN {
        return Some(directive.period.start);
    }
    let signed = Interval::of(consent.date_time.as_deref()?, &calendar::zone());
    signed.map(|signed| signed.start)
}

fn child<'e>(form: &'e Extension, name: &str) -> Option<&'e Value> {
    form.extension
        .iter()
        .find(|child| child.url == name)?
        .value
        .as_ref()
}

fn boolean(form: &Extension, name: &str) -> bool {
    child(form, name) == Some(&Value::Boolean(true))
}

fn points(form: &Extension) -> Option<i64> {
    match child(form, "typeface")? {
        Value::Integer(points) => Some(*points),
        Value::Decimal(text) => text.split('.').next()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{consent::compile, fhir::Resource};

    const GOOD: &str = r#"{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},
        "category":[{"coding":[{"system":"https://confide.example/fhir/CodeSystem/consent-category","code":"authorization"}]}],
        "patient":{"reference":"Patient/p"},"dateTime":"2026-11-01","performer":[{"reference":"Patient/p"}],
        "organization":[{"reference":"Organization/plan"}],"policyRule":{"coding":[{"code":"OPTOUT"}]},
        "extension":[{"url":"https://confide.example/fhir/StructureDefinition/authorization-form","extension":[
            {"url":"typeface","valueInteger":14},{"url":"separateDocument","valueBoolean":true},{"url":"copyOffered","valueBoolean":true}]}],
        "provision":{"period":{"start":"2026-11-01","end":"2027-10-31"},"provision":[{"type":"permit",
            "actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"reference":"Patient/q"}}],
            "securityLabel":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"MH"}]}]}}"#;

    fn reasons(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        compile(&Resource::ours(text).unwrap())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_whole_one_is_valid() {
        let directive = compile(&Resource::ours(GOOD).unwrap()).unwrap().unwrap();
        assert_eq!(directive.permits.len(), 1);
        assert!(
            directive.denies.is_empty(),
            "it gives exactly what it names and takes nothing"
        );
    }

    #[test]
    fn each_missing_element_is_named() {
        assert!(reasons("\"valueInteger\":14", "\"valueInteger\":12").contains("14 points"));
        assert!(
            reasons(
                "\"performer\":[{\"reference\":\"Patient/p\"}]",
                "\"performer\":[{\"reference\":\"Patient/q\"}]"
            )
            .contains("protected individual")
        );
        assert!(reasons(",\"end\":\"2027-10-31\"", "").contains("expiration"));
        assert!(reasons("2027-10-31", "2029-10-31").contains("at most a year"));
        let open = "\"start\":\"2026-11-01\",\"end\":\"2027-10-31\"";
        assert!(reasons(open, "\"end\":\"2099-10-31\"").contains("at most a year"));
        assert!(reasons("\"securityLabel\":[{\"system\":\"http://terminology.hl7.org/CodeSystem/v3-ActCode\",\"code\":\"MH\"}]", "\"provision\":[]").contains("which information"));
        assert!(reasons("\"dateTime\":\"2026-11-01\",", "").contains("dated"));
    }
}
