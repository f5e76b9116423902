use super::*;
use crate::search::Test;
use proptest::prelude::*;

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn parse(kind: &str, query: &str) -> Result<Plan, Vec<Issue>> {
    Plan::parse(Kind::named(kind), &pairs(query), ParseOptions::default())
}

fn refused(kind: &str, query: &str) -> String {
    match parse(kind, query) {
        Ok(plan) => panic!("{query}: {plan:?}"),
        Err(issues) => issues[0].text.clone(),
    }
}

#[test]
fn a_whole_query_is_read() {
    let query = "patient=a&category=x,y&date=ge2026&date=lt2027&_count=10&_sort=-date,_id\
        &_total=accurate&_include=Observation:encounter&_include=Observation:subject:Patient\
        &_revinclude=Provenance:target&_format=json&_cursor=abc";
    let plan = parse("Observation", query).unwrap();
    assert_eq!(plan.filters.len(), 4);
    assert!(matches!(&plan.filters[1].test, Test::Token(any) if any.len() == 2));
    assert_eq!(
        (plan.count, plan.total, plan.summary),
        (10, Total::Accurate, None)
    );
    assert_eq!(plan.include[1].target, Kind::named("Patient"));
    assert_eq!(
        plan.revinclude[0].source,
        Kind::named("Provenance").unwrap()
    );
    let sort: Vec<_> = plan
        .sort
        .iter()
        .map(|key| (key.param.code, key.descending))
        .collect();
    assert_eq!(sort, [("date", true), ("_id", false)]);
    assert_eq!(plan.cursor.as_deref(), Some("abc"));
    let used: Vec<_> = plan.used.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(used.len(), 10);
    assert!(!used.contains(&"_format") && !used.contains(&CURSOR));
}

#[test]
fn unknown_parameters_are_refused_or_dropped_when_lenient() {
    assert!(refused("Patient", "ghost=1").contains("no such search parameter"));
    let options = ParseOptions {
        lenient: true,
        ..ParseOptions::default()
    };
    let kind = Kind::named("Patient");
    let plan = Plan::parse(kind, &pairs("ghost=1&name=a&ghost:exact=2"), options).unwrap();
    assert_eq!(plan.used, [("name".into(), "a".into())]);
    assert!(Plan::parse(kind, &pairs("name:text=x"), options).is_err());
}

#[test]
fn what_is_not_supported_says_so() {
    for query in [
        "subject:Patient.name=x",
        "subject.name=x",
        "_has:Observation:patient:code=x",
        "code:in=x",
        "value-quantity=5",
        "code-value-quantity=x$5",
        "_content=x",
        "_security=R",
        "_summary=true",
        "_include=*",
        "_include=Observation:*",
        "_include:iterate=Observation:subject",
        "_contained=true",
        "_sort=value-quantity",
        "_list=x",
    ] {
        assert!(
            refused("Observation", query).ends_with("is not supported"),
            "{query}"
        );
    }
}

#[test]
fn wrong_values_are_refused() {
    for query in [
        "_count=-1",
        "_count=x",
        "_count=1&_count=2",
        "_sort=ghost",
        "_sort=",
        "_sort=_id,_id,_id,_id,_id,_id",
        "_total=some",
        "_summary=some",
        "_elements=ghost",
        "_include=Observation",
        "_include=Ghost:subject",
        "_include=Observation:code",
        "_include=Observation:subject:Practitioner",
        "_include=Condition:subject",
        "_revinclude=Coverage:payor",
        "_count:exact=1",
        "_cursor=a&_cursor=b",
    ] {
        refused("Observation", query);
    }
    assert!(refused("Observation", &format!("code={}", "x".repeat(VALUE + 1))).contains("longer"));
    let many = vec!["code=a"; PARAMETERS + 1].join("&");
    assert!(refused("Observation", &many).contains("at most"));
}

#[test]
fn every_problem_is_told() {
    let issues = parse("Patient", "ghost=1&birthdate=x&name=a").unwrap_err();
    assert_eq!(issues.len(), 2);
}

#[test]
fn a_page_is_never_larger_than_the_limit_and_the_self_link_says_so() {
    for (asked, got) in [
        ("0", 0),
        ("1000", 1000),
        ("1001", 1000),
        ("99999999999", 1000),
    ] {
        let plan = parse("Patient", &format!("_count={asked}")).unwrap();
        assert_eq!(plan.count, got);
        assert_eq!(plan.used[0].1, got.to_string());
    }
}

#[test]
fn a_choice_of_elements_takes_all_forms_of_a_choice() {
    let plan = parse("Patient", "_elements=name,deceased").unwrap();
    assert_eq!(
        plan.elements,
        ["name", "deceasedBoolean", "deceasedDateTime"]
    );
}

#[test]
fn a_search_over_all_types_has_the_parameters_of_every_resource() {
    let parse = |query: &str| Plan::parse(None, &pairs(query), ParseOptions::default());
    assert!(parse("_id=a&_tag=t&_lastUpdated=ge2026&_sort=_lastUpdated").is_ok());
    assert!(parse("name=a").is_err());
}

proptest! {
    #[test]
    fn no_value_is_ever_repeated(name in "(name|code|_count|_sort|_include|date|ghost|_elements|patient:Group)", value in "MARKER[a-z,:|\\\\ ]{0,9}") {
        for kind in [Kind::named("Observation"), Kind::named("Patient"), None] {
            if let Err(issues) = Plan::parse(kind, &[(name.clone(), value.clone())], ParseOptions::default()) {
                prop_assert!(issues.iter().all(|issue| !issue.text.contains("MARKER")));
            }
        }
    }
}
