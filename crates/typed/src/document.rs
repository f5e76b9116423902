//! The body twice: as `fhir-sdk` reads it, and as plain JSON for what it loses.

use fhir_sdk::r4b::resources::Resource;
use serde_json::Value as Json;

use crate::TypedError;

/// How deep a body may nest, counting objects and arrays. Unoptimized `fhir-sdk`
/// needs half a megabyte of stack at this depth and two at the parser's own limit
/// of 128, which is all a worker thread has; an overflow ends the process. Real
/// bodies stay below 10, and fifteen provisions within each other fit.
const MAX_DEPTH: usize = 32;

/// Parses a body both ways and checks that it is the resource asked for.
///
/// Everything is deserialized as `Resource`, so that its code is generated once
/// and not once for each of the four types as well.
pub(crate) fn parse<T>(body: &[u8], expected: &'static str) -> Result<(T, Json), TypedError>
where
    T: TryFrom<Resource>,
{
    let json: Json = serde_json::from_slice(body).map_err(|e| TypedError::Shape(e.to_string()))?;
    let found = text(&json, "resourceType");
    if found.as_deref() != Some(expected) {
        return Err(TypedError::WrongType { expected, found });
    }
    if deeper_than(&json, MAX_DEPTH) {
        return Err(TypedError::TooDeep(MAX_DEPTH));
    }
    // From the bytes, not from `json`: this reading refuses duplicate keys.
    let resource = deserialize(body)?;
    match T::try_from(resource) {
        Ok(typed) => Ok((typed, json)),
        Err(_) => Err(TypedError::WrongType { expected, found }),
    }
}

fn deeper_than(json: &Json, levels: usize) -> bool {
    let below = |json| levels == 0 || deeper_than(json, levels - 1);
    match json {
        Json::Array(items) => items.iter().any(below),
        Json::Object(members) => members.values().any(below),
        _ => false,
    }
}

/// The one place that instantiates `fhir-sdk`; apart, so that it is not generic.
fn deserialize(body: &[u8]) -> Result<Resource, TypedError> {
    serde_json::from_slice(body).map_err(|e| TypedError::Shape(e.to_string()))
}

/// The string under `key`, verbatim.
pub(crate) fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key).and_then(Json::as_str).map(str::to_owned)
}

/// A JSON member, or null: absent elements read as null all the way down.
pub(crate) fn member<'a>(json: &'a Json, key: &str) -> &'a Json {
    json.get(key).unwrap_or(&Json::Null)
}

/// Each entry of a typed list with its JSON. FHIR forbids nulls in a list of
/// complex elements.
pub(crate) fn entries<'a, T>(
    typed: &'a [Option<T>],
    json: &'a Json,
    key: &'static str,
) -> Result<Vec<(&'a T, &'a Json)>, TypedError> {
    let json = member(json, key).as_array().map_or(&[][..], Vec::as_slice);
    if json.len() != typed.len() {
        return Err(TypedError::Dropped(key));
    }
    typed
        .iter()
        .zip(json)
        .map(|(entry, json)| Ok((entry.as_ref().ok_or(TypedError::NullEntry(key))?, json)))
        .collect()
}

/// The key and JSON of a choice element, such as `valueCode` for `value`.
pub(crate) fn choice<'a>(
    json: &'a Json,
    base: &'static str,
) -> Result<Option<(&'a str, &'a Json)>, TypedError> {
    let mut found = json
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, json)| {
            let kind = key.strip_prefix(base)?;
            kind.starts_with(|c: char| c.is_ascii_uppercase())
                .then_some((kind, json))
        });
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(TypedError::Dropped(base)),
    }
}

/// Fails if the JSON has the choice element and the typed reading has not.
pub(crate) fn refuse_dropped<T>(
    typed: Option<&T>,
    json: &Json,
    base: &'static str,
) -> Result<(), TypedError> {
    match (typed, choice(json, base)?) {
        (None, Some(_)) => Err(TypedError::Dropped(base)),
        _ => Ok(()),
    }
}

/// The URLs of every modifier extension in the resource, at any depth, save in
/// contained resources.
pub(crate) fn modifiers(json: &Json) -> Vec<String> {
    let mut urls = Vec::new();
    collect_modifiers(json, &mut urls);
    urls
}

/// Recursion is bounded by `MAX_DEPTH`.
fn collect_modifiers(json: &Json, urls: &mut Vec<String>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect_modifiers(item, urls)),
        Json::Object(members) => {
            for (key, json) in members {
                match key.as_str() {
                    "contained" => {}
                    "modifierExtension" => {
                        let extensions = json.as_array().into_iter().flatten();
                        urls.extend(extensions.map(|e| text(e, "url").unwrap_or_default()));
                    }
                    _ => collect_modifiers(json, urls),
                }
            }
        }
        _ => {}
    }
}
