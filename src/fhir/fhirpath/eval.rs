//! Evaluation: one function for each form of expression, items flow through vectors.

use super::{
    EvalError,
    compare::Seen,
    outside::Environment,
    parser::{Expr, Name},
    types::Specifier,
    value::{Element, Item, Value},
};
use std::cell::Cell;

type Done = Result<(), EvalError>;

/// What is the same throughout one evaluation.
pub(super) struct Eval<'e, 'n> {
    pub(super) environment: &'e Environment<'n>,
    steps: &'e Cell<usize>,
}

/// `$this`, `$index` and `$total`.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'n> {
    pub(super) this: &'s [Item<'n>],
    pub(super) index: Option<usize>,
    pub(super) total: &'s [Item<'n>],
}

/// What an expression gives; `all`: with equal items of unions kept.
pub(super) fn evaluate<'n>(
    expr: &'n Expr,
    environment: &Environment<'n>,
    steps: &Cell<usize>,
    all: bool,
) -> Result<Vec<Item<'n>>, EvalError> {
    let eval = Eval { environment, steps };
    let focus = [Item::Element(environment.context)];
    let scope = Scope {
        this: &focus,
        index: None,
        total: &[],
    };
    if !all {
        return eval.items(expr, scope);
    }
    let mut out = Vec::new();
    for expr in expr.alternatives() {
        eval.run(expr, scope, &mut out)?;
    }
    Ok(out)
}

impl<'n> Eval<'_, 'n> {
    /// Takes steps, while there are some.
    pub(super) fn spend(&self, steps: usize) -> Done {
        match self.steps.get().checked_sub(steps) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(EvalError::Steps),
        }
    }

    /// The zone of times that state none.
    pub(super) fn zone(&self) -> i16 {
        self.environment.zone
    }

    pub(super) fn items(
        &self,
        expr: &'n Expr,
        scope: Scope<'_, 'n>,
    ) -> Result<Vec<Item<'n>>, EvalError> {
        let mut out = Vec::new();
        self.run(expr, scope, &mut out)?;
        Ok(out)
    }

    pub(super) fn run(
        &self,
        expr: &'n Expr,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let before = out.len();
        match expr {
            Expr::Empty => {}
            Expr::This => out.extend_from_slice(scope.this),
            Expr::Total => out.extend_from_slice(scope.total),
            Expr::Index => {
                let index = scope.index.and_then(|index| i64::try_from(index).ok());
                out.extend(index.map(|index| Item::Value(Value::Integer(index))));
            }
            Expr::Literal(value) => out.push(Item::Value(value.borrowed())),
            Expr::Variable(name) => self.environment.variable(name, out)?,
            Expr::Head(name) => self.head(name, scope.this, out),
            Expr::Member(inner, name) => self.member(inner, name, scope, out)?,
            Expr::At(inner, index) => self.at(inner, index, scope, out)?,
            Expr::Is(inner, kind) => self.is(inner, kind, scope, out)?,
            Expr::Of(inner, kind) => {
                let items = self.items(inner, scope)?;
                out.extend(items.into_iter().filter(|item| item.is(kind)));
            }
            Expr::Negate(inner) => self.negate(inner, scope, out)?,
            Expr::Binary(op, left, right) => self.binary(*op, left, right, scope, out)?,
            Expr::Call(input, function, arguments) => {
                let input = self.items(input, scope)?;
                self.call(*function, input, arguments, scope, out)?;
            }
            Expr::Pattern(input, kind, pattern, arguments) => {
                let input = self.items(input, scope)?;
                let regex = self.compiled(*kind, pattern)?;
                self.pattern(*kind, &input, regex, arguments, scope, out)?;
            }
        }
        self.spend(1 + out.len().saturating_sub(before))
    }

    /// A name at the start of a path: the type of what is in focus, or an element of it.
    fn head(&self, name: &Name, this: &[Item<'n>], out: &mut Vec<Item<'n>>) {
        let typed = name.plain.starts_with(|c: char| c.is_ascii_uppercase());
        for item in this {
            let Item::Element(element) = item else {
                continue;
            };
            if typed && element.kind().is(&name.plain) {
                out.push(item.clone());
            } else {
                element.member(name, out);
            }
        }
    }

    fn member(
        &self,
        inner: &'n Expr,
        name: &'n Name,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        for item in self.items(inner, scope)? {
            if let Item::Element(element) = item {
                element.member(name, out);
            }
        }
        Ok(())
    }

    fn at(
        &self,
        inner: &'n Expr,
        index: &'n Expr,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let mut items = self.items(inner, scope)?;
        match self.integer(index, scope)? {
            Some(index) => {
                let index = usize::try_from(index).ok();
                let found = index.filter(|index| *index < items.len());
                out.extend(found.map(|index| items.swap_remove(index)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn is(
        &self,
        inner: &'n Expr,
        kind: &'n Specifier,
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let items = self.items(inner, scope)?;
        if let Some(item) = single(&items)? {
            out.push(boolean(item.is(kind)));
        }
        Ok(())
    }

    /// Of each item, what the expression makes of it as `$this`.
    pub(super) fn each(
        &self,
        items: &[Item<'n>],
        expr: &'n Expr,
        outer: Scope<'_, 'n>,
        mut take: impl FnMut(&Item<'n>, Vec<Item<'n>>) -> Result<bool, EvalError>,
    ) -> Done {
        for (index, item) in items.iter().enumerate() {
            let scope = Scope {
                this: std::slice::from_ref(item),
                index: Some(index),
                total: outer.total,
            };
            if !take(item, self.items(expr, scope)?)? {
                break;
            }
        }
        Ok(())
    }

    /// An argument that is one integer, or empty.
    pub(super) fn integer(
        &self,
        expr: &'n Expr,
        scope: Scope<'_, 'n>,
    ) -> Result<Option<i64>, EvalError> {
        let items = self.items(expr, scope)?;
        match single(&items)?.map(Item::value) {
            None => Ok(None),
            Some(Some(Value::Integer(value))) => Ok(Some(value)),
            Some(_) => Err(EvalError::Type),
        }
    }

    /// Without what is equal to an item before it.
    pub(super) fn distinct(
        &self,
        items: impl IntoIterator<Item = Item<'n>>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let mut seen = Seen::default();
        for item in items {
            self.spend(1 + seen.cost())?;
            if seen.add(&item, self.zone()) {
                out.push(item);
            }
        }
        Ok(())
    }

    /// All that is below, level by level.
    pub(super) fn descendants(&self, items: &[Item<'n>], out: &mut Vec<Item<'n>>) -> Done {
        let start = out.len();
        children(items, out);
        let mut next = start;
        while let Some(item) = out.get(next) {
            let element = item.element().copied();
            self.spend(1)?;
            if let Some(element) = element {
                element.children(out);
            }
            next += 1;
        }
        Ok(())
    }
}

impl<'n> Item<'n> {
    pub(super) fn is(&self, kind: &Specifier) -> bool {
        match self {
            Item::Element(element) => kind.holds_type(element.kind()),
            Item::Value(value) => kind.holds_value(value),
        }
    }
}

/// The children of each.
pub(super) fn children<'n>(items: &[Item<'n>], out: &mut Vec<Item<'n>>) {
    for element in items.iter().filter_map(Item::element) {
        element.children(out);
    }
}

/// One item, or none.
pub(super) fn single<'s, 'n>(items: &'s [Item<'n>]) -> Result<Option<&'s Item<'n>>, EvalError> {
    match items {
        [] => Ok(None),
        [item] => Ok(Some(item)),
        _ => Err(EvalError::NotSingle),
    }
}

/// A collection where a boolean is wanted
/// (<http://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections>).
pub(super) fn truth(items: &[Item<'_>]) -> Result<Option<bool>, EvalError> {
    Ok(single(items)?.map(|item| item.boolean().unwrap_or(true)))
}

pub(super) fn boolean<'n>(value: bool) -> Item<'n> {
    Item::Value(Value::Boolean(value))
}

/// The elements of the tree, for functions that take no values.
pub(super) fn elements<'s, 'n>(items: &'s [Item<'n>]) -> impl Iterator<Item = &'s Element<'n>> {
    items.iter().filter_map(Item::element)
}
