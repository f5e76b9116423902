//! Letting labels travel: in the transaction up to a bound, and beyond it under a tightening mask
//! until a later transaction has finished (SEMANTICS section 6: tighten first, loosen last).
//!
//! Labels of a record are the least that its own codes and its neighbours give, whatever the order in
//! which records came. While labels only grow, relabelling what a change reaches arrives there. Where
//! something may be lost, records that point at each other would go on giving each other what none of
//! them has any more: all that such a change reaches starts from nothing.

use super::{relabel, remembered, rows, write::Writer};
use crate::{
    fhir::{Instant, Kind},
    gate::amend,
    label::DIRECTORY,
    policy::Settings,
    statute::Labels,
    store::{StoreError, session::Session, sql::values},
};
use std::collections::{HashSet, VecDeque};

/// The most records that one transaction relabels.
const BOUND: usize = 20_000;

/// Relabels what is queued, and what that queues, up to the bound; what is left over is put down as
/// pending, and everything of its patients is hidden from whoever a label may hide it from.
pub fn spread(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    settle(writer)?;
    let mut waiting = VecDeque::new();
    let mut known = HashSet::new();
    let mut done = 0;
    loop {
        for rid in std::mem::take(&mut writer.queue) {
            if known.insert(rid) {
                waiting.push_back(rid);
            }
        }
        if done >= BOUND {
            break;
        }
        let Some(rid) = waiting.pop_front() else {
            break;
        };
        known.remove(&rid);
        done += 1;
        again(writer, rid)?;
    }
    for patient in std::mem::take(&mut writer.recount) {
        relabel::recompute_hits(writer.tx, patient)?;
    }
    for rid in waiting {
        let sql = "INSERT INTO pending (rid) VALUES (?1) ON CONFLICT DO NOTHING";
        writer.tx.run(sql, &values![rid])?;
        let sql = "UPDATE patient_state SET tightening = ?2 WHERE patient IN \
                   (SELECT patient FROM record_patient WHERE rid = ?1 AND own = 1)";
        writer.tx.run(sql, &values![rid, Labels::ALL.column()])?;
        remembered::moves(writer.tx)?;
    }
    Ok(())
}

/// What was shaken (its own content, its member, what named it), and all that may rest on it, starts
/// from nothing. Comparing labels before and after would not tell: what a record lost itself, another
/// may still give it that had it from there.
fn settle(writer: &mut Writer<'_>) -> Result<(), StoreError> {
    let mut reached = std::mem::take(&mut writer.shaken);
    let mut next: Vec<i64> = reached.iter().copied().collect();
    while let Some(from) = next.pop() {
        for (rid, kind) in dependents(writer.tx, from)? {
            let carries = Kind::numbered(kind).is_some_and(|kind| match kind.name() {
                "Patient" => false,
                "Medication" => true,
                _ => !DIRECTORY.has(kind),
            });
            if carries && reached.insert(rid) {
                next.push(rid);
            }
        }
    }
    let mut reached: Vec<i64> = reached.into_iter().collect();
    reached.sort_unstable();
    for rid in reached {
        start_over(writer, rid)?;
        writer.queue.push(rid);
    }
    Ok(())
}

/// Records that take labels or patients from this one.
pub fn dependents(read: &dyn Session, rid: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let sql = "SELECT r.rid, r.kind FROM reference f JOIN record r ON r.rid = f.rid WHERE f.target = ?1 AND r.deleted = 0 \
               UNION SELECT r.rid, r.kind FROM reference f JOIN record r ON r.rid = f.target \
               WHERE f.rid = ?1 AND r.derived = 1 AND r.deleted = 0";
    read.all(sql, &values![rid], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn start_over(writer: &mut Writer<'_>, rid: i64) -> Result<(), StoreError> {
    let sql = "UPDATE record SET labels = 0, conditional = 0, protected = 0, c_protected = 0, review = 0, \
               p_labels = 0, p_conditional = 0, p_protected = 0, p_c_protected = 0, \
               subjects = CASE derived WHEN 1 THEN 0 ELSE subjects END, \
               sole = CASE derived WHEN 1 THEN NULL ELSE sole END WHERE rid = ?1";
    writer.tx.run(sql, &values![rid])?;
    writer.remembered.forget_all();
    let sql = "DELETE FROM record_patient WHERE rid = ?1 AND own = 1 \
               AND EXISTS (SELECT 1 FROM record WHERE rid = ?1 AND derived = 1) RETURNING patient";
    let patients = writer.tx.numbers(sql, &values![rid])?;
    writer.recount.extend(patients);
    Ok(())
}

fn again(writer: &mut Writer<'_>, rid: i64) -> Result<(), StoreError> {
    let Some(found) = rows::by_number(writer.tx, rid)?.filter(|found| !found.deleted) else {
        return Ok(());
    };
    let resource = amend(&found.sealed).map_err(|_| StoreError::Damaged)?;
    relabel::label(writer, rid, &resource, None, Some(&found))
}

/// Finishes a bounded piece of what earlier transactions left pending, in a transaction of its own, then
/// loosens; whether there was anything.
pub fn finish(tx: &dyn Session, at: Instant, settings: Settings) -> Result<bool, StoreError> {
    let pending = tx.numbers("SELECT rid FROM pending ORDER BY rid LIMIT 2000", &[])?;
    if pending.is_empty() {
        return Ok(false);
    }
    for rid in &pending {
        tx.run("DELETE FROM pending WHERE rid = ?1", &values![*rid])?;
    }
    let mut writer = Writer::new(tx, at, settings);
    writer.queue = pending;
    spread(&mut writer)?;
    let sql = "UPDATE patient_state SET tightening = 0 WHERE tightening <> 0 AND NOT EXISTS \
               (SELECT 1 FROM pending p JOIN record_patient q ON q.rid = p.rid WHERE q.patient = patient_state.patient)";
    if tx.run(sql, &[])? > 0 {
        remembered::moves(tx)?;
    }
    Ok(true)
}

/// Whether something is left pending.
pub fn is_pending(read: &dyn Session) -> Result<bool, StoreError> {
    read.exists("SELECT 1 FROM pending LIMIT 1", &[])
}
