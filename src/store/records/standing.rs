//! What holds between a requester and patients, read in the caller's snapshot.

use super::{
    keys,
    remembered::{Patient, Snapshot},
};
use crate::{
    calendar,
    consent::Directive,
    fhir::{Interval, Key},
    policy::{Authority, Case, Grant, Requester, Role, Settings, Standing, Towards},
    statute::{Purpose, projections::Seat},
    store::{StoreError, session::Session, sql::values},
};
use std::collections::BTreeMap;

/// The requester's names, by key and by number.
#[derive(Debug, Default)]
pub struct Names {
    /// The user, verified links, the organization.
    pub keys: Vec<Key>,
    /// The user and verified links, by number.
    pub people: Vec<i64>,
    /// The organization, by number.
    pub organization: Option<i64>,
    /// The user, by number.
    pub user: Option<i64>,
}

impl Names {
    /// Whether anything says that the user may be a member too: a link, or that the token names them
    /// as one.
    fn may_be_member(&self) -> bool {
        let workforce = ["Practitioner", "PractitionerRole", "Organization"];
        self.people.len() > 1
            || self
                .keys
                .iter()
                .any(|key| !workforce.contains(&key.kind.name()))
    }
}

/// The names of a requester. The time does not matter for them.
pub(super) fn names(read: &dyn Session, requester: &Requester) -> Result<Names, StoreError> {
    let mut names = Names::default();
    if let Some(user) = &requester.user {
        names.keys.push(user.clone());
        if let Some(rid) = keys::find(read, user)? {
            names.user = Some(rid);
            names.people.push(rid);
            for other in linked(read, rid)? {
                names.people.push(other);
                names.keys.extend(keys::key_of(read, other)?);
            }
        }
    }
    if let Some(organization) = &requester.organization {
        names.keys.push(organization.clone());
        names.organization = keys::find(read, organization)?;
        if let Some(rid) = names.organization {
            // An Organization that a directive names means its parts too.
            for parent in above(read, rid)? {
                names.keys.extend(keys::key_of(read, parent)?);
            }
        }
    }
    Ok(names)
}

/// The organizations that this one is part of, at any height.
fn above(read: &dyn Session, organization: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "WITH RECURSIVE above (rid) AS (SELECT parent FROM part_of WHERE rid = ?1 \
               UNION SELECT p.parent FROM part_of p JOIN above a ON p.rid = a.rid) SELECT rid FROM above";
    numbers(read, sql, organization)
}

fn linked(read: &dyn Session, rid: i64) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT other FROM link WHERE one = ?1 UNION SELECT one FROM link WHERE other = ?1";
    read.numbers(sql, &values![rid])
}

/// What holds towards `patients` (by number), for the purpose of `case`.
pub fn standing(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    names: &Names,
    patients: &[i64],
) -> Result<Standing, StoreError> {
    let mut standing = Standing {
        names: names.keys.clone(),
        towards: Vec::with_capacity(patients.len()),
        groups: Vec::new(),
    };
    for patient in patients {
        if let Some(known) = read.patient(*patient)? {
            let towards = towards(read, case, settings, names, *patient, &known)?;
            standing.towards.push(towards);
        }
    }
    if case.requester.role == Role::Plan {
        for group in granted_groups(read, case, names)? {
            standing.groups.extend(keys::key_of(read, group)?);
        }
    }
    Ok(standing)
}

fn towards(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    names: &Names,
    patient: i64,
    known: &Patient,
) -> Result<Towards, StoreError> {
    let mut towards = Towards::none(known.key.clone());
    towards.is_member = names.people.contains(&patient);
    towards.hits = known.hits;
    towards.tightening = known.tightening;
    if let (Some(born), Some(today)) = (known.born, calendar::local_date(case.at)) {
        towards.minor = calendar::age(born, today) < 18;
    }
    match case.purpose {
        Purpose::Patrqt => return Ok(towards),
        Purpose::Coverage | Purpose::Famrqt | Purpose::Supnwk => {
            towards.seat = seat(read, case, names, patient)?
        }
        Purpose::Pwatrny => {
            towards.authority = authority(read, case, names, patient)?;
            flags(read, case, names, patient, &mut towards)?;
        }
        Purpose::Treat | Purpose::Etreat => {
            towards.in_facility = !settings.by_organization || in_facility(read, names, patient)?;
        }
        Purpose::Coc | Purpose::Hdm | Purpose::Hqualimp | Purpose::Perfmsr => {
            plan(read, case, names, patient, &mut towards)?;
        }
        _ => {}
    }
    if case.requester.role != Role::App {
        towards.covered_together = covered_together(read, names, patient)?;
    }
    towards.directives = known.directives(read)?.to_vec();
    Ok(towards)
}

/// The user's place on a policy that covers the patient now.
fn seat(
    read: &dyn Session,
    case: &Case,
    names: &Names,
    patient: i64,
) -> Result<Option<Seat>, StoreError> {
    if names.people.contains(&patient) {
        return Ok(None);
    }
    let sql = "SELECT DISTINCT subscriber FROM coverage \
               WHERE beneficiary = ?1 AND active = 1 AND since <= ?2 AND until >= ?2 AND subscriber IS NOT NULL";
    let subscribers = read.numbers(sql, &values![patient, case.at])?;
    let mut seat = None;
    for subscriber in subscribers {
        let mut one = vec![subscriber];
        one.extend(linked(read, subscriber)?);
        if one.iter().any(|name| names.people.contains(name)) {
            return Ok(Some(Seat::Subscriber));
        }
        for name in &one {
            for user in &names.people {
                if covers(read, case, *name, *user)? {
                    seat = Some(Seat::Enrollee);
                }
            }
        }
    }
    Ok(seat)
}

fn covers(
    read: &dyn Session,
    case: &Case,
    subscriber: i64,
    beneficiary: i64,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM coverage WHERE subscriber = ?1 AND beneficiary = ?2 \
               AND active = 1 AND since <= ?3 AND until >= ?3 LIMIT 1";
    read.exists(sql, &values![subscriber, beneficiary, case.at])
}

fn authority(
    read: &dyn Session,
    case: &Case,
    names: &Names,
    patient: i64,
) -> Result<Option<Authority>, StoreError> {
    let sql = "SELECT kind FROM authority WHERE rid = ?1 AND patient = ?2 AND since <= ?3 AND until >= ?3";
    // Only the RelatedPerson that the token names acts; a link to another is no authority.
    let Some(user) = names.user else {
        return Ok(None);
    };
    let kind: Option<String> =
        read.first(sql, &values![user, patient, case.at], |row| row.get(0))?;
    Ok(kind.as_deref().and_then(Authority::named))
}

fn flags(
    read: &dyn Session,
    case: &Case,
    names: &Names,
    patient: i64,
    towards: &mut Towards,
) -> Result<(), StoreError> {
    let sql = "SELECT f.rid, f.code, f.suspect, l.kind FROM flag f LEFT JOIN locator l ON l.rid = f.suspect \
               WHERE f.patient = ?1 AND f.since <= ?2 AND f.until >= ?2 ORDER BY f.rid";
    let rows = read.all(sql, &values![patient, case.at], |row| {
        let suspect: (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
        Ok((row.get::<i64>(0)?, row.get::<String>(1)?, suspect))
    })?;
    let related = keys::number("RelatedPerson");
    let mut suspects: BTreeMap<i64, Vec<(i64, bool)>> = BTreeMap::new();
    for row in rows {
        let (flag, code, (suspect, kind)) = row;
        match code.as_str() {
            "suspected-abuse" => {
                let named = suspects.entry(flag).or_default();
                named.extend(suspect.map(|suspect| (suspect, kind == Some(related))));
            }
            "removed-from-custody" => towards.removed_from_custody = true,
            _ => {}
        }
    }
    // Suspected: who is named; every representative where nobody is; and where the suspect is named
    // only as a Patient, every representative of whom no link tells who they are.
    let unknown = names.people.len() < 2;
    towards.suspected = suspects.values().any(|named| {
        named.is_empty()
            || named
                .iter()
                .any(|(suspect, _)| names.people.contains(suspect))
            || (unknown && !named.iter().any(|(_, as_related)| *as_related))
    });
    Ok(())
}

fn in_facility(read: &dyn Session, names: &Names, patient: i64) -> Result<bool, StoreError> {
    let Some(organization) = names.organization else {
        return Ok(false);
    };
    let sql = "WITH RECURSIVE below (rid) AS (SELECT ?1 UNION SELECT p.rid FROM part_of p JOIN below b ON p.parent = b.rid) \
               SELECT 1 FROM managed m JOIN below b ON m.organization = b.rid WHERE m.rid = ?2 \
               UNION ALL SELECT 1 FROM record_patient q JOIN record r ON r.rid = q.rid JOIN below b ON r.organization = b.rid \
               WHERE q.patient = ?2 AND q.own = 1 AND r.kind = ?3 AND r.deleted = 0 LIMIT 1";
    let encounter = keys::number("Encounter");
    read.exists(sql, &values![organization, patient, encounter])
}

fn plan(
    read: &dyn Session,
    case: &Case,
    names: &Names,
    patient: i64,
    towards: &mut Towards,
) -> Result<(), StoreError> {
    let Some(organization) = names.organization else {
        return Ok(());
    };
    let sql = "SELECT since, until FROM coverage WHERE beneficiary = ?1 AND payor = ?2";
    towards.covered = read.all(sql, &values![patient, organization], |row| {
        Ok(Interval {
            start: row.get(0)?,
            end: row.get(1)?,
        })
    })?;
    let sql = "SELECT g.purposes, g.since, g.until, g.kinds FROM access_grant g WHERE g.requester = ?1 \
               AND (g.reach = ?2 OR EXISTS (SELECT 1 FROM membership m WHERE m.rid = g.reach AND m.patient = ?2 \
                    AND m.since <= ?3 AND m.until >= ?3))";
    towards.grants = read.all(sql, &values![organization, patient, case.at], |row| {
        let bits: u32 = row.get(0)?;
        Ok(Grant {
            kinds: serde_json::from_str(row.get(3)?).map_err(|_| StoreError::Damaged)?,
            purposes: Purpose::ALL
                .into_iter()
                .filter(|p| p.bit() & bits != 0)
                .collect(),
            period: Interval {
                start: row.get(1)?,
                end: row.get(2)?,
            },
        })
    })?;
    let sql = "SELECT 1 FROM psychotherapy_request WHERE patient = ?1 AND requester = ?2";
    towards.psychotherapy_request = read.exists(sql, &values![patient, organization])?;
    Ok(())
}

/// Groups that the requester's grants in force name for this purpose.
pub fn granted_groups(
    read: &dyn Session,
    case: &Case,
    names: &Names,
) -> Result<Vec<i64>, StoreError> {
    let Some(organization) = names.organization else {
        return Ok(Vec::new());
    };
    let sql = "SELECT DISTINCT reach FROM access_grant WHERE requester = ?1 AND since <= ?2 AND until >= ?2 AND purposes & ?3 <> 0";
    read.numbers(sql, &values![organization, case.at, case.purpose.bit()])
}

/// Whether the user is covered together with the patient: a workforce conflict.
fn covered_together(read: &dyn Session, names: &Names, patient: i64) -> Result<bool, StoreError> {
    if !names.may_be_member() {
        return Ok(false);
    }
    let sql = "SELECT 1 FROM coverage a JOIN coverage b ON a.subscriber = b.subscriber \
               WHERE a.beneficiary = ?1 AND a.active = 1 AND b.active = 1 AND (b.beneficiary = ?2 OR b.subscriber = ?2) LIMIT 1";
    for person in &names.people {
        if read.exists(sql, &values![patient, *person])? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn directives(read: &dyn Session, patient: i64) -> Result<Vec<Directive>, StoreError> {
    let sql = "SELECT body FROM directive WHERE patient = ?1 ORDER BY rid";
    read.all(sql, &values![patient], |row| {
        serde_json::from_str(row.get(0)?).map_err(|_| StoreError::Damaged)
    })
}

/// The patients that a question without a patient can reach by name; `None` where it reaches all.
pub fn reached(
    read: &dyn Session,
    case: &Case,
    names: &Names,
) -> Result<Option<Vec<i64>>, StoreError> {
    let mut reached: Vec<i64> = Vec::new();
    match case.purpose {
        Purpose::Patrqt => reached.extend(&names.people),
        Purpose::Pwatrny => {
            for person in &names.people {
                let sql = "SELECT patient FROM authority WHERE rid = ?1";
                reached.extend(numbers(read, sql, *person)?);
            }
        }
        Purpose::Coverage | Purpose::Famrqt | Purpose::Supnwk => {
            for person in &names.people {
                let sql = "SELECT b.beneficiary FROM coverage a JOIN coverage b ON b.subscriber = a.subscriber \
                           WHERE a.beneficiary = ?1 OR a.subscriber = ?1";
                reached.extend(numbers(read, sql, *person)?);
            }
            for name in names.people.iter().chain(&names.organization) {
                let sql = "SELECT patient FROM directive_actor WHERE actor = ?1";
                reached.extend(numbers(read, sql, *name)?);
            }
        }
        Purpose::Coc | Purpose::Hdm | Purpose::Hqualimp | Purpose::Perfmsr => {
            for group in granted_groups(read, case, names)? {
                let sql = "SELECT patient FROM membership WHERE rid = ?1";
                reached.extend(numbers(read, sql, group)?);
                let patient =
                    keys::key_of(read, group)?.is_some_and(|key| key.kind.name() == "Patient");
                reached.extend(patient.then_some(group));
            }
        }
        _ => return Ok(None),
    }
    reached.sort_unstable();
    reached.dedup();
    Ok(Some(reached))
}

pub(super) fn with_directives(read: &dyn Session) -> Result<Vec<i64>, StoreError> {
    read.numbers("SELECT DISTINCT patient FROM directive", &[])
}

/// Patients towards whom a requester who reaches all may stand in a special way: by a directive, a
/// coverage shared with the user, or a facility that must be asked for.
pub fn special(read: &Snapshot<'_>, names: &Names) -> Result<Vec<i64>, StoreError> {
    let mut special = read.with_directives()?.to_vec();
    if names.may_be_member() {
        for person in &names.people {
            let sql = "SELECT b.beneficiary FROM coverage a JOIN coverage b ON b.subscriber = a.subscriber \
                       WHERE a.beneficiary = ?1 OR a.subscriber = ?1";
            special.extend(numbers(read, sql, *person)?);
        }
    }
    special.sort_unstable();
    special.dedup();
    Ok(special)
}

fn numbers(read: &dyn Session, sql: &str, of: i64) -> Result<Vec<i64>, StoreError> {
    read.numbers(sql, &values![of])
}
