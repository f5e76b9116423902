//! The reason codes of a decision: stable names for auditors (CodeSystem `decision-reason`).

/// The steps of SEMANTICS section 4, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// 1: nothing lifts it but what the statute names.
    Absolute,
    /// 2: needs the member's written authorization.
    Authorization,
    /// 3: the member's own restrictions.
    Restriction,
    /// 4: a representative and what a minor could consent to.
    Representative,
    /// 5: the household.
    Household,
    /// 6: a positive basis.
    Basis,
    /// After the basis: the token's scope.
    Scope,
    /// 7: nothing permits.
    Default,
}

impl Step {
    /// Its number in SEMANTICS section 4.
    pub fn number(self) -> u8 {
        match self {
            Step::Absolute => 1,
            Step::Authorization => 2,
            Step::Restriction => 3,
            Step::Representative => 4,
            Step::Household => 5,
            Step::Basis | Step::Scope => 6,
            Step::Default => 7,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $step:ident, $source:literal;)*) => {
        /// Why something was or was not disclosed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them, in the order of the steps.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The code in CodeSystem `decision-reason`.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// The step that it belongs to.
            pub fn step(self) -> Step {
                match self { $(Reason::$name => Step::$step,)* }
            }

            /// The statute or page that the rule comes from.
            pub fn source(self) -> &'static str {
                match self { $(Reason::$name => $source,)* }
            }
        }
    };
}

reasons! {
    /// Psychotherapy notes to anyone but their originator.
    PsychotherapyNote = "psychotherapy-note", Absolute, "45 CFR 164.508(a)(2)";
    /// The originator has not released the note to the member.
    NoteNotReleased = "psychotherapy-note-not-released", Absolute, "45 CFR 164.524(a)(1)(i)";
    /// Paid in full by the member and restricted: not to the plan.
    SelfPaid = "self-paid", Absolute, "45 CFR 164.522(a)(1)(vi)";
    /// Abortion information to a requester from another state.
    OutOfStateAbortion = "out-of-state-abortion", Absolute, "Civ. 56.110(a)";
    /// Gender-affirming care to a requester from another state.
    OutOfStateGenderAffirming = "out-of-state-gender-affirming", Absolute, "Civ. 56.109, 56.101(c)";
    /// Contraception to a requester from another state.
    OutOfStateContraception = "out-of-state-contraception", Absolute, "Civ. 56.101(c)";
    /// A workforce member covered together with the member.
    OwnCoverage = "own-coverage", Absolute, "SEMANTICS 1, workforce";
    /// HIV test results to a plan without an authorization.
    HivTestResult = "hiv-test-result", Authorization, "H&S 120980, 120985";
    /// Outpatient psychotherapy to a plan without a written request.
    OutpatientPsychotherapy = "outpatient-psychotherapy", Authorization, "Civ. 56.104";
    /// Lanterman-Petris-Short records to a plan.
    Lps = "lps", Authorization, "W&I 5328";
    /// Genetic test results to a plan.
    Genetic = "genetic", Authorization, "Civ. 56.17";
    /// Part 2 records without a consent.
    Part2 = "part2", Authorization, "42 CFR 2.31, 2.33";
    /// The member's own restriction.
    MemberRestriction = "member-restriction", Restriction, "45 CFR 164.522(a)";
    /// A Consent that could not be honoured exactly is honoured as a refusal.
    ConsentInReview = "consent-in-review", Restriction, "SEMANTICS 6";
    /// What the minor could consent to, to a representative.
    MinorConsent = "minor-consent", Representative, "45 CFR 164.502(g)(3); H&S 123115(a)";
    /// As `minor-consent`, but a fact that decides it was not recorded.
    HoldReview = "hold-review", Representative, "Fam. 6924; H&S 124260";
    /// Abuse by this representative is suspected.
    SuspectedAbuse = "suspected-abuse", Representative, "45 CFR 164.502(g)(5)";
    /// Removed from this parent's custody: no mental health records.
    RemovedFromCustody = "removed-from-custody", Representative, "Civ. 56.106";
    /// Sensitive services to the subscriber or another enrollee.
    Household = "household", Household, "Civ. 56.107(a)(4)";
    /// A confidential communications request is in force.
    ConfidentialCommunications = "confidential-communications", Household, "Civ. 56.107(b)(4)";
    /// The record is the requester's own.
    OwnRecord = "own-record", Basis, "45 CFR 164.524";
    /// A verified representative.
    Representation = "representation", Basis, "45 CFR 164.502(g)";
    /// A valid authorization names the requester.
    AuthorizedBy = "authorization", Basis, "Civ. 56.11";
    /// Treatment by a provider.
    Treatment = "treatment", Basis, "Civ. 56.10(c)(1); 45 CFR 164.506(c)(2)";
    /// Emergency treatment, with a stated reason.
    BreakGlass = "break-glass", Basis, "45 CFR 164.312(a)(2)(ii); 42 CFR 2.51";
    /// An access grant in force, within the minimum necessary.
    Grant = "grant", Basis, "Civ. 56.10(c)(10); 45 CFR 164.506(c), 164.514(d)";
    /// The benefit view of the policy.
    BenefitView = "benefit-view", Basis, "SEMANTICS 5";
    /// Compliance audit.
    Audit = "audit", Basis, "45 CFR 164.312(b)";
    /// Operations by the staff.
    StaffFunction = "staff-function", Basis, "45 CFR 164.506(c)";
    /// The directory or a definition: no patient is named.
    Directory = "directory", Basis, "SEMANTICS 1";
    /// The plan has no grant in force for this member and purpose.
    NoGrant = "no-grant", Basis, "SEMANTICS 1, plan";
    /// Beyond the minimum necessary of the grant.
    MinimumNecessary = "minimum-necessary", Basis, "45 CFR 164.502(b), 164.514(d)";
    /// Beyond the benefit view.
    BeyondBenefitView = "beyond-benefit-view", Basis, "SEMANTICS 5";
    /// The purpose does not fit the requester's role or relation.
    Purpose = "purpose", Basis, "SEMANTICS 2";
    /// No relation to this member.
    NoRelation = "no-relation", Default, "SEMANTICS 1";
    /// The token's scope does not cover it.
    Scope = "scope", Scope, "SMART App Launch 2.2, scopes";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_sourced() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|reason| !reason.source().is_empty()));
    }
}
