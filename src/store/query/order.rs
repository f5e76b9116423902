//! The order of pages: any number of keys, records without a value last, then by name, so that a page
//! continues where the last one ended whatever was written meanwhile.

use super::filter::{Level, updated};
use crate::{
    search::{
        params::{ID, LAST_UPDATED, ParamType},
        plan::{Plan, SortKey},
    },
    store::{
        Position, SortValue,
        sql::Sql,
        visible::{Alias, Entry, Lens},
    },
};

/// The order of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// By type and id: what an index gives without sorting.
    Name,
    /// By these values, each falling (`true`) or rising; then by name.
    Values(Vec<bool>),
}

impl Order {
    /// The order that a plan asks for.
    pub fn of(plan: &Plan) -> Order {
        if plan.sort.is_empty() {
            return Order::Name;
        }
        Order::Values(plan.sort.iter().map(|key| key.descending).collect())
    }

    /// How many values a place in it has.
    pub fn keys(&self) -> usize {
        self.falling().len()
    }

    fn falling(&self) -> &[bool] {
        match self {
            Order::Name => &[],
            Order::Values(falling) => falling,
        }
    }
}

/// One page of `inner`: in order, after `from`, one more than `count` to know whether there is a next.
pub fn page(inner: Sql, order: &Order, count: u32, from: Option<&Position>) -> Sql {
    let mut sql = columns(order);
    sql.push(" FROM (").add(inner).push(") m WHERE ");
    cut(sql, order, count, from)
}

/// The same, with how many records `inner` has as the last column: it is worked out once for both.
pub fn counted_page(inner: Sql, order: &Order, count: u32, from: Option<&Position>) -> Sql {
    let mut sql = Sql::text("WITH m AS MATERIALIZED (");
    sql.add(inner).push(") ").add(columns(order));
    sql.push(", (SELECT count(*) FROM m) FROM m WHERE ");
    cut(sql, order, count, from)
}

fn columns(order: &Order) -> Sql {
    let mut sql = Sql::text("SELECT m.rid, m.kind, m.id");
    for key in 0..order.keys() {
        sql.push(&format!(", m.v{key}"));
    }
    sql
}

fn cut(mut sql: Sql, order: &Order, count: u32, from: Option<&Position>) -> Sql {
    let falling = order.falling();
    sql.add(from.map_or_else(|| Sql::truth(true), |from| after(from, falling)));
    sql.push(" ORDER BY ");
    for (key, falling) in falling.iter().enumerate() {
        let falling = if *falling { " DESC" } else { "" };
        sql.push(&format!("(m.v{key} IS NULL), m.v{key}{falling}, "));
    }
    sql.push(&format!("m.kind, m.id LIMIT {}", u64::from(count) + 1));
    sql
}

/// What comes after a position.
fn after(from: &Position, falling: &[bool]) -> Sql {
    let mut rest = Sql::text(&format!(
        "(m.kind > {0} OR (m.kind = {0} AND m.id > ",
        from.kind
    ));
    rest.bind(from.id.as_str()).push("))");
    let values = from.values(falling.len());
    for (key, falling) in falling.iter().enumerate().rev() {
        let value = values.get(key).cloned().flatten();
        let Some(value) = value else {
            let none = Sql::text(&format!("m.v{key} IS NULL"));
            rest = Sql::all([none, rest]);
            continue;
        };
        let compared = |operator: &str| {
            let mut sql = Sql::text(&format!("m.v{key} {operator} "));
            match &value {
                SortValue::Integer(value) => sql.bind(*value),
                SortValue::Text(value) => sql.bind(value.as_str()),
                SortValue::Real(value) => sql.push(&format!("{value:e}")),
                SortValue::Many(_) => sql.push("NULL"),
            };
            sql
        };
        rest = Sql::any([
            Sql::text(&format!("m.v{key} IS NULL")),
            compared(if *falling { "<" } else { ">" }),
            Sql::all([compared("="), rest]),
        ]);
    }
    rest
}

/// The sort values of the record `r`, or of what it contains, as columns `v0`, `v1`, each after a comma.
pub(super) fn values(lens: &Lens, r: Alias<'_>, keys: &[SortKey], level: Level) -> Sql {
    let mut sql = Sql::default();
    for (at, key) in keys.iter().enumerate() {
        sql.push(", ")
            .add(value(lens, r, key, level))
            .push(&format!(" AS v{at}"));
    }
    sql
}

/// The least, or for a falling order the greatest, of what the requester may know.
fn value(lens: &Lens, r: Alias<'_>, key: &SortKey, level: Level) -> Sql {
    let param = key.param;
    let is_inside = level.c().is_some();
    match param.code {
        ID if is_inside => return Sql::text("c.code"),
        ID => return Sql::text("r.id"),
        // What is contained has no time of its own.
        LAST_UPDATED if is_inside => return Sql::text("CAST(NULL AS BIGINT)"),
        LAST_UPDATED => return Sql::text(&format!("r.{}", updated(lens))),
        _ => {}
    }
    let (table, column) = match param.kind {
        ParamType::Date => ("index_date", "e.low"),
        ParamType::String => ("index_string", "e.folded"),
        ParamType::Uri => ("index_uri", "e.uri"),
        ParamType::Number | ParamType::Quantity | ParamType::Special => {
            ("index_number", "COALESCE(e.s_low, e.low)")
        }
        // By the id that it names: the numbers of records tell in which order they came.
        ParamType::Reference => (
            "index_reference",
            "(SELECT l.id FROM locator l WHERE l.rid = e.target)",
        ),
        // What has words alone has no code to sort by.
        ParamType::Token | ParamType::Composite => ("index_token", "NULLIF(e.code, '')"),
    };
    let of = if key.descending { "max" } else { "min" };
    let e = "e";
    let mut sql = Sql::text(&format!(
        "(SELECT {of}({column}) FROM {table} {e} WHERE {} AND ",
        level.own(e, param.id)
    ));
    let entry = Entry {
        alias: e,
        param,
        is_reference: table == "index_reference",
        is_inside,
    };
    sql.add(lens.sees_also(r, entry)).push(")");
    sql
}
