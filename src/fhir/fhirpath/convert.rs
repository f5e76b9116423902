//! Conversions (<http://hl7.org/fhirpath/N1/#conversion>): what can't be converted is empty.

use super::{
    function::Form,
    quantity::{Quantity, calendar},
    temporal::Temporal,
    value::{Value, decimal},
};
use rust_decimal::Decimal;
use std::borrow::Cow;

/// A value in another form. `unit` is the one that a quantity shall have.
pub(super) fn convert<'n>(
    value: &Value<'n>,
    form: Form,
    unit: Option<&Cow<'n, str>>,
) -> Option<Value<'n>> {
    match form {
        Form::Boolean => boolean(value).map(Value::Boolean),
        Form::Integer => match value {
            Value::Boolean(value) => Some(Value::Integer(i64::from(*value))),
            Value::Integer(value) => Some(Value::Integer(*value)),
            Value::String(text) => signed(text).parse().ok().map(Value::Integer),
            _ => None,
        },
        Form::Decimal => match value {
            Value::Boolean(value) => {
                let one = if *value { Decimal::ONE } else { Decimal::ZERO };
                Some(Value::Decimal(one))
            }
            Value::String(text) => plain(text).map(Value::Decimal),
            value => value.decimal().map(Value::Decimal),
        },
        Form::String => Some(Value::String(value.words())),
        Form::Date => match value {
            Value::Temporal(at) => at.to_date(),
            Value::String(text) => Temporal::moment(text)?.to_date(),
            _ => None,
        }
        .map(Value::Temporal),
        Form::DateTime => match value {
            Value::Temporal(at) => at.to_moment(),
            Value::String(text) => Temporal::moment(text),
            _ => None,
        }
        .map(Value::Temporal),
        Form::Time => match value {
            Value::Temporal(at) if at.is_time() => Some(*at),
            Value::String(text) => Temporal::time(text.strip_prefix('T').unwrap_or(text)),
            _ => None,
        }
        .map(Value::Temporal),
        Form::Quantity => quantity(value, unit).map(Value::Quantity),
    }
}

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::String(text) => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        value => match value.decimal() {
            Some(number) if number.is_zero() => Some(false),
            Some(number) => (number == Decimal::ONE).then_some(true),
            None => None,
        },
    }
}

fn signed(text: &str) -> &str {
    text.strip_prefix('+').unwrap_or(text)
}

/// Digits with a sign and a fraction, nothing else.
fn plain(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (all(whole) && all(fraction)).then(|| decimal(signed(text)))?
}

fn quantity<'n>(value: &Value<'n>, unit: Option<&Cow<'n, str>>) -> Option<Quantity<'n>> {
    let found = match value {
        Value::Quantity(quantity) => quantity.clone(),
        Value::Boolean(value) => {
            let one = if *value { Decimal::ONE } else { Decimal::ZERO };
            Quantity::new(one, Cow::Borrowed("1"), false)
        }
        Value::String(text) => of_text(text)?,
        value => Quantity::new(value.decimal()?, Cow::Borrowed("1"), false),
    };
    let Some(unit) = unit else {
        return Some(found);
    };
    let word = calendar(unit).is_some();
    let wanted = Quantity::new(Decimal::ONE, unit.clone(), word);
    let (amount, one) = found.alike(&wanted)?;
    Some(Quantity {
        value: amount.checked_div(one)?,
        ..wanted
    })
}

/// `5 'mg'`, `5 days`, `5`.
fn of_text<'n>(text: &str) -> Option<Quantity<'n>> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    let (number, rest) = (plain(number)?, rest.trim());
    if rest.is_empty() {
        return Some(Quantity::new(number, Cow::Borrowed("1"), false));
    }
    if calendar(rest).is_some() {
        return Some(Quantity::new(number, Cow::Owned(rest.to_owned()), true));
    }
    let unit = rest.strip_prefix('\'')?.strip_suffix('\'')?;
    let fits = !unit.is_empty() && !unit.contains('\'');
    fits.then(|| Quantity::new(number, Cow::Owned(unit.to_owned()), false))
}
