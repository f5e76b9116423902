//! What a query asks of a record: tests on index entries.

use super::{
    kin::Kin,
    near::NearTest,
    number::{NumberTest, QuantityTest},
    params::Param,
};
use crate::fhir::{Id, Instant, Interval, Kinds};

/// One parameter of a query. All of a query's filters must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The parameter.
    pub param: &'static Param,
    /// What its entries, or the record's columns, must say.
    pub test: Test,
}

/// A test; of several alternatives one suffices.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// `:missing`: whether the record has no entry.
    Missing(bool),
    /// `_id`: a column of the record. Texts that are no ids match nothing and are left out.
    Id(Vec<Id>),
    /// `_lastUpdated`: a column of the record.
    LastUpdated(Vec<DateTest>),
    /// A token that some entry equals.
    Token(Vec<TokenTest>),
    /// `:of-type`: an identifier of that type (its system is `system|code` of the type).
    OfType(Vec<TokenTest>),
    /// `:identifier`: the identifier beside or in place of a reference.
    Identifier(Vec<TokenTest>),
    /// `:text`: how the folded text of a code begins.
    TokenText(Vec<Box<str>>),
    /// A time.
    Date(Vec<DateTest>),
    /// A text.
    String(Vec<StringTest>),
    /// `_text`, `_content`: folded words, all of which begin some word.
    Words(Vec<Vec<Box<str>>>),
    /// A reference.
    Reference(Vec<ReferenceTest>),
    /// A URI.
    Uri(Vec<UriTest>),
    /// A number.
    Number(Vec<NumberTest>),
    /// A quantity.
    Quantity(Vec<QuantityTest>),
    /// A place (`near`).
    Near(Vec<NearTest>),
    /// A composite: for each alternative a filter a part, in the order of [`Param::of_parts`].
    Composite(Vec<Vec<Filter>>),
    /// Codes of definitions that are stored as resources; see [`super::terms`]. The store is never
    /// asked this: it is resolved to [`Test::Token`] before.
    Defined(Vec<Defined>),
    /// References to records above or below others. As with [`Test::Defined`], the store is never asked
    /// this: it is resolved to [`Test::Reference`] before.
    Kin(Vec<Kin>),
    /// The opposite (`:not`, `:not-in`, `:not` of a chain's end is no such thing).
    Not(Box<Test>),
    /// A chain: the record that the reference names is of one of these types and passes.
    Chain(Vec<Leg>),
    /// `_has`: a record of the type that the filter's own parameter is of refers here by that
    /// parameter, and passes.
    Has(Box<Filter>),
    /// The record is of one of these types and passes.
    Among(Kinds, Box<Test>),
    /// One of these filters passes (a compartment's).
    Any(Vec<Filter>),
}

/// What a chain asks of the record at its other end.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Of which types it may be.
    pub kinds: Kinds,
    /// What it must pass.
    pub filter: Box<Filter>,
}

/// Codes that a stored definition names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defined {
    /// `:in`: the codes of a value set, by its URL or as `ValueSet/id`.
    In(Box<str>),
    /// `:below`: the code and those below it in its code system.
    Below(Box<str>, Box<str>),
    /// `:above`: the code and those above it.
    Above(Box<str>, Box<str>),
}

/// A URI and how it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UriTest {
    /// It is this.
    Exact(Box<str>),
    /// `:below`: it begins with this.
    Below(Box<str>),
    /// `:above`: this begins with it.
    Above(Box<str>),
}

/// `code`, `system|code`, `|code` or `system|`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTest {
    /// Which system: any (`None`), none (`Some(None)`), or that one.
    pub system: Option<Option<Box<str>>>,
    /// Which code; any where `None`.
    pub code: Option<Box<str>>,
}

/// A time with its prefix (<https://hl7.org/fhir/R4/search.html#prefix>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateTest {
    /// How the two intervals must lie.
    pub prefix: Prefix,
    /// The interval that the query's time stands for.
    pub interval: Interval,
}

/// How a record's value lies to the query's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FHIR's own names")]
pub enum Prefix {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    Sa,
    Eb,
    Ap,
}

/// A text and how it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StringTest {
    /// The folded value starts with this folded text.
    Starts(Box<str>),
    /// The folded value contains this folded text.
    Contains(Box<str>),
    /// The value as written is this.
    Exact(Box<str>),
}

/// Which reference is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceTest {
    /// A record of this server of one of these types.
    Local {
        /// The types that it may have; one where the query named it.
        kinds: Kinds,
        /// Its id.
        id: Id,
    },
    /// Any other reference, by its whole text.
    Elsewhere(Box<str>),
}

impl Prefix {
    /// The prefix of a value, and the rest of it. Without one: `eq`.
    pub fn split(text: &str) -> (Prefix, &str) {
        let prefix = match text.get(..2) {
            Some("eq") => Prefix::Eq,
            Some("ne") => Prefix::Ne,
            Some("gt") => Prefix::Gt,
            Some("lt") => Prefix::Lt,
            Some("ge") => Prefix::Ge,
            Some("le") => Prefix::Le,
            Some("sa") => Prefix::Sa,
            Some("eb") => Prefix::Eb,
            Some("ap") => Prefix::Ap,
            _ => return (Prefix::Eq, text),
        };
        (prefix, text.get(2..).unwrap_or_default())
    }
}

impl DateTest {
    /// Whether a record's interval passes. The store writes the same comparisons in SQL.
    ///
    /// `ap` overlaps the query's interval widened by its own length on either side (a day about a
    /// day, a year about a year): R4 advises a tenth of the distance to now and leaves it to the
    /// server; an answer that changes with the clock could not be repeated.
    pub fn matches(self, value: Interval) -> bool {
        let asked = self.interval;
        let inside = asked.start <= value.start && value.end <= asked.end;
        match self.prefix {
            Prefix::Eq => inside,
            Prefix::Ne => !inside,
            Prefix::Gt => value.end > asked.end,
            Prefix::Lt => value.start < asked.start,
            Prefix::Ge => value.end > asked.end || inside,
            Prefix::Le => value.start < asked.start || inside,
            Prefix::Sa => value.start > asked.end,
            Prefix::Eb => value.end < asked.start,
            Prefix::Ap => {
                let about = self.about();
                value.start <= about.end && about.start <= value.end
            }
        }
    }

    /// The interval that `ap` overlaps.
    pub fn about(self) -> Interval {
        let Interval { start, end } = self.interval;
        let length = end.saturating_sub(start);
        Interval {
            start: start.saturating_sub(length),
            end: end.saturating_add(length),
        }
    }

    /// Whether a moment passes.
    pub fn matches_moment(self, at: Instant) -> bool {
        self.matches(Interval { start: at, end: at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::values::ZONE;
    use proptest::prelude::*;

    fn passes(query: &str, value: &str) -> bool {
        let (prefix, text) = Prefix::split(query);
        let interval = Interval::of(text, &ZONE).unwrap();
        DateTest { prefix, interval }.matches(Interval::of(value, &ZONE).unwrap())
    }

    #[test]
    fn prefixes_compare_ranges() {
        let day = "2026-03-07";
        for (query, expected) in [
            ("2026", true),
            ("2026-03-07", true),
            ("2026-03-07T00:00:00Z", false),
            ("ne2026-03-07", false),
            ("ne2026-03-08", true),
            ("gt2026-03-06", true),
            ("gt2026-03-07", false),
            ("gt2026-03-07T12:00:00Z", true),
            ("lt2026-03-07T12:00:00Z", true),
            ("lt2026-03-07", false),
            ("ge2026-03-07", true),
            ("ge2026-03", true),
            ("ge2026-04", false),
            ("le2026-03-07", true),
            ("le2026-03-06", false),
            ("sa2026-03-06", true),
            ("sa2026-03-07T12:00:00Z", false),
            ("eb2026-03-08", true),
            ("eb2026-03-07T12:00:00Z", false),
            ("ap2026-03-08", true),
            ("ap2026-03-09", false),
            ("ap2025", true),
        ] {
            assert_eq!(passes(query, day), expected, "{query}");
        }
    }

    #[test]
    fn open_periods_reach_out_of_time() {
        let open = Interval::of_period(Some("2026"), None, &ZONE).unwrap();
        let test = |prefix| DateTest {
            prefix,
            interval: Interval::of("2030", &ZONE).unwrap(),
        };
        assert!(test(Prefix::Gt).matches(open));
        assert!(test(Prefix::Lt).matches(open));
        assert!(!test(Prefix::Eq).matches(open));
        assert!(test(Prefix::Ap).matches(open));
        let ever = DateTest {
            prefix: Prefix::Ap,
            interval: Interval::ALWAYS,
        };
        assert!(ever.matches(open));
    }

    proptest! {
        #[test]
        fn opposites_never_both_hold(a in 0i64..50, b in 0i64..50, c in 0i64..50, d in 0i64..50) {
            let interval = Interval { start: a.min(b), end: a.max(b) };
            let value = Interval { start: c.min(d), end: c.max(d) };
            let is = |prefix| DateTest { prefix, interval }.matches(value);
            prop_assert_ne!(is(Prefix::Eq), is(Prefix::Ne));
            prop_assert!(!is(Prefix::Sa) || is(Prefix::Gt));
            prop_assert!(!is(Prefix::Eb) || is(Prefix::Lt));
            prop_assert!(!(is(Prefix::Sa) && is(Prefix::Eb)));
            prop_assert!(!is(Prefix::Eq) || (is(Prefix::Ge) && is(Prefix::Le) && is(Prefix::Ap)));
        }
    }
}
