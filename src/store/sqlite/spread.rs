//! Letting labels travel: in the transaction up to a bound, and beyond it under a tightening mask
//! until a later transaction has finished (SEMANTICS section 6: tighten first, loosen last).
//!
//! Labels of a record are the least that its own codes and its neighbours give, whatever the order in
//! which records came. While labels only grow, relabelling what a change reaches arrives there. Where
//! something may be lost, records that point at each other would go on giving each other what none of
//! them has any more: all that such a change reaches starts from nothing.

use super::{relabel, rows, write::Writer};
use crate::{
    fhir::{Instant, Kind},
    gate::amend,
    label::DIRECTORY,
    policy::Settings,
    statute::Labels,
    store::StoreError,
};
use rusqlite::{Connection, params};
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
        writer
            .tx
            .prepare_cached("INSERT OR IGNORE INTO pending (rid) VALUES (?1)")?
            .execute([rid])?;
        let sql = "UPDATE patient_state SET tightening = ?2 WHERE patient IN \
                   (SELECT patient FROM record_patient WHERE rid = ?1 AND own = 1)";
        writer
            .tx
            .prepare_cached(sql)?
            .execute(params![rid, Labels::ALL.column()])?;
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
pub fn dependents(read: &Connection, rid: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let sql = "SELECT r.rid, r.kind FROM reference f JOIN record r ON r.rid = f.rid WHERE f.target = ?1 AND r.deleted = 0 \
               UNION SELECT r.rid, r.kind FROM reference f JOIN record r ON r.rid = f.target \
               WHERE f.rid = ?1 AND r.derived = 1 AND r.deleted = 0";
    let mut query = read.prepare_cached(sql)?;
    let rows = query.query_map([rid], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn start_over(writer: &mut Writer<'_>, rid: i64) -> Result<(), StoreError> {
    let sql = "UPDATE record SET labels = 0, conditional = 0, protected = 0, c_protected = 0, review = 0, \
               p_labels = 0, p_conditional = 0, p_protected = 0, p_c_protected = 0, \
               subjects = CASE derived WHEN 1 THEN 0 ELSE subjects END WHERE rid = ?1";
    writer.tx.prepare_cached(sql)?.execute([rid])?;
    let sql = "DELETE FROM record_patient WHERE rid = ?1 AND own = 1 \
               AND EXISTS (SELECT 1 FROM record WHERE rid = ?1 AND derived = 1) RETURNING patient";
    let mut query = writer.tx.prepare_cached(sql)?;
    for patient in query.query_map([rid], |row| row.get(0))? {
        writer.recount.insert(patient?);
    }
    Ok(())
}

fn again(writer: &mut Writer<'_>, rid: i64) -> Result<(), StoreError> {
    let Some(found) = rows::by_number(writer.tx, rid)?.filter(|found| !found.deleted) else {
        return Ok(());
    };
    let resource = amend(&found.sealed).map_err(|_| StoreError::Damaged)?;
    relabel::label(writer, rid, &resource, None, Some(&found))
}

/// Finishes what earlier transactions left pending, a bounded piece at a time, then loosens.
pub fn finish(
    connection: &mut Connection,
    at: Instant,
    settings: Settings,
) -> Result<(), StoreError> {
    loop {
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let pending: Vec<i64> = tx
            .prepare_cached("SELECT rid FROM pending LIMIT 2000")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if pending.is_empty() {
            return Ok(());
        }
        for rid in &pending {
            tx.prepare_cached("DELETE FROM pending WHERE rid = ?1")?
                .execute([rid])?;
        }
        let mut writer = Writer::new(&tx, at, settings);
        writer.queue = pending;
        spread(&mut writer)?;
        let sql = "UPDATE patient_state SET tightening = 0 WHERE tightening <> 0 AND NOT EXISTS \
                   (SELECT 1 FROM pending p JOIN record_patient q ON q.rid = p.rid WHERE q.patient = patient_state.patient)";
        tx.execute(sql, [])?;
        tx.commit()?;
    }
}

/// Whether something is left pending.
pub fn is_pending(read: &Connection) -> Result<bool, StoreError> {
    Ok(read
        .prepare_cached("SELECT 1 FROM pending LIMIT 1")?
        .exists([])?)
}
