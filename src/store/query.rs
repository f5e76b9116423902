//! Search plans as SQL, written once for both engines. Each piece that touches a table goes through
//! [`Lens::sees`].

use super::{
    Position, SortValue,
    sql::Sql,
    visible::{Alias, Entry, Lens},
};
use crate::{
    fhir::{Interval, Key, Kind},
    search::{
        filter::{DateTest, Filter, Prefix, ReferenceTest, StringTest, Test, TokenTest},
        params::{ID, LAST_UPDATED, Param, ParamType},
        plan::{Include, Plan, SortKey},
    },
};

/// The order of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By type and id: what an index gives without sorting.
    Name,
    /// By the sort value, records without one last; then by name.
    Ascending,
    /// The same from the largest.
    Descending,
}

impl Order {
    /// The order that a plan asks for.
    pub fn of(plan: &Plan) -> Order {
        match plan.sort.first() {
            None => Order::Name,
            Some(key) if key.descending => Order::Descending,
            Some(_) => Order::Ascending,
        }
    }
}

/// The records that a plan matches, as `rid, kind, id, v` (the sort value).
pub fn matching(lens: &Lens, plan: &Plan) -> Sql {
    let mut sql = Sql::text("SELECT r.rid AS rid, r.kind AS kind, r.id AS id, ");
    sql.add(sort_value(lens, plan.sort.first()));
    sql.push(" AS v FROM record r WHERE ");
    let mut pieces = Vec::new();
    let start = start(plan);
    // The sign keeps the engine from starting from the type, where there is something rarer.
    let sign = if start.is_some() { "+" } else { "" };
    pieces.extend(start);
    if let Some(kind) = plan.kind {
        pieces.push(Sql::text(&format!("{sign}r.kind = {}", kind.number())));
    }
    let r = Alias {
        name: "r",
        kind: plan.kind,
    };
    pieces.push(lens.sees(r, None));
    pieces.extend(plan.filters.iter().map(|filter| self::filter(lens, filter)));
    sql.add(Sql::all(pieces));
    sql
}

/// All records of a patient's own, and the patient.
pub fn everything(lens: &Lens, patient: i64) -> Sql {
    let mut sql = Sql::text(&format!(
        "SELECT r.rid AS rid, r.kind AS kind, r.id AS id, NULL AS v FROM record_patient o \
         JOIN record r ON r.rid = o.rid WHERE o.patient = {patient} AND o.own = 1 AND "
    ));
    sql.add(lens.sees("r", None));
    sql
}

/// Records by name.
pub fn named(lens: &Lens, keys: &[Key]) -> Sql {
    let mut sql = Sql::text(
        "SELECT r.rid AS rid, r.kind AS kind, r.id AS id, NULL AS v FROM record r WHERE ",
    );
    let any = Sql::any(keys.iter().map(|key| {
        let mut one = Sql::text(&format!("(r.kind = {} AND r.id = ", key.kind.number()));
        one.bind(key.id.as_str()).push(")");
        one
    }));
    sql.add(Sql::all([any, lens.sees("r", None)]));
    sql
}

/// One page of `inner`: in order, after `from`, one more than `count` to know whether there is a next.
pub fn page(inner: Sql, order: Order, count: u32, from: Option<&Position>) -> Sql {
    let mut sql = Sql::text("SELECT m.rid, m.kind, m.id, m.v FROM (");
    sql.add(inner).push(") m WHERE ");
    sql.add(from.map_or_else(|| Sql::truth(true), |from| after(from, order)));
    let by = match order {
        Order::Name => "",
        Order::Ascending => "(m.v IS NULL), m.v, ",
        Order::Descending => "(m.v IS NULL), m.v DESC, ",
    };
    sql.push(&format!(
        " ORDER BY {by}m.kind, m.id LIMIT {}",
        u64::from(count) + 1
    ));
    sql
}

/// How many records `inner` has.
pub fn count(inner: Sql) -> Sql {
    let mut sql = Sql::text("SELECT count(*) FROM (");
    sql.add(inner).push(") m");
    sql
}

fn after(from: &Position, order: Order) -> Sql {
    let mut tie = Sql::text(&format!(
        "(m.kind > {0} OR (m.kind = {0} AND m.id > ",
        from.kind
    ));
    tie.bind(from.id.as_str()).push("))");
    if order == Order::Name {
        return tie;
    }
    let Some(value) = &from.value else {
        return Sql::all([Sql::text("m.v IS NULL"), tie]);
    };
    let compared = |operator: &str| {
        let mut sql = Sql::text(&format!("m.v {operator} "));
        match value {
            SortValue::Integer(value) => sql.bind(*value),
            SortValue::Text(value) => sql.bind(value.as_str()),
        };
        sql
    };
    let beyond = compared(if order == Order::Descending { "<" } else { ">" });
    Sql::any([
        Sql::text("m.v IS NULL"),
        beyond,
        Sql::all([compared("="), tie]),
    ])
}

fn sort_value(lens: &Lens, key: Option<&SortKey>) -> Sql {
    let Some(key) = key else {
        return Sql::text("NULL");
    };
    match key.param.code {
        ID => return Sql::text("r.id"),
        LAST_UPDATED => return Sql::text(updated(lens)),
        _ => {}
    }
    let (table, column) = match key.param.kind {
        ParamType::Date => ("index_date", "low"),
        ParamType::String => ("index_string", "folded"),
        ParamType::Uri => ("index_uri", "uri"),
        // By the id that it names: the numbers of records tell in which order they came.
        ParamType::Reference => (
            "index_reference",
            "(SELECT l.id FROM locator l WHERE l.rid = e.target)",
        ),
        _ => ("index_token", "code"),
    };
    let of = if key.descending { "max" } else { "min" };
    let column = match key.param.kind {
        ParamType::Reference => column.to_owned(),
        _ => format!("e.{column}"),
    };
    let mut sql = Sql::text(&format!(
        "(SELECT {of}({column}) FROM {table} e WHERE e.rid = r.rid AND e.param = {} AND ",
        key.param.id.0
    ));
    sql.add(also_seen(lens, key.param)).push(")");
    sql
}

fn updated(lens: &Lens) -> &'static str {
    if lens.is_household() {
        "r.h_updated"
    } else {
        "r.updated"
    }
}

/// Whether the entry `e` of the record `r` exists for the requester.
fn seen(lens: &Lens, param: &Param) -> Sql {
    lens.sees("r", Some(entry(param)))
}

/// The same, in a query that asks whether `r` itself is seen.
fn also_seen(lens: &Lens, param: &Param) -> Sql {
    lens.sees_also("r", entry(param))
}

fn entry(param: &Param) -> Entry<'_> {
    Entry {
        alias: "e",
        param,
        is_reference: param.kind == ParamType::Reference,
    }
}

/// Where a query starts: the entries of the filter that names a record or else is the rarest. Another
/// filter's entries may be many, so they are looked up by record. `None` where ids or nothing but the
/// type is asked for.
fn start(plan: &Plan) -> Option<Sql> {
    let rank = |filter: &Filter| match &filter.test {
        Test::Reference(_) => Some(0),
        Test::Token(_) => Some(1),
        Test::String(_) | Test::Uri(_) => Some(2),
        Test::Date(_) => Some(3),
        Test::Id(_) | Test::LastUpdated(_) | Test::Missing(_) | Test::NotToken(_) => None,
    };
    let by_id = |filter: &Filter| matches!(filter.test, Test::Id(_));
    if plan.filters.iter().any(by_id) {
        return None;
    }
    let ranked = plan.filters.iter().filter(|filter| rank(filter).is_some());
    let first = ranked.min_by_key(|filter| rank(filter))?;
    let mut sql = Sql::text(&format!(
        "r.rid IN (SELECT e.rid FROM {} e WHERE e.param = {} AND ",
        table(first.param),
        first.param.id.0
    ));
    // Over all types a parameter is the same number on each.
    if let Some(kind) = plan.kind {
        sql.push(&format!("e.kind = {} AND ", kind.number()));
    }
    sql.add(passes(first)?).push(")");
    Some(sql)
}

/// The test of one entry `e`.
fn passes(filter: &Filter) -> Option<Sql> {
    Some(match &filter.test {
        Test::Token(tests) | Test::NotToken(tests) => Sql::any(tests.iter().map(token)),
        Test::Date(tests) => Sql::any(tests.iter().map(|t| date(*t, "e.low", "e.high"))),
        Test::String(tests) => Sql::any(tests.iter().map(string)),
        Test::Reference(tests) => Sql::any(tests.iter().map(reference)),
        Test::Uri(uris) => Sql::any(uris.iter().map(|uri| {
            let mut sql = Sql::text("e.uri = ");
            sql.bind(&**uri);
            sql
        })),
        Test::Id(_) | Test::LastUpdated(_) | Test::Missing(_) => return None,
    })
}

fn filter(lens: &Lens, filter: &Filter) -> Sql {
    match &filter.test {
        Test::Id(ids) => Sql::any(ids.iter().map(|id| {
            let mut sql = Sql::text("r.id = ");
            sql.bind(id.as_str());
            sql
        })),
        Test::LastUpdated(tests) => {
            let column = updated(lens);
            Sql::any(tests.iter().map(|test| date(*test, column, column)))
        }
        Test::Missing(false) => exists(lens, filter),
        Test::Missing(true) | Test::NotToken(_) => exists(lens, filter).not(),
        _ => exists(lens, filter),
    }
}

fn table(param: &Param) -> &'static str {
    match param.kind {
        ParamType::Date => "index_date",
        ParamType::String => "index_string",
        ParamType::Uri => "index_uri",
        ParamType::Reference => "index_reference",
        _ => "index_token",
    }
}

/// Whether an entry that the requester may know passes.
fn exists(lens: &Lens, filter: &Filter) -> Sql {
    let param = filter.param;
    let mut sql = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM {} e WHERE e.rid = r.rid AND e.param = {} AND ",
        table(param),
        param.id.0
    ));
    if let Some(test) = passes(filter) {
        sql.add(test).push(" AND ");
    }
    sql.add(also_seen(lens, param)).push(")");
    sql
}

fn token(test: &TokenTest) -> Sql {
    let mut pieces = Vec::new();
    match &test.code {
        Some(code) => {
            let mut sql = Sql::text("e.code = ");
            sql.bind(&**code);
            pieces.push(sql);
        }
        None => pieces.push(Sql::text("e.code <> ''")),
    }
    match &test.system {
        None => {}
        Some(None) => pieces.push(Sql::text("e.system IS NULL")),
        Some(Some(system)) => {
            let mut sql = Sql::text("e.system = ");
            sql.bind(&**system);
            pieces.push(sql);
        }
    }
    Sql::all(pieces)
}

/// The comparisons of [`DateTest::matches`].
fn date(test: DateTest, low: &str, high: &str) -> Sql {
    let Interval { start, end } = test.interval;
    let inside = format!("({low} >= {start} AND {high} <= {end})");
    Sql::text(&match test.prefix {
        Prefix::Eq => inside,
        Prefix::Ne => format!("NOT {inside}"),
        Prefix::Gt => format!("{high} > {end}"),
        Prefix::Lt => format!("{low} < {start}"),
        Prefix::Ge => format!("({high} > {end} OR {inside})"),
        Prefix::Le => format!("({low} < {start} OR {inside})"),
        Prefix::Sa => format!("{low} > {end}"),
        Prefix::Eb => format!("{high} < {start}"),
        Prefix::Ap => {
            let Interval { start, end } = test.about();
            format!("({low} <= {end} AND {high} >= {start})")
        }
    })
}

fn string(test: &StringTest) -> Sql {
    let mut sql = Sql::default();
    match test {
        StringTest::Starts(text) => {
            let beyond = format!("{text}\u{10ffff}");
            sql.push("(e.folded >= ")
                .bind(&**text)
                .push(" AND e.folded < ")
                .bind(beyond.as_str())
                .push(")");
        }
        StringTest::Contains(text) => {
            sql.push("instr(e.folded, ").bind(&**text).push(") > 0");
        }
        StringTest::Exact(text) => {
            sql.push("e.exact = ").bind(&**text);
        }
    }
    sql
}

fn reference(test: &ReferenceTest) -> Sql {
    match test {
        ReferenceTest::Local { kinds, id } => {
            let mut sql = Sql::text("e.target IN (SELECT rid FROM locator WHERE ");
            sql.add(Sql::kinds("kind", *kinds))
                .push(" AND id = ")
                .bind(id.as_str())
                .push(")");
            sql
        }
        // References to elsewhere are not indexed yet: they match nothing.
        ReferenceTest::Elsewhere(_) => Sql::truth(false),
    }
}

/// The records that `from` (by number) include, as `rid`.
pub fn included(lens: &Lens, include: &Include, from: &[i64]) -> Sql {
    let mut sql = Sql::text(
        "SELECT DISTINCT t.rid FROM index_reference e JOIN record r ON r.rid = e.rid \
         JOIN record t ON t.rid = e.target WHERE ",
    );
    let mut pieces = vec![
        Sql::numbers("e.rid", from),
        Sql::text(&format!(
            "e.param = {} AND e.kind = {}",
            include.param.id.0,
            include.source.number()
        )),
        target_kind("t.kind", include.target),
        seen(lens, include.param),
        lens.sees("t", None),
    ];
    sql.add(Sql::all(pieces.drain(..)));
    sql
}

/// The records that include one of `from` (by number), as `rid`; at most `limit`.
pub fn including(lens: &Lens, include: &Include, from: &[i64], limit: usize) -> Sql {
    let mut sql = Sql::text(
        "SELECT DISTINCT r.rid FROM index_reference e JOIN record r ON r.rid = e.rid WHERE ",
    );
    sql.add(Sql::all([
        Sql::numbers("e.target", from),
        Sql::text(&format!(
            "e.param = {} AND e.kind = {}",
            include.param.id.0,
            include.source.number()
        )),
        target_kind("e.target_kind", include.target),
        seen(lens, include.param),
    ]));
    sql.push(&format!(" ORDER BY r.rid LIMIT {limit}"));
    sql
}

fn target_kind(column: &str, kind: Option<Kind>) -> Sql {
    kind.map_or_else(
        || Sql::truth(true),
        |kind| Sql::text(&format!("{column} = {}", kind.number())),
    )
}

/// The patients (keys) that a plan names by `patient`, `subject` or `_id`: enough to know towards
/// whom a requester who reaches everyone stands in a special way.
pub fn patients_of(plan: &Plan) -> Option<Vec<Key>> {
    let patient = Kind::named("Patient")?;
    let mut named: Option<Vec<Key>> = None;
    for filter in &plan.filters {
        let keys: Vec<Key> = match &filter.test {
            Test::Reference(tests)
                if ["patient", "subject", "beneficiary"].contains(&filter.param.code) =>
            {
                tests
                    .iter()
                    .filter_map(|test| match test {
                        ReferenceTest::Local { id, .. } => Some(Key {
                            kind: patient,
                            id: id.clone(),
                        }),
                        ReferenceTest::Elsewhere(_) => None,
                    })
                    .collect()
            }
            Test::Id(ids) if plan.kind == Some(patient) => ids
                .iter()
                .map(|id| Key {
                    kind: patient,
                    id: id.clone(),
                })
                .collect(),
            _ => continue,
        };
        named = Some(keys);
    }
    named
}
