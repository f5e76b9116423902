//! What one requester may see of one patient's records, as data: the same lanes are asked record by
//! record in `decide` and compiled to SQL in `store`, so that a rule is written once.
//!
//! A lane has one positive basis and the bars that stand in it; a record is visible when it fits a
//! lane and no bar of that lane meets it. Bars only deny, or are lifted by what names them.

use super::{
    Case, Role,
    kinds::{ADMINISTRATIVE, AUDITED, CLAIMS, STAFF, TRAIL},
    standing::{Authority, Settings, Towards},
};
use crate::{
    consent::{Asker, Category, Clause, Condition, Directive},
    fhir::{Interval, Key, Kinds},
    label::DIRECTORY,
    scope::{Actions, Context},
    statute::{
        Labels, Purpose, Reason,
        necessary::{LiftedBy, NECESSARY},
        projections::{PROJECTIONS, Seat},
    },
};

/// A way in which records of one patient may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The positive basis.
    pub ground: Reason,
    /// The types.
    pub kinds: Kinds,
    /// What stands against it.
    pub bars: Vec<Bar>,
    /// What the lane is narrowed to, with exceptions: an authorization gives exactly what it names.
    pub within: Option<Clause>,
    /// The service must lie in one of these; undated records only of the types that have no service.
    pub windows: Option<Vec<Interval>>,
    /// The member's restrictions that hold for this requester now.
    pub restrictions: Vec<Clause>,
    /// Which face it shows.
    pub face: FaceKind,
    /// Whether the requester may know that something is withheld, and the labels.
    pub may_know: bool,
}

/// The face of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceKind {
    /// The record, less the parts that a bar meets.
    Full,
    /// All labelled parts out, and only what the projection keeps.
    Household(Seat),
}

/// Something that denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Its reason code.
    pub reason: Reason,
    /// What it meets.
    pub on: On,
    /// For whom it does not stand.
    pub unless: Unless,
}

/// What a bar meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Any of these labels.
    Labels(Labels),
    /// Any of these among the protected labels.
    Protected(Labels),
    /// Every record of these types.
    Kinds(Kinds),
}

/// Who is exempt from a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unless {
    /// Nobody.
    Nobody,
    /// The record's author.
    Author,
    /// The organization that authored or served.
    Organization,
}

/// The lanes towards one patient, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    /// The most generous first.
    pub lanes: Vec<Lane>,
    /// Why there is none, where there is none.
    pub refusal: Reason,
    /// Names by which `Unless::Author` knows the requester.
    pub author: Option<Key>,
    /// The name by which `Unless::Organization` knows the requester.
    pub organization: Option<Key>,
}

/// The state whose law this is.
const STATE: &str = "CA";

/// The lanes of `case` towards one patient.
pub fn lanes(case: &Case, settings: Settings, names: &[Key], towards: &Towards) -> Lanes {
    let work = Work {
        case,
        settings,
        asker: Asker {
            names,
            purpose: case.purpose,
            at: case.at,
        },
        towards,
    };
    let (lanes, refusal) = match work.lanes() {
        Ok(lanes) if lanes.is_empty() => (lanes, Reason::NoRelation),
        Ok(lanes) => (lanes, Reason::NoRelation),
        Err(refusal) => (Vec::new(), refusal),
    };
    Lanes {
        lanes,
        refusal,
        author: case.requester.user.clone(),
        organization: case.requester.organization.clone(),
    }
}

/// The way in which `case` may see records that name no patient and stand in no directory: they are
/// the provider's and the staff's, and the bars of steps 1 and 2 stand all the same (a note that was
/// stored before the record that says whose it is).
pub fn nobody(case: &Case) -> Option<Lane> {
    let (ground, kinds) = match (case.purpose, case.requester.role) {
        (Purpose::Treat, Role::Provider) => (Reason::Treatment, Kinds::ALL.without(*TRAIL)),
        (Purpose::Etreat, Role::Provider) if case.break_glass.is_some() => {
            (Reason::BreakGlass, Kinds::ALL.without(*TRAIL))
        }
        (Purpose::Hoperat, Role::Staff) => (Reason::StaffFunction, Kinds::ALL.without(*TRAIL)),
        (Purpose::Hoperat, Role::PrivacyOffice) => (Reason::StaffFunction, Kinds::ALL),
        (Purpose::Hcompl, Role::Auditor) => (Reason::Audit, *TRAIL),
        _ => return None,
    };
    let mut bars = foreign_bars(case);
    bars.retain(|bar| ground != Reason::BreakGlass || bar.reason != Reason::Part2);
    Some(Lane {
        ground,
        kinds,
        bars,
        within: None,
        windows: None,
        restrictions: Vec::new(),
        face: FaceKind::Full,
        may_know: true,
    })
}

struct Work<'a> {
    case: &'a Case,
    settings: Settings,
    asker: Asker<'a>,
    towards: &'a Towards,
}

impl Work<'_> {
    fn lanes(&self) -> Result<Vec<Lane>, Reason> {
        let scopes = self.scopes();
        if scopes.is_empty() {
            return Err(Reason::Scope);
        }
        let mut lanes = self.by_relation()?;
        for lane in &mut lanes {
            lane.kinds = lane.kinds.both(scopes);
        }
        Ok(lanes)
    }

    /// The types that the token's scopes cover of this patient: a `patient/` scope reaches the
    /// patient in context and nobody else.
    fn scopes(&self) -> Kinds {
        let scopes = &self.case.scopes;
        let at = |context| {
            let read = scopes.kinds_at(context, Actions::READ);
            read.either(scopes.kinds_at(context, Actions::SEARCH))
        };
        let all = at(Context::User).either(at(Context::System));
        if self.case.patient.as_ref() == Some(&self.towards.patient.id) {
            all.either(at(Context::Patient))
        } else {
            all
        }
    }

    fn by_relation(&self) -> Result<Vec<Lane>, Reason> {
        let role = self.case.requester.role;
        if role != Role::App && self.towards.covered_together && !self.breaks_glass() {
            return Err(Reason::OwnCoverage);
        }
        match (self.case.purpose, role) {
            (Purpose::Patrqt, Role::App) => self.own(),
            (Purpose::Pwatrny, Role::App) => self.representative(),
            (Purpose::Coverage, Role::App) => self.household(),
            (Purpose::Famrqt | Purpose::Supnwk, Role::App) => self.authorized_only(),
            (Purpose::Treat | Purpose::Etreat, Role::Provider) => self.provider(),
            (Purpose::Coc | Purpose::Hdm | Purpose::Hqualimp | Purpose::Perfmsr, Role::Plan) => {
                self.plan()
            }
            (Purpose::Hcompl, Role::Auditor) => Ok(vec![self.function(Reason::Audit, *AUDITED)]),
            (Purpose::Hoperat, Role::Staff | Role::PrivacyOffice) => Ok(vec![
                self.function(Reason::StaffFunction, STAFF.either(*AUDITED)),
            ]),
            _ => Err(Reason::Purpose),
        }
    }

    fn breaks_glass(&self) -> bool {
        self.case.purpose == Purpose::Etreat && self.case.break_glass.is_some()
    }

    fn lane(&self, ground: Reason, kinds: Kinds, bars: Vec<Bar>) -> Lane {
        Lane {
            ground,
            kinds,
            bars,
            within: None,
            windows: None,
            restrictions: self.restrictions(),
            face: FaceKind::Full,
            may_know: true,
        }
    }

    fn own(&self) -> Result<Vec<Lane>, Reason> {
        if !self.towards.is_member {
            return Err(Reason::NoRelation);
        }
        let bars = vec![labels(Reason::NoteNotReleased, Labels::NOTE_UNRELEASED)];
        Ok(vec![Lane {
            restrictions: Vec::new(),
            ..self.lane(Reason::OwnRecord, Kinds::ALL, bars)
        }])
    }

    fn representative(&self) -> Result<Vec<Lane>, Reason> {
        let Some(authority) = self.towards.authority else {
            return Err(Reason::NoRelation);
        };
        if authority.ends_at_majority() && !self.towards.minor {
            return Err(Reason::NoRelation);
        }
        let mut bars = self.foreign_bars();
        let mut kinds = Kinds::ALL;
        if self.towards.minor {
            kinds = kinds.without(*ADMINISTRATIVE);
            bars.push(Bar {
                on: On::Protected(Labels::ALL),
                ..labels(Reason::MinorConsent, Labels::NONE)
            });
        }
        if self.towards.suspected {
            bars.push(everything(Reason::SuspectedAbuse));
        }
        if self.towards.removed_from_custody && authority == Authority::Parent {
            bars.push(labels(Reason::RemovedFromCustody, Labels::MENTAL_HEALTH));
        }
        let base = self.lane(Reason::Representation, kinds, bars);
        Ok(self.with_authorizations(base, false))
    }

    fn household(&self) -> Result<Vec<Lane>, Reason> {
        let Some(seat) = self.towards.seat else {
            return self.authorized_only();
        };
        let bars = self.household_bars();
        let kinds = PROJECTIONS.kinds(seat, self.settings.household);
        let base = Lane {
            face: FaceKind::Household(seat),
            may_know: false,
            ..self.lane(Reason::BenefitView, kinds, bars)
        };
        Ok(self.with_authorizations(base, false))
    }

    /// Steps 1, 2 and 5. Who sits on the policy does not get around a confidential communications
    /// request by stating another purpose.
    fn household_bars(&self) -> Vec<Bar> {
        let mut bars = self.foreign_bars();
        bars.push(labels(Reason::Household, Labels::ALL));
        if self.towards.seat.is_some()
            && self.has_directive(Category::ConfidentialCommunicationsRequest)
        {
            bars.push(Bar {
                on: On::Kinds(*CLAIMS),
                ..everything(Reason::ConfidentialCommunications)
            });
        }
        bars
    }

    /// Whom only an authorization lets in: the lanes that authorizations give, and no other.
    fn authorized_only(&self) -> Result<Vec<Lane>, Reason> {
        let bars = self.household_bars();
        let base = Lane {
            may_know: false,
            ..self.lane(Reason::AuthorizedBy, Kinds::NONE, bars)
        };
        let mut lanes = self.with_authorizations(base, false);
        lanes.retain(|lane| lane.within.is_some());
        if lanes.is_empty() {
            Err(Reason::NoRelation)
        } else {
            Ok(lanes)
        }
    }

    fn provider(&self) -> Result<Vec<Lane>, Reason> {
        if self.settings.by_organization && !self.towards.in_facility {
            return Err(Reason::NoRelation);
        }
        if self.case.purpose == Purpose::Etreat && self.case.break_glass.is_none() {
            return Err(Reason::Purpose);
        }
        let mut bars = self.foreign_bars();
        let ground = if self.breaks_glass() {
            bars.retain(|bar| bar.reason != Reason::Part2);
            Reason::BreakGlass
        } else {
            Reason::Treatment
        };
        let mut base = self.lane(ground, Kinds::ALL, bars);
        if self.breaks_glass() {
            base.restrictions = Vec::new();
        }
        Ok(self.with_authorizations(base, true))
    }

    fn plan(&self) -> Result<Vec<Lane>, Reason> {
        let granted = self
            .towards
            .grants
            .iter()
            .filter(|grant| grant.period.holds(self.case.at))
            .filter(|grant| grant.purposes.contains(&self.case.purpose))
            .fold(Kinds::NONE, |kinds, grant| kinds.either(grant.kinds));
        if granted.is_empty() || self.towards.covered.is_empty() {
            return Err(Reason::NoGrant);
        }
        let mut bars = self.foreign_bars();
        bars.push(labels(
            Reason::SelfPaid,
            NECESSARY.never.both(Labels::SELF_PAID),
        ));
        for (label, lifted_by) in &NECESSARY.needs {
            let on_file = *lifted_by == LiftedBy::PsychotherapyInformationRequest
                && self.towards.psychotherapy_request;
            if let (false, Some(reason)) = (on_file, needed(*label)) {
                bars.push(labels(reason, *label));
            }
        }
        let base = Lane {
            windows: Some(self.towards.covered.clone()),
            ..self.lane(
                Reason::Grant,
                NECESSARY.kinds(self.case.purpose).both(granted),
                bars,
            )
        };
        Ok(self.with_authorizations(base, true))
    }

    fn function(&self, ground: Reason, kinds: Kinds) -> Lane {
        Lane {
            restrictions: Vec::new(),
            ..self.lane(ground, kinds, self.foreign_bars())
        }
    }

    fn foreign_bars(&self) -> Vec<Bar> {
        foreign_bars(self.case)
    }

    fn in_force(&self) -> impl Iterator<Item = &Directive> {
        self.towards
            .directives
            .iter()
            .filter(|directive| directive.period.holds(self.case.at))
    }

    fn has_directive(&self, category: Category) -> bool {
        self.in_force()
            .any(|directive| directive.category == category)
    }

    /// The member's denials that concern this requester now.
    fn restrictions(&self) -> Vec<Clause> {
        let treats = matches!(self.case.purpose, Purpose::Treat | Purpose::Etreat);
        self.in_force()
            .filter(|directive| !(directive.category == Category::InReview && treats))
            .flat_map(|directive| &directive.denies)
            .filter(|clause| clause.on.concerns(self.asker))
            .map(|clause| Clause {
                on: clause.on.clone(),
                except: self.concerning(&clause.except),
            })
            .collect()
    }

    fn concerning(&self, conditions: &[Condition]) -> Vec<Condition> {
        conditions
            .iter()
            .filter(|condition| condition.concerns(self.asker))
            .cloned()
            .collect()
    }

    /// `base`, and before it a lane for each permission that concerns this requester: with the bars
    /// lifted that it names. A `standing` basis (treatment, a grant) keeps its own types and window;
    /// otherwise the permission itself is the basis.
    fn with_authorizations(&self, base: Lane, standing: bool) -> Vec<Lane> {
        let mut lanes = Vec::new();
        for directive in self.in_force() {
            let named_only = matches!(
                directive.category,
                Category::Authorization | Category::Part2Consent
            );
            for clause in directive.permits.iter().filter(|_| named_only) {
                if clause.on.actors.is_none() || !clause.on.concerns(self.asker) {
                    continue;
                }
                lanes.push(self.authorized(&base, directive.category, clause, standing));
            }
        }
        lanes.push(base);
        lanes
    }

    fn authorized(&self, base: &Lane, category: Category, clause: &Clause, standing: bool) -> Lane {
        let bars = base
            .bars
            .iter()
            .filter_map(|bar| lifted(*bar, category, clause.on.labels))
            .collect();
        let mut on = clause.on.clone();
        if category == Category::Part2Consent && !standing {
            // It names Part 2 records: by itself it opens no others.
            on.labels = on.labels.or(Some(Labels::PART2));
        }
        let (ground, kinds) = if standing {
            (base.ground, base.kinds)
        } else {
            let all = Kinds::ALL.without(*ADMINISTRATIVE).without(*DIRECTORY);
            (Reason::AuthorizedBy, clause.on.kinds.unwrap_or(all))
        };
        Lane {
            ground,
            kinds,
            bars,
            within: Some(Clause {
                on,
                except: self.concerning(&clause.except),
            }),
            face: FaceKind::Full,
            ..base.clone()
        }
    }
}

/// The bars of steps 1 and 2 for everyone but the member.
fn foreign_bars(case: &Case) -> Vec<Bar> {
    let treats = matches!(case.purpose, Purpose::Treat | Purpose::Etreat);
    let mut bars = vec![
        Bar {
            unless: if treats {
                Unless::Author
            } else {
                Unless::Nobody
            },
            ..labels(Reason::PsychotherapyNote, Labels::PSYCHOTHERAPY_NOTE)
        },
        Bar {
            unless: if treats {
                Unless::Organization
            } else {
                Unless::Nobody
            },
            ..labels(Reason::Part2, Labels::PART2)
        },
    ];
    if case.requester.state.as_deref() != Some(STATE) {
        for row in &NECESSARY.out_of_state {
            if !row.except.contains(&case.purpose) {
                bars.push(labels(out_of_state(row.labels), row.labels));
            }
        }
    }
    bars
}

/// What is left of a bar once a permission names `named` (all that needs no naming, where `None`);
/// `None` where nothing is.
fn lifted(bar: Bar, category: Category, named: Option<Labels>) -> Option<Bar> {
    let by = match bar.reason {
        Reason::Part2 => Category::Part2Consent,
        Reason::SelfPaid
        | Reason::SuspectedAbuse
        | Reason::RemovedFromCustody
        | Reason::ConfidentialCommunications
        | Reason::OwnCoverage => return Some(bar),
        _ => Category::Authorization,
    };
    if by != category {
        return Some(bar);
    }
    let special = Labels::PSYCHOTHERAPY_NOTE
        .and(Labels::NOTE_UNRELEASED)
        .and(Labels::PART2);
    let named = match (bar.reason, named) {
        // A Part 2 consent names Part 2 records whatever else it says.
        (Reason::Part2, _) => Labels::PART2,
        // A record of a class carries the broader ones beside it; whether the note is released to the
        // member says nothing about whom the member names.
        (_, Some(named)) => named.with_broader(),
        // What may not leave the state needs to be named as such (Civ. 56.110(a)(1)).
        (
            Reason::OutOfStateAbortion
            | Reason::OutOfStateGenderAffirming
            | Reason::OutOfStateContraception,
            None,
        ) => Labels::NONE,
        (_, None) => Labels::ALL.without(special),
    };
    let on = match bar.on {
        On::Labels(mask) => On::Labels(mask.without(named)),
        On::Protected(mask) => On::Protected(mask.without(named)),
        On::Kinds(kinds) => On::Kinds(kinds),
    };
    match on {
        On::Labels(mask) | On::Protected(mask) if mask.is_none() => None,
        on => Some(Bar { on, ..bar }),
    }
}

fn labels(reason: Reason, mask: Labels) -> Bar {
    Bar {
        reason,
        on: On::Labels(mask),
        unless: Unless::Nobody,
    }
}

fn everything(reason: Reason) -> Bar {
    Bar {
        reason,
        on: On::Kinds(Kinds::ALL),
        unless: Unless::Nobody,
    }
}

fn needed(label: Labels) -> Option<Reason> {
    Some(match label {
        Labels::HIV_TEST_RESULT => Reason::HivTestResult,
        Labels::OUTPATIENT_PSYCHOTHERAPY => Reason::OutpatientPsychotherapy,
        Labels::LPS => Reason::Lps,
        Labels::GENETIC => Reason::Genetic,
        // Part 2 binds everyone outside the program, not only the plan.
        Labels::PART2 => return None,
        _ => Reason::MinimumNecessary,
    })
}

fn out_of_state(label: Labels) -> Reason {
    match label {
        Labels::ABORTION => Reason::OutOfStateAbortion,
        Labels::GENDER_AFFIRMING => Reason::OutOfStateGenderAffirming,
        _ => Reason::OutOfStateContraception,
    }
}
