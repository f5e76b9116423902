//! L5: FHIR operations, one file each.

pub mod evaluate;
pub mod everything;
pub mod validate;

use crate::{
    fhir::Resource,
    interaction::{Refusal, search::invalid},
};

/// The parameters of an operation's Parameters, as pairs like those of a query. None is left out:
/// one that has no simple value is refused.
pub fn pairs(parameters: &Resource) -> Result<Vec<(String, String)>, Refusal> {
    if parameters.kind().name() != "Parameters" {
        return Err(invalid("Parameters are expected here"));
    }
    let mut pairs = Vec::new();
    for parameter in parameters.nodes("parameter") {
        let name = parameter.text("name").unwrap_or_default();
        let value = parameter
            .members()
            .iter()
            .find(|member| member.name.starts_with("value"))
            .map(|member| &member.node);
        let text = value.and_then(|value| {
            value
                .str()
                .or_else(|| value.number())
                .or_else(|| value.text("reference"))
                .or_else(|| value.text("code"))
        });
        let text = text.ok_or_else(|| invalid("a parameter has no simple value"))?;
        pairs.push((name.to_owned(), text.to_owned()));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_is_left_out() {
        let read = |text: &str| pairs(&Resource::ours(text.to_owned()).unwrap());
        let body = r#"{"resourceType":"Parameters","parameter":[{"name":"_count","valueInteger":5},
            {"name":"start","valueDate":"2026-01-01"},{"name":"record","valueReference":{"reference":"Task/t"}}]}"#;
        let found = read(body).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        let expected = [
            ("_count", "5"),
            ("start", "2026-01-01"),
            ("record", "Task/t"),
        ];
        assert_eq!(found, expected);
        let nested = r#"{"resourceType":"Parameters","parameter":[{"name":"x","part":[]}]}"#;
        assert!(read(nested).is_err());
        assert!(read(r#"{"resourceType":"Patient","id":"p"}"#).is_err());
    }
}
