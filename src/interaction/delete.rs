//! delete: <https://hl7.org/fhir/R4/http.html#delete>, also on a condition. A deletion is a version.

use super::{Answer, Question, Refusal, Service, change::allowed};
use crate::{
    fhir::{Key, Kind},
    gate::{Journal, disclose},
    scope::Actions,
    store::Store,
};

impl<S: Store, J: Journal> Service<S, J> {
    /// Deletes a record that the requester sees the whole of. One that is deleted already stays so;
    /// a hidden one is a ghost.
    pub async fn delete(
        &self,
        question: &Question,
        key: Key,
        if_match: Option<&str>,
    ) -> Result<Answer, Refusal> {
        allowed(question, key.kind, Actions::DELETE)?;
        let Some(planned) = self.deleting(question, key, if_match).await? else {
            return Ok(Answer::of(204, ""));
        };
        self.commit(question, vec![planned], Vec::new()).await?;
        self.nothing_left(question).await
    }

    /// Deletes the one record that meets a condition; several are 412, none is nothing to do.
    pub async fn delete_where(
        &self,
        question: &Question,
        kind: Kind,
        condition: &[(String, String)],
        if_match: Option<&str>,
    ) -> Result<Answer, Refusal> {
        allowed(question, kind, Actions::DELETE)?;
        let found = self.matches(question, kind, condition).await?;
        match found.as_slice() {
            [] => self.nothing_left(question).await,
            [key] => self.delete(question, key.clone(), if_match).await,
            _ => Err(Refusal::PreconditionFailed),
        }
    }

    async fn nothing_left(&self, question: &Question) -> Result<Answer, Refusal> {
        let case = &question.case;
        disclose(&self.journal, case, &question.asked, 204, Vec::new()).await?;
        Ok(Answer::of(204, ""))
    }
}
