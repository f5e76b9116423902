//! Pages of what points at patients, taken from an index that has them in order: a search of one patient's
//! records looks at about as many as it shows. The answer is the same as that of the whole query.

use super::{
    remembered::Snapshot,
    search::{Matched, rows_of},
    shapes::Asked,
};
use crate::{
    fhir::{Key, Kind, Kinds},
    search::{
        filter::{Filter, ReferenceTest, Test},
        plan::Plan,
    },
    store::{
        Position, StoreError,
        query::{self, Order},
        session::Session,
        sql::{Sql, values},
        visible::Lens,
    },
};

/// The most patients whose records are put together to one page.
const FEW: u16 = 8;

/// One page of a plan, at most one more than its `count`, after `from`; `None` where no filter names few
/// patients or another order is asked for. For an engine beside us: it asks once a patient.
pub(super) fn page(
    read: &Snapshot<'_>,
    lens: &Lens,
    plan: &Plan,
    from: Option<&Position>,
) -> Result<Option<Vec<Matched>>, StoreError> {
    let Some((by, patients)) = patients(read, lens, plan)? else {
        return Ok(None);
    };
    let most = usize::from(plan.count) + 1;
    let mut all: Vec<Matched> = Vec::new();
    for patient in &patients {
        let Some(found) = of_patient(read, lens, plan, by, *patient, from)? else {
            return Ok(None);
        };
        all.extend(found);
    }
    if patients.len() > 1 {
        // Of one type.
        all.sort_by(|one, other| one.position.id.cmp(&other.position.id));
        all.dedup_by_key(|matched| matched.rid);
        all.truncate(most);
    }
    Ok(Some(all))
}

/// The query for the first page of a plan that names one patient, for who looks how an engine goes about it.
pub fn first(read: &Snapshot<'_>, lens: &Lens, plan: &Plan) -> Result<Option<Sql>, StoreError> {
    let patients = patients(read, lens, plan)?;
    let Some((by, [patient])) = patients.as_ref().map(|(by, all)| (*by, all.as_slice())) else {
        return Ok(None);
    };
    let inner = query::pointing_at(lens, plan, by, *patient);
    Ok(inner.map(|inner| query::page(inner, &Order::Name, u32::from(plan.count), None)))
}

/// The matches of one patient, in order.
fn of_patient(
    read: &Snapshot<'_>,
    lens: &Lens,
    plan: &Plan,
    by: usize,
    patient: i64,
    from: Option<&Position>,
) -> Result<Option<Vec<Matched>>, StoreError> {
    let most = usize::from(plan.count) + 1;
    let mut all: Vec<Matched> = Vec::new();
    let mut from = from.cloned();
    loop {
        let asked = match from {
            None => read.page_text(lens, Asked::Pointing(plan, by), patient),
            Some(_) => query::pointing_at(lens, plan, by, patient).map(|inner| {
                let count = u32::from(plan.count);
                let sql = query::page(inner, &Order::Name, count, from.as_ref());
                (sql.text.into(), sql.values)
            }),
        };
        let Some((text, values)) = asked else {
            return Ok(None);
        };
        let found = rows_of(read, &text, &values, 0, false)?;
        let is_last = found.len() < most;
        from = found.last().map(|last| last.position.clone());
        all.extend(found);
        // One that points there twice stands there twice, side by side.
        all.dedup_by_key(|matched| matched.rid);
        if is_last || all.len() >= most {
            all.truncate(most);
            return Ok(Some(all));
        }
    }
}

/// The filter that names few patients, by its place, and whom: by id, or as the end of a chain, which is
/// looked up first.
fn patients(
    read: &Snapshot<'_>,
    lens: &Lens,
    plan: &Plan,
) -> Result<Option<(usize, Vec<i64>)>, StoreError> {
    let Some(kind) = Kind::named("Patient") else {
        return Ok(None);
    };
    if !plan.sort.is_empty() || plan.kind.is_none() {
        return Ok(None);
    }
    let only = |kinds: Kinds| kinds == Kinds::NONE.with(kind);
    let filters = || plan.filters.iter().enumerate();
    for (by, filter) in filters() {
        if let Test::Reference(tests) = &filter.test
            && let [ReferenceTest::Local { kinds, id }] = tests.as_slice()
            && only(*kinds)
        {
            let id = id.clone();
            let found = read.number(&Key { kind, id })?;
            return Ok(Some((by, found.into_iter().collect())));
        }
    }
    for (by, filter) in filters() {
        if let Test::Chain(legs) = &filter.test
            && let [leg] = legs.as_slice()
            && only(leg.kinds)
            && !leads_inside(read, plan, filter)?
        {
            let found = ends(read, lens, kind, &leg.filter)?;
            return Ok((found.len() <= usize::from(FEW)).then_some((by, found)));
        }
    }
    Ok(None)
}

/// Whether any record of the type refers, by this parameter, to something that it contains: a chain goes on
/// there too.
fn leads_inside(read: &Snapshot<'_>, plan: &Plan, filter: &Filter) -> Result<bool, StoreError> {
    let kind = plan.kind.map_or(-1, Kind::number);
    let sql = "SELECT 1 FROM index_uri WHERE kind = ?1 AND param = ?2 AND uri >= '#' AND uri < '$' LIMIT 1";
    let read: &dyn Session = read;
    read.exists(sql, &values![kind, filter.param.id.0])
}

/// The patients that are seen and pass, one more than [`FEW`] where there are more.
fn ends(
    read: &Snapshot<'_>,
    lens: &Lens,
    kind: Kind,
    filter: &Filter,
) -> Result<Vec<i64>, StoreError> {
    let asked = read.page_text(lens, Asked::Passing(kind, filter, FEW + 1), 0);
    let (text, values) = asked.unwrap_or_default();
    let session: &dyn Session = read;
    session.numbers(&text, &values)
}
