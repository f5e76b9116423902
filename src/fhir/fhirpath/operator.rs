//! Operators (<http://hl7.org/fhirpath/N1/#operations>).

use super::{
    EvalError,
    compare::{all_equal, all_equivalent, equal, order},
    eval::{Eval, Scope, boolean, single, truth},
    math,
    parser::{Expr, Op},
    value::{Item, Value},
};
use std::{borrow::Cow, cmp::Ordering};

type Done = Result<(), EvalError>;

impl<'n> Eval<'_, 'n> {
    pub(super) fn negate(
        &self,
        inner: &'n Expr,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let items = self.items(inner, scope)?;
        if let Some(item) = single(&items)? {
            let value = item.value().ok_or(EvalError::Type)?;
            out.extend(math::negated(&value)?.map(Item::Value));
        }
        Ok(())
    }

    pub(super) fn binary(
        &self,
        op: Op,
        left: &'n Expr,
        right: &'n Expr,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let a = self.items(left, scope)?;
        let result = match op {
            Op::And | Op::Or | Op::Xor | Op::Implies => self.logic(op, &a, right, scope)?,
            Op::Union => {
                let b = self.items(right, scope)?;
                return self.distinct(a.into_iter().chain(b), out);
            }
            Op::In | Op::Contains => {
                let b = self.items(right, scope)?;
                let (one, many) = if op == Op::In { (&a, &b) } else { (&b, &a) };
                self.spend(many.len())?;
                single(one)?.map(|item| {
                    many.iter()
                        .any(|other| equal(item, other, self.zone()) == Some(true))
                })
            }
            Op::Equal | Op::Unequal => {
                let b = self.items(right, scope)?;
                let equal = all_equal(&a, &b, self.zone());
                equal.map(|equal| equal == (op == Op::Equal))
            }
            Op::Equivalent | Op::Inequivalent => {
                let b = self.items(right, scope)?;
                self.spend(a.len().saturating_mul(b.len()))?;
                Some(all_equivalent(&a, &b, self.zone()) == (op == Op::Equivalent))
            }
            Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual => {
                let b = self.items(right, scope)?;
                match (single(&a)?, single(&b)?) {
                    (Some(a), Some(b)) => order(a, b, self.zone())?.map(|order| op.holds(order)),
                    _ => None,
                }
            }
            Op::Concatenate => {
                let b = self.items(right, scope)?;
                let (a, b) = (words(&a)?, words(&b)?);
                self.spend((a.len() + b.len()) / 16)?;
                let text: Cow<'n, str> = if b.is_empty() { a } else { a + b };
                out.push(Item::Value(Value::String(text)));
                return Ok(());
            }
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Div | Op::Mod => {
                let b = self.items(right, scope)?;
                if let (Some(a), Some(b)) = (single(&a)?, single(&b)?) {
                    let a = a.value().ok_or(EvalError::Type)?;
                    let b = b.value().ok_or(EvalError::Type)?;
                    if let Some(value) = math::arithmetic(op, &a, &b)? {
                        if let Value::String(text) = &value {
                            self.spend(text.len() / 16)?;
                        }
                        out.push(Item::Value(value));
                    }
                }
                return Ok(());
            }
        };
        out.extend(result.map(boolean));
        Ok(())
    }

    /// Three-valued logic; the right side is not asked where the left settles it.
    fn logic(
        &self,
        op: Op,
        a: &[Item<'n>],
        right: &'n Expr,
        scope: Scope<'_, 'n>,
    ) -> Result<Option<bool>, EvalError> {
        let a = truth(a)?;
        match (op, a) {
            (Op::And, Some(false)) => return Ok(Some(false)),
            (Op::Or, Some(true)) | (Op::Implies, Some(false)) => return Ok(Some(true)),
            (Op::Xor, None) => return Ok(None),
            _ => {}
        }
        let b = truth(&self.items(right, scope)?)?;
        Ok(match (op, a, b) {
            (Op::And, _, Some(false)) => Some(false),
            (Op::And, Some(true), b) => b,
            (Op::Or | Op::Implies, _, Some(true)) => Some(true),
            (Op::Or, Some(false), b) => b,
            (Op::Implies, Some(true), b) => b,
            (Op::Xor, Some(a), Some(b)) => Some(a != b),
            _ => None,
        })
    }
}

impl Op {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Op::Less => order.is_lt(),
            Op::LessOrEqual => order.is_le(),
            Op::Greater => order.is_gt(),
            Op::GreaterOrEqual => order.is_ge(),
            _ => false,
        }
    }
}

/// What `&` joins: empty is an empty text.
fn words<'n>(items: &[Item<'n>]) -> Result<Cow<'n, str>, EvalError> {
    match single(items)? {
        None => Ok(Cow::Borrowed("")),
        Some(item) => match item.text() {
            Some(text) => Ok(text),
            None => item
                .value()
                .map(|value| value.words())
                .ok_or(EvalError::Type),
        },
    }
}

impl Expr {
    /// Computed at once where both sides are literals.
    pub(super) fn folded(self) -> Expr {
        let value = match &self {
            Expr::Negate(inner) => match &**inner {
                Expr::Literal(value) => math::negated(value).ok().flatten(),
                _ => None,
            },
            Expr::Binary(
                op @ (Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Div | Op::Mod),
                left,
                right,
            ) => match (&**left, &**right) {
                (Expr::Literal(a), Expr::Literal(b)) => math::arithmetic(*op, a, b).ok().flatten(),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => Expr::Literal(value.owned()),
            None => self,
        }
    }
}
