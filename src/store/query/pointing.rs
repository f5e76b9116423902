//! Records that point at a patient, in the order of pages: an index has them so, and no more of them is looked
//! at than a page needs.

use super::filter::{Level, Rows, filter, known};
use crate::{
    search::plan::Plan,
    store::{
        sql::Sql,
        visible::{Alias, Lens},
    },
};

/// The records that a plan of one type matches, as [`super::matching`] gives them, where its filter at the
/// place `by` is a reference to the Patient `target` (by number). One that points there twice comes twice.
/// `None` where the plan is of several types or has no such filter.
pub fn pointing_at(lens: &Lens, plan: &Plan, by: usize, target: i64) -> Option<Sql> {
    let (kind, param) = (plan.kind?, plan.filters.get(by)?.param);
    let r = Alias {
        name: "r",
        kind: Some(kind),
    };
    let (at, rows) = (Level::of(plan.kind), Rows::of(param, "index_reference"));
    let mut sql = Sql::text(
        "SELECT r.rid AS rid, d.kind AS kind, d.id AS id FROM index_reference d \
         JOIN record r ON r.rid = d.rid WHERE d.target = ",
    );
    sql.bind(target).push(&format!(
        " AND d.param = {} AND d.kind = {} AND ",
        param.id.0,
        kind.number()
    ));
    let mut pieces = vec![known(lens, param, rows, at, "d"), lens.sees(r, None)];
    let others = plan.filters.iter().enumerate();
    let others = others.filter(|(place, _)| *place != by);
    pieces.extend(others.map(|(_, other)| filter(lens, other, at)));
    sql.add(Sql::all(pieces));
    Some(sql)
}
