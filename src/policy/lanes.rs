//! What one requester may see of one patient's records, as data: the same lanes are asked record by
//! record in `decide` and compiled to SQL in `store`, so that a rule is written once.
//!
//! A lane has one positive basis and the bars that stand in it; a record is visible when it fits a
//! lane and no bar of that lane meets it. Bars only deny, or are lifted by what names them.

use super::{
    Case, Role,
    standing::{Authority, Settings, Towards},
};
use crate::{
    consent::{Asker, Category, Clause, Condition, Directive},
    fhir::{Interval, Key, Kinds},
    label::DIRECTORY,
    statute::{
        Labels, Purpose, Reason,
        necessary::{LiftedBy, NECESSARY},
        projections::{PROJECTIONS, Seat},
    },
};
use std::sync::LazyLock;

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

/// Types that tell of requests, restrictions and suspicions: never the household's, nor a
/// representative's of a minor (SEMANTICS section 9).
static ADMINISTRATIVE: LazyLock<Kinds> =
    LazyLock::new(|| Kinds::of(&["Consent", "Task", "Flag", "Provenance", "AuditEvent"]));

/// Types that a confidential communications request hides from the household.
static CLAIMS: LazyLock<Kinds> = LazyLock::new(|| {
    Kinds::of(&[
        "Claim",
        "ClaimResponse",
        "ExplanationOfBenefit",
        "Invoice",
        "Account",
        "ChargeItem",
        "PaymentNotice",
        "PaymentReconciliation",
        "Communication",
        "CommunicationRequest",
        "CoverageEligibilityRequest",
        "CoverageEligibilityResponse",
    ])
});

static AUDITED: LazyLock<Kinds> =
    LazyLock::new(|| Kinds::of(&["Consent", "AuditEvent", "Provenance"]));

static STAFF: LazyLock<Kinds> = LazyLock::new(|| {
    Kinds::of(&[
        "Patient",
        "RelatedPerson",
        "Coverage",
        "Consent",
        "Task",
        "Communication",
        "CommunicationRequest",
        "Flag",
        "Group",
        "Person",
    ])
});

/// Types without a service of their own: a window does not ask for their date.
pub static UNDATED: LazyLock<Kinds> =
    LazyLock::new(|| Kinds::of(&["Patient", "Coverage", "RelatedPerson", "Group", "CareTeam"]));

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

struct Work<'a> {
    case: &'a Case,
    settings: Settings,
    asker: Asker<'a>,
    towards: &'a Towards,
}

impl Work<'_> {
    fn lanes(&self) -> Result<Vec<Lane>, Reason> {
        let other_patient = self
            .case
            .patient
            .as_ref()
            .is_some_and(|id| *id != self.towards.patient.id);
        if other_patient && self.case.scopes.patient_only() {
            return Err(Reason::Scope);
        }
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
        let mut bars = self.foreign_bars();
        bars.push(labels(Reason::Household, Labels::ALL));
        if self.has_directive(Category::ConfidentialCommunicationsRequest) {
            bars.push(Bar {
                on: On::Kinds(*CLAIMS),
                ..everything(Reason::ConfidentialCommunications)
            });
        }
        let kinds = PROJECTIONS.kinds(seat, self.settings.household);
        let base = Lane {
            face: FaceKind::Household(seat),
            may_know: false,
            ..self.lane(Reason::BenefitView, kinds, bars)
        };
        Ok(self.with_authorizations(base, false))
    }

    /// Whom only an authorization lets in: the lanes that authorizations give, and no other.
    fn authorized_only(&self) -> Result<Vec<Lane>, Reason> {
        let mut bars = self.foreign_bars();
        bars.push(labels(Reason::Household, Labels::ALL));
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
        let granted = self.towards.grants.iter().any(|grant| {
            grant.period.holds(self.case.at) && grant.purposes.contains(&self.case.purpose)
        });
        if !granted || self.towards.covered.is_empty() {
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
            ..self.lane(Reason::Grant, NECESSARY.kinds(self.case.purpose), bars)
        };
        Ok(self.with_authorizations(base, true))
    }

    fn function(&self, ground: Reason, kinds: Kinds) -> Lane {
        Lane {
            restrictions: Vec::new(),
            ..self.lane(
                ground,
                kinds,
                vec![labels(
                    Reason::PsychotherapyNote,
                    Labels::PSYCHOTHERAPY_NOTE,
                )],
            )
        }
    }

    /// The bars of steps 1 and 2 for everyone but the member.
    fn foreign_bars(&self) -> Vec<Bar> {
        let treats = matches!(self.case.purpose, Purpose::Treat | Purpose::Etreat);
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
        if self.case.requester.state.as_deref() != Some(STATE) {
            for row in &NECESSARY.out_of_state {
                if !row.except.contains(&self.case.purpose) {
                    bars.push(labels(out_of_state(row.labels), row.labels));
                }
            }
        }
        bars
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
        let special = Labels::PSYCHOTHERAPY_NOTE
            .and(Labels::NOTE_UNRELEASED)
            .and(Labels::PART2);
        let named = clause.on.labels.unwrap_or(Labels::ALL.without(special));
        let bars = base
            .bars
            .iter()
            .filter_map(|bar| lifted(*bar, category, named))
            .collect();
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
                on: clause.on.clone(),
                except: self.concerning(&clause.except),
            }),
            face: FaceKind::Full,
            ..base.clone()
        }
    }
}

/// What is left of a bar once a permission names `named`; `None` where nothing is.
fn lifted(bar: Bar, category: Category, named: Labels) -> Option<Bar> {
    let may_lift = match bar.reason {
        Reason::Part2 => category == Category::Part2Consent,
        Reason::SelfPaid
        | Reason::SuspectedAbuse
        | Reason::RemovedFromCustody
        | Reason::ConfidentialCommunications
        | Reason::OwnCoverage => false,
        // A psychotherapy note and what may not leave the state need to be named as such.
        _ => category == Category::Authorization,
    };
    // A Part 2 consent names Part 2 records whatever else it says.
    let named = if category == Category::Part2Consent {
        Labels::PART2
    } else {
        named
    };
    if !may_lift {
        return Some(bar);
    }
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
