//! The parameters that shape the result: page, order, includes, totals
//! (<https://hl7.org/fhir/R4/search.html#return>).

use super::{
    params::{self, Param, ParamType},
    plan::{
        CURSOR, Contained, ContainedType, Fault, Include, ParseOptions, Plan, SortKey, Summary,
        Total, Use,
    },
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
        "_include" if modifier.is_some() => |plan, value, _| forward(plan, value, true),
        "_include" => |plan, value, _| forward(plan, value, false),
        "_revinclude" if modifier.is_some() => |plan, value, _| backward(plan, value, true),
        "_revinclude" => |plan, value, _| backward(plan, value, false),
        "_count" => count,
        "_sort" => |plan, value, _| sort(plan, value),
        "_total" => |plan, value, _| total(plan, value),
        "_summary" => |plan, value, _| summary(plan, value),
        "_elements" => |plan, value, _| elements(plan, value),
        "_contained" => |plan, value, _| contained(plan, value),
        "_containedType" => |plan, value, _| contained_type(plan, value),
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
        Some("iterate" | "recurse") if follows => read(plan, value, options),
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
        let never = [params::SECURITY, params::TEXT, params::CONTENT];
        if !SortKey::sortable(param.kind) || never.contains(&param.code) {
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
        "true" => Summary::True,
        "text" => Summary::Text,
        "data" => Summary::Data,
        "false" => Summary::False,
        _ => return Err(Fault::Value("must be true, text, data, count or false")),
    });
    Ok(Use::Kept)
}

fn contained(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    plan.contained = match value {
        "false" => Contained::False,
        "true" => Contained::True,
        "both" => Contained::Both,
        _ => return Err(Fault::Value("must be true, false or both")),
    };
    Ok(Use::Kept)
}

fn contained_type(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    plan.contained_type = match value {
        "container" => ContainedType::Container,
        "contained" => ContainedType::Contained,
        _ => return Err(Fault::Value("must be container or contained")),
    };
    Ok(Use::Kept)
}

fn elements(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    for name in value.split(',') {
        let before = plan.elements.len();
        for kind in plan.kinds.iter() {
            let owner = SCHEMA.resource(kind).and_then(|owner| SCHEMA.owner(owner));
            let choice =
                |choice: Option<&str>| choice.and_then(|c| c.strip_suffix("[x]")) == Some(name);
            let known = owner
                .iter()
                .flat_map(|owner| owner.elements())
                .filter(|element| element.name == name || choice(element.choice));
            plan.elements.extend(known.map(|element| element.name));
        }
        if plan.elements.len() == before {
            return Err(Fault::Value("names what is no element of this type"));
        }
    }
    let mut seen = std::collections::HashSet::new();
    plan.elements.retain(|name| seen.insert(*name));
    Ok(Use::Kept)
}

fn cursor(plan: &mut Plan, value: &str) -> Result<Use, Fault> {
    if plan.cursor.is_some() {
        return Err(Fault::Value("may be given only once"));
    }
    plan.cursor = Some(value.into());
    Ok(Use::Apart)
}

fn forward(plan: &mut Plan, value: &str, iterate: bool) -> Result<Use, Fault> {
    let mut include = include(value, iterate)?;
    if include.source.is_none() && !iterate {
        include.source = plan.kind;
    }
    let elsewhere = |source| !iterate && !plan.kinds.has(source);
    if include.source.is_some_and(elsewhere) {
        return Err(Fault::Value("begins at another type than the one searched"));
    }
    plan.include.push(include);
    limit(&plan.include)
}

fn backward(plan: &mut Plan, value: &str, iterate: bool) -> Result<Use, Fault> {
    let include = include(value, iterate)?;
    let leads = |kind| {
        include.source.is_none_or(|source| {
            let mut params = include.params(source).into_iter();
            params.any(|param| param.targets.has(kind)) && include.target.is_none_or(|t| t == kind)
        })
    };
    if !iterate && !plan.kinds.iter().any(leads) {
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

/// `*`, `Type:*` or `Type:param[:Target]`.
fn include(value: &str, iterate: bool) -> Result<Include, Fault> {
    let parts: Vec<&str> = value.split(':').collect();
    let (source, code, target) = match *parts.as_slice() {
        ["*"] => {
            return Ok(Include {
                source: None,
                param: None,
                target: None,
                iterate,
            });
        }
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
    let param = match code {
        "*" => None,
        code => Some(
            params::param(source, code)
                .filter(reference)
                .ok_or(Fault::Value(
                    "names what is no reference parameter of that type",
                ))?,
        ),
    };
    let points = |kind: &Kind| param.is_none_or(|param| param.targets.has(*kind));
    let kind = target.map(|name| Kind::named(name).filter(points));
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
        source: Some(source),
        param,
        target,
        iterate,
    })
}
