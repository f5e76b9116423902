//! Which media type the answer has: `_format` before Accept
//! (<https://hl7.org/fhir/R4/http.html#mime-type>). XML and Turtle are not given.

use super::Failure;
use axum::http::{HeaderMap, HeaderValue, header};

/// The content type of replies.
pub const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json; charset=utf-8");
/// The content type for those who ask for plain JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What the caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/fhir+json`, also where nothing is said.
    FhirJson,
    /// `application/json`.
    Json,
}

impl Format {
    /// From the query's `_format`, else from Accept, else FHIR's own.
    pub fn of(headers: &HeaderMap, query: Option<&str>) -> Result<Format, Failure> {
        if let Some(asked) = query.and_then(format_parameter) {
            return named(&asked).ok_or(Failure::NotAcceptable);
        }
        let mut best: Option<(u16, Format)> = None;
        let mut asked = false;
        for value in headers.get_all(header::ACCEPT) {
            asked = true;
            let Ok(value) = value.to_str() else { continue };
            for range in value.split(',') {
                let Some((weight, format)) = accepted(range) else {
                    continue;
                };
                if best.is_none_or(|(known, _)| weight > known) {
                    best = Some((weight, format));
                }
            }
        }
        match best {
            Some((_, format)) => Ok(format),
            None if asked => Err(Failure::NotAcceptable),
            None => Ok(Format::FhirJson),
        }
    }

    /// The header's value.
    pub fn content_type(self) -> HeaderValue {
        match self {
            Format::FhirJson => FHIR_JSON,
            Format::Json => JSON,
        }
    }
}

/// The value of `_format`, decoded.
fn format_parameter(query: &str) -> Option<String> {
    if !query.contains("_format=") {
        return None;
    }
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("_format="))?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
    Some(decoded.into_owned())
}

/// A format by the names that FHIR allows. A `+` that a client forgot to escape arrives as it is or
/// as a space: both are understood.
fn named(text: &str) -> Option<Format> {
    let name = text.split(';').next().unwrap_or_default().trim();
    match name.to_ascii_lowercase().as_str() {
        "json" | "application/json" | "text/json" => Some(Format::Json),
        "application/fhir+json" | "application/fhir json" => Some(Format::FhirJson),
        _ => None,
    }
}

/// One media range of Accept: its weight in thousandths and what it stands for, or `None` where we
/// can't give it.
fn accepted(range: &str) -> Option<(u16, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let format = match parts.next()?.to_ascii_lowercase().as_str() {
        "*/*" | "application/*" | "application/fhir+json" => Format::FhirJson,
        "application/json" | "text/json" => Format::Json,
        _ => return None,
    };
    let mut weight = 1000;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => weight = thousandths(value)?,
            "fhirversion" if value != "4.0" => return None,
            _ => {}
        }
    }
    (weight > 0).then_some((weight, format))
}

fn thousandths(text: &str) -> Option<u16> {
    let number: f32 = text.parse().ok()?;
    let fits = (0.0..=1.0).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1000"
    )]
    fits.then_some((number * 1000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str, query: &str) -> Option<Format> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(header::ACCEPT, accept.parse().unwrap());
        }
        Format::of(&headers, Some(query)).ok()
    }

    #[test]
    fn accept_is_read_with_weights() {
        let (fhir, json) = (Some(Format::FhirJson), Some(Format::Json));
        for (accept, answer) in [
            ("", fhir),
            ("*/*", fhir),
            ("application/*", fhir),
            ("application/fhir+json", fhir),
            ("application/json", json),
            ("application/fhir+xml", None),
            ("text/html,application/xhtml+xml,*/*;q=0.8", fhir),
            ("application/fhir+xml, application/json;q=0.5", json),
            ("application/fhir+json;q=0.1, application/json", json),
            ("application/json;q=0", None),
            ("application/fhir+json; fhirVersion=4.0", fhir),
            ("application/fhir+json; fhirVersion=3.0", None),
        ] {
            assert_eq!(asked(accept, ""), answer, "{accept}");
        }
    }

    #[test]
    fn the_parameter_comes_before_the_header() {
        let (fhir, json) = (Some(Format::FhirJson), Some(Format::Json));
        for (query, answer) in [
            ("_format=json", json),
            ("a=b&_format=application/json", json),
            ("_format=application/fhir%2Bjson", fhir),
            ("_format=application/fhir+json", fhir),
            ("_format=xml", None),
            ("_format=ttl", None),
            ("x_format=xml", None),
        ] {
            let accept = "application/fhir+xml";
            assert_eq!(asked(accept, query), answer, "{query}");
        }
    }
}
