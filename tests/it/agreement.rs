//! The two enforcements against each other and against a naive reading of what was released: over
//! generated stores, requesters and queries (DESIGN, "Enforcement twice").

pub mod ask;
mod crafted;
pub mod made;
mod naive;
mod rules;
pub mod shelf;

use confide::{
    policy::{Case, Settings},
    search::plan::{ContainedType, Plan},
    statute::Purpose,
};
use made::Made;
use proptest::{prelude::*, sample::subsequence, test_runner::RngSeed};
use shelf::{Shelf, View};
use std::collections::BTreeSet;

/// How many stores a property is tried on.
const CASES: u32 = 24;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed()),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..ProptestConfig::default()
    }
}

/// Always the same, but for a hunt with `CONFIDE_SEED`.
fn seed() -> u64 {
    let asked = std::env::var("CONFIDE_SEED").ok();
    asked
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0x0a61_2ee5)
}

fn who(case: &Case) -> String {
    let Case {
        requester,
        purpose,
        scopes,
        patient,
        ..
    } = case;
    format!(
        "{} {} {} {:?} {} {:?} {:?}",
        requester.role.name(),
        purpose,
        requester
            .user
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        requester.organization.as_ref().map(ToString::to_string),
        scopes.text(),
        patient.as_ref().map(|id| id.as_str()),
        requester.state
    )
}

/// The set that SQL shows is the set that the gate releases.
fn same_set(shelf: &Shelf, case: &Case, view: &View) -> Result<(), TestCaseError> {
    let released: BTreeSet<_> = view.keys().cloned().collect();
    let shown: BTreeSet<_> = shelf.named(case).into_iter().collect();
    prop_assert_eq!(&shown, &released, "by name, {}", who(case));
    for patient in made::PATIENTS {
        let shown: BTreeSet<_> = shelf.everything(case, patient).into_iter().collect();
        let own = shelf.owned(&released, patient);
        prop_assert_eq!(shown, own, "everything of {}, {}", patient, who(case));
    }
    Ok(())
}

/// A search finds what a naive reading of the released records finds, in its order, over all pages.
fn same_search(
    shelf: &Shelf,
    case: &Case,
    seen: &naive::Seen,
    text: &str,
    plan: &Plan,
) -> Result<(), TestCaseError> {
    let found = shelf.search(case, plan);
    let told = || format!("{text}\n{}", who(case));
    prop_assert!(found.refused.is_empty(), "{:?} {}", found.refused, told());
    let expected = naive::search(seen, plan);
    let names = match plan.contained_type {
        ContainedType::Contained => found.alone.clone(),
        ContainedType::Container => found.matches.iter().map(ToString::to_string).collect(),
    };
    prop_assert_eq!(&names, &expected, "{}", told());
    prop_assert_eq!(found.total, Some(expected.len() as u64), "{}", told());
    let included = naive::included(seen, plan, &found.matches);
    prop_assert_eq!(&found.included, &included, "{}", told());
    Ok(())
}

/// A store, some of the requesters, some of the queries.
fn question() -> impl Strategy<Value = (Made, Settings, Vec<Case>, Vec<(&'static str, Plan)>)> {
    let cases = subsequence((0..ask::cases().len()).collect::<Vec<_>>(), 5);
    let plans = subsequence((0..ask::plans().len()).collect::<Vec<_>>(), 25);
    (made::made(), shelf::settings(), cases, plans).prop_map(|(made, settings, cases, plans)| {
        let (all_cases, all_plans) = (ask::cases(), ask::plans());
        let cases = cases.into_iter().map(|at| all_cases[at].clone());
        let plans = plans.into_iter().map(|at| all_plans[at].clone());
        (made, settings, cases.collect(), plans.collect())
    })
}

proptest! {
    #![proptest_config(config(std::env::var("CONFIDE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)))]

    #[test]
    fn sql_and_gate_agree_and_hidden_elements_match_nothing(
        (made, settings, cases, plans) in question(),
    ) {
        let shelf = Shelf::of(&made, settings);
        for case in &cases {
            let view = shelf.view(case);
            same_set(&shelf, case, &view)?;
            let seen = naive::Seen::of(&view);
            for (text, plan) in &plans {
                same_search(&shelf, case, &seen, text, plan)?;
            }
        }
    }

    /// The answer is that of a store in which what is hidden was never written.
    #[test]
    fn a_store_without_what_is_hidden_answers_the_same(
        (made, settings, cases, plans) in question(),
    ) {
        let shelf = Shelf::of(&made, settings);
        for case in &cases {
            let view = shelf.view(case);
            let twin = shelf.without_hidden(&view);
            let seen = twin.view(case);
            let (one, other): (Vec<_>, Vec<_>) = (view.keys().collect(), seen.keys().collect());
            prop_assert_eq!(one, other, "{}", who(case));
            // A face that changed when something hidden came has the time of that change.
            let untimed = |text: &&str| !text.contains("_lastUpdated");
            // What a record inherits from a hidden one is told to those who may know labels, on the wire
            // and by search alike.
            let told = |text: &&str| text.contains("_security") && case.purpose != Purpose::Coverage;
            let same = |text: &&str| untimed(text) && !told(text);
            for (text, plan) in plans.iter().filter(|(text, _)| same(text)) {
                let (real, other) = (shelf.search(case, plan), twin.search(case, plan));
                prop_assert_eq!(real, other, "{}\n{}", text, who(case));
            }
        }
    }
}

#[test]
fn sql_and_gate_agree_where_chance_seldom_leads() {
    for (about, made) in crafted::stores() {
        let shelf = Shelf::of(&made, Settings::default());
        for case in ask::cases() {
            let view = shelf.view(&case);
            same_set(&shelf, &case, &view).unwrap_or_else(|e| panic!("{about}: {e}"));
            let seen = naive::Seen::of(&view);
            for (text, plan) in ask::plans() {
                let same = same_search(&shelf, &case, &seen, text, &plan);
                same.unwrap_or_else(|e| panic!("{about}: {e}"));
            }
        }
    }
}

/// The generated stores are worth it: much is seen, much is hidden, and much is shown in part.
#[test]
fn the_stores_hide_and_show_enough() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::new(config(1));
    let (mut shown, mut partial, mut all, mut found) = (0, 0, 0, 0);
    for _ in 0..16 {
        let (made, settings, cases, plans) = question().new_tree(&mut runner).unwrap().current();
        let shelf = Shelf::of(&made, settings);
        for case in &cases {
            let view = shelf.view(case);
            all += shelf.len();
            shown += view.len();
            partial += view.values().filter(|shown| shown.partial).count();
            let finds = |(_, plan): &&(&str, Plan)| !shelf.search(case, plan).matches.is_empty();
            found += plans.iter().filter(finds).count();
        }
    }
    let told =
        format!("{shown} of {all} shown, {partial} in part, {found} searches found something");
    assert!(shown * 4 > all && shown * 4 < all * 3, "{told}");
    assert!(partial * 40 > shown && found > 200, "{told}");
}
