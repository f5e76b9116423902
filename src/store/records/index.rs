//! The rows beside a record: whose it is, what it points at, what it is found by, what relations
//! follow from it.

use super::{
    keys,
    lasting::{Falls, Lasting, orphans},
    remembered,
};
use crate::{
    consent::Directive,
    faces,
    fhir::{Id, Interval, Key, Resource, Target},
    label::{Marks, Part},
    search::{
        contained::{Contained, contained},
        index::{IndexEntry, IndexValue, Span, TokenRole, entries},
        params::{BESIDE, ID, INSIDE, OF_TYPE, ParamId},
    },
    store::{
        StoreError,
        long::kept,
        session::Session,
        sources::{self, Source},
        sql::{Value, values},
        subjects::Named,
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Takes away the index entries of a record.
pub fn clear(write: &dyn Session, rid: i64) -> Result<(), StoreError> {
    const ALL: &[&str] = &[
        "index_token",
        "index_date",
        "index_string",
        "index_reference",
        "index_uri",
        "index_number",
        "index_text",
        "part",
    ];
    write.clear(ALL, rid)
}

/// What its parts reveal.
pub fn parts(write: &dyn Session, rid: i64, parts: &[Marks]) -> Result<(), StoreError> {
    let mut rows = Rows::of("part", 5);
    for marks in parts {
        rows.add(values![rid], &[], *marks);
    }
    rows.insert(write)
}

/// What the record points at.
pub fn references(write: &dyn Session, rid: i64, resource: &Resource) -> Result<(), StoreError> {
    let mut needed: BTreeMap<i64, bool> = BTreeMap::new();
    for reference in &resource.found().references {
        if let Some(key) = reference.target.local() {
            let target = needed.entry(keys::locate(write, key)?).or_default();
            *target |= faces::needs(resource, &reference.path);
        }
    }
    if let Some(memo) = write.memo() {
        memo.borrow_mut().points(rid, needed.keys().copied());
    }
    let values: Vec<Value> = needed
        .into_iter()
        .flat_map(|(target, needed)| values![rid, target, needed])
        .collect();
    write.soon(
        "INSERT INTO reference (rid, target, needed) VALUES",
        3,
        values,
        "",
    )
}

/// Whose record it is, and whom it names.
pub fn patients(
    write: &dyn Session,
    rid: i64,
    key: &Key,
    named: &[Named],
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for name in named {
        rows.push((keys::locate(write, &name.patient)?, name.own));
    }
    patient_rows(write, rid, key, &rows)
}

/// The rows of [`patients`], each with whether the record is this patient's own.
pub fn patient_rows(
    write: &dyn Session,
    rid: i64,
    key: &Key,
    patients: &[(i64, bool)],
) -> Result<(), StoreError> {
    let states: Vec<Value> = patients
        .iter()
        .flat_map(|(patient, _)| values![*patient])
        .collect();
    write.soon(
        "INSERT INTO patient_state (patient) VALUES",
        1,
        states,
        "ON CONFLICT DO NOTHING",
    )?;
    let kind = key.kind.number();
    let rows: Vec<Value> = patients
        .iter()
        .flat_map(|(patient, own)| values![rid, *patient, *own, kind, key.id.as_str()])
        .collect();
    write.soon(
        "INSERT INTO record_patient (rid, patient, own, kind, id) VALUES",
        5,
        rows,
        "",
    )
}

/// What the record is found by, each entry with the labels of the element that says it.
pub fn index(
    write: &dyn Session,
    rid: i64,
    key: &Key,
    resource: &Resource,
    parts: &[Part],
) -> Result<(), StoreError> {
    let found = entries(resource, None);
    let inside = contained(resource, None);
    // Most records have no part of which labels speak.
    let parted = !parts.is_empty();
    let lasting = parted.then(|| Lasting::of(resource, parts, &found, &inside));
    let marks = |id: Option<&str>, entry: &IndexEntry| match &lasting {
        Some(lasting) => lasting.marks(id, entry),
        None => vec![Marks::NONE],
    };
    let mut rows = Index::of(rid, key, resource);
    for entry in &found {
        for marks in marks(None, entry) {
            rows.add(write, entry, marks)?;
        }
    }
    rows.texts();
    let orphans = orphans(resource, &inside);
    for (at, one) in inside.iter().enumerate() {
        rows.go_into(one);
        for entry in std::iter::once(&one.itself()).chain(&one.entries) {
            for marks in marks(Some(one.id.as_str()), entry) {
                rows.add(write, entry, marks)?;
            }
        }
        rows.texts();
        for (_, key) in orphans.iter().filter(|(orphan, _)| *orphan == at) {
            rows.goes_with(write, key)?;
        }
    }
    rows.insert(write)
}

/// Rows of one table, each ending in the columns of marks.
struct Rows {
    table: &'static str,
    width: usize,
    values: Vec<Value>,
}

impl Rows {
    fn of(table: &'static str, width: usize) -> Rows {
        Rows {
            table,
            width,
            values: Vec::new(),
        }
    }

    fn add(&mut self, of: impl IntoIterator<Item = Value>, said: &[Value], marks: Marks) {
        self.values.extend(of);
        self.values.extend_from_slice(said);
        self.values.extend(values![
            marks.labels.column(),
            marks.conditional.column(),
            marks.protected.column(),
            marks.conditional_protected.column(),
        ]);
    }

    fn insert(self, write: &dyn Session) -> Result<(), StoreError> {
        write.later(self.table, self.width, self.values)
    }
}

/// The index entries of one record, by table.
struct Index<'r> {
    falls: Falls<'r>,
    rid: i64,
    kind: i64,
    id: Id,
    /// What the entries are of: the record, or one of what it contains.
    inside: Option<u16>,
    token: Rows,
    date: Rows,
    string: Rows,
    reference: Rows,
    uri: Rows,
    number: Rows,
    text: Rows,
    /// Words by parameter, labels and whether they may go with a reference ([`Falls`]): those of all texts
    /// of which the same holds are one row.
    words: Vec<(ParamId, Marks, bool, BTreeSet<Box<str>>)>,
}

impl Index<'_> {
    fn of<'r>(rid: i64, key: &Key, resource: &'r Resource) -> Index<'r> {
        Index {
            falls: Falls::of(resource),
            rid,
            kind: key.kind.number(),
            id: key.id.clone(),
            inside: None,
            token: Rows::of("index_token", 11),
            date: Rows::of("index_date", 10),
            string: Rows::of("index_string", 10),
            reference: Rows::of("index_reference", 11),
            uri: Rows::of("index_uri", 9),
            number: Rows::of("index_number", 16),
            text: Rows::of("index_text", 9),
            words: Vec::new(),
        }
    }

    /// From here on entries are those of a contained resource.
    fn go_into(&mut self, one: &Contained) {
        self.kind = one.kind.number();
        self.inside = Some(one.at);
    }

    /// The number under which rows of a parameter stand.
    fn number(&self, param: u32) -> u32 {
        match self.inside {
            Some(_) => param ^ INSIDE,
            None => param,
        }
    }

    /// The column `place`: which contained resource, above the place in it.
    fn place(&self, place: u16) -> u32 {
        u32::from(self.inside.unwrap_or(0)) << 16 | u32::from(place)
    }

    /// Notes that the contained resource goes with the references to a record, though nothing in it says so.
    fn goes_with(&mut self, write: &dyn Session, key: &Key) -> Result<(), StoreError> {
        let number = self.number(ParamId::of(ID).0);
        let of = values![self.rid, self.kind, number, self.place(0)];
        let said = values![keys::locate(write, key)?, key.kind.number(), ""];
        self.reference.add(of, &said, Marks::NONE);
        Ok(())
    }

    fn add(
        &mut self,
        write: &dyn Session,
        entry: &IndexEntry,
        marks: Marks,
    ) -> Result<(), StoreError> {
        let IndexEntry {
            param,
            path,
            place,
            value,
        } = entry;
        let place = self.place(*place);
        let (rid, kind, inside) = (self.rid, self.kind, self.number(0));
        let under = |param: u32| values![rid, kind, param ^ inside, place];
        let of = under(param.0);
        match value {
            IndexValue::Token {
                system,
                code,
                text,
                role,
            } => {
                let of = under(match role {
                    TokenRole::Plain | TokenRole::Logical => param.0,
                    TokenRole::Typed => param.0 ^ OF_TYPE,
                    TokenRole::Beside => param.0 ^ BESIDE,
                });
                let said = values![system.as_deref(), &*kept(code), text.as_deref()];
                self.token.add(of, &said, marks);
            }
            IndexValue::Date(Interval { start, end }) => {
                self.date.add(of, &values![*start, *end], marks);
            }
            IndexValue::String { folded, exact } => {
                let exact = exact.as_deref().unwrap_or(folded);
                self.string.add(of, &values![&*kept(folded), exact], marks);
            }
            IndexValue::Reference(Target::Local(key)) => {
                let of_patient = key.kind.name() == "Patient";
                let id = if of_patient { self.id.as_str() } else { "" };
                let said = values![keys::locate(write, key)?, key.kind.number(), id];
                self.reference.add(of, &said, marks);
            }
            IndexValue::Reference(
                Target::Elsewhere(uri) | Target::Urn(uri) | Target::Conditional(uri),
            )
            | IndexValue::Uri(uri) => self.uri.add(of, &values![&*kept(uri)], marks),
            // It is there; no query can name it, but chains go on from it.
            IndexValue::Reference(Target::Contained(id)) => {
                self.uri.add(of, &values![format!("#{id}")], marks);
            }
            IndexValue::Number(span) => {
                self.number.add(of, &numbers(span, [None; 3], None), marks);
            }
            // The latitude first, by which the index is sorted.
            IndexValue::Place(place) => {
                let said = values![
                    place.latitude,
                    place.x,
                    None::<&str>,
                    None::<&str>,
                    None::<&str>,
                    None::<&str>,
                    place.y,
                    place.z,
                ];
                self.number.add(of, &said, marks);
            }
            IndexValue::Quantity {
                span,
                scaled,
                system,
                code,
                unit,
            } => {
                let unit = [system.as_deref(), code.as_deref(), unit.as_deref()];
                let said = numbers(span, unit, scaled.as_ref());
                self.number.add(of, &said, marks);
            }
            IndexValue::Words(words) => {
                let words = words.split(' ').filter(|word| !word.is_empty());
                let words = words.map(Into::into);
                let falls = self.falls.has(path);
                let same = |(other, known, fall, _): &&mut (ParamId, Marks, bool, _)| {
                    other == param && *known == marks && *fall == falls
                };
                match self.words.iter_mut().find(same) {
                    Some((.., all)) => all.extend(words),
                    None => self.words.push((*param, marks, falls, words.collect())),
                }
            }
        }
        Ok(())
    }

    /// The rows of words, once all are known.
    fn texts(&mut self) {
        for (param, marks, falls, words) in std::mem::take(&mut self.words) {
            let mut all = String::new();
            for word in words {
                all.push(' ');
                all.push_str(&word);
            }
            let of = values![self.rid, self.kind, self.number(param.0)];
            self.text.add(of, &values![all], marks);
            self.text.values.push(self.place(u16::from(falls)).into());
        }
    }

    fn insert(self, write: &dyn Session) -> Result<(), StoreError> {
        let all = [
            self.token,
            self.date,
            self.string,
            self.reference,
            self.uri,
            self.number,
            self.text,
        ];
        all.into_iter().try_for_each(|rows| rows.insert(write))
    }
}

/// The columns of a number: as written, its unit, and on the scale of the unit's dimension. An open end
/// is the last of all numbers.
fn numbers(
    span: &Span,
    [system, code, unit]: [Option<&str>; 3],
    scaled: Option<&(Span, Box<str>)>,
) -> [Value; 8] {
    let end = |value: f64| value.clamp(f64::MIN, f64::MAX);
    values![
        end(span.low),
        end(span.high),
        system,
        code,
        unit,
        scaled.map(|(_, dimension)| &**dimension),
        scaled.map(|(span, _)| end(span.low)),
        scaled.map(|(span, _)| end(span.high)),
    ]
}

/// What relations are derived from.
pub fn sources(write: &dyn Session, rid: i64, resource: &Resource) -> Result<(), StoreError> {
    let sources = sources::sources(resource);
    for source in &sources {
        source_row(write, rid, source)?;
    }
    if sources.is_empty() {
        return Ok(());
    }
    remembered::moves(write)
}

fn source_row(write: &dyn Session, rid: i64, source: &Source) -> Result<(), StoreError> {
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
            let values = values![
                rid,
                locate(beneficiary)?,
                maybe(subscriber)?,
                maybe(payor)?,
                *active,
                period.start,
                period.end
            ];
            write.run(sql, &values)?;
        }
        Source::Authority {
            patient,
            kind,
            period,
        } => {
            let sql = "INSERT INTO authority VALUES (?1,?2,?3,?4,?5)";
            let values = values![rid, locate(patient)?, &**kind, period.start, period.end];
            write.run(sql, &values)?;
        }
        Source::Link { one, other } => {
            let sql = "INSERT INTO link VALUES (?1,?2,?3)";
            write.run(sql, &values![rid, locate(one)?, locate(other)?])?;
        }
        Source::Flag {
            patient,
            code,
            suspect,
            period,
        } => {
            let sql = "INSERT INTO flag VALUES (?1,?2,?3,?4,?5,?6)";
            let values = values![
                rid,
                locate(patient)?,
                &**code,
                maybe(suspect)?,
                period.start,
                period.end
            ];
            write.run(sql, &values)?;
        }
        Source::Grant {
            requester,
            reach,
            purposes,
            kinds,
            period,
        } => {
            let sql = "INSERT INTO access_grant VALUES (?1,?2,?3,?4,?5,?6,?7)";
            let values = values![
                rid,
                locate(requester)?,
                locate(reach)?,
                *purposes,
                serde_json::to_string(kinds).map_err(|_| StoreError::Damaged)?,
                period.start,
                period.end
            ];
            write.run(sql, &values)?;
        }
        Source::Member { patient, period } => {
            let sql = "INSERT INTO membership VALUES (?1,?2,?3,?4)";
            write.run(
                sql,
                &values![rid, locate(patient)?, period.start, period.end],
            )?;
        }
        Source::PsychotherapyRequest { patient, requester } => {
            let sql = "INSERT INTO psychotherapy_request VALUES (?1,?2,?3)";
            write.run(sql, &values![rid, locate(patient)?, locate(requester)?])?;
        }
        Source::PartOf(parent) => {
            write.run(
                "INSERT INTO part_of VALUES (?1,?2)",
                &values![rid, locate(parent)?],
            )?;
        }
        Source::Managed(organization) => {
            write.run(
                "INSERT INTO managed VALUES (?1,?2)",
                &values![rid, locate(organization)?],
            )?;
        }
    }
    Ok(())
}

/// A compiled Consent, its recipients, and the records that it names.
pub fn directive(
    write: &dyn Session,
    rid: i64,
    directive: &Directive,
    review: Option<&str>,
) -> Result<(), StoreError> {
    let patient = keys::locate(write, &directive.patient)?;
    let body = serde_json::to_string(directive).map_err(|_| StoreError::Damaged)?;
    let category = serde_json::to_value(directive.category).map_err(|_| StoreError::Damaged)?;
    let category = category.as_str().unwrap_or_default().to_owned();
    write.run(
        "INSERT INTO directive VALUES (?1,?2,?3,?4,?5)",
        &values![rid, patient, category, body, review],
    )?;
    let permits = directive.permits.iter();
    let actors = permits.filter_map(|permit| permit.on.actors.as_ref());
    for actor in actors.flatten() {
        write.run(
            "INSERT INTO directive_actor VALUES (?1,?2,?3)",
            &values![rid, patient, keys::locate(write, actor)?],
        )?;
    }
    for named in &directive.names {
        let named = keys::locate(write, named)?;
        if let Some(memo) = write.memo() {
            memo.borrow_mut().named.insert(named);
        }
        let sql = "INSERT INTO directive_names VALUES (?1,?2)";
        write.run(sql, &values![rid, named])?;
    }
    Ok(())
}
