//! Arithmetic and the functions of numbers (<http://hl7.org/fhirpath/N1/#math-2>). Decimals are exact
//! to 28 digits; what overflows or has no value is empty.

use super::{
    EvalError,
    eval::{Eval, Scope, single},
    function::Math,
    parser::{Expr, Op},
    quantity::Quantity,
    temporal::{Temporal, Unit},
    value::{Item, Value},
};
use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy, prelude::ToPrimitive};
use std::borrow::Cow;

type Result1<'n> = Result<Option<Value<'n>>, EvalError>;

pub(super) fn negated<'n>(value: &Value<'n>) -> Result1<'n> {
    Ok(match value {
        Value::Integer(value) => value.checked_neg().map(Value::Integer),
        Value::Decimal(value) => Some(Value::Decimal(-*value)),
        Value::Quantity(quantity) => Some(Value::Quantity(Quantity {
            value: -quantity.value,
            ..quantity.clone()
        })),
        _ => return Err(EvalError::Type),
    })
}

/// `a op b`.
pub(super) fn arithmetic<'n>(op: Op, a: &Value<'n>, b: &Value<'n>) -> Result1<'n> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) if op != Op::Divide => {
            let result = match op {
                Op::Add => a.checked_add(*b),
                Op::Subtract => a.checked_sub(*b),
                Op::Multiply => a.checked_mul(*b),
                Op::Div => a.checked_div(*b),
                Op::Mod => a.checked_rem(*b),
                _ => return Err(EvalError::Type),
            };
            Ok(result.map(Value::Integer))
        }
        (Value::String(a), Value::String(b)) if op == Op::Add => {
            Ok(Some(Value::String(a.clone() + b.clone())))
        }
        (Value::Temporal(at), Value::Quantity(by)) => later(op, *at, by),
        (Value::Quantity(a), Value::Quantity(b)) => quantities(op, a, b),
        (Value::Quantity(a), b) => match (op, b.decimal()) {
            (Op::Multiply | Op::Divide, Some(b)) => Ok(decimals(op, a.value, b)?
                .and_then(|value| value.decimal())
                .map(|value| Value::Quantity(Quantity { value, ..a.clone() }))),
            _ => Err(EvalError::Type),
        },
        (a, Value::Quantity(b)) => match (op, a.decimal()) {
            (Op::Multiply, Some(a)) => Ok(a
                .checked_mul(b.value)
                .map(|value| Value::Quantity(Quantity { value, ..b.clone() }))),
            _ => Err(EvalError::Type),
        },
        (a, b) => match (a.decimal(), b.decimal()) {
            (Some(a), Some(b)) => decimals(op, a, b),
            _ => Err(EvalError::Type),
        },
    }
}

fn decimals<'n>(op: Op, a: Decimal, b: Decimal) -> Result1<'n> {
    let decimal = match op {
        Op::Add => a.checked_add(b),
        Op::Subtract => a.checked_sub(b),
        Op::Multiply => a.checked_mul(b),
        Op::Divide => a.checked_div(b),
        Op::Mod => a.checked_rem(b),
        Op::Div => {
            let whole = a.checked_div(b).and_then(|value| value.trunc().to_i64());
            return Ok(whole.map(Value::Integer));
        }
        _ => return Err(EvalError::Type),
    };
    Ok(decimal.map(Value::Decimal))
}

fn quantities<'n>(op: Op, a: &Quantity<'n>, b: &Quantity<'n>) -> Result1<'n> {
    let one = |unit: &str| unit == "1";
    match op {
        Op::Add | Op::Subtract => {
            let Some((in_base, other)) = a.alike(b) else {
                return Ok(None);
            };
            // Where the units differ, the sum is in the unit of the first.
            let factor = if a.value.is_zero() {
                Decimal::ONE
            } else {
                in_base.checked_div(a.value).unwrap_or(Decimal::ONE)
            };
            let unit = if a.value.is_zero() { b } else { a };
            let other = other.checked_div(factor);
            let value = other.and_then(|other| match op {
                Op::Add => a.value.checked_add(other),
                _ => a.value.checked_sub(other),
            });
            Ok(value.map(|value| {
                Value::Quantity(Quantity {
                    value,
                    ..unit.clone()
                })
            }))
        }
        Op::Multiply if one(&a.unit) || one(&b.unit) => {
            let unit = if one(&a.unit) { b } else { a };
            let value = a.value.checked_mul(b.value);
            Ok(value.map(|value| {
                Value::Quantity(Quantity {
                    value,
                    ..unit.clone()
                })
            }))
        }
        Op::Divide => {
            let alike = a.alike(b).and_then(|(a, b)| a.checked_div(b));
            let one = Cow::Borrowed("1");
            Ok(alike.map(|value| Value::Quantity(Quantity::new(value, one, false))))
        }
        _ => Ok(None),
    }
}

/// A date or time that much later, or earlier.
fn later<'n>(op: Op, at: Temporal, by: &Quantity<'n>) -> Result1<'n> {
    let unit = by.time().ok_or(EvalError::Type)?;
    let (value, unit) = match unit {
        // Only seconds have fractions.
        Unit::Second => (by.value.checked_mul(1000.into()), Unit::Millisecond),
        unit => (Some(by.value.trunc()), unit),
    };
    let whole = value.and_then(|value| value.to_i64());
    let Some(mut amount) = whole else {
        return Ok(None);
    };
    amount = match op {
        Op::Add => amount,
        Op::Subtract => -amount,
        _ => return Err(EvalError::Type),
    };
    let (amount, unit) = match unit {
        Unit::Millisecond if amount % 1000 == 0 => (amount / 1000, Unit::Second),
        unit => (amount, unit),
    };
    Ok(at.plus(amount, unit).map(Value::Temporal))
}

impl<'n> Eval<'_, 'n> {
    pub(super) fn math(
        &self,
        function: Math,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
    ) -> Result1<'n> {
        let Some(item) = single(input)? else {
            return Ok(None);
        };
        let value = item.value().ok_or(EvalError::Type)?;
        if let (Math::Abs, Value::Quantity(quantity)) = (function, &value) {
            return Ok(Some(Value::Quantity(Quantity {
                value: quantity.value.abs(),
                ..quantity.clone()
            })));
        }
        let number = value.decimal().ok_or(EvalError::Type)?;
        let argument = match arguments.first() {
            None => None,
            Some(expr) => {
                let items = self.items(expr, scope)?;
                let Some(item) = single(&items)? else {
                    return Ok(None);
                };
                let number = item.value().and_then(|value| value.decimal());
                Some(number.ok_or(EvalError::Type)?)
            }
        };
        let whole = |value: Decimal| value.to_i64().map(Value::Integer);
        let integer = matches!(value, Value::Integer(_));
        Ok(match (function, argument) {
            (Math::Abs, _) if integer => whole(number.abs()),
            (Math::Abs, _) => Some(Value::Decimal(number.abs())),
            (Math::Ceiling, _) => whole(number.ceil()),
            (Math::Floor, _) => whole(number.floor()),
            (Math::Truncate, _) => whole(number.trunc()),
            (Math::Exp, _) => number.checked_exp().map(Value::Decimal),
            (Math::Ln, _) => number.checked_ln().map(Value::Decimal),
            (Math::Sqrt, _) => number.sqrt().map(Value::Decimal),
            (Math::Log, Some(base)) => {
                let (number, base) = (number.checked_ln(), base.checked_ln());
                let log = number
                    .zip(base)
                    .and_then(|(number, base)| number.checked_div(base));
                log.map(|log| Value::Decimal(log.round_dp(20).normalize()))
            }
            (Math::Power, Some(exponent)) => power(number, exponent, integer),
            (Math::Round, digits) => {
                let digits = digits.unwrap_or(Decimal::ZERO).to_u32();
                let digits = digits.ok_or(EvalError::Type)?;
                let strategy = RoundingStrategy::MidpointAwayFromZero;
                let rounded = number.round_dp_with_strategy(digits.min(28), strategy);
                Some(Value::Decimal(rounded))
            }
            _ => return Err(EvalError::Type),
        })
    }
}

fn power<'n>(number: Decimal, exponent: Decimal, integer: bool) -> Option<Value<'n>> {
    let power = match exponent.to_i64().filter(|_| exponent.fract().is_zero()) {
        Some(whole) => number.checked_powi(whole),
        None if number.is_sign_negative() => None,
        None => number.checked_powd(exponent),
    }?;
    if integer && exponent.fract().is_zero() && power.fract().is_zero() {
        return power.to_i64().map(Value::Integer);
    }
    Some(Value::Decimal(power))
}
