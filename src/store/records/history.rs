//! Versions of records. What an archived version reveals is told anew when it is asked for: its body is
//! labelled in today's surroundings, and the labels of then stand too. So a reference to a record that
//! was labelled since, a code that the table has learnt, and a patient's new diagnosis count for what
//! was as for what is.

use super::{keys, neighbours, relabel, remembered::Snapshot, rows, search, standing};
use crate::{
    faces::Stamp,
    fhir::{Interval, Key, Resource},
    gate::{Row, Sealed, amend, seal_past},
    label::{self, Marks},
    policy::{Case, Facts, Settings},
    statute::Labels,
    store::{
        Begin, History, Moment, Position, SortValue, Span, StoreError, Version,
        session::{Columns, Session},
        sql::{Sql, values},
    },
};

const COLUMNS: &str = "seq, deleted, version, updated, h_version, h_updated, labels, conditional, protected, c_protected, \
    review, served_from, served_to, author, organization, patients, parts, body";

/// A row of `version`, its body shut.
struct Past {
    seq: i64,
    deleted: bool,
    full: Stamp,
    household: Stamp,
    whole: Marks,
    serviced: Option<Interval>,
    author: Option<i64>,
    organization: Option<i64>,
    patients: Vec<i64>,
    parts: String,
    body: Vec<u8>,
}

fn past(row: &dyn Columns) -> Result<Past, StoreError> {
    let labels =
        |at: usize| -> Result<Labels, StoreError> { Ok(Labels::from_column(row.get(at)?)) };
    let stamp = |version: usize, updated: usize| -> Result<Stamp, StoreError> {
        Ok(Stamp {
            version: row.get::<&str>(version)?.into(),
            updated: row.get(updated)?,
        })
    };
    let patients: String = row.get(15)?;
    let patients = patients.split(',').filter_map(|rid| rid.parse().ok());
    Ok(Past {
        seq: row.get(0)?,
        deleted: row.get(1)?,
        full: stamp(2, 3)?,
        household: stamp(4, 5)?,
        whole: Marks {
            labels: labels(6)?,
            conditional: labels(7)?,
            protected: labels(8)?,
            conditional_protected: labels(9)?,
            review: row.get(10)?,
        },
        serviced: match (row.get(11)?, row.get(12)?) {
            (Some(start), Some(end)) => Some(Interval { start, end }),
            _ => None,
        },
        author: row.get(13)?,
        organization: row.get(14)?,
        patients: patients.collect(),
        parts: row.get(16)?,
        body: row.get(17)?,
    })
}

/// The record as it is or as it last was, by which each version is judged too.
struct Latest {
    facts: Facts,
    patients: Vec<i64>,
}

/// Versions of a record, the newest first.
pub fn versions(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    key: &Key,
    from: &Begin,
    count: u16,
) -> Result<Option<History>, StoreError> {
    let names = read.names(&case.requester)?;
    let Some(current) = rows::by_key(read, key)? else {
        return Ok(None);
    };
    let rid = current.rid;
    let is_deleted = current.deleted;
    let deletion = is_deleted.then(|| deletion(read, rid)).transpose()?;
    let current_seq = current.seq;
    let (latest, whose) = if is_deleted {
        let sql = format!(
            "SELECT {COLUMNS} FROM version WHERE rid = ?1 AND deleted = 0 ORDER BY seq DESC LIMIT 1"
        );
        let last = session(read).one(&sql, &values![rid], past)?;
        let whose = last.patients.clone();
        (opened(read, key, rid, last, None)?, whose)
    } else {
        (current.sealed, current.patients)
    };
    let now = Latest {
        facts: latest.facts().clone(),
        patients: whose,
    };
    let below = match from {
        Begin::Newest => i64::MAX,
        Begin::Below(seq) => *seq,
        Begin::Named(version) => {
            let sql = "SELECT MAX(seq) FROM (SELECT seq FROM record WHERE rid = ?1 AND (version = ?2 OR h_version = ?2) \
                       UNION ALL SELECT seq FROM version WHERE rid = ?1 AND (version = ?2 OR h_version = ?2)) m";
            let found: Option<i64> =
                session(read).one(sql, &values![rid, &**version], |row| row.get(0))?;
            found.map_or(0, |seq| seq.saturating_add(1))
        }
    };
    let mut versions = Vec::new();
    let mut patients = now.patients.clone();
    if current_seq < below && count > 0 {
        versions.push(match deletion {
            Some(stamp) => Version {
                seq: current_seq,
                full: stamp.clone(),
                household: stamp,
                sealed: None,
            },
            None => {
                let found = rows::by_number(read, rid)?.ok_or(StoreError::Damaged)?;
                let (full, household) = found.sealed.stamps();
                Version {
                    seq: current_seq,
                    full,
                    household,
                    sealed: Some(found.sealed),
                }
            }
        });
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM version WHERE rid = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3"
    );
    let left = i64::from(count) - i64::try_from(versions.len()).unwrap_or(0);
    let older = session(read).all(&sql, &values![rid, below, left], past)?;
    for past in older {
        patients.extend(&past.patients);
        versions.push(Version {
            seq: past.seq,
            full: past.full.clone(),
            household: past.household.clone(),
            sealed: match past.deleted {
                true => None,
                false => Some(opened(read, key, rid, past, Some(&now))?),
            },
        });
    }
    patients.sort_unstable();
    patients.dedup();
    let standing = standing::standing(read, case, settings, &names, &patients)?;
    let restricted = standing
        .towards
        .iter()
        .any(|towards| !towards.directives.is_empty());
    let mut history = History {
        latest,
        is_deleted,
        versions,
        standing,
    };
    if restricted {
        history.latest = pointing(read, history.latest)?;
        for version in &mut history.versions {
            if let Some(sealed) = version.sealed.take() {
                version.sealed = Some(pointing(read, sealed)?);
            }
        }
    }
    Ok(Some(history))
}

/// When a record was deleted.
fn deletion(read: &dyn Session, rid: i64) -> Result<Stamp, StoreError> {
    let sql = "SELECT version, updated FROM record WHERE rid = ?1";
    read.one(sql, &values![rid], |row| {
        Ok(Stamp {
            version: row.get::<&str>(0)?.into(),
            updated: row.get(1)?,
        })
    })
}

/// With the facts of the records that this version refers to, for the member's restrictions.
fn pointing(read: &dyn Session, sealed: Sealed) -> Result<Sealed, StoreError> {
    let body = amend(&sealed).map_err(|_| StoreError::Damaged)?;
    let mut targets = Vec::new();
    for key in body
        .found()
        .references
        .iter()
        .filter_map(|reference| reference.target.local())
    {
        let found = rows::by_key(read, key)?.filter(|found| !found.deleted);
        targets.extend(found.map(|found| found.sealed.facts().clone()));
    }
    Ok(sealed.referring_to(targets))
}

/// A past version with the labels of then, of today, and of the record as it is now.
fn opened(
    read: &dyn Session,
    key: &Key,
    rid: i64,
    past: Past,
    now: Option<&Latest>,
) -> Result<Sealed, StoreError> {
    let mut facts = Facts {
        key: key.clone(),
        patients: Vec::new(),
        whole: past.whole,
        parts: Vec::new(),
        serviced: past.serviced,
        author: name(read, past.author)?,
        organization: name(read, past.organization)?,
    };
    for patient in &past.patients {
        let key = keys::key_of(read, *patient)?.ok_or(StoreError::Damaged)?;
        facts.patients.push(key);
    }
    let then = Sealed::from_row(Row {
        facts,
        full: past.full,
        household: past.household,
        body: past.body,
        household_body: None,
        parts: past.parts,
        targets: Vec::new(),
    })
    .map_err(|_| StoreError::Damaged)?;
    let resource: Resource = amend(&then).map_err(|_| StoreError::Damaged)?;
    let around = neighbours::around(
        read,
        &mut neighbours::Memory::default(),
        rid,
        &resource,
        &past.patients,
        relabel::is_derived(&resource),
    )?;
    let today = label::label(&resource, &around);
    Ok(seal_past(then, &resource, today, now.map(|now| &now.facts)))
}

fn name(read: &dyn Session, rid: Option<i64>) -> Result<Option<Key>, StoreError> {
    rid.map_or(Ok(None), |rid| keys::key_of(read, rid))
}

/// Versions in the order of time, the newest first, of records that the requester may see and of
/// deleted ones.
pub fn moments(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    span: Span,
    from: Option<&Position>,
    count: u16,
) -> Result<Vec<Moment>, StoreError> {
    let names = read.names(&case.requester)?;
    let lens = search::lens(read, case, settings, &names, None)?;
    let (version, at) = match lens.is_household() {
        true => ("h_version", "h_updated"),
        false => ("version", "updated"),
    };
    let from = from.map(|from| after(read, from, version)).transpose()?;
    let arm = |table: &str| {
        let mut sql = Sql::text(&format!(
            "SELECT * FROM (SELECT r.kind AS kind, r.id AS id, x.seq AS seq, x.{at} AS at, x.{version} AS version FROM {table} x "
        ));
        sql.push("JOIN record r ON r.rid = x.rid WHERE ");
        let mut pieces = vec![Sql::any([Sql::text("r.deleted = 1"), lens.sees("r", None)])];
        pieces.push(Sql::kinds("r.kind", lens.scopes));
        if let Some(kind) = span.kind {
            pieces.push(Sql::text(&format!("r.kind = {}", kind.number())));
        }
        for (bound, operator) in [(span.since, ">="), (span.until, "<=")] {
            if let Some(bound) = bound {
                let mut sql = Sql::text(&format!("x.{at} {operator} "));
                sql.bind(bound);
                pieces.push(sql);
            }
        }
        if let Some(from) = &from {
            pieces.push(from.later_than(at));
        }
        sql.add(Sql::all(pieces));
        sql.push(&format!(
            " ORDER BY x.{at} DESC, r.kind, r.id, x.seq DESC LIMIT {count}) {table}_arm"
        ));
        sql
    };
    let mut sql = arm("record");
    sql.push(" UNION ALL ").add(arm("version"));
    sql.push(&format!(" ORDER BY 4 DESC, 1, 2, 3 DESC LIMIT {count}"));
    session(read).all(&sql.text, &sql.values, |row| {
        Ok(Moment {
            key: keys::key(row.get(0)?, row.get(1)?).ok_or(StoreError::Damaged)?,
            seq: row.get(2)?,
            at: row.get(3)?,
            version: row.get::<&str>(4)?.into(),
        })
    })
}

fn session<'s>(read: &'s Snapshot<'_>) -> &'s (dyn Session + 's) {
    read
}

/// A place in the order of time.
struct After {
    at: i64,
    kind: i64,
    id: String,
    seq: i64,
}

impl After {
    fn later_than(&self, column: &str) -> Sql {
        let mut sql = Sql::text(&format!("(x.{column} < "));
        sql.bind(self.at)
            .push(&format!(" OR (x.{column} = "))
            .bind(self.at)
            .push(" AND (r.kind > ")
            .bind(self.kind)
            .push(" OR (r.kind = ")
            .bind(self.kind)
            .push(" AND (r.id > ")
            .bind(self.id.as_str())
            .push(" OR (r.id = ")
            .bind(self.id.as_str())
            .push(" AND x.seq < ")
            .bind(self.seq)
            .push("))))))");
        sql
    }
}

/// A page's position names the version as it was shown (`id/version`): its number counts also what
/// the requester may not know. Of several with the same version of the household face, it is after all.
fn after(read: &dyn Session, from: &Position, version: &str) -> Result<After, StoreError> {
    let at = match &from.value {
        Some(SortValue::Integer(at)) => *at,
        _ => return Err(StoreError::Damaged),
    };
    let (id, shown) = from.id.split_once('/').ok_or(StoreError::Damaged)?;
    let sql = format!(
        "SELECT MIN(m.seq) FROM (SELECT r.rid AS rid, r.seq AS seq, r.{version} AS v FROM record r WHERE r.kind = ?1 AND r.id = ?2 \
         UNION ALL SELECT x.rid, x.seq, x.{version} FROM record r JOIN version x ON x.rid = r.rid WHERE r.kind = ?1 AND r.id = ?2) m \
         WHERE m.v = ?3"
    );
    let values = values![from.kind, id, shown];
    let seq: Option<i64> = read.one(&sql, &values, |row| row.get(0))?;
    Ok(After {
        at,
        kind: from.kind,
        id: id.to_owned(),
        seq: seq.unwrap_or(0),
    })
}
