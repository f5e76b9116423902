//! The JSON reader against serde_json.

use super::*;
use proptest::prelude::*;

fn fault(text: &str) -> Fault {
    parse(text.as_bytes(), Limits::default()).unwrap_err().kind
}

#[test]
fn numbers_and_strings_keep_what_they_say() {
    let node = parse(
        br#"{"a":1.50,"b":"x\u00e9\ud83d\ude00\n"}"#,
        Limits::default(),
    )
    .unwrap();
    assert_eq!(node.get("a").unwrap().number(), Some("1.50"));
    assert_eq!(node.text("b"), Some("xé😀\n"));
}

#[test]
fn every_fault_is_named() {
    assert_eq!(fault("{\"a\":1,\"a\":2}"), Fault::DuplicateKey);
    assert_eq!(fault("{\"a\":1} x"), Fault::Trailing);
    assert_eq!(fault("{\"a\":01}"), Fault::Syntax);
    assert_eq!(fault("{\"a\":1.}"), Fault::Number);
    assert_eq!(fault("\"\\ud800\""), Fault::Escape);
    assert_eq!(fault("[1"), Fault::End);
    assert_eq!(fault(&"[".repeat(100)), Fault::Depth);
    assert_eq!(
        parse(b"\"\xff\"", Limits::default()).unwrap_err().kind,
        Fault::Utf8
    );
}

#[test]
fn a_name_that_occurs_twice_is_found_among_many() {
    let object = |names: &[usize]| {
        let members: Vec<String> = names.iter().map(|name| format!("\"n{name}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    for many in [2, MANY - 1, MANY, MANY + 1, 1000] {
        let mut names: Vec<usize> = (0..many).collect();
        let node = parse(object(&names).as_bytes(), Limits::default()).unwrap();
        assert_eq!(node.members().len(), many);
        for twice in [0, many / 2, many - 1] {
            names.push(twice);
            assert_eq!(
                fault(&object(&names)),
                Fault::DuplicateKey,
                "{many} {twice}"
            );
            names.pop();
        }
    }
}

fn equal(node: &Node, value: &serde_json::Value) -> bool {
    match (&node.value, value) {
        (Value::Null, serde_json::Value::Null) => true,
        (Value::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Value::Number(a), serde_json::Value::Number(b)) => a.parse::<f64>().ok() == b.as_f64(),
        (Value::String(a), serde_json::Value::String(b)) => **a == **b,
        (Value::Array(a), serde_json::Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), serde_json::Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|m| b.get(&*m.name).is_some_and(|v| equal(&m.node, v)))
        }
        _ => false,
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[a-z\"\\\\é]{0,5}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json(value in json()) {
        let text = serde_json::to_vec_pretty(&value).unwrap();
        let node = parse(&text, Limits::default()).unwrap();
        prop_assert!(equal(&node, &value));
    }

    #[test]
    fn accepts_nothing_that_serde_json_refuses(text in "[\\[\\]{}:,\"0-9a-z.eE\\\\ -]{0,24}") {
        if parse(text.as_bytes(), Limits::default()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn a_quoted_text_reads_back(text in "\\PC*") {
        let mut out = Vec::new();
        quote(&mut out, &text);
        let node = parse(&out, Limits::default()).unwrap();
        prop_assert_eq!(node.str(), Some(&*text));
    }
}
