//! Whether codes are of the value set that their element is bound to with strength `required`
//! (<https://hl7.org/fhir/R4/terminologies.html#required>).

use crate::fhir::{
    Node,
    codes::{CODES, CodeSet, Format, Members, SetId},
    json::Value,
};

/// What is wrong with the codes of a value of a bound element.
pub(super) fn fault(node: &Node, id: SetId) -> Option<String> {
    let set = CODES.set(id)?;
    let wrong = || format!("must be of the value set {}", set.name);
    match &node.value {
        Value::String(code) => (!set.has_code(code)).then(wrong),
        Value::Object(_) if set.members == Members::Format(Format::Language) => {
            let bad = coded(node)
                .any(|(system, code)| system == "urn:ietf:bcp:47" && !Format::Language.fits(code));
            bad.then(wrong)
        }
        Value::Object(_) => (!concept(node, set)).then(wrong),
        _ => None,
    }
}

/// Whether one coding of a concept is of the set. A concept that says by extension alone why it has
/// no code is let be, as a code is.
fn concept(node: &Node, set: &CodeSet) -> bool {
    let silent = node.get("coding").is_none() && node.get("text").is_none();
    coded(node).any(|(system, code)| set.has_coding(system, code))
        || (silent && node.get("extension").is_some())
}

fn coded(node: &Node) -> impl Iterator<Item = (&str, &str)> {
    let codings = node.get("coding").map(Node::items).unwrap_or_default();
    codings
        .iter()
        .filter_map(|coding| Some((coding.text("system")?, coding.text("code")?)))
}
