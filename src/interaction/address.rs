//! Addresses below the FHIR base, as entries of Bundles and conditions write them.

use crate::fhir::{Key, Kind};

/// A path below the base, and a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without a slash before or after it.
    pub path: Box<str>,
    /// Without the question mark.
    pub query: Box<str>,
}

impl Address {
    /// Of a relative URL, or of an absolute one below one of the bases that are `here`.
    pub fn parse(url: &str, here: &[&str]) -> Option<Address> {
        let below = here.iter().filter_map(|here| url.strip_prefix(here));
        let mut below = below.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let url = below.next().unwrap_or(url);
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let path = path.trim_start_matches('/').trim_end_matches('/');
        let plain = !path.contains(':') && !path.contains("..") && !path.contains("//");
        plain.then(|| Address {
            path: path.into(),
            query: query.into(),
        })
    }

    /// The type, where the path is one.
    pub fn kind(&self) -> Option<Kind> {
        Kind::named(&self.path)
    }

    /// The record, where the path is one and there is no query.
    pub fn key(&self) -> Option<Key> {
        let two = self.path.split('/').count() == 2;
        Key::parse(&self.path).filter(|_| two && self.query.is_empty())
    }

    /// The type and the condition, where it is one.
    pub fn condition(&self) -> Option<(Kind, Vec<(String, String)>)> {
        let kind = self.kind()?;
        (!self.query.is_empty()).then(|| (kind, pairs(self.query.as_bytes())))
    }
}

/// The pairs of a query or a form, decoded.
pub fn pairs(query: &[u8]) -> Vec<(String, String)> {
    let decode = |text: &[u8]| {
        let spaced: Vec<u8> = text
            .iter()
            .map(|b| if *b == b'+' { b' ' } else { *b })
            .collect();
        percent_encoding::percent_decode(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = pair.split_at(at.unwrap_or(pair.len()));
            (
                decode(name),
                decode(value.strip_prefix(b"=").unwrap_or(value)),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let read = pairs(b"date=ge2026%2D01&_count=5&a=b%2Bc+d&flag&=x");
        assert_eq!(read[0], ("date".into(), "ge2026-01".into()));
        assert_eq!(read[2], ("a".into(), "b+c d".into()));
        assert_eq!(read[3], ("flag".into(), String::new()));
        assert_eq!(read.len(), 5);
    }

    #[test]
    fn addresses_are_below_the_base() {
        let here = "https://here.example/fhir";
        let of = |url: &str| Address::parse(url, &[here]);
        assert_eq!(
            of("Patient/1").unwrap().key().unwrap().to_string(),
            "Patient/1"
        );
        assert!(
            of("https://here.example/fhir/Patient/1")
                .unwrap()
                .key()
                .is_some()
        );
        assert!(of("/Patient/1").unwrap().key().is_some());
        assert!(of("Patient").unwrap().kind().is_some());
        assert_eq!(of("Patient?a=b").unwrap().condition().unwrap().1.len(), 1);
        assert_eq!(of("Patient").unwrap().condition(), None);
        assert_eq!(of("https://else.example/fhir/Patient/1"), None);
        assert_eq!(of("https://here.example/fhirx/Patient/1"), None);
        assert_eq!(of("Patient/1/_history/2").unwrap().key(), None);
        assert_eq!(of("Patient/../x"), None);
    }
}
