//! The write path: a batch of changes in one transaction, and what each change sets off.

use super::{index, keys, neighbours, relabel, remembered, rows, sought, spread};
use crate::{
    faces::Stamp,
    fhir::{Instant, Key, Kind, Resource},
    gate::{Row, amend, canonical},
    label::DIRECTORY,
    policy::Settings,
    statute::Labels,
    store::{
        Batch, Change, Expect, StoreError, WriteError, Written, session::Session, sources,
        sql::values, subjects,
    },
};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

/// A transaction at work.
pub struct Writer<'t> {
    /// The transaction.
    pub tx: &'t dyn Session,
    /// When.
    pub at: Instant,
    /// Settings on which faces depend.
    pub settings: Settings,
    /// See [`Batch::fail_closed`].
    pub fail_closed: bool,
    /// Neighbours without a patient, remembered while none of them changes.
    pub remembered: neighbours::Memory,
    /// Records whose labels may have to change.
    pub queue: Vec<i64>,
    /// Records of which something changed that labels rest on, other than labels of others.
    pub shaken: HashSet<i64>,
    /// Patients whose hits must be counted anew.
    pub recount: HashSet<i64>,
    /// What the household saw before the transaction: a hash, and its version.
    pub faces: HashMap<i64, (i64, Stamp)>,
}

/// Writes a batch in the transaction `tx`; where it fails, the transaction must not be kept. It may leave
/// relabelling pending (see [`spread::finish`]). What is `remembered` of the transaction so far serves the next
/// batch of it too.
pub fn batch(
    tx: &dyn Session,
    batch: &Batch,
    remembered: &mut neighbours::Memory,
) -> Result<Vec<Written>, WriteError> {
    sought::hold(tx, batch.settings, &batch.sought)?;
    let mut writer = Writer::new(tx, batch.at, batch.settings);
    writer.remembered = std::mem::take(remembered);
    writer.fail_closed = batch.fail_closed;
    // In an order in which what labels depend on comes first; the answer keeps the caller's order.
    let mut changes: Vec<(usize, &Change)> = batch.changes.iter().enumerate().collect();
    changes.sort_by_key(|(at, change)| (rank(&change.key), *at));
    let mut written = Vec::with_capacity(changes.len());
    for (at, change) in changes {
        written.push((at, writer.change(change)?));
    }
    spread::spread(&mut writer)?;
    *remembered = writer.remembered;
    written.sort_by_key(|(at, _)| *at);
    Ok(written.into_iter().map(|(_, written)| written).collect())
}

/// Learns the numbers of all records that the batches write or point at.
pub fn locate(tx: &dyn Session, batches: &[&Batch]) -> Result<(), StoreError> {
    let changes = batches.iter().flat_map(|batch| &batch.changes);
    let named = changes
        .clone()
        .filter_map(|change| change.resource.as_ref());
    let named = named.flat_map(|resource| &resource.found().references);
    let named = named.filter_map(|reference| reference.target.local());
    keys::locate_all(tx, changes.map(|change| &change.key).chain(named))
}

/// Where a type stands in the order in which labels travel.
fn rank(key: &Key) -> usize {
    const ORDER: &[&str] = &[
        "Organization",
        "Practitioner",
        "PractitionerRole",
        "Location",
        "HealthcareService",
        "Medication",
        "Patient",
        "RelatedPerson",
        "Person",
        "Group",
        "Coverage",
        "Flag",
        "Consent",
        "Encounter",
        "Condition",
        "Procedure",
        "Observation",
        "MedicationRequest",
        "ServiceRequest",
        "Immunization",
        "DocumentReference",
        "Binary",
        "DiagnosticReport",
        "CarePlan",
        "CareTeam",
        "Goal",
        "Claim",
        "ClaimResponse",
        "ExplanationOfBenefit",
        "Communication",
        "CommunicationRequest",
        "Task",
        "List",
        "Composition",
        "Provenance",
    ];
    let name = key.kind.name();
    let before_claims = ORDER.iter().position(|kind| *kind == "Claim").unwrap_or(0);
    ORDER
        .iter()
        .position(|kind| *kind == name)
        .unwrap_or(before_claims)
}

impl<'t> Writer<'t> {
    /// A transaction at its beginning.
    pub fn new(tx: &'t dyn Session, at: Instant, settings: Settings) -> Writer<'t> {
        Writer {
            tx,
            at,
            settings,
            fail_closed: true,
            remembered: neighbours::Memory::default(),
            queue: Vec::new(),
            shaken: HashSet::new(),
            recount: HashSet::new(),
            faces: HashMap::new(),
        }
    }
}

impl Writer<'_> {
    fn change(&mut self, change: &Change) -> Result<Written, WriteError> {
        let rid = keys::locate(self.tx, &change.key)?;
        let memo = self.tx.memo();
        let fresh = memo.is_some_and(|memo| memo.borrow_mut().fresh.remove(&rid));
        let old = if fresh {
            None
        } else {
            rows::by_number(self.tx, rid)?
        };
        let seq = old.as_ref().filter(|old| !old.deleted).map(|old| old.seq);
        let fits = match change.expect {
            Expect::Any => true,
            Expect::Absent => seq.is_none(),
            Expect::Seq(expected) => seq == Some(expected),
        };
        if !fits {
            return Err(WriteError::Raced(change.key.clone()));
        }
        let created = seq.is_none();
        let changed = match &change.resource {
            Some(resource) => self.put(rid, &change.key, resource, old.as_ref())?,
            None => self.delete(rid, old)?,
        };
        Ok(Written {
            key: change.key.clone(),
            created,
            changed,
        })
    }

    fn put(
        &mut self,
        rid: i64,
        key: &Key,
        resource: &Resource,
        old: Option<&rows::Found>,
    ) -> Result<bool, WriteError> {
        let before = match old.filter(|old| !old.deleted) {
            Some(old) => Some(amend(&old.sealed).map_err(|_| StoreError::Damaged)?),
            None => None,
        };
        let by_parts = old.map_or(Labels::NONE, |old| old.sealed.by_parts());
        let resource = canonical(key, resource, before.as_ref(), by_parts)
            .map_err(|_| WriteError::Resource(key.clone()))?;
        if before.is_some_and(|before| before.text() == resource.text()) {
            return Ok(false);
        }
        self.remembered.changes(key);
        let named = subjects::named(&resource);
        let next = old.map_or(1, |old| old.seq + 1);
        if self.shakes(rid, key, old.is_some_and(|old| !old.deleted))? {
            self.shaken.insert(rid);
        }
        if let Some(old) = old {
            self.archive(rid, &old.patients)?;
            self.let_go(rid)?;
            self.clear(rid, key.kind)?;
        }
        index::references(self.tx, rid, &resource)?;
        index::patients(self.tx, rid, key, &named)?;
        index::sources(self.tx, rid, &resource)?;
        self.directive(rid, key, &resource)?;
        self.patient(rid, key, &resource)?;
        relabel::label(self, rid, &resource, Some(next), old)?;
        Ok(true)
    }

    fn delete(&mut self, rid: i64, old: Option<rows::Found>) -> Result<bool, WriteError> {
        let Some(old) = old.filter(|old| !old.deleted) else {
            return Ok(false);
        };
        self.remembered.changes(&old.sealed.facts().key);
        self.archive(rid, &old.patients)?;
        self.let_go(rid)?;
        self.shaken.insert(rid);
        let before = self.named_by(rid)?;
        self.shaken.extend(before);
        self.run("DELETE FROM directive_names WHERE rid = ?1", rid)?;
        self.run(
            "UPDATE patient_state SET born = NULL WHERE patient = ?1",
            rid,
        )?;
        self.shake_patient(rid)?;
        let kind = old.sealed.facts().key.kind;
        self.clear(rid, kind)?;
        if crate::consent::is_consent(kind) {
            remembered::moves(self.tx)?;
        }
        let sql = "UPDATE record SET deleted = 1, seq = seq + 1, version = ?2, updated = ?3, h_version = ?2, h_updated = ?3, \
                   h_hash = 0, hits = 0 WHERE rid = ?1";
        self.tx
            .run(sql, &values![rid, relabel::version(), self.at])?;
        for patient in &old.patients {
            relabel::recompute_hits(self.tx, *patient)?;
        }
        Ok(true)
    }

    /// Whether others may lose labels by a new version of this record: by what it said before, or by an
    /// Encounter's day and setting, where they were there first.
    fn shakes(&self, rid: i64, key: &Key, was: bool) -> Result<bool, StoreError> {
        Ok(match key.kind.name() {
            "Patient" => false,
            "Encounter" => was || self.has_dependents(rid)?,
            "Medication" => was,
            _ => was && !DIRECTORY.has(key.kind),
        })
    }

    /// Keeps the version that is about to be replaced. `patients` are whose record it was.
    fn archive(&self, rid: i64, patients: &[i64]) -> Result<(), StoreError> {
        let sql = "INSERT INTO version (rid, seq, deleted, version, updated, h_version, h_updated, labels, conditional, protected, \
                   c_protected, review, served_from, served_to, author, organization, patients, parts, body) \
                   SELECT rid, seq, deleted, version, updated, h_version, h_updated, labels, conditional, protected, \
                   c_protected, review, served_from, served_to, author, organization, ?2, parts, body FROM record WHERE rid = ?1";
        let patients: Vec<String> = patients.iter().map(ToString::to_string).collect();
        self.tx
            .run(sql, &values![rid, patients.join(",").as_str()])?;
        Ok(())
    }

    /// Takes away what the last version put beside itself.
    fn clear(&self, rid: i64, kind: Kind) -> Result<(), StoreError> {
        const ALL: &[&str] = &[
            "DELETE FROM record_patient WHERE rid = ?1",
            "DELETE FROM reference WHERE rid = ?1",
            "DELETE FROM coverage WHERE rid = ?1",
            "DELETE FROM authority WHERE rid = ?1",
            "DELETE FROM link WHERE rid = ?1",
            "DELETE FROM flag WHERE rid = ?1",
            "DELETE FROM access_grant WHERE rid = ?1",
            "DELETE FROM membership WHERE rid = ?1",
            "DELETE FROM psychotherapy_request WHERE rid = ?1",
            "DELETE FROM part_of WHERE rid = ?1",
            "DELETE FROM managed WHERE rid = ?1",
            "DELETE FROM directive WHERE rid = ?1",
            "DELETE FROM directive_actor WHERE rid = ?1",
        ];
        if let Some(memo) = self.tx.memo() {
            memo.borrow_mut().points_no_more(rid);
        }
        if sources::tells(kind) {
            remembered::moves(self.tx)?;
        }
        self.tx.sweep(ALL, rid)?;
        index::clear(self.tx, rid)
    }

    /// Compiles a Consent. Records that it names as paid by the member, now or before, are relabelled.
    fn directive(&mut self, rid: i64, key: &Key, resource: &Resource) -> Result<(), WriteError> {
        if !crate::consent::is_consent(key.kind) {
            return Ok(());
        }
        remembered::moves(self.tx)?;
        let before: Vec<i64> = self.named_by(rid)?;
        self.run("DELETE FROM directive_names WHERE rid = ?1", rid)?;
        match crate::consent::compile(resource) {
            Ok(Some(directive)) => index::directive(self.tx, rid, &directive, None)?,
            Ok(None) => {}
            Err(refusal) if self.fail_closed => {
                if let Some(patient) = resource.keys("patient").into_iter().next() {
                    let directive = crate::consent::Directive::in_review(patient);
                    index::directive(self.tx, rid, &directive, Some(&refusal.to_string()))?;
                }
            }
            Err(refusal) => return Err(WriteError::Consent(key.clone(), refusal)),
        }
        self.shaken.extend(before);
        let now = self.named_by(rid)?;
        self.shaken.extend(now);
        Ok(())
    }

    fn named_by(&self, rid: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT named FROM directive_names WHERE rid = ?1";
        self.tx.numbers(sql, &values![rid])
    }

    fn run(&self, sql: &str, rid: i64) -> Result<(), StoreError> {
        self.tx.run(sql, &values![rid])?;
        Ok(())
    }

    /// What a Patient or a Flag changes for all records of the patient.
    fn patient(&mut self, rid: i64, key: &Key, resource: &Resource) -> Result<(), StoreError> {
        match key.kind.name() {
            "Patient" => {
                let born = resource
                    .string("birthDate")
                    .and_then(crate::fhir::time::days)
                    .map(|(_, last)| last.to_string());
                let sql = "UPDATE patient_state SET born = ?2 WHERE patient = ?1 AND born IS DISTINCT FROM ?2";
                let changed = self.tx.run(sql, &values![rid, born])?;
                if changed > 0 {
                    remembered::moves(self.tx)?;
                    self.shake_patient(rid)?;
                }
            }
            "Flag" => {
                for patient in resource.keys("subject") {
                    let patient = keys::locate(self.tx, &patient)?;
                    self.shake_patient(patient)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What the last version reached and the next may not: records that took their patients
    /// and labels from it, patients whom it flagged.
    fn let_go(&mut self, rid: i64) -> Result<(), StoreError> {
        let sql = "SELECT f.target FROM reference f JOIN record t ON t.rid = f.target WHERE f.rid = ?1 AND t.derived = 1";
        self.shaken.extend(self.tx.numbers(sql, &values![rid])?);
        let sql = "SELECT patient FROM flag WHERE rid = ?1";
        for patient in self.tx.numbers(sql, &values![rid])? {
            self.shake_patient(patient)?;
        }
        Ok(())
    }

    /// All records of a patient.
    fn shake_patient(&mut self, patient: i64) -> Result<(), StoreError> {
        let sql = "SELECT rid FROM record_patient WHERE patient = ?1 AND own = 1 AND rid <> ?1";
        self.shaken.extend(self.tx.numbers(sql, &values![patient])?);
        Ok(())
    }

    /// Whether anything takes labels or patients from a record that was not there before.
    fn has_dependents(&self, rid: i64) -> Result<bool, StoreError> {
        let memo = self.tx.memo().map(RefCell::borrow);
        if let Some(known) = memo.as_ref().and_then(|memo| memo.referrers(rid)) {
            return Ok(!known.is_empty());
        }
        drop(memo);
        Ok(!spread::dependents(self.tx, rid)?.is_empty())
    }

    /// Queues the records whose labels or patients may follow from this one's.
    pub fn queue_dependents(&mut self, rid: i64, resource: &Resource) -> Result<(), StoreError> {
        if let Some(known) = self.known_dependents(rid, resource) {
            self.queue.extend(known);
            return Ok(());
        }
        let sql = "SELECT f.rid FROM reference f WHERE f.target = ?1 \
                   UNION SELECT f.target FROM reference f JOIN record t ON t.rid = f.target WHERE f.rid = ?1 AND t.derived = 1";
        self.queue.extend(self.tx.numbers(sql, &values![rid])?);
        Ok(())
    }

    /// The same without asking, where the transaction knows: the record's number was given here, and so
    /// were those of all it points at that may take their patients from it.
    fn known_dependents(&self, rid: i64, resource: &Resource) -> Option<Vec<i64>> {
        let memo = self.tx.memo()?.borrow();
        let mut known = memo.referrers(rid)?.to_vec();
        let targets = resource.found().references.iter();
        for key in targets.filter_map(|found| found.target.local()) {
            if subjects::takes_from_others(key.kind) {
                let target = memo.numbers.get(key)?;
                memo.referrers(*target)?;
                known.extend(memo.derived.contains(target).then_some(*target));
            }
        }
        known.sort_unstable();
        known.dedup();
        Some(known)
    }

    /// Writes a row as the current version; `fresh` where there is none yet.
    pub fn store(
        &mut self,
        rid: i64,
        row: &Row,
        columns: &relabel::Columns,
        fresh: bool,
    ) -> Result<(), StoreError> {
        let facts = &row.facts;
        let parts = facts.parts_union();
        let values = values![
            rid,
            facts.key.kind.number(),
            facts.key.id.as_str(),
            columns.seq,
            false,
            &*row.full.version,
            row.full.updated,
            &*row.household.version,
            row.household.updated,
            columns.household_hash,
            facts.whole.labels.column(),
            facts.whole.conditional.column(),
            facts.whole.protected.column(),
            facts.whole.conditional_protected.column(),
            facts.whole.review,
            parts.labels.column(),
            parts.conditional.column(),
            parts.protected.column(),
            parts.conditional_protected.column(),
            columns.hits.column(),
            columns.regime.column(),
            columns.care,
            columns.day.as_deref(),
            facts.serviced.map(|serviced| serviced.start),
            facts.serviced.map(|serviced| serviced.end),
            columns.author,
            columns.organization,
            columns.subjects,
            columns.sole,
            columns.derived,
            row.parts.as_str(),
            row.body.clone(),
            row.household_body.clone(),
        ];
        if let Some(memo) = self.tx.memo() {
            let derived = &mut memo.borrow_mut().derived;
            if columns.derived {
                derived.insert(rid);
            } else {
                derived.remove(&rid);
            }
        }
        if fresh && self.tx.at_once() > 1 {
            self.tx.soon(&INTO, RECORD.len(), values.into(), "")?;
        } else {
            self.tx.run(&STORE, &values)?;
        }
        self.remembered.stored(facts, columns);
        Ok(())
    }
}

/// The columns of `record`, in the order in which [`Writer::store`] gives them.
const RECORD: &[&str] = &[
    "rid",
    "kind",
    "id",
    "seq",
    "deleted",
    "version",
    "updated",
    "h_version",
    "h_updated",
    "h_hash",
    "labels",
    "conditional",
    "protected",
    "c_protected",
    "review",
    "p_labels",
    "p_conditional",
    "p_protected",
    "p_c_protected",
    "hits",
    "regime",
    "care",
    "day",
    "served_from",
    "served_to",
    "author",
    "organization",
    "subjects",
    "sole",
    "derived",
    "parts",
    "body",
    "h_body",
];

static STORE: LazyLock<String> = LazyLock::new(|| {
    let places = vec!["?"; RECORD.len()].join(",");
    let set: Vec<String> = RECORD
        .iter()
        .skip(1)
        .map(|column| format!("{column} = excluded.{column}"))
        .collect();
    format!(
        "{} ({places}) ON CONFLICT (rid) DO UPDATE SET {}",
        *INTO,
        set.join(", ")
    )
});

static INTO: LazyLock<String> =
    LazyLock::new(|| format!("INSERT INTO record ({}) VALUES", RECORD.join(", ")));
