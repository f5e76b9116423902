//! The values of filters: alternatives, escapes, and each type's own form.

use super::{
    filter::{
        DateTest, Defined, Filter, Prefix, ReferenceTest, StringTest, Test, TokenTest, UriTest,
    },
    fold::{fold, words},
    implied::{Systems, systems},
    kin::{self, Kin},
    near::NearTest,
    number::{NumberTest, QuantityTest, UnitTest},
    params::{CONTENT, ID, LAST_UPDATED, Param, ParamType, SECURITY, TEXT},
    path::Leaf,
    unit::{Scale, UCUM},
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
        return missing(param, value);
    }
    let values = alternatives(value)?;
    match (param.kind, modifier) {
        (ParamType::Token, modifier) => tokens(param, modifier, &values),
        (ParamType::Date, None) if param.code == LAST_UPDATED => {
            Ok(Test::LastUpdated(each(&values, date)?))
        }
        (ParamType::Date, None) => Ok(Test::Date(each(&values, date)?)),
        (ParamType::String, None) if [TEXT, CONTENT].contains(&param.code) => {
            Ok(Test::Words(each(&values, |value| {
                match words(&unescape(value)) {
                    words if words.is_empty() => Err(Invalid("an empty value matches nothing")),
                    words => Ok(words),
                }
            })?))
        }
        (ParamType::String, None | Some("exact" | "contains"))
            if ![TEXT, CONTENT].contains(&param.code) =>
        {
            Ok(Test::String(each(&values, |value| {
                string(modifier, value)
            })?))
        }
        (ParamType::Reference, Some("identifier")) => Ok(Test::Identifier(each(&values, token)?)),
        (ParamType::Reference, Some(way @ ("above" | "below"))) => {
            kin(param, way == "below", &values, base)
        }
        (ParamType::Reference, modifier) => {
            let kinds = reference_kinds(param, modifier)?;
            let canonical = param.paths.iter().any(|path| path.leaf == Leaf::Canonical);
            let mut all = Vec::new();
            for value in values {
                let value = unescape(value);
                let test = reference(&value, kinds, modifier.is_some(), base);
                // The URL of a definition may look like an id.
                let also = canonical && matches!(test, ReferenceTest::Local { .. });
                all.push(test);
                all.extend(also.then(|| ReferenceTest::Elsewhere(value.into())));
            }
            Ok(Test::Reference(all))
        }
        (ParamType::Uri, None | Some("above" | "below")) => {
            let form = match modifier {
                None => UriTest::Exact,
                Some("below") => UriTest::Below,
                Some(_) => UriTest::Above,
            };
            Ok(Test::Uri(each(&values, |v| Ok(form(unescape(v).into())))?))
        }
        (ParamType::Number, None) => {
            let read = |value: &str| NumberTest::parse(value).ok_or(Invalid("must be a number"));
            Ok(Test::Number(each(&values, read)?))
        }
        (ParamType::Special, None) => Ok(Test::Near(each(&values, |value| {
            let form = "must be latitude|longitude|distance|units, with a unit of length";
            NearTest::parse(&split(value, '|')).ok_or(Invalid(form))
        })?)),
        (ParamType::Quantity, None) => Ok(Test::Quantity(each(&values, quantity)?)),
        (ParamType::Composite, None) => {
            let read = |value: &str| composite(param, value, base);
            Ok(Test::Composite(each(&values, read)?))
        }
        (_, Some(modifier)) if MODIFIERS.contains(&modifier) => {
            Err(Unsupported("this modifier on this parameter"))
        }
        _ => Err(Invalid("no such modifier in FHIR R4 for this parameter")),
    }
}

fn missing(param: &Param, value: &str) -> Result<Test, ValueFault> {
    // What every record has, or what is made of others.
    let never = [ID, LAST_UPDATED].contains(&param.code) || param.kind == ParamType::Composite;
    if never {
        return Err(Unsupported("the modifier :missing on this parameter"));
    }
    match value {
        "true" => Ok(Test::Missing(true)),
        "false" => Ok(Test::Missing(false)),
        _ => Err(Invalid("with :missing the value must be true or false")),
    }
}

fn tokens(
    param: &'static Param,
    modifier: Option<&str>,
    values: &[&str],
) -> Result<Test, ValueFault> {
    if param.code == ID {
        return match modifier {
            None => {
                let ids = values.iter().map(|value| unescape(value));
                Ok(Test::Id(ids.filter_map(|id| Id::parse(&id)).collect()))
            }
            Some(modifier) if MODIFIERS.contains(&modifier) => {
                Err(Unsupported("this modifier on this parameter"))
            }
            Some(_) => Err(Invalid("no such modifier in FHIR R4 for this parameter")),
        };
    }
    let said = || -> Result<Test, ValueFault> {
        let systems = systems(param);
        let tests = each(values, token)?.into_iter();
        if param.code == SECURITY && tests.as_slice().iter().any(is_handling) {
            return Err(Unsupported("a search for what was taken out"));
        }
        Ok(Test::Token(
            tests.flat_map(|test| systems.said(test)).collect(),
        ))
    };
    Ok(match modifier {
        None => said()?,
        Some("not") => Test::Not(Box::new(said()?)),
        Some("text" | "of-type") if param.code == SECURITY => {
            return Err(Unsupported("this modifier on this parameter"));
        }
        Some("text") if !matches!(systems(param), Systems::Said) => {
            return Err(Unsupported("the modifier :text on what has no text"));
        }
        Some("text") => Test::TokenText(each(values, |value| match fold(&unescape(value)) {
            text if text.is_empty() => Err(Invalid("an empty value matches nothing")),
            text => Ok(text),
        })?),
        Some("of-type") => Test::OfType(each(values, of_type)?),
        Some("in") => Test::Defined(each(values, |value| {
            Ok(Defined::In(unescape(value).into()))
        })?),
        Some("not-in") => {
            let sets = each(values, |value| Ok(Defined::In(unescape(value).into())))?;
            Test::Not(Box::new(Test::Defined(sets)))
        }
        Some("below") => Test::Defined(each(values, |value| {
            let (system, code) = coded(value)?;
            Ok(Defined::Below(system, code))
        })?),
        Some("above") => Test::Defined(each(values, |value| {
            let (system, code) = coded(value)?;
            Ok(Defined::Above(system, code))
        })?),
        Some(modifier) if MODIFIERS.contains(&modifier) => {
            return Err(Unsupported("this modifier on this parameter"));
        }
        Some(_) => return Err(Invalid("no such modifier in FHIR R4 for this parameter")),
    })
}

/// The system of `REDACTED`.
const OBSERVATION_VALUE: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue";

/// Whether a label is asked for that says what was done to the answer, not what the record reveals: no
/// column holds it.
pub(super) fn is_handling(test: &TokenTest) -> bool {
    match (&test.system, &test.code) {
        (Some(Some(system)), _) if **system == *OBSERVATION_VALUE => true,
        (None, Some(code)) => &**code == "REDACTED",
        _ => false,
    }
}

/// `system|code`, both given.
fn coded(value: &str) -> Result<(Box<str>, Box<str>), ValueFault> {
    match token(value)? {
        TokenTest {
            system: Some(Some(system)),
            code: Some(code),
        } => Ok((system, code)),
        _ => Err(Invalid("this modifier takes system|code")),
    }
}

/// `system|code|value` of an identifier: the type's system and code, and the value.
fn of_type(value: &str) -> Result<TokenTest, ValueFault> {
    match *split(value, '|').as_slice() {
        [system, code, value] if ![system, code, value].contains(&"") => Ok(TokenTest {
            system: Some(Some(type_of(&unescape(system), &unescape(code)))),
            code: Some(unescape(value).into()),
        }),
        _ => Err(Invalid("with :of-type the value is system|code|value")),
    }
}

/// The type of an identifier as one text.
pub(super) fn type_of(system: &str, code: &str) -> Box<str> {
    format!("{system}|{code}").into()
}

/// `number`, `number|system|code` or `number||unit`, with a prefix.
fn quantity(value: &str) -> Result<QuantityTest, ValueFault> {
    const FORM: ValueFault =
        Invalid("a quantity is number, number|system|code or number||unit, with a prefix");
    let parts = split(value, '|');
    let (number, system, code) = match *parts.as_slice() {
        [number] => (number, "", ""),
        [number, system, code] => (number, system, code),
        _ => return Err(FORM),
    };
    let number = NumberTest::parse(number).ok_or(FORM)?;
    let (system, code) = (unescape(system), unescape(code));
    let unit = match (&*system, &*code) {
        ("", "") => UnitTest::Any,
        ("", unit) => UnitTest::Said(unit.into()),
        (_, "") => return Err(FORM),
        (UCUM, code) => match Scale::of(code) {
            Some(scale) => {
                return Ok(QuantityTest {
                    number: number.on(|value| scale.put(value)),
                    unit: UnitTest::Scaled(scale.dimension),
                });
            }
            None => UnitTest::Coded(UCUM.into(), code.into()),
        },
        (system, code) => UnitTest::Coded(system.into(), code.into()),
    };
    Ok(QuantityTest { number, unit })
}

/// `part$part`, each as its own parameter reads it.
fn composite(
    param: &'static Param,
    value: &str,
    base: Option<&str>,
) -> Result<Vec<Filter>, ValueFault> {
    let values = split(value, '$');
    if values.len() != param.parts.len() {
        return Err(Invalid("a composite is its parts with $ between them"));
    }
    let parts = param.of_parts().zip(values).map(|((param, _), value)| {
        let test = test(param, None, value, base)?;
        Ok(Filter { param, test })
    });
    parts.collect()
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

/// A type in the value says which is meant, also one that the definition doesn't foresee; a modifier
/// says which may be.
/// `:above` and `:below`.
fn kin(
    param: &Param,
    below: bool,
    values: &[&str],
    base: Option<&str>,
) -> Result<Test, ValueFault> {
    let trees = param.targets.both(*kin::KINDS);
    if trees.is_empty() || param.targets == Kinds::ALL {
        return Err(Unsupported("this modifier on this parameter"));
    }
    let mut all = Vec::new();
    for value in values {
        let ReferenceTest::Local { kinds, id } = reference(&unescape(value), trees, true, base)
        else {
            return Err(Invalid(
                "with this modifier the value must be a record here",
            ));
        };
        let one = |kind| Kin {
            kind,
            id: id.clone(),
            below,
        };
        all.extend(kinds.iter().map(one));
    }
    Ok(Test::Kin(all))
}

fn reference(value: &str, kinds: Kinds, is_typed: bool, base: Option<&str>) -> ReferenceTest {
    if let Some(id) = Id::parse(value) {
        return ReferenceTest::Local { kinds, id };
    }
    match Target::parse(value, base) {
        Target::Local(key) => {
            let named = Kinds::NONE.with(key.kind);
            ReferenceTest::Local {
                kinds: if is_typed { kinds.both(named) } else { named },
                id: key.id,
            }
        }
        // What is inside a record can't be named from outside.
        Target::Contained(_) => ReferenceTest::Elsewhere(Box::default()),
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
        assert_eq!(one("Practitioner/a"), local(&["Practitioner"]));
        assert_eq!(one("#a"), ReferenceTest::Elsewhere("".into()));
        let typed = read("Observation", "subject", Some("Patient"), "Group/a");
        let Ok(Test::Reference(typed)) = typed else {
            panic!("{typed:?}")
        };
        assert_eq!(typed, [local(&[])]);
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
            ("Patient", "_content", None, " - "),
            ("Patient", "identifier", Some("of-type"), "s|c"),
            ("Observation", "code", Some("below"), "c"),
            ("Observation", "value-quantity", None, "5|mg"),
            ("Observation", "value-quantity", None, "mg"),
            ("Observation", "value-quantity", None, "5|s|"),
            ("Observation", "code-value-quantity", None, "a"),
            ("Observation", "code-value-quantity", None, "a$b$c"),
            ("Observation", "code-value-quantity", None, "a$b"),
            ("RiskAssessment", "probability", None, "x"),
        ] {
            let read = read(kind, code, modifier, value);
            assert!(matches!(read, Err(Invalid(_))), "{code} {value} {read:?}");
        }
        for (kind, code, modifier, value) in [
            ("Observation", "date", Some("not"), "2026"),
            ("Observation", "value-string", Some("text"), "x"),
            ("Observation", "encounter", Some("below"), "x"),
            ("Observation", "_id", Some("not"), "x"),
            (
                "Observation",
                "code-value-quantity",
                Some("missing"),
                "true",
            ),
        ] {
            let read = read(kind, code, modifier, value);
            assert!(matches!(read, Err(Unsupported(_))), "{code} {read:?}");
        }
        let many = vec!["a"; ALTERNATIVES + 1].join(",");
        assert!(read("Observation", "code", None, &many).is_err());
    }

    #[test]
    fn quantities_and_composites_are_read_by_their_parts() {
        let unit = |value: &str| match read("Observation", "value-quantity", None, value) {
            Ok(Test::Quantity(mut tests)) => tests.pop().unwrap().unit,
            other => panic!("{other:?}"),
        };
        assert_eq!(unit("5.4"), UnitTest::Any);
        assert_eq!(unit("gt5.4||mg"), UnitTest::Said("mg".into()));
        assert_eq!(
            unit("5|http://x|y"),
            UnitTest::Coded("http://x".into(), "y".into())
        );
        assert_eq!(
            unit("5|http://unitsofmeasure.org|mg"),
            UnitTest::Scaled("g1".into())
        );
        assert_eq!(
            unit("5|http://unitsofmeasure.org|TAB"),
            UnitTest::Coded(UCUM.into(), "TAB".into())
        );
        let composite = read(
            "Observation",
            "code-value-quantity",
            None,
            "s|a\\$b$gt5||mg,x$1",
        );
        let Ok(Test::Composite(any)) = composite else {
            panic!("{composite:?}")
        };
        assert_eq!((any.len(), any[0].len()), (2, 2));
        let Test::Token(code) = &any[0][0].test else {
            panic!()
        };
        assert_eq!(code[0].code.as_deref(), Some("a$b"));
    }

    #[test]
    fn a_plus_sign_that_became_a_space_is_a_plus_sign() {
        let plain = read("Observation", "date", None, "ge2026-03-07T00:00:00+01:00").unwrap();
        let spaced = read("Observation", "date", None, "ge2026-03-07T00:00:00 01:00").unwrap();
        assert_eq!(plain, spaced);
    }
}
