//! The handlers of `/fhir` that write.

use super::{
    Failure,
    api::{Api, Asker, reply},
    extract::{AtRecord, AtType, JsonBody, PatchBody},
    fhir::{Entries, handling, prefers},
    router::{Act, Mount},
};
use crate::interaction::{
    Answer, Question, Refusal,
    bundle::{condition, version},
    pairs,
    refusal::invalid,
    write::Return,
};
use axum::{
    extract::State,
    http::{HeaderMap, Uri, header},
    response::Response,
};
use std::future::Future;

type Replied = Result<Response, Failure>;

/// Puts the handlers on.
pub(super) fn mount(mount: Mount, api: &Api) -> Mount {
    mount
        .on(Act::Create, create, api.clone())
        .on(Act::Update, update, api.clone())
        .on(Act::UpdateWhere, update_where, api.clone())
        .on(Act::Patch, patch, api.clone())
        .on(Act::PatchWhere, patch_where, api.clone())
        .on(Act::Delete, delete, api.clone())
        .on(Act::DeleteWhere, delete_where, api.clone())
        .on(Act::Bundle, bundle, api.clone())
}

/// `Prefer: return`.
fn wanted(headers: &HeaderMap, otherwise: Return) -> Return {
    if prefers(headers, "return=minimal") {
        Return::Minimal
    } else if prefers(headers, "return=OperationOutcome") {
        Return::Outcome
    } else if prefers(headers, "return=representation") {
        Return::Representation
    } else {
        otherwise
    }
}

/// `If-Match`.
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let named = value.to_str().ok().and_then(version);
    match named {
        Some(version) => Ok(Some(version.to_owned())),
        None => Err(invalid("If-Match is W/\"version\"")),
    }
}

/// `If-None-Exist`.
fn if_none_exist(headers: &HeaderMap) -> Result<Option<Vec<(String, String)>>, Refusal> {
    let Some(value) = headers.get("if-none-exist") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(condition(text))),
        Err(_) => Err(invalid("If-None-Exist is not readable")),
    }
}

/// Runs a write to its end even where the caller goes away: what is written must have its entry.
async fn to_the_end(
    question: Question,
    work: impl Future<Output = Result<Answer, Refusal>> + Send + 'static,
) -> Replied {
    match tokio::spawn(work).await {
        Ok(answer) => Ok(reply(&question, answer)),
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
    let wanted = wanted(&headers, Return::Representation);
    let condition = if_none_exist(&headers);
    to_the_end(question.clone(), async move {
        let condition = condition?;
        let service = &api.parts().service;
        service
            .create(&question, kind, body, condition.as_deref(), wanted)
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
    let wanted = wanted(&headers, Return::Representation);
    let version = if_match(&headers);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service
            .update(&question, key, body, version.as_deref(), wanted)
            .await
    })
    .await
}

/// The condition of a write that names no id. What it looks for is no part of the audit's target.
fn sought(uri: &Uri) -> Vec<(String, String)> {
    let mut pairs = pairs(uri.query().unwrap_or_default().as_bytes());
    pairs.retain(|(name, _)| !["_format", "_pretty"].contains(&name.as_str()));
    pairs
}

async fn update_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::UpdateWhere, kind.name());
    let wanted = wanted(&headers, Return::Representation);
    let version = if_match(&headers);
    let sought = sought(&uri);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service
            .update_where(&question, kind, &sought, body, version.as_deref(), wanted)
            .await
    })
    .await
}

async fn patch(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
    PatchBody(patch): PatchBody,
) -> Replied {
    let question = asker.asks(Act::Patch, key.to_string());
    let wanted = wanted(&headers, Return::Representation);
    let version = if_match(&headers);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service
            .patch(&question, key, &patch, version.as_deref(), wanted)
            .await
    })
    .await
}

async fn patch_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    PatchBody(patch): PatchBody,
) -> Replied {
    let question = asker.asks(Act::PatchWhere, kind.name());
    let wanted = wanted(&headers, Return::Representation);
    let version = if_match(&headers);
    let sought = sought(&uri);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service
            .patch_where(&question, kind, &sought, &patch, version.as_deref(), wanted)
            .await
    })
    .await
}

async fn delete(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let question = asker.asks(Act::Delete, key.to_string());
    let version = if_match(&headers);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service.delete(&question, key, version.as_deref()).await
    })
    .await
}

async fn delete_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let question = asker.asks(Act::DeleteWhere, kind.name());
    let version = if_match(&headers);
    let sought = sought(&uri);
    to_the_end(question.clone(), async move {
        let version = version?;
        let service = &api.parts().service;
        service
            .delete_where(&question, kind, &sought, version.as_deref())
            .await
    })
    .await
}

async fn bundle(
    State(api): State<Api>,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Bundle, "Bundle");
    let wanted = wanted(&headers, Return::Minimal);
    let handling = handling(&headers);
    to_the_end(question.clone(), async move {
        let reads = Entries {
            api: api.clone(),
            handling,
        };
        let service = &api.parts().service;
        service.bundle(&reads, &question, body, wanted).await
    })
    .await
}
