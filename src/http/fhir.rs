//! The handlers of `/fhir` that read: from a request to a question, from an answer to a reply. What
//! they do, entries of a batch ask for too.

use super::{
    Failure,
    api::{Api, Asker, reply},
    extract::{AtCompartment, AtRecord, AtType, AtVersion, FormBody, JsonBody},
    refused::Refusals,
    router::{Act, Mount},
    write,
};
use crate::{
    fhir::{Id, Key, Kind, Resource},
    interaction::{
        Answer, Question, Refusal,
        address::Address,
        pairs,
        search::{Handling, Within},
        searchset::url,
    },
    operation::{self, evaluate::Described, validate},
    store::audit::Place,
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};

type Replied = Result<Response, Failure>;
type Pairs = [(String, String)];

/// Puts the handlers of `/fhir` on.
#[must_use]
pub fn mount(mount: Mount, api: &Api) -> Mount {
    let parts = api.parts();
    let mount = mount
        .telling(Refusals::to(&parts.log, parts.clock))
        .on(Act::Read, read, api.clone())
        .on(Act::Vread, vread, api.clone())
        .on(Act::HistoryInstance, history, api.clone())
        .on(Act::HistoryType, history_of_type, api.clone())
        .on(Act::HistorySystem, history_of_all, api.clone())
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
        .on(Act::Everything, everything, api.clone())
        .on(Act::Evaluate, evaluate, api.clone())
        .on(Act::Validate, validate_type, api.clone())
        .on(Act::ValidateRecord, validate_record, api.clone());
    write::mount(mount, api)
}

/// What a GET asks for, whether it came alone or as an entry of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Read(Key),
    Vread(Key, Id),
    History(Key),
    HistoryOf(Option<Kind>),
    Search(Within),
    Everything(Id),
    Evaluate,
}

impl Asked {
    /// Of the path of an entry.
    fn at(path: &str) -> Option<Asked> {
        let steps: Vec<&str> = path.split('/').collect();
        let key = |kind: &str, id: &str| {
            Some(Key {
                kind: Kind::named(kind)?,
                id: Id::parse(id)?,
            })
        };
        match steps.as_slice() {
            ["_history"] => Some(Asked::HistoryOf(None)),
            ["Consent", "$evaluate"] => Some(Asked::Evaluate),
            ["Patient", id, "$everything"] => Id::parse(id).map(Asked::Everything),
            [""] => Some(Asked::Search(Within::System)),
            [kind] => Kind::named(kind).map(|kind| Asked::Search(Within::Kind(kind))),
            [kind, "_history"] => Kind::named(kind).map(|kind| Asked::HistoryOf(Some(kind))),
            [kind, id] => key(kind, id).map(Asked::Read),
            [kind, id, "_history"] => key(kind, id).map(Asked::History),
            [kind, id, "_history", version] => {
                Some(Asked::Vread(key(kind, id)?, Id::parse(version)?))
            }
            [kind, id, "*"] => {
                let of = key(kind, id)?;
                Some(Asked::Search(Within::Compartment(of, None)))
            }
            [kind, id, inner] => {
                let (of, inner) = (key(kind, id)?, Kind::named(inner)?);
                Some(Asked::Search(Within::Compartment(of, Some(inner))))
            }
            _ => None,
        }
    }

    fn act(&self) -> Act {
        match self {
            Asked::Read(_) => Act::Read,
            Asked::Vread(..) => Act::Vread,
            Asked::History(_) => Act::HistoryInstance,
            Asked::HistoryOf(Some(_)) => Act::HistoryType,
            Asked::HistoryOf(None) => Act::HistorySystem,
            Asked::Search(Within::Kind(_)) => Act::SearchType,
            Asked::Search(Within::System) => Act::SearchSystem,
            Asked::Search(Within::Compartment(..)) => Act::SearchCompartment,
            Asked::Everything(_) => Act::Everything,
            Asked::Evaluate => Act::Evaluate,
        }
    }

    async fn answer(
        self,
        api: &Api,
        question: &Question,
        pairs: &Pairs,
        handling: Handling,
    ) -> Result<Answer, Refusal> {
        let parts = api.parts();
        let service = &parts.service;
        match self {
            Asked::Read(key) => match Place::parse(key.id.as_str()) {
                Some(place) if key.kind.name() == "AuditEvent" => {
                    service.read_audit_event(&parts.log, question, place).await
                }
                _ => service.read(question, &key).await,
            },
            Asked::Vread(key, version) => service.vread(question, &key, version.as_str()).await,
            Asked::History(key) => service.history(question, &key, pairs, handling).await,
            Asked::HistoryOf(kind) => {
                service
                    .history_of_all(question, kind, pairs, handling)
                    .await
            }
            Asked::Search(Within::Kind(kind)) if kind.name() == "AuditEvent" => {
                let log = &parts.log;
                service
                    .search_audit_events(log, question, pairs, handling)
                    .await
            }
            Asked::Search(within) => service.search(question, &within, pairs, handling).await,
            Asked::Everything(id) => service.everything(question, id, pairs).await,
            Asked::Evaluate => {
                let described = Described::from_pairs(pairs)?;
                let registry = &parts.registry;
                service.evaluate(registry, question, &described).await
            }
        }
    }
}

/// Answers the entries of a batch that read.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) api: Api,
    pub(super) handling: Handling,
}

impl crate::interaction::batch::Reads for Entries {
    fn counts(&self, question: &Question, entries: usize) {
        let client = &question.case.requester.client;
        // The Bundle itself was counted as one.
        self.api
            .parts()
            .rates
            .charge(client, entries.saturating_sub(1));
    }

    async fn get(&self, question: &Question, at: &Address) -> Result<Answer, Refusal> {
        let mut question = question.clone();
        let Some(asked) = Asked::at(&at.path) else {
            return Err(self.api.parts().service.not_found(&question).await);
        };
        question.asked.interaction = asked.act().name();
        let pairs = pairs(at.query.as_bytes());
        asked
            .answer(&self.api, &question, &pairs, self.handling)
            .await
    }
}

async fn read(State(api): State<Api>, AtRecord(key): AtRecord, asker: Asker) -> Replied {
    let question = asker.asks(Act::Read, key.to_string());
    let asked = Asked::Read(key);
    let answer = asked.answer(&api, &question, &[], Handling::Strict).await;
    Ok(reply(&question, answer))
}

async fn vread(State(api): State<Api>, at: AtVersion, asker: Asker) -> Replied {
    let AtVersion(key, version) = at;
    let question = asker.asks(Act::Vread, format!("{key}/_history/{version}"));
    let asked = Asked::Vread(key, version);
    let answer = asked.answer(&api, &question, &[], Handling::Strict).await;
    Ok(reply(&question, answer))
}

/// A question whose parameters are in the query.
async fn by_query(
    api: &Api,
    asked: Asked,
    path: &str,
    uri: &Uri,
    headers: &HeaderMap,
    asker: Asker,
) -> Replied {
    let query = uri.query().unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    let question = asker.asks(asked.act(), format!("{path}{mark}{query}"));
    let answer = asked
        .answer(api, &question, &pairs(query.as_bytes()), handling(headers))
        .await;
    Ok(reply(&question, answer))
}

async fn history(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let path = format!("{key}/_history");
    by_query(&api, Asked::History(key), &path, &uri, &headers, asker).await
}

async fn history_of_type(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let path = format!("{}/_history", kind.name());
    let asked = Asked::HistoryOf(Some(kind));
    by_query(&api, asked, &path, &uri, &headers, asker).await
}

async fn history_of_all(
    State(api): State<Api>,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let asked = Asked::HistoryOf(None);
    by_query(&api, asked, "_history", &uri, &headers, asker).await
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
    let answer = Asked::Search(within)
        .answer(api, &question, &pairs(query), handling(headers))
        .await;
    Ok(reply(&question, answer))
}

/// Whether `Prefer` has this wish.
pub(super) fn prefers(headers: &HeaderMap, wish: &str) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|part| part.trim().eq_ignore_ascii_case(wish))
}

pub(super) fn handling(headers: &HeaderMap) -> Handling {
    if prefers(headers, "handling=lenient") {
        Handling::Lenient
    } else {
        Handling::Strict
    }
}

/// What an operation is asked: the query, and the Parameters of a POST; they are one question.
fn parameters(
    api: &Api,
    uri: &Uri,
    method: &Method,
    body: Bytes,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut all = pairs(uri.query().unwrap_or_default().as_bytes());
    if method == Method::POST && !body.is_empty() {
        let parameters = Resource::parse(body, api.parts().service.limits)
            .map_err(crate::interaction::write::unreadable)?;
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
    let pairs = parameters(&api, &uri, &method, body);
    let known = pairs.as_deref().unwrap_or_default();
    let target = url("", &format!("{key}/$everything"), known);
    let question = asker.asks(Act::Everything, target.trim_start_matches('/'));
    let answer = match pairs {
        Ok(pairs) => {
            let asked = Asked::Everything(key.id);
            asked
                .answer(&api, &question, &pairs, Handling::Strict)
                .await
        }
        Err(refusal) => Err(refusal),
    };
    Ok(reply(&question, answer))
}

async fn evaluate(
    State(api): State<Api>,
    uri: Uri,
    method: Method,
    asker: Asker,
    body: Bytes,
) -> Replied {
    let pairs = parameters(&api, &uri, &method, body);
    let described = pairs.and_then(|pairs| Described::from_pairs(&pairs));
    let told = described.as_ref().map(told).unwrap_or_default();
    let question: Question = asker.asks(Act::Evaluate, format!("Consent/$evaluate?{told}"));
    let parts = api.parts();
    let answer = match described {
        Ok(described) => {
            let registry = &parts.registry;
            parts
                .service
                .evaluate(registry, &question, &described)
                .await
        }
        Err(refusal) => Err(refusal),
    };
    Ok(reply(&question, answer))
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
    let asked = validate::Asked::read(&pairs, body, kind, service.limits);
    let answer = match asked {
        Ok(asked) => service.validate(question, kind, instance, &asked).await,
        Err(refusal) => Err(refusal),
    };
    Ok(reply(question, answer))
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
