//! The functions of strings (<http://hl7.org/fhirpath/N1/#string-manipulation>). Places count
//! characters.

use super::{
    EvalError,
    eval::{Eval, Scope, boolean, single},
    function::Text,
    parser::Expr,
    value::{Item, Value},
};
use regex::{Regex, RegexBuilder};
use std::{borrow::Cow, sync::OnceLock};

type Done = Result<(), EvalError>;

/// Largest compiled pattern in bytes.
const PATTERN: usize = 1 << 20;

/// Steps for compiling a pattern, which costs far more than matching: a millisecond and more.
const COMPILING: usize = 50_000;

/// A pattern that stood in the expression: compiled when it is first asked for, and kept.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: Box<str>,
    regex: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Pattern {
        Pattern {
            text: text.into(),
            regex: OnceLock::new(),
        }
    }
}

/// Compiles a pattern. Matching is linear in the text, whatever the pattern.
fn regex(kind: Text, pattern: &str) -> Result<Regex, EvalError> {
    let whole;
    let pattern = if kind == Text::MatchesFull {
        whole = format!("^(?:{pattern})$");
        &whole
    } else {
        pattern
    };
    RegexBuilder::new(pattern)
        .dot_matches_new_line(true)
        .size_limit(PATTERN)
        .dfa_size_limit(PATTERN)
        .nest_limit(50)
        .build()
        .map_err(|_| EvalError::Pattern)
}

impl<'n> Eval<'_, 'n> {
    pub(super) fn text(
        &self,
        function: Text,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        if function == Text::Join {
            return self.join(input, arguments, scope, out);
        }
        let Some(text) = one(input)? else {
            return Ok(());
        };
        self.spend(text.len() / 16)?;
        if let Text::Matches | Text::MatchesFull | Text::ReplaceMatches = function {
            let Some(pattern) = self.argument(arguments, 0, scope)? else {
                return Ok(());
            };
            self.spend(COMPILING)?;
            let regex = regex(function, &pattern)?;
            return self.pattern(function, input, &regex, arguments, scope, out);
        }
        if function == Text::Substring {
            let (Some(start), length) = (
                self.number(arguments, 0, scope)?,
                self.number(arguments, 1, scope)?,
            ) else {
                return Ok(());
            };
            out.extend(substring(&text, start, length).map(string));
            return Ok(());
        }
        let first = match arguments.first() {
            None => Cow::Borrowed(""),
            Some(_) => match self.argument(arguments, 0, scope)? {
                Some(first) => first,
                None => return Ok(()),
            },
        };
        let place = |bytes: Option<usize>| {
            let chars = bytes
                .and_then(|at| text.get(..at))
                .map(|head| head.chars().count());
            let place = chars.and_then(|chars| i64::try_from(chars).ok());
            Item::Value(Value::Integer(place.unwrap_or(-1)))
        };
        out.push(match function {
            Text::IndexOf => place(text.find(&*first)),
            Text::LastIndexOf => place(text.rfind(&*first)),
            Text::StartsWith => boolean(text.starts_with(&*first)),
            Text::EndsWith => boolean(text.ends_with(&*first)),
            Text::Contains => boolean(text.contains(&*first)),
            Text::Upper => string(text.to_uppercase().into()),
            Text::Lower => string(text.to_lowercase().into()),
            Text::Trim => string(text.trim().to_owned().into()),
            Text::Length => {
                let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                Item::Value(Value::Integer(length))
            }
            Text::Replace => {
                let Some(with) = self.argument(arguments, 1, scope)? else {
                    return Ok(());
                };
                self.spend((1 + text.len()).saturating_mul(1 + with.len()) / 16)?;
                string(text.replace(&*first, &with).into())
            }
            Text::ToChars => {
                self.spend(text.len())?;
                out.extend(text.chars().map(|c| string(c.to_string().into())));
                return Ok(());
            }
            Text::Split => {
                self.spend(text.len())?;
                out.extend(
                    text.split(&*first)
                        .map(|part| string(part.to_owned().into())),
                );
                return Ok(());
            }
            _ => return Err(EvalError::Type),
        });
        Ok(())
    }

    pub(super) fn compiled(
        &self,
        kind: Text,
        pattern: &'n Pattern,
    ) -> Result<&'n Regex, EvalError> {
        if pattern.regex.get().is_none() {
            self.spend(COMPILING)?;
        }
        let compiled = pattern
            .regex
            .get_or_init(|| regex(kind, &pattern.text).ok());
        compiled.as_ref().ok_or(EvalError::Pattern)
    }

    /// `matches` and its kin with a compiled pattern.
    pub(super) fn pattern(
        &self,
        kind: Text,
        input: &[Item<'n>],
        regex: &Regex,
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let Some(text) = one(input)? else {
            return Ok(());
        };
        self.spend(text.len() / 4)?;
        if kind != Text::ReplaceMatches {
            out.push(boolean(regex.is_match(&text)));
            return Ok(());
        }
        if let Some(with) = self.argument(arguments, 1, scope)? {
            self.spend((1 + text.len()).saturating_mul(1 + with.len()) / 16)?;
            let replaced = regex.replace_all(&text, &*groups(&with)).into_owned();
            out.push(string(replaced.into()));
        }
        Ok(())
    }

    fn join(
        &self,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let between = match arguments.first() {
            None => Cow::Borrowed(""),
            Some(_) => match self.argument(arguments, 0, scope)? {
                Some(between) => between,
                None => return Ok(()),
            },
        };
        let mut joined = String::new();
        for (at, item) in input.iter().enumerate() {
            let text = item.text().ok_or(EvalError::Type)?;
            self.spend((text.len() + between.len()) / 16)?;
            if at > 0 {
                joined.push_str(&between);
            }
            joined.push_str(&text);
        }
        if !input.is_empty() {
            out.push(string(joined.into()));
        }
        Ok(())
    }

    /// An argument that is one text, or empty.
    pub(super) fn argument(
        &self,
        arguments: &'n [Expr],
        at: usize,
        scope: Scope<'_, 'n>,
    ) -> Result<Option<Cow<'n, str>>, EvalError> {
        match arguments.get(at) {
            None => Ok(None),
            Some(expr) => one(&self.items(expr, scope)?),
        }
    }

    fn number(
        &self,
        arguments: &'n [Expr],
        at: usize,
        scope: Scope<'_, 'n>,
    ) -> Result<Option<i64>, EvalError> {
        match arguments.get(at) {
            None => Ok(None),
            Some(expr) => self.integer(expr, scope),
        }
    }
}

fn string<'n>(text: Cow<'n, str>) -> Item<'n> {
    Item::Value(Value::String(text))
}

/// One text, or none.
fn one<'n>(items: &[Item<'n>]) -> Result<Option<Cow<'n, str>>, EvalError> {
    match single(items)? {
        None => Ok(None),
        Some(item) => match item.text() {
            Some(text) => Ok(Some(text)),
            // An element without a value (extensions only) is no text, but no mistake either.
            None if item
                .element()
                .is_some_and(|element| element.node().is_none()) =>
            {
                Ok(None)
            }
            None => Err(EvalError::Type),
        },
    }
}

/// From a place on, perhaps only so many characters; empty where the place is outside.
fn substring<'n>(text: &str, start: i64, length: Option<i64>) -> Option<Cow<'n, str>> {
    let start = usize::try_from(start).ok()?;
    text.chars().nth(start)?;
    let rest = text.chars().skip(start);
    let part: String = match length {
        None => rest.collect(),
        Some(length) => rest.take(usize::try_from(length).unwrap_or(0)).collect(),
    };
    Some(part.into())
}

/// `$1` as the regex crate reads it.
fn groups(with: &str) -> String {
    let mut out = String::new();
    let mut rest = with;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let end = after
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(after.len());
        match after.split_at_checked(end) {
            Some((digits, tail)) if !digits.is_empty() => {
                out.push_str("${");
                out.push_str(digits);
                out.push('}');
                rest = tail;
            }
            _ => {
                out.push_str("$$");
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
    }
    out.push_str(rest);
    out
}
