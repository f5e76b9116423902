//! Past versions: decided by the stricter of then and now.

use super::record::{Sealed, seal};
use crate::{
    faces,
    fhir::Resource,
    label::{self, Labelled, Part},
    policy::Facts,
};

/// Seals a past version (`then`, whose body is `resource`) with the labels that it had, those that it
/// would have `today`, and what holds of the record as it is `now`: whatever one of them hides is
/// hidden, and each patient of either is asked.
pub fn seal_past(
    then: Sealed,
    resource: &Resource,
    mut today: Labelled,
    now: Option<&Facts>,
) -> Sealed {
    let mut facts = then.facts;
    today.whole = today.whole.and(facts.whole);
    if let Some(now) = now {
        today.whole = today.whole.and(now.whole);
        facts.patients.extend(now.patients.iter().cloned());
        facts.patients.sort();
        facts.patients.dedup();
    }
    for part in then.faces.parts {
        merge(&mut today.parts, part);
    }
    faces::settle(resource, &mut today);
    facts.whole = today.whole;
    facts.parts = label::distinct(&today.parts);
    let left = faces::household(resource, &today.parts);
    seal(
        facts,
        then.full,
        then.household,
        resource,
        &today,
        left.as_deref(),
    )
}

fn merge(parts: &mut Vec<Part>, part: Part) {
    match parts.iter_mut().find(|known| known.path == part.path) {
        Some(known) => {
            known.marks = known.marks.and(part.marks);
            known.target = known.target.take().or(part.target);
        }
        None => parts.push(part),
    }
}
