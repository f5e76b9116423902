#![allow(clippy::needless_pass_by_value, reason = "the cases read better so")]

use super::*;
use serde_json::{Value as Any, json};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","active" : true,
    "name":[{"family":"A","given":["x","y"],"_given":[null,{"id":"second"}]},{"text":"B"}],
    "birthDate":"1920-01-01","_birthDate":{"id":"d"},
    "deceasedBoolean":false,
    "contact":[{"name":{"text":"c"}}],
    "extension":[{"url":"http://x/a","valueDecimal":1.50}]}"#;

fn patched(hidden: &[&[u16]], operations: &[Any]) -> Result<Any, PatchError> {
    let operations: Vec<_> = operations
        .iter()
        .map(|operation| {
            let parts = operation.as_object().unwrap().iter().map(|(name, value)| {
                match (name.as_str(), value) {
                    ("value", Any::Object(value)) => {
                        let mut part = value.clone();
                        part.insert("name".into(), json!("value"));
                        Any::Object(part)
                    }
                    (_, Any::Number(number)) => json!({"name":name,"valueInteger":number}),
                    ("type", kind) => json!({"name":name,"valueCode":kind}),
                    (_, text) => json!({"name":name,"valueString":text}),
                }
            });
            json!({"name":"operation","part":parts.collect::<Vec<_>>()})
        })
        .collect();
    let patch = json!({"resourceType":"Parameters","parameter":operations});
    let patch = Resource::ours(patch.to_string()).unwrap();
    let resource = Resource::ours(PATIENT).unwrap();
    let hidden: Vec<_> = hidden.iter().map(|steps| Path((*steps).into())).collect();
    let result = fhirpath_shown(&resource, &hidden, &patch)?;
    let text = std::str::from_utf8(result.text()).unwrap();
    assert!(
        text.contains("1.50") && text.contains(r#""active" : true"#),
        "{text}"
    );
    Ok(serde_json::from_str(text).unwrap())
}

fn one(operation: Any) -> Result<Any, PatchError> {
    patched(&[], &[operation])
}

fn gives(operation: Any, path: &str, expected: Any) {
    let result = one(operation.clone()).unwrap();
    assert_eq!(result.pointer(path), Some(&expected), "{operation}");
}

#[test]
fn add_puts_at_the_end_or_where_there_is_none() {
    gives(
        json!({"type":"add","path":"Patient","name":"gender","value":{"valueCode":"female"}}),
        "/gender",
        json!("female"),
    );
    gives(
        json!({"type":"add","path":"Patient.name[0]","name":"given","value":{"valueString":"z"}}),
        "/name/0/given",
        json!(["x", "y", "z"]),
    );
    gives(
        json!({"type":"add","path":"Patient.name[0]","name":"given","value":{"valueString":"z"}}),
        "/name/0/_given",
        json!([null, {"id":"second"}, null]),
    );
    gives(
        json!({"type":"add","path":"Patient","name":"multipleBirth","value":{"valueInteger":2}}),
        "/multipleBirthInteger",
        json!(2),
    );
    gives(
        json!({"type":"add","path":"Patient","name":"contact","value":{"part":[
            {"name":"name","valueHumanName":{"text":"n"}},
            {"name":"relationship","valueCodeableConcept":{"text":"r"}}]}}),
        "/contact/1",
        json!({"name":{"text":"n"},"relationship":[{"text":"r"}]}),
    );
    let there = one(
        json!({"type":"add","path":"Patient","name":"deceased","value":{"valueDateTime":"2000"}}),
    );
    assert!(matches!(there, Err(PatchError::Unfit { at: 0, .. })));
}

#[test]
fn insert_and_move_work_within_one_list() {
    let insert = |index: usize| json!({"type":"insert","path":"Patient.name[0].given","index":index,"value":{"valueString":"z"}});
    gives(insert(0), "/name/0/given", json!(["z", "x", "y"]));
    gives(
        insert(0),
        "/name/0/_given",
        json!([null, null, {"id":"second"}]),
    );
    gives(insert(2), "/name/0/given", json!(["x", "y", "z"]));
    assert!(matches!(one(insert(3)), Err(PatchError::Unfit { .. })));
    gives(
        json!({"type":"insert","path":"Patient.telecom","index":0,"value":{"valueContactPoint":{"value":"1"}}}),
        "/telecom",
        json!([{"value":"1"}]),
    );
    let moved = |from: usize, to: usize| json!({"type":"move","path":"Patient.name[0].given","source":from,"destination":to});
    gives(moved(0, 1), "/name/0/given", json!(["y", "x"]));
    gives(
        moved(0, 1),
        "/name/0/_given",
        json!([{"id":"second"}, null]),
    );
    assert!(matches!(one(moved(0, 2)), Err(PatchError::Unfit { .. })));
}

#[test]
fn delete_takes_one_element_and_what_is_left_empty() {
    let gone = |path: &str, pointer: &str| {
        let result = one(json!({"type":"delete","path":path})).unwrap();
        assert_eq!(result.pointer(pointer), None, "{path}: {result}");
    };
    gone("Patient.birthDate", "/birthDate");
    gone("Patient.birthDate", "/_birthDate");
    gone("Patient.deceased", "/deceasedBoolean");
    gone("Patient.name[1].text", "/name/1");
    gone("Patient.contact.name.text", "/contact");
    gone("Patient.name.where(text = 'B')", "/name/1");
    gone("Patient.name[0].given[1]", "/name/0/_given");
    assert!(one(json!({"type":"delete","path":"Patient.photo"})).is_ok());
    let many = one(json!({"type":"delete","path":"Patient.name"}));
    let told = PatchError::Unfit { at: 0, what: MANY };
    assert_eq!(many, Err(told));
}

#[test]
fn replace_gives_a_choice_the_name_of_its_type() {
    let deceased =
        json!({"type":"replace","path":"Patient.deceased","value":{"valueDateTime":"2001"}});
    let result = one(deceased).unwrap();
    assert_eq!(result["deceasedDateTime"], json!("2001"));
    assert_eq!(result.get("deceasedBoolean"), None);
    let date = json!({"type":"replace","path":"Patient.birthDate","value":{"valueDate":"1930"}});
    let result = one(date).unwrap();
    assert_eq!(
        (&result["birthDate"], result.get("_birthDate")),
        (&json!("1930"), None)
    );
    gives(
        json!({"type":"replace","path":"Patient.name[0].given[0]","value":{"valueString":"z"}}),
        "/name/0/given",
        json!(["z", "y"]),
    );
    gives(
        json!({"type":"replace","path":"Patient.contact[0]","value":{"part":[{"name":"gender","valueCode":"male"}]}}),
        "/contact/0",
        json!({"gender":"male"}),
    );
    let nothing = json!({"type":"replace","path":"Patient.gender","value":{"valueCode":"male"}});
    assert_eq!(one(nothing), Err(PatchError::Missing { at: 0 }));
}

#[test]
fn operations_see_what_those_before_them_did() {
    let result = patched(
        &[],
        &[
            json!({"type":"add","path":"Patient","name":"telecom","value":{"valueContactPoint":{"value":"1"}}}),
            json!({"type":"add","path":"Patient.telecom.where(value = '1')","name":"rank","value":{"valuePositiveInt":3}}),
            json!({"type":"delete","path":"Patient.telecom.value"}),
        ],
    );
    assert_eq!(result.unwrap()["telecom"], json!([{"rank":3}]));
}

#[test]
fn what_can_not_be_made_is_told() {
    let form = |operation: Any| {
        let told = one(operation.clone()).unwrap_err();
        assert!(
            matches!(told, PatchError::Form { at: 0, .. }),
            "{operation}: {told}"
        );
    };
    let unfit = |operation: Any| {
        let told = one(operation.clone()).unwrap_err();
        assert!(
            matches!(told, PatchError::Unfit { at: 0, .. }),
            "{operation}: {told}"
        );
    };
    form(json!({"type":"merge","path":"Patient"}));
    form(json!({"type":"delete"}));
    unfit(json!({"type":"delete","path":"Patient"}));
    unfit(json!({"type":"delete","path":"1 + 1"}));
    form(json!({"type":"add","path":"Patient","name":"gender"}));
    unfit(json!({"type":"add","path":"Patient","name":"ghost","value":{"valueCode":"x"}}));
    unfit(json!({"type":"add","path":"Patient.birthDate","name":"x","value":{"valueCode":"x"}}));
    form(
        json!({"type":"insert","path":"Patient.name.first()","index":0,"value":{"valueString":"x"}}),
    );
    unfit(json!({"type":"insert","path":"Patient.gender","index":0,"value":{"valueCode":"x"}}));
    form(json!({"type":"delete","path":"Patient.("}));
    unfit(json!({"type":"delete","path":"now()"}));
    let slow = format!(
        "descendants(){}",
        ".select(%resource.descendants())".repeat(9)
    );
    unfit(json!({"type":"delete","path":slow}));
    let resource = Resource::ours(PATIENT).unwrap();
    assert_eq!(
        fhirpath(&resource, &resource).unwrap_err(),
        PatchError::List
    );
}

#[test]
fn what_is_hidden_is_as_if_it_were_not_there() {
    // The first name, and birthDate with its extensions.
    let hidden: &[&[u16]] = &[&[3, 0], &[4], &[5]];
    let result = patched(
        hidden,
        &[
            json!({"type":"add","path":"Patient.name[0]","name":"family","value":{"valueString":"C"}}),
            json!({"type":"delete","path":"Patient.name.where(family = 'A')"}),
            json!({"type":"delete","path":"Patient.birthDate"}),
            json!({"type":"insert","path":"Patient.name","index":0,"value":{"valueHumanName":{"text":"D"}}}),
        ],
    )
    .unwrap();
    assert_eq!(result["birthDate"], json!("1920-01-01"));
    assert_eq!(result["name"][0]["family"], json!("A"));
    assert_eq!(result["name"][1], json!({"text":"D"}));
    assert_eq!(result["name"][2], json!({"text":"B","family":"C"}));
    let taken =
        json!({"type":"add","path":"Patient","name":"birthDate","value":{"valueDate":"2000"}});
    assert_eq!(patched(hidden, &[taken]), Err(PatchError::Hidden { at: 0 }));
}
