//! Bundles of records that were disclosed: <https://hl7.org/fhir/R4/bundle.html>

use crate::{
    fhir::{
        json,
        outcome::{Issue, outcome},
    },
    gate::{Disclosed, Disclosure},
    search::plan::CURSOR,
};

/// A Bundle in the making.
#[derive(Debug)]
pub struct Bundle {
    out: Vec<u8>,
    base: Box<str>,
    entries: usize,
}

/// Why a record is in a searchset (`search.mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It matched.
    Match,
    /// It came along.
    Include,
}

impl Bundle {
    /// A searchset with its total, where it was counted, and its links.
    pub fn searchset(base: &str, total: Option<u64>, links: &[(&str, String)]) -> Bundle {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(b"{\"resourceType\":\"Bundle\",\"type\":\"searchset\"");
        if let Some(total) = total {
            out.extend_from_slice(format!(",\"total\":{total}").as_bytes());
        }
        write_links(&mut out, links);
        Bundle {
            out,
            base: base.into(),
            entries: 0,
        }
    }

    /// Adds what was disclosed.
    pub fn add(&mut self, disclosure: &Disclosure, mode: Mode) {
        for record in disclosure.entries() {
            self.entry(record, mode);
        }
    }

    /// Adds what was disclosed in several: the first so many match, the others came along.
    pub fn add_all(&mut self, disclosures: &[Disclosure], matches: usize) {
        let records = disclosures.iter().flat_map(Disclosure::entries);
        for (at, record) in records.enumerate() {
            self.entry(
                record,
                if at < matches {
                    Mode::Match
                } else {
                    Mode::Include
                },
            );
        }
    }

    /// Adds what is to be said of the search itself (`search.mode` is `outcome`).
    pub fn say(&mut self, issue: Issue) {
        self.next();
        self.out.extend_from_slice(b"{\"resource\":");
        self.out.extend_from_slice(&outcome(&[issue]));
        self.out
            .extend_from_slice(b",\"search\":{\"mode\":\"outcome\"}}");
    }

    fn next(&mut self) {
        self.out.extend_from_slice(if self.entries == 0 {
            b",\"entry\":["
        } else {
            b","
        });
        self.entries += 1;
    }

    fn entry(&mut self, record: Disclosed<'_>, mode: Mode) {
        self.next();
        self.out.extend_from_slice(b"{\"fullUrl\":\"");
        self.out
            .extend_from_slice(format!("{}/{}", self.base, record.key).as_bytes());
        if let Some(id) = record.inside {
            self.out.push(b'#');
            self.out.extend_from_slice(id.as_str().as_bytes());
        }
        self.out.extend_from_slice(b"\",\"resource\":");
        self.out.extend_from_slice(record.body);
        let mode = match mode {
            Mode::Match => "match",
            Mode::Include => "include",
        };
        self.out
            .extend_from_slice(format!(",\"search\":{{\"mode\":\"{mode}\"}}}}").as_bytes());
    }

    /// The Bundle's JSON.
    pub fn finish(mut self) -> Vec<u8> {
        self.out
            .extend_from_slice(if self.entries == 0 { b"}" } else { b"]}" });
        self.out
    }
}

/// The links of a page: itself, and the next one by its cursor.
pub fn links(
    base: &str,
    path: &str,
    used: &[(String, String)],
    next: Option<String>,
) -> Vec<(&'static str, String)> {
    let mut links = vec![("self", url(base, path, used))];
    if let Some(cursor) = next {
        let mut pairs = used.to_vec();
        pairs.push((CURSOR.to_owned(), cursor));
        links.push(("next", url(base, path, &pairs)));
    }
    links
}

/// Writes the links of a Bundle.
pub(super) fn write_links(out: &mut Vec<u8>, links: &[(&str, String)]) {
    out.extend_from_slice(b",\"link\":[");
    for (at, (relation, url)) in links.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(format!("{{\"relation\":\"{relation}\",\"url\":").as_bytes());
        json::quote(out, url);
        out.push(b'}');
    }
    out.push(b']');
}

/// A URL of ours with a query.
pub fn url(base: &str, path: &str, pairs: &[(String, String)]) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b':')
        .remove(b'/')
        .remove(b',')
        .remove(b'|');
    let mut url = format!("{base}/{path}");
    for (at, (name, value)) in pairs.iter().enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        url.extend(utf8_percent_encode(name, KEPT));
        url.push('=');
        url.extend(utf8_percent_encode(value, KEPT));
    }
    url
}
