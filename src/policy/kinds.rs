//! Sets of resource types that rules are about.

use crate::fhir::Kinds;
use std::sync::LazyLock;

/// Types that tell of requests, restrictions and suspicions: never the household's, nor a
/// representative's of a minor (SEMANTICS section 9).
pub static ADMINISTRATIVE: LazyLock<Kinds> =
    LazyLock::new(|| Kinds::of(&["Consent", "Task", "Flag", "Provenance", "AuditEvent"]));

/// Types that a confidential communications request hides from the household.
pub static CLAIMS: LazyLock<Kinds> = LazyLock::new(|| {
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

/// What compliance auditors see of members.
pub static AUDITED: LazyLock<Kinds> =
    LazyLock::new(|| Kinds::of(&["Consent", "AuditEvent", "Provenance"]));

/// What the staff sees of members.
pub static STAFF: LazyLock<Kinds> = LazyLock::new(|| {
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

/// The audit trail: an AuditEvent that names no patient is for those who audit.
pub static TRAIL: LazyLock<Kinds> = LazyLock::new(|| Kinds::of(&["AuditEvent"]));
