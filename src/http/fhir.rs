//! The handlers of `/fhir`: from a request to a question, from an answer to a reply.

use super::{
    Failure,
    api::{Api, Asker, pairs, reply},
    extract::{AtCompartment, AtRecord, AtType, FormBody, JsonBody},
    router::{Act, Mount},
};
use crate::{
    fhir::{Key, Kind, Resource},
    interaction::{
        Answer, Question, Refusal,
        search::{Handling, Within},
        searchset::url,
        write::Return,
    },
    operation::{self, evaluate::Described, validate},
    policy::Case,
    store::audit::Place,
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri, header},
    response::Response,
};
use std::future::Future;

type Replied = Result<Response, Failure>;

/// Puts the handlers of `/fhir` on.
#[must_use]
pub fn mount(mount: Mount, api: &Api) -> Mount {
    mount
        .on(Act::Read, read, api.clone())
        .on(Act::SearchType, search, api.clone())
        .on(Act::SearchTypePost, search_by_form, api.clone())
        .on(Act::SearchSystem, search_system, api.clone())
        .on(Act::SearchSystemPost, search_system_by_form, api.clone())
        .on(Act::SearchCompartment, search_compartment, api.clone())
        .on(
            Act::SearchCompartmentPost,
            search_compartment_by_form,
            api.clone(),
        )
        .on(Act::Create, create, api.clone())
        .on(Act::Update, update, api.clone())
        .on(Act::Transaction, transaction, api.clone())
        .on(Act::Everything, everything, api.clone())
        .on(Act::Evaluate, evaluate, api.clone())
        .on(Act::Validate, validate_type, api.clone())
        .on(Act::ValidateRecord, validate_record, api.clone())
}

async fn read(State(api): State<Api>, AtRecord(key): AtRecord, asker: Asker) -> Replied {
    let question = asker.asks(Act::Read, key.to_string());
    let parts = api.parts();
    let answer = match Place::parse(key.id.as_str()) {
        Some(place) if key.kind.name() == "AuditEvent" => {
            parts
                .service
                .read_audit_event(&parts.log, &question, place)
                .await
        }
        _ => parts.service.read(&question, &key).await,
    };
    Ok(reply(&question.case, answer))
}

async fn search(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let query = query_of(&uri, b"");
    let within = Within::Kind(kind);
    find(&api, within, &query, &headers, asker, Act::SearchType).await
}

async fn search_by_form(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    FormBody(form): FormBody,
) -> Replied {
    let query = query_of(&uri, &form);
    let within = Within::Kind(kind);
    find(&api, within, &query, &headers, asker, Act::SearchTypePost).await
}

async fn search_system(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let query = query_of(&uri, b"");
    let act = Act::SearchSystem;
    find(&api, Within::System, &query, &headers, asker, act).await
}

async fn search_system_by_form(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    FormBody(form): FormBody,
) -> Replied {
    let query = query_of(&uri, &form);
    let act = Act::SearchSystemPost;
    find(&api, Within::System, &query, &headers, asker, act).await
}

async fn search_compartment(
    State(api): State<Api>,
    AtCompartment(of, kind): AtCompartment,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let query = query_of(&uri, b"");
    let within = Within::Compartment(of, kind);
    let act = Act::SearchCompartment;
    find(&api, within, &query, &headers, asker, act).await
}

async fn search_compartment_by_form(
    State(api): State<Api>,
    AtCompartment(of, kind): AtCompartment,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    FormBody(form): FormBody,
) -> Replied {
    let query = query_of(&uri, &form);
    let within = Within::Compartment(of, kind);
    let act = Act::SearchCompartmentPost;
    find(&api, within, &query, &headers, asker, act).await
}

/// Parameters may stand in the address and in a form; they are one query.
fn query_of(uri: &Uri, form: &[u8]) -> Vec<u8> {
    let mut query = uri.query().unwrap_or_default().as_bytes().to_vec();
    if !query.is_empty() && !form.is_empty() {
        query.push(b'&');
    }
    query.extend_from_slice(form);
    query
}

async fn find(
    api: &Api,
    within: Within,
    query: &[u8],
    headers: &HeaderMap,
    asker: Asker,
    act: Act,
) -> Replied {
    let target = format!("{}?{}", within.path(), String::from_utf8_lossy(query));
    let question = asker.asks(act, target);
    let pairs = pairs(query);
    let parts = api.parts();
    let ours = matches!(within, Within::Kind(kind) if kind.name() == "AuditEvent");
    let answer = if ours {
        parts
            .service
            .search_audit_events(&parts.log, &question, &pairs)
            .await
    } else {
        parts
            .service
            .search_within(&question, &within, &pairs, handling(headers))
            .await
    };
    Ok(reply(&question.case, answer))
}

fn prefers(headers: &HeaderMap, wish: &str) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|part| part.trim().eq_ignore_ascii_case(wish))
}

fn handling(headers: &HeaderMap) -> Handling {
    if prefers(headers, "handling=lenient") {
        Handling::Lenient
    } else {
        Handling::Strict
    }
}

fn wanted(headers: &HeaderMap) -> Return {
    if prefers(headers, "return=minimal") {
        Return::Minimal
    } else {
        Return::Representation
    }
}

/// Runs a write to its end even where the caller goes away: what is written must have its entry.
async fn to_the_end(
    case: Case,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> Replied {
    match tokio::spawn(work).await {
        Ok(answer) => Ok(reply(&case, answer)),
        Err(_) => Err(Failure::internal("a write stopped before its end")),
    }
}

async fn create(
    State(api): State<Api>,
    AtType(kind): AtType,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Create, kind.name());
    let wanted = wanted(&headers);
    to_the_end(question.case.clone(), async move {
        api.parts()
            .service
            .create(&question, kind, body, wanted)
            .await
    })
    .await
}

async fn update(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Update, key.to_string());
    let wanted = wanted(&headers);
    let version = match headers.get(header::IF_MATCH).map(|value| value.to_str()) {
        None => None,
        Some(Ok(value)) => Some(version(value)?),
        Some(Err(_)) => return Err(Failure::invalid("If-Match is not readable")),
    };
    to_the_end(question.case.clone(), async move {
        api.parts()
            .service
            .update(&question, key, body, version.as_deref(), wanted)
            .await
    })
    .await
}

/// The version in `W/"…"`.
fn version(value: &str) -> Result<String, Failure> {
    let inner = value
        .trim()
        .trim_start_matches("W/")
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner
        .map(str::to_owned)
        .ok_or_else(|| Failure::invalid("If-Match is W/\"version\""))
}

async fn transaction(State(api): State<Api>, asker: Asker, JsonBody(body): JsonBody) -> Replied {
    let question = asker.asks(Act::Transaction, "Bundle");
    to_the_end(question.case.clone(), async move {
        api.parts().service.transaction(&question, body).await
    })
    .await
}

/// What an operation is asked: the query, and the Parameters of a POST; they are one question.
fn parameters(
    api: &Api,
    uri: &Uri,
    method: &Method,
    body: Bytes,
) -> Result<Vec<(String, String)>, Failure> {
    let mut all = pairs(uri.query().unwrap_or_default().as_bytes());
    if method == Method::POST && !body.is_empty() {
        let parameters = Resource::parse(body, api.parts().service.limits)
            .map_err(|error| Failure::invalid(error.to_string()))?;
        all.extend(operation::pairs(&parameters)?);
    }
    Ok(all)
}

async fn everything(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    uri: Uri,
    method: Method,
    asker: Asker,
    body: Bytes,
) -> Replied {
    let pairs = parameters(&api, &uri, &method, body)?;
    let target = url("", &format!("{key}/$everything"), &pairs);
    let question = asker.asks(Act::Everything, target.trim_start_matches('/'));
    let service = &api.parts().service;
    let answer = service.everything(&question, key.id, &pairs).await;
    Ok(reply(&question.case, answer))
}

async fn evaluate(
    State(api): State<Api>,
    uri: Uri,
    method: Method,
    asker: Asker,
    body: Bytes,
) -> Replied {
    let described = Described::from_pairs(&parameters(&api, &uri, &method, body)?)?;
    let question: Question = asker.asks(
        Act::Evaluate,
        format!("Consent/$evaluate?{}", told(&described)),
    );
    let parts = api.parts();
    let answer = parts
        .service
        .evaluate(&parts.registry, &question, &described)
        .await;
    Ok(reply(&question.case, answer))
}

async fn validate_type(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Validate, format!("{}/$validate", kind.name()));
    validated(&api, &question, kind, None, &uri, &body).await
}

async fn validate_record(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    uri: Uri,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::ValidateRecord, format!("{key}/$validate"));
    validated(&api, &question, key.kind, Some(&key), &uri, &body).await
}

async fn validated(
    api: &Api,
    question: &Question,
    kind: Kind,
    instance: Option<&Key>,
    uri: &Uri,
    body: &Bytes,
) -> Replied {
    let service = &api.parts().service;
    let pairs = pairs(uri.query().unwrap_or_default().as_bytes());
    let asked = validate::Asked::read(&pairs, body, kind, service.limits)?;
    let answer = service.validate(question, kind, instance, &asked).await;
    Ok(reply(&question.case, answer))
}

/// What was evaluated, for the audit entry.
fn told(described: &Described) -> String {
    let client = described.client.as_deref().unwrap_or_default();
    let record = described
        .record
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!("client={client}&record={record}")
}
