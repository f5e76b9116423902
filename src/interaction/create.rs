//! create: <https://hl7.org/fhir/R4/http.html#create>

use super::{
    Answer, Question, Refusal, Service,
    write::{Return, may_write},
};
use crate::{
    fhir::{Id, Key, Kind},
    gate::Journal,
    scope::Actions,
    store::{Expect, Store},
};
use bytes::Bytes;

impl<S: Store, J: Journal> Service<S, J> {
    /// A new record under a new id; an id in the body is not heeded.
    pub async fn create(
        &self,
        question: &Question,
        kind: Kind,
        body: Bytes,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        if !question.case.scopes.allows(kind, Actions::CREATE) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this create",
            ));
        }
        may_write(&question.case, kind)?;
        let resource = self.accept(&question.case, kind, Actions::CREATE, body)?;
        let key = Key { kind, id: new_id() };
        self.put(question, key, resource, Expect::Absent, wanted)
            .await
    }
}

/// A fresh id: a UUIDv7, whose time is the record's own.
pub fn new_id() -> Id {
    let text = uuid::Uuid::now_v7().to_string();
    // A UUID's text is always an id.
    Id::parse(&text).unwrap_or_else(new_id)
}
