//! The decision against a naive oracle, written from SEMANTICS.md section 4 and LAW.md alone: for
//! each single label, may it be shown in this way? No masks, no lanes.

mod naive;
mod world;

use confide::{
    consent::{Category, Clause, Condition, Directive},
    fhir::{Interval, Kinds},
    label::Marks,
    policy::{Decision, decide},
    scope::ScopeSet,
    statute::Labels,
};
use proptest::{prelude::*, test_runner::RngSeed};
use world::World;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x0c0_4f1d),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn decided(world: &World) -> Decision {
    decide(&world.case, world.settings, &world.facts, &world.standing)
}

fn releases(world: &World) -> bool {
    matches!(decided(world), Decision::Release(_))
}

/// Parts to try: each single label, plain and protected, and what was generated.
fn probes(more: &[Marks]) -> Vec<Marks> {
    let single = Labels::BITS.iter().flat_map(|bit| {
        let open = Marks {
            labels: bit.labels,
            ..Marks::NONE
        };
        let conditional = Marks {
            conditional: bit.labels,
            conditional_protected: bit.labels,
            ..Marks::NONE
        };
        [open, Marks::always(bit.labels), conditional]
    });
    single.chain(more.iter().copied()).collect()
}

proptest! {
    #![proptest_config(config(20_000))]

    #[test]
    fn decide_releases_exactly_what_the_oracle_does(
        world in world::world(),
        more in prop::collection::vec(world::marks(), 3),
    ) {
        let probes = probes(&more);
        let expected = naive::oracle(&world, &probes);
        match (decided(&world), expected) {
            (Decision::Release(basis), Some(out)) => {
                for (probe, out) in probes.iter().zip(out) {
                    prop_assert_eq!(basis.takes_out(*probe), out, "{:?}", probe);
                }
            }
            (Decision::Withhold(_), None) => {}
            (decision, oracle) => prop_assert!(
                false,
                "{decision:?}, the oracle: {}",
                if oracle.is_some() { "release" } else { "withhold" }
            ),
        }
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_denial_never_releases_more(
        world in world::world(),
        clause in world::clause(),
        in_review in any::<bool>(),
    ) {
        let mut with = world.clone();
        for towards in &mut with.standing.towards {
            let directive = Directive {
                category: if in_review { Category::InReview } else { Category::Restriction },
                patient: towards.patient.clone(),
                period: Interval::ALWAYS,
                permits: Vec::new(),
                denies: vec![clause.clone()],
                names: Vec::new(),
            };
            towards.directives.push(directive);
        }
        prop_assert!(!releases(&with) || releases(&world));
    }

    #[test]
    fn the_order_of_directives_does_not_matter(world in world::world(), by in 0..4usize) {
        let mut turned = world.clone();
        for towards in &mut turned.standing.towards {
            let by = by.min(towards.directives.len());
            towards.directives.rotate_left(by);
        }
        match (decided(&world), decided(&turned)) {
            (Decision::Release(one), Decision::Release(other)) => {
                for probe in probes(&[]) {
                    prop_assert_eq!(one.takes_out(probe), other.takes_out(probe));
                }
            }
            (Decision::Withhold(one), Decision::Withhold(other)) => prop_assert_eq!(one, other),
            (one, other) => prop_assert!(false, "{one:?} {other:?}"),
        }
    }

    #[test]
    fn more_labels_never_release_more(world in world::world(), more in world::marks()) {
        // What a label opens is a permission that names it; without permissions none can.
        let mut world = world;
        for towards in &mut world.standing.towards {
            towards.directives.retain(|directive| directive.permits.is_empty());
            for clause in towards.directives.iter_mut().flat_map(|d| &mut d.denies) {
                clause.except.clear();
            }
        }
        let mut with = world.clone();
        with.facts.whole = with.facts.whole.and(more);
        prop_assert!(!releases(&with) || releases(&world));
        with.facts.whole = world.facts.whole.and(Marks::always(Labels::UNCLASSIFIED));
        prop_assert!(!releases(&with) || releases(&world));
    }

    #[test]
    fn less_scope_never_releases_more(world in world::world(), keep in any::<u8>()) {
        let mut less = world.clone();
        let words: Vec<&str> = world.case.scopes.text().split(' ').collect();
        let kept = words.iter().enumerate().filter(|(at, _)| keep & (1 << at) != 0);
        less.case.scopes = ScopeSet::parse(&kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" "));
        prop_assert!(!releases(&less) || releases(&world));
    }

    #[test]
    fn a_request_for_confidential_communications_only_hides(world in world::world()) {
        let mut with = world.clone();
        for towards in &mut with.standing.towards {
            towards.directives.push(Directive {
                category: Category::ConfidentialCommunicationsRequest,
                patient: towards.patient.clone(),
                period: Interval::ALWAYS,
                permits: Vec::new(),
                denies: Vec::new(),
                names: Vec::new(),
            });
        }
        prop_assert!(!releases(&with) || releases(&world));
    }

    #[test]
    fn a_refusal_of_everything_leaves_the_member_and_who_is_not_bound(world in world::world()) {
        let mut with = world.clone();
        let all = Clause { on: Condition::default(), except: Vec::new() };
        for towards in &mut with.standing.towards {
            towards.directives.push(Directive {
                category: Category::Restriction,
                patient: towards.patient.clone(),
                period: Interval::ALWAYS,
                permits: Vec::new(),
                denies: vec![all.clone()],
                names: Vec::new(),
            });
        }
        if let (Decision::Release(basis), false) = (decided(&with), with.facts.patients.is_empty()) {
            prop_assert!(world::unbound(basis.ground), "{:?}", basis.ground);
        }
    }
}

/// The generated worlds are worth it: every relation gets to see something, and not everything.
#[test]
fn the_worlds_reach_every_ground() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::new(config(1));
    let (mut grounds, mut released) = (std::collections::BTreeSet::new(), 0);
    for _ in 0..4000 {
        let world = world::world().new_tree(&mut runner).unwrap().current();
        if let Decision::Release(basis) = decided(&world) {
            released += 1;
            grounds.insert(basis.ground);
        }
    }
    assert!(grounds.len() == 10, "{grounds:?}");
    assert!((600..3400).contains(&released), "{released}");
    assert!(!Kinds::ALL.is_empty());
}
