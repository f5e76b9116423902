//! The parameters that shape the result: page, order, includes, totals
//! (<https://hl7.org/fhir/R4/search.html#return>).

use super::{
    params::{self, Param, ParamType},
    plan::{CURSOR, Fault, Include, ParseOptions, Plan, SortKey, Summary, Total, Use},
};
use crate::fhir::{Kind, schema::SCHEMA};

/// Most keys of an order.
const SORT_KEYS: usize = 5;
/// Most includes of either direction.
const INCLUDES: usize = 30;

/// Takes a parameter that shapes the result; `None` where it is none of these.
pub(super) fn parameter(
    plan: &mut Plan,
    name: &str,
    value: &str,
    options: ParseOptions,
) -> Option<Result<Use, Fault>> {
    let (code, modifier) = match name.split_once(':') {
        Some((code, modifier)) => (code, Some(modifier)),
        None => (name, None),
    };
    let read: fn(&mut Plan, &str, ParseOptions) -> Result<Use, Fault> = match code {
        "_include" => |plan, value, _| forward(plan, value),
        "_revinclude" => |plan, value, _| backward(plan, value),
        "_count" => count,
        "_sort" => |plan, value, _| sort(plan, value),
        "_total" => |plan, value, _| total(plan, value),
        "_summary" => |plan, value, _| summary(plan, value),
        "_elements" => |plan, value, _| elements(plan, value),
        "_contained" | "_containedType" => |_, _, _| Err(Fault::Unsupported("this parameter")),
        "_format" | "_pretty" => |_, _, _| Ok(Use::Apart),
        CURSOR => |plan, value, _| cursor(plan, value),
        _ => return None,
    };
    let follows = ["_include", "_revinclude"].contains(&code);
    Some(match modifier {
        None if !follows && code != CURSOR && plan.used.iter().any(|(used, _)| used == code) => {
            Err(Fault::Value("may be given only once"))
        }
        None => read(plan, value, options),
        Some("iterate" | "recurse") if follows => Err(Fault::Unsupported("following further hops")),
        Some(_) => Err(Fault::Value("takes no such modifier")),
    })
}

fn count(plan: &mut Plan, value: &str, options: ParseOptions) -> Result<Use, Fault> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(Fault::Value("must be a whole number"));
    }
    plan.count = value.parse().unwrap_or(u16::MAX).min(options.count_max);
    Ok(Use::Replaced(plan.count.to_string()))
}

fn sort(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    for key in value.split(',') {
        let (descending, code) = match key.strip_prefix('-') {
            Some(code) => (true, code),
            None => (false, key),
        };
        let Some(param) = plan.param(code) else {
            return Err(Fault::Value("names what is no search parameter here"));
        };
        if !SortKey::sortable(param.kind) || param.code == params::SECURITY {
            return Err(Fault::Unsupported("an order by such a parameter"));
        }
        plan.sort.push(SortKey { param, descending });
    }
    if plan.sort.len() > SORT_KEYS {
        return Err(Fault::Value("has too many keys"));
    }
    Ok(Use::Kept)
}

fn total(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    plan.total = match value {
        "none" => Total::None,
        "estimate" => Total::Estimate,
        "accurate" => Total::Accurate,
        _ => return Err(Fault::Value("must be none, estimate or accurate")),
    };
    Ok(Use::Kept)
}

fn summary(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    plan.summary = Some(match value {
        "count" => Summary::Count,
        "false" => Summary::False,
        "true" | "text" | "data" => return Err(Fault::Unsupported("this kind of summary")),
        _ => return Err(Fault::Value("must be true, text, data, count or false")),
    });
    Ok(Use::Kept)
}

fn elements(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    let Some(kind) = plan.kind else {
        return Err(Fault::Unsupported("a choice of elements across all types"));
    };
    let owner = SCHEMA.resource(kind).and_then(|owner| SCHEMA.owner(owner));
    for name in value.split(',') {
        let choice =
            |choice: Option<&str>| choice.and_then(|c| c.strip_suffix("[x]")) == Some(name);
        let mut known = owner
            .iter()
            .flat_map(|owner| owner.elements())
            .filter(|element| element.name == name || choice(element.choice))
            .peekable();
        if known.peek().is_none() {
            return Err(Fault::Value("names what is no element of this type"));
        }
        plan.elements.extend(known.map(|element| element.name));
    }
    Ok(Use::Kept)
}

fn cursor(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    if plan.cursor.is_some() {
        return Err(Fault::Value("may be given only once"));
    }
    plan.cursor = Some(value.into());
    Ok(Use::Apart)
}

fn forward(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    let include = include(value)?;
    if plan.kind.is_some_and(|kind| kind != include.source) {
        return Err(Fault::Value("begins at another type than the one searched"));
    }
    plan.include.push(include);
    limit(&plan.include)
}

fn backward(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    let include = include(value)?;
    let leads = |kind| include.param.targets.has(kind) && include.target.is_none_or(|t| t == kind);
    if !plan.kind.is_none_or(leads) {
        return Err(Fault::Value("never leads to the type searched"));
    }
    plan.revinclude.push(include);
    limit(&plan.revinclude)
}

fn limit(includes: &[Include]) -> Result<Use, Fault> {
    match includes.len() {
        0..=INCLUDES => Ok(Use::Kept),
        _ => Err(Fault::Value("is given too often")),
    }
}

/// `Type:param[:Target]`.
fn include(value: &str) -> Result<Include, Fault> {
    let parts: Vec<&str> = value.split(':').collect();
    if parts.contains(&"*") {
        return Err(Fault::Unsupported("a star"));
    }
    let (source, code, target) = match *parts.as_slice() {
        [source, code] => (source, code, None),
        [source, code, ""] => (source, code, None),
        [source, code, target] => (source, code, Some(target)),
        _ => {
            return Err(Fault::Value(
                "must be Type:parameter or Type:parameter:Target",
            ));
        }
    };
    let source = Kind::named(source).ok_or(Fault::Value("names what is no type of FHIR R4"))?;
    let reference = |param: &&'static Param| param.kind == ParamType::Reference;
    let param = params::param(source, code)
        .filter(reference)
        .ok_or(Fault::Value(
            "names what is no reference parameter of that type",
        ))?;
    let kind = target.map(|name| Kind::named(name).filter(|kind| param.targets.has(*kind)));
    let target = match kind {
        Some(None) => {
            return Err(Fault::Value(
                "names a type that the parameter never points at",
            ));
        }
        Some(kind) => kind,
        None => None,
    };
    Ok(Include {
        source,
        param,
        target,
    })
}
