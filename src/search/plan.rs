//! A query as a plan: filters, includes, order, page (<https://hl7.org/fhir/R4/search.html>).

use super::{
    chain::{self, Way},
    filter::{Filter, Test},
    params::{self, Param, ParamType},
    results,
    values::ValueFault,
};
use crate::fhir::{
    Id, Kind, Kinds,
    outcome::{Issue, IssueType},
};
use std::cell::Cell;

/// Most parameters in one query.
pub const PARAMETERS: usize = 100;
/// Longest value, in bytes.
pub const VALUE: usize = 16 * 1024;
/// The parameter that carries the opaque cursor of a page.
pub const CURSOR: &str = "_cursor";

/// What a search asks for. Everything in it was checked; the store only translates.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The type searched; all types where `None` (then only with parameters of every resource).
    pub kind: Option<Kind>,
    /// The types searched.
    pub kinds: Kinds,
    /// What a record must pass, all of it.
    pub filters: Vec<Filter>,
    /// References to follow from each match.
    pub include: Vec<Include>,
    /// References to each match to follow back.
    pub revinclude: Vec<Include>,
    /// The order; the store adds the id as the last key.
    pub sort: Vec<SortKey>,
    /// Most matches on a page.
    pub count: u16,
    /// Whether to count all matches.
    pub total: Total,
    /// A shortened answer.
    pub summary: Option<Summary>,
    /// `_elements`: the top-level elements to return; all where empty.
    pub elements: Vec<&'static str>,
    /// Whether contained resources are found.
    pub contained: Contained,
    /// What is answered where one is.
    pub contained_type: ContainedType,
    /// Where the page begins, as the store signed it.
    pub cursor: Option<String>,
    /// What was used, for the self link, as it was asked, without the cursor.
    pub used: Vec<(String, String)>,
}

/// One hop along a reference parameter: `Type:param[:Target]`.
#[derive(Debug, Clone, Copy)]
pub struct Include {
    /// The type that holds the reference; any where `None`.
    pub source: Option<Kind>,
    /// The reference; each of the type's where `None` (`*`).
    pub param: Option<&'static Param>,
    /// Only referenced records of this type.
    pub target: Option<Kind>,
    /// Whether it is followed from what came along, too (`:iterate`).
    pub iterate: bool,
}

impl Include {
    /// The references that are followed from records of a type.
    pub fn params(&self, source: Kind) -> Vec<&'static Param> {
        if self.source.is_some_and(|only| only != source) {
            return Vec::new();
        }
        match self.param {
            Some(param) if param.base == source => vec![param],
            Some(_) => Vec::new(),
            None => params::of(source)
                .iter()
                .filter(|param| param.kind == ParamType::Reference)
                .filter(|param| self.target.is_none_or(|target| param.targets.has(target)))
                .collect(),
        }
    }
}

/// A key of the order.
#[derive(Debug, Clone, Copy)]
pub struct SortKey {
    /// By which parameter.
    pub param: &'static Param,
    /// Greatest first.
    pub descending: bool,
}

/// `_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FHIR's own names")]
pub enum Total {
    None,
    Estimate,
    Accurate,
}

/// `_summary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FHIR's own names")]
pub enum Summary {
    Count,
    True,
    Text,
    Data,
    False,
}

/// `_contained` (<https://hl7.org/fhir/R4/search.html#contained>): all filters are asked of the same
/// contained resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contained {
    /// Records only.
    False,
    /// Contained resources only.
    True,
    /// Either.
    Both,
}

/// `_containedType`: what stands in the answer for a contained resource that is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainedType {
    /// The record that contains it, once.
    Container,
    /// It alone.
    Contained,
}

/// How a query is read.
#[derive(Debug, Clone, Copy)]
pub struct ParseOptions<'a> {
    /// `Prefer: handling=lenient`: unknown parameters are dropped. What is known but not
    /// supported is refused all the same.
    pub lenient: bool,
    /// The page where `_count` is absent.
    pub count_default: u16,
    /// The largest page; a larger `_count` is cut to it.
    pub count_max: u16,
    /// This server's FHIR base, whose absolute URLs are references to its own records.
    pub base: Option<&'a str>,
}

impl Default for ParseOptions<'_> {
    fn default() -> Self {
        ParseOptions {
            lenient: false,
            count_default: 50,
            count_max: 1000,
            base: None,
        }
    }
}

impl Plan {
    /// A plan that matches every record of a type.
    pub fn all(kind: Option<Kind>, options: ParseOptions) -> Plan {
        Plan {
            kind,
            kinds: kind.map_or(Kinds::ALL, |kind| Kinds::NONE.with(kind)),
            filters: Vec::new(),
            include: Vec::new(),
            revinclude: Vec::new(),
            sort: Vec::new(),
            count: options.count_default.min(options.count_max),
            total: Total::None,
            summary: None,
            elements: Vec::new(),
            contained: Contained::False,
            contained_type: ContainedType::Container,
            cursor: None,
            used: Vec::new(),
        }
    }

    /// Reads decoded name-value pairs. Every problem is told; a text names parameters, never their
    /// values, which may be clinical.
    pub fn parse(
        kind: Option<Kind>,
        pairs: &[(String, String)],
        options: ParseOptions,
    ) -> Result<Plan, Vec<Issue>> {
        if pairs.len() > PARAMETERS {
            let text = format!("a query has at most {PARAMETERS} parameters");
            return Err(vec![Issue::new(IssueType::TooLong, text)]);
        }
        let mut plan = Plan::all(kind, options);
        let mut issues = Vec::new();
        // The types say which other parameters there are.
        for (name, value) in pairs.iter().filter(|(name, _)| name == "_type") {
            if let Err(fault) = plan.types(value) {
                issues.push(fault.issue(name));
            }
        }
        for (name, value) in pairs {
            match plan.parameter(name, value, options) {
                Ok(Use::Kept) => plan.used.push((name.clone(), value.clone())),
                Ok(Use::Replaced(value)) => plan.used.push((name.clone(), value)),
                Ok(Use::Apart) => {}
                Err(Fault::Unknown) if options.lenient => {}
                Err(fault) => issues.push(fault.issue(name)),
            }
        }
        issues.extend(plan.at_odds());
        if issues.is_empty() {
            Ok(plan)
        } else {
            Err(issues)
        }
    }

    /// What can't be asked together.
    fn at_odds(&self) -> Vec<Issue> {
        let mut issues = Vec::new();
        if self.contained == Contained::False {
            return issues;
        }
        let mut no = |text| issues.push(Issue::new(IssueType::NotSupported, text));
        if !self.include.is_empty() || !self.revinclude.is_empty() {
            no(
                "`_include` and `_revinclude` can't go with `_contained`: ask for the includes of the \
                records that it finds in a second search",
            );
        }
        if !self.elements.is_empty() && self.contained_type == ContainedType::Container {
            no(
                "`_elements` names elements of the type searched: with `_contained` it needs \
                `_containedType=contained`",
            );
        }
        issues
    }

    fn parameter(&mut self, name: &str, value: &str, options: ParseOptions) -> Result<Use, Fault> {
        if value.len() > VALUE {
            return Err(Fault::TooLong);
        }
        if let Some(done) = results::parameter(self, name, value, options) {
            return done;
        }
        let filter = match name {
            "_type" => return Ok(Use::Kept),
            "_list" => chain::list(value)?,
            _ => {
                let param = |code: &str| self.param(code).ok_or_else(|| self.unknown(code));
                let work = Cell::new(0);
                let way = Way::new(options, &work);
                chain::filter(self.kinds, &param, name, value, way)?
            }
        };
        self.filters.push(filter);
        Ok(Use::Kept)
    }

    fn types(&mut self, value: &str) -> Result<(), Fault> {
        if self.kind.is_some() {
            return Err(Fault::Value("is for a search over several types"));
        }
        if self.kinds != Kinds::ALL {
            return Err(Fault::Value("may be given only once"));
        }
        let kinds: Option<Kinds> = value.split(',').map(Kind::named).collect();
        self.kinds = kinds.ok_or(Fault::Value("names what is no type of FHIR R4"))?;
        Ok(())
    }

    /// Restricts the plan to a compartment, whose id is `id`; false where there is no such
    /// compartment.
    pub fn within(&mut self, of: Kind, id: &Id) -> bool {
        let filter = chain::compartment(of, id, self.kinds);
        let found = filter.is_some();
        self.filters.extend(filter);
        found
    }

    /// The parameter `code` of what is searched: one that each of several types has in the same form.
    pub(super) fn param(&self, code: &str) -> Option<&'static Param> {
        match self.kind {
            Some(kind) => params::param(kind, code),
            None if self.kinds == Kinds::ALL => params::of_every_resource(code),
            None => {
                let mut found = self.kinds.iter().map(|kind| params::param(kind, code));
                let first = found.next()??;
                let same = |param: Option<&Param>| param.is_some_and(|p| p.kind == first.kind);
                // The parts of a composite, and what a code stands for, may differ.
                (found.all(same) && first.kind != ParamType::Composite).then_some(first)
            }
        }
    }

    fn unknown(&self, code: &str) -> Fault {
        const NEVER: [&str; 2] = ["_filter", "_query"];
        let known = self
            .kind
            .is_some_and(|kind| params::known_elsewhere(kind, code));
        if known || NEVER.contains(&code) {
            return Fault::Unsupported("this parameter");
        }
        Fault::Unknown
    }

    /// Whether a filter asks for labels, which a record has only once it is written.
    pub fn asks_labels(&self) -> bool {
        fn of(filter: &Filter) -> bool {
            filter.param.code == params::SECURITY || on(&filter.test)
        }
        fn on(test: &Test) -> bool {
            match test {
                Test::Chain(legs) => legs.iter().any(|leg| of(&leg.filter)),
                Test::Has(filter) => of(filter),
                Test::Not(test) | Test::Among(_, test) => on(test),
                Test::Any(filters) => filters.iter().any(of),
                _ => false,
            }
        }
        self.filters.iter().any(of)
    }

    /// Of one type and one filter, without an order.
    pub fn of(kind: Kind, filter: Filter) -> Plan {
        Plan {
            kind: Some(kind),
            kinds: Kinds::NONE.with(kind),
            filters: vec![filter],
            include: Vec::new(),
            revinclude: Vec::new(),
            sort: Vec::new(),
            count: 0,
            total: Total::None,
            summary: None,
            elements: Vec::new(),
            cursor: None,
            contained: Contained::False,
            contained_type: ContainedType::Container,
            used: Vec::new(),
        }
    }

    /// Whether a filter leads to other records.
    pub fn leads_on(&self) -> bool {
        fn on(test: &Test) -> bool {
            match test {
                Test::Chain(_) | Test::Has(_) => true,
                Test::Not(test) | Test::Among(_, test) => on(test),
                Test::Any(filters) => filters.iter().any(|filter| on(&filter.test)),
                _ => false,
            }
        }
        self.filters.iter().any(|filter| on(&filter.test))
    }
}

/// What becomes of a parameter in the self link.
pub(super) enum Use {
    Kept,
    Replaced(String),
    Apart,
}

/// Why a parameter is refused.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Unknown,
    TooLong,
    Unsupported(&'static str),
    Value(&'static str),
}

impl From<ValueFault> for Fault {
    fn from(fault: ValueFault) -> Fault {
        match fault {
            ValueFault::Unsupported(what) => Fault::Unsupported(what),
            ValueFault::Invalid(what) => Fault::Value(what),
        }
    }
}

impl Fault {
    fn issue(&self, name: &str) -> Issue {
        let known = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
        // A name of another form is likely a value in the wrong place.
        let name = if name.len() <= 64 && !name.is_empty() && name.chars().all(known) {
            format!("parameter `{name}`")
        } else {
            String::from("a parameter")
        };
        match self {
            Fault::Unknown => Issue::new(
                IssueType::NotSupported,
                format!("{name}: no such search parameter here"),
            ),
            Fault::TooLong => Issue::new(
                IssueType::TooLong,
                format!("{name}: the value is longer than {VALUE} bytes"),
            ),
            Fault::Unsupported(what) => Issue::new(
                IssueType::NotSupported,
                format!("{name}: {what} is not supported"),
            ),
            Fault::Value(what) => Issue::new(IssueType::Value, format!("{name}: {what}")),
        }
    }
}

impl SortKey {
    /// Whether a parameter can be an order.
    pub(super) fn sortable(kind: ParamType) -> bool {
        ![ParamType::Composite, ParamType::Special].contains(&kind)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
