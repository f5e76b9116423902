use super::*;

const STRUCTURE: CheckLimits = CheckLimits {
    depth: Depth::Structure,
    remarks: false,
    issues: 100,
    text: 1024 * 1024,
};

/// `expression: text` of every problem of structure.
fn problems(text: &str) -> Vec<String> {
    let resource = Resource::ours(text.to_owned()).unwrap();
    let issues = check(&resource, STRUCTURE);
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

/// `code: expression: text` of every problem, with bindings and the rest.
fn coded(text: &str) -> Vec<String> {
    let resource = Resource::ours(text.to_owned()).unwrap();
    let words = |issue: Issue| {
        let at = issue.expression.unwrap();
        format!("{}: {at}: {}", issue.kind.code(), issue.text)
    };
    let issues = check(&resource, CheckLimits::default());
    issues.into_iter().map(words).collect()
}

#[test]
fn codes_are_of_the_value_sets_that_r4_requires() {
    let none: [&str; 0] = [];
    let gender = |code: &str| {
        coded(&format!(
            r#"{{"resourceType":"Patient","gender":"{code}"}}"#
        ))
    };
    assert_eq!(gender("female"), none);
    assert_eq!(
        gender("f"),
        ["code-invalid: Patient.gender: must be of the value set administrative-gender"]
    );
    let status = |concept: &str| {
        coded(&format!(
            r#"{{"resourceType":"Condition","subject":{{"reference":"Patient/a"}},"clinicalStatus":{concept}}}"#
        ))
    };
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let good = format!(r#"{{"coding":[{{"code":"x"}},{{"system":"{system}","code":"active"}}]}}"#);
    assert_eq!(status(&good), none);
    assert_eq!(
        status(r#"{"extension":[{"url":"u","valueCode":"unknown"}]}"#),
        none
    );
    let wrong =
        ["code-invalid: Condition.clinicalStatus: must be of the value set condition-clinical"];
    for bad in [
        r#"{"text":"active"}"#,
        r#"{"coding":[{"code":"active"}]}"#,
        r#"{"coding":[{"system":"http://else.example","code":"active"}]}"#,
    ] {
        assert_eq!(status(bad), wrong, "{bad}");
    }
}

#[test]
fn codes_without_a_list_keep_to_their_format() {
    let none: [&str; 0] = [];
    let photo = |kind: &str| {
        coded(&format!(
            r#"{{"resourceType":"Patient","photo":[{{"contentType":"{kind}"}}]}}"#
        ))
    };
    assert_eq!(photo("image/png"), none);
    assert_eq!(
        photo("png"),
        ["code-invalid: Patient.photo[0].contentType: must be of the value set mimetypes"]
    );
    let language = |code: &str| {
        coded(&format!(
            r#"{{"resourceType":"Patient","communication":[{{"language":{{"coding":[{{"system":"urn:ietf:bcp:47","code":"{code}"}}]}}}}]}}"#
        ))
    };
    assert_eq!(language("en-US"), none);
    assert_eq!(
        language("American English"),
        ["code-invalid: Patient.communication[0].language: must be of the value set all-languages"]
    );
    assert_eq!(
        coded(r#"{"resourceType":"Patient","language":"de-CH"}"#),
        none
    );
}

#[test]
fn contained_resources_belong_to_what_holds_them() {
    let of = |contained: &str, reference: &str| {
        coded(&format!(
            r##"{{"resourceType":"Patient","contained":[{contained}],"managingOrganization":{{"reference":"{reference}"}}}}"##
        ))
    };
    let none: [&str; 0] = [];
    let organization = r#"{"resourceType":"Organization","id":"o","name":"x"}"#;
    assert_eq!(of(organization, "#o"), none);
    assert_eq!(
        of(organization, "#p"),
        [
            "invariant: Patient.managingOrganization.reference: ref-1: no contained resource has this id",
            "invariant: Patient.contained[0]: dom-3: nothing refers to this contained resource, nor it to what holds it",
        ]
    );
    let patient = r##"{"resourceType":"Observation","id":"b","status":"final","code":{"text":"x"},"subject":{"reference":"#"}}"##;
    assert_eq!(of(&format!("{organization},{patient}"), "#o"), none);
    assert_eq!(
        of(&format!("{organization},{organization}"), "#o"),
        ["duplicate: Patient.contained[1]: another contained resource has this id"]
    );
    let versioned = r#"{"resourceType":"Organization","id":"o","name":"x","meta":{"versionId":"1","security":[{"code":"R"}]}}"#;
    assert_eq!(
        of(versioned, "#o"),
        [
            "invariant: Patient.contained[0]: dom-4: a contained resource has no version and no time of its own",
            "invariant: Patient.contained[0]: dom-5: a contained resource has no security label",
        ]
    );
}

#[test]
fn structure_alone_asks_neither_codes_nor_contained_resources() {
    let text = r##"{"resourceType":"Patient","gender":"f","contained":[{"resourceType":"Organization","id":"o"}],
        "managingOrganization":{"reference":"#x"},"text":{"status":"generated","div":"<div>\n<p></div>"}}"##;
    let resource = Resource::ours(text.to_owned()).unwrap();
    assert!(check(&resource, STRUCTURE).is_empty());
    assert_eq!(coded(text).len(), 5);
}

#[test]
fn a_modifier_extension_is_refused_where_rights_follow_from_the_record() {
    let modifier = r#""modifierExtension":[{"url":"u","valueBoolean":true}]"#;
    let basic = format!(r#"{{"resourceType":"Basic","code":{{"text":"x"}},{modifier}}}"#);
    assert!(coded(&basic).is_empty());
    let flag = format!(
        r#"{{"resourceType":"Flag","status":"active","code":{{"text":"x"}},"subject":{{"reference":"Patient/a"}},{modifier}}}"#
    );
    one(
        &flag,
        "Flag.modifierExtension: a modifier extension is not understood, and rights follow from this record",
    );
    let link = format!(
        r#"{{"resourceType":"Patient","link":[{{"other":{{"reference":"Patient/a"}},"type":"refer",{modifier}}}]}}"#
    );
    assert_eq!(coded(&link).len(), 1);
}

#[test]
fn invariants_are_held_where_their_type_is() {
    let none: [&str; 0] = [];
    let observation = |inner: &str| {
        coded(&format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{inner}}}"#
        ))
    };
    assert_eq!(
        observation(r#""valueQuantity":{"value":1,"system":"s","code":"c"}"#),
        none
    );
    assert_eq!(
        observation(r#""valueQuantity":{"value":1,"code":"c"}"#),
        [
            "invariant: Observation.valueQuantity: qty-3: If a code for the unit is present, the system SHALL also be present"
        ]
    );
    assert_eq!(
        observation(r#""valueString":"x","dataAbsentReason":{"text":"x"}"#),
        [
            "invariant: Observation: obs-6: dataAbsentReason SHALL only be present if Observation.value[x] is not present"
        ]
    );
    assert_eq!(
        observation(r#""effectivePeriod":{"start":"2026-02-01","end":"2026-01-01"}"#),
        [
            "invariant: Observation.effectivePeriod: per-1: If present, start SHALL have a lower value than end"
        ]
    );
    // Of an element, of one that a profile of a datatype narrows, and in a contained resource.
    let organization = coded(
        r#"{"resourceType":"Organization","name":"x","telecom":[{"system":"phone","value":"1"},{"system":"phone","value":"1","use":"home"}]}"#,
    );
    assert_eq!(
        organization,
        [
            "invariant: Organization.telecom[1]: org-3: The telecom of an organization can never be of use 'home'"
        ]
    );
    let low = observation(r#""referenceRange":[{"low":{"value":1,"comparator":"<"}}]"#);
    assert_eq!(
        low,
        [
            "invariant: Observation.referenceRange[0].low: sqty-1: The comparator is not used on a SimpleQuantity"
        ]
    );
    let contained = observation(
        r##""contained":[{"resourceType":"Organization","id":"o"}],"performer":[{"reference":"#o"}]"##,
    );
    assert_eq!(contained.len(), 1);
    assert!(contained[0].starts_with("invariant: Observation.contained[0]: org-1: "));
    // What has no sound structure is not asked further.
    assert_eq!(
        observation(r#""valueQuantity":{"value":"1","code":"c"}"#).len(),
        1
    );
}

#[test]
fn a_consent_whose_scope_needs_a_patient_names_one() {
    let of = |scope: &str, more: &str| {
        coded(&format!(
            r#"{{"resourceType":"Consent","status":"active","category":[{{"text":"x"}}],"policyRule":{{"text":"x"}},
            "scope":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"{scope}"}}]}}{more}}}"#
        ))
    };
    let scopes = ["patient-privacy", "research", "adr", "treatment"];
    for (scope, key) in scopes.iter().zip(["ppc-2", "ppc-3", "ppc-4", "ppc-5"]) {
        let told = of(scope, "");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(&format!("invariant: Consent: {key}: ")),
            "{told:?}"
        );
        assert!(of(scope, r#","patient":{"reference":"Patient/a"}"#).is_empty());
    }
    assert!(of("other", "").is_empty());
}

#[test]
fn an_answer_is_a_boolean_where_existence_is_asked() {
    let of = |answer: &str| {
        coded(&format!(
            r#"{{"resourceType":"Questionnaire","status":"draft","item":[{{"linkId":"a","type":"string","text":"x"}},
            {{"linkId":"b","type":"string","text":"x","enableWhen":[{{"question":"a","operator":"exists",{answer}}}]}}]}}"#
        ))
    };
    assert!(of(r#""answerBoolean":true"#).is_empty());
    assert_eq!(of(r#""answerString":"x""#).len(), 1);
}

#[test]
fn many_references_to_many_contained_resources_take_no_square_of_time() {
    const MANY: usize = 20_000;
    let contained: Vec<String> = (0..MANY)
        .map(|n| format!(r#"{{"resourceType":"Organization","id":"o{n}","name":"x"}}"#))
        .collect();
    let references: Vec<String> = (0..MANY)
        .map(|n| format!(r##"{{"reference":"#o{n}"}}"##))
        .collect();
    let text = format!(
        r#"{{"resourceType":"Patient","contained":[{}],"generalPractitioner":[{}]}}"#,
        contained.join(","),
        references.join(",")
    );
    assert!(coded(&text).is_empty());
}
