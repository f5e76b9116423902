//! patch: <https://hl7.org/fhir/R4/http.html#patch>, also on a condition.

use super::{
    Answer, Question, Refusal, Service,
    change::allowed,
    write::{Return, unreadable},
};
use crate::{
    fhir::{
        Key, Kind, Resource,
        json::Limits,
        outcome::{Issue, IssueType},
        patch::{self, PatchError},
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

/// The media types of patches.
pub const FORMATS: &[&str] = &["application/json-patch+json", "application/fhir+json"];

impl Patch {
    /// What the patch makes of a resource.
    pub fn apply(&self, resource: &Resource, limits: Limits) -> Result<Resource, Refusal> {
        match self {
            Patch::Json(patch) => patch::json(resource, patch).map_err(|error| refused(&error)),
            Patch::FhirPath(patch) => {
                let patch = Resource::parse(patch.clone(), limits).map_err(unreadable)?;
                patch::fhirpath(resource, &patch).map_err(|error| refused(&error))
            }
        }
    }
}

/// A patch that can't be read is 400; one that can't be made on this record, or whose test does not
/// hold, is 422 (<https://hl7.org/fhir/R4/http.html#patch>).
fn refused(error: &PatchError) -> Refusal {
    let issue = |kind| vec![Issue::new(kind, error.to_string())];
    match error {
        PatchError::Json(_) | PatchError::List | PatchError::Form { .. } => {
            Refusal::Invalid(issue(IssueType::Structure))
        }
        PatchError::Operations | PatchError::Size { .. } => Refusal::TooLarge,
        PatchError::Hidden { .. } => Refusal::Conflict,
        PatchError::Unfit { .. }
        | PatchError::Missing { .. }
        | PatchError::Test { .. }
        | PatchError::Resource(_) => Refusal::Unprocessable(issue(IssueType::BusinessRule)),
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
