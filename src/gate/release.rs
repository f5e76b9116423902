//! Sealed → Released, or why not: the second of the two enforcements.

use super::record::{Damaged, Household, Released, Sealed};
use crate::{
    faces::{self, Face, Stamp},
    fhir::{Key, Resource},
    label::Part,
    policy::{Basis, Case, Decision, FaceKind, Facts, Settings, Standing, Withheld, decide},
    statute::{Labels, Reason, projections::PROJECTIONS},
};
use bytes::Bytes;

/// Opens a record for a requester, as far as the requester may see it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a record that was withheld is gone, so that nobody asks again about it"
)]
pub fn release(
    sealed: Sealed,
    case: &Case,
    settings: Settings,
    standing: &Standing,
) -> Result<Released, Withheld> {
    let mut basis = match decide(case, settings, &sealed.facts, standing) {
        Decision::Release(basis) => basis,
        Decision::Withhold(withheld) => return Err(withheld),
    };
    let key = sealed.facts.key.clone();
    let (stamp, body) = match basis.face {
        FaceKind::Full => (
            stamp(&sealed, &basis).clone(),
            full(&sealed, &key, &mut basis, case, settings, standing),
        ),
        FaceKind::Household(seat) => {
            let list = PROJECTIONS.of(seat, settings.household, key.kind);
            let shown = list.and_then(|list| {
                let face = match &sealed.faces.household {
                    Household::Same => &sealed.faces.full,
                    Household::Other(face) => face,
                    Household::Nothing => return None,
                };
                let whole = reopen(&key, face, b"")?;
                let left = faces::projected(&whole, list)?;
                Some(faces::render(
                    &key,
                    &sealed.household,
                    &faces::plain(&left),
                    b"",
                ))
            });
            (sealed.household.clone(), shown)
        }
    };
    match body {
        Some(body) => Ok(Released {
            key,
            inside: None,
            patients: sealed.facts.patients.clone(),
            stamp,
            body: Bytes::from(body),
            why: basis,
        }),
        None => Err(Withheld {
            reasons: if basis.partial.is_empty() {
                vec![Reason::Household]
            } else {
                basis.partial
            },
        }),
    }
}

/// Who may not know what is withheld sees the times and versions of the household face, also where
/// an authorization opens the record further: searching by time and reading agree.
fn stamp<'s>(sealed: &'s Sealed, basis: &Basis) -> &'s Stamp {
    if basis.may_know {
        &sealed.full
    } else {
        &sealed.household
    }
}

fn full(
    sealed: &Sealed,
    key: &Key,
    basis: &mut Basis,
    case: &Case,
    settings: Settings,
    standing: &Standing,
) -> Option<Vec<u8>> {
    let barred = |part: &&Part| basis.takes_out(part.marks);
    let out: Vec<&Part> = sealed.faces.parts.iter().filter(barred).collect();
    let kept: Labels = sealed
        .faces
        .parts
        .iter()
        .filter(|part| !barred(part))
        .map(|part| part.marks.effective(basis.hits).0)
        .collect();
    let labels = sealed.facts.whole.effective(basis.hits).0.and(kept);
    let restricted = restricted(sealed, basis, case, settings, standing);
    if !restricted.is_empty() {
        basis.partial.push(Reason::MemberRestriction);
    } else if out.is_empty() {
        basis.partial.clear();
        let security = security(basis, labels, false);
        return Some(if basis.may_know {
            faces::render(key, &sealed.full, &sealed.faces.full, &security)
        } else {
            let whole = reopen(key, &sealed.faces.full, b"")?;
            faces::render(key, stamp(sealed, basis), &faces::plain(&whole), b"")
        });
    }
    let whole = reopen(key, &sealed.faces.full, &sealed.faces.incoming)?;
    let hidden: Vec<Part> = whole
        .found()
        .references
        .iter()
        .filter(|reference| {
            reference
                .target
                .local()
                .is_some_and(|key| restricted.contains(key))
        })
        .map(|reference| Part {
            path: reference.path.clone(),
            marks: crate::label::Marks::NONE,
            target: reference.target.local().cloned(),
        })
        .collect();
    let all: Vec<&Part> = out.into_iter().chain(&hidden).collect();
    let left = faces::without(&whole, &all)?;
    Some(if basis.may_know {
        faces::render(
            key,
            &sealed.full,
            &faces::full(&left),
            &security(basis, labels, true),
        )
    } else {
        faces::render(key, stamp(sealed, basis), &faces::plain(&left), b"")
    })
}

/// Records of the same patient that this one refers to and that the member's own restriction hides:
/// their references go. Who the patient is stays known.
fn restricted(
    sealed: &Sealed,
    basis: &Basis,
    case: &Case,
    settings: Settings,
    standing: &Standing,
) -> Vec<Key> {
    if basis.restrictions.is_empty() {
        return Vec::new();
    }
    let hides = |facts: &&Facts| {
        let mut facts = (*facts).clone();
        facts
            .patients
            .retain(|patient| sealed.facts.patients.contains(patient));
        if facts.patients.is_empty() || facts.key.kind.name() == "Patient" {
            return false;
        }
        match decide(case, settings, &facts, standing) {
            Decision::Withhold(withheld) => withheld.reasons.contains(&Reason::MemberRestriction),
            Decision::Release(_) => false,
        }
    };
    let hidden = sealed.targets.iter().filter(hides);
    hidden.map(|facts| facts.key.clone()).collect()
}

/// What `meta.security` says: the labels that the requester may know; that something was taken out
/// only to those who act under a duty to know it (treatment, a grant).
fn security(basis: &Basis, labels: Labels, redacted: bool) -> Vec<u8> {
    if !basis.may_know || basis.ground == Reason::Directory {
        return Vec::new();
    }
    let mut security = faces::security(labels);
    let told = matches!(
        basis.ground,
        Reason::Treatment | Reason::BreakGlass | Reason::Grant
    );
    if redacted && told {
        security.extend_from_slice(
            br#",{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED"}"#,
        );
    }
    security
}

/// A face as a resource again, in the canonical layout.
pub(super) fn reopen(key: &Key, face: &Face, incoming: &[u8]) -> Option<Resource> {
    let stamp = Stamp {
        version: "0".into(),
        updated: 0,
    };
    Resource::ours(faces::render(key, &stamp, face, incoming)).ok()
}

/// What a requester is shown, as a resource.
pub(super) fn reopen_shown(released: &Released) -> Option<Resource> {
    Resource::ours(released.body.clone()).ok()
}

/// Opens a stored body for the write path: to relabel it, or to find what it replaces. One of the
/// named doors.
pub fn amend(sealed: &Sealed) -> Result<Resource, Damaged> {
    reopen(
        &sealed.facts.key,
        &sealed.faces.full,
        &sealed.faces.incoming,
    )
    .ok_or(Damaged)
}
