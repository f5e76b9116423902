//! Filters that lead to other records: chains and `_has`
//! (<https://hl7.org/fhir/R4/search.html#chaining>).

use super::{
    filter::{Filter, Leg, ReferenceTest, Test},
    params::{self, ID, Param, ParamType},
    plan::{Fault, ParseOptions},
    values,
};
use crate::fhir::{Id, Kind, Kinds};
use std::cell::Cell;

/// Most hops of a chain.
pub const HOPS: usize = 8;

/// Most ways that the open chains of a parameter (`subject.organization.name`) may branch into.
const WAYS: usize = 64;

/// Most parameters that are looked at to read one.
const WORK: usize = 20_000;

/// Too much for one parameter: told, and never left out in silence as a type that lacks it is.
const TOO_MUCH: &str = "leads to too many types; name one";

/// How far a filter has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'w> {
    options: ParseOptions<'w>,
    hops: usize,
    work: &'w Cell<usize>,
}

impl<'w> Way<'w> {
    /// The beginning.
    pub(super) fn new(options: ParseOptions<'w>, work: &'w Cell<usize>) -> Way<'w> {
        Way {
            options,
            hops: 0,
            work,
        }
    }

    fn on(self) -> Result<Way<'w>, Fault> {
        if self.hops >= HOPS {
            return Err(Fault::Value("leads over too many records"));
        }
        Ok(Way {
            hops: self.hops + 1,
            ..self
        })
    }

    fn works(self) -> Result<(), Fault> {
        self.work.set(self.work.get() + 1);
        match self.work.get() {
            0..=WORK => Ok(()),
            _ => Err(Fault::Value(TOO_MUCH)),
        }
    }
}

/// How many ways a test branches into.
fn ways(test: &Test) -> usize {
    match test {
        Test::Chain(legs) => legs.iter().map(|leg| ways(&leg.filter.test)).sum(),
        Test::Has(filter) => ways(&filter.test),
        _ => 1,
    }
}

/// The filter of a parameter of one of `kinds`; `param` finds a parameter by its code.
pub(super) fn filter(
    kinds: Kinds,
    param: &dyn Fn(&str) -> Result<&'static Param, Fault>,
    name: &str,
    value: &str,
    way: Way<'_>,
) -> Result<Filter, Fault> {
    way.works()?;
    if let Some(rest) = name.strip_prefix("_has:") {
        return has(kinds, rest, value, way);
    }
    if let Some((head, rest)) = name.split_once('.') {
        return chain(param, head, rest, value, way);
    }
    let (code, modifier) = match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    };
    let param = param(code)?;
    let base = way.options.base;
    let several = kinds.iter().nth(1).is_some() && params::of_every_resource(code).is_none();
    if param.kind != ParamType::Token || !several {
        let test = values::test(param, modifier, value, base)?;
        return Ok(Filter { param, test });
    }
    // What a code stands for may differ from type to type.
    let mut any: Vec<(Kinds, Filter)> = Vec::new();
    for kind in kinds.iter() {
        let param = of(kind, code)?;
        let test = values::test(param, modifier, value, base)?;
        let defined = matches!(modifier, Some("in" | "not-in" | "above" | "below"));
        match any
            .iter_mut()
            .find(|(_, known)| known.test == test && !defined)
        {
            Some((kinds, _)) => *kinds = kinds.with(kind),
            None => any.push((Kinds::NONE.with(kind), Filter { param, test })),
        }
    }
    if any.len() == 1
        && let Some((_, filter)) = any.pop()
    {
        return Ok(filter);
    }
    among(any).ok_or(Fault::Unknown)
}

/// One of these filters, each on its own types.
fn among(any: Vec<(Kinds, Filter)>) -> Option<Filter> {
    let any = any.into_iter().map(|(kinds, filter)| Filter {
        param: filter.param,
        test: Test::Among(kinds, Box::new(filter.test)),
    });
    Some(Filter {
        param: params::of_every_resource(ID)?,
        test: Test::Any(any.collect()),
    })
}

/// The parameter `code` of a type.
fn of(kind: Kind, code: &str) -> Result<&'static Param, Fault> {
    params::param(kind, code).ok_or_else(|| {
        if params::known_elsewhere(kind, code) {
            Fault::Unsupported("this parameter")
        } else {
            Fault::Unknown
        }
    })
}

/// `reference[:Type].rest`.
fn chain(
    param: &dyn Fn(&str) -> Result<&'static Param, Fault>,
    head: &str,
    rest: &str,
    value: &str,
    way: Way<'_>,
) -> Result<Filter, Fault> {
    let (code, named) = match head.split_once(':') {
        Some((code, name)) => (code, Some(name)),
        None => (head, None),
    };
    let param = param(code)?;
    if param.kind != ParamType::Reference {
        return Err(Fault::Value("chains over what is no reference"));
    }
    let kinds = match named {
        None => param.targets,
        Some(name) => match Kind::named(name) {
            Some(kind) if param.targets.has(kind) => Kinds::NONE.with(kind),
            _ => {
                return Err(Fault::Value(
                    "chains to a type that the parameter never points at",
                ));
            }
        },
    };
    let on = way.on()?;
    let mut legs: Vec<Leg> = Vec::new();
    let mut fault = Fault::Unknown;
    for kind in kinds.iter() {
        let here = |code: &str| of(kind, code);
        match filter(Kinds::NONE.with(kind), &here, rest, value, on) {
            Ok(filter) => join(&mut legs, kind, filter),
            Err(Fault::Unknown) => {}
            Err(Fault::Value(TOO_MUCH)) => return Err(Fault::Value(TOO_MUCH)),
            Err(other) => fault = other,
        }
    }
    if legs.is_empty() {
        return Err(fault);
    }
    let test = Test::Chain(legs);
    match ways(&test) {
        0..=WAYS => Ok(Filter { param, test }),
        _ => Err(Fault::Value(TOO_MUCH)),
    }
}

/// Adds a leg; where another type is asked the same, they are one.
fn join(legs: &mut Vec<Leg>, kind: Kind, filter: Filter) {
    let same = |leg: &&mut Leg| {
        leg.filter.test == filter.test && leg.filter.param.id == filter.param.id
            // What a `_has` comes from is told by its parameter's type; a label's by its element.
            && (leg.filter.param.base == filter.param.base || !matches!(filter.test, Test::Has(_)))
            && leg.filter.param.kind == filter.param.kind
    };
    match legs.iter_mut().find(same) {
        Some(leg) => leg.kinds = leg.kinds.with(kind),
        None => legs.push(Leg {
            kinds: Kinds::NONE.with(kind),
            filter: Box::new(filter),
        }),
    }
}

/// `Type:reference:rest`, after `_has:`.
fn has(kinds: Kinds, rest: &str, value: &str, way: Way<'_>) -> Result<Filter, Fault> {
    const FORM: Fault = Fault::Value("must be _has:Type:reference:parameter");
    let mut parts = rest.splitn(3, ':');
    let (Some(kind), Some(by), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(FORM);
    };
    let kind = Kind::named(kind).ok_or(Fault::Value("names what is no type of FHIR R4"))?;
    let by = of(kind, by)?;
    if by.kind != ParamType::Reference {
        return Err(Fault::Value("_has goes back over what is no reference"));
    }
    if by.targets.both(kinds).is_empty() {
        return Err(Fault::Value("never leads to the type searched"));
    }
    let here = |code: &str| of(kind, code);
    let on = way.on()?;
    let inner = filter(Kinds::NONE.with(kind), &here, rest, value, on)?;
    Ok(Filter {
        param: by,
        test: Test::Has(Box::new(inner)),
    })
}

/// `_list`: what the List of that id holds.
pub(super) fn list(value: &str) -> Result<Filter, Fault> {
    let kind = Kind::named("List").ok_or(Fault::Unknown)?;
    if value.starts_with('$') {
        return Err(Fault::Unsupported("a list that the server would make"));
    }
    let ids: Option<Vec<Id>> = value
        .split(',')
        .map(|id| Id::parse(id.strip_prefix("List/").unwrap_or(id)))
        .collect();
    let ids = ids.ok_or(Fault::Value("must be the id of a List"))?;
    Ok(Filter {
        param: of(kind, "item")?,
        test: Test::Has(Box::new(Filter {
            param: of(kind, ID)?,
            test: Test::Id(ids),
        })),
    })
}

/// What a compartment holds of the types `kinds`; `None` where there is no such compartment.
pub(super) fn compartment(of: Kind, id: &Id, kinds: Kinds) -> Option<Filter> {
    let mut any: Vec<(Kinds, Filter)> = Vec::new();
    for kind in kinds.iter() {
        // What a compartment is of is in it.
        let own = params::param(kind, ID).filter(|_| kind == of);
        for param in params::compartment(of, kind)?.into_iter().chain(own) {
            let test = match param.code {
                ID => Test::Id(vec![id.clone()]),
                _ => Test::Reference(vec![ReferenceTest::Local {
                    kinds: Kinds::NONE.with(of),
                    id: id.clone(),
                }]),
            };
            match any.iter_mut().find(|(_, known)| known.param.id == param.id) {
                Some((kinds, _)) => *kinds = kinds.with(kind),
                None => any.push((Kinds::NONE.with(kind), Filter { param, test })),
            }
        }
    }
    among(any)
}
