use super::*;

/// `expression: text` of every problem.
fn problems(text: &str) -> Vec<String> {
    let resource = Resource::ours(text.to_owned()).unwrap();
    let issues = check(&resource, CheckLimits::default());
    let words = |issue: Issue| format!("{}: {}", issue.expression.unwrap(), issue.text);
    issues.into_iter().map(words).collect()
}

fn one(text: &str, expected: &str) {
    assert_eq!(problems(text), [expected], "{text}");
}

#[test]
fn a_sound_resource_has_no_problem() {
    let none: [&str; 0] = [];
    let text = r##"{"resourceType":"Patient","id":"a","contained":[{"resourceType":"Organization","id":"o","name":"x"}],
        "name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"u","valueCode":"c"}]}]}],
        "_birthDate":{"extension":[{"url":"u","extension":[{"url":"v","valueBoolean":true}]}]},
        "managingOrganization":{"reference":"#o"},"text":{"status":"generated","div":"<div>x</div>"}}"##;
    assert_eq!(problems(text), none);
    assert_eq!(problems(r#"{"resourceType":"Patient"}"#), none);
}

#[test]
fn every_problem_is_told_not_only_the_first() {
    let text = r#"{"resourceType":"Observation","status":1,"ghost":1,"category":{},"subject":[{}],
        "valueString":"a","valueInteger":1,"component":[],"note":[null]}"#;
    assert_eq!(
        problems(text),
        [
            "Observation.status: must be a JSON string",
            "Observation.ghost: no such element in FHIR R4",
            "Observation.category: must be an array",
            "Observation.subject: must not be an array",
            "Observation.valueInteger: only one of value[x] may be given",
            "Observation.component: must not be an empty array",
            "Observation.note[0]: must not be null",
            "Observation: code is required",
        ]
    );
}

#[test]
fn no_more_problems_than_the_limit_are_told() {
    let items = vec!["1"; 1000].join(",");
    let text = format!(r#"{{"resourceType":"Patient","name":[{items}]}}"#);
    assert_eq!(problems(&text).len(), 100);
}

#[test]
fn a_primitive_extension_stands_for_a_required_value() {
    let none: [&str; 0] = [];
    let text = r#"{"resourceType":"Observation","code":{"text":"x"},
        "_status":{"extension":[{"url":"u","valueCode":"unknown"}]}}"#;
    assert_eq!(problems(text), none);
}

#[test]
fn twins_with_an_underscore_keep_to_their_rules() {
    let of = |name: &str| format!(r#"{{"resourceType":"Patient",{name}}}"#);
    one(
        &of(r#""_name":[{"id":"x"}]"#),
        "Patient.name: only a primitive element has a twin with an underscore",
    );
    one(
        &of(r#""_birthDate":[{"id":"x"}]"#),
        "Patient.birthDate: must be an object",
    );
    one(
        &of(r#""_birthDate":{}"#),
        "Patient.birthDate: must not be empty",
    );
    one(
        &of(r#""name":[{"given":["a","b"],"_given":[{"id":"x"}]}]"#),
        "Patient.name[0].given: the twin with an underscore must have as many items",
    );
    one(
        &of(r#""name":[{"given":["a"],"_given":[null]}]"#),
        "Patient.name[0].given: the twin with an underscore must hold an object",
    );
    one(
        &of(r#""name":[{"given":["a",null]}]"#),
        "Patient.name[0].given[1]: must not be null",
    );
}

#[test]
fn extensions_have_a_url_and_either_a_value_or_extensions() {
    let of = |inner: &str| format!(r#"{{"resourceType":"Patient","extension":[{{{inner}}}]}}"#);
    one(
        &of(r#""valueString":"x""#),
        "Patient.extension[0]: url is required",
    );
    one(
        &of(r#""url":"u""#),
        "Patient.extension[0]: an extension has a value or extensions",
    );
    one(
        &of(r#""url":"u","valueString":"x","extension":[{"url":"v","valueString":"y"}]"#),
        "Patient.extension[0]: an extension has a value or extensions, not both",
    );
}

#[test]
fn references_keep_to_their_target_types() {
    let of = |reference: &str| {
        problems(&format!(
            r##"{{"resourceType":"Encounter","status":"planned","class":{{"code":"AMB"}},
            "contained":[{{"resourceType":"Practitioner","id":"p"}}],"subject":{reference}}}"##
        ))
    };
    let wrong = ["Encounter.subject.reference: refers to a type that this element does not allow"];
    let unknown = ["Encounter.subject.reference: refers to a type that FHIR R4 does not have"];
    for good in [
        r#"{"reference":"Patient/a"}"#,
        r#"{"reference":"Patient/a/_history/1"}"#,
        r#"{"reference":"https://else.example/Patient/a"}"#,
        r#"{"reference":"https://else.example/anything"}"#,
        r#"{"reference":"urn:uuid:1"}"#,
        r#"{"reference":"Patient?identifier=1"}"#,
        r#"{"display":"someone"}"#,
    ] {
        assert!(of(good).is_empty(), "{good}");
    }
    for bad in [
        r#"{"reference":"Practitioner/a"}"#,
        r#"{"reference":"https://else.example/Practitioner/a"}"#,
        r##"{"reference":"#p"}"##,
        r#"{"reference":"Practitioner?identifier=1"}"#,
        r#"{"type":"Practitioner","identifier":{"value":"1"}}"#,
    ] {
        assert_eq!(of(bad), wrong, "{bad}");
    }
    assert_eq!(of(r#"{"reference":"Ghost/a"}"#), unknown);
}

#[test]
fn resources_inside_are_checked_as_what_they_are() {
    one(
        r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Basic"}}]}"#,
        "Bundle.entry[0].resource: code is required",
    );
    one(
        r#"{"resourceType":"Parameters","parameter":[{"name":"x","resource":{"resourceType":"Ghost"}}]}"#,
        "Parameters.parameter[0].resource: resourceType is missing or not a type of FHIR R4",
    );
    one(
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}]}"#,
        "Patient.contained[0].contained: a contained resource must not contain others",
    );
    one(
        r#"{"resourceType":"Patient","name":[{"resourceType":"HumanName","family":"x"}]}"#,
        "Patient.name[0].resourceType: no such element in FHIR R4",
    );
}

#[test]
fn neither_values_nor_strange_names_are_repeated() {
    let text = r#"{"resourceType":"Patient","gender":"MARKER MARKER  x","MARKER é":1,"birthDate":"MARKER"}"#;
    let told = problems(text).join("\n");
    assert!(!told.contains("MARKER"), "{told}");
    assert_eq!(told.lines().count(), 3);
}
