//! FHIRPath, compiled once and evaluated over the lossless tree
//! (<http://hl7.org/fhirpath/N1/>, and what R4 adds: <https://hl7.org/fhir/R4/fhirpath.html>).
//!
//! Pure: the time, and all that lies outside the resource, come with the [`Environment`]. Types come
//! from the official definitions (`schema`). Decimals are exact. Items that are elements know their
//! place in the tree ([`Element::path`]).
//!
//! Bounded: an expression's length and depth when it is compiled, the steps that its evaluation takes
//! by [`Environment::steps`]; patterns run in linear time.
//!
//! Where R4's own expressions ask more than the specification allows, they win: `as` on a collection
//! is read as `ofType`, since search parameters use it so.
//!
//! ```
//! use confide::fhir::{Resource, fhirpath::{Environment, Expression}};
//!
//! let patient = Resource::ours(r#"{"resourceType":"Patient","name":[{"given":["Ana","Eva"]}]}"#)?;
//! let expression = Expression::compile("Patient.name.given.where($this.startsWith('E'))")?;
//! let environment = Environment::of(patient.root());
//! let items = expression.evaluate(&environment)?;
//! let place = items[0].element().and_then(|element| element.path(patient.root()));
//! assert_eq!(place.map(|path| path.words(patient.root())).as_deref(), Some("name[0].given[1]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod compare;
mod convert;
mod eval;
mod function;
mod lexer;
mod math;
mod operator;
mod outside;
mod parser;
mod quantity;
mod temporal;
mod text;
mod types;
mod ucum;
mod value;

pub use outside::{Environment, Outside};
pub use quantity::Quantity;
pub use temporal::Temporal;
pub use types::Type;
pub use value::{Element, Item, Value};

use std::{cell::Cell, fmt};

/// The system of UCUM's codes.
const UCUM: &str = "http://unitsofmeasure.org";

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression(parser::Expr);

/// Why a text is no expression, and where. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {at}")]
pub struct CompileError {
    /// What was wrong.
    pub fault: CompileFault,
    /// Offset in bytes from the start of the text.
    pub at: usize,
}

/// The kinds of [`CompileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the Display text says it")]
pub enum CompileFault {
    Syntax,
    End,
    Literal,
    Function,
    Arguments,
    Type,
    Depth,
    Long,
}

impl fmt::Display for CompileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CompileFault::Syntax => "not the grammar of FHIRPath",
            CompileFault::End => "unexpected end of the expression",
            CompileFault::Literal => "no such date, number or character",
            CompileFault::Function => "no such function",
            CompileFault::Arguments => "wrong number of arguments",
            CompileFault::Type => "no such type",
            CompileFault::Depth => "nested too deeply",
            CompileFault::Long => "too long",
        })
    }
}

/// Why an expression has no result. Says nothing of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// More than one item where one is needed.
    #[error("more than one item where the expression needs one")]
    NotSingle,
    /// An operator or function on values of the wrong type.
    #[error("an operator or function does not take values of that type")]
    Type,
    /// The steps allowed are used up.
    #[error("the expression takes too many steps")]
    Steps,
    /// `%name` that nobody set.
    #[error("the expression uses a variable that is not set")]
    Variable,
    /// A pattern that is no regular expression, or too large.
    #[error("not a regular expression that can be used here")]
    Pattern,
    /// `now()` and its kin where no time was given.
    #[error("the expression asks for the time, which is not given here")]
    Clock,
    /// What only a terminology or profiles can answer, where there are none.
    #[error("the expression asks what can't be answered here")]
    Outside,
}

impl Expression {
    /// Compiles a text.
    pub fn compile(text: &str) -> Result<Expression, CompileError> {
        parser::parse(text).map(Expression)
    }

    /// What it selects, or computes, with the environment's context in focus.
    pub fn evaluate<'n>(
        &'n self,
        environment: &Environment<'n>,
    ) -> Result<Vec<Item<'n>>, EvalError> {
        let steps = Cell::new(environment.steps);
        eval::evaluate(&self.0, environment, &steps, false)
    }

    /// The same, but a union at its top keeps items that are equal: each has its own place, which
    /// matters where places are labelled or indexed.
    pub fn evaluate_all<'n>(
        &'n self,
        environment: &Environment<'n>,
    ) -> Result<Vec<Item<'n>>, EvalError> {
        self.evaluate_within(environment, &Cell::new(environment.steps))
    }

    /// The same, where several expressions share one budget of steps; what is left stays in it.
    pub fn evaluate_within<'n>(
        &'n self,
        environment: &Environment<'n>,
        steps: &Cell<usize>,
    ) -> Result<Vec<Item<'n>>, EvalError> {
        eval::evaluate(&self.0, environment, steps, true)
    }

    /// Where the expression ends in an element's name: what stands before it, and the name.
    pub fn member(&self) -> Option<(Expression, String)> {
        match &self.0 {
            parser::Expr::Member(inner, name) => {
                Some((Expression((**inner).clone()), name.plain.to_string()))
            }
            parser::Expr::Head(name) => {
                Some((Expression(parser::Expr::This), name.plain.to_string()))
            }
            _ => None,
        }
    }

    /// As a condition: `None` where it is empty; one item that is no boolean counts as true.
    pub fn test<'n>(&'n self, environment: &Environment<'n>) -> Result<Option<bool>, EvalError> {
        let items = self.evaluate(environment)?;
        match items.as_slice() {
            [] => Ok(None),
            [item] => Ok(Some(item.boolean().unwrap_or(true))),
            _ => Err(EvalError::NotSingle),
        }
    }
}

#[cfg(test)]
mod tests;
