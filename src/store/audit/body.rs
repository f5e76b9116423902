//! The text of an entry: compact JSON, keys in one order, what is empty left out. It is what the
//! chain's hashes cover, so a text once written keeps its meaning: keys may be added, never changed.

use crate::{
    fhir::{Instant, Key, json},
    gate::Entry,
};
use serde::Deserialize;
use std::io::Write as _;

/// An entry as it was written. Its words stay text: a log outlives the tables of its codes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// When the request came in.
    pub at: Instant,
    /// The request's id.
    #[serde(default)]
    pub request: Box<str>,
    /// The client; empty for an act of the local operator.
    #[serde(default)]
    pub client: Box<str>,
    /// The role.
    pub role: Box<str>,
    /// The person, as `Type/id`.
    #[serde(default)]
    pub user: Option<Box<str>>,
    /// The organization that the client acts for, as `Type/id`.
    #[serde(default)]
    pub organization: Option<Box<str>>,
    /// The purpose's v3-ActReason code.
    #[serde(default)]
    pub purpose: Option<Box<str>>,
    /// The stated reason of an emergency access.
    #[serde(default)]
    pub break_glass: Option<Box<str>>,
    /// The interaction.
    pub interaction: Box<str>,
    /// What was asked.
    #[serde(default)]
    pub target: Box<str>,
    /// The network address that it was asked from.
    #[serde(default)]
    pub from: Option<Box<str>>,
    /// The HTTP status, or 0.
    pub status: u16,
    /// What was disclosed or written.
    #[serde(default)]
    pub records: Vec<RecordedRecord>,
    /// Whose records these are, as `Patient/id`.
    #[serde(default)]
    pub patients: Vec<Box<str>>,
}

/// A record in a [`Recorded`]; `[key, version, basis]` in the text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RecordedRecord {
    /// `Type/id`.
    pub key: Box<str>,
    /// The version id.
    pub version: Box<str>,
    /// The reason code of its release.
    pub basis: Box<str>,
}

/// The canonical text of an entry.
pub(super) fn encode(entry: &Entry) -> Vec<u8> {
    let size = 256 + entry.records.len() * 64 + entry.patients.len() * 32;
    let mut out = Vec::with_capacity(size);
    let _ = write!(out, "{{\"at\":{}", entry.at);
    text(&mut out, "request", &entry.request);
    text(&mut out, "client", &entry.client);
    text(&mut out, "role", entry.role);
    key(&mut out, "user", entry.user.as_ref());
    key(&mut out, "organization", entry.organization.as_ref());
    text(
        &mut out,
        "purpose",
        entry.purpose.map_or("", |purpose| purpose.code()),
    );
    if let Some(reason) = &entry.break_glass {
        name(&mut out, "breakGlass");
        json::quote(&mut out, reason);
    }
    text(&mut out, "interaction", entry.interaction);
    text(&mut out, "target", &entry.target);
    if let Some(from) = entry.from {
        text(&mut out, "from", &from.to_string());
    }
    let _ = write!(out, ",\"status\":{}", entry.status);
    list(&mut out, "records", &entry.records, |out, record| {
        out.push(b'[');
        quote_key(out, &record.key);
        out.push(b',');
        json::quote(out, &record.version);
        out.push(b',');
        json::quote(out, record.basis.code());
        out.push(b']');
    });
    list(&mut out, "patients", &entry.patients, quote_key);
    out.push(b'}');
    out
}

/// Reads a text of [`encode`].
pub(super) fn decode(text: &[u8]) -> Result<Recorded, serde_json::Error> {
    serde_json::from_slice(text)
}

fn name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn text(out: &mut Vec<u8>, label: &str, text: &str) {
    // Role and interaction have no default to read back to.
    if !text.is_empty() || label == "role" || label == "interaction" {
        name(out, label);
        json::quote(out, text);
    }
}

fn key(out: &mut Vec<u8>, label: &str, key: Option<&Key>) {
    if let Some(key) = key {
        name(out, label);
        quote_key(out, key);
    }
}

/// Types and ids hold nothing that JSON escapes.
fn quote_key(out: &mut Vec<u8>, key: &Key) {
    out.push(b'"');
    out.extend_from_slice(key.kind.name().as_bytes());
    out.push(b'/');
    out.extend_from_slice(key.id.as_str().as_bytes());
    out.push(b'"');
}

fn list<T>(out: &mut Vec<u8>, label: &str, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    for (at, each) in items.iter().enumerate() {
        if at == 0 {
            name(out, label);
            out.push(b'[');
        } else {
            out.push(b',');
        }
        item(out, each);
    }
    if !items.is_empty() {
        out.push(b']');
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        fhir::{Id, Kind},
        gate::EntryRecord,
        policy::case::Role,
        statute::{Purpose, Reason},
    };
    use proptest::{collection::vec, option, prelude::*, sample::select};

    impl Recorded {
        /// What reading an entry's text must give.
        pub(in crate::store::audit) fn of(entry: &Entry) -> Recorded {
            let name = |key: &Key| key.to_string().into_boxed_str();
            Recorded {
                at: entry.at,
                request: entry.request.clone(),
                client: entry.client.clone(),
                role: entry.role.into(),
                user: entry.user.as_ref().map(name),
                organization: entry.organization.as_ref().map(name),
                purpose: entry.purpose.map(|purpose| purpose.code().into()),
                break_glass: entry.break_glass.clone(),
                interaction: entry.interaction.into(),
                target: entry.target.clone(),
                from: entry.from.map(|from| from.to_string().into()),
                status: entry.status,
                records: entry
                    .records
                    .iter()
                    .map(|record| RecordedRecord {
                        key: name(&record.key),
                        version: record.version.clone(),
                        basis: record.basis.code().into(),
                    })
                    .collect(),
                patients: entry.patients.iter().map(name).collect(),
            }
        }
    }

    fn any_key() -> impl Strategy<Value = Key> {
        let kinds: Vec<Kind> = Kind::all().collect();
        (select(kinds), "[A-Za-z0-9.-]{1,64}").prop_map(|(kind, id)| Key {
            kind,
            id: Id::parse(&id).unwrap(),
        })
    }

    fn any_text() -> impl Strategy<Value = Box<str>> {
        prop_oneof![".{0,24}", "[\\x00-\\x7f]{0,24}"].prop_map(String::into_boxed_str)
    }

    fn any_record() -> impl Strategy<Value = EntryRecord> {
        (any_key(), any_text(), select(Reason::ALL)).prop_map(|(key, version, basis)| EntryRecord {
            key,
            version,
            basis,
        })
    }

    pub(in crate::store::audit) fn any_entry() -> impl Strategy<Value = Entry> {
        let roles: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        let who = (
            any_text(),
            any_text(),
            select(roles),
            option::of(any_key()),
            option::of(any_key()),
            option::of(select(Purpose::ALL.to_vec())),
            option::of(any::<std::net::IpAddr>()),
        );
        let what = (
            option::of(any_text()),
            select(vec!["read", "search-type", "everything", "token", ""]),
            any_text(),
            any::<u16>(),
            vec(any_record(), 0..4),
            vec(any_key(), 0..3),
        );
        (any::<i64>(), who, what).prop_map(|(at, who, what)| {
            let (request, client, role, user, organization, purpose, from) = who;
            let (break_glass, interaction, target, status, records, patients) = what;
            Entry {
                at,
                request,
                client,
                role,
                user,
                organization,
                purpose,
                break_glass,
                interaction,
                target,
                from,
                status,
                records,
                patients,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(entry in any_entry()) {
            let text = encode(&entry);
            prop_assert_eq!(decode(&text).unwrap(), Recorded::of(&entry));
            prop_assert_eq!(encode(&entry), text);
        }
    }

    #[test]
    fn the_text_has_one_form() {
        let mut entry = Entry::local(7, "token", "app \"a\"\n");
        entry.patients = vec![Key::parse("Patient/a").unwrap()];
        entry.records = vec![EntryRecord {
            key: Key::parse("Observation/o").unwrap(),
            version: "2".into(),
            basis: Reason::Treatment,
        }];
        assert_eq!(
            String::from_utf8(encode(&entry)).unwrap(),
            concat!(
                r#"{"at":7,"role":"local","interaction":"token","target":"app \"a\"\n","status":0,"#,
                r#""records":[["Observation/o","2","treatment"]],"patients":["Patient/a"]}"#
            )
        );
    }
}
