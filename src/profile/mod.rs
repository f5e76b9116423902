//! L1: whether a resource keeps to its definitions: FHIR R4's own, and profiles.

mod binding;
mod conform;
mod definition;
mod invariant;
mod narrative;
mod place;
mod primitive;
mod reference;
pub mod shipped;
mod slice;
pub mod structure;

pub use definition::{Definition, DefinitionError};
pub use shipped::{PROFILES, Profiles};
pub use structure::{CheckLimits, Depth, check};

use crate::fhir::{
    Node, Resource,
    outcome::{Issue, IssueType},
};
use place::At;

/// All problems and remarks, with those, among the profiles that are `known`, of a profile and of the profiles that the resource claims.
pub fn examine(
    resource: &Resource,
    known: &Profiles,
    profile: Option<&Definition>,
    limits: CheckLimits,
) -> Vec<Issue> {
    let mut issues = check(resource, limits);
    let at = At::root(resource.kind().name());
    let claims = resource.root().at(&["meta", "profile"]);
    let claims = claims.map(Node::items).unwrap_or_default();
    let mut profiles: Vec<&Definition> = profile.into_iter().collect();
    for (number, claim) in claims.iter().enumerate() {
        match claim.str().map(|url| known.find(url)) {
            Some(Some(claimed)) if profiles.iter().all(|has| has.url != claimed.url) => {
                profiles.push(claimed);
            }
            Some(None) => {
                let place = format!("{}.meta.profile[{number}]", at.words());
                let text = "this profile is not known here, and was not checked";
                issues.push(Issue::at(IssueType::NotSupported, text, place).as_warning());
            }
            _ => {}
        }
    }
    for profile in profiles {
        if *profile.kind != *resource.kind().name() {
            let text = format!("the profile is one of {}", profile.kind);
            issues.push(Issue::at(IssueType::Invalid, text, at.words()));
            continue;
        }
        issues.extend(conform::conform(
            known,
            profile,
            (resource.root(), resource.root()),
            &at,
            limits,
        ));
    }
    issues
}
