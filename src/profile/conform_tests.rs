use super::*;
use crate::{
    fhir::Resource,
    profile::{PROFILES, examine},
};

/// `expression: text` of what a profile says of a resource.
fn told(profiles: &Profiles, url: &str, text: &str) -> Vec<String> {
    let resource = Resource::ours(text.to_owned()).unwrap();
    let at = At::root(resource.kind().name());
    let limits = CheckLimits {
        remarks: true,
        ..CheckLimits::default()
    };
    let root = resource.root();
    let definition = profiles.find(url).unwrap();
    let issues = conform(profiles, definition, (root, root), &at, limits);
    let words = |issue: Issue| format!("{}: {}", issue.expression.unwrap(), issue.text);
    issues.into_iter().map(words).collect()
}

/// A profile of one differential, beside the shipped ones' forms.
fn profile(kind: &str, elements: &str) -> Profiles {
    let text = format!(
        r#"{{"resourceType":"StructureDefinition","url":"http://x/p","type":"{kind}",
        "baseDefinition":"http://hl7.org/fhir/StructureDefinition/{kind}","differential":{{"element":[{elements}]}}}}"#
    );
    let (profiles, unusable) = Profiles::read([&*text]);
    assert_eq!(unusable, []);
    profiles
}

const NONE: [&str; 0] = [];

fn pressure(code: &str, components: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],
        "code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"subject":{{"reference":"Patient/a"}},
        "effectiveDateTime":"2026-01-01","component":[{components}]}}"#
    )
}

fn component(code: &str, unit: &str) -> String {
    format!(
        r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"valueQuantity":{{"value":1,"unit":"x","system":"http://unitsofmeasure.org","code":"{unit}"}}}}"#
    )
}

#[test]
fn blood_pressure_has_both_of_its_slices() {
    let url = "http://hl7.org/fhir/StructureDefinition/bp";
    let both = format!(
        "{},{}",
        component("8480-6", "mm[Hg]"),
        component("8462-4", "mm[Hg]")
    );
    assert_eq!(told(&PROFILES, url, &pressure("85354-9", &both)), NONE);
    let third = format!("{both},{}", component("8478-0", "mm[Hg]"));
    assert_eq!(told(&PROFILES, url, &pressure("85354-9", &third)), NONE);
    assert_eq!(
        told(
            &PROFILES,
            url,
            &pressure("85354-9", &component("8480-6", "mm[Hg]"))
        ),
        [
            "Observation.component: the profile requires at least 2",
            "Observation.component: the profile requires at least 1 of slice DiastolicBP"
        ]
    );
    let wrong = format!(
        "{},{}",
        component("8480-6", "kPa"),
        component("8462-4", "mm[Hg]")
    );
    assert_eq!(
        told(&PROFILES, url, &pressure("85354-9", &wrong)),
        [
            "Observation.component[0].valueQuantity: must be of the value set ucum-vitals-common",
            "Observation.component[0].valueQuantity.code: is not the value that the profile fixes"
        ]
    );
    assert_eq!(
        told(&PROFILES, url, &pressure("8867-4", &both)),
        ["Observation.code.coding: the profile requires at least 1 of slice BPCode"]
    );
    let plain = pressure("85354-9", &both).replace("vital-signs", "exam");
    assert_eq!(
        told(&PROFILES, url, &plain),
        ["Observation.category: the profile requires at least 1 of slice VSCat"]
    );
}

#[test]
fn our_own_profile_of_a_grant_is_held() {
    let url = "https://confide.example/fhir/StructureDefinition/emr-access";
    let task = |requester: &str, intent: &str| {
        format!(
            r#"{{"resourceType":"Task","status":"requested","intent":"{intent}","code":{{"coding":[{{"system":"https://confide.example/fhir/CodeSystem/task-code","code":"emr-access"}}],"text":"x"}},
            "requester":{{"reference":"{requester}"}},"owner":{{"reference":"Organization/b"}},
            "restriction":{{"period":{{"start":"2026-01-01"}}}},"input":[{{"type":{{"text":"purpose"}},"valueCode":"COC"}}]}}"#
        )
    };
    assert_eq!(told(&PROFILES, url, &task("Organization/a", "order")), NONE);
    assert_eq!(
        told(&PROFILES, url, &task("Practitioner/a", "plan")),
        [
            "Task.intent: does not have the profile's pattern",
            "Task.requester.reference: refers to a type that the profile does not allow",
        ]
    );
    let bare = r#"{"resourceType":"Task","status":"requested","intent":"order"}"#;
    assert_eq!(told(&PROFILES, url, bare).len(), 5);
}

#[test]
fn an_extension_of_ours_keeps_to_its_definition() {
    let of = |inner: &str| {
        let text = format!(
            r#"{{"resourceType":"RelatedPerson","patient":{{"reference":"Patient/a"}},"extension":[{{"url":"https://confide.example/fhir/StructureDefinition/representative-authority","extension":[{inner}]}}]}}"#
        );
        let resource = Resource::ours(text).unwrap();
        assert!(crate::profile::check(&resource, CheckLimits::default()).is_empty());
        let limits = CheckLimits {
            remarks: true,
            ..CheckLimits::default()
        };
        let mut issues = crate::profile::check(&resource, limits);
        issues.retain(Issue::is_error);
        let words = |issue: Issue| format!("{}: {}", issue.expression.unwrap(), issue.text);
        issues.into_iter().map(words).collect::<Vec<_>>()
    };
    let kind = |code: &str| format!(r#"{{"url":"kind","valueCode":"{code}"}}"#);
    let rest = r#"{"url":"verifiedBy","valueReference":{"reference":"Practitioner/a"}},{"url":"date","valueDate":"2026-01-01"},{"url":"evidence","valueString":"x"}"#;
    assert_eq!(of(&format!("{},{rest}", kind("parent"))), NONE);
    let at = "RelatedPerson.extension[0].extension";
    assert_eq!(
        of(&format!("{},{rest}", kind("friend"))),
        [format!(
            "{at}[0].valueCode: must be of the value set representative-kind"
        )]
    );
    assert_eq!(
        of(rest),
        [
            format!("{at}: the profile requires at least 4"),
            format!("{at}: the profile requires at least 1 of slice kind")
        ]
    );
    let typed = format!(r#"{{"url":"kind","valueString":"parent"}},{rest}"#);
    assert_eq!(
        of(&typed),
        [format!(
            "{at}[0].valueString: the profile does not allow this type"
        ),]
    );
}

#[test]
fn slices_are_told_by_type_existence_and_profile() {
    let by = |kind: &str, path: &str, slice: &str| {
        profile(
            "Bundle",
            &format!(
                r#"{{"id":"Bundle.entry","slicing":{{"discriminator":[{{"type":"{kind}","path":"{path}"}}],"rules":"closed"}}}},
                {{"id":"Bundle.entry:one","sliceName":"one","min":1,"max":"1"}},{slice}"#
            ),
        )
    };
    let bundle = |entries: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{entries}]}}"#)
    };
    let patient = r#"{"fullUrl":"http://x/1","resource":{"resourceType":"Patient","active":true}}"#;
    let list = r#"{"resource":{"resourceType":"List","status":"current","mode":"working"}}"#;
    let none = "Bundle.entry[0]: is of none of the slices that the profile allows";
    let few = "Bundle.entry: the profile requires at least 1 of slice one";
    let many = "Bundle.entry: the profile allows at most 1 of slice one";

    let typed = by(
        "type",
        "resource",
        r#"{"id":"Bundle.entry:one.resource","type":[{"code":"Patient"}]}"#,
    );
    let exists = by(
        "exists",
        "fullUrl",
        r#"{"id":"Bundle.entry:one.fullUrl","min":1}"#,
    );
    let value = by(
        "value",
        "resource.active",
        r#"{"id":"Bundle.entry:one.resource.active","fixedBoolean":true}"#,
    );
    let pattern = by(
        "pattern",
        "resource",
        r#"{"id":"Bundle.entry:one.resource","patternX":{"active":true}}"#,
    );
    for (name, profiles) in [
        ("type", typed),
        ("exists", exists),
        ("value", value),
        ("pattern", pattern),
    ] {
        let told = |entries: &str| told(&profiles, "http://x/p", &bundle(entries));
        assert_eq!(told(patient), NONE, "{name}");
        assert_eq!(told(list), [none, few], "{name}");
        assert_eq!(told(&format!("{patient},{patient}")), [many], "{name}");
    }
    let text = |url: &str, kind: &str, elements: &str| {
        format!(
            r#"{{"resourceType":"StructureDefinition","url":"{url}","type":"{kind}","baseDefinition":"http://hl7.org/fhir/StructureDefinition/{kind}","differential":{{"element":[{elements}]}}}}"#
        )
    };
    let inner = text(
        "http://x/active",
        "Patient",
        r#"{"id":"Patient.active","min":1}"#,
    );
    let outer = text(
        "http://x/p",
        "Bundle",
        r#"{"id":"Bundle.entry","slicing":{"discriminator":[{"type":"profile","path":"resource"}],"rules":"closed"}},
        {"id":"Bundle.entry:one","min":1},{"id":"Bundle.entry:one.resource","type":[{"code":"Patient","profile":["http://x/active"]}]}"#,
    );
    let profiles = Profiles::read([&*outer, &*inner]).0;
    assert_eq!(told(&profiles, "http://x/p", &bundle(patient)), NONE);
    assert_eq!(told(&profiles, "http://x/p", &bundle(list)), [none, few]);
    let unknown = Profiles::read([&*outer]).0;
    assert_eq!(
        told(&unknown, "http://x/p", &bundle(patient)),
        ["Bundle.entry: can't be told to a slice of the profile"]
    );
}

#[test]
fn a_slice_by_what_is_referred_to_is_told_where_that_is_contained() {
    let profiles = profile(
        "DiagnosticReport",
        r#"{"id":"DiagnosticReport.result","slicing":{"discriminator":[{"type":"value","path":"resolve().code"}],"rules":"closed"}},
        {"id":"DiagnosticReport.result:a","min":1},{"id":"DiagnosticReport.result:a.code","patternCodeableConcept":{"text":"a"}}"#,
    );
    let report = |reference: &str, code: &str| {
        format!(
            r#"{{"resourceType":"DiagnosticReport","contained":[{{"resourceType":"Observation","id":"o","code":{{"text":"{code}"}}}}],"result":[{{"reference":"{reference}"}}]}}"#
        )
    };
    let told = |text: &str| told(&profiles, "http://x/p", text);
    assert_eq!(told(&report("#o", "a")), NONE);
    assert_eq!(told(&report("#o", "b")).len(), 2);
    assert_eq!(
        told(&report("Observation/x", "a")),
        ["DiagnosticReport.result: can't be told to a slice of the profile"]
    );
}

#[test]
fn choices_primitives_and_prohibitions_are_counted() {
    let profiles = profile(
        "Observation",
        r#"{"id":"Observation.value[x]","min":1,"type":[{"code":"Quantity"},{"code":"string"}]},
        {"id":"Observation.value[x]:valueQuantity","sliceName":"valueQuantity","type":[{"code":"Quantity"}]},
        {"id":"Observation.value[x]:valueQuantity.unit","min":1},
        {"id":"Observation.bodySite","max":"0"},{"id":"Observation.issued","min":1}"#,
    );
    let told = |inner: &str| {
        told(
            &profiles,
            "http://x/p",
            &format!(r#"{{"resourceType":"Observation",{inner}}}"#),
        )
    };
    let issued = r#""issued":"2026-01-01T00:00:00Z""#;
    assert_eq!(told(&format!(r#"{issued},"valueString":"x""#)), NONE);
    assert_eq!(
        told(&format!(r#"{issued},"_valueString":{{"id":"x"}}"#)),
        NONE
    );
    assert_eq!(
        told(&format!(r#"{issued},"valueQuantity":{{"value":1}}"#)),
        ["Observation.valueQuantity.unit: the profile requires at least 1"]
    );
    assert_eq!(
        told(&format!(
            r#"{issued},"valueBoolean":true,"bodySite":{{"text":"x"}}"#
        )),
        [
            "Observation.valueBoolean: the profile does not allow this type",
            "Observation.bodySite: the profile does not allow this",
        ]
    );
    assert_eq!(
        told(r#""status":"final""#),
        [
            "Observation.value: the profile requires at least 1",
            "Observation.issued: the profile requires at least 1",
        ]
    );
}

#[test]
fn profiles_that_a_resource_claims_are_checked_too() {
    let of = |url: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","meta":{{"profile":["{url}"]}},"status":"final","code":{{"text":"x"}}}}"#
        );
        let resource = Resource::ours(text).unwrap();
        let limits = CheckLimits {
            remarks: true,
            ..CheckLimits::default()
        };
        examine(&resource, &PROFILES, None, limits)
    };
    let claimed = of("http://hl7.org/fhir/StructureDefinition/vitalsigns");
    assert!(claimed.iter().any(Issue::is_error), "{claimed:?}");
    let unknown = of("http://ghost.example/p");
    assert!(!unknown.is_empty() && !unknown.iter().any(Issue::is_error));
    let other = of("http://hl7.org/fhir/StructureDefinition/actualgroup");
    assert!(other.iter().any(Issue::is_error));
}

#[test]
fn constraints_of_a_profile_are_held() {
    let profiles = profile(
        "Observation",
        r#"{"id":"Observation","constraint":[{"key":"x-1","severity":"error","expression":"value.exists()","human":"a value"}]},
        {"id":"Observation.value[x]","constraint":[{"key":"x-2","severity":"error","expression":"($this as Quantity).value > 1","human":"more than one"},
        {"key":"x-3","severity":"warning","expression":"unit.exists()","human":"a unit"},{"key":"x-4","severity":"error","expression":"((","human":"no FHIRPath"}]}"#,
    );
    let told = |inner: &str| {
        told(
            &profiles,
            "http://x/p",
            &format!(r#"{{"resourceType":"Observation"{inner}}}"#),
        )
    };
    assert_eq!(told(""), ["Observation: x-1: a value"]);
    let at = "Observation.valueQuantity";
    let four = format!("{at}: x-4: can't be evaluated here");
    assert_eq!(
        told(r#","valueQuantity":{"value":1}"#),
        [
            format!("{at}: x-2: more than one"),
            format!("{at}: x-3: a unit"),
            four.clone()
        ]
    );
    assert_eq!(told(r#","valueQuantity":{"value":2,"unit":"x"}"#), [four]);
}

#[test]
fn slices_stand_in_their_order_where_the_profile_says_so() {
    let lists = |slicing: &str| {
        let slice = |name: &str| {
            format!(
                r#"{{"id":"Patient.telecom:{name}","sliceName":"{name}"}},{{"id":"Patient.telecom:{name}.system","fixedCode":"{name}"}}"#
            )
        };
        profile(
            "Patient",
            &format!(
                r#"{{"id":"Patient.telecom","slicing":{{"discriminator":[{{"type":"value","path":"system"}}],{slicing}}}}},{},{}"#,
                slice("phone"),
                slice("email")
            ),
        )
    };
    let patient = |systems: &[&str]| {
        let all: Vec<String> = systems
            .iter()
            .map(|system| format!(r#"{{"system":"{system}","value":"1"}}"#))
            .collect();
        format!(
            r#"{{"resourceType":"Patient","telecom":[{}]}}"#,
            all.join(",")
        )
    };
    let ordered = lists(r#""ordered":true,"rules":"open""#);
    let free = lists(r#""ordered":false,"rules":"open""#);
    let at_end = lists(r#""rules":"openAtEnd""#);
    let well = ["phone", "sms", "phone", "email", "email"];
    assert_eq!(told(&ordered, "http://x/p", &patient(&well)), NONE);
    let turned = patient(&["email", "phone"]);
    assert_eq!(told(&free, "http://x/p", &turned), NONE);
    assert_eq!(
        told(&ordered, "http://x/p", &turned),
        ["Patient.telecom[1]: stands after a slice that the profile has after it"]
    );
    assert_eq!(
        told(&at_end, "http://x/p", &patient(&["email", "phone", "sms"])),
        NONE
    );
    assert_eq!(
        told(&at_end, "http://x/p", &patient(&["sms", "phone"])),
        ["Patient.telecom[1]: stands after items of no slice, which come at the end"]
    );
}
