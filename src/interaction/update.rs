//! update: <https://hl7.org/fhir/R4/http.html#update>

use super::{
    Answer, Question, Refusal, Service,
    search::invalid,
    write::{Return, may_write},
};
use crate::{
    fhir::Key,
    gate::{Journal, release},
    policy::Role,
    scope::Actions,
    store::{Expect, Store},
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
        if_match: Option<&str>,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        let case = &question.case;
        if !case.scopes.allows(key.kind, Actions::UPDATE) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this update",
            ));
        }
        may_write(case, key.kind)?;
        let resource = self.accept(case, key.kind, Actions::UPDATE, body)?;
        if resource.id() != Some(&key.id) {
            return Err(invalid("the resource's id is not the id of the URL"));
        }
        let expect = self.expected(question, &key, if_match).await?;
        self.put(question, key, resource, expect, wanted).await
    }

    /// What the writer saw of the record before; a conflict where that is less than the whole.
    pub(crate) async fn expected(
        &self,
        question: &Question,
        key: &Key,
        if_match: Option<&str>,
    ) -> Result<Expect, Refusal> {
        let case = &question.case;
        // Only a provider may choose an id, about its facility; to others a taken id that they may
        // not know of is a ghost too.
        let chooses = case.requester.role == Role::Provider;
        let hidden = if chooses {
            Refusal::Conflict
        } else {
            Refusal::NotFound
        };
        let Some(found) = self.store.read(case, self.settings, key).await? else {
            return match if_match {
                Some(_) => Err(Refusal::PreconditionFailed),
                None if chooses => Ok(Expect::Absent),
                None => Err(Refusal::NotFound),
            };
        };
        let Ok(shown) = release(found.sealed, case, self.settings, &found.standing) else {
            return Err(match if_match {
                Some(_) => Refusal::PreconditionFailed,
                None => hidden,
            });
        };
        if shown.is_partial() {
            return Err(Refusal::Conflict);
        }
        match if_match {
            Some(version) if *shown.stamp().version != *version => Err(Refusal::PreconditionFailed),
            _ => Ok(Expect::Seq(found.seq)),
        }
    }
}
