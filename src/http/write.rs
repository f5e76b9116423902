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
    bundle::condition,
    pairs,
    refusal::invalid,
    write::{Guard, Return},
};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
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

/// What a write's headers wish.
struct Wishes {
    /// `Prefer: return`.
    wanted: Return,
    /// `If-Match` and `If-None-Match`.
    guard: Guard,
    /// `If-None-Exist`.
    if_none_exist: Option<Vec<(String, String)>>,
}

impl Wishes {
    fn of(headers: &HeaderMap, otherwise: Return) -> Result<Wishes, Refusal> {
        let text = |name: &str| -> Result<Option<&str>, Refusal> {
            let value = headers.get(name).map(|value| value.to_str());
            value
                .transpose()
                .map_err(|_| invalid("a condition's header is not readable"))
        };
        let guard = Guard::parse(text("if-match")?, text("if-none-match")?);
        Ok(Wishes {
            wanted: wanted(headers, otherwise),
            guard: guard.ok_or_else(|| {
                invalid(
                    "If-Match is W/\"version\", or If-None-Match is * or W/\"version\", not both",
                )
            })?,
            if_none_exist: text("if-none-exist")?.map(condition),
        })
    }

    /// The version that `If-Match` names.
    fn version(&self) -> Option<&str> {
        match &self.guard {
            Guard::Is(version) => Some(version),
            _ => None,
        }
    }
}

/// Runs a write to its end even where the caller goes away: what is written must have its entry.
async fn written<W, F>(
    api: Api,
    question: Question,
    (headers, otherwise): (HeaderMap, Return),
    work: W,
) -> Replied
where
    W: FnOnce(Api, Question, Wishes) -> F + Send + 'static,
    F: Future<Output = Result<Answer, Refusal>> + Send,
{
    let asked = question.clone();
    let wishes = Wishes::of(&headers, otherwise);
    let done = tokio::spawn(async move { work(api, asked, wishes?).await });
    match done.await {
        Ok(answer) => Ok(reply(&question, answer)),
        Err(_) => Err(Failure::internal("a write stopped before its end")),
    }
}

/// The condition of a write that names no id. What it looks for is no part of the audit's target.
fn sought(uri: &Uri) -> Vec<(String, String)> {
    let mut pairs = pairs(uri.query().unwrap_or_default().as_bytes());
    pairs.retain(|(name, _)| !["_format", "_pretty"].contains(&name.as_str()));
    pairs
}

async fn create(
    State(api): State<Api>,
    AtType(kind): AtType,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Create, kind.name());
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            let condition = wishes.if_none_exist.as_deref();
            service
                .create(&question, kind, body, condition, wishes.wanted)
                .await
        },
    )
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
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service
                .update(&question, key, body, &wishes.guard, wishes.wanted)
                .await
        },
    )
    .await
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
    let sought = sought(&uri);
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service
                .update_where(&question, kind, &sought, body, &wishes.guard, wishes.wanted)
                .await
        },
    )
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
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service
                .patch(&question, key, &patch, wishes.version(), wishes.wanted)
                .await
        },
    )
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
    let sought = sought(&uri);
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service
                .patch_where(
                    &question,
                    kind,
                    &sought,
                    &patch,
                    wishes.version(),
                    wishes.wanted,
                )
                .await
        },
    )
    .await
}

async fn delete(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let question = asker.asks(Act::Delete, key.to_string());
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service.delete(&question, key, wishes.version()).await
        },
    )
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
    let sought = sought(&uri);
    written(
        api,
        question,
        (headers, Return::Representation),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            service
                .delete_where(&question, kind, &sought, wishes.version())
                .await
        },
    )
    .await
}

async fn bundle(
    State(api): State<Api>,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let question = asker.asks(Act::Bundle, "Bundle");
    let handling = handling(&headers);
    written(
        api,
        question,
        (headers, Return::Minimal),
        move |api, question, wishes| async move {
            let service = &api.parts().service;
            let reads = Entries {
                api: api.clone(),
                handling,
            };
            service.bundle(&reads, &question, body, wishes.wanted).await
        },
    )
    .await
}
