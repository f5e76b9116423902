//! The oracle: SEMANTICS.md section 4 step by step, asked of one label at a time.

use super::world::{NOW, World};
use confide::{
    consent::{Asked, Asker, Category, Clause, Directive},
    fhir::Kinds,
    label::{DIRECTORY, Marks},
    policy::{Authority, Case, Facts, Role, Settings, Standing, Towards},
    scope::{Actions, Context},
    statute::{
        Labels, Purpose,
        necessary::NECESSARY,
        projections::{PROJECTIONS, Seat},
    },
};

/// Who the requester is to the patient (SEMANTICS section 1).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Relation {
    Member,
    Representative,
    Household(Seat),
    /// Nobody but whom a valid authorization names.
    Stranger,
    Provider,
    Plan,
    Auditor,
    Staff,
}

/// One patient's side of the question.
struct Question<'a> {
    case: &'a Case,
    settings: Settings,
    facts: &'a Facts,
    standing: &'a Standing,
    towards: &'a Towards,
    relation: Relation,
}

/// A way to see a record: by the relation itself, or by one written permission. Permissions are not
/// combined: two authorizations of which a record needs both do not open it (a simplification of
/// `decide`, on the safe side).
type Permit<'a> = Option<(Category, &'a Clause)>;

fn relation(case: &Case, settings: Settings, towards: &Towards) -> Option<Relation> {
    let emergency = case.purpose == Purpose::Etreat && case.break_glass.is_some();
    if case.requester.role != Role::App && towards.covered_together && !emergency {
        return None;
    }
    match case.requester.role {
        Role::App => match case.purpose {
            Purpose::Patrqt => towards.is_member.then_some(Relation::Member),
            Purpose::Pwatrny => match towards.authority? {
                Authority::Parent | Authority::Guardian if !towards.minor => None,
                _ => Some(Relation::Representative),
            },
            Purpose::Coverage => Some(towards.seat.map_or(Relation::Stranger, Relation::Household)),
            Purpose::Famrqt | Purpose::Supnwk => Some(Relation::Stranger),
            _ => None,
        },
        Role::Provider => match case.purpose {
            _ if settings.by_organization && !towards.in_facility => None,
            Purpose::Treat => Some(Relation::Provider),
            Purpose::Etreat => emergency.then_some(Relation::Provider),
            _ => None,
        },
        Role::Plan => {
            let purposes = [
                Purpose::Coc,
                Purpose::Hdm,
                Purpose::Hqualimp,
                Purpose::Perfmsr,
            ];
            let granted = towards.grants.iter().any(|grant| {
                grant.purposes.contains(&case.purpose)
                    && grant.period.start <= case.at
                    && case.at <= grant.period.end
            });
            (purposes.contains(&case.purpose) && granted && !towards.covered.is_empty())
                .then_some(Relation::Plan)
        }
        Role::Auditor => (case.purpose == Purpose::Hcompl).then_some(Relation::Auditor),
        Role::Staff | Role::PrivacyOffice => {
            (case.purpose == Purpose::Hoperat).then_some(Relation::Staff)
        }
        Role::Operator => None,
    }
}

impl Question<'_> {
    fn treats(&self) -> bool {
        matches!(self.case.purpose, Purpose::Treat | Purpose::Etreat)
    }

    fn emergency(&self) -> bool {
        self.case.purpose == Purpose::Etreat && self.case.break_glass.is_some()
    }

    /// Steps 1, 2 and 5 for one label.
    fn label_barred(&self, label: Labels, permit: Permit) -> bool {
        if self.relation == Relation::Member {
            return label == Labels::NOTE_UNRELEASED;
        }
        let own = |mine: &Option<_>, its: &Option<_>| mine.is_some() && mine == its;
        let requester = &self.case.requester;
        let here = requester.state.as_deref() == Some("CA");
        let plan = self.relation == Relation::Plan;
        let measures = [Purpose::Hdm, Purpose::Hqualimp, Purpose::Perfmsr];
        let first = match label {
            Labels::PSYCHOTHERAPY_NOTE => {
                let originator = self.treats() && own(&requester.user, &self.facts.author);
                !originator && !names(permit, label, false)
            }
            Labels::SELF_PAID => plan,
            Labels::ABORTION => {
                !here && !measures.contains(&self.case.purpose) && !names(permit, label, false)
            }
            Labels::GENDER_AFFIRMING | Labels::CONTRACEPTION => {
                !here && !names(permit, label, false)
            }
            _ => false,
        };
        let second = match label {
            Labels::HIV_TEST_RESULT | Labels::LPS | Labels::GENETIC => {
                plan && !names(permit, label, true)
            }
            Labels::OUTPATIENT_PSYCHOTHERAPY => {
                plan && !self.towards.psychotherapy_request && !names(permit, label, true)
            }
            Labels::PART2 => {
                let program =
                    self.treats() && own(&requester.organization, &self.facts.organization);
                let consented = permit.is_some_and(|(c, _)| c == Category::Part2Consent);
                !program && !consented && !self.emergency()
            }
            _ => false,
        };
        let fourth = self.relation == Relation::Representative
            && label == Labels::MENTAL_HEALTH
            && self.towards.removed_from_custody
            && self.towards.authority == Some(Authority::Parent);
        let household = matches!(self.relation, Relation::Household(_) | Relation::Stranger);
        let fifth = household && !names(permit, label, true);
        first || second || fourth || fifth
    }

    /// Step 4 for one protected label: what the minor could have consented to.
    fn protected_barred(&self, label: Labels, permit: Permit) -> bool {
        self.relation == Relation::Representative
            && self.towards.minor
            && !names(permit, label, true)
    }

    fn shows(&self, marks: (Labels, Labels), permit: Permit) -> bool {
        let bits = || Labels::BITS.iter().map(|bit| bit.labels);
        let (labels, protected) = marks;
        bits().all(|bit| {
            !(labels.holds(bit) && self.label_barred(bit, permit))
                && !(protected.holds(bit) && self.protected_barred(bit, permit))
        })
    }

    /// Bars that meet a record whatever its labels, and the positive basis.
    fn opens(&self, permit: Permit) -> bool {
        let kind = self.facts.key.kind.name();
        let administrative = ["Consent", "Task", "Flag", "Provenance", "AuditEvent"];
        let claims = [
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
        ];
        let in_force = |directive: &&Directive| directive.period.holds(NOW);
        let mut directives = self.towards.directives.iter().filter(in_force);
        let redirected =
            directives.any(|d| d.category == Category::ConfidentialCommunicationsRequest);
        if self.relation == Relation::Representative && self.towards.suspected {
            return false;
        }
        let sits = self.towards.seat.is_some();
        let household = matches!(self.relation, Relation::Household(_) | Relation::Stranger);
        if household && sits && redirected && claims.contains(&kind) {
            return false;
        }
        let by_relation: Kinds = match self.relation {
            Relation::Member | Relation::Provider => Kinds::ALL,
            Relation::Representative if self.towards.minor => {
                Kinds::ALL.without(Kinds::of(&administrative))
            }
            Relation::Representative => Kinds::ALL,
            Relation::Household(seat) => PROJECTIONS.kinds(seat, self.settings.household),
            Relation::Stranger => Kinds::NONE,
            Relation::Plan => NECESSARY.kinds(self.case.purpose),
            Relation::Auditor => Kinds::of(&["Consent", "AuditEvent", "Provenance"]),
            Relation::Staff => Kinds::of(&[
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
                "AuditEvent",
                "Provenance",
            ]),
        };
        if self.relation == Relation::Plan && !self.was_covered() {
            return false;
        }
        let keeps_its_own = matches!(self.relation, Relation::Provider | Relation::Plan);
        match permit {
            None => by_relation.has(self.facts.key.kind),
            Some((_, clause)) if keeps_its_own => {
                by_relation.has(self.facts.key.kind) && self.permitted(clause)
            }
            Some((category, clause)) => {
                let most = Kinds::ALL
                    .without(Kinds::of(&administrative))
                    .without(*DIRECTORY);
                let part2 = category != Category::Part2Consent
                    || clause.on.labels.is_some()
                    || self.all_labels().holds(Labels::PART2);
                clause.on.kinds.unwrap_or(most).has(self.facts.key.kind)
                    && part2
                    && self.permitted(clause)
            }
        }
    }

    /// Only what was served while the plan paid; who a person is has no date.
    fn was_covered(&self) -> bool {
        let timeless = ["Patient", "Coverage", "RelatedPerson", "Group", "CareTeam"];
        timeless.contains(&self.facts.key.kind.name())
            || self.facts.serviced.is_some_and(|served| {
                let meets = |w: &&confide::fhir::Interval| {
                    w.start.max(served.start) <= w.end.min(served.end)
                };
                self.towards.covered.iter().any(|window| meets(&window))
            })
    }

    /// The record's labels, those of its parts included, with the patient's hits and masks.
    fn all_labels(&self) -> Labels {
        let (whole, _) = self.facts.whole.effective(self.towards.hits);
        let (parts, _) = self.facts.parts.effective(self.towards.hits);
        whole.and(parts).and(self.towards.tightening)
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            key: &self.facts.key,
            labels: self.all_labels(),
            serviced: self.facts.serviced,
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            names: &self.standing.names,
            purpose: self.case.purpose,
            at: self.case.at,
        }
    }

    fn permitted(&self, clause: &Clause) -> bool {
        let excepted = clause
            .except
            .iter()
            .any(|except| except.concerns(self.asker()) && except.covers(self.asked(), true));
        clause.on.covers(self.asked(), false) && !excepted
    }

    /// Step 3. The member itself, break-glass and the operator's own functions are not restricted.
    fn restricted(&self) -> bool {
        let free = matches!(
            self.relation,
            Relation::Member | Relation::Auditor | Relation::Staff
        );
        if free || (self.relation == Relation::Provider && self.emergency()) {
            return false;
        }
        let stands = |d: &&Directive| {
            d.period.holds(NOW) && !(d.category == Category::InReview && self.treats())
        };
        let denies = |clause: &Clause| {
            let except = |e: &confide::consent::Condition| {
                e.concerns(self.asker()) && e.covers(self.asked(), false)
            };
            clause.on.concerns(self.asker())
                && clause.on.covers(self.asked(), true)
                && !clause.except.iter().any(except)
        };
        let mut directives = self.towards.directives.iter().filter(stands);
        directives.any(|directive| directive.denies.iter().any(denies))
    }

    /// The written permissions that name the requester now, and the way without any.
    fn permits(&self) -> Vec<Permit<'_>> {
        let opens = matches!(
            self.relation,
            Relation::Member | Relation::Auditor | Relation::Staff
        );
        let mut permits: Vec<Permit> = vec![None];
        for directive in &self.towards.directives {
            let written = [Category::Authorization, Category::Part2Consent];
            if opens || !directive.period.holds(NOW) || !written.contains(&directive.category) {
                continue;
            }
            for clause in &directive.permits {
                if clause.on.actors.is_some() && clause.on.concerns(self.asker()) {
                    permits.push(Some((directive.category, clause)));
                }
            }
        }
        permits
    }

    /// The ways in which the record as a whole may be seen.
    fn ways(&self) -> Vec<Permit<'_>> {
        let (labels, protected) = self.facts.whole.effective(self.towards.hits);
        let tightening = self.towards.tightening;
        let marks = (labels.and(tightening), protected.and(tightening));
        let mut ways = self.permits();
        ways.retain(|p| self.opens(*p) && self.shows(marks, *p) && !self.restricted());
        ways
    }
}

/// Whether a permission names a label. One without labels names what needs no naming; `easily` says
/// whether the label is such a one for the bar at hand.
fn names(permit: Permit, label: Labels, easily: bool) -> bool {
    let Some((Category::Authorization, clause)) = permit else {
        return false;
    };
    let special = [
        Labels::PSYCHOTHERAPY_NOTE,
        Labels::NOTE_UNRELEASED,
        Labels::PART2,
    ];
    match clause.on.labels {
        Some(named) if label == Labels::NOTE_UNRELEASED => {
            named.holds(label) || named.holds(Labels::PSYCHOTHERAPY_NOTE)
        }
        Some(named) => named.holds(label),
        None => easily && !special.contains(&label),
    }
}

/// What the oracle says: withheld, or for each probe whether such a part is taken out.
pub fn oracle(world: &World, probes: &[Marks]) -> Option<Vec<bool>> {
    let World {
        case,
        settings,
        facts,
        standing,
    } = world;
    if facts.patients.is_empty() {
        return if in_scope(world, None) {
            nobody(world, probes)
        } else {
            None
        };
    }
    let mut out = vec![false; probes.len()];
    for patient in &facts.patients {
        let towards = standing.towards(patient)?;
        if !in_scope(world, Some(towards)) {
            return None;
        }
        let relation = relation(case, *settings, towards)?;
        let question = Question {
            case,
            settings: *settings,
            facts,
            standing,
            towards,
            relation,
        };
        let ways = question.ways();
        if ways.is_empty() {
            return None;
        }
        for (out, probe) in out.iter_mut().zip(probes) {
            let marks = probe.effective(towards.hits);
            *out |= !ways.iter().any(|way| question.shows(marks, *way));
        }
    }
    Some(out)
}

/// A record that names no patient: the directory is everyone's, a granted Group the plan's, the audit
/// trail the auditors', and the rest the provider's and the staff's, less what steps 1 and 2 bar.
fn nobody(world: &World, probes: &[Marks]) -> Option<Vec<bool>> {
    let World {
        case,
        settings,
        facts,
        standing,
    } = world;
    if DIRECTORY.has(facts.key.kind) || standing.groups.contains(&facts.key) {
        return Some(vec![false; probes.len()]);
    }
    let emergency = case.purpose == Purpose::Etreat && case.break_glass.is_some();
    let relation = match case.requester.role {
        Role::Provider if case.purpose == Purpose::Treat || emergency => Relation::Provider,
        Role::Staff | Role::PrivacyOffice if case.purpose == Purpose::Hoperat => Relation::Staff,
        Role::Auditor if case.purpose == Purpose::Hcompl => Relation::Auditor,
        _ => return None,
    };
    let audits = matches!(case.requester.role, Role::Auditor | Role::PrivacyOffice);
    let trail = facts.key.kind.name() == "AuditEvent";
    if (trail && !audits) || (!trail && relation == Relation::Auditor) {
        return None;
    }
    let towards = Towards::none(facts.key.clone());
    let question = Question {
        case,
        settings: *settings,
        facts,
        standing,
        towards: &towards,
        relation,
    };
    // Nobody's hits are known: what counts only beside a hit counts.
    let shows = |marks: &Marks| question.shows(marks.effective(Labels::ALL), None);
    shows(&facts.whole).then(|| probes.iter().map(|probe| !shows(probe)).collect())
}

/// Whether some scope lets the type be read or searched; a `patient/` scope only of the patient in
/// context.
fn in_scope(world: &World, towards: Option<&Towards>) -> bool {
    let World { case, facts, .. } = world;
    case.scopes.grants().iter().any(|grant| {
        let reads = grant.actions.hold(Actions::READ) || grant.actions.hold(Actions::SEARCH);
        let about = match (grant.context, towards) {
            (Context::Patient, Some(towards)) => case.patient.as_ref() == Some(&towards.patient.id),
            _ => true,
        };
        reads && about && grant.kinds.has(facts.key.kind)
    })
}
