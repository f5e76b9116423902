//! read: <https://hl7.org/fhir/R4/http.html#read>

use super::{Answer, Question, Refusal, Service};
use crate::{
    fhir::Key,
    gate::{Journal, disclose, release},
    scope::Actions,
    store::Store,
};

impl<S: Store, J: Journal> Service<S, J> {
    /// One record. A hidden one and one that never was take the same path: look up, decide, audit. A
    /// deleted one is gone for who might see it as it last was, and for others a ghost too.
    pub async fn read(&self, question: &Question, key: &Key) -> Result<Answer, Refusal> {
        let case = &question.case;
        if !case.scopes.allows(key.kind, Actions::READ) {
            return Err(Refusal::Forbidden(
                "the token's scope does not cover this read",
            ));
        }
        let found = self.store.read(case, self.settings, key).await?;
        let released = found
            .and_then(|found| release(found.sealed, case, self.settings, &found.standing).ok());
        let Some(released) = released else {
            return Err(self.ghost(question, key).await?);
        };
        let batch = vec![released];
        let disclosure = disclose(&self.journal, case, &question.asked, 200, batch).await?;
        match disclosure.entries().next() {
            Some(record) => Ok(Answer::record(200, record)),
            None => Err(Refusal::NotFound),
        }
    }
}
