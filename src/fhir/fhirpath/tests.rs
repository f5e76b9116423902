use super::*;
use crate::fhir::{
    Node, Resource,
    json::{Limits, parse},
};

const PATIENT: &str = r##"{"resourceType":"Patient","id":"p","active":true,
    "contained":[{"resourceType":"Organization","id":"o","name":"Org"}],
    "extension":[{"url":"http://x/e","valueString":"said"}],
    "name":[{"use":"official","family":"Chalmers","given":["Peter","James"]},
            {"use":"usual","given":["Jim"]},
            {"use":"maiden","family":"Windsor","given":["Peter","James"]}],
    "gender":"male","birthDate":"1974-12-25",
    "_birthDate":{"extension":[{"url":"http://x/time","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
    "deceasedBoolean":false,
    "managingOrganization":{"reference":"#o"},
    "generalPractitioner":[{"reference":"Practitioner/a"},{"type":"Organization","identifier":{"value":"1"}}],
    "multipleBirthInteger":2}"##;

const OBSERVATION: &str = r#"{"resourceType":"Observation","status":"final",
    "code":{"coding":[{"system":"http://loinc.org","code":"29463-7"}]},
    "valueQuantity":{"value":185.0,"unit":"lbs","system":"http://unitsofmeasure.org","code":"[lb_av]"},
    "component":[{"valueQuantity":{"value":1}},{"valueString":"x"},{"_valueString":{"id":"a"}}]}"#;

fn tree(text: &str) -> Node {
    parse(text.as_bytes(), Limits::default()).unwrap()
}

fn run(text: &str, expression: &str) -> Result<String, EvalError> {
    let root = tree(text);
    let expression = Expression::compile(expression).unwrap();
    let environment = Environment::of(&root).when(1_700_000_000_000_000, 0);
    let items = expression.evaluate(&environment)?;
    let words = items.iter().map(|item| match item {
        Item::Value(value) => String::from_utf8(value.json()).unwrap(),
        Item::Element(element) => match element.node() {
            Some(node) => String::from_utf8(node.slice(text.as_bytes()).to_vec()).unwrap(),
            None => format!("<{}>", element.kind().name()),
        },
    });
    Ok(words.collect::<Vec<_>>().join(";"))
}

fn all(text: &str, cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(
            run(text, expression).as_deref(),
            Ok(*expected),
            "{expression}"
        );
    }
}

fn truths(cases: &[&str]) {
    for expression in cases {
        assert_eq!(
            run(PATIENT, expression).as_deref(),
            Ok("true"),
            "{expression}"
        );
    }
}

#[test]
fn paths_lead_to_elements() {
    all(
        PATIENT,
        &[
            (
                "Patient.name.given",
                r#""Peter";"James";"Jim";"Peter";"James""#,
            ),
            ("name.where(use = 'usual').given", r#""Jim""#),
            ("name[1].given.first()", r#""Jim""#),
            ("Observation.status", ""),
            ("DomainResource.id | Resource.id", r#""p""#),
            (
                "birthDate.extension('http://x/time').value",
                r#""1974-12-25T14:35:45-05:00""#,
            ),
            ("extension.value", r#""said""#),
            ("multipleBirth", "2"),
            (
                "Patient.deceased.exists() and Patient.deceased != false",
                "false",
            ),
            ("name.given.distinct().count()", "3"),
            (
                "name.select(given.count()).aggregate($this + $total, 0)",
                "5",
            ),
            ("name.given.select($index)", "0;1;2;3;4"),
            ("name.tail().family", r#""Windsor""#),
            ("children().count()", "14"),
            ("descendants().where($this is Extension).count()", "2"),
            ("%resource.id & %rootResource.id & %context.id", r#""ppp""#),
            (
                "%`vs-administrative-gender`",
                r#""http://hl7.org/fhir/ValueSet/administrative-gender""#,
            ),
            ("`name`.family.last()", r#""Windsor""#),
        ],
    );
    all(
        OBSERVATION,
        &[
            ("Observation.value.unit", r#""lbs""#),
            ("(Observation.value as Quantity).value", "185.0"),
            (
                "Observation.component.value.ofType(string)",
                r#""x";<string>"#,
            ),
            ("Observation.component.value.as(Quantity).value", "1"),
            ("component.value.count()", "3"),
            (
                "component.where(value.exists() and value.hasValue().not() and value is string).value.id",
                r#""a""#,
            ),
            ("value > 180 '[lb_av]'", "true"),
            ("value = 185 '[lb_av]'", "true"),
        ],
    );
}

#[test]
fn elements_know_their_place() {
    let resource = Resource::ours(PATIENT).unwrap();
    let expression =
        Expression::compile("descendants().where($this = 'Windsor' or $this = 'said')");
    let expression = expression.unwrap();
    let items = expression
        .evaluate(&Environment::of(resource.root()))
        .unwrap();
    let words: Vec<_> = items
        .iter()
        .map(|item| {
            let path = item.element().unwrap().path(resource.root()).unwrap();
            path.words(resource.root())
        })
        .collect();
    assert_eq!(words, ["extension[0].valueString", "name[2].family"]);
    let other = tree(PATIENT);
    assert_eq!(items[0].element().unwrap().path(&other), None);
}

#[test]
fn operators_bind_as_the_grammar_says() {
    truths(&[
        "1 + 2 * 3 = 7",
        "-1.abs() = -1",
        "2 * 3 + 4 div 3 = 7",
        "1 | 2 | 1 = (1 | 2)",
        "(1 | 2 | 1).count() = 2",
        "true or false and false",
        "false implies false and false",
        "1 < 2 = true",
        "'a' & {} & 'b' = 'ab'",
        "2 in (1 | 2) and (1 | 2) contains 2",
        "('a' in ('b' | 'c')).not()",
        "1 is Integer and 1.0 is System.Decimal",
        "7 mod 5 = 2 and 7.5 div 2 = 3 and 7 / 2 = 3.5",
        "0.1 + 0.2 = 0.3",
        "1.50 = 1.5 /* same */ // and no more",
    ]);
}

#[test]
fn what_is_not_known_is_empty() {
    all(
        PATIENT,
        &[
            ("{} = 1", ""),
            ("1 / 0", ""),
            ("@2012 = @2012-01", ""),
            ("@2012 < @2013-01", "true"),
            ("true and {}", ""),
            ("false and {}", "false"),
            ("true or {}", "true"),
            ("{} or false", ""),
            ("{} implies true", "true"),
            ("true implies {}", ""),
            ("{} xor true", ""),
            ("{}.not()", ""),
            ("{}.all($this)", "true"),
        ],
    );
    assert_eq!(
        run(PATIENT, "name.family.length()"),
        Err(EvalError::NotSingle)
    );
    assert_eq!(
        run(PATIENT, "name.given = 'x' and name.given"),
        Ok("false".into())
    );
    assert_eq!(run(PATIENT, "'a' < 1"), Err(EvalError::Type));
    assert_eq!(run(PATIENT, "%ghost"), Err(EvalError::Variable));
    assert_eq!(
        run(PATIENT, "gender.memberOf('x')"),
        Err(EvalError::Outside)
    );
}

#[test]
fn strings_dates_and_quantities_have_their_functions() {
    truths(&[
        "'abcdefg'.substring(3, 2) = 'de' and 'abc'.substring(9).empty()",
        "'äbc'.indexOf('c') = 2 and 'abc'.indexOf('x') = -1",
        "'abc'.matches('^[a-c]+$') and 'a\\nb'.matches('a.b')",
        "'01/02'.replaceMatches('(\\\\d+)/(\\\\d+)', '$2-$1') = '02-01'",
        "'a,b'.split(',').join(';') = 'a;b' and 'abc'.toChars().count() = 3",
        "'Abc' ~ 'aBC' and 'Abc' != 'abc'",
        "birthDate = @1974-12-25 and birthDate < @1975",
        "@2012-04-15 + 1 month = @2012-05-15 and @2012-01-31 + 1 month = @2012-02-29",
        "@2012-04-15T10:00:00Z = @2012-04-15T12:00:00+02:00",
        "today() = @2023-11-14 and now() > @2023-11-14T22:13:19Z",
        "1 'kg' = 1000 'g' and 4 days = 96 hours and 1 week = 7 'd'",
        "(1 year = 1 'a').empty() and 1 year = 12 months",
        "5 'mg' / 2 = 2.5 'mg' and '5 mg'.toQuantity().empty() and '5 \\'mg\\''.toQuantity() = 5 'mg'",
        "'1.50'.toDecimal() = 1.5 and '1.5'.toInteger().empty() and true.toInteger() = 1",
        "'2014-12'.toDate() = @2014-12 and 'x'.convertsToDate().not()",
        "iif(name.count() > 1, 'many', 'one') = 'many'",
        "16.sqrt() = 4 and 2.power(3) = 8 and (-1.5).round() = -2 and 1.2.ceiling() = 2",
        "(1 | 2 | 3).subsetOf(1 | 2 | 3 | 4) and (1 | 2).intersect(2 | 3) = 2",
        "name.repeat(given).count() = 3",
        "'http://x/e' in extension.url and hasExtension('http://x/e')",
    ]);
}

#[test]
fn types_are_those_of_fhir() {
    truths(&[
        "Patient.gender is code and Patient.gender.is(FHIR.string)",
        "(Patient.gender is System.String).not()",
        "Patient is DomainResource and (Patient is Observation).not()",
        "name.first() is HumanName and contained.first() is Organization",
        "multipleBirth is integer and deceased is boolean",
        "managingOrganization.resolve() is Organization and managingOrganization.resolve().name = 'Org'",
        "generalPractitioner.where(resolve() is Practitioner).count() = 1",
        "generalPractitioner.where(resolve() is Organization).identifier.value = '1'",
        "birthDate.hasValue() and name.first().hasValue().not()",
    ]);
}

#[test]
fn what_is_no_expression_is_refused() {
    let fault = |text: &str| Expression::compile(text).unwrap_err().fault;
    for text in ["", "a.", "a +", "(a", "'a", "a.empty(", "{", "/* a"] {
        assert_eq!(fault(text), CompileFault::End, "{text}");
    }
    for text in ["a b", "a..b", ")", "and", "a.1", "#", "$that"] {
        assert_eq!(fault(text), CompileFault::Syntax, "{text}");
    }
    assert_eq!(fault("ghost()"), CompileFault::Function);
    assert_eq!(fault("empty(1)"), CompileFault::Arguments);
    assert_eq!(fault("a is Ghost.Thing.Deep"), CompileFault::Type);
    assert_eq!(fault("@2012-13"), CompileFault::Literal);
    assert_eq!(fault(&"(".repeat(5000)), CompileFault::Depth);
    assert_eq!(fault(&"-".repeat(5000)), CompileFault::Depth);
    assert_eq!(
        fault(&format!("a{}", ".a".repeat(5000))),
        CompileFault::Depth
    );
    assert_eq!(fault(&" ".repeat(20_000)), CompileFault::Long);
    assert_eq!(fault("a.where(ghost())"), CompileFault::Function);
    assert_eq!(Expression::compile("a.where(ghost())").unwrap_err().at, 8);
}

#[test]
fn the_deepest_expressions_fit_the_stack() {
    let nested = |start: &str, open: &str, close: &str, times: usize| {
        format!("{}{start}{}", open.repeat(times), close.repeat(times))
    };
    let deepest = |start: &str, open: &str, close: &str| {
        let texts = (1..200).map(|times| nested(start, open, close, times));
        let fit = texts.take_while(|text| Expression::compile(text).is_ok());
        fit.last().unwrap()
    };
    for (start, open, close) in [
        ("true", "where(", ")"),
        ("1", "(count() + ", ")"),
        ("true", "iif(true, ", ")"),
        ("true", "all(select(", "))"),
        ("1", "-(", ")"),
    ] {
        assert!(run(PATIENT, &deepest(start, open, close)).is_ok(), "{open}");
    }
}

#[test]
fn evaluation_ends() {
    let hang = "descendants()".to_owned() + &".select(%resource.descendants())".repeat(9);
    assert_eq!(run(PATIENT, &hang), Err(EvalError::Steps));
    assert_eq!(
        run(PATIENT, "repeat(%resource.id & $this.toString() & 'x')"),
        Err(EvalError::Steps)
    );
    let grows = "descendants().aggregate($total & $total & 'abcdefgh', 'a')";
    assert_eq!(run(PATIENT, grows), Err(EvalError::Steps));
    assert_eq!(run(PATIENT, "'a'.matches('(')"), Err(EvalError::Pattern));
    let compiling: Vec<_> = (0..50).map(|n| format!("'a'.matches('a{n}')")).collect();
    assert_eq!(run(PATIENT, &compiling.join(" or ")), Err(EvalError::Steps));
    let pattern = "('a{' & '9999' & '}{9999}')";
    assert_eq!(
        run(PATIENT, &format!("'a'.matches({pattern})")),
        Err(EvalError::Pattern)
    );
}
