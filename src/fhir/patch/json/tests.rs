use super::*;
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use serde_json::{Value as Any, json};

const BASIC: &str =
    r#"{ "resourceType" : "Basic", "a": 1.50, "b": [ {"x":1}, {"y" :  "\u00e9"} ], "c/d": {} }"#;

fn patched(text: &str, hidden: &[&[u16]], patch: &Any) -> Result<String, PatchError> {
    let resource = Resource::ours(text.to_owned()).unwrap();
    let hidden: Vec<_> = hidden.iter().map(|steps| Path((*steps).into())).collect();
    let result = json_shown(&resource, &hidden, patch.to_string().as_bytes())?;
    Ok(String::from_utf8(result.text().to_vec()).unwrap())
}

#[test]
fn what_is_not_touched_keeps_its_bytes() {
    let patch =
        json!([{"op":"test","path":"/a","value":1.5},{"op":"add","path":"/b/1/z","value":[]}]);
    assert_eq!(
        patched(BASIC, &[], &patch).unwrap(),
        r#"{"resourceType" : "Basic","a": 1.50,"b": [{"x":1},{"y" :  "\u00e9","z":[]}],"c/d": {}}"#
    );
    let resource = Resource::ours(BASIC).unwrap();
    let patch = br#"[{"op":"replace","path":"/a","value":12.300}]"#;
    let result = super::json(&resource, patch).unwrap();
    assert_eq!(result.root().get("a").unwrap().number(), Some("12.300"));
    assert_eq!(patched(BASIC, &[], &json!([])).unwrap(), BASIC);
}

#[test]
fn every_operation_is_made() {
    let cases = [
        (
            json!({"op":"add","path":"/b/-","value":7}),
            "/b/2",
            json!(7),
        ),
        (
            json!({"op":"add","path":"/b/0","value":7}),
            "/b/0",
            json!(7),
        ),
        (
            json!({"op":"replace","path":"/b/0/x","value":null}),
            "/b/0/x",
            json!(null),
        ),
        (
            json!({"op":"move","from":"/b/0","path":"/c~1d/m"}),
            "/c~1d/m/x",
            json!(1),
        ),
        (
            json!({"op":"copy","from":"/b","path":"/b/0"}),
            "/b/0/1/y",
            json!("é"),
        ),
        (json!({"op":"remove","path":"/b/0"}), "/b/0/y", json!("é")),
    ];
    for (operation, path, value) in cases {
        let text = patched(BASIC, &[], &json!([operation])).unwrap();
        let tree: Any = serde_json::from_str(&text).unwrap();
        assert_eq!(tree.pointer(path), Some(&value), "{operation}");
    }
}

#[test]
fn what_can_not_be_made_is_told() {
    let fault = |operation: Any| patched(BASIC, &[], &json!([operation])).unwrap_err();
    for path in ["/z", "/b/2", "/b/01", "/b/-", "/a/0", "/b/0/x/0"] {
        let missing = PatchError::Missing { at: 0 };
        assert_eq!(fault(json!({"op":"remove","path":path})), missing, "{path}");
        assert_eq!(
            fault(json!({"op":"replace","path":path,"value":1})),
            missing,
            "{path}"
        );
    }
    assert_eq!(
        fault(json!({"op":"add","path":"/b/3","value":1})),
        PatchError::Missing { at: 0 }
    );
    assert_eq!(
        fault(json!({"op":"test","path":"/a","value":2})),
        PatchError::Test { at: 0 }
    );
    assert_eq!(
        fault(json!({"op":"test","path":"/z","value":2})),
        PatchError::Test { at: 0 }
    );
    for operation in [
        json!({"op":"merge","path":"/a"}),
        json!({"path":"/a"}),
        json!({"op":"add","path":"/a"}),
        json!({"op":"add","path":"a","value":1}),
        json!({"op":"add","path":"/~2","value":1}),
        json!({"op":"move","from":"/b","path":"/b/0"}),
        json!({"op":"copy","path":"/b/0"}),
        json!(1),
    ] {
        let told = fault(operation.clone());
        assert!(
            matches!(told, PatchError::Form { at: 0, .. }),
            "{operation}: {told}"
        );
    }
    let kind = fault(json!({"op":"remove","path":"/resourceType"}));
    assert!(matches!(kind, PatchError::Resource(_)));
    assert_eq!(patched(BASIC, &[], &json!({})), Err(PatchError::List));
    let many = json!(vec![
        json!({"op":"test","path":"/a","value":1.5});
        OPERATIONS + 1
    ]);
    assert_eq!(patched(BASIC, &[], &many), Err(PatchError::Operations));
}

#[test]
fn copies_stay_within_bounds() {
    let deeper = json!({"op":"copy","from":"/c~1d","path":"/c~1d/e"});
    let told = patched(BASIC, &[], &json!(vec![deeper; 200])).unwrap_err();
    assert!(matches!(told, PatchError::Size { .. }), "{told}");
    let start = json!({"op":"add","path":"/b","value":["x".repeat(1000)]});
    let mut operations = vec![start];
    operations.extend((0..40).map(|n| json!({"op":"copy","from":"/b","path":format!("/c{n}")})));
    operations.extend((0..40).map(|_| json!({"op":"copy","from":"/c~1d","path":"/b/-"})));
    assert!(patched(BASIC, &[], &json!(operations)).is_ok());
    let doubling = (0..60).flat_map(|_| {
        [
            json!({"op":"copy","from":"/b","path":"/t"}),
            json!({"op":"add","path":"/b","value":[]}),
            json!({"op":"copy","from":"/t","path":"/b/-"}),
            json!({"op":"move","from":"/t","path":"/b/-"}),
        ]
    });
    let mut operations = vec![json!({"op":"add","path":"/b","value":["x".repeat(1000)]})];
    operations.extend(doubling);
    let told = patched(BASIC, &[], &json!(operations)).unwrap_err();
    assert!(matches!(told, PatchError::Size { .. }), "{told}");
}

#[test]
fn what_is_hidden_is_as_if_it_were_not_there() {
    // The first item of b, and c/d.
    let hidden: &[&[u16]] = &[&[2, 0], &[3]];
    let shown = r#"{"resourceType":"Basic","a":1.50,"b":[{"y":"é"}]}"#;
    let same = [
        json!({"op":"test","path":"/b","value":[{"y":"é"}]}),
        json!({"op":"test","path":"/b/0/y","value":"é"}),
        json!({"op":"test","path":"/b/0/x","value":1}),
        json!({"op":"test","path":"/c~1d","value":{}}),
        json!({"op":"remove","path":"/c~1d"}),
        json!({"op":"remove","path":"/b/1"}),
        json!({"op":"copy","from":"/c~1d","path":"/e"}),
        json!({"op":"add","path":"/c~1d/e","value":1}),
        json!({"op":"add","path":"/b/1","value":1}),
        json!({"op":"add","path":"/b/2","value":1}),
        json!({"op":"replace","path":"/b/0/y","value":1}),
        json!({"op":"remove","path":"/b/0"}),
    ];
    for operation in same {
        let patch = json!([operation]);
        let (whole, ghost) = (patched(BASIC, hidden, &patch), patched(shown, &[], &patch));
        assert_eq!(whole.as_ref().err(), ghost.as_ref().err(), "{operation}");
        if let Ok(whole) = whole {
            assert!(
                whole.contains(r#"{"x":1}"#) && whole.contains(r#""c/d": {}"#),
                "{whole}"
            );
        }
    }
    let put = patched(
        BASIC,
        hidden,
        &json!([{"op":"replace","path":"/b/0/y","value":2}]),
    );
    assert!(put.unwrap().contains(r#"{"y" :  2}"#));
    for operation in [
        json!({"op":"replace","path":"","value":{}}),
        json!({"op":"remove","path":"/b"}),
        json!({"op":"replace","path":"/b","value":[]}),
        json!({"op":"copy","from":"/b","path":"/e"}),
        json!({"op":"move","from":"/b","path":"/e"}),
        json!({"op":"add","path":"/c~1d","value":1}),
    ] {
        let told = patched(BASIC, hidden, &json!([operation]));
        assert_eq!(told, Err(PatchError::Hidden { at: 0 }), "{operation}");
    }
}

fn value() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        (0..3_i64).prop_map(|n| json!(n)),
        Just(json!("s")),
        Just(json!(null)),
        Just(json!(true)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Any::from),
            vec((name(), inner), 0..3)
                .prop_map(|members| { Any::Object(members.into_iter().collect()) }),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("0"), Just("m~n/o")].prop_map(String::from)
}

fn pointer() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        4 => Just("a"), 4 => Just("b"), 4 => Just("0"), 2 => Just("1"), 1 => Just("-"),
        1 => Just("m~0n~1o"), 1 => Just("00"),
    ];
    vec(step, 1..4).prop_map(|steps| format!("/{}", steps.join("/")))
}

fn operation() -> impl Strategy<Value = Any> {
    prop_oneof![
        (pointer(), value())
            .prop_map(|(path, value)| json!({"op":"add","path":path,"value":value})),
        (pointer(), value())
            .prop_map(|(path, value)| json!({"op":"replace","path":path,"value":value})),
        (pointer(), value())
            .prop_map(|(path, value)| json!({"op":"test","path":path,"value":value})),
        pointer().prop_map(|path| json!({"op":"remove","path":path})),
        (pointer(), pointer())
            .prop_map(|(from, path)| json!({"op":"move","from":from,"path":path})),
        (pointer(), pointer())
            .prop_map(|(from, path)| json!({"op":"copy","from":from,"path":path})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        rng_seed: RngSeed::Fixed(0x6902),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The json-patch crate says the same (its `patch` dies where it must undo a move into itself).
    #[test]
    fn it_is_json_patch(members in vec((name(), value()), 0..4), operations in vec(operation(), 1..5)) {
        let mut document: serde_json::Map<_, _> = members.into_iter().collect();
        document.insert("resourceType".into(), json!("Basic"));
        let mut expected = Any::Object(document);
        let operations = Any::from(operations);
        let ours = patched(&expected.to_string(), &[], &operations);
        let theirs: json_patch::Patch = serde_json::from_value(operations).unwrap();
        let theirs = json_patch::patch_unsafe(&mut expected, &theirs);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        if let Ok(ours) = ours {
            let ours: Any = serde_json::from_str(&ours).unwrap();
            prop_assert_eq!(ours, expected);
        }
    }
}
