//! The values of filters: alternatives, escapes, and each type's own form.

use super::{
    filter::{DateTest, Prefix, ReferenceTest, StringTest, Test, TokenTest},
    fold::fold,
    params::{ID, LAST_UPDATED, Param, ParamType},
};
use crate::fhir::{Id, Interval, Kind, Kinds, Target};

pub use super::leaf::ZONE;

/// Most alternatives in one parameter.
pub const ALTERNATIVES: usize = 1_000;

/// Why a value can't be read. The text never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueFault {
    /// The standard knows it, we don't yet.
    Unsupported(&'static str),
    /// Not a value of this parameter.
    Invalid(&'static str),
}

use ValueFault::{Invalid, Unsupported};

/// Modifiers of R4 (<https://hl7.org/fhir/R4/search.html#modifiers>).
const MODIFIERS: [&str; 13] = [
    "missing",
    "exact",
    "contains",
    "text",
    "not",
    "above",
    "below",
    "in",
    "not-in",
    "of-type",
    "identifier",
    "iterate",
    "recurse",
];

/// Reads the test that `value` asks of a parameter.
pub(super) fn test(
    param: &'static Param,
    modifier: Option<&str>,
    value: &str,
    base: Option<&str>,
) -> Result<Test, ValueFault> {
    if modifier == Some("missing") {
        if [ID, LAST_UPDATED].contains(&param.code) {
            return Err(Unsupported("the modifier :missing on this parameter"));
        }
        return match value {
            "true" => Ok(Test::Missing(true)),
            "false" => Ok(Test::Missing(false)),
            _ => Err(Invalid("with :missing the value must be true or false")),
        };
    }
    let values = alternatives(value)?;
    match (param.kind, modifier) {
        (ParamType::Token, None) if param.code == ID => Ok(Test::Id(
            values
                .iter()
                .filter_map(|v| Id::parse(&unescape(v)))
                .collect(),
        )),
        (ParamType::Date, None) if param.code == LAST_UPDATED => {
            Ok(Test::LastUpdated(each(&values, date)?))
        }
        (ParamType::Token, Some("not")) if param.code != ID => {
            Ok(Test::NotToken(each(&values, token)?))
        }
        (ParamType::Token, None) => Ok(Test::Token(each(&values, token)?)),
        (ParamType::Date, None) => Ok(Test::Date(each(&values, date)?)),
        (ParamType::String, None | Some("exact" | "contains")) => {
            Ok(Test::String(each(&values, |value| {
                string(modifier, value)
            })?))
        }
        (ParamType::Reference, modifier) => {
            let kinds = reference_kinds(param, modifier)?;
            let read = |value: &str| Ok(reference(&unescape(value), kinds, base));
            Ok(Test::Reference(each(&values, read)?))
        }
        (ParamType::Uri, None) => Ok(Test::Uri(each(&values, |v| Ok(unescape(v).into()))?)),
        (ParamType::Number | ParamType::Quantity, None) => {
            Err(Unsupported("search by a number or quantity"))
        }
        (_, Some(modifier)) if MODIFIERS.contains(&modifier) => {
            Err(Unsupported("this modifier on this parameter"))
        }
        _ => Err(Invalid("no such modifier in FHIR R4 for this parameter")),
    }
}

fn each<T>(
    values: &[&str],
    read: impl Fn(&str) -> Result<T, ValueFault>,
) -> Result<Vec<T>, ValueFault> {
    values.iter().map(|value| read(value)).collect()
}

/// The alternatives of a value, still escaped.
fn alternatives(value: &str) -> Result<Vec<&str>, ValueFault> {
    let values = split(value, ',');
    if values.iter().any(|value| value.is_empty()) {
        return Err(Invalid("an empty value matches nothing"));
    }
    if values.len() > ALTERNATIVES {
        return Err(Invalid("too many alternatives in one parameter"));
    }
    Ok(values)
}

/// Splits at a separator that no backslash precedes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|char| {
        let here = char == separator && !escaped;
        escaped = char == '\\' && !escaped;
        here
    })
    .collect()
}

/// Takes back the escapes `\,` `\$` `\|` `\\`; other backslashes are themselves.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let escape = char == '\\' && chars.peek().is_some_and(|next| ",$|\\".contains(*next));
        match escape {
            true => out.extend(chars.next()),
            false => out.push(char),
        }
    }
    out
}

fn token(value: &str) -> Result<TokenTest, ValueFault> {
    let parts = split(value, '|');
    let text = |part: &str| (!part.is_empty()).then(|| unescape(part).into_boxed_str());
    match *parts.as_slice() {
        [code] => Ok(TokenTest {
            system: None,
            code: text(code),
        }),
        [system, code] if !(system.is_empty() && code.is_empty()) => Ok(TokenTest {
            system: Some(text(system)),
            code: text(code),
        }),
        _ => Err(Invalid("a token is code, system|code, |code or system|")),
    }
}

fn date(value: &str) -> Result<DateTest, ValueFault> {
    let (prefix, text) = Prefix::split(value);
    // A plus sign in a query that was not encoded arrives as a space.
    let text = text.replace(' ', "+");
    let interval = Interval::of(&text, &ZONE);
    let interval = interval.ok_or(Invalid("the value must be a date or time"))?;
    Ok(DateTest { prefix, interval })
}

fn string(modifier: Option<&str>, value: &str) -> Result<StringTest, ValueFault> {
    let text = unescape(value);
    if modifier == Some("exact") {
        return Ok(StringTest::Exact(text.into()));
    }
    let folded = fold(&text);
    if folded.is_empty() {
        return Err(Invalid("an empty value matches nothing"));
    }
    Ok(match modifier {
        Some(_) => StringTest::Contains(folded),
        None => StringTest::Starts(folded),
    })
}

fn reference_kinds(param: &Param, modifier: Option<&str>) -> Result<Kinds, ValueFault> {
    let Some(name) = modifier else {
        return Ok(param.targets);
    };
    match Kind::named(name) {
        Some(kind) if param.targets.has(kind) => Ok(Kinds::NONE.with(kind)),
        Some(_) => Err(Invalid("this parameter never points at that type")),
        None if MODIFIERS.contains(&name) => Err(Unsupported("this modifier on a reference")),
        None => Err(Invalid("no such modifier in FHIR R4 for this parameter")),
    }
}

fn reference(value: &str, kinds: Kinds, base: Option<&str>) -> ReferenceTest {
    if let Some(id) = Id::parse(value) {
        return ReferenceTest::Local { kinds, id };
    }
    match Target::parse(value, base) {
        Target::Local(key) => ReferenceTest::Local {
            kinds: kinds.both(Kinds::NONE.with(key.kind)),
            id: key.id,
        },
        _ => ReferenceTest::Elsewhere(value.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::param;

    fn read(
        kind: &str,
        code: &str,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<Test, ValueFault> {
        let param = param(Kind::named(kind).unwrap(), code).unwrap();
        test(param, modifier, value, Some("https://here.example/fhir"))
    }

    #[test]
    fn escapes_are_taken_back_after_the_separators_are_found() {
        assert_eq!(split("a\\,b,c\\\\,d", ','), ["a\\,b", "c\\\\", "d"]);
        assert_eq!(unescape("a\\,b\\$\\|\\\\c\\d\\"), "a,b$|\\c\\d\\");
        let token = token("s\\|x|c\\|y").unwrap();
        assert_eq!(token.system, Some(Some("s|x".into())));
        assert_eq!(token.code.as_deref(), Some("c|y"));
    }

    #[test]
    fn every_form_of_a_reference_is_read() {
        let one = |value: &str| match read("Observation", "subject", None, value) {
            Ok(Test::Reference(mut tests)) => tests.pop().unwrap(),
            other => panic!("{other:?}"),
        };
        let local = |names: &[&str]| ReferenceTest::Local {
            kinds: Kinds::of(names),
            id: Id::parse("a").unwrap(),
        };
        assert_eq!(one("a"), local(&["Device", "Group", "Location", "Patient"]));
        assert_eq!(one("Patient/a"), local(&["Patient"]));
        assert_eq!(
            one("https://here.example/fhir/Patient/a"),
            local(&["Patient"])
        );
        assert_eq!(one("Practitioner/a"), local(&[]));
        let other = "https://else.example/Patient/a";
        assert_eq!(one(other), ReferenceTest::Elsewhere(other.into()));
    }

    #[test]
    fn what_cannot_be_read_is_invalid_or_said_to_be_unsupported() {
        for (kind, code, modifier, value) in [
            ("Observation", "code", None, ""),
            ("Observation", "code", None, "a,,b"),
            ("Observation", "code", None, "|"),
            ("Observation", "code", None, "a|b|c"),
            ("Observation", "code", Some("ghost"), "a"),
            ("Observation", "code", Some("missing"), "yes"),
            ("Observation", "date", None, "yesterday"),
            ("Observation", "date", None, "gt"),
            ("Observation", "subject", Some("Practitioner"), "a"),
            ("Observation", "subject", Some("ghost"), "a"),
            ("Patient", "name", None, " "),
        ] {
            let read = read(kind, code, modifier, value);
            assert!(matches!(read, Err(Invalid(_))), "{code} {value} {read:?}");
        }
        for (kind, code, modifier, value) in [
            ("Observation", "code", Some("in"), "x"),
            ("Observation", "code", Some("text"), "x"),
            ("Observation", "value-quantity", None, "5"),
            ("Observation", "subject", Some("identifier"), "x"),
            ("Observation", "_id", Some("not"), "x"),
        ] {
            let read = read(kind, code, modifier, value);
            assert!(matches!(read, Err(Unsupported(_))), "{code} {read:?}");
        }
        let many = vec!["a"; ALTERNATIVES + 1].join(",");
        assert!(read("Observation", "code", None, &many).is_err());
    }

    #[test]
    fn a_plus_sign_that_became_a_space_is_a_plus_sign() {
        let plain = read("Observation", "date", None, "ge2026-03-07T00:00:00+01:00").unwrap();
        let spaced = read("Observation", "date", None, "ge2026-03-07T00:00:00 01:00").unwrap();
        assert_eq!(plain, spaced);
    }
}
