//! What comes along with the matches of a page: includes, in both directions.

use super::search::numbers;
use crate::{
    fhir::{Kind, Kinds},
    search::plan::{Include, Plan},
    store::{
        StoreError,
        query::{self, Hop},
        session::Session,
        sql::Sql,
        visible::Lens,
    },
};
use std::collections::HashSet;

/// The most records that one include brings, in either direction.
const INCLUDING: usize = 1000;

/// Where includes that iterate stop.
const ALONG: usize = 5000;

/// What comes along.
#[derive(Default)]
pub(super) struct Along {
    /// Their numbers.
    pub(super) rids: Vec<i64>,
    /// Whether there is more that may be seen.
    pub(super) cut: bool,
}

impl Along {
    /// What an include leads to, as far as it may.
    fn take(
        &mut self,
        read: &dyn Session,
        sql: &Sql,
        found: &mut Vec<i64>,
    ) -> Result<(), StoreError> {
        let mut more = numbers(read, sql)?;
        self.cut |= more.len() > INCLUDING;
        more.truncate(INCLUDING);
        found.extend(more);
        Ok(())
    }
}

/// What comes along with the matches: each include from them, those that iterate from what came along
/// too.
pub(super) fn along(
    read: &dyn Session,
    lens: &Lens,
    plan: &Plan,
    matched: &[i64],
) -> Result<Along, StoreError> {
    let mut known: HashSet<i64> = matched.iter().copied().collect();
    let mut all = Along::default();
    let mut from = matched.to_vec();
    let mut first = true;
    while !from.is_empty() {
        let mut found: Vec<i64> = Vec::new();
        let goes = |include: &&Include| first || include.iterate;
        let is_star = |include: &Include| include.source.is_none();
        let kinds = if plan.include.iter().any(is_star) {
            kinds_of(read, &from)?
        } else {
            Kinds::NONE
        };
        for include in plan.include.iter().filter(goes) {
            for hop in hops(include, kinds) {
                let sql = query::included(lens, hop, &from, INCLUDING + 1);
                all.take(read, &sql, &mut found)?;
            }
        }
        for include in plan.revinclude.iter().filter(goes) {
            let hops = if is_star(include) {
                let ways = numbers(read, &query::pointing(&from))?.into_iter();
                ways.filter_map(|way| query::way(way, include.target))
                    .collect()
            } else {
                hops(include, Kinds::NONE)
            };
            for hop in hops {
                let sql = query::including(lens, hop, &from, INCLUDING + 1);
                all.take(read, &sql, &mut found)?;
            }
        }
        found.retain(|rid| known.insert(*rid));
        if all.rids.len() >= ALONG {
            // One hop further, to tell whether anything is left out.
            all.cut |= !found.is_empty();
            break;
        }
        all.rids.extend(&found);
        from = found;
        first = false;
    }
    Ok(all)
}

/// The references that an include follows; where it names no type, from the types there are.
fn hops(include: &Include, kinds: Kinds) -> Vec<Hop> {
    let sources = match include.source {
        Some(kind) => Kinds::NONE.with(kind),
        None => kinds,
    };
    let params = sources.iter().flat_map(|kind| include.params(kind));
    params
        .map(|param| Hop {
            param,
            target: include.target,
        })
        .collect()
}

fn kinds_of(read: &dyn Session, rids: &[i64]) -> Result<Kinds, StoreError> {
    let mut sql = Sql::text("SELECT DISTINCT kind FROM record WHERE ");
    sql.add(Sql::numbers("rid", rids));
    let kinds = numbers(read, &sql)?;
    Ok(kinds.into_iter().filter_map(Kind::numbered).collect())
}
