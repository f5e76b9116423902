//! What a QuestionnaireResponse was asked: the codes that its questionnaire and its questions are
//! named by. A screening form tells what it screens for, whatever was answered.

use crate::fhir::{Node, Resource};

/// The system whose forms and questions are named by their codes.
pub(super) const LOINC: &str = "http://loinc.org";

/// The LOINC codes in `questionnaire` (`http://loinc.org/q/44249-1`) and in each `linkId`
/// (`/44250-9`). <https://hl7.org/fhir/us/core/STU6.1/StructureDefinition-us-core-questionnaireresponse.html>
pub(super) fn codes(resource: &Resource) -> Vec<&str> {
    if resource.kind().name() != "QuestionnaireResponse" {
        return Vec::new();
    }
    let root = resource.root();
    let form = root.text("questionnaire").and_then(|form| {
        let form = form.split(['|', '?', '#']).next()?;
        form.strip_prefix(LOINC)?.rsplit('/').next()
    });
    let mut codes: Vec<&str> = form.into_iter().collect();
    let mut left: Vec<&Node> = vec![root];
    while let Some(node) = left.pop() {
        for name in ["item", "answer"] {
            left.extend(node.get(name).map(Node::items).unwrap_or_default());
        }
        let last = node.text("linkId").and_then(|id| id.rsplit('/').next());
        codes.extend(last);
    }
    codes
}
