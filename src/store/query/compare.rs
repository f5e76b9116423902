//! Comparisons of one entry's columns: what [`crate::search::matching`] does in memory. Text is compared
//! byte by byte on either engine.

use crate::{
    fhir::Interval,
    search::{
        filter::{DateTest, Prefix, ReferenceTest, StringTest, TokenTest, UriTest},
        near::NearTest,
        number::{NumberTest, QuantityTest, UnitTest},
    },
    store::{
        long::{beginning, kept},
        sql::Sql,
    },
};

/// Whether a column is one of these texts.
pub(super) fn texts<'t>(column: &str, texts: impl Iterator<Item = &'t str>) -> Sql {
    let mut sql = Sql::text(&format!("{column} IN ("));
    let mut count = 0;
    for text in texts {
        if count > 0 {
            sql.push(", ");
        }
        sql.bind(&*kept(text));
        count += 1;
    }
    match count {
        0 => Sql::truth(false),
        _ => {
            sql.push(")");
            sql
        }
    }
}

/// Tests of tokens; the codes of one system are asked together.
pub(super) fn tokens(tests: &[TokenTest], e: &str) -> Sql {
    let mut rest: Vec<&TokenTest> = tests.iter().collect();
    let mut systems = Vec::new();
    while let Some(first) = rest.first().copied() {
        let (same, others): (Vec<_>, Vec<_>) = rest
            .into_iter()
            .partition(|test| test.system == first.system);
        systems.push(same);
        rest = others;
    }
    Sql::any(systems.into_iter().map(|same| {
        let mut pieces = vec![if same.iter().any(|test| test.code.is_none()) {
            Sql::text(&format!("{e}.code <> ''"))
        } else {
            let codes = same.iter().filter_map(|test| test.code.as_deref());
            texts(&format!("{e}.code"), codes)
        }];
        match same.first().and_then(|test| test.system.as_ref()) {
            None => {}
            Some(None) => pieces.push(Sql::text(&format!("{e}.system IS NULL"))),
            Some(Some(system)) => {
                let mut sql = Sql::text(&format!("{e}.system = "));
                sql.bind(&**system);
                pieces.push(sql);
            }
        }
        Sql::all(pieces)
    }))
}

/// The comparisons of [`DateTest::matches`].
pub(super) fn date(test: DateTest, low: &str, high: &str) -> Sql {
    let Interval { start, end } = test.interval;
    // That `low` is no later than `high` is told to the engine, whose index has `low` alone.
    let inside = format!("({low} >= {start} AND {low} <= {end} AND {high} <= {end})");
    Sql::text(&match test.prefix {
        Prefix::Eq => inside,
        Prefix::Ne => format!("NOT {inside}"),
        Prefix::Gt => format!("{high} > {end}"),
        Prefix::Lt => format!("{low} < {start}"),
        Prefix::Ge => format!("({high} > {end} OR {inside})"),
        Prefix::Le => format!("({low} < {start} OR {inside})"),
        Prefix::Sa => format!("{low} > {end}"),
        Prefix::Eb => format!("({low} < {start} AND {high} < {start})"),
        Prefix::Ap => {
            let Interval { start, end } = test.about();
            format!("({low} <= {end} AND {high} >= {start})")
        }
    })
}

/// A number as both engines read it: what is beyond all numbers is the last of them.
fn literal(value: f64) -> String {
    format!("{:e}", value.clamp(f64::MIN, f64::MAX))
}

/// The comparisons of [`NumberTest::matches`].
pub(super) fn number(test: NumberTest, low: &str, high: &str) -> Sql {
    let NumberTest {
        prefix,
        value,
        low: from,
        high: until,
    } = test;
    let (value, from, until) = (literal(value), literal(from), literal(until));
    let same = format!("({low} >= {from} AND {low} < {until} AND {high} < {until})");
    Sql::text(&match prefix {
        Prefix::Eq => same,
        Prefix::Ne => format!("NOT {same}"),
        Prefix::Gt => format!("{high} > {value}"),
        Prefix::Lt => format!("{low} < {value}"),
        Prefix::Ge => format!("{high} >= {value}"),
        Prefix::Le => format!("{low} <= {value}"),
        Prefix::Sa => format!("{low} > {value}"),
        Prefix::Eb => format!("{high} < {value}"),
        Prefix::Ap => {
            let (from, until) = test.about();
            let (from, until) = (literal(from), literal(until));
            format!("({low} <= {until} AND {high} >= {from})")
        }
    })
}

pub(super) fn quantity(test: &QuantityTest, e: &str) -> Sql {
    let written = || number(test.number, &format!("{e}.low"), &format!("{e}.high"));
    let equals = |column: &str, text: &str| {
        let mut sql = Sql::text(&format!("{e}.{column} = "));
        sql.bind(text);
        sql
    };
    match &test.unit {
        UnitTest::Any => written(),
        UnitTest::Said(unit) => Sql::all([
            Sql::any([equals("code", unit), equals("unit", unit)]),
            written(),
        ]),
        UnitTest::Coded(system, code) => {
            Sql::all([equals("system", system), equals("code", code), written()])
        }
        UnitTest::Scaled(dimension) => Sql::all([
            equals("dimension", dimension),
            number(test.number, &format!("{e}.s_low"), &format!("{e}.s_high")),
        ]),
    }
}

/// The comparison of [`NearTest::matches`], after one that the index bounds.
pub(super) fn near(test: &NearTest, e: &str) -> Sql {
    let NearTest {
        place,
        degrees,
        chord,
    } = test;
    let (from, until) = (place.latitude - degrees, place.latitude + degrees);
    let (x, y, z) = (literal(place.x), literal(place.y), literal(place.z));
    let by = |column: &str, value: &str| format!("({column} - {value}) * ({column} - {value})");
    Sql::text(&format!(
        "({e}.low >= {} AND {e}.low <= {} AND {} + {} + {} <= {})",
        literal(from),
        literal(until),
        by(&format!("{e}.high"), &x),
        by(&format!("{e}.s_low"), &y),
        by(&format!("{e}.s_high"), &z),
        literal(*chord)
    ))
}

pub(super) fn begins(column: &str, text: &str) -> Sql {
    let text = beginning(text);
    let beyond = format!("{text}\u{10ffff}");
    let mut sql = Sql::text(&format!("({column} >= "));
    sql.bind(text)
        .push(&format!(" AND {column} < "))
        .bind(beyond.as_str())
        .push(")");
    sql
}

/// A pattern's text, folded as the column is: both engines then compare byte by byte.
pub(super) fn liked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if "%_\\".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

pub(super) fn like(column: &str, pattern: &str) -> Sql {
    let mut sql = Sql::text(&format!("{column} LIKE "));
    sql.bind(pattern).push(" ESCAPE '\\'");
    sql
}

pub(super) fn string(test: &StringTest, e: &str) -> Sql {
    match test {
        StringTest::Starts(text) => begins(&format!("{e}.folded"), text),
        StringTest::Contains(text) => like(&format!("{e}.folded"), &format!("%{}%", liked(text))),
        StringTest::Exact(text) => {
            let mut sql = Sql::text(&format!("{e}.exact = "));
            sql.bind(&**text);
            sql
        }
    }
}

pub(super) fn uri(test: &UriTest, e: &str) -> Sql {
    match test {
        UriTest::Exact(text) => {
            let mut sql = Sql::text(&format!("{e}.uri = "));
            sql.bind(&*kept(text));
            sql
        }
        UriTest::Below(text) => begins(&format!("{e}.uri"), text),
        UriTest::Above(text) => {
            let mut sql = Sql::text(&format!("{e}.uri = substr("));
            sql.bind(&**text).push(&format!(", 1, length({e}.uri))"));
            sql
        }
    }
}

pub(super) fn local(test: &ReferenceTest, e: &str) -> Option<Sql> {
    let ReferenceTest::Local { kinds, id } = test else {
        return None;
    };
    let mut sql = Sql::text(&format!("{e}.target IN (SELECT rid FROM locator WHERE "));
    sql.add(Sql::kinds("kind", *kinds))
        .push(" AND id = ")
        .bind(id.as_str())
        .push(")");
    Some(sql)
}
