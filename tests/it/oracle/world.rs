//! Generated questions: who asks, about which record, and what holds between them.

use confide::{
    consent::{Category, Clause, Condition, Directive},
    fhir::{Id, Interval, Key, Kinds},
    label::Marks,
    policy::{Authority, Case, Facts, Grant, Requester, Role, Settings, Standing, Towards},
    scope::ScopeSet,
    statute::{
        Labels, Purpose, Reason,
        projections::{Household, Seat},
    },
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
};

/// The moment of every question.
pub const NOW: i64 = 1_000_000;

/// One question.
#[derive(Debug, Clone)]
pub struct World {
    /// Who asks.
    pub case: Case,
    /// `[policy]`, `[operator]`.
    pub settings: Settings,
    /// About which record.
    pub facts: Facts,
    /// What holds.
    pub standing: Standing,
}

/// Grounds that a member's own restriction does not bind.
pub fn unbound(ground: Reason) -> bool {
    matches!(
        ground,
        Reason::OwnRecord | Reason::BreakGlass | Reason::Audit | Reason::StaffFunction
    )
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// A few labels; none half of the time.
fn labels() -> impl Strategy<Value = Labels> {
    let bits: Vec<Labels> = Labels::BITS.iter().map(|bit| bit.labels).collect();
    prop_oneof![
        Just(Labels::NONE),
        vec(select(bits), 1..4).prop_map(|some| some.into_iter().collect()),
    ]
}

/// What a record or a part reveals.
pub fn marks() -> impl Strategy<Value = Marks> {
    let conditional = prop_oneof![3 => Just(Labels::NONE), 1 => labels()];
    let all = |some: bool| if some { Labels::ALL } else { Labels::NONE };
    let age = prop_oneof![Just(Labels::ALL), any::<bool>().prop_map(all), labels()];
    (labels(), conditional, age, any::<bool>()).prop_map(|(labels, conditional, age, review)| {
        Marks {
            labels,
            conditional,
            protected: labels.both(age),
            conditional_protected: conditional.both(age),
            review,
        }
    })
}

fn interval() -> impl Strategy<Value = Interval> {
    let ends = prop_oneof![
        4 => Just((i64::MIN, i64::MAX)),
        2 => (0..3i64, 0..3i64).prop_map(|(a, b)| (a * NOW, (a + b) * NOW)),
        1 => Just((i64::MAX, i64::MIN)),
    ];
    ends.prop_map(|(start, end)| Interval { start, end })
}

const KINDS: [&str; 17] = [
    "Observation",
    "Patient",
    "ExplanationOfBenefit",
    "Claim",
    "Communication",
    "Coverage",
    "Consent",
    "Task",
    "Encounter",
    "DocumentReference",
    "Condition",
    "CarePlan",
    "AuditEvent",
    "Provenance",
    "Binary",
    "Medication",
    "Group",
];

fn kinds() -> impl Strategy<Value = Kinds> {
    subsequence(KINDS.to_vec(), 1..KINDS.len()).prop_map(|names| Kinds::of(&names))
}

fn names() -> Vec<Key> {
    vec![
        key("Patient/user"),
        key("RelatedPerson/user"),
        key("Organization/o"),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let actors = subsequence(
        vec![
            key("Patient/user"),
            key("Organization/o"),
            key("Patient/other"),
        ],
        0..3,
    );
    let records = subsequence(vec![key("Observation/r"), key("Encounter/r")], 0..2);
    let rarely = |some| option::weighted(0.25, some);
    (
        option::weighted(0.8, actors),
        rarely((0..14u32).prop_map(|at| 0x3fff & !(1 << at)).boxed()),
        option::weighted(0.4, labels()),
        option::weighted(0.3, kinds()),
        option::weighted(0.2, interval()),
        option::weighted(0.2, interval()),
        option::weighted(0.1, records),
    )
        .prop_map(
            |(actors, purposes, labels, kinds, serviced, period, records)| Condition {
                actors,
                purposes,
                labels,
                kinds,
                serviced,
                period,
                records,
            },
        )
}

/// A provision with at most two exceptions.
pub fn clause() -> impl Strategy<Value = Clause> {
    (condition(), vec(condition(), 0..3)).prop_map(|(on, except)| Clause { on, except })
}

fn directive() -> impl Strategy<Value = Directive> {
    let category = prop_oneof![
        5 => Just(Category::Authorization),
        2 => Just(Category::Part2Consent),
        1 => Just(Category::SelfPayRestriction),
        2 => Just(Category::Restriction),
        1 => Just(Category::ConfidentialCommunicationsRequest),
        1 => Just(Category::Privacy),
        1 => Just(Category::InReview),
    ];
    (
        category,
        interval(),
        vec(clause(), 0..3),
        vec(clause(), 0..2),
    )
        .prop_map(|(category, period, permits, denies)| {
            let gives = matches!(category, Category::Authorization | Category::Part2Consent);
            Directive {
                category,
                patient: key("Patient/p"),
                period,
                permits,
                denies: if gives { Vec::new() } else { denies },
                names: Vec::new(),
            }
        })
}

fn flag(percent: f64) -> impl Strategy<Value = bool> {
    prop::bool::weighted(percent)
}

fn towards(patient: &'static str) -> impl Strategy<Value = Towards> {
    let seat = option::weighted(0.8, select(vec![Seat::Subscriber, Seat::Enrollee]));
    let authority = option::weighted(
        0.9,
        select(vec![
            Authority::Parent,
            Authority::Guardian,
            Authority::Conservator,
            Authority::Court,
        ]),
    );
    let grant =
        (subsequence(Purpose::ALL.to_vec(), 4..14), interval()).prop_map(|(purposes, period)| {
            Grant {
                purposes,
                kinds: confide::fhir::Kinds::ALL,
                period,
            }
        });
    let flags = (
        flag(0.8),
        flag(0.1),
        flag(0.2),
        flag(0.6),
        flag(0.1),
        flag(0.8),
        flag(0.3),
    );
    (
        flags,
        (seat, authority, vec(interval(), 0..3), vec(grant, 0..3)),
        (
            vec(directive(), 0..4),
            labels(),
            option::weighted(0.05, labels()),
        ),
    )
        .prop_map(
            move |(flags, (seat, authority, covered, grants), (directives, hits, mask))| {
                let (is_member, suspected, removed_from_custody, minor, together, here, request) =
                    flags;
                Towards {
                    patient: key(patient),
                    is_member,
                    seat,
                    authority,
                    suspected,
                    removed_from_custody,
                    minor,
                    covered_together: together,
                    in_facility: here,
                    covered,
                    grants,
                    psychotherapy_request: request,
                    directives,
                    hits,
                    tightening: mask.unwrap_or_default(),
                }
            },
        )
}

fn asked() -> impl Strategy<Value = (Role, Purpose)> {
    let fitting = select(vec![
        (Role::App, Purpose::Patrqt),
        (Role::App, Purpose::Pwatrny),
        (Role::App, Purpose::Coverage),
        (Role::App, Purpose::Famrqt),
        (Role::App, Purpose::Supnwk),
        (Role::Provider, Purpose::Treat),
        (Role::Provider, Purpose::Etreat),
        (Role::Plan, Purpose::Coc),
        (Role::Plan, Purpose::Hdm),
        (Role::Plan, Purpose::Hqualimp),
        (Role::Auditor, Purpose::Hcompl),
        (Role::Staff, Purpose::Hoperat),
        (Role::PrivacyOffice, Purpose::Hoperat),
    ]);
    let any = (select(Role::ALL.to_vec()), select(Purpose::ALL.to_vec()));
    prop_oneof![9 => fitting, 1 => any]
}

fn case() -> impl Strategy<Value = Case> {
    let scopes = prop_oneof![
        4 => Just("user/*.rs"),
        2 => Just("system/*.cruds"),
        3 => Just("patient/*.rs"),
        3 => select(vec![
            "patient/*.rs user/Patient.rs user/Encounter.r",
            "user/Observation.r patient/ExplanationOfBenefit.s",
            "patient/*.c user/Condition.s",
            "openid",
        ]),
    ];
    let context = option::weighted(0.7, select(vec!["p", "p", "q", "z"]));
    let state = option::weighted(0.8, select(vec!["CA", "CA", "CA", "TX"]));
    let user = select(vec![
        "Patient/user",
        "RelatedPerson/user",
        "Practitioner/author",
    ]);
    (
        asked(),
        scopes,
        context,
        (
            state,
            option::weighted(0.9, user),
            option::weighted(0.9, Just("Organization/o")),
        ),
        option::weighted(0.7, Just("unconscious".into())),
    )
        .prop_map(
            |((role, purpose), scopes, context, (state, user, organization), glass)| Case {
                requester: Requester {
                    client: "c".into(),
                    role,
                    user: user.map(key),
                    organization: organization.map(key),
                    state: state.map(Into::into),
                },
                purpose,
                scopes: ScopeSet::parse(scopes),
                patient: context.and_then(Id::parse),
                break_glass: glass,
                at: NOW,
            },
        )
}

fn facts() -> impl Strategy<Value = Facts> {
    let patients = prop_oneof![
        1 => Just(Vec::new()),
        7 => Just(vec![key("Patient/p")]),
        2 => Just(vec![key("Patient/p"), key("Patient/q")]),
    ];
    let kind = prop_oneof![3 => Just("Observation"), 7 => select(KINDS.to_vec())];
    (
        (
            kind,
            patients,
            marks(),
            marks(),
            option::weighted(0.8, interval()),
        ),
        option::weighted(0.5, Just(key("Practitioner/author"))),
        option::weighted(
            0.5,
            select(vec![key("Organization/o"), key("Organization/x")]),
        ),
    )
        .prop_map(
            |((kind, patients, whole, parts, serviced), author, organization)| Facts {
                key: key(&format!("{kind}/r")),
                patients,
                whole,
                parts,
                serviced,
                author,
                organization,
            },
        )
}

/// A question about one record.
pub fn world() -> impl Strategy<Value = World> {
    let settings = (flag(0.3), flag(0.2)).prop_map(|(clinical, by_organization)| Settings {
        household: if clinical {
            Household::Clinical
        } else {
            Household::Claims
        },
        by_organization,
    });
    let others = option::weighted(0.9, towards("Patient/q"));
    let groups = option::weighted(0.5, Just(key("Group/r")));
    (
        case(),
        settings,
        facts(),
        towards("Patient/p"),
        others,
        groups,
    )
        .prop_map(|(case, settings, facts, towards, others, groups)| World {
            case,
            settings,
            facts,
            standing: Standing {
                names: names(),
                towards: std::iter::once(towards).chain(others).collect(),
                groups: groups.into_iter().collect(),
            },
        })
}
