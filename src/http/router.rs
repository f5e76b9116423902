//! Every route. The axum Router and the CapabilityStatement are both made from [`ROUTES`], so that
//! the server does what it says and says what it does.

use super::{Failure, meters::RouteMeters, middleware::Edge};
use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, MethodRouter},
};
use std::{collections::BTreeMap, future::Future, sync::Arc};

/// What a row does. One handler an act; several rows may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "`Act::name` says them")]
pub enum Act {
    Capabilities,
    SmartConfiguration,
    Read,
    Vread,
    HistoryInstance,
    HistoryType,
    HistorySystem,
    SearchType,
    SearchTypePost,
    SearchSystem,
    SearchSystemPost,
    SearchCompartment,
    SearchCompartmentPost,
    Create,
    Update,
    UpdateWhere,
    Patch,
    PatchWhere,
    Delete,
    DeleteWhere,
    Bundle,
    Everything,
    Evaluate,
    Validate,
    ValidateRecord,
    Token,
    Jwks,
    Livez,
    Readyz,
    Metrics,
    /// No row has this path, or none this method for it.
    Unmatched,
}

impl Act {
    /// Its name in the audit chain and in metrics; FHIR's own where it has one
    /// (<https://hl7.org/fhir/R4/valueset-restful-interaction.html>).
    pub fn name(self) -> &'static str {
        match self {
            Act::Capabilities => "capabilities",
            Act::SmartConfiguration => "smart-configuration",
            Act::Read => "read",
            Act::Vread => "vread",
            Act::HistoryInstance => "history-instance",
            Act::HistoryType => "history-type",
            Act::HistorySystem => "history-system",
            Act::SearchType | Act::SearchTypePost => "search-type",
            Act::SearchSystem | Act::SearchSystemPost => "search-system",
            Act::SearchCompartment | Act::SearchCompartmentPost => "search-compartment",
            Act::Create => "create",
            Act::Update | Act::UpdateWhere => "update",
            Act::Patch | Act::PatchWhere => "patch",
            Act::Delete | Act::DeleteWhere => "delete",
            Act::Bundle => "transaction",
            Act::Everything => "everything",
            Act::Evaluate => "evaluate",
            Act::Validate | Act::ValidateRecord => "validate",
            Act::Token => "token",
            Act::Jwks => "jwks",
            Act::Livez => "livez",
            Act::Readyz => "readyz",
            Act::Metrics => "metrics",
            Act::Unmatched => "unmatched",
        }
    }
}

/// A method, as rows name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "HTTP's own words")]
pub enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    /// What no row answers.
    Other,
}

impl Verb {
    /// The method's name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
            Verb::Other => "other",
        }
    }

    /// The filter; GET answers HEAD too.
    fn filter(self) -> Option<MethodFilter> {
        match self {
            Verb::Get => Some(MethodFilter::GET),
            Verb::Post => Some(MethodFilter::POST),
            Verb::Put => Some(MethodFilter::PUT),
            Verb::Patch => Some(MethodFilter::PATCH),
            Verb::Delete => Some(MethodFilter::DELETE),
            Verb::Other => None,
        }
    }
}

/// How errors of a row look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// OperationOutcome, and replies in FHIR's media types, negotiated.
    Fhir,
    /// JSON whatever the Accept header; errors as RFC 6749 has them.
    Auth,
    /// For the operator; never shed, so that a busy server can still be looked at.
    Operations,
}

/// Where the CapabilityStatement lists a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// `rest.resource.interaction.code`, for the row's types.
    Type(&'static str),
    /// `rest.interaction.code`, each of them.
    System(&'static [&'static str]),
    /// As a condition on this interaction of the row's types.
    Condition(&'static str),
    /// `rest.resource.operation.name`, for the row's types.
    Operation(&'static str),
    /// Nowhere: it is no part of FHIR's RESTful API, or the statement itself.
    Nowhere,
}

/// The types that a row answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types {
    /// Each one that the server stores.
    All,
    /// These.
    Only(&'static [&'static str]),
    /// It is not about a type.
    None,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub verb: Verb,
    /// The path's template in axum's form. Metrics and logs show it in place of the path.
    pub path: &'static str,
    /// What it does.
    pub act: Act,
    /// Where the CapabilityStatement lists it.
    pub listed: Listed,
    /// The types that it answers for.
    pub types: Types,
    /// Whether it answers without a token.
    pub open: bool,
    /// How its errors look.
    pub area: Area,
}

const fn fhir(verb: Verb, path: &'static str, act: Act, listed: Listed, types: Types) -> Route {
    let (open, area) = (false, Area::Fhir);
    Route {
        verb,
        path,
        act,
        listed,
        types,
        open,
        area,
    }
}

const fn open(verb: Verb, path: &'static str, act: Act, area: Area) -> Route {
    let (listed, types, open) = (Listed::Nowhere, Types::None, true);
    Route {
        verb,
        path,
        act,
        listed,
        types,
        open,
        area,
    }
}

use Area::{Auth, Fhir, Operations};
use Listed::{Condition, Nowhere, Operation, System, Type};
use Verb::{Delete, Get, Patch, Post, Put};

const BUNDLES: &[&str] = &["batch", "transaction"];
const SYSTEM: &[&str] = &["search-system"];

/// The table. A row that has no handler yet is not served and not listed.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    open(Get,  "/fhir/metadata", Act::Capabilities, Fhir),
    open(Get,  "/fhir/.well-known/smart-configuration", Act::SmartConfiguration, Auth),

    fhir(Post, "/fhir",                           Act::Bundle,         System(BUNDLES),         Types::None),
    fhir(Post, "/fhir/",                          Act::Bundle,         System(BUNDLES),         Types::None),
    fhir(Get,  "/fhir/_history",                  Act::HistorySystem,  System(&["history-system"]), Types::None),
    fhir(Get,  "/fhir/{type}",                    Act::SearchType,     Type("search-type"),     Types::All),
    fhir(Post, "/fhir/{type}/_search",            Act::SearchTypePost, Type("search-type"),     Types::All),
    fhir(Get,  "/fhir",                           Act::SearchSystem,   System(SYSTEM),       Types::None),
    fhir(Get,  "/fhir/",                          Act::SearchSystem,   System(SYSTEM),       Types::None),
    fhir(Post, "/fhir/_search",                   Act::SearchSystemPost, System(SYSTEM),       Types::None),
    fhir(Get,  "/fhir/{type}/{id}/{inner}",       Act::SearchCompartment, Nowhere,              Types::None),
    fhir(Post, "/fhir/{type}/{id}/{inner}/_search", Act::SearchCompartmentPost, Nowhere,        Types::None),
    fhir(Post, "/fhir/{type}",                    Act::Create,         Type("create"),          Types::All),
    fhir(Get,  "/fhir/{type}/{id}",               Act::Read,           Type("read"),            Types::All),
    fhir(Put,  "/fhir/{type}/{id}",               Act::Update,         Type("update"),          Types::All),
    fhir(Put,  "/fhir/{type}",                    Act::UpdateWhere,    Condition("update"),     Types::All),
    fhir(Patch, "/fhir/{type}/{id}",              Act::Patch,          Type("patch"),           Types::All),
    fhir(Patch, "/fhir/{type}",                   Act::PatchWhere,     Condition("patch"),      Types::All),
    fhir(Delete, "/fhir/{type}/{id}",             Act::Delete,         Type("delete"),          Types::All),
    fhir(Delete, "/fhir/{type}",                  Act::DeleteWhere,    Condition("delete"),     Types::All),
    fhir(Get,  "/fhir/{type}/_history",           Act::HistoryType,    Type("history-type"),    Types::All),
    fhir(Get,  "/fhir/{type}/{id}/_history",      Act::HistoryInstance, Type("history-instance"), Types::All),
    fhir(Get,  "/fhir/{type}/{id}/_history/{version}", Act::Vread,     Type("vread"),           Types::All),
    fhir(Get,  "/fhir/Patient/{id}/$everything",  Act::Everything,     Operation("everything"), Types::Only(&["Patient"])),
    fhir(Post, "/fhir/Patient/{id}/$everything",  Act::Everything,     Operation("everything"), Types::Only(&["Patient"])),
    fhir(Get,  "/fhir/Consent/$evaluate",         Act::Evaluate,       Operation("evaluate"),   Types::Only(&["Consent"])),
    fhir(Post, "/fhir/Consent/$evaluate",         Act::Evaluate,       Operation("evaluate"),   Types::Only(&["Consent"])),
    fhir(Post, "/fhir/{type}/$validate",          Act::Validate,       Operation("validate"),   Types::All),
    fhir(Post, "/fhir/{type}/{id}/$validate",     Act::ValidateRecord, Operation("validate"),   Types::All),

    open(Post, "/auth/token", Act::Token, Auth),
    open(Get,  "/auth/jwks",  Act::Jwks,  Auth),

    open(Get,  "/livez",   Act::Livez,   Operations),
    open(Get,  "/readyz",  Act::Readyz,  Operations),
    open(Get,  "/metrics", Act::Metrics, Operations),
];

/// What is asked of a path below `/fhir` that no row has, or with a method that none has.
pub const UNMATCHED: Route = fhir(
    Verb::Other,
    "unmatched",
    Act::Unmatched,
    Listed::Nowhere,
    Types::None,
);

/// Puts handlers on rows. Each row's handler is wrapped once, here, in everything that
/// `middleware` describes; there is no other layer.
#[derive(Debug)]
pub struct Mount {
    edge: Arc<Edge>,
    paths: BTreeMap<&'static str, MethodRouter>,
    served: Vec<&'static Route>,
}

impl Mount {
    /// An empty mount with the limits of `edge`.
    pub fn new(edge: Arc<Edge>) -> Mount {
        Mount {
            edge,
            paths: BTreeMap::new(),
            served: Vec::new(),
        }
    }

    /// Puts `handler`, with its own `state`, on each row of `act`. States are small and each handler
    /// names the one it needs: there is no state of everything.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "axum's habit: handlers are named, not lent"
    )]
    pub fn on<H, T, S>(mut self, act: Act, handler: H, state: S) -> Mount
    where
        H: Handler<T, S> + Sync,
        H::Future: Future<Output = axum::response::Response> + Unpin,
        T: Send + 'static,
        S: Clone + Send + Sync + 'static,
    {
        for route in ROUTES.iter().filter(|route| route.act == act) {
            let Some(filter) = route.verb.filter() else {
                continue;
            };
            let wrapped = self.edge.wrap(route, handler.clone(), state.clone());
            let paths = self.paths.remove(route.path).unwrap_or_default();
            self.paths
                .insert(route.path, paths.on_service(filter, wrapped));
            self.served.push(route);
        }
        self
    }

    /// Puts refused access on the audit chain, from now on.
    #[must_use]
    pub fn telling(self, refusals: super::refused::Refusals) -> Mount {
        self.edge.tell(refusals);
        self
    }

    /// The rows that have a handler: what the CapabilityStatement may list.
    pub fn served(&self) -> &[&'static Route] {
        &self.served
    }

    /// The rows that have none.
    pub fn missing(&self) -> impl Iterator<Item = &'static Route> {
        ROUTES.iter().filter(|route| !self.served.contains(route))
    }

    /// The Router: the rows, then 405 and 404 as OperationOutcome.
    pub fn router(self) -> Router {
        let no_row = || async { Failure::NotFound };
        let no_method = || async { Failure::MethodNotAllowed };
        let mut router = Router::new();
        for (path, methods) in self.paths {
            let refuse = self.edge.wrap(&UNMATCHED, no_method, ());
            router = router.route(path, methods.fallback_service(refuse));
        }
        router.fallback_service(self.edge.wrap(&UNMATCHED, no_row, ()))
    }
}

/// The meters of a row, resolved when it is mounted.
pub(super) fn meters(route: &'static Route) -> RouteMeters {
    RouteMeters::new(route.verb.name(), route.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_have_the_same_method_and_path() {
        let mut seen: Vec<_> = ROUTES.iter().map(|row| (row.path, row.verb)).collect();
        seen.sort();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn only_discovery_and_operations_are_open_on_fhir() {
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|row| row.open && row.path.starts_with("/fhir"))
            .map(|row| row.path)
            .collect();
        let expected = ["/fhir/metadata", "/fhir/.well-known/smart-configuration"];
        assert_eq!(open, expected);
    }

    #[test]
    fn every_row_can_be_mounted_beside_the_others() {
        let edge = Arc::new(Edge::for_tests());
        let mut mount = Mount::new(edge);
        for row in ROUTES {
            if !mount.served.contains(&row) {
                mount = mount.on(row.act, || async { "" }, ());
            }
        }
        assert_eq!(mount.missing().count(), 0);
        let _ = mount.router();
    }

    #[test]
    fn rows_about_types_name_types_that_exist() {
        for row in ROUTES {
            if let Types::Only(names) = row.types {
                for name in names {
                    assert!(crate::fhir::Kind::named(name).is_some(), "{name}");
                }
            }
        }
    }
}
