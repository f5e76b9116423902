//! SQL text with its values, written once for both engines: `?` marks a value, in order.

use crate::fhir::{Kind, Kinds};
use std::fmt::Write as _;

/// A piece of a query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sql {
    /// The text, with `?` for each value.
    pub text: String,
    /// The values.
    pub values: Vec<Value>,
}

/// A value of a query.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "SQL's own kinds")]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
}

/// The values of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        [$($crate::store::sql::Value::from($value)),*]
    };
}
pub(crate) use values;

/// The most pieces that are joined side by side.
const FLAT: usize = 32;

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Value::Integer(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value.into())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Bytes(value.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

impl Sql {
    /// Text without values.
    pub fn text(text: &str) -> Sql {
        Sql {
            text: text.to_owned(),
            values: Vec::new(),
        }
    }

    /// A truth that holds always, or never.
    pub fn truth(holds: bool) -> Sql {
        Sql::text(if holds { "1=1" } else { "1=0" })
    }

    /// Whether it holds whatever the row.
    pub fn is_always(&self) -> bool {
        self.text == "1=1"
    }

    /// Whether it holds for no row.
    pub fn is_never(&self) -> bool {
        self.text == "1=0"
    }

    /// Adds text.
    pub fn push(&mut self, text: &str) -> &mut Sql {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Sql {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    /// Adds another piece.
    pub fn add(&mut self, other: Sql) -> &mut Sql {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
        self
    }

    /// All of these; true when there are none.
    pub fn all(pieces: impl IntoIterator<Item = Sql>) -> Sql {
        Sql::joined(pieces, " AND ", true)
    }

    /// Any of these; false when there are none.
    pub fn any(pieces: impl IntoIterator<Item = Sql>) -> Sql {
        Sql::joined(pieces, " OR ", false)
    }

    /// Joins flat while there are few, and in groups of groups beyond: an engine parses `a OR b OR c`
    /// as deep as it is long, and refuses what is deeper than 1000.
    fn joined(pieces: impl IntoIterator<Item = Sql>, with: &str, empty: bool) -> Sql {
        // `empty` says nothing here, and its opposite says all.
        let mut kept: Vec<Sql> = Vec::new();
        for piece in pieces {
            let (nothing, all) = if empty {
                (piece.is_always(), piece.is_never())
            } else {
                (piece.is_never(), piece.is_always())
            };
            if all {
                return Sql::truth(!empty);
            }
            if !nothing {
                kept.push(piece);
            }
        }
        let mut pieces = kept;
        while pieces.len() > FLAT {
            let mut groups = Vec::with_capacity(pieces.len().div_ceil(FLAT));
            let mut rest = pieces.into_iter().peekable();
            while rest.peek().is_some() {
                groups.push(Sql::joined(rest.by_ref().take(FLAT), with, empty));
            }
            pieces = groups;
        }
        let mut pieces = pieces.into_iter();
        let Some(first) = pieces.next() else {
            return Sql::truth(empty);
        };
        let pieces_ahead = pieces.as_slice();
        let text = pieces_ahead
            .iter()
            .map(|piece| piece.text.len() + with.len());
        let values = pieces_ahead.iter().map(|piece| piece.values.len());
        let mut sql = Sql {
            text: String::with_capacity(first.text.len() + text.sum::<usize>() + 8),
            values: Vec::with_capacity(first.values.len() + values.sum::<usize>()),
        };
        sql.push("(").add(first);
        for piece in pieces {
            sql.push(with).add(piece);
        }
        sql.push(")");
        sql
    }

    /// Not this.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "SQL's own word")]
    pub fn not(self) -> Sql {
        if self.is_always() || self.is_never() {
            return Sql::truth(self.is_never());
        }
        let mut sql = Sql::text("NOT (");
        sql.add(self).push(")");
        sql
    }

    /// Whether `column` is a type of the set.
    pub fn kinds(column: &str, kinds: Kinds) -> Sql {
        let absent = Kinds::ALL.without(kinds);
        let (inside, list) = if absent.iter().count() < kinds.iter().count() {
            (false, absent)
        } else {
            (true, kinds)
        };
        if list.is_empty() {
            return Sql::truth(!inside);
        }
        let word = if inside { " IN " } else { " NOT IN " };
        let numbers = list.iter().map(Kind::number);
        Sql {
            text: listed(column, word, numbers),
            values: Vec::new(),
        }
    }

    /// Whether `column` is one of these numbers.
    pub fn numbers(column: &str, numbers: &[i64]) -> Sql {
        if numbers.is_empty() {
            return Sql::truth(false);
        }
        Sql {
            text: listed(column, " IN ", numbers.iter().copied()),
            values: Vec::new(),
        }
    }
}

fn listed(column: &str, word: &str, numbers: impl Iterator<Item = i64>) -> String {
    let room = column.len() + word.len() + 4 * numbers.size_hint().0 + 16;
    let mut text = String::with_capacity(room);
    text.push_str(column);
    text.push_str(word);
    for (at, number) in numbers.enumerate() {
        text.push(if at == 0 { '(' } else { ',' });
        // Writing into a text does not fail.
        let _ = write!(text, "{number}");
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_with_their_values_in_order() {
        let mut one = Sql::text("a = ");
        one.bind(1i64);
        let mut two = Sql::text("b = ");
        two.bind("x");
        let sql = Sql::all([one, Sql::any([two, Sql::truth(false)]).not()]);
        assert_eq!(sql.text, "(a = ? AND NOT ((b = ?)))");
        assert_eq!(sql.values, [Value::Integer(1), Value::Text("x".into())]);
    }

    #[test]
    fn many_pieces_are_no_deeper_than_an_engine_takes() {
        let engine = rusqlite::Connection::open_in_memory().unwrap();
        let one = |number: i64| {
            let mut sql = Sql::text("7 = ");
            sql.bind(number);
            sql
        };
        for (many, holds) in [(7, false), (33, true), (1024, true), (5000, true)] {
            let any = Sql::any((0..many).map(one));
            let all = Sql::all((0..many).map(|number| one(number).not()));
            let numbers: Vec<i64> = (0..many).collect();
            for (sql, expected) in [(any, holds), (all, !holds)] {
                let values: Vec<Value> = numbers.iter().copied().map(Value::from).collect();
                assert_eq!(sql.values, values);
                let params = rusqlite::params_from_iter(numbers.iter());
                let text = format!("SELECT {}", sql.text);
                let found: bool = engine.query_row(&text, params, |row| row.get(0)).unwrap();
                assert_eq!(found, expected, "{many}");
            }
        }
    }

    #[test]
    fn the_shorter_list_of_types_is_written() {
        let one = Kinds::of(&["Patient"]);
        assert!(Sql::kinds("k", one).text.starts_with("k IN ("));
        assert!(
            Sql::kinds("k", Kinds::ALL.without(one))
                .text
                .starts_with("k NOT IN (")
        );
        assert_eq!(Sql::kinds("k", Kinds::ALL).text, "1=1");
        assert_eq!(Sql::kinds("k", Kinds::NONE).text, "1=0");
    }
}
