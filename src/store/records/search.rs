//! Questions: one record, a plan, everything of a patient; each through the `visible` relation, in
//! the caller's snapshot.

use super::{
    along::along,
    keys, ordered,
    remembered::{Remembered, Silent, Snapshot},
    rows,
    shapes::Asked,
    standing::{self, Names},
};
use crate::{
    fhir::{Id, Key},
    gate::Sealed,
    policy::{
        Case, Lanes, Role, Settings, Standing, Towards,
        lanes::{lanes, nobody},
    },
    scope::Actions,
    search::plan::{Contained, ContainedType, Plan, Summary, Total},
    store::{
        Found, Page, Pick, Position, SortValue, StoreError,
        query::{self, Order},
        session::{Column, Session},
        sql::{Sql, Value},
        visible::{Group, Lens},
    },
};

use std::{cell::RefCell, collections::HashSet};

/// The most records that are asked for by name one by one, of an engine beside us.
const FEW: usize = 16;

/// The most patients of whom a query says what is known.
const KNOWN: usize = 4;

/// The most patients whose lanes are written into a query.
const GROUPED: usize = 5000;

/// One record, and what holds towards its patients.
pub fn read(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    key: &Key,
) -> Result<Option<Found>, StoreError> {
    let names = read.names(&case.requester)?;
    let found = rows::by_key(read, key)?;
    with_standing(read, case, settings, &names, found)
}

/// The same by one statement alone, where all else is remembered; `None` where it is not.
pub fn glance(
    read: &dyn Session,
    remembered: &RefCell<Remembered>,
    case: &Case,
    settings: Settings,
    key: &Key,
) -> Result<Option<Option<Found>>, StoreError> {
    let seen = rows::glance(read, key)?;
    let silent = Silent::default();
    let Some(read) = Snapshot::still(&silent, remembered, seen.generation) else {
        return Ok(None);
    };
    let answer = read.names(&case.requester).and_then(|names| {
        let found = seen.found(&read)?;
        with_standing(&read, case, settings, &names, found)
    });
    if silent.was_asked() {
        return Ok(None);
    }
    answer.map(Some)
}

fn with_standing(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    names: &Names,
    found: Option<rows::Found>,
) -> Result<Option<Found>, StoreError> {
    let Some(found) = found.filter(|found| !found.deleted) else {
        return Ok(None);
    };
    let standing = standing::standing(read, case, settings, names, &found.patients)?;
    let restricted = standing
        .towards
        .iter()
        .any(|towards| !towards.directives.is_empty());
    let sealed = if restricted {
        rows::with_targets(read, found.rid, found.sealed)?
    } else {
        found.sealed
    };
    Ok(Some(Found {
        sealed,
        standing,
        seq: found.seq,
    }))
}

/// The records that a plan asks for.
pub fn search(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    plan: &Plan,
    from: Option<&Position>,
) -> Result<Page, StoreError> {
    let names = read.names(&case.requester)?;
    // What is included may be any patient's.
    let alone = plan.include.is_empty() && plan.revinclude.is_empty();
    let wanted = alone.then(|| query::patients_of(plan)).flatten();
    let lens = lens(read, case, settings, &names, wanted.as_deref())?;
    let mut page = Page::default();
    let counted = plan.summary == Some(Summary::Count) || plan.count == 0;
    if counted {
        page.total = Some(total(read, &lens, plan)?);
        return Ok(page);
    }
    let counted = plan.total != Total::None;
    // Contained resources stand beside records: the order of those says nothing of them.
    let ordered = if counted || plan.contained != Contained::False {
        None
    } else {
        ordered::page(read, &lens, plan, from)?
    };
    let matched = match ordered {
        Some(matched) => take(&mut page, matched, plan.count),
        None => {
            let matching = query::matching(&lens, plan);
            let order = Order::of(plan);
            fill(read, &mut page, matching, &order, plan.count, from, counted)?
        }
    };
    if counted && page.total.is_none() {
        // No row tells: there is none, or none behind the place from which the page was asked.
        let asked = from.map(|_| total(read, &lens, plan)).transpose()?;
        page.total = Some(asked.unwrap_or_default());
    }
    let mut rids: Vec<i64> = matched.iter().map(|matched| matched.rid).collect();
    if plan.contained != Contained::False && plan.contained_type == ContainedType::Contained {
        page.picks = Some(picks(&matched)?);
        let mut known = HashSet::new();
        rids.retain(|rid| known.insert(*rid));
    }
    let along = along(read, &lens, plan, &rids)?;
    page.cut = along.cut;
    seal(read, case, settings, &names, &rids, &along.rids, &mut page)?;
    Ok(page)
}

/// Which records, and what in them, the rows of a page name.
fn picks(matched: &[Matched]) -> Result<Vec<Pick>, StoreError> {
    let pick = |matched: &Matched| {
        let Position { kind, id, .. } = &matched.position;
        let (id, inside) = match id.split_once('#') {
            Some((id, inside)) => {
                let inside = Id::parse(inside).ok_or(StoreError::Damaged)?;
                (id, Some(inside))
            }
            None => (id.as_str(), None),
        };
        let key = keys::key(*kind, id).ok_or(StoreError::Damaged)?;
        Ok(Pick { key, inside })
    };
    matched.iter().map(pick).collect()
}

/// Everything of a patient's own, in the order of type and id.
pub fn everything(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    patient: &Key,
    count: u16,
    from: Option<&Position>,
) -> Result<Page, StoreError> {
    let names = read.names(&case.requester)?;
    let lens = lens(
        read,
        case,
        settings,
        &names,
        Some(std::slice::from_ref(patient)),
    )?;
    let mut page = Page::default();
    let Some(rid) = read.number(patient)? else {
        return Ok(page);
    };
    let first = match from {
        None => read.page_text(&lens, Asked::Everything(count), rid),
        Some(_) => None,
    };
    let matched = if let Some((text, values)) = first {
        let matched = rows_of(read, &text, &values, 0, false)?;
        take(&mut page, matched, count)
    } else {
        let all = query::everything(&lens, rid);
        fill(read, &mut page, all, &Order::Name, count, from, false)?
    };
    let rids: Vec<i64> = matched.iter().map(|matched| matched.rid).collect();
    seal(read, case, settings, &names, &rids, &[], &mut page)?;
    Ok(page)
}

/// Records by name.
pub fn named(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    wanted: &[Key],
) -> Result<Page, StoreError> {
    let names = read.names(&case.requester)?;
    let mut page = Page::default();
    if wanted.is_empty() {
        return Ok(page);
    }
    let lens = lens(read, case, settings, &names, None)?;
    let mut rids = Vec::new();
    if read.at_once() <= 1 && wanted.len() <= FEW {
        let mut wanted: Vec<&Key> = wanted.iter().collect();
        wanted.sort_by_key(|key| (key.kind.number(), key.id.as_str()));
        wanted.dedup();
        for key in wanted {
            rids.extend(one(read, &lens, key)?);
        }
    } else {
        for some in wanted.chunks(200) {
            let sql = query::page(query::named(&lens, some), &Order::Name, 200, None);
            let found = rows_of(read, &sql.text, &sql.values, 0, false)?.into_iter();
            rids.extend(found.map(|row| row.rid));
        }
    }
    seal(read, case, settings, &names, &rids, &[], &mut page)?;
    Ok(page)
}

/// The number of a record, where it is seen.
fn one(read: &Snapshot<'_>, lens: &Lens, key: &Key) -> Result<Option<i64>, StoreError> {
    let Some(rid) = read.number(key)? else {
        return Ok(None);
    };
    let Some((text, values)) = read.page_text(lens, Asked::One(key.kind), rid) else {
        return Ok(None);
    };
    let session: &dyn Session = read;
    session.first(&text, &values, |row| row.get(0))
}

/// A match.
pub(super) struct Matched {
    /// Its number.
    pub(super) rid: i64,
    /// Its place in the order.
    pub(super) position: Position,
    /// How many match on all pages, where that was asked.
    total: Option<u64>,
}

fn total(read: &dyn Session, lens: &Lens, plan: &Plan) -> Result<u64, StoreError> {
    let mut unsorted = plan.clone();
    unsorted.sort.clear();
    one_number(read, &query::count(query::matching(lens, &unsorted)))
}

/// The rows of one page; `page.next` where there is another. Where it is `counted`, its rows tell how
/// many match on all pages.
fn fill(
    read: &dyn Session,
    page: &mut Page,
    inner: Sql,
    order: &Order,
    count: u16,
    from: Option<&Position>,
    counted: bool,
) -> Result<Vec<Matched>, StoreError> {
    let page_of = if counted {
        query::counted_page
    } else {
        query::page
    };
    let sql = page_of(inner, order, u32::from(count), from);
    let matched = rows_of(read, &sql.text, &sql.values, order.keys(), counted)?;
    page.total = matched.first().and_then(|first| first.total);
    Ok(take(page, matched, count))
}

/// The numbers of the first `count`; `page.next` where there are more.
fn take(page: &mut Page, mut matched: Vec<Matched>, count: u16) -> Vec<Matched> {
    if matched.len() > usize::from(count) {
        matched.truncate(usize::from(count));
        page.next = matched.last().map(|last| last.position.clone());
    }
    matched
}

/// Fetches records and what holds towards their patients.
fn seal(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    names: &Names,
    matched: &[i64],
    included: &[i64],
    page: &mut Page,
) -> Result<(), StoreError> {
    let mut patients: Vec<i64> = Vec::new();
    let mut fetch = |rids: &[i64]| -> Result<Vec<(i64, Sealed)>, StoreError> {
        let found = rows::by_numbers(read, rids)?.into_iter();
        let sealed = found.map(|found| {
            patients.extend(&found.patients);
            (found.rid, found.sealed)
        });
        Ok(sealed.collect())
    };
    let matches = fetch(matched)?;
    let mut others = fetch(included)?;
    // By type and id: numbers tell of hidden records too.
    others.sort_by(|(_, one), (_, other)| one.facts().key.cmp(&other.facts().key));
    patients.sort_unstable();
    patients.dedup();
    page.standing = standing::standing(read, case, settings, names, &patients)?;
    let restricted = page
        .standing
        .towards
        .iter()
        .any(|towards| !towards.directives.is_empty());
    let again = |records: Vec<(i64, Sealed)>| -> Result<Vec<Sealed>, StoreError> {
        let mut sealed = Vec::with_capacity(records.len());
        for (rid, record) in records {
            sealed.push(if restricted {
                rows::with_targets(read, rid, record)?
            } else {
                record
            });
        }
        Ok(sealed)
    };
    page.matches = again(matches)?;
    page.included = again(others)?;
    Ok(())
}

/// All that the requester may see, for a query that names `wanted` patients, or none.
pub fn lens(
    read: &Snapshot<'_>,
    case: &Case,
    settings: Settings,
    names: &Names,
    wanted: Option<&[Key]>,
) -> Result<Lens, StoreError> {
    let mut named = Vec::new();
    for key in wanted.unwrap_or_default() {
        named.extend(read.number(key)?);
    }
    let reached = standing::reached(read, case, names)?;
    let everyone = reached.is_none();
    let mut patients = match reached {
        Some(reached) => reached,
        None if settings.by_organization => everyone_in(read)?,
        None => standing::special(read, names)?,
    };
    patients.extend(&named);
    if let (Some(id), Some(kind)) = (&case.patient, crate::fhir::Kind::named("Patient")) {
        let id = id.clone();
        patients.extend(read.number(&Key { kind, id })?);
    }
    patients.sort_unstable();
    patients.dedup();
    // Patients with lanes of their own that are not worked out: nothing is seen of them.
    let mut left = Vec::new();
    if wanted.is_some() && patients.len() > 50 {
        (patients, left) = patients
            .into_iter()
            .partition(|patient| named.contains(patient));
    }
    left.extend(patients.split_off(patients.len().min(GROUPED)));
    let standing = standing::standing(read, case, settings, names, &patients)?;
    let mut groups = group(case, settings, &standing, &patients);
    let known = known(&standing, &patients, &named, &groups);
    if !left.is_empty() {
        let none = Lanes {
            lanes: Vec::new(),
            refusal: crate::statute::Reason::NoRelation,
            author: None,
            organization: None,
        };
        groups.push((left, none));
    }
    let everyone_else = (everyone && !settings.by_organization)
        .then(|| generic(case, settings, &standing))
        .flatten();
    // Whose lanes are everyone's need not be told apart.
    groups.retain(|(_, lanes)| Some(lanes) != everyone_else.as_ref());
    let scopes = case
        .scopes
        .kinds(Actions::READ)
        .either(case.scopes.kinds(Actions::SEARCH));
    let grant_groups = match case.requester.role {
        Role::Plan => standing::granted_groups(read, case, names)?,
        _ => Vec::new(),
    };
    Ok(Lens {
        groups,
        known,
        everyone_else,
        nobody: nobody(case),
        role: case.requester.role,
        scopes,
        grant_groups,
        author: names.user,
        organization: names.organization,
        household: settings.household,
    })
}

/// Patients with the same lanes, together.
fn group(
    case: &Case,
    settings: Settings,
    standing: &Standing,
    patients: &[i64],
) -> Vec<(Vec<i64>, Lanes)> {
    let mut groups: Vec<(Vec<i64>, Lanes)> = Vec::new();
    for (patient, towards) in patients.iter().zip(&standing.towards) {
        let lanes = lanes(case, settings, &standing.names, towards);
        match groups.iter_mut().find(|(_, known)| *known == lanes) {
            Some((patients, _)) => patients.push(*patient),
            None => groups.push((vec![*patient], lanes)),
        }
    }
    groups
}

/// Whom a question names, where they are few, with what holds of them.
fn known(
    standing: &Standing,
    patients: &[i64],
    named: &[i64],
    groups: &[(Vec<i64>, Lanes)],
) -> Vec<Group> {
    let mut known: Vec<Group> = Vec::new();
    if named.len() > KNOWN {
        return known;
    }
    for (patient, towards) in patients.iter().zip(&standing.towards) {
        if !named.contains(patient) {
            continue;
        }
        let Some((_, lanes)) = groups.iter().find(|(all, _)| all.contains(patient)) else {
            continue;
        };
        let (hits, tightening) = (towards.hits, towards.tightening);
        let mut like = known.iter_mut();
        match like
            .find(|one| (one.hits, one.tightening) == (hits, tightening) && one.lanes == *lanes)
        {
            Some(one) => one.patients.push(*patient),
            None => known.push(Group {
                patients: vec![*patient],
                lanes: lanes.clone(),
                hits,
                tightening,
            }),
        }
    }
    known
}

/// The lanes towards a patient of whom nothing special holds.
fn generic(case: &Case, settings: Settings, standing: &Standing) -> Option<Lanes> {
    // Not the patient in context: that one has lanes of its own.
    let ids = ["-", "--"].into_iter().filter_map(crate::fhir::Id::parse);
    let nobody = ids
        .into_iter()
        .find(|id| case.patient.as_ref() != Some(id))?;
    let mut towards = Towards::none(Key {
        kind: crate::fhir::Kind::named("Patient")?,
        id: nobody,
    });
    towards.in_facility = true;
    Some(lanes(case, settings, &standing.names, &towards))
}

fn everyone_in(read: &dyn Session) -> Result<Vec<i64>, StoreError> {
    read.numbers("SELECT patient FROM patient_state", &[])
}

fn one_number(read: &dyn Session, sql: &Sql) -> Result<u64, StoreError> {
    let number: i64 = read.one(&sql.text, &sql.values, |row| row.get(0))?;
    Ok(number.unsigned_abs())
}

pub(super) fn numbers(read: &dyn Session, sql: &Sql) -> Result<Vec<i64>, StoreError> {
    read.numbers(&sql.text, &sql.values)
}

/// The rows of a page in an order of so many keys; where it is `counted`, the total stands behind them.
pub(super) fn rows_of(
    read: &dyn Session,
    text: &str,
    values: &[Value],
    keys: usize,
    counted: bool,
) -> Result<Vec<Matched>, StoreError> {
    read.all(text, values, |row| {
        let values = (0..keys).map(|key| {
            Ok(match row.column(3 + key)? {
                Column::Integer(value) => Some(SortValue::Integer(value)),
                Column::Real(value) => Some(SortValue::Real(value)),
                Column::Text(value) => Some(SortValue::Text(value.to_owned())),
                _ => None,
            })
        });
        let values = values.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Matched {
            rid: row.get(0)?,
            position: Position::of(values, row.get(1)?, row.get(2)?),
            total: counted
                .then(|| row.get(3 + keys))
                .transpose()?
                .map(i64::unsigned_abs),
        })
    })
}
