//! patch: <https://hl7.org/fhir/R4/http.html#patch>, also on a condition.

use super::{Answer, Question, Refusal, Service, change::allowed, write::Return};
use crate::{
    fhir::{
        Key, Kind, Resource,
        json::Limits,
        outcome::{Issue, IssueType},
    },
    gate::Journal,
    scope::Actions,
    store::Store,
};
use bytes::Bytes;

/// A patch, unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// JSON Patch (RFC 6902).
    Json(Bytes),
    /// FHIRPath Patch: Parameters.
    FhirPath(Bytes),
}

impl Patch {
    /// What the patch makes of a resource.
    pub fn apply(&self, resource: &Resource, _limits: Limits) -> Result<Resource, Refusal> {
        let _ = resource;
        Err(Refusal::Unprocessable(vec![Issue::new(
            IssueType::NotSupported,
            "patches are not supported yet",
        )]))
    }
}

impl<S: Store, J: Journal> Service<S, J> {
    /// A new version of a record, changed by a patch.
    pub async fn patch(
        &self,
        question: &Question,
        key: Key,
        patch: &Patch,
        if_match: Option<&str>,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        allowed(question, key.kind, Actions::UPDATE)?;
        let planned = self.patching(question, key, patch, if_match).await?;
        self.put(question, planned, wanted).await
    }

    /// The same of the one record that meets a condition.
    pub async fn patch_where(
        &self,
        question: &Question,
        kind: Kind,
        condition: &[(String, String)],
        patch: &Patch,
        if_match: Option<&str>,
        wanted: Return,
    ) -> Result<Answer, Refusal> {
        allowed(question, kind, Actions::UPDATE)?;
        let found = self.matches(question, kind, condition).await?;
        match found.as_slice() {
            [] => Err(self.not_found(question).await),
            [key] => {
                let key = key.clone();
                self.patch(question, key, patch, if_match, wanted).await
            }
            _ => Err(Refusal::PreconditionFailed),
        }
    }
}
