//! The rows beside a record: whose it is, what it points at, what it is found by, what relations
//! follow from it.

use super::keys;
use crate::{
    consent::Directive,
    faces,
    fhir::{Interval, Key, Resource, Target},
    label::{Labelled, Marks, Part},
    search::{
        index::{IndexEntry, IndexValue, Span, TokenRole, entries},
        params::{BESIDE, OF_TYPE, ParamId},
    },
    store::{
        StoreError,
        sources::{self, Source},
        subjects::Named,
    },
};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashSet};

/// Takes away the index entries of a record.
pub fn clear(write: &Connection, rid: i64) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM index_token WHERE rid = ?1",
        "DELETE FROM index_date WHERE rid = ?1",
        "DELETE FROM index_string WHERE rid = ?1",
        "DELETE FROM index_reference WHERE rid = ?1",
        "DELETE FROM index_uri WHERE rid = ?1",
        "DELETE FROM index_number WHERE rid = ?1",
        "DELETE FROM index_text WHERE rid = ?1",
        "DELETE FROM part WHERE rid = ?1",
    ] {
        write.prepare_cached(sql)?.execute([rid])?;
    }
    Ok(())
}

/// What its parts reveal.
pub fn parts(write: &Connection, rid: i64, parts: &[Marks]) -> Result<(), StoreError> {
    let mut sql = write.prepare_cached("INSERT INTO part VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for marks in parts {
        sql.execute(params![
            rid,
            marks.labels.column(),
            marks.conditional.column(),
            marks.protected.column(),
            marks.conditional_protected.column()
        ])?;
    }
    Ok(())
}

/// What the record points at.
pub fn references(write: &Connection, rid: i64, resource: &Resource) -> Result<(), StoreError> {
    let mut sql = write.prepare_cached(
        "INSERT INTO reference (rid, target, needed) VALUES (?1, ?2, ?3) \
         ON CONFLICT (rid, target) DO UPDATE SET needed = max(needed, excluded.needed)",
    )?;
    for reference in &resource.found().references {
        if let Some(key) = reference.target.local() {
            let needed = faces::needs(resource, &reference.path);
            sql.execute(params![rid, keys::locate(write, key)?, needed])?;
        }
    }
    Ok(())
}

/// Whose record it is, and whom it names.
pub fn patients(
    write: &Connection,
    rid: i64,
    key: &Key,
    named: &[Named],
) -> Result<(), StoreError> {
    for name in named {
        let patient = keys::locate(write, &name.patient)?;
        patient_row(write, rid, key, patient, name.own)?;
    }
    Ok(())
}

/// One row of [`patients`].
pub fn patient_row(
    write: &Connection,
    rid: i64,
    key: &Key,
    patient: i64,
    own: bool,
) -> Result<(), StoreError> {
    write
        .prepare_cached("INSERT OR IGNORE INTO patient_state (patient) VALUES (?1)")?
        .execute([patient])?;
    write
        .prepare_cached(
            "INSERT INTO record_patient (rid, patient, own, kind) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![rid, patient, own, key.kind.number()])?;
    Ok(())
}

/// What the record is found by, each entry with the labels of the element that says it.
pub fn index(
    write: &Connection,
    rid: i64,
    key: &Key,
    resource: &Resource,
    labelled: &Labelled,
) -> Result<(), StoreError> {
    let found = entries(resource, None);
    let lasting = Lasting::of(resource, labelled);
    let mut texts: Vec<(ParamId, Marks, BTreeSet<&str>)> = Vec::new();
    for entry in &found {
        for marks in lasting.marks(entry) {
            // The words of all texts under the same labels are one row.
            if let IndexValue::Words(words) = &entry.value {
                let words = words.split(' ').filter(|word| !word.is_empty());
                let same = |(param, known, _): &&mut (ParamId, Marks, _)| {
                    *param == entry.param && *known == marks
                };
                match texts.iter_mut().find(same) {
                    Some((.., all)) => all.extend(words),
                    None => texts.push((entry.param, marks, words.collect())),
                }
                continue;
            }
            let row = Row {
                write,
                rid,
                kind: key.kind.number(),
                param: i64::from(entry.param.0),
                place: i64::from(entry.place),
                marks,
            };
            row.insert(&entry.value)?;
        }
    }
    for (param, marks, words) in texts {
        let mut all = String::new();
        for word in words {
            all.push(' ');
            all.push_str(word);
        }
        let row = Row {
            write,
            rid,
            kind: key.kind.number(),
            param: i64::from(param.0),
            place: 0,
            marks,
        };
        row.insert(&IndexValue::Words(all.into()))?;
    }
    Ok(())
}

/// The most parts of a record that are cut one by one to see which entries go with them.
const EXACT: usize = 40;

/// What is left of the entries when parts go: an entry of a care team goes with the last line that
/// used it, though it lies in none of them.
struct Lasting<'l> {
    parts: Vec<&'l Part>,
    /// Without one part, in the order of `parts`.
    without_one: Vec<Said>,
    /// With no other part, in the same order.
    with_one: Vec<Said>,
    /// Without any.
    without_all: Said,
}

/// Entries by what they say, wherever they say it.
struct Said(HashSet<(ParamId, String)>);

impl Said {
    fn of(resource: Option<&Resource>) -> Said {
        let entries = resource.map(|resource| entries(resource, None));
        Said(entries.unwrap_or_default().iter().map(said).collect())
    }

    fn has(&self, entry: &(ParamId, String)) -> bool {
        self.0.contains(entry)
    }
}

fn said(entry: &IndexEntry) -> (ParamId, String) {
    (entry.param, format!("{:?}", entry.value))
}

impl<'l> Lasting<'l> {
    fn of(resource: &Resource, labelled: &'l Labelled) -> Lasting<'l> {
        let parts: Vec<&Part> = labelled.parts.iter().collect();
        if parts.len() > EXACT {
            // Too many to cut one by one: what does not outlast all cuts goes with each of them.
            let all = faces::without(resource, &parts);
            return Lasting {
                without_one: Vec::new(),
                with_one: Vec::new(),
                without_all: Said::of(all.as_ref()),
                parts,
            };
        }
        let left = |parts: &[&Part]| {
            let left = faces::without(resource, parts);
            Said::of(left.as_ref())
        };
        let others = |one: &&Part| -> Vec<&Part> {
            let others = parts.iter().filter(|other| other.path != one.path);
            others.copied().collect()
        };
        Lasting {
            without_one: parts.iter().map(|part| left(&[part])).collect(),
            with_one: parts.iter().map(|part| left(&others(part))).collect(),
            without_all: left(&parts),
            parts,
        }
    }

    /// The labels under which an entry is there, one row each: it is there for whoever sees one.
    fn marks(&self, entry: &IndexEntry) -> Vec<Marks> {
        let said = &said(entry);
        let mut marks = Marks::NONE;
        for (part, left) in self.parts.iter().zip(&self.without_one) {
            // What the parts around it reveal, and those inside it: an entry made of an element that
            // loses a child is an entry of that child too. The absence of an element reveals nothing.
            let touches = entry.path.within(&part.path) || part.path.within(&entry.path);
            if (touches && !entry.path.0.is_empty()) || !left.has(said) {
                marks = marks.and(part.marks);
            }
        }
        if self.parts.len() > EXACT && !self.without_all.has(said) {
            return vec![
                self.parts
                    .iter()
                    .fold(marks, |all, part| all.and(part.marks)),
            ];
        }
        if !marks.is_none() || self.without_all.has(said) {
            return vec![marks];
        }
        let keepers = self.parts.iter().zip(&self.with_one);
        let rows: Vec<Marks> = keepers
            .filter(|(_, left)| left.has(said))
            .map(|(part, _)| part.marks)
            .collect();
        if rows.is_empty() {
            vec![
                self.parts
                    .iter()
                    .fold(marks, |all, part| all.and(part.marks)),
            ]
        } else {
            rows
        }
    }
}

struct Row<'w> {
    write: &'w Connection,
    rid: i64,
    kind: i64,
    param: i64,
    place: i64,
    marks: Marks,
}

impl Row<'_> {
    fn insert(&self, value: &IndexValue) -> Result<(), StoreError> {
        let Marks {
            labels,
            conditional,
            protected,
            conditional_protected,
            ..
        } = self.marks;
        let marks = [
            labels.column(),
            conditional.column(),
            protected.column(),
            conditional_protected.column(),
        ];
        let [a, b, c, d] = marks;
        let Row {
            rid,
            kind,
            param,
            place,
            ..
        } = self;
        match value {
            IndexValue::Token {
                system,
                code,
                text,
                role,
            } => {
                let param = match role {
                    TokenRole::Plain | TokenRole::Logical => *param,
                    TokenRole::Typed => param ^ i64::from(OF_TYPE),
                    TokenRole::Beside => param ^ i64::from(BESIDE),
                };
                let sql = "INSERT INTO index_token VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)";
                let (system, text) = (system.as_deref(), text.as_deref());
                self.write.prepare_cached(sql)?.execute(params![
                    rid, kind, param, place, system, &**code, text, a, b, c, d
                ])?;
            }
            IndexValue::Date(Interval { start, end }) => {
                let sql = "INSERT INTO index_date VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)";
                self.write
                    .prepare_cached(sql)?
                    .execute(params![rid, kind, param, place, start, end, a, b, c, d])?;
            }
            IndexValue::String { folded, exact } => {
                let sql = "INSERT INTO index_string VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)";
                let exact = exact.as_deref().unwrap_or(folded);
                self.write.prepare_cached(sql)?.execute(params![
                    rid, kind, param, place, &**folded, exact, a, b, c, d
                ])?;
            }
            IndexValue::Reference(Target::Local(key)) => {
                let sql = "INSERT INTO index_reference VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)";
                let target = keys::locate(self.write, key)?;
                self.write.prepare_cached(sql)?.execute(params![
                    rid,
                    kind,
                    param,
                    place,
                    target,
                    key.kind.number(),
                    a,
                    b,
                    c,
                    d
                ])?;
            }
            IndexValue::Reference(
                Target::Elsewhere(uri) | Target::Urn(uri) | Target::Conditional(uri),
            )
            | IndexValue::Uri(uri) => self.uri(uri, marks)?,
            // It is there, but no query can name it.
            IndexValue::Reference(Target::Contained(id)) => self.uri(&format!("#{id}"), marks)?,
            IndexValue::Number(span) => self.number(span, None, [None; 3], marks)?,
            IndexValue::Quantity {
                span,
                scaled,
                system,
                code,
                unit,
            } => {
                let words = [system.as_deref(), code.as_deref(), unit.as_deref()];
                self.number(span, scaled.as_ref(), words, marks)?;
            }
            IndexValue::Words(words) => {
                let sql = "INSERT INTO index_text VALUES (?1,?2,?3,?4,?5,?6,?7,?8)";
                self.write
                    .prepare_cached(sql)?
                    .execute(params![rid, kind, param, &**words, a, b, c, d])?;
            }
        }
        Ok(())
    }

    fn uri(&self, uri: &str, [a, b, c, d]: [i64; 4]) -> Result<(), StoreError> {
        let sql = "INSERT INTO index_uri VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)";
        self.write.prepare_cached(sql)?.execute(params![
            self.rid, self.kind, self.param, self.place, uri, a, b, c, d
        ])?;
        Ok(())
    }

    fn number(
        &self,
        span: &Span,
        scaled: Option<&(Span, Box<str>)>,
        [system, code, unit]: [Option<&str>; 3],
        [a, b, c, d]: [i64; 4],
    ) -> Result<(), StoreError> {
        // An open end is the last of all numbers.
        let ends = |span: &Span| {
            let end = |value: f64| value.clamp(f64::MIN, f64::MAX);
            (end(span.low), end(span.high))
        };
        let (low, high) = ends(span);
        let on_scale = scaled.map(|(span, _)| ends(span));
        let sql = "INSERT INTO index_number \
                   VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)";
        self.write.prepare_cached(sql)?.execute(params![
            self.rid,
            self.kind,
            self.param,
            self.place,
            low,
            high,
            system,
            code,
            unit,
            scaled.map(|(_, dimension)| &**dimension),
            on_scale.map(|(low, _)| low),
            on_scale.map(|(_, high)| high),
            a,
            b,
            c,
            d
        ])?;
        Ok(())
    }
}

/// What relations are derived from.
pub fn sources(write: &Connection, rid: i64, resource: &Resource) -> Result<(), StoreError> {
    for source in sources::sources(resource) {
        source_row(write, rid, &source)?;
    }
    Ok(())
}

fn source_row(write: &Connection, rid: i64, source: &Source) -> Result<(), StoreError> {
    let locate = |key: &Key| keys::locate(write, key);
    let maybe = |key: &Option<Key>| key.as_ref().map(locate).transpose();
    match source {
        Source::Coverage {
            beneficiary,
            subscriber,
            payor,
            active,
            period,
        } => {
            let sql = "INSERT INTO coverage VALUES (?1,?2,?3,?4,?5,?6,?7)";
            let values = params![
                rid,
                locate(beneficiary)?,
                maybe(subscriber)?,
                maybe(payor)?,
                active,
                period.start,
                period.end
            ];
            write.prepare_cached(sql)?.execute(values)?;
        }
        Source::Authority {
            patient,
            kind,
            period,
        } => {
            let sql = "INSERT INTO authority VALUES (?1,?2,?3,?4,?5)";
            let values = params![rid, locate(patient)?, &**kind, period.start, period.end];
            write.prepare_cached(sql)?.execute(values)?;
        }
        Source::Link { one, other } => {
            let sql = "INSERT INTO link VALUES (?1,?2,?3)";
            write
                .prepare_cached(sql)?
                .execute([rid, locate(one)?, locate(other)?])?;
        }
        Source::Flag {
            patient,
            code,
            suspect,
            period,
        } => {
            let sql = "INSERT INTO flag VALUES (?1,?2,?3,?4,?5,?6)";
            let values = params![
                rid,
                locate(patient)?,
                &**code,
                maybe(suspect)?,
                period.start,
                period.end
            ];
            write.prepare_cached(sql)?.execute(values)?;
        }
        Source::Grant {
            requester,
            reach,
            purposes,
            kinds,
            period,
        } => {
            let sql = "INSERT INTO access_grant VALUES (?1,?2,?3,?4,?5,?6,?7)";
            let values = params![
                rid,
                locate(requester)?,
                locate(reach)?,
                purposes,
                serde_json::to_string(kinds).map_err(|_| StoreError::Damaged)?,
                period.start,
                period.end
            ];
            write.prepare_cached(sql)?.execute(values)?;
        }
        Source::Member { patient, period } => {
            let sql = "INSERT INTO membership VALUES (?1,?2,?3,?4)";
            write.prepare_cached(sql)?.execute(params![
                rid,
                locate(patient)?,
                period.start,
                period.end
            ])?;
        }
        Source::PsychotherapyRequest { patient, requester } => {
            let sql = "INSERT INTO psychotherapy_request VALUES (?1,?2,?3)";
            write
                .prepare_cached(sql)?
                .execute([rid, locate(patient)?, locate(requester)?])?;
        }
        Source::PartOf(parent) => {
            write
                .prepare_cached("INSERT INTO part_of VALUES (?1,?2)")?
                .execute([rid, locate(parent)?])?;
        }
        Source::Managed(organization) => {
            write
                .prepare_cached("INSERT INTO managed VALUES (?1,?2)")?
                .execute([rid, locate(organization)?])?;
        }
    }
    Ok(())
}

/// A compiled Consent, its recipients, and the records that it names.
pub fn directive(
    write: &Connection,
    rid: i64,
    directive: &Directive,
    review: Option<&str>,
) -> Result<(), StoreError> {
    let patient = keys::locate(write, &directive.patient)?;
    let body = serde_json::to_string(directive).map_err(|_| StoreError::Damaged)?;
    let category = serde_json::to_value(directive.category).map_err(|_| StoreError::Damaged)?;
    let category = category.as_str().unwrap_or_default().to_owned();
    write
        .prepare_cached("INSERT INTO directive VALUES (?1,?2,?3,?4,?5)")?
        .execute(params![rid, patient, category, body, review])?;
    for actor in directive
        .permits
        .iter()
        .filter_map(|permit| permit.on.actors.as_ref())
        .flatten()
    {
        write
            .prepare_cached("INSERT INTO directive_actor VALUES (?1,?2,?3)")?
            .execute([rid, patient, keys::locate(write, actor)?])?;
    }
    for named in &directive.names {
        write
            .prepare_cached("INSERT INTO directive_names VALUES (?1,?2)")?
            .execute([rid, keys::locate(write, named)?])?;
    }
    Ok(())
}
