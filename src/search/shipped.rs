//! The value sets and code systems of R4 itself, as compact tables: what `:in` and its kin read where
//! no such definition is stored (<https://hl7.org/fhir/R4/terminologies-valuesets.html>).

use super::terms::{Definition, Need};
use crate::fhir::canonical;

const VALUE_SETS: &str = include_str!("../../profiles/r4/value-sets.tsv");
const CODE_SYSTEMS: &str = include_str!("../../profiles/r4/code-systems.tsv");

/// What R4 defines by that name; with a version only where it is that one.
pub fn shipped(need: &Need) -> Option<Definition> {
    let (table, name) = match need {
        Need::ValueSet(name) => (VALUE_SETS, name),
        Need::CodeSystem(name) => (CODE_SYSTEMS, name),
        Need::Kin(_) => return None,
    };
    let (url, version) = canonical(name);
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.split('\t').next() == Some(url))
        .map(|line| line.split('\t').collect())
        .collect();
    let said = rows.first()?.get(1)?;
    if version.is_some_and(|version| version != *said) {
        return None;
    }
    match need {
        Need::ValueSet(_) => Some(Definition::of_set(rows.iter().map(Vec::as_slice))),
        _ => rows.first().and_then(|row| Definition::of_system(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{
        filter::{Defined, Test},
        params::param,
        plan::Plan,
        terms::{Library, Unclear},
    };
    use crate::{fhir::Kind, search::ParseOptions};

    fn asked(kind: &str, name: &str, value: &str) -> Result<Vec<String>, Unclear> {
        let pairs = [(name.to_owned(), value.to_owned())];
        let mut plan =
            Plan::parse(Kind::named(kind), &pairs, ParseOptions::default()).expect("a query");
        let mut library = Library::default();
        loop {
            match plan.define(&library) {
                Err(Unclear::Needs(need)) => {
                    let found = shipped(&need);
                    library.put(need, found);
                }
                Err(other) => return Err(other),
                Ok(()) => break,
            }
        }
        let Test::Token(tests) = &plan.filters[0].test else {
            panic!("{plan:?}")
        };
        let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or("*").to_owned();
        let said = tests.iter().map(|test| {
            format!(
                "{}|{}",
                text(&test.system.clone().flatten()),
                text(&test.code)
            )
        });
        Ok(said.collect())
    }

    #[test]
    fn r4_s_own_value_sets_are_read() {
        let codes = asked(
            "Observation",
            "code:in",
            "http://hl7.org/fhir/ValueSet/observation-vitalsignresult",
        );
        assert!(codes.unwrap().contains(&"http://loinc.org|8867-4".into()));
        // Of a code element: its own system, said by none.
        let gender = "http://hl7.org/fhir/ValueSet/administrative-gender";
        assert_eq!(asked("Patient", "gender:in", gender).unwrap(), ["*|*"]);
        assert_eq!(
            asked("Patient", "gender:in", &format!("{gender}|4.0.1"))
                .unwrap()
                .len(),
            1
        );
        assert!(asked("Patient", "gender:in", &format!("{gender}|3.0.1")).is_err());
        // By hierarchy and by another value set.
        let encounter = "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode";
        let codes = asked("Encounter", "class:in", encounter).unwrap();
        assert!(
            codes.iter().any(|code| code.ends_with("ActCode|AMB")),
            "{codes:?}"
        );
        assert!(!codes.iter().any(|code| code.ends_with("|BREACH")));
        // SNOMED CT's hierarchy is not here.
        let snomed = "http://hl7.org/fhir/ValueSet/procedure-code";
        assert!(
            matches!(
                asked(
                    "Procedure",
                    "code:in",
                    "http://hl7.org/fhir/ValueSet/procedure-code"
                ),
                Err(Unclear::Because(_))
            ),
            "{snomed}"
        );
    }

    #[test]
    fn codes_below_are_those_of_r4_s_code_systems() {
        let below = asked(
            "Encounter",
            "class:below",
            "http://terminology.hl7.org/CodeSystem/v3-ActCode|_ActEncounterCode",
        );
        assert!(below.unwrap().len() > 8);
        assert!(asked("Encounter", "class:below", "http://x|y").is_err());
    }

    #[test]
    fn every_row_is_read_and_most_sets_can_be_told() {
        let urls: std::collections::BTreeSet<&str> = VALUE_SETS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split('\t').next())
            .collect();
        let code = param(Kind::named("Observation").unwrap(), "code").unwrap();
        let (mut told, mut missing) = (0, std::collections::BTreeSet::new());
        for url in &urls {
            let mut library = Library::default();
            let mut test = Test::Defined(vec![Defined::In((*url).into())]);
            let done = loop {
                let mut plan = Plan::all(Some(code.base), ParseOptions::default());
                plan.filters.push(crate::search::Filter {
                    param: code,
                    test: test.clone(),
                });
                match plan.define(&library) {
                    Err(Unclear::Needs(need)) => {
                        let found = shipped(&need);
                        if let (None, Need::ValueSet(name)) = (&found, &need) {
                            missing.insert(name.clone());
                        }
                        library.put(need, found);
                    }
                    Err(Unclear::Because(_)) => break false,
                    Ok(()) => {
                        test = plan.filters.remove(0).test;
                        break true;
                    }
                }
            };
            told += usize::from(done && matches!(test, Test::Token(_)));
        }
        // Those that R4 names without defining them.
        assert!(missing.len() < 8, "{missing:?}");
        assert!(urls.len() > 1_200, "{}", urls.len());
        assert!(told * 10 > urls.len() * 9, "{told} of {}", urls.len());
    }
}
