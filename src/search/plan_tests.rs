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
    assert_eq!(plan.revinclude[0].source, Kind::named("Provenance"));
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
    assert!(Plan::parse(kind, &pairs("_has:Observation:ghost:code=2"), options).is_ok());
}

#[test]
fn what_is_not_supported_says_so() {
    for query in [
        "derived-from:below=x",
        "date:not=2026",
        "_security=REDACTED",
        "_sort=code-value-quantity",
        "_list=$current-problems",
        "_filter=x",
        "_query=x",
    ] {
        assert!(
            refused("Observation", query).ends_with("is not supported"),
            "{query}"
        );
    }
    assert!(refused("Location", "_sort=near").ends_with("is not supported"));
    assert!(refused("Bundle", "composition=x").ends_with("is not supported"));
}

#[test]
fn contained_resources_are_found_where_they_are_asked_for() {
    let plan = |query: &str| parse("Medication", query).unwrap();
    let asked = |query: &str| (plan(query).contained, plan(query).contained_type);
    use ContainedType::{Contained as Alone, Container};
    assert_eq!(asked("code=x"), (Contained::False, Container));
    assert_eq!(asked("_contained=false"), (Contained::False, Container));
    assert_eq!(
        asked("_contained=true&code=x"),
        (Contained::True, Container)
    );
    let both = "_contained=both&_containedType=contained";
    assert_eq!(asked(both), (Contained::Both, Alone));
    assert_eq!(plan(both).used.len(), 2);
    assert_eq!(
        asked("_containedType=container&_contained=true"),
        (Contained::True, Container)
    );
    for (query, why) in [
        ("_contained=yes", "must be true, false or both"),
        ("_containedType=both", "must be container or contained"),
        ("_contained=true&_contained=both", "may be given only once"),
        ("_contained:exact=true", "takes no such modifier"),
        (
            "_contained=true&_include=Medication:manufacturer",
            "can't go with `_contained`",
        ),
        (
            "_revinclude=MedicationRequest:medication&_contained=both",
            "can't go with `_contained`",
        ),
        ("_elements=code&_contained=true", "needs `_containedType"),
    ] {
        let told = refused("Medication", query);
        assert!(told.contains(why), "{query}: {told}");
    }
    for query in [
        "_elements=code&_contained=true&_containedType=contained",
        "_include=Medication:manufacturer&_contained=false",
        "_has:MedicationRequest:medication:status=active&_contained=true",
        "_sort=-code,_id&_contained=both",
        "_summary=count&_contained=true",
        "_list=l&_contained=true",
    ] {
        assert!(parse("Medication", query).is_ok(), "{query}");
    }
}

#[test]
fn chains_lead_to_a_filter_on_another_type() {
    let one = |query: &str| parse("Observation", query).unwrap().filters.pop().unwrap();
    let typed = one("subject:Patient.organization.name:exact=x");
    assert_eq!(typed.param.code, "subject");
    let Test::Chain(legs) = &typed.test else {
        panic!()
    };
    assert_eq!(legs.len(), 1);
    assert_eq!(legs[0].kinds, Kinds::of(&["Patient"]));
    let Test::Chain(inner) = &legs[0].filter.test else {
        panic!()
    };
    assert_eq!(inner[0].kinds, Kinds::of(&["Organization"]));
    assert!(matches!(inner[0].filter.test, Test::String(_)));
    // Without a type: each that has the parameter, those that are asked the same together.
    let Test::Chain(legs) = one("subject.identifier=x").test else {
        panic!()
    };
    assert_eq!(
        (legs.len(), legs[0].kinds),
        (1, Kinds::of(&["Device", "Group", "Location", "Patient"]))
    );
    let Test::Chain(legs) = one("subject.birthdate=2000").test else {
        panic!()
    };
    assert_eq!(legs[0].kinds, Kinds::of(&["Patient"]));
    assert!(parse("Observation", "subject._id=x").unwrap().leads_on());
    assert!(!parse("Observation", "subject=x").unwrap().leads_on());
    for query in [
        "subject.ghost=x",
        "code.text=x",
        "subject:Ghost.name=x",
        "subject:Practitioner.name=x",
        "subject.birthdate=yesterday",
        "focus.focus.focus.focus.focus.focus.focus.focus.status=x",
        "encounter.part-of.part-of.part-of.part-of.part-of.part-of.part-of.part-of.status=x",
    ] {
        refused("Observation", query);
    }
}

#[test]
fn has_goes_back_over_a_reference_to_any_depth() {
    let plan = parse(
        "Patient",
        "_has:Observation:patient:_has:AuditEvent:entity:agent=x",
    )
    .unwrap();
    let filter = &plan.filters[0];
    assert_eq!(
        (filter.param.base.name(), filter.param.code),
        ("Observation", "patient")
    );
    let Test::Has(inner) = &filter.test else {
        panic!()
    };
    assert!(matches!(inner.test, Test::Has(_)));
    let plan = parse("Observation", "subject:Patient._has:Group:member:_id=x").unwrap();
    assert!(plan.leads_on());
    for query in [
        "_has:Observation:patient=x",
        "_has:Observation:code:status=x",
        "_has:Ghost:patient:code=x",
        "_has:Coverage:class-type:status=active",
        "_has:Group:managing-entity:code=x",
        "_has:Observation:ghost:code=x",
    ] {
        refused("Patient", query);
    }
    let list = parse("Patient", "_list=a,List/b").unwrap();
    assert_eq!(list.filters[0].param.base.name(), "List");
}

#[test]
fn includes_follow_further_and_take_stars() {
    let plan = parse(
        "Observation",
        "_include=*&_include:iterate=Patient:organization&_include=Observation:*:Patient&_revinclude:iterate=Provenance:target",
    )
    .unwrap();
    let observation = Kind::named("Observation").unwrap();
    assert_eq!(plan.include[0].source, Some(observation));
    assert!(plan.include[0].params(observation).len() > 5);
    assert!(plan.include[1].iterate && !plan.include[2].iterate);
    let to_patients = plan.include[2].params(observation);
    assert!(to_patients.iter().any(|param| param.code == "patient"));
    assert!(to_patients.iter().all(|param| param.code != "encounter"));
    assert!(plan.revinclude[0].iterate);
}

#[test]
fn a_search_over_some_types_has_the_parameters_of_all_of_them() {
    let parse = |query: &str| Plan::parse(None, &pairs(query), ParseOptions::default());
    let plan = parse("_type=Patient,Practitioner&family=x&_elements=name").unwrap();
    assert_eq!(plan.kinds, Kinds::of(&["Patient", "Practitioner"]));
    assert!(parse("_type=Patient,Observation&family=x").is_err());
    assert!(parse("_type=Ghost").is_err());
    assert!(parse("_type=Patient&_type=Group").is_err());
    refused("Patient", "_type=Patient");
}

#[test]
fn a_compartment_is_any_of_its_parameters() {
    let mut plan = parse("Observation", "code=x").unwrap();
    let id = Id::parse("a").unwrap();
    assert!(plan.within(Kind::named("Patient").unwrap(), &id));
    let Test::Any(any) = &plan.filters[1].test else {
        panic!()
    };
    assert_eq!(any.len(), 2);
    assert!(!plan.within(Kind::named("Organization").unwrap(), &id));
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
