//! Filters as SQL. A filter is asked of a record `r`, or of a resource `c` that it contains, at some level:
//! level 0 is what is searched, each hop of a chain goes one deeper. Each table that is touched goes
//! through [`Lens::sees`].

use super::{
    compare::{
        begins, date, like, liked, local, near, number, quantity, string, texts, tokens, uri,
    },
    inside, label,
};
use crate::{
    fhir::{Kind, Kinds},
    search::{
        filter::{Filter, Leg, ReferenceTest, Test},
        params::{ID, INSIDE, Param, ParamId, ParamType, SECURITY},
    },
    store::{
        sql::Sql,
        visible::{Alias, Entry, Lens},
    },
};

/// A level of hops: the aliases of its record, of what is contained in that, and of the entry that is
/// asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    depth: usize,
    /// The level at which its record was joined.
    record: usize,
    /// The level at which a resource that the record contains was joined, where that is what is asked.
    inside: Option<usize>,
    /// The one type that its record can have.
    kind: Option<Kind>,
}

impl Level {
    /// What is searched.
    pub(super) fn of(kind: Option<Kind>) -> Level {
        Level {
            depth: 0,
            record: 0,
            inside: None,
            kind,
        }
    }

    /// What is searched, where that is a contained resource.
    pub(super) fn inside() -> Level {
        Level {
            inside: Some(0),
            ..Level::of(None)
        }
    }

    pub(super) fn r(self) -> String {
        alias("r", self.record)
    }

    pub(super) fn e(self) -> String {
        alias("e", self.depth)
    }

    /// The row of the contained resource.
    pub(super) fn c(self) -> Option<String> {
        self.inside.map(|level| alias("c", level))
    }

    pub(super) fn depth(self) -> usize {
        self.depth
    }

    pub(super) fn kind(self) -> Option<Kind> {
        self.kind
    }

    pub(super) fn deeper(self, kinds: Kinds) -> Level {
        let mut kinds = kinds.iter();
        let (first, more) = (kinds.next(), kinds.next());
        Level {
            depth: self.depth + 1,
            record: self.depth + 1,
            inside: None,
            kind: first.filter(|_| more.is_none()),
        }
    }

    /// One hop on, to a resource that the same record contains.
    pub(super) fn beside(self) -> Level {
        Level {
            depth: self.depth + 1,
            inside: Some(self.depth + 1),
            ..self
        }
    }

    /// One hop on, to the record that contains it.
    pub(super) fn around(self) -> Level {
        Level {
            depth: self.depth + 1,
            inside: None,
            ..self
        }
    }

    /// The column that says of which type it is.
    fn kind_column(self) -> String {
        format!("{}.kind", self.c().unwrap_or_else(|| self.r()))
    }

    /// The number under which its rows of a parameter stand.
    pub(super) fn number(self, id: ParamId) -> u32 {
        match self.inside {
            Some(_) => id.0 ^ INSIDE,
            None => id.0,
        }
    }

    /// Whether the row `e` is one of its own under that parameter.
    pub(super) fn own(self, e: &str, id: ParamId) -> String {
        let (r, number) = (self.r(), self.number(id));
        let own = format!("{e}.rid = {r}.rid AND {e}.param = {number}");
        match self.c() {
            Some(c) => format!("{own} AND ({e}.place >> 16) = ({c}.place >> 16)"),
            None => own,
        }
    }

    /// Whether its record is seen and, where one is given, what is known of an entry of it.
    fn seen(self, lens: &Lens) -> Sql {
        let name = &self.r();
        let kind = self.kind;
        lens.sees(Alias { name, kind }, None)
    }
}

fn alias(letter: &str, level: usize) -> String {
    match level {
        0 => letter.to_owned(),
        level => format!("{letter}{level}"),
    }
}

/// Whether the record of that level passes.
pub(super) fn filter(lens: &Lens, filter: &Filter, at: Level) -> Sql {
    test(lens, filter.param, &filter.test, at)
}

fn test(lens: &Lens, param: &Param, asked: &Test, at: Level) -> Sql {
    let r = at.r();
    match asked {
        Test::Id(ids) => {
            let column = at.c().map_or(format!("{r}.id"), |c| format!("{c}.code"));
            texts(&column, ids.iter().map(|id| id.as_str()))
        }
        // What is contained has neither a time of its own (dom-4) nor labels (dom-5), but always an id.
        Test::Missing(missing) if at.c().is_some() && inside::is_of_records(param) => {
            Sql::truth(*missing == (param.code != ID))
        }
        Test::Token(_) | Test::LastUpdated(_)
            if at.c().is_some() && inside::is_of_records(param) =>
        {
            Sql::truth(false)
        }
        Test::LastUpdated(tests) => {
            let column = format!("{r}.{}", updated(lens));
            Sql::any(tests.iter().map(|test| date(*test, &column, &column)))
        }
        Test::Missing(missing) if param.code == SECURITY => {
            let told = label::any(lens, param, at);
            if *missing { told.not() } else { told }
        }
        Test::Token(tests) if param.code == SECURITY => label::labels(lens, param, tests, at),
        Test::Missing(missing) => {
            let rows = rows_of(param);
            let found = rows.map(|rows| exists(lens, param, rows, Sql::truth(true), at));
            let found = Sql::any(found);
            if *missing { found.not() } else { found }
        }
        Test::Words(any) => Sql::any(any.iter().map(|words| {
            Sql::all(words.iter().map(|word| {
                let says = like(&format!("{}.words", at.e()), &format!("% {}%", liked(word)));
                exists(lens, param, Rows::of(param, "index_text"), says, at)
            }))
        })),
        Test::Composite(any) => Sql::any(any.iter().map(|parts| together(lens, param, parts, at))),
        // What no definition was put in the place of means nothing, nor does its opposite.
        Test::Defined(_) | Test::Kin(_) => Sql::truth(false),
        Test::Not(asked) if matches!(**asked, Test::Defined(_)) => Sql::truth(false),
        Test::Not(asked) => test(lens, param, asked, at).not(),
        Test::Chain(legs) => Sql::any(legs.iter().flat_map(|leg| {
            let mut ways = vec![chain(lens, param, leg, at)];
            ways.extend(inside::chain(lens, param, leg, at));
            ways
        })),
        Test::Has(inner) => match at.c() {
            Some(c) => inside::has(lens, param, inner, at, &c),
            None => has(lens, param, inner, at),
        },
        Test::Among(kinds, asked) => Sql::all([
            Sql::kinds(&at.kind_column(), *kinds),
            test(lens, param, asked, at),
        ]),
        Test::Any(filters) => Sql::any(filters.iter().map(|one| filter(lens, one, at))),
        _ => {
            let e = at.e();
            Sql::any(
                passes(param, asked, &e)
                    .into_iter()
                    .map(|(rows, says)| exists(lens, param, rows, says, at)),
            )
        }
    }
}

/// The column of a record's time, of the face that is seen.
pub(super) fn updated(lens: &Lens) -> &'static str {
    if lens.is_household() {
        "h_updated"
    } else {
        "updated"
    }
}

/// Rows of an index table under one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) table: &'static str,
    pub(super) id: ParamId,
    /// Whether they are identifiers beside references to records here.
    is_beside: bool,
}

impl Rows {
    pub(super) fn of(param: &Param, table: &'static str) -> Rows {
        Rows {
            table,
            id: param.id,
            is_beside: false,
        }
    }
}

/// Where the entries of a parameter are.
fn rows_of(param: &Param) -> impl Iterator<Item = Rows> {
    let tables: &[&str] = match param.kind {
        ParamType::Date => &["index_date"],
        ParamType::String if param.is_words() => &["index_text"],
        ParamType::String => &["index_string"],
        ParamType::Uri => &["index_uri"],
        ParamType::Number | ParamType::Quantity | ParamType::Special => &["index_number"],
        // A reference to elsewhere, or by identifier alone, is one too.
        ParamType::Reference => &["index_reference", "index_token", "index_uri"],
        ParamType::Token => &["index_token"],
        ParamType::Composite => &[],
    };
    tables.iter().map(|table| Rows::of(param, table))
}

/// The tests of one entry `e`, each with the rows that it may be among.
fn passes(param: &Param, asked: &Test, e: &str) -> Vec<(Rows, Sql)> {
    let one = |table, sql| vec![(Rows::of(param, table), sql)];
    match asked {
        Test::Token(tests) => one("index_token", tokens(tests, e)),
        Test::OfType(tests) => {
            let rows = Rows {
                id: param.of_type(),
                ..Rows::of(param, "index_token")
            };
            vec![(rows, tokens(tests, e))]
        }
        Test::Identifier(tests) => {
            let logical = Rows::of(param, "index_token");
            let beside = Rows {
                id: param.beside(),
                is_beside: true,
                ..logical
            };
            vec![(logical, tokens(tests, e)), (beside, tokens(tests, e))]
        }
        Test::TokenText(texts) => {
            let column = format!("{e}.text");
            one(
                "index_token",
                Sql::any(texts.iter().map(|text| begins(&column, text))),
            )
        }
        Test::Date(tests) => {
            let (low, high) = (format!("{e}.low"), format!("{e}.high"));
            one(
                "index_date",
                Sql::any(tests.iter().map(|test| date(*test, &low, &high))),
            )
        }
        Test::String(tests) => one(
            "index_string",
            Sql::any(tests.iter().map(|test| string(test, e))),
        ),
        Test::Uri(tests) => one("index_uri", Sql::any(tests.iter().map(|test| uri(test, e)))),
        Test::Number(tests) => {
            let (low, high) = (format!("{e}.low"), format!("{e}.high"));
            one(
                "index_number",
                Sql::any(tests.iter().map(|test| number(*test, &low, &high))),
            )
        }
        Test::Near(tests) => one(
            "index_number",
            Sql::any(tests.iter().map(|test| near(test, e))),
        ),
        Test::Quantity(tests) => one(
            "index_number",
            Sql::any(tests.iter().map(|test| quantity(test, e))),
        ),
        Test::Reference(tests) => {
            let mut all = Vec::new();
            let local: Vec<_> = tests.iter().filter_map(|test| local(test, e)).collect();
            if !local.is_empty() {
                all.push((Rows::of(param, "index_reference"), Sql::any(local)));
            }
            let elsewhere: Vec<&str> = tests
                .iter()
                .filter_map(|test| match test {
                    ReferenceTest::Elsewhere(text) => Some(&**text),
                    ReferenceTest::Local { .. } => None,
                })
                .collect();
            if !elsewhere.is_empty() {
                let says = texts(&format!("{e}.uri"), elsewhere.into_iter());
                all.push((Rows::of(param, "index_uri"), says));
            }
            all
        }
        _ => Vec::new(),
    }
}

/// Whether the record has an entry that the requester may know and that passes.
fn exists(lens: &Lens, param: &Param, rows: Rows, says: Sql, at: Level) -> Sql {
    let e = at.e();
    let Rows { table, id, .. } = rows;
    let own = at.own(&e, id);
    let mut sql = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM {table} {e} WHERE {own} AND "
    ));
    sql.add(Sql::all([says, known(lens, param, rows, at, &e)]))
        .push(")");
    sql
}

/// Whether an entry of a record that is seen may be known.
pub(super) fn known(lens: &Lens, param: &Param, rows: Rows, at: Level, e: &str) -> Sql {
    let r = Alias {
        name: &at.r(),
        kind: at.kind,
    };
    let seen = lens.sees_also(r, entry(param, rows, e, at));
    if !rows.is_beside {
        return seen;
    }
    // Beside a reference to a record that a restriction hides, the identifier is hidden with it.
    let g = format!("{e}g");
    let reference = Rows::of(param, "index_reference");
    let mut sql = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_reference {g} WHERE {g}.rid = {e}.rid AND {g}.param = {} \
         AND {g}.place = {e}.place AND ",
        at.number(param.id)
    ));
    sql.add(lens.sees_also(r, entry(param, reference, &g, at)))
        .push(")");
    Sql::all([seen, sql])
}

fn entry<'a>(param: &'a Param, rows: Rows, alias: &'a str, at: Level) -> Entry<'a> {
    Entry {
        alias,
        param,
        is_inside: at.c().is_some(),
        is_reference: rows.table == "index_reference",
    }
}

/// Whether all parts of a composite are said at one place.
fn together(lens: &Lens, param: &Param, parts: &[Filter], at: Level) -> Sql {
    let mut from = Vec::new();
    let mut pieces = Vec::new();
    let mut tied: Option<String> = None;
    for (number, (part, of)) in parts.iter().zip(&param.parts).enumerate() {
        let e = format!("{}x{number}", at.e());
        // A part is asked in one table: none of a composite's is a reference that may be elsewhere.
        let Some((rows, says)) = passes(part.param, &part.test, &e).into_iter().next() else {
            return Sql::truth(false);
        };
        from.push(format!("{} {e}", rows.table));
        pieces.push(Sql::text(&at.own(&e, rows.id)));
        if !of.is_free {
            match &tied {
                Some(first) => pieces.push(Sql::text(&format!("{e}.place = {first}.place"))),
                None => tied = Some(e.clone()),
            }
        }
        pieces.push(says);
        pieces.push(known(lens, part.param, rows, at, &e));
    }
    let mut sql = Sql::text(&format!("EXISTS (SELECT 1 FROM {} WHERE ", from.join(", ")));
    sql.add(Sql::all(pieces)).push(")");
    sql
}

/// Whether the reference leads to a record that is seen and passes.
fn chain(lens: &Lens, param: &Param, leg: &Leg, at: Level) -> Sql {
    let (e, there) = (at.e(), at.deeper(leg.kinds));
    let target = there.r();
    let rows = Rows::of(param, "index_reference");
    let own = at.own(&e, param.id);
    let mut sql = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_reference {e} JOIN record {target} ON {target}.rid = {e}.target \
         WHERE {own} AND "
    ));
    sql.add(Sql::all([
        Sql::kinds(&format!("{e}.target_kind"), leg.kinds),
        known(lens, param, rows, at, &e),
        there.seen(lens),
        filter(lens, &leg.filter, there),
    ]))
    .push(")");
    sql
}

/// Whether a record that is seen refers here and passes.
fn has(lens: &Lens, by: &Param, inner: &Filter, at: Level) -> Sql {
    let of = Kinds::NONE.with(by.base);
    let (r, e, there) = (at.r(), at.e(), at.deeper(of));
    let source = there.r();
    let rows = Rows::of(by, "index_reference");
    let mut sql = Sql::text(&format!(
        "EXISTS (SELECT 1 FROM index_reference {e} JOIN record {source} ON {source}.rid = {e}.rid \
         WHERE {e}.target = {r}.rid AND {e}.param = {} AND {e}.kind = {} AND ",
        by.id.0,
        by.base.number()
    ));
    sql.add(Sql::all([
        known(lens, by, rows, there, &e),
        there.seen(lens),
        filter(lens, inner, there),
    ]))
    .push(")");
    sql
}

/// Where a query starts: the filter that names a record or else is the rarest.
pub(super) fn start(filters: &[Filter], kinds: Kinds, at: Level) -> Option<Sql> {
    let by_id = |filter: &Filter| matches!(filter.test, Test::Id(_));
    if filters.iter().any(by_id) {
        return None;
    }
    let mut ranked: Vec<(u8, &Filter)> = filters
        .iter()
        .filter_map(|filter| Some((rank(&filter.test)?, filter)))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked
        .into_iter()
        .find_map(|(_, filter)| candidates(filter.param, &filter.test, kinds, at))
}

/// How many records a test is likely to leave; less is fewer. `None` where it can't be looked up.
fn rank(test: &Test) -> Option<u8> {
    Some(match test {
        Test::Reference(_) | Test::Id(_) => 0,
        Test::Identifier(_) | Test::OfType(_) => 1,
        Test::Token(_) | Test::Composite(_) => 2,
        Test::Chain(legs) => {
            let inner = legs.iter().map(|leg| rank(&leg.filter.test));
            inner
                .collect::<Option<Vec<u8>>>()?
                .into_iter()
                .max()?
                .max(1)
        }
        Test::Has(filter) => rank(&filter.test)?.max(1),
        Test::Among(_, test) => rank(test)?,
        Test::Any(filters) => {
            let ranks = filters.iter().map(|filter| rank(&filter.test));
            ranks.collect::<Option<Vec<u8>>>()?.into_iter().max()?
        }
        Test::String(_) | Test::Uri(_) => 3,
        Test::Number(_) | Test::Quantity(_) | Test::Near(_) => 4,
        Test::Date(_) => 5,
        _ => return None,
    })
}

/// A query for the numbers of all records that may pass, or that contain what may, whoever asks: what each
/// is then asked says whether it does.
pub(super) fn candidates(param: &Param, test: &Test, kinds: Kinds, at: Level) -> Option<Sql> {
    let e = at.e();
    match test {
        Test::Id(ids) if at.c().is_some() => {
            let mut sql = under(Rows::of(param, "index_token"), kinds, &e, "rid", at);
            let ids = ids.iter().map(|id| id.as_str());
            sql.add(texts(&format!("{e}.code"), ids));
            Some(sql)
        }
        Test::Id(ids) => {
            let mut sql = Sql::text("SELECT l.rid FROM locator l WHERE ");
            sql.add(Sql::all([
                Sql::kinds("l.kind", kinds),
                texts("l.id", ids.iter().map(|id| id.as_str())),
            ]));
            Some(sql)
        }
        Test::Chain(legs) => {
            let targets = legs.iter().map(|leg| {
                candidates(
                    leg.filter.param,
                    &leg.filter.test,
                    leg.kinds,
                    at.deeper(leg.kinds),
                )
            });
            let targets = union(targets.collect::<Option<Vec<Sql>>>()?)?;
            let mut sql = under(Rows::of(param, "index_reference"), kinds, &e, "rid", at);
            sql.push(&format!("{e}.target IN (")).add(targets).push(")");
            let mut all = vec![sql];
            for leg in legs {
                all.extend(inside::candidates(param, leg, kinds, at));
            }
            union(all)
        }
        // What refers to it is around it, or beside it.
        Test::Has(_) if at.c().is_some() => None,
        Test::Has(filter) => {
            let of = Kinds::NONE.with(param.base);
            let sources = candidates(filter.param, &filter.test, of, at.deeper(of))?;
            let mut sql = under(Rows::of(param, "index_reference"), of, &e, "target", at);
            sql.push(&format!("{e}.rid IN (")).add(sources).push(")");
            Some(sql)
        }
        Test::Among(some, test) => candidates(param, test, kinds.both(*some), at),
        Test::Any(filters) => {
            let each = filters
                .iter()
                .map(|filter| candidates(filter.param, &filter.test, kinds, at));
            union(each.collect::<Option<Vec<Sql>>>()?)
        }
        Test::Composite(any) => {
            let first = any.iter().map(|parts| {
                let first = parts.first()?;
                candidates(first.param, &first.test, kinds, at)
            });
            union(first.collect::<Option<Vec<Sql>>>()?)
        }
        Test::TokenText(_) => None,
        // Made of the record's columns.
        Test::Token(_) if param.code == SECURITY => None,
        _ => union(
            passes(param, test, &e)
                .into_iter()
                .map(|(rows, says)| {
                    let mut sql = under(rows, kinds, &e, "rid", at);
                    sql.add(says);
                    sql
                })
                .collect(),
        ),
    }
}

fn union(queries: Vec<Sql>) -> Option<Sql> {
    let mut queries = queries.into_iter();
    let mut all = queries.next()?;
    for query in queries {
        all.push(" UNION ").add(query);
    }
    Some(all)
}

/// The beginning of a query for a column of the rows of an index table.
pub(super) fn under(rows: Rows, kinds: Kinds, e: &str, column: &str, at: Level) -> Sql {
    let Rows { table, id, .. } = rows;
    let mut sql = Sql::text(&format!(
        "SELECT {e}.{column} FROM {table} {e} WHERE {e}.param = {} AND ",
        at.number(id)
    ));
    if kinds != Kinds::ALL {
        sql.add(Sql::kinds(&format!("{e}.kind"), kinds))
            .push(" AND ");
    }
    sql
}
