//! update: <https://hl7.org/fhir/R4/http.html#update>, also on a condition.

use super::{
    Answer, Question, Refusal, Service,
    change::{allowed, chooses},
    condition::TRIES,
    create::new_id,
    search::invalid,
    write::{Guard, Return},
};
use crate::{
    fhir::{Key, Kind},
    gate::Journal,
    scope::Actions,
    store::Store,
};
use bytes::Bytes;

impl<S: Store, J: Journal> Service<S, J> {
    /// A new version under the URL's id; with the right, a record that was not there before. Who is
    /// shown less than the whole of a record may not replace it: 409 with fixed text, as where the id
    /// is taken by a record that the writer may not know of (SEMANTICS sections 5 and 6).
    pub async fn update(
        &self,
        question: &Question,
        key: Key,
        body: Bytes,
        guard: &Guard,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        allowed(question, key.kind, Actions::UPDATE)?;
        let resource = self.accept(question, key.kind, Actions::UPDATE, body)?;
        if resource.id() != Some(&key.id) {
            return Err(invalid("the resource's id is not the id of the URL"));
        }
        let planned = self.updating(question, key, resource, guard).await?;
        self.put(question, planned, wanted).await
    }

    /// A new version of the one record that meets a condition; a new record where none does.
    pub async fn update_where(
        &self,
        question: &Question,
        kind: Kind,
        condition: &[(String, String)],
        body: Bytes,
        guard: &Guard,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        allowed(question, kind, Actions::UPDATE)?;
        let resource = self.accept(question, kind, Actions::UPDATE, body)?;
        let _turn = self.turn.lock().await;
        let mut tries = 0;
        loop {
            let (found, sought) = self.sought(question, kind, condition).await?;
            let (own, resource) = (resource.id().cloned(), resource.clone());
            let planned = match found.as_slice() {
                [] => match new_place(question, kind, own, guard)? {
                    (key, true) => self.creating(question, key, resource).await?,
                    (key, false) => self.updating(question, key, resource, guard).await?,
                },
                [key] if *guard != Guard::Absent && own.is_none_or(|own| own == key.id) => {
                    let key = key.clone();
                    self.updating(question, key, resource, guard).await?
                }
                [_] if *guard == Guard::Absent => return Err(Refusal::PreconditionFailed),
                [_] => return Err(invalid("the resource's id is not that of the one match")),
                _ => return Err(Refusal::PreconditionFailed),
            };
            tries += 1;
            match self.put(question, planned.resting(sought), wanted).await {
                Err(Refusal::Moved) if tries < TRIES => {}
                done => return done,
            }
        }
    }
}

/// Where a record goes that no other meets the condition of: under its own id for who may choose it,
/// else under a fresh one (true).
pub(super) fn new_place(
    question: &Question,
    kind: Kind,
    own: Option<crate::fhir::Id>,
    guard: &Guard,
) -> Result<(Key, bool), Refusal> {
    if guard.needs_one() {
        return Err(Refusal::PreconditionFailed);
    }
    match own {
        Some(id) if chooses(&question.case) => Ok((Key { kind, id }, false)),
        Some(_) => Err(invalid(
            "no record meets the condition, and an id is not for you to choose",
        )),
        None => {
            allowed(question, kind, Actions::CREATE)?;
            let id = new_id(question.case.at);
            Ok((Key { kind, id }, true))
        }
    }
}
