//! What must not be in the dependency graph.

#[test]
fn arbitrary_precision_is_off() {
    // With it, a number keeps its digits, and fhir-sdk rejects good resources.
    let number: Option<serde_json::Number> = serde_json::from_str("1.50").ok();
    assert_eq!(number.map(|n| n.to_string()).as_deref(), Some("1.5"));
}
