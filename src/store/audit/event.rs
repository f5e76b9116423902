//! An entry as an AuditEvent: <https://hl7.org/fhir/R4/auditevent.html>. Nothing is added to what the
//! entry says.

use super::{Found, Recorded, RecordedRecord};
use crate::{
    fhir::{CODE_SYSTEM, Key, Kind, time},
    statute::{Purpose, purpose::ACT_REASON},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const RESTFUL: &str = "http://hl7.org/fhir/restful-interaction";
const EVENT_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
const SECURITY_ROLE: &str = "http://terminology.hl7.org/CodeSystem/extra-security-role-type";
const RESOURCE_TYPE: &str = "http://hl7.org/fhir/resource-types";
const BALP_ENTITY: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";
const DICOM: &str = "http://dicom.nema.org/resources/ontology/DCM";

/// The types that AuditEvent.agent.who may refer to.
const AGENTS: [&str; 6] = [
    "Device",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
];

/// The AuditEvent of an entry.
pub fn json(found: &Found) -> Vec<u8> {
    let recorded = &found.recorded;
    let at = time::text(recorded.at);
    let (kind, subtypes) = codes(recorded);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": found.place.to_string(),
        "meta": {"versionId": "1", "lastUpdated": at},
        "type": kind,
        "subtype": subtypes,
        "action": action(&recorded.interaction),
        "recorded": at,
        "outcome": outcome(recorded.status),
    });
    if let Some(event) = event.as_object_mut() {
        if recorded.status != 0 {
            let text = format!("HTTP {}", recorded.status);
            event.insert("outcomeDesc".into(), text.into());
        }
        if let Some(code) = &recorded.purpose {
            event.insert("purposeOfEvent".into(), json!([purpose(code)]));
        }
        event.insert("agent".into(), agents(found).into());
        event.insert("source".into(), source(found));
        let entities = entities(found);
        if !entities.is_empty() {
            event.insert("entity".into(), entities.into());
        }
    }
    event.to_string().into_bytes()
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

fn ours(system: &str, code: &str) -> Value {
    json!({"system": format!("{CODE_SYSTEM}{system}"), "code": code})
}

/// Type and subtypes: HL7's codes where one fits, and always our own name of the interaction.
fn codes(recorded: &Recorded) -> (Value, Vec<Value>) {
    let interaction = &*recorded.interaction;
    let own = ours("audit-interaction", interaction);
    let (code, display) = match (&*recorded.role, interaction) {
        (_, "token" | "authorize" | "login" | "introspect" | "revoke") => {
            ("110114", "User Authentication")
        }
        ("local", "import") => ("110107", "Import"),
        ("local", "export") => ("110106", "Export"),
        ("local", _) => ("110100", "Application Activity"),
        _ => {
            let restful = json!({"system": RESTFUL, "code": restful(interaction)});
            let kind = coding(EVENT_TYPE, "rest", "RESTful Operation");
            return (kind, vec![restful, own]);
        }
    };
    (coding(DICOM, code, display), vec![own])
}

/// <https://hl7.org/fhir/R4/codesystem-restful-interaction.html>.
fn restful(interaction: &str) -> &str {
    match interaction {
        "read" | "vread" | "update" | "patch" | "delete" | "history" | "history-instance"
        | "history-type" | "history-system" | "create" | "search" | "search-type"
        | "search-system" | "capabilities" | "transaction" | "batch" => interaction,
        _ => "operation",
    }
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-action.html>: a search is an execution.
fn action(interaction: &str) -> &'static str {
    match interaction {
        "create" => "C",
        "read" | "vread" | "history" | "history-instance" | "history-type" | "history-system" => {
            "R"
        }
        "update" | "patch" => "U",
        "delete" => "D",
        _ => "E",
    }
}

/// <https://hl7.org/fhir/R4/valueset-audit-event-outcome.html>.
fn outcome(status: u16) -> &'static str {
    match status {
        0..400 => "0",
        400..500 => "4",
        _ => "8",
    }
}

fn purpose(code: &str) -> Value {
    let mut coding = json!({"system": ACT_REASON, "code": code});
    if let (Some(known), Some(coding)) = (Purpose::parse(code), coding.as_object_mut()) {
        coding.insert("display".into(), known.display().into());
    }
    json!({"coding": [coding]})
}

/// The person, the client and its organization. Whoever acts is the requestor: the person if there
/// is one.
fn agents(found: &Found) -> Vec<Value> {
    let recorded = &found.recorded;
    let role = json!([{"coding": [ours("client-role", &recorded.role)]}]);
    let human = json!({"coding": [coding(SECURITY_ROLE, "humanuser", "human user")]});
    let mut agents = Vec::new();
    if let Some(user) = &recorded.user {
        agents.push(json!({"type": human, "who": who(user), "requestor": true}));
    }
    if !recorded.client.is_empty() {
        agents.push(json!({
            "type": {"coding": [coding(DICOM, "110150", "Application")]},
            "role": role,
            "who": {"identifier": identifier("client-id", &recorded.client)},
            "requestor": agents.is_empty(),
        }));
    }
    if recorded.client.is_empty() && recorded.user.is_none() {
        let display = match &*recorded.role {
            "unknown" => "unknown",
            _ => "local operator",
        };
        agents.push(json!({
            "type": human,
            "role": role,
            "who": {"display": display},
            "requestor": true,
        }));
    }
    // <https://hl7.org/fhir/R4/valueset-network-type.html>: 2 is an IP address. It is the requestor's.
    let network = recorded.from.as_ref();
    let network = network.map(|from| json!({"address": from, "type": "2"}));
    if let (Some(network), Some(acts)) = (network, agents.last_mut().and_then(Value::as_object_mut))
    {
        acts.insert("network".into(), network);
    }
    if let Some(organization) = &recorded.organization {
        agents.push(json!({"who": who(organization), "requestor": false}));
    }
    agents
}

/// A reference where the element allows one to that type, else the same as an identifier.
fn who(key: &str) -> Value {
    let kind = key.split('/').next().unwrap_or_default();
    if AGENTS.contains(&kind) {
        json!({"reference": key})
    } else {
        json!({"type": kind, "identifier": {"value": key}})
    }
}

fn identifier(system: &str, value: &str) -> Value {
    json!({"system": format!("{}/{system}", crate::fhir::CANONICAL), "value": value})
}

fn source(found: &Found) -> Value {
    let node = if found.node.is_empty() {
        "confide"
    } else {
        &found.node
    };
    json!({
        "site": node,
        "observer": {
            "identifier": identifier("boot", &found.boot),
            "display": node,
        },
        "type": [coding(SOURCE_TYPE, "4", "Application Server")],
    })
}

fn entities(found: &Found) -> Vec<Value> {
    let recorded = &found.recorded;
    let mut entities: Vec<Value> = recorded.records.iter().map(record).collect();
    entities.extend(recorded.patients.iter().map(|patient| {
        json!({
            "what": {"reference": patient},
            "type": coding(ENTITY_TYPE, "1", "Person"),
            "role": coding(OBJECT_ROLE, "1", "Patient"),
        })
    }));
    entities.extend(asked(found));
    if let Some(reason) = recorded
        .break_glass
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        entities.push(json!({
            "type": coding(ENTITY_TYPE, "4", "Other"),
            "detail": [{"type": "break-glass-reason", "valueString": reason}],
        }));
    }
    if !recorded.request.is_empty() {
        entities.push(json!({
            "what": {"identifier": identifier("request-id", &recorded.request)},
            "type": {"system": BALP_ENTITY, "code": "XrequestId"},
        }));
    }
    entities
}

/// A record that was shown or written, in its version, and on which basis.
fn record(record: &RecordedRecord) -> Value {
    let mut reference = record.key.to_string();
    let version = &record.version;
    if !version.is_empty() {
        reference.push_str("/_history/");
        reference.push_str(version);
    }
    let kind = record.key.split('/').next().unwrap_or_default();
    let mut entity = json!({"what": {"reference": reference}});
    if let Some(entity) = entity.as_object_mut() {
        if let Some(kind) = Kind::named(kind) {
            let kind = json!({"system": RESOURCE_TYPE, "code": kind.name()});
            entity.insert("type".into(), kind);
        }
        entity.insert("role".into(), coding(OBJECT_ROLE, "4", "Domain Resource"));
        let basis = json!([{"type": "basis", "valueString": record.basis}]);
        entity.insert("detail".into(), basis);
    }
    entity
}

/// What was asked: a query as the query, a record that wasn't shown by its name only.
fn asked(found: &Found) -> Option<Value> {
    let recorded = &found.recorded;
    let target = &*recorded.target;
    let searched = recorded.interaction.starts_with("search");
    if target.is_empty() {
        return None;
    }
    if searched || target.contains('?') {
        return Some(json!({
            "type": coding(ENTITY_TYPE, "2", "System Object"),
            "role": coding(OBJECT_ROLE, "24", "Query"),
            "query": STANDARD.encode(target),
        }));
    }
    let key = Key::parse(target).map(|key| key.to_string());
    let shown = recorded
        .records
        .iter()
        .any(|record| Some(&*record.key) == key.as_deref());
    if shown {
        return None;
    }
    Some(json!({"type": coding(ENTITY_TYPE, "2", "System Object"), "name": target}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fhir::{Resource, json::Limits},
        store::audit::{Place, body::tests::any_entry},
    };
    use proptest::prelude::*;

    fn found(recorded: Recorded) -> Found {
        Found {
            place: Place { chain: 3, seq: 17 },
            node: "node-a".into(),
            boot: "b1".into(),
            recorded,
        }
    }

    fn read(text: &str) -> Value {
        let recorded = serde_json::from_str(text).unwrap();
        serde_json::from_slice(&json(&found(recorded))).unwrap()
    }

    #[test]
    fn a_read_says_who_what_and_why() {
        let event = read(
            r#"{"at":1767225600000000,"request":"r1","client":"ehr","role":"provider",
            "user":"Practitioner/p","organization":"Organization/o","purpose":"ETREAT",
            "breakGlass":"unconscious","interaction":"read","target":"Observation/x","status":200,
            "records":[["Observation/x","2","break-glass"]],"patients":["Patient/a"]}"#,
        );
        insta::assert_json_snapshot!(event);
    }

    #[test]
    fn a_search_keeps_its_query() {
        let event = read(
            r#"{"at":0,"client":"app","role":"app","user":"Person/x","interaction":"search-type",
            "target":"Condition?code=a|b&patient=p","status":200}"#,
        );
        assert_eq!(event["action"], "E");
        assert_eq!(event["subtype"][0]["code"], "search-type");
        let query = event["entity"][0]["query"].as_str().unwrap();
        assert_eq!(
            STANDARD.decode(query).unwrap(),
            b"Condition?code=a|b&patient=p"
        );
        assert_eq!(event["agent"][0]["who"]["type"], "Person");
        assert_eq!(event["agent"][0]["who"]["reference"], Value::Null);
    }

    #[test]
    fn what_was_not_shown_is_named_and_not_referred_to() {
        let event = read(
            r#"{"at":0,"client":"app","role":"app","interaction":"read",
            "target":"Condition/hidden","status":404}"#,
        );
        assert_eq!(event["outcome"], "4");
        assert_eq!(event["entity"][0]["name"], "Condition/hidden");
        assert_eq!(event["entity"][0]["what"], Value::Null);
    }

    #[test]
    fn an_act_on_the_command_line_is_the_operators() {
        let event = read(r#"{"at":0,"role":"local","interaction":"export","status":0}"#);
        assert_eq!(event["type"]["code"], "110106");
        assert_eq!(event["outcome"], "0");
        assert_eq!(event["agent"][0]["who"]["display"], "local operator");
    }

    proptest! {
        #[test]
        fn every_entry_is_an_audit_event(entry in any_entry()) {
            let text = json(&found(Recorded::of(&entry)));
            let event = Resource::parse(text.clone(), Limits::default()).unwrap();
            prop_assert_eq!(event.kind().name(), "AuditEvent");
            let event: Value = serde_json::from_slice(&text).unwrap();
            for required in ["type", "recorded", "agent", "source"] {
                prop_assert!(!event[required].is_null());
            }
            let agents = event["agent"].as_array().unwrap();
            let acting = agents.iter().filter(|agent| agent["requestor"] == true).count();
            prop_assert_eq!(acting, 1);
            for entity in event["entity"].as_array().into_iter().flatten() {
                prop_assert!(entity["name"].is_null() || entity["query"].is_null());
            }
        }
    }
}
