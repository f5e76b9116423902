//! Labelling a record in its surroundings.

use super::{index, neighbours, remembered, rows, write::Writer};
use crate::{
    faces::{self, Stamp},
    fhir::{Kind, Resource},
    gate::{Row, seal},
    label::{self, Labelled},
    policy::{Facts, Settings},
    statute::{
        Labels,
        projections::{PROJECTIONS, Seat},
    },
    store::{StoreError, session::Session, sql::values, subjects},
};
use std::borrow::Cow;

/// The columns of a record that are no part of [`Row`].
#[derive(Debug)]
pub struct Columns {
    /// The number of the version.
    pub seq: i64,
    /// What the household sees of it, as a hash: its version moves only with it.
    pub household_hash: i64,
    /// Classes that it makes current.
    pub hits: Labels,
    /// What a facility's regime puts on others.
    pub regime: Labels,
    /// Setting and consent.
    pub care: i64,
    /// The day of the service.
    pub day: Option<String>,
    /// Who made it.
    pub author: Option<i64>,
    /// Who served.
    pub organization: Option<i64>,
    /// How many patients' permission is needed.
    pub subjects: i64,
    /// The one patient whose record it is, where it is one's.
    pub sole: Option<i64>,
    /// Whether its patients come from other records.
    pub derived: bool,
}

/// A fresh opaque version id.
pub fn version() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    random.chars().take(16).collect()
}

/// Labels `resource` (canonical) and stores it: as a new version (`seq`), or as the same version
/// with other labels. Queues what depends on it where that changed.
pub fn label(
    writer: &mut Writer<'_>,
    rid: i64,
    resource: &Resource,
    seq: Option<i64>,
    old: Option<&rows::Found>,
) -> Result<(), StoreError> {
    let Some(key) = resource.key() else {
        return Err(StoreError::Damaged);
    };
    let patients = patients(writer, rid, resource)?;
    let derived = is_derived(resource);
    let around = neighbours::around(
        writer.tx,
        &mut writer.remembered,
        rid,
        resource,
        &patients,
        derived,
    )?;
    let mut labelled = label::label(resource, &around);
    faces::settle(resource, &mut labelled);
    let author = match neighbours::author(writer.tx, resource)? {
        None if derived && !subjects::takes_from_targets(resource.kind()) => {
            neighbours::referrers_author(writer.tx, rid)?
        }
        author => author,
    };
    let organization = neighbours::organization(writer.tx, &mut writer.remembered, resource)?;
    let facts = Facts {
        key: key.clone(),
        patients: Vec::new(),
        whole: labelled.whole,
        parts: label::distinct(&labelled.parts),
        serviced: labelled.serviced.interval,
        author: None,
        organization: None,
    };
    let before = before(writer.tx, rid, old)?;
    let stamp = match (&before, seq) {
        (Some(before), None) => before.full.clone(),
        _ => Stamp {
            version: version().into(),
            updated: writer.at,
        },
    };
    let left = faces::household(resource, &labelled.parts);
    let household_hash = household_hash(left.as_deref(), &labelled, key.kind, writer.settings);
    if let Some(before) = &before {
        let first = || (before.household_hash, before.household.clone());
        writer.faces.entry(rid).or_insert_with(first);
    }
    // Labels may come and go within a transaction; the face moves only if it ends as another.
    let household = match (&before, writer.faces.get(&rid)) {
        (_, Some((hash, stamp))) if *hash == household_hash => stamp.clone(),
        (Some(before), _) if before.household_hash == household_hash => before.household.clone(),
        _ => Stamp {
            version: version().into(),
            updated: writer.at,
        },
    };
    let columns = Columns {
        seq: seq
            .or(before.as_ref().map(|before| before.seq))
            .unwrap_or(1),
        household_hash,
        hits: labelled.hits,
        regime: label::regime(resource),
        care: neighbours::care_column(labelled.care),
        day: labelled.serviced.day.map(|day| day.to_string()),
        author,
        organization,
        subjects: i64::try_from(patients.len()).unwrap_or(i64::MAX),
        sole: patients.first().copied().filter(|_| patients.len() == 1),
        derived,
    };
    let row = seal(
        facts,
        stamp,
        household,
        resource,
        &labelled,
        left.as_deref(),
    )
    .into_row();
    writer.store(rid, &row, &columns, old.is_none())?;
    if old.is_some() {
        index::clear(writer.tx, rid)?;
    }
    index::index(writer.tx, rid, &key, resource, &labelled.parts)?;
    index::parts(writer.tx, rid, &row.facts.parts)?;
    hits(writer.tx, &patients, labelled.hits, before.as_ref())?;
    if before
        .as_ref()
        .is_none_or(|before| before.differs(&row, &columns, &patients))
    {
        writer.queue_dependents(rid, resource)?;
    }
    if before.is_some_and(|before| before.regime != columns.regime.column()) {
        writer.shaken.insert(rid);
    }
    Ok(())
}

/// Whether its patients come from the records around it.
pub fn is_derived(resource: &Resource) -> bool {
    subjects::takes_from_others(resource.kind())
        && !subjects::named(resource).iter().any(|named| named.own)
}

/// Whose record it is, by number; for one that names nobody, from the records around it.
fn patients(
    writer: &mut Writer<'_>,
    rid: i64,
    resource: &Resource,
) -> Result<Vec<i64>, StoreError> {
    if !is_derived(resource) {
        let named = subjects::named(resource).into_iter();
        let own = named.filter(|named| named.own);
        let own = own.map(|named| super::keys::locate(writer.tx, &named.patient));
        let mut own = own.collect::<Result<Vec<i64>, StoreError>>()?;
        own.sort_unstable();
        return Ok(own);
    }
    if let Some(key) = resource.key() {
        let sql = if subjects::takes_from_targets(resource.kind()) {
            "SELECT DISTINCT q.patient FROM reference f JOIN record_patient q ON q.rid = f.target \
             WHERE f.rid = ?1 AND q.own = 1 AND ?2 = ?2"
        } else {
            // Not from a Consent: members write those, and would claim records by pointing at them.
            "SELECT DISTINCT q.patient FROM reference f JOIN record_patient q ON q.rid = f.rid \
             WHERE f.target = ?1 AND q.own = 1 AND q.kind <> ?2"
        };
        let consent = super::keys::number("Consent");
        let found = writer.tx.numbers(sql, &values![rid, consent])?;
        let sql = "DELETE FROM record_patient WHERE rid = ?1 AND own = 1";
        writer.tx.run(sql, &values![rid])?;
        let rows: Vec<(i64, bool)> = found.iter().map(|patient| (*patient, true)).collect();
        index::patient_rows(writer.tx, rid, &key, &rows)?;
    }
    let sql = "SELECT patient FROM record_patient WHERE rid = ?1 AND own = 1 ORDER BY patient";
    writer.tx.numbers(sql, &values![rid])
}

/// The row as it was.
struct Before {
    seq: i64,
    full: Stamp,
    household: Stamp,
    household_hash: i64,
    facts: Facts,
    /// What its parts reveal together, as the columns say: others read those, and they are emptied when
    /// labels start over.
    parts: [i64; 4],
    hits: Labels,
    regime: i64,
    care: i64,
    day: Option<String>,
    author: Option<i64>,
    organization: Option<i64>,
    subjects: i64,
    patients: Vec<i64>,
}

impl Before {
    /// Whether anything changed that other records' labels or patients follow.
    fn differs(&self, row: &Row, columns: &Columns, patients: &[i64]) -> bool {
        self.facts.whole != row.facts.whole
            || self.parts != row.facts.parts_union().column_sets()
            || self.regime != columns.regime.column()
            || self.care != columns.care
            || self.day != columns.day
            || self.author != columns.author
            || self.organization != columns.organization
            || self.subjects != columns.subjects
            || self.patients != patients
    }
}

fn before(
    tx: &dyn Session,
    rid: i64,
    old: Option<&rows::Found>,
) -> Result<Option<Before>, StoreError> {
    let Some(old) = old.filter(|old| !old.deleted) else {
        return Ok(None);
    };
    let sql = "SELECT seq, version, updated, h_version, h_updated, h_hash, hits, regime, care, day, organization, subjects, author, \
               p_labels, p_conditional, p_protected, p_c_protected FROM record WHERE rid = ?1";
    let before = tx.one(sql, &values![rid], |row| {
        Ok(Before {
            seq: row.get(0)?,
            full: Stamp {
                version: row.get::<&str>(1)?.into(),
                updated: row.get(2)?,
            },
            household: Stamp {
                version: row.get::<&str>(3)?.into(),
                updated: row.get(4)?,
            },
            household_hash: row.get(5)?,
            facts: old.sealed.facts().clone(),
            hits: Labels::from_column(row.get(6)?),
            regime: row.get(7)?,
            care: row.get(8)?,
            day: row.get(9)?,
            organization: row.get(10)?,
            subjects: row.get(11)?,
            author: row.get(12)?,
            parts: [row.get(13)?, row.get(14)?, row.get(15)?, row.get(16)?],
            patients: old.patients.clone(),
        })
    })?;
    Ok(Some(before))
}

/// What the household sees, hashed: nothing, or the face that its projection shows.
fn household_hash(
    left: Option<&Resource>,
    labelled: &Labelled,
    kind: Kind,
    settings: Settings,
) -> i64 {
    if !labelled.whole.labels.is_none() {
        return 0;
    }
    let Some(face) = left else {
        return 0;
    };
    let shown = match PROJECTIONS.of(Seat::Subscriber, settings.household, kind) {
        Some(list) => faces::projected(face, list),
        None => Some(Cow::Borrowed(face)),
    };
    shown.map_or(0, |shown| {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &faces::plain(&shown).tail);
        let first = digest
            .as_ref()
            .first_chunk::<8>()
            .copied()
            .unwrap_or_default();
        i64::from_le_bytes(first) | 1
    })
}

/// Adds what became current to the patients' masks; where something ceased, counts anew.
fn hits(
    tx: &dyn Session,
    patients: &[i64],
    hits: Labels,
    before: Option<&Before>,
) -> Result<(), StoreError> {
    let lost = before.is_some_and(|before| !hits.holds(before.hits) || before.patients != patients);
    for patient in patients {
        if lost {
            recompute_hits(tx, *patient)?;
        } else if !hits.is_none() {
            let sql = "UPDATE patient_state SET hits = hits | ?2 WHERE patient = ?1 AND hits | ?2 <> hits";
            if tx.run(sql, &values![*patient, hits.column()])? > 0 {
                remembered::moves(tx)?;
            }
        }
    }
    if lost && let Some(before) = before {
        for patient in before
            .patients
            .iter()
            .filter(|patient| !patients.contains(patient))
        {
            recompute_hits(tx, *patient)?;
        }
    }
    Ok(())
}

/// Counts a patient's current hits anew.
pub fn recompute_hits(tx: &dyn Session, patient: i64) -> Result<(), StoreError> {
    let sql = "SELECT r.hits FROM record_patient q JOIN record r ON r.rid = q.rid \
               WHERE q.patient = ?1 AND q.own = 1 AND r.deleted = 0 AND r.hits <> 0";
    let mut hits = Labels::NONE;
    for column in tx.numbers(sql, &values![patient])? {
        hits = hits.and(Labels::from_column(column));
    }
    let sql = "UPDATE patient_state SET hits = ?2 WHERE patient = ?1 AND hits <> ?2";
    if tx.run(sql, &values![patient, hits.column()])? > 0 {
        remembered::moves(tx)?;
    }
    Ok(())
}
