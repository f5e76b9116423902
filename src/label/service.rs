//! When a record's service took place, and in what setting.

use crate::{
    calendar,
    fhir::{Interval, Node, Resource, resource::nodes, time},
    statute::minors::Care,
};
use jiff::civil::Date;

/// Where each type says when its service took place; the first that is there counts.
const PATHS: &[(&str, &[&str])] = &[
    ("Encounter", &["period"]),
    (
        "Condition",
        &["onsetDateTime", "onsetPeriod", "recordedDate"],
    ),
    (
        "Observation",
        &[
            "effectiveDateTime",
            "effectivePeriod",
            "effectiveInstant",
            "issued",
        ],
    ),
    ("Procedure", &["performedDateTime", "performedPeriod"]),
    ("MedicationRequest", &["authoredOn"]),
    ("MedicationDispense", &["whenHandedOver", "whenPrepared"]),
    (
        "MedicationStatement",
        &["effectiveDateTime", "effectivePeriod", "dateAsserted"],
    ),
    (
        "MedicationAdministration",
        &["effectiveDateTime", "effectivePeriod"],
    ),
    ("Immunization", &["occurrenceDateTime", "recorded"]),
    (
        "DiagnosticReport",
        &["effectiveDateTime", "effectivePeriod", "issued"],
    ),
    ("DocumentReference", &["context.period", "date"]),
    (
        "Claim",
        &[
            "item.servicedDate",
            "item.servicedPeriod",
            "billablePeriod",
            "created",
        ],
    ),
    (
        "ExplanationOfBenefit",
        &[
            "item.servicedDate",
            "item.servicedPeriod",
            "billablePeriod",
            "created",
        ],
    ),
    ("ClaimResponse", &["created"]),
    ("Communication", &["sent", "received"]),
    (
        "CommunicationRequest",
        &["occurrenceDateTime", "authoredOn"],
    ),
    (
        "ServiceRequest",
        &["occurrenceDateTime", "occurrencePeriod", "authoredOn"],
    ),
    ("CarePlan", &["period", "created"]),
    ("CareTeam", &["period"]),
    ("Goal", &["startDate", "statusDate"]),
    ("AllergyIntolerance", &["onsetDateTime", "recordedDate"]),
    ("Appointment", &["start"]),
    ("QuestionnaireResponse", &["authored"]),
    ("ImagingStudy", &["started"]),
    ("Media", &["createdDateTime", "createdPeriod"]),
    ("Composition", &["date"]),
    ("List", &["date"]),
    ("FamilyMemberHistory", &["date"]),
    ("ClinicalImpression", &["effectiveDateTime", "date"]),
    ("RiskAssessment", &["occurrenceDateTime"]),
    ("Coverage", &["period"]),
    ("Consent", &["dateTime"]),
    ("Task", &["authoredOn"]),
];

/// From the first to the last day of the service, and its first day as the record states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Serviced {
    /// The interval, for windows and periods.
    pub interval: Option<Interval>,
    /// The day, for ages.
    pub day: Option<Date>,
}

impl Serviced {
    /// The first and the last day; the first alone where nothing says when it ended.
    pub fn days(self) -> Option<(Date, Date)> {
        let first = self.day?;
        let end = self.interval.map(|interval| interval.end);
        let last = end
            .filter(|end| *end != i64::MAX)
            .and_then(calendar::local_date);
        Some((first, last.map_or(first, |last| last.max(first))))
    }
}

/// When the service of `resource` took place.
pub fn serviced(resource: &Resource) -> Serviced {
    let paths = PATHS
        .iter()
        .find(|(kind, _)| *kind == resource.kind().name())
        .map(|(_, paths)| *paths)
        .unwrap_or_default();
    paths
        .iter()
        .find_map(|path| of_nodes(&nodes(resource.root(), path)))
        .unwrap_or_default()
}

/// When one line of a claim was served: `servicedDate` or `servicedPeriod`.
pub fn of_line(line: &Node) -> Option<Serviced> {
    ["servicedDate", "servicedPeriod"]
        .iter()
        .find_map(|name| of_nodes(&nodes(line, name)))
}

fn of_nodes(found: &[&Node]) -> Option<Serviced> {
    let each = found.iter().filter_map(|node| of_value(node));
    each.reduce(|all, next| Serviced {
        interval: match (all.interval, next.interval) {
            (Some(all), Some(next)) => Some(all.around(next)),
            (one, other) => one.or(other),
        },
        day: match (all.day, next.day) {
            (Some(all), Some(next)) => Some(all.min(next)),
            (one, other) => one.or(other),
        },
    })
}

fn of_value(node: &Node) -> Option<Serviced> {
    let zone = calendar::zone();
    let (interval, stated) = match node.str() {
        Some(text) => (Interval::of(text, &zone), Some(text)),
        None => {
            let (start, end) = (node.text("start"), node.text("end"));
            (Interval::of_period(start, end, &zone), start.or(end))
        }
    };
    let day = stated.and_then(time::stated_day);
    (interval.is_some() || day.is_some()).then_some(Serviced { interval, day })
}

/// What an Encounter says of the facts that the minors' table asks for.
pub fn care(encounter: &Resource) -> Care {
    let root = encounter.root();
    let class = root.at(&["class", "code"]).and_then(Node::str);
    Care {
        inpatient: matches!(class, Some("IMP" | "ACUTE" | "NONAC" | "SS")),
        mature: Resource::extension(root, "minor-mature").and_then(Node::bool),
        minor_consented: Resource::extension(root, "consented-by").and_then(Node::str)
            == Some("minor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(text: &str) -> Resource {
        Resource::ours(text.to_owned()).unwrap()
    }

    #[test]
    fn the_service_is_when_it_took_place_not_when_it_was_billed() {
        let claim = resource(
            r#"{"resourceType":"Claim","created":"2026-12-01","item":[{"servicedDate":"2026-11-02"},{"servicedDate":"2026-11-01"}]}"#,
        );
        assert_eq!(serviced(&claim).day, Some("2026-11-01".parse().unwrap()));
    }

    #[test]
    fn an_unknown_date_is_no_date() {
        assert_eq!(
            serviced(&resource(r#"{"resourceType":"Condition"}"#)),
            Serviced::default()
        );
    }

    #[test]
    fn the_encounter_tells_setting_and_maturity() {
        let encounter = resource(
            r#"{"resourceType":"Encounter","class":{"code":"IMP"},"extension":[
            {"url":"https://confide.example/fhir/StructureDefinition/minor-mature","valueBoolean":true},
            {"url":"https://confide.example/fhir/StructureDefinition/consented-by","valueCode":"minor"}]}"#,
        );
        assert_eq!(
            care(&encounter),
            Care {
                inpatient: true,
                mature: Some(true),
                minor_consented: true
            }
        );
    }
}
