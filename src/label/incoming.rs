//! Labels that come with a record, in `meta.security`: taken over, never lowered by automation.

use crate::statute::Labels;

/// Whether a coding of `meta.security` restricts without a sensitivity that we know.
pub(super) fn is_restricted((system, code): (Option<&str>, &str)) -> bool {
    let of = |name: &str| {
        system
            .is_some_and(|s| s.strip_prefix("http://terminology.hl7.org/CodeSystem/") == Some(name))
    };
    (of("v3-Confidentiality") && matches!(code, "R" | "V"))
        || (of("v3-ActCode") && !matches!(code, "NOAUTH" | "NORDSCLCD" | "DELAU" | "REFRAIN"))
}

pub(super) fn special_only(labels: Labels, special: Labels) -> bool {
    // A mental-health label beside a psychotherapy note says no more than the note does.
    let rest = labels.without(special);
    rest.is_none() || (labels.holds(Labels::PSYCHOTHERAPY_NOTE) && rest == Labels::MENTAL_HEALTH)
}

/// The service class that an incoming label stands for, in the minors' table.
pub(super) fn service_of(labels: Labels) -> &'static str {
    const BY_LABEL: &[(Labels, &str)] = &[
        (Labels::ABORTION, "abortion"),
        (Labels::CONTRACEPTION, "contraception"),
        (Labels::PREGNANCY, "pregnancy"),
        (Labels::HIV, "hiv-treatment"),
        (Labels::STI, "sti-diagnosis-treatment"),
        (Labels::MENTAL_HEALTH, "mh-outpatient"),
        (Labels::SUBSTANCE_USE, "sud-counselling"),
        (Labels::PARTNER_VIOLENCE, "ipv"),
        (Labels::SEXUAL_HEALTH, "pregnancy"),
        (Labels::GENDER_AFFIRMING, "gender-affirming"),
        (Labels::GENETIC, "genetic"),
    ];
    BY_LABEL
        .iter()
        .find(|(label, _)| labels.meets(*label))
        .map_or("none", |(_, service)| *service)
}
