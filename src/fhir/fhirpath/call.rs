//! The functions of collections (<http://hl7.org/fhirpath/N1/#functions>) and those that FHIR adds
//! (<https://hl7.org/fhir/R4/fhirpath.html#functions>).

use super::{
    EvalError,
    compare::Seen,
    convert::convert,
    eval::{Eval, Scope, boolean, children, elements, single, truth},
    function::{Form, Function},
    parser::Expr,
    temporal::Temporal,
    types::Type,
    value::{Element, Item, Value},
};
use crate::fhir::{Node, schema::SCHEMA};

type Done = Result<(), EvalError>;

impl<'n> Eval<'_, 'n> {
    pub(super) fn call(
        &self,
        function: Function,
        input: Vec<Item<'n>>,
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        self.spend(input.len())?;
        match function {
            Function::Empty => out.push(boolean(input.is_empty())),
            Function::Exists | Function::All => {
                out.push(boolean(self.some(function, &input, arguments, scope)?));
            }
            Function::AllTrue | Function::AnyTrue | Function::AllFalse | Function::AnyFalse => {
                out.push(boolean(verdict(function, &input)?));
            }
            Function::Count => out.push(count(input.len())),
            Function::Not => out.extend(truth(&input)?.map(|truth| boolean(!truth))),
            Function::Where => {
                if let Some(criteria) = arguments.first() {
                    self.each(&input, criteria, scope, |item, found| {
                        if truth(&found)? == Some(true) {
                            out.push(item.clone());
                        }
                        Ok(true)
                    })?;
                }
            }
            Function::Select => {
                if let Some(projection) = arguments.first() {
                    self.each(&input, projection, scope, |_, found| {
                        out.extend(found);
                        Ok(true)
                    })?;
                }
            }
            Function::Repeat => self.repeat(input, arguments, scope, out)?,
            Function::Aggregate => self.aggregate(&input, arguments, scope, out)?,
            Function::Single => out.extend(single(&input)?.cloned()),
            Function::First => out.extend(input.into_iter().next()),
            Function::Last => out.extend(input.into_iter().next_back()),
            Function::Tail => out.extend(input.into_iter().skip(1)),
            Function::Skip | Function::Take => self.part(function, input, arguments, scope, out)?,
            Function::Distinct => self.distinct(input, out)?,
            Function::IsDistinct => {
                let (before, mut kept) = (input.len(), Vec::new());
                self.distinct(input, &mut kept)?;
                out.push(boolean(kept.len() == before));
            }
            Function::SubsetOf
            | Function::SupersetOf
            | Function::Intersect
            | Function::Exclude
            | Function::Union
            | Function::Combine => self.sets(function, input, arguments, scope, out)?,
            Function::Iif => self.iif(&input, arguments, scope, out)?,
            Function::To(form) => out.extend(self.to(form, &input, arguments, scope)?),
            Function::ConvertsTo(form) => {
                if !input.is_empty() {
                    let converted = self.to(form, &input, arguments, scope)?;
                    out.push(boolean(converted.is_some()));
                }
            }
            Function::Text(function) => self.text(function, &input, arguments, scope, out)?,
            Function::Math(function) => {
                let value = self.math(function, &input, arguments, scope)?;
                out.extend(value.map(Item::Value));
            }
            Function::Children => children(&input, out),
            Function::Descendants => self.descendants(&input, out)?,
            Function::Trace => out.extend(input),
            Function::Now | Function::Today | Function::TimeOfDay => {
                out.push(self.clock(function)?);
            }
            Function::Extension | Function::HasExtension => {
                self.extension(function, &input, arguments, scope, out)?;
            }
            Function::HasValue => {
                let one = matches!(input.as_slice(), [Item::Element(one)] if one.has_value());
                let value = matches!(input.as_slice(), [Item::Value(_)]);
                out.push(boolean(one || value));
            }
            Function::GetValue => {
                if let [item] = input.as_slice() {
                    out.extend(item.value().map(Item::Value));
                }
            }
            Function::Resolve => {
                let found = elements(&input).filter_map(|one| self.environment.resolve(one));
                out.extend(found.map(Item::Element));
            }
            Function::MemberOf | Function::ConformsTo | Function::HtmlChecks => {
                self.ask(function, &input, arguments, scope, out)?;
            }
            Function::Nothing => {}
        }
        Ok(())
    }

    /// Whether some item, or each, meets the criteria.
    fn some(
        &self,
        function: Function,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
    ) -> Result<bool, EvalError> {
        let Some(criteria) = arguments.first() else {
            return Ok(!input.is_empty());
        };
        let all = function == Function::All;
        let mut verdict = all;
        self.each(input, criteria, scope, |_, found| {
            let met = truth(&found)? == Some(true);
            if met != all {
                verdict = met;
            }
            Ok(met == all)
        })?;
        Ok(verdict)
    }

    fn repeat(
        &self,
        input: Vec<Item<'n>>,
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let Some(projection) = arguments.first() else {
            return Ok(());
        };
        let mut seen = Seen::default();
        let mut next = input;
        while !next.is_empty() {
            let mut found = Vec::new();
            self.each(&next, projection, scope, |_, items| {
                found.extend(items);
                Ok(true)
            })?;
            next = Vec::new();
            for item in found {
                self.spend(1 + seen.cost())?;
                if seen.add(&item, self.zone()) {
                    next.push(item.clone());
                    out.push(item);
                }
            }
        }
        Ok(())
    }

    fn aggregate(
        &self,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let Some(step) = arguments.first() else {
            return Ok(());
        };
        let mut total = match arguments.get(1) {
            Some(start) => self.items(start, scope)?,
            None => Vec::new(),
        };
        for (index, item) in input.iter().enumerate() {
            let scope = Scope {
                this: std::slice::from_ref(item),
                index: Some(index),
                total: &total,
            };
            total = self.items(step, scope)?;
        }
        out.extend(total);
        Ok(())
    }

    fn part(
        &self,
        function: Function,
        input: Vec<Item<'n>>,
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let Some(number) = arguments.first() else {
            return Ok(());
        };
        let Some(number) = self.integer(number, scope)? else {
            return Ok(());
        };
        let number = usize::try_from(number.max(0)).unwrap_or(usize::MAX);
        if function == Function::Skip {
            out.extend(input.into_iter().skip(number));
        } else {
            out.extend(input.into_iter().take(number));
        }
        Ok(())
    }

    fn sets(
        &self,
        function: Function,
        input: Vec<Item<'n>>,
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let other = match arguments.first() {
            Some(other) => self.items(other, scope)?,
            None => Vec::new(),
        };
        let zone = self.zone();
        if function == Function::Union {
            return self.distinct(input.into_iter().chain(other), out);
        }
        if function == Function::Combine {
            out.extend(input);
            out.extend(other);
            return Ok(());
        }
        let (asked, among) = if function == Function::SupersetOf {
            (other, input)
        } else {
            (input, other)
        };
        let mut others = Vec::new();
        self.distinct(among, &mut others)?;
        let seen = Seen::of(&others, zone);
        self.spend(asked.len().saturating_mul(1 + seen.cost()))?;
        let has = |item: &Item<'n>| seen.has(item, zone);
        match function {
            Function::Intersect => self.distinct(asked.into_iter().filter(has), out)?,
            Function::Exclude => out.extend(asked.into_iter().filter(|item| !has(item))),
            _ => out.push(boolean(asked.iter().all(has))),
        }
        Ok(())
    }

    fn iif(
        &self,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        outer: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let scope = Scope {
            this: input,
            ..outer
        };
        let holds = match arguments.first() {
            Some(criterion) => truth(&self.items(criterion, scope)?)? == Some(true),
            None => false,
        };
        match arguments.get(if holds { 1 } else { 2 }) {
            Some(chosen) => self.run(chosen, scope, out),
            None => Ok(()),
        }
    }

    fn to(
        &self,
        form: Form,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
    ) -> Result<Option<Item<'n>>, EvalError> {
        let Some(item) = single(input)? else {
            return Ok(None);
        };
        let unit = self.argument(arguments, 0, scope)?;
        if form == Form::String
            && let Some(text) = item.text()
        {
            return Ok(Some(Item::Value(Value::String(text))));
        }
        let value = item.value();
        let converted = value.and_then(|value| convert(&value, form, unit.as_ref()));
        Ok(converted.map(Item::Value))
    }

    fn clock(&self, function: Function) -> Result<Item<'n>, EvalError> {
        let now = self.environment.now.ok_or(EvalError::Clock)?;
        let now = Temporal::now(now, self.zone());
        let part = now.and_then(|now| match function {
            Function::Today => now.to_date(),
            Function::TimeOfDay => now.to_time(),
            _ => Some(now),
        });
        let at = part.ok_or(EvalError::Clock)?;
        Ok(Item::Value(Value::Temporal(at)))
    }

    fn extension(
        &self,
        function: Function,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let url = self.argument(arguments, 0, scope)?;
        let kind = SCHEMA
            .named("Extension")
            .map_or(Type::Unknown, Type::Complex);
        let wanted = |node: &&Node| url.is_some() && node.text("url") == url.as_deref();
        let all = elements(input).flat_map(Element::extensions);
        let mut found = all
            .filter(wanted)
            .filter_map(|node| Element::of(Some(node), None, kind));
        if function == Function::HasExtension {
            out.push(boolean(found.next().is_some()));
        } else {
            out.extend(found.map(Item::Element));
        }
        Ok(())
    }

    /// What only a terminology or profiles can answer.
    fn ask(
        &self,
        function: Function,
        input: &[Item<'n>],
        arguments: &'n [Expr],
        scope: Scope<'_, 'n>,
        out: &mut Vec<Item<'n>>,
    ) -> Done {
        let Some(Item::Element(element)) = single(input)? else {
            return Ok(());
        };
        let outside = self.environment.outside.ok_or(EvalError::Outside)?;
        let url = self.argument(arguments, 0, scope)?;
        let answer = match (function, url) {
            (Function::HtmlChecks, _) => outside.html_checks(element),
            (Function::MemberOf, Some(url)) => outside.member_of(element, &url),
            (_, Some(url)) => outside.conforms_to(element, &url),
            (_, None) => return Ok(()),
        };
        out.push(boolean(answer.ok_or(EvalError::Outside)?));
        Ok(())
    }
}

fn count<'n>(count: usize) -> Item<'n> {
    Item::Value(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// `allTrue` and its kin, over booleans.
fn verdict(function: Function, input: &[Item<'_>]) -> Result<bool, EvalError> {
    let wanted = matches!(function, Function::AllTrue | Function::AnyTrue);
    let all = matches!(function, Function::AllTrue | Function::AllFalse);
    let mut result = all;
    for item in input {
        let meets = item.boolean().ok_or(EvalError::Type)? == wanted;
        if meets != all {
            result = meets;
        }
    }
    Ok(result)
}
