//! What holds between a requester and patients, read in the caller's snapshot.

use super::{
    keys,
    remembered::{self, Patient, Snapshot},
};
use crate::{
    calendar,
    consent::Directive,
    fhir::{Interval, Key, Kinds},
    policy::{Authority, Case, Grant, Requester, Role, Settings, Standing, Towards},
    statute::{Purpose, projections::Seat},
    store::{
        StoreError,
        session::{Columns, Session},
        sql::values,
    },
};
use std::{cell::OnceCell, collections::BTreeMap};

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

/// A policy that covers a patient, in one row for each payor.
#[derive(Debug)]
pub struct Policy {
    subscriber: Option<i64>,
    payor: Option<i64>,
    active: bool,
    period: Interval,
}

/// A flag on a patient.
#[derive(Debug)]
pub struct Flagged {
    flag: i64,
    code: Box<str>,
    /// Who is suspected, and whether as a RelatedPerson.
    suspect: Option<(i64, bool)>,
    period: Interval,
}

/// What a representative has from a patient.
#[derive(Debug)]
pub struct Mandate {
    kind: Option<Authority>,
    period: Interval,
}

/// What an organization was granted, at all times.
#[derive(Debug)]
pub struct Granted {
    reach: i64,
    purposes: u32,
    kinds: Kinds,
    period: Interval,
    /// Where it reaches a patient as a member of a Group: while they were one.
    member: Option<Interval>,
}

/// What stands between a person or an organization and a patient. Each is read when it is asked for.
#[derive(Debug, Default)]
pub struct Between {
    mandates: OnceCell<Vec<Mandate>>,
    granted: OnceCell<Vec<Granted>>,
    asked_psychotherapy: OnceCell<bool>,
}

impl Names {
    /// Whether all who are named were heard of.
    pub(super) fn are_known(&self, requester: &Requester) -> bool {
        requester.user.is_some() == self.user.is_some()
            && requester.organization.is_some() == self.organization.is_some()
    }

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
pub(super) fn names(read: &Snapshot<'_>, requester: &Requester) -> Result<Names, StoreError> {
    let mut names = Names::default();
    if let Some(user) = &requester.user {
        names.keys.push(user.clone());
        if let Some(rid) = read.number(user)? {
            names.user = Some(rid);
            names.people.push(rid);
            for other in read.list(LINKED, rid)?.iter() {
                names.people.push(*other);
                names.keys.extend(keys::key_of(read, *other)?);
            }
        }
    }
    if let Some(organization) = &requester.organization {
        names.keys.push(organization.clone());
        names.organization = read.number(organization)?;
        if let Some(rid) = names.organization {
            // An Organization that a directive names means its parts too.
            for parent in read.list(ABOVE, rid)?.iter() {
                names.keys.extend(keys::key_of(read, *parent)?);
            }
        }
    }
    Ok(names)
}

/// The organizations that one is part of, at any height.
const ABOVE: &str = "WITH RECURSIVE above (rid) AS (SELECT parent FROM part_of WHERE rid = ?1 \
    UNION SELECT p.parent FROM part_of p JOIN above a ON p.rid = a.rid) SELECT rid FROM above";

/// The other names of a person.
const LINKED: &str =
    "SELECT other FROM link WHERE one = ?1 UNION SELECT one FROM link WHERE other = ?1";

/// Who is covered by a policy of this person's, or under which this person is covered.
const HOUSEHOLD: &str = "SELECT b.beneficiary FROM coverage a JOIN coverage b ON b.subscriber = a.subscriber \
    WHERE a.beneficiary = ?1 OR a.subscriber = ?1";

/// Whose Consent names this person or organization.
const NAMED_BY: &str = "SELECT patient FROM directive_actor WHERE actor = ?1";

/// Who is represented by this RelatedPerson, at some time.
const REPRESENTED: &str = "SELECT patient FROM authority WHERE rid = ?1";

/// Who is a member of this Group, at some time.
const MEMBERS: &str = "SELECT patient FROM membership WHERE rid = ?1";

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
            towards.seat = seat(read, case, names, patient, known)?
        }
        Purpose::Pwatrny => {
            towards.authority = authority(read, case, names, patient)?;
            flags(read, case, names, known, &mut towards)?;
        }
        Purpose::Treat | Purpose::Etreat => {
            towards.in_facility = !settings.by_organization || in_facility(read, names, patient)?;
        }
        Purpose::Coc | Purpose::Hdm | Purpose::Hqualimp | Purpose::Perfmsr => {
            plan(read, case, names, patient, known, &mut towards)?;
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
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
    patient: i64,
    known: &Patient,
) -> Result<Option<Seat>, StoreError> {
    if names.people.contains(&patient) {
        return Ok(None);
    }
    let now = known.policies(read)?.iter();
    let now = now.filter(|policy| policy.active && policy.period.holds(case.at));
    let mut subscribers: Vec<i64> = now.filter_map(|policy| policy.subscriber).collect();
    subscribers.sort_unstable();
    subscribers.dedup();
    let mut seat = None;
    for subscriber in subscribers {
        let mut one = vec![subscriber];
        one.extend(read.list(LINKED, subscriber)?.iter());
        if one.iter().any(|name| names.people.contains(name)) {
            return Ok(Some(Seat::Subscriber));
        }
        for user in &names.people {
            if covered_by(read, case, *user, &one)? {
                seat = Some(Seat::Enrollee);
            }
        }
    }
    Ok(seat)
}

/// Whether a policy of one of these subscribers covers a person now.
fn covered_by(
    read: &Snapshot<'_>,
    case: &Case,
    person: i64,
    subscribers: &[i64],
) -> Result<bool, StoreError> {
    let Some(person) = read.patient(person)? else {
        return Ok(false);
    };
    let covers = |policy: &Policy| {
        let subscriber = policy.subscriber;
        policy.active
            && policy.period.holds(case.at)
            && subscriber.is_some_and(|one| subscribers.contains(&one))
    };
    Ok(person.policies(read)?.iter().any(covers))
}

/// Under which policies a patient was ever covered.
pub(super) fn policies(read: &dyn Session, patient: i64) -> Result<Vec<Policy>, StoreError> {
    let sql = "SELECT subscriber, payor, active, since, until FROM coverage WHERE beneficiary = ?1";
    read.all(sql, &values![patient], |row| {
        Ok(Policy {
            subscriber: row.get(0)?,
            payor: row.get(1)?,
            active: row.get(2)?,
            period: period(row, 3)?,
        })
    })
}

fn period(row: &dyn Columns, at: usize) -> Result<Interval, StoreError> {
    Ok(Interval {
        start: row.get(at)?,
        end: row.get(at + 1)?,
    })
}

fn authority(
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
    patient: i64,
) -> Result<Option<Authority>, StoreError> {
    // Only the RelatedPerson that the token names acts; a link to another is no authority.
    let Some(user) = names.user else {
        return Ok(None);
    };
    let between = read.between(user, patient);
    let mandates = remembered::known(&between.mandates, || {
        let sql = "SELECT kind, since, until FROM authority WHERE rid = ?1 AND patient = ?2";
        let read: &dyn Session = read;
        read.all(sql, &values![user, patient], |row| {
            Ok(Mandate {
                kind: Authority::named(row.get(0)?),
                period: period(row, 1)?,
            })
        })
    })?;
    let mut now = mandates
        .iter()
        .filter(|mandate| mandate.period.holds(case.at));
    Ok(now.next().and_then(|mandate| mandate.kind))
}

/// What was ever flagged of a patient.
pub(super) fn flagged(read: &dyn Session, patient: i64) -> Result<Vec<Flagged>, StoreError> {
    let sql = "SELECT f.rid, f.code, f.since, f.until, f.suspect, l.kind FROM flag f \
               LEFT JOIN locator l ON l.rid = f.suspect WHERE f.patient = ?1 ORDER BY f.rid";
    let related = keys::number("RelatedPerson");
    read.all(sql, &values![patient], |row| {
        let suspect: Option<i64> = row.get(4)?;
        let as_related = row.get::<Option<i64>>(5)? == Some(related);
        Ok(Flagged {
            flag: row.get(0)?,
            code: row.get::<&str>(1)?.into(),
            period: period(row, 2)?,
            suspect: suspect.map(|suspect| (suspect, as_related)),
        })
    })
}

fn flags(
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
    known: &Patient,
    towards: &mut Towards,
) -> Result<(), StoreError> {
    let mut suspects: BTreeMap<i64, Vec<(i64, bool)>> = BTreeMap::new();
    let now = known.flags(read)?.iter();
    for flagged in now.filter(|flagged| flagged.period.holds(case.at)) {
        match &*flagged.code {
            "suspected-abuse" => {
                let named = suspects.entry(flagged.flag).or_default();
                named.extend(flagged.suspect);
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
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
    patient: i64,
    known: &Patient,
    towards: &mut Towards,
) -> Result<(), StoreError> {
    let Some(organization) = names.organization else {
        return Ok(());
    };
    let policies = known.policies(read)?.iter();
    let paid = policies.filter(|policy| policy.payor == Some(organization));
    towards.covered = paid.map(|policy| policy.period).collect();
    let between = read.between(organization, patient);
    let granted = remembered::known(&between.granted, || granted(read, organization, patient))?;
    let member = |granted: &&Granted| granted.member.is_none_or(|member| member.holds(case.at));
    towards.grants = granted
        .iter()
        .filter(member)
        .map(|granted| Grant {
            kinds: granted.kinds,
            purposes: Purpose::ALL
                .into_iter()
                .filter(|p| p.bit() & granted.purposes != 0)
                .collect(),
            period: granted.period,
        })
        .collect();
    let asked = remembered::known(&between.asked_psychotherapy, || {
        let sql = "SELECT 1 FROM psychotherapy_request WHERE patient = ?1 AND requester = ?2";
        let read: &dyn Session = read;
        read.exists(sql, &values![patient, organization])
    })?;
    towards.psychotherapy_request = *asked;
    Ok(())
}

/// What an organization was granted of a patient, by name or as a member of a Group.
fn granted(
    read: &dyn Session,
    organization: i64,
    patient: i64,
) -> Result<Vec<Granted>, StoreError> {
    let sql = "SELECT g.reach, g.purposes, g.kinds, g.since, g.until, NULL, NULL FROM access_grant g \
               WHERE g.requester = ?1 AND g.reach = ?2 \
               UNION ALL SELECT g.reach, g.purposes, g.kinds, g.since, g.until, m.since, m.until FROM access_grant g \
               JOIN membership m ON m.rid = g.reach WHERE g.requester = ?1 AND m.patient = ?2";
    read.all(sql, &values![organization, patient], |row| {
        let member: Option<i64> = row.get(5)?;
        Ok(Granted {
            reach: row.get(0)?,
            purposes: row.get(1)?,
            kinds: serde_json::from_str(row.get(2)?).map_err(|_| StoreError::Damaged)?,
            period: period(row, 3)?,
            member: member.map(|_| period(row, 5)).transpose()?,
        })
    })
}

/// Groups and patients that the requester's grants in force name for this purpose.
pub fn granted_groups(
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
) -> Result<Vec<i64>, StoreError> {
    let Some(organization) = names.organization else {
        return Ok(Vec::new());
    };
    let granted = read.granted(organization)?;
    let now = granted.iter().filter(|granted| {
        granted.period.holds(case.at) && granted.purposes & case.purpose.bit() != 0
    });
    let mut reach: Vec<i64> = now.map(|granted| granted.reach).collect();
    reach.sort_unstable();
    reach.dedup();
    Ok(reach)
}

/// All that an organization was ever granted.
pub(super) fn all_granted(
    read: &dyn Session,
    organization: i64,
) -> Result<Vec<Granted>, StoreError> {
    let sql = "SELECT reach, purposes, kinds, since, until FROM access_grant WHERE requester = ?1";
    read.all(sql, &values![organization], |row| {
        Ok(Granted {
            reach: row.get(0)?,
            purposes: row.get(1)?,
            kinds: serde_json::from_str(row.get(2)?).map_err(|_| StoreError::Damaged)?,
            period: period(row, 3)?,
            member: None,
        })
    })
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
    read: &Snapshot<'_>,
    case: &Case,
    names: &Names,
) -> Result<Option<Vec<i64>>, StoreError> {
    let mut reached: Vec<i64> = Vec::new();
    match case.purpose {
        Purpose::Patrqt => reached.extend(&names.people),
        Purpose::Pwatrny => {
            for person in &names.people {
                reached.extend(read.list(REPRESENTED, *person)?.iter());
            }
        }
        Purpose::Coverage | Purpose::Famrqt | Purpose::Supnwk => {
            for person in &names.people {
                reached.extend(read.list(HOUSEHOLD, *person)?.iter());
            }
            for name in names.people.iter().chain(&names.organization) {
                reached.extend(read.list(NAMED_BY, *name)?.iter());
            }
        }
        Purpose::Coc | Purpose::Hdm | Purpose::Hqualimp | Purpose::Perfmsr => {
            for group in granted_groups(read, case, names)? {
                reached.extend(read.list(MEMBERS, group)?.iter());
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
            special.extend(read.list(HOUSEHOLD, *person)?.iter());
        }
    }
    special.sort_unstable();
    special.dedup();
    Ok(special)
}
