//! capabilities: <https://hl7.org/fhir/R4/http.html#capabilities>. Built from the rows that have a
//! handler and from the parameter table, so that it can't claim what isn't there.

use super::{
    api::Api,
    forwarded::Arrival,
    negotiate::FHIR_JSON,
    router::{Act, Listed, Mount, Route, Types},
};
use crate::{
    calendar::Clock,
    fhir::{CANONICAL, Kind, time},
    interaction::patch::FORMATS,
    search::params::{self, ParamType},
    statute::writers::{Row, WRITERS},
};
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::Response,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Puts the handler on; to be called last, when every other row is mounted.
#[must_use]
pub fn mount(mount: Mount, api: &Api, base: &str) -> Mount {
    let urls = &api.parts().urls;
    let statement = statement(mount.served(), HERE, urls.token(), api.parts().clock);
    let statement = Statement::of(&statement, base);
    mount.on(Act::Capabilities, capabilities, Arc::new(statement))
}

/// What stands in the place of the server's address until it is known.
const HERE: &str = "urn:confide:here";

/// The statement on both sides of the server's address, and whole with the known one.
struct Statement {
    before: Box<str>,
    after: Box<str>,
    base: Box<str>,
    whole: Bytes,
}

impl Statement {
    fn of(statement: &Value, base: &str) -> Statement {
        let text = statement.to_string();
        let (before, after) = text.split_once(HERE).unwrap_or((&text, ""));
        Statement {
            before: before.into(),
            after: after.into(),
            base: base.into(),
            whole: format!("{before}{base}{after}").into(),
        }
    }

    fn at(&self, base: &str) -> Bytes {
        match *base == *self.base {
            true => self.whole.clone(),
            false => format!("{}{base}{}", self.before, self.after).into(),
        }
    }
}

async fn capabilities(
    State(statement): State<Arc<Statement>>,
    Extension(arrival): Extension<Arrival>,
) -> Response {
    let body = statement.at(&arrival.base);
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, FHIR_JSON);
    response
}

fn statement(served: &[&Route], base: &str, token: &str, clock: Clock) -> Value {
    let resources: Vec<Value> = Kind::all().map(|kind| resource(served, kind)).collect();
    let system: Vec<Value> = unique(served.iter().flat_map(|row| match row.listed {
        Listed::System(codes) => codes.iter().copied(),
        _ => [].iter().copied(),
    }))
    .map(|code| json!({ "code": code }))
    .collect();
    json!({
        "resourceType": "CapabilityStatement",
        "url": format!("{CANONICAL}/CapabilityStatement/confide"),
        "version": env!("CARGO_PKG_VERSION"),
        "name": "Confide",
        "title": "Confide: FHIR R4 with sensitive services kept confidential",
        "status": "active",
        "date": time::text(clock.now()),
        "kind": "instance",
        "software": { "name": "confide", "version": env!("CARGO_PKG_VERSION") },
        "implementation": { "description": "Confide", "url": base },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": patch_formats(served),
        "rest": [{
            "mode": "server",
            "documentation": "Every read is decided for its requester: what may not be known is answered as if it did not exist. Unknown search parameters are refused. Contained resources are found with `_contained` and `_containedType`; chains lead into them.",
            "security": {
                "service": [{ "coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }] }],
                "extension": [{
                    "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
                    "extension": [{ "url": "token", "valueUri": token }],
                }],
            },
            "resource": resources,
            "interaction": system,
        }],
    })
}

fn patch_formats(served: &[&Route]) -> &'static [&'static str] {
    match served.iter().any(|row| row.act == Act::Patch) {
        true => FORMATS,
        false => &[],
    }
}

fn answers(row: &Route, kind: Kind) -> bool {
    match row.types {
        Types::All => true,
        Types::Only(names) => names.contains(&kind.name()),
        Types::None => false,
    }
}

fn unique<'a>(codes: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut codes: Vec<&str> = codes.collect();
    codes.sort_unstable();
    codes.dedup();
    codes.into_iter()
}

fn resource(served: &[&Route], kind: Kind) -> Value {
    // The audit chain is written by the server alone, and some types are no records.
    let closed = WRITERS.row(kind).is_none_or(Row::is_closed);
    let rows: Vec<&&Route> = served.iter().filter(|row| answers(row, kind)).collect();
    let interactions: Vec<&str> = unique(rows.iter().filter_map(|row| match row.listed {
        Listed::Type("create" | "update" | "patch" | "delete") if closed => None,
        Listed::Type(code) => Some(code),
        _ => None,
    }))
    .collect();
    let operations: Vec<Value> = unique(rows.iter().filter_map(|row| match row.listed {
        Listed::Operation(name) => Some(name),
        _ => None,
    }))
    .map(|name| {
        let definition = match name {
            "everything" => {
                String::from("http://hl7.org/fhir/OperationDefinition/Patient-everything")
            }
            "validate" => String::from("http://hl7.org/fhir/OperationDefinition/Resource-validate"),
            name => format!("{CANONICAL}/OperationDefinition/{}-{name}", kind.name()),
        };
        json!({ "name": name, "definition": definition })
    })
    .collect();
    let searched: Vec<Value> = if kind.name() == "AuditEvent" {
        // The projection of the chain has its own few; see `interaction::audit_event`.
        vec![
            json!({ "name": "patient", "type": "reference" }),
            json!({ "name": "agent", "type": "reference" }),
            json!({ "name": "client", "type": "string" }),
            json!({ "name": "date", "type": "date" }),
        ]
    } else {
        params::of(kind)
            .iter()
            .map(|param| json!({ "name": param.code, "type": param.kind.name() }))
            .chain([json!({ "name": "_list", "type": "special" })])
            .chain([json!({ "name": "_has", "type": "special" })])
            .collect()
    };
    let references = params::of(kind)
        .iter()
        .filter(|param| param.kind == ParamType::Reference);
    let includes: Vec<String> = references
        .map(|param| format!("{}:{}", kind.name(), param.code))
        .collect();
    let conditional = |code: &str| {
        let listed = |row: &&&Route| matches!(row.listed, Listed::Condition(on) if on == code);
        !closed && rows.iter().any(listed)
    };
    let mut resource = json!({
        "type": kind.name(),
        "interaction": interactions.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "versioning": "versioned-update",
        "readHistory": interactions.contains(&"vread"),
        "updateCreate": interactions.contains(&"update"),
        "conditionalCreate": interactions.contains(&"create"),
        "conditionalRead": "not-supported",
        "conditionalUpdate": conditional("update"),
        "conditionalDelete": if conditional("delete") { "single" } else { "not-supported" },
        "searchParam": searched,
        "searchInclude": includes,
        "searchRevInclude": ["Provenance:target"],
    });
    if let (false, Some(object)) = (operations.is_empty(), resource.as_object_mut()) {
        object.insert("operation".to_owned(), Value::Array(operations));
    }
    resource
}
