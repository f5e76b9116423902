//! The system of a code that names none: an element of type `code` takes its codes from the value set
//! that R4 binds it to (<https://hl7.org/fhir/R4/search.html#token>). It is put in at the plan, so
//! that no index entry carries it.

use super::{
    filter::TokenTest,
    params::{Param, ParamType},
    path::Leaf,
};
use crate::fhir::{
    codes::{CODES, CodeSet, Members},
    schema::{SCHEMA, Shape},
};

/// The implicit system of `true` and `false`.
const BOOLEAN: &str = "http://hl7.org/fhir/special-values";

/// What the entries of a token parameter say of systems.
#[derive(Debug, Clone, Copy)]
pub(super) enum Systems {
    /// Each says its own, or that it has none.
    Said,
    /// None says one: all are codes of this set.
    Of(&'static CodeSet),
    /// None says one: all are `true` or `false`.
    Boolean,
    /// None says one, and there is none.
    None,
}

/// The systems of a parameter's entries.
pub(super) fn systems(param: &Param) -> Systems {
    if param.kind != ParamType::Token || param.paths.is_empty() {
        return Systems::Said;
    }
    let all = |of: &[Leaf]| param.paths.iter().all(|path| of.contains(&path.leaf));
    if all(&[Leaf::Boolean, Leaf::Moment]) {
        return Systems::Boolean;
    }
    if !all(&[Leaf::Text, Leaf::Uri, Leaf::Canonical, Leaf::ContactPoint]) {
        return Systems::Said;
    }
    let mut sets = param
        .paths
        .iter()
        .map(|path| bound(param, path.steps.iter().map(|step| step.name)));
    match sets.next().flatten() {
        Some(first) if sets.all(|set| set.is_some_and(|set| set.name == first.name)) => {
            Systems::Of(first)
        }
        _ => Systems::None,
    }
}

/// The value set of the element that the steps lead to.
fn bound<'s>(param: &Param, steps: impl Iterator<Item = &'s str>) -> Option<&'static CodeSet> {
    let mut owner = SCHEMA.resource(param.base);
    let mut set = None;
    for step in steps {
        let element = SCHEMA.element(owner?, step)?;
        owner = match element.shape {
            Shape::Complex(owner) | Shape::Reference(owner, _) => Some(owner),
            _ => None,
        };
        set = element.binding;
    }
    CODES.set(set?)
}

impl Systems {
    /// The tests of the entries themselves for one that may name a system.
    pub(super) fn said(self, test: TokenTest) -> Vec<TokenTest> {
        let Some(Some(system)) = &test.system else {
            return vec![test];
        };
        let of_none = |code: Option<Box<str>>| TokenTest {
            system: Some(None),
            code,
        };
        match self {
            Systems::Said | Systems::None => vec![test],
            Systems::Boolean if **system == *BOOLEAN => vec![of_none(test.code)],
            Systems::Boolean => vec![test],
            Systems::Of(set) => match &set.members {
                Members::Format(format) if format.is_system(system) => vec![of_none(test.code)],
                Members::Format(_) => vec![test],
                Members::Listed(systems) => {
                    let of = systems.iter().find(|(of, _)| *of == &**system);
                    match (of, &test.code) {
                        (None, _) => vec![test],
                        // Alone, so that whatever is there is of it.
                        (Some(_), _) if systems.len() == 1 => vec![of_none(test.code)],
                        (Some((_, codes)), Some(code)) => match codes.binary_search(&&**code) {
                            Ok(_) => vec![of_none(test.code)],
                            Err(_) => vec![test],
                        },
                        (Some((_, codes)), None) => {
                            let codes = codes.iter();
                            codes.map(|code| of_none(Some((*code).into()))).collect()
                        }
                    }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fhir::Kind, search::params::param};

    fn said(kind: &str, code: &str, system: &str, value: Option<&str>) -> Vec<String> {
        let param = param(Kind::named(kind).unwrap(), code).unwrap();
        let test = TokenTest {
            system: Some(Some(system.into())),
            code: value.map(Into::into),
        };
        let said = systems(param).said(test).into_iter().map(|test| {
            let text = |text: Option<Box<str>>| text.map_or("*".into(), String::from);
            let system = test.system.unwrap().map_or("none".into(), String::from);
            format!("{system} {}", text(test.code))
        });
        said.collect()
    }

    #[test]
    fn a_code_is_of_the_system_of_its_binding() {
        let gender = "http://hl7.org/fhir/administrative-gender";
        assert_eq!(
            said("Patient", "gender", gender, Some("male")),
            ["none male"]
        );
        assert_eq!(said("Patient", "gender", gender, None), ["none *"]);
        assert_eq!(said("Patient", "gender", "x", Some("male")), ["x male"]);
        let special = "http://hl7.org/fhir/special-values";
        assert_eq!(
            said("Patient", "active", special, Some("true")),
            ["none true"]
        );
        assert_eq!(
            said("Patient", "deceased", special, Some("true")),
            ["none true"]
        );
        assert_eq!(
            said(
                "DocumentReference",
                "contenttype",
                "urn:ietf:bcp:13",
                Some("text/plain")
            ),
            ["none text/plain"]
        );
        // Said by each coding.
        assert_eq!(
            said("Observation", "code", gender, Some("male")),
            [format!("{gender} male")]
        );
    }

    #[test]
    fn of_two_systems_each_has_its_own_codes() {
        let (task, request) = (
            "http://hl7.org/fhir/task-intent",
            "http://hl7.org/fhir/request-intent",
        );
        assert_eq!(said("Task", "intent", task, None), ["none unknown"]);
        assert_eq!(
            said("Task", "intent", request, Some("order")),
            ["none order"]
        );
        assert_eq!(
            said("Task", "intent", task, Some("order")),
            [format!("{task} order")]
        );
        assert!(said("Task", "intent", request, None).len() > 5);
    }

    #[test]
    fn nearly_every_code_has_a_system() {
        let text = |param: &&'static Param| {
            param.kind == ParamType::Token
                && !param.paths.is_empty()
                && param.paths.iter().all(|path| path.leaf == Leaf::Text)
        };
        let params = Kind::all().flat_map(crate::search::params::of).filter(text);
        let (some, none): (Vec<_>, Vec<_>) =
            params.partition(|param| matches!(systems(param), Systems::Of(_)));
        assert!(some.len() > 150, "{}", some.len());
        // What is defined by the record itself, and plain text.
        for param in none {
            let own = [
                "_id",
                "version",
                "code",
                "source-code",
                "target-code",
                "base-path",
                "path",
            ];
            let plain = [
                "altid",
                "site",
                "series",
                "instance",
                "lot-number",
                "monitoring-program-name",
                "source-cost",
                "response-id",
                "fhirversion",
            ];
            assert!(
                own.contains(&param.code) || plain.contains(&param.code),
                "{param:?}"
            );
        }
    }
}
