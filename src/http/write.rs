//! The handlers of `/fhir` that write.

use super::{
    Failure,
    api::{Api, Asker, reply},
    extract::{AtRecord, AtType, JsonBody, PatchBody},
    fhir::{Entries, handling, prefers},
    router::{Act, Mount},
};
use crate::{
    fhir::{Key, Kind},
    interaction::{
        Answer, Question, Refusal,
        bundle::condition,
        pairs,
        patch::Patch,
        refusal::invalid,
        search::Handling,
        write::{Guard, Return},
    },
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};

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

/// What is to be written.
enum Asked {
    Create(Kind, Bytes),
    Update(Key, Bytes),
    UpdateWhere(Kind, Sought, Bytes),
    Patch(Key, Patch),
    PatchWhere(Kind, Sought, Patch),
    Delete(Key),
    DeleteWhere(Kind, Sought),
    Bundle(Bytes, Handling),
}

impl Asked {
    fn act(&self) -> Act {
        match self {
            Asked::Create(..) => Act::Create,
            Asked::Update(..) => Act::Update,
            Asked::UpdateWhere(..) => Act::UpdateWhere,
            Asked::Patch(..) => Act::Patch,
            Asked::PatchWhere(..) => Act::PatchWhere,
            Asked::Delete(_) => Act::Delete,
            Asked::DeleteWhere(..) => Act::DeleteWhere,
            Asked::Bundle(..) => Act::Bundle,
        }
    }

    /// What the audit says was asked. What a condition looks for is no part of it.
    fn target(&self) -> String {
        match self {
            Asked::Update(key, _) | Asked::Patch(key, _) | Asked::Delete(key) => key.to_string(),
            Asked::Create(kind, _)
            | Asked::UpdateWhere(kind, ..)
            | Asked::PatchWhere(kind, ..)
            | Asked::DeleteWhere(kind, _) => kind.name().to_owned(),
            Asked::Bundle(..) => "Bundle".to_owned(),
        }
    }

    /// What is brought back where the caller has no wish.
    fn usually(&self) -> Return {
        match self {
            Asked::Bundle(..) => Return::Minimal,
            _ => Return::Representation,
        }
    }

    async fn answer(
        self,
        api: &Api,
        question: &Question,
        wishes: Wishes,
    ) -> Result<Answer, Refusal> {
        let service = &api.parts().service;
        let (guard, version, wanted) = (&wishes.guard, wishes.version(), wishes.wanted);
        match self {
            Asked::Create(kind, body) => {
                let condition = wishes.if_none_exist.as_deref();
                service
                    .create(question, kind, body, condition, wanted)
                    .await
            }
            Asked::Update(key, body) => service.update(question, key, body, guard, wanted).await,
            Asked::UpdateWhere(kind, sought, body) => {
                service
                    .update_where(question, kind, &sought, body, guard, wanted)
                    .await
            }
            Asked::Patch(key, patch) => service.patch(question, key, &patch, version, wanted).await,
            Asked::PatchWhere(kind, sought, patch) => {
                service
                    .patch_where(question, kind, &sought, &patch, version, wanted)
                    .await
            }
            Asked::Delete(key) => service.delete(question, key, version).await,
            Asked::DeleteWhere(kind, sought) => {
                service.delete_where(question, kind, &sought, version).await
            }
            Asked::Bundle(body, handling) => {
                let reads = Entries {
                    api: api.clone(),
                    handling,
                };
                service.bundle(&reads, question, body, wanted).await
            }
        }
    }

    /// Runs the write to its end even where the caller goes away: what is written must have its entry.
    async fn run(self, api: Api, asker: Asker, headers: &HeaderMap) -> Replied {
        let question = asker.asks(self.act(), self.target());
        let wishes = Wishes::of(headers, self.usually());
        let asked = question.clone();
        let done = tokio::spawn(async move { self.answer(&api, &asked, wishes?).await });
        match done.await {
            Ok(answer) => Ok(reply(&question, answer)),
            Err(_) => Err(Failure::internal("a write stopped before its end")),
        }
    }
}

/// The condition of a write that names no id.
type Sought = Vec<(String, String)>;

fn sought(uri: &Uri) -> Sought {
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
    Asked::Create(kind, body).run(api, asker, &headers).await
}

async fn update(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    Asked::Update(key, body).run(api, asker, &headers).await
}

async fn update_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let asked = Asked::UpdateWhere(kind, sought(&uri), body);
    asked.run(api, asker, &headers).await
}

async fn patch(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
    PatchBody(patch): PatchBody,
) -> Replied {
    Asked::Patch(key, patch).run(api, asker, &headers).await
}

async fn patch_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
    PatchBody(patch): PatchBody,
) -> Replied {
    let asked = Asked::PatchWhere(kind, sought(&uri), patch);
    asked.run(api, asker, &headers).await
}

async fn delete(
    State(api): State<Api>,
    AtRecord(key): AtRecord,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    Asked::Delete(key).run(api, asker, &headers).await
}

async fn delete_where(
    State(api): State<Api>,
    AtType(kind): AtType,
    uri: Uri,
    headers: HeaderMap,
    asker: Asker,
) -> Replied {
    let asked = Asked::DeleteWhere(kind, sought(&uri));
    asked.run(api, asker, &headers).await
}

async fn bundle(
    State(api): State<Api>,
    headers: HeaderMap,
    asker: Asker,
    JsonBody(body): JsonBody,
) -> Replied {
    let asked = Asked::Bundle(body, handling(&headers));
    asked.run(api, asker, &headers).await
}
