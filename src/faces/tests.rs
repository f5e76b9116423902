use super::*;
use crate::label::Marks;
use crate::statute::projections::{Household, PROJECTIONS, Seat};

fn resource(text: &str) -> Resource {
    Resource::ours(text.to_owned()).unwrap()
}

fn part(resource: &Resource, name: &str, item: Option<usize>) -> Part {
    Part {
        path: Path::member(resource.root(), name, item).unwrap(),
        marks: Marks::always(Labels::MENTAL_HEALTH),
        target: None,
    }
}

fn value(resource: &Resource) -> serde_json::Value {
    serde_json::from_slice(resource.text()).unwrap()
}

const BILL: &str = r#"{"resourceType":"ExplanationOfBenefit","id":"b","text":{"status":"generated","div":"<div>all</div>"},
"billablePeriod":{"start":"2026-08-10","end":"2026-08-20"},"disposition":"said",
"insurance":[{"coverage":{"reference":"Coverage/c"},"preAuthRef":["PA-1"],"_preAuthRef":[{"id":"x"}]}],
"careTeam":[{"sequence":1,"provider":{"reference":"Practitioner/a"}},{"sequence":2,"provider":{"reference":"Practitioner/b"}}],
"diagnosis":[{"sequence":4,"x":1},{"sequence":7,"x":2}],
"item":[{"sequence":1,"careTeamSequence":[2],"diagnosisSequence":[4],"servicedDate":"2026-08-10","adjudication":[{"category":{"coding":[{"code":"benefit"}]},"amount":{"value":1.50}}]},
{"sequence":2,"careTeamSequence":[1],"diagnosisSequence":[7],"servicedDate":"2026-08-12","noteNumber":[2],"adjudication":[{"category":{"coding":[{"code":"benefit"}]},"amount":{"value":2.25,"currency":"USD"}}]}],
"total":[{"category":{"coding":[{"code":"benefit"}]},"amount":{"value":3.75}},{"category":{"coding":[{"code":"deductible"}]},"amount":{"value":9}}],
"payment":{"date":"2026-08-30","amount":{"value":3.75},"adjustment":{"value":1}},
"processNote":[{"number":1,"text":"whole"},{"number":2,"text":"second"}],"benefitBalance":[{"x":1}]}"#;

#[test]
fn what_a_record_needs_is_what_climbing_finds() {
    const CLAIM: &str = r#"{"resourceType":"Claim","id":"c","status":"active","type":{"coding":[{"code":"x"}]},"use":"claim",
        "patient":{"reference":"Patient/p"},"created":"2026-01-01","provider":{"reference":"Organization/o"},
        "priority":{"coding":[{"code":"normal"}]},"contained":[{"resourceType":"Patient","id":"in","name":[{"family":"x"}]}],
        "careTeam":[{"sequence":1,"provider":{"reference":"Practitioner/d"}}],
        "insurance":[{"sequence":1,"focal":true,"coverage":{"reference":"Coverage/c"},"preAuthRef":["a","b"]}],
        "item":[{"sequence":1,"productOrService":{"coding":[{"code":"y"}]},"encounter":[{"reference":"Encounter/e"}]},
        {"sequence":2,"productOrService":{"text":"z"},"detail":[{"sequence":1,"productOrService":{"text":"w"}}]}]}"#;
    fn paths(node: &Node, path: &Path, all: &mut Vec<Path>) {
        all.push(path.clone());
        let children = node.members().iter().map(|member| &member.node);
        for (at, child) in children.chain(node.items()).enumerate() {
            paths(child, &path.then(at).unwrap(), all);
        }
    }
    let (mut needed, mut all) = (0, Vec::new());
    for text in [CLAIM, BILL] {
        let resource = resource(text);
        all.clear();
        paths(resource.root(), &Path::default(), &mut all);
        for path in all.iter().filter(|path| !path.0.is_empty()) {
            let mut edits = Edits::none();
            edits.remove(path.clone());
            let climbed = climb(&resource, &mut edits).is_none();
            assert_eq!(
                needs(&resource, path),
                climbed,
                "{}",
                path.words(resource.root())
            );
            needed += usize::from(climbed);
        }
    }
    assert!(needed > 5);
}

#[test]
fn a_bill_closes_up_around_what_stays() {
    let bill = resource(BILL);
    let line = part(&bill, "item", Some(0));
    let left = value(&without(&bill, &[&line]).unwrap());
    assert_eq!(left["item"].as_array().unwrap().len(), 1);
    assert_eq!(
        left["insurance"],
        serde_json::json!([{"coverage": {"reference": "Coverage/c"}}]),
        "authorizations are not told by line"
    );
    assert_eq!(left["item"][0]["sequence"], 1);
    assert_eq!(left["item"][0]["diagnosisSequence"][0], 1);
    assert_eq!(left["item"][0]["careTeamSequence"][0], 1);
    assert_eq!(left["item"][0]["noteNumber"][0], 1);
    assert_eq!(left["diagnosis"].as_array().unwrap().len(), 1);
    assert_eq!(left["diagnosis"][0]["sequence"], 1);
    assert_eq!(
        left["careTeam"][0]["provider"]["reference"],
        "Practitioner/a"
    );
    assert_eq!(
        left["total"].as_array().unwrap().len(),
        1,
        "what can't be recomputed goes"
    );
    assert_eq!(left["total"][0]["amount"]["value"], 2.25);
    assert_eq!(left["payment"]["amount"]["value"], 2.25);
    assert_eq!(left["processNote"][0]["text"], "second");
    assert_eq!(left["billablePeriod"]["start"], "2026-08-12");
    for gone in ["text", "disposition", "benefitBalance"] {
        assert!(left.get(gone).is_none(), "{gone}");
    }
    assert!(left["payment"].get("adjustment").is_none());
}

#[test]
fn nothing_taken_out_changes_nothing() {
    let bill = resource(BILL);
    assert_eq!(without(&bill, &[]).unwrap().text(), bill.text());
}

#[test]
fn redaction_is_idempotent() {
    let bill = resource(BILL);
    let once = without(&bill, &[&part(&bill, "item", Some(0))]).unwrap();
    assert_eq!(household(&once, &[]).unwrap().text(), once.text());
}

#[test]
fn what_is_not_valid_without_a_part_goes_with_it() {
    let list = resource(
        r#"{"resourceType":"List","status":"current","mode":"working","entry":[{"item":{"reference":"Condition/a"}},{"item":{"reference":"Condition/b"}}]}"#,
    );
    let reference = &list.found().references[0];
    let hidden = Part {
        path: reference.path.clone(),
        marks: Marks::always(Labels::STI),
        target: None,
    };
    let left = value(&without(&list, &[&hidden]).unwrap());
    assert_eq!(left["entry"].as_array().unwrap().len(), 1);
    assert_eq!(left["entry"][0]["item"]["reference"], "Condition/b");
    let request = resource(
        r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationReference":{"reference":"Medication/m"},"subject":{"reference":"Patient/p"}}"#,
    );
    let medication = Part {
        path: request.found().references[0].path.clone(),
        marks: Marks::always(Labels::STI),
        target: None,
    };
    assert!(without(&request, &[&medication]).is_none());
}

#[test]
fn a_contained_resource_that_only_a_hidden_line_used_goes() {
    let bill = resource(
        r##"{"resourceType":"Claim","contained":[{"resourceType":"ServiceRequest","id":"r"},{"resourceType":"Coverage","id":"c"}],
        "insurance":[{"coverage":{"reference":"#c"}}],"item":[{"sequence":1,"extension":[{"url":"u","valueReference":{"reference":"#r"}}]},{"sequence":2}]}"##,
    );
    let left = without(&bill, &[&part(&bill, "item", Some(0))]).unwrap();
    assert_eq!(value(&left)["contained"].as_array().unwrap().len(), 1);
}

#[test]
fn faces_keep_every_byte_but_meta() {
    let patient = resource(
        r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"9","security":[{"code":"x"}],"profile":["u"],"tag":[{"code":"t"}]}, "name" : [ {"family":"\u00c9" } ],"multipleBirthInteger":2}"#,
    );
    let key = Key::parse("Patient/p").unwrap();
    let stamp = Stamp {
        version: "v1".into(),
        updated: 0,
    };
    let text = String::from_utf8(render(&key, &stamp, &full(&patient), b"")).unwrap();
    assert_eq!(
        text,
        r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"v1","lastUpdated":"1970-01-01T00:00:00.000Z","profile":["u"],"tag":[{"code":"t"}]},"name" : [ {"family":"\u00c9" } ],"multipleBirthInteger":2}"#
    );
    let plain = String::from_utf8(render(&key, &stamp, &plain(&patient), b"")).unwrap();
    assert!(plain.contains("profile") && !plain.contains("tag"));
}

#[test]
fn the_benefit_view_keeps_only_its_list() {
    let kind = crate::fhir::Kind::named("ExplanationOfBenefit").unwrap();
    let list = PROJECTIONS
        .of(Seat::Subscriber, Household::Claims, kind)
        .unwrap();
    let left = value(&projected(&resource(BILL), list).unwrap());
    let mut names: Vec<_> = left.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "billablePeriod",
            "id",
            "insurance",
            "payment",
            "resourceType",
            "total"
        ]
    );
    assert!(left["payment"].get("adjustment").is_none());
}

#[test]
fn a_projection_leaves_no_reference_into_what_it_does_not_keep() {
    let bill = resource(
        r##"{"resourceType":"ExplanationOfBenefit","contained":[{"resourceType":"Coverage","id":"c"}],"insurance":[{"focal":true,"coverage":{"reference":"#c","display":"plan"}}]}"##,
    );
    let kind = crate::fhir::Kind::named("ExplanationOfBenefit").unwrap();
    let list = PROJECTIONS
        .of(Seat::Subscriber, Household::Claims, kind)
        .unwrap();
    let left = value(&projected(&bill, list).unwrap());
    assert_eq!(
        left["insurance"][0]["coverage"],
        serde_json::json!({"display":"plan"})
    );
}

#[test]
fn labels_say_their_codes_and_the_high_water_mark() {
    let said = |labels| String::from_utf8(security(labels)).unwrap();
    assert!(said(Labels::NONE).contains("\"N\""));
    assert!(said(Labels::STI).contains("\"STD\"") && said(Labels::STI).contains("\"R\""));
    assert!(said(Labels::ABORTION).contains("sensitive-service\",\"code\":\"abortion\""));
    assert!(
        !said(Labels::PSYCHOTHERAPY_NOTE.and(Labels::NOTE_UNRELEASED)).contains("\"code\":\"\"")
    );
}

#[test]
fn a_teams_name_goes_with_a_part_and_a_persons_stays() {
    let named = |kind: &str, name: &str| {
        let text = format!(
            r#"{{"resourceType":"{kind}","id":"t","name":{name},"extension":[{{"url":"u","valueString":"x"}}]}}"#
        );
        let resource = resource(&text);
        let left = without(&resource, &[&part(&resource, "extension", Some(0))]);
        value(&left.unwrap()).get("name").is_some()
    };
    assert!(!named("CareTeam", r#""Recovery team""#));
    assert!(named("Patient", r#"[{"family":"x"}]"#));
}

#[test]
fn a_translation_goes_with_its_text() {
    let list = resource(
        r#"{"resourceType":"List","id":"l","title":"x","_title":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/translation","extension":[{"url":"content","valueString":"y"}]}]},"entry":[{"item":{"reference":"Condition/a"}},{"item":{"reference":"Condition/b"}}]}"#,
    );
    let left = value(&without(&list, &[&part(&list, "entry", Some(0))]).unwrap());
    assert!(left.get("title").is_none() && left.get("_title").is_none());
    let bill = resource(&BILL.replace(
        r#""disposition":"said""#,
        r#""disposition":"said","_disposition":{"extension":[{"url":"u","valueString":"y"}]}"#,
    ));
    let left = value(&without(&bill, &[&part(&bill, "item", Some(0))]).unwrap());
    assert!(left.get("_disposition").is_none());
}
