//! Contained resources in queries (<https://hl7.org/fhir/R4/search.html#contained>). One is a row `c` of
//! [`index_token`](super::filter) under `_id` and [`INSIDE`], and its entries are the rows of the same record
//! with the same upper half of `place`. It is there for whoever sees its container and that row.

use super::{
    filter::{self, Level, Rows, filter, known},
    order,
};
use crate::{
    fhir::Kinds,
    search::{
        filter::{Filter, Leg, Test},
        params::{self, ID, INSIDE, LAST_UPDATED, Param, SECURITY},
        plan::{ContainedType, Plan},
    },
    store::{
        sql::Sql,
        visible::{Alias, Entry, Lens},
    },
};

/// Over how many references a chain is followed into contained resources. Each is one more way at each
/// hop: the ways of a chain double with it.
const FAR: usize = 4;

/// Most values of a test that a chain asks of contained resources too.
const VALUES: usize = 500;

/// Whether a parameter reads what only records have, or have as a column.
pub(super) fn is_of_records(param: &Param) -> bool {
    [ID, LAST_UPDATED, SECURITY].contains(&param.code)
}

/// The contained resources that a plan matches, as the columns of [`super::matching`]: those of their
/// containers or, where they are asked for themselves, with `#` and their own id after the container's.
pub(super) fn matching(lens: &Lens, plan: &Plan) -> Sql {
    let Some(itself) = params::of_every_resource(ID) else {
        return Sql::text("SELECT r.rid, r.kind, r.id FROM record r WHERE 1=0");
    };
    let at = Level::inside();
    let id = match plan.contained_type {
        ContainedType::Container => "r.id",
        ContainedType::Contained => "r.id || '#' || c.code",
    };
    let mut sql = Sql::text(&format!(
        "SELECT DISTINCT r.rid AS rid, r.kind AS kind, {id} AS id"
    ));
    let r = Alias {
        name: "r",
        kind: None,
    };
    sql.add(order::values(lens, r, &plan.sort, at));
    sql.push(&format!(
        " FROM index_token c JOIN record r ON r.rid = c.rid WHERE c.param = {} AND ",
        itself.id.0 ^ INSIDE
    ));
    let mut pieces = Vec::new();
    let mut sign = "";
    let few = plan
        .filters
        .iter()
        .map(|one| values(&one.test))
        .sum::<usize>()
        <= VALUES;
    let start = filter::start(&plan.filters, plan.kinds, at).filter(|_| few);
    if let Some(start) = start {
        let mut within = Sql::text("c.rid IN (");
        within.add(start).push(")");
        pieces.push(within);
        sign = "+";
    }
    pieces.push(Sql::kinds(&format!("{sign}c.kind"), plan.kinds));
    let entry = Entry {
        alias: "c",
        param: itself,
        is_reference: false,
        is_inside: true,
    };
    pieces.push(lens.sees(r, Some(entry)));
    pieces.extend(plan.filters.iter().map(|one| filter(lens, one, at)));
    sql.add(Sql::all(pieces));
    sql
}

/// Each record of `inner` once, with the value of what matched that comes first in the order.
pub(super) fn once(inner: Sql, plan: &Plan) -> Sql {
    let mut sql = Sql::text("SELECT x.rid AS rid, x.kind AS kind, x.id AS id");
    for (at, key) in plan.sort.iter().enumerate() {
        let of = if key.descending { "max" } else { "min" };
        sql.push(&format!(", {of}(x.v{at}) AS v{at}"));
    }
    sql.push(" FROM (")
        .add(inner)
        .push(") x GROUP BY x.rid, x.kind, x.id");
    sql
}

/// The ways of a chain that stay in the record: to what it contains and, from there, back to itself.
pub(super) fn chain(lens: &Lens, param: &Param, leg: &Leg, at: Level) -> Vec<Sql> {
    let here = at.beside();
    let (Some(itself), Some(c)) = (params::of_every_resource(ID), here.c()) else {
        return Vec::new();
    };
    if !follows(leg, at) {
        return Vec::new();
    }
    let e = at.e();
    let rows = Rows::of(param, "index_uri");
    let own = at.own(&e, param.id);
    let mut into = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_uri {e} JOIN index_token {c} ON {c}.rid = {e}.rid AND {c}.param = {} \
         AND '#' || {c}.code = {e}.uri WHERE {own} AND ",
        itself.id.0 ^ INSIDE
    ));
    into.add(Sql::all([
        Sql::kinds(&format!("{c}.kind"), leg.kinds),
        known(lens, param, rows, at, &e),
        known(lens, itself, Rows::of(itself, "index_token"), here, &c),
        filter(lens, &leg.filter, here),
    ]))
    .push(")");
    if at.c().is_none() {
        return vec![into];
    }
    let mut back = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_uri {e} WHERE {own} AND {e}.uri = '#' AND "
    ));
    back.add(Sql::all([
        Sql::kinds(&format!("{}.kind", at.r()), leg.kinds),
        known(lens, param, rows, at, &e),
        filter(lens, &leg.filter, at.around()),
    ]))
    .push(")");
    vec![into, back]
}

/// Whether what contains `c`, or something beside it, refers to it and passes: nothing else can.
pub(super) fn has(lens: &Lens, by: &Param, inner: &Filter, at: Level, c: &str) -> Sql {
    let Some(itself) = params::of_every_resource(ID) else {
        return Sql::truth(false);
    };
    let of = Kinds::NONE.with(by.base);
    let (r, e) = (at.r(), at.e());
    let rows = Rows::of(by, "index_uri");
    let around = at.around();
    let mut container = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_uri {e} WHERE {} AND {e}.uri = '#' || {c}.code AND ",
        around.own(&e, by.id)
    ));
    container
        .add(Sql::all([
            Sql::kinds(&format!("{r}.kind"), of),
            known(lens, by, rows, around, &e),
            filter(lens, inner, around),
        ]))
        .push(")");
    let there = at.beside();
    let Some(d) = there.c() else {
        return container;
    };
    let mut beside = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_token {d} JOIN index_uri {e} ON {} WHERE {d}.rid = {r}.rid \
         AND {d}.param = {} AND {e}.uri = '#' || {c}.code AND ",
        there.own(&e, by.id),
        itself.id.0 ^ INSIDE
    ));
    beside
        .add(Sql::all([
            Sql::kinds(&format!("{d}.kind"), of),
            known(lens, itself, Rows::of(itself, "index_token"), there, &d),
            known(lens, by, rows, there, &e),
            filter(lens, inner, there),
        ]))
        .push(")");
    Sql::any([container, beside])
}

/// Queries for the numbers of all records that may pass by the ways of [`chain`]; where what is asked can't
/// be looked up, those that refer to something contained at all.
pub(super) fn candidates(param: &Param, leg: &Leg, kinds: Kinds, at: Level) -> Vec<Sql> {
    if !follows(leg, at) {
        return Vec::new();
    }
    let asked = |there| filter::candidates(leg.filter.param, &leg.filter.test, leg.kinds, there);
    let mut ways = vec![(asked(at.beside()), "LIKE '#_%'")];
    if at.c().is_some() {
        ways.push((asked(at.around()), "= '#'"));
    }
    let ways = ways.into_iter().map(|(known, like)| {
        known.unwrap_or_else(|| {
            let e = at.e();
            let rows = Rows::of(param, "index_uri");
            let mut sql = filter::under(rows, kinds, &e, "rid", at);
            // The bounds are for the index.
            sql.push(&format!(
                "{e}.uri >= '#' AND {e}.uri < '$' AND {e}.uri {like}"
            ));
            sql
        })
    });
    ways.collect()
}

fn follows(leg: &Leg, at: Level) -> bool {
    at.depth() < FAR && values(&leg.filter.test) <= VALUES
}

/// How many values a test has.
fn values(test: &Test) -> usize {
    match test {
        Test::Token(values) | Test::OfType(values) | Test::Identifier(values) => values.len(),
        Test::Id(values) => values.len(),
        Test::Reference(values) => values.len(),
        Test::String(values) => values.len(),
        Test::Uri(values) => values.len(),
        Test::TokenText(values) => values.len(),
        Test::Not(test) | Test::Among(_, test) => values(test),
        Test::Chain(legs) => legs.iter().map(|leg| values(&leg.filter.test)).sum(),
        Test::Has(filter) => values(&filter.test),
        Test::Any(filters) => filters.iter().map(|filter| values(&filter.test)).sum(),
        Test::Composite(any) => any
            .iter()
            .flatten()
            .map(|filter| values(&filter.test))
            .sum(),
        _ => 1,
    }
}
