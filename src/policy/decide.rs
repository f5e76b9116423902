//! The decision: a total function of its arguments, time included.

use super::{
    Case, Role,
    facts::Facts,
    kinds::UNDATED,
    lanes::{self, Bar, FaceKind, Lane, Lanes, On, Unless},
    standing::{Settings, Standing},
};
use crate::{
    consent::{Asked, Clause, Condition},
    fhir::Key,
    label::{DIRECTORY, Marks},
    scope::Actions,
    statute::{Labels, Reason},
};

/// What was decided of one record for one requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may be shown, in this way.
    Release(Basis),
    /// It does not exist for this requester.
    Withhold(Withheld),
}

/// How a record may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The positive basis.
    pub ground: Reason,
    /// Which face.
    pub face: FaceKind,
    /// Per patient, what each way of seeing the record takes out of it.
    pub cuts: Vec<Vec<Cut>>,
    /// Classes with a current hit: they make conditional labels count.
    pub hits: Labels,
    /// Restrictions that hidden targets of references are tested with.
    pub restrictions: Vec<Clause>,
    /// Whether the requester may know labels, and that something was taken out.
    pub may_know: bool,
    /// Why parts go, where some do.
    pub partial: Vec<Reason>,
}

/// What one way of seeing a record takes out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Parts that reveal any of these go.
    pub labels: Labels,
    /// Parts whose protected labels meet these go.
    pub protected: Labels,
    /// The patient's classes with a current hit.
    pub hits: Labels,
}

impl Cut {
    /// Whether a part with these marks goes.
    pub fn takes(&self, marks: Marks) -> bool {
        let (labels, protected) = marks.effective(self.hits);
        labels.meets(self.labels) || protected.meets(self.protected)
    }
}

impl Basis {
    /// Whether a part with these marks goes: towards some patient, no way shows it.
    pub fn takes_out(&self, marks: Marks) -> bool {
        let hidden = |ways: &Vec<Cut>| ways.iter().all(|cut| cut.takes(marks));
        self.cuts.iter().any(hidden)
    }
}

/// Why a record is withheld.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Every reason that stood, in the order of the steps.
    pub reasons: Vec<Reason>,
}

impl Withheld {
    /// The first reason that stood: the deciding one.
    pub fn reason(&self) -> Reason {
        self.reasons.first().copied().unwrap_or(Reason::NoRelation)
    }
}

impl Decision {
    /// The deciding reason: the basis, or the first bar.
    pub fn reason(&self) -> Reason {
        match self {
            Decision::Release(basis) => basis.ground,
            Decision::Withhold(withheld) => withheld.reason(),
        }
    }

    fn withhold(reason: Reason) -> Decision {
        Decision::Withhold(Withheld {
            reasons: vec![reason],
        })
    }
}

/// Decides whether, and how, `case` may see the record of these facts.
pub fn decide(case: &Case, settings: Settings, facts: &Facts, standing: &Standing) -> Decision {
    let scopes = case
        .scopes
        .kinds(Actions::READ)
        .either(case.scopes.kinds(Actions::SEARCH));
    let decision = if facts.patients.is_empty() {
        of_nobody(case, facts, standing)
    } else {
        facts
            .patients
            .iter()
            .map(|patient| match standing.towards(patient) {
                Some(towards) => {
                    let lanes = lanes::lanes(case, settings, &standing.names, towards);
                    towards_one(facts, &lanes, towards.hits, towards.tightening)
                }
                None => Decision::withhold(Reason::NoRelation),
            })
            .reduce(both)
            .unwrap_or_else(|| Decision::withhold(Reason::NoRelation))
    };
    match decision {
        Decision::Release(_) if !scopes.has(facts.key.kind) => Decision::withhold(Reason::Scope),
        decision => decision,
    }
}

/// Each patient's permission is needed; the way that shows less is taken.
fn both(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::Release(one), Decision::Release(other)) => {
            let household = matches!(one.face, FaceKind::Household(_));
            let (mut base, rest) = if household {
                (one, other)
            } else {
                (other, one)
            };
            base.cuts.extend(rest.cuts);
            base.hits = base.hits.and(rest.hits);
            base.may_know &= rest.may_know;
            base.partial.extend(rest.partial);
            base.restrictions.extend(rest.restrictions);
            Decision::Release(base)
        }
        (Decision::Withhold(one), Decision::Withhold(other)) => {
            let mut reasons = one.reasons;
            reasons.extend(other.reasons);
            reasons.sort();
            reasons.dedup();
            Decision::Withhold(Withheld { reasons })
        }
        (withheld @ Decision::Withhold(_), _) | (_, withheld) => withheld,
    }
}

/// A record that names no patient.
fn of_nobody(case: &Case, facts: &Facts, standing: &Standing) -> Decision {
    let ground = if DIRECTORY.has(facts.key.kind) {
        Reason::Directory
    } else if standing.groups.contains(&facts.key) {
        Reason::Grant
    } else {
        let lanes = Lanes {
            lanes: lanes::nobody(case).into_iter().collect(),
            refusal: Reason::NoRelation,
            author: case.requester.user.clone(),
            organization: case.requester.organization.clone(),
        };
        return towards_one(facts, &lanes, Labels::ALL, Labels::NONE);
    };
    Decision::Release(Basis {
        ground,
        face: FaceKind::Full,
        cuts: Vec::new(),
        hits: Labels::ALL,
        restrictions: Vec::new(),
        may_know: case.requester.role != Role::App,
        partial: Vec::new(),
    })
}

/// A record is shown when it fits a lane; its parts, when some lane that it fits shows them.
fn towards_one(facts: &Facts, lanes: &Lanes, hits: Labels, tightening: Labels) -> Decision {
    let mut reasons = Vec::new();
    let mut shown: Option<Basis> = None;
    for lane in &lanes.lanes {
        let stood = against(lane, lanes, facts, hits, tightening);
        if !stood.is_empty() {
            reasons.extend(stood);
            continue;
        }
        let next = basis(lane, lanes, facts, hits);
        match &mut shown {
            None => shown = Some(next),
            Some(basis) => {
                if let Some(ways) = basis.cuts.first_mut() {
                    ways.extend(next.cuts.into_iter().flatten());
                }
                if next.partial.is_empty() {
                    basis.partial.clear();
                }
            }
        }
    }
    if let Some(basis) = shown {
        return Decision::Release(basis);
    }
    if reasons.is_empty() {
        reasons.push(lanes.refusal);
    }
    reasons.sort();
    reasons.dedup();
    Decision::Withhold(Withheld { reasons })
}

/// Everything in `lane` that stands against the record as a whole.
fn against(
    lane: &Lane,
    lanes: &Lanes,
    facts: &Facts,
    hits: Labels,
    tightening: Labels,
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let (labels, protected) = facts.whole.effective(hits);
    let (labels, protected) = (labels.and(tightening), protected.and(tightening));
    for bar in &lane.bars {
        if exempt(bar, lanes, facts) {
            continue;
        }
        let meets = match bar.on {
            On::Labels(mask) => labels.meets(mask),
            On::Protected(mask) => protected.meets(mask),
            On::Kinds(kinds) => kinds.has(facts.key.kind),
        };
        if meets {
            reasons.push(match bar.reason {
                Reason::MinorConsent if facts.whole.review => Reason::HoldReview,
                reason => reason,
            });
        }
    }
    let asked = asked(&facts.key, labels.and(facts.parts.effective(hits).0), facts);
    if lane
        .restrictions
        .iter()
        .any(|clause| restricts(clause, asked))
    {
        reasons.push(Reason::MemberRestriction);
    }
    if !lane.kinds.has(facts.key.kind) {
        reasons.push(match lane.ground {
            Reason::Grant => Reason::MinimumNecessary,
            Reason::BenefitView => Reason::BeyondBenefitView,
            _ => Reason::NoRelation,
        });
    }
    if !within(lane, asked) {
        reasons.push(match lane.ground {
            Reason::Grant => Reason::MinimumNecessary,
            _ => Reason::NoRelation,
        });
    }
    reasons
}

fn asked<'f>(key: &'f Key, labels: Labels, facts: &'f Facts) -> Asked<'f> {
    Asked {
        key,
        labels,
        serviced: facts.serviced,
    }
}

fn exempt(bar: &Bar, lanes: &Lanes, facts: &Facts) -> bool {
    match bar.unless {
        Unless::Nobody => false,
        Unless::Author => lanes.author.is_some() && lanes.author == facts.author,
        Unless::Organization => {
            lanes.organization.is_some() && lanes.organization == facts.organization
        }
    }
}

/// Whether a denial covers the record; an undated one is covered.
fn restricts(clause: &Clause, record: Asked<'_>) -> bool {
    clause.on.covers(record, true)
        && !clause
            .except
            .iter()
            .any(|except| except.covers(record, false))
}

/// Whether the record lies in what the lane is narrowed to; an undated one does not.
fn within(lane: &Lane, record: Asked<'_>) -> bool {
    let named = lane.within.as_ref().is_none_or(|clause| {
        let excepted = |condition: &Condition| condition.covers(record, true);
        clause.on.covers(record, false) && !clause.except.iter().any(excepted)
    });
    let in_window = lane.windows.as_ref().is_none_or(|windows| {
        UNDATED.has(record.key.kind)
            || record.serviced.is_some_and(|serviced| {
                windows.iter().any(|window| window.both(serviced).is_some())
            })
    });
    named && in_window
}

fn basis(lane: &Lane, lanes: &Lanes, facts: &Facts, hits: Labels) -> Basis {
    let mut cut = Cut {
        labels: Labels::NONE,
        protected: Labels::NONE,
        hits,
    };
    let mut partial = Vec::new();
    let (labels, protected) = facts.parts.effective(hits);
    for bar in lane.bars.iter().filter(|bar| !exempt(bar, lanes, facts)) {
        let meets = match bar.on {
            On::Labels(mask) => {
                cut.labels = cut.labels.and(mask);
                labels.meets(mask)
            }
            On::Protected(mask) => {
                cut.protected = cut.protected.and(mask);
                protected.meets(mask)
            }
            On::Kinds(_) => false,
        };
        if meets {
            partial.push(bar.reason);
        }
    }
    Basis {
        ground: lane.ground,
        face: lane.face,
        cuts: vec![vec![cut]],
        hits,
        restrictions: lane.restrictions.clone(),
        may_know: lane.may_know,
        partial,
    }
}
