//! Metrics of requests: counted by route template, method and status; nothing clinical, no ids, no
//! clients. The names are documented in `docs/operations.md`.

use metrics::{Counter, Histogram, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// Requests answered, by `method`, `route`, `status`.
pub const REQUESTS: &str = "confide_http_requests_total";
/// Seconds from the head of a request to its reply, by `method`, `route`.
pub const SECONDS: &str = "confide_http_request_seconds";
/// Requests at work.
pub const IN_FLIGHT: &str = "confide_http_requests_in_flight";
/// Requests refused before a handler saw them, by `reason`.
pub const REFUSED: &str = "confide_http_refused_total";
/// Handlers that panicked. Each one is a bug.
pub const PANICS: &str = "confide_http_panics_total";
/// Always 1, with the `version`.
pub const BUILD: &str = "confide_build_info";

/// Bounds of the histogram's buckets: from a read out of memory to a large transaction.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Statuses that have a slot of their own; anything else is looked up each time.
const STATUSES: [(u16, &str); 22] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (302, "302"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (501, "501"),
    (503, "503"),
];

/// The meters of one route: a count is one atomic addition, not a look-up by labels.
pub struct RouteMeters {
    method: &'static str,
    route: &'static str,
    seconds: Histogram,
    requests: [OnceLock<Counter>; STATUSES.len()],
}

impl RouteMeters {
    /// The meters of this method and template, in the recorder that is installed now.
    pub fn new(method: &'static str, route: &'static str) -> RouteMeters {
        RouteMeters {
            method,
            route,
            seconds: histogram!(SECONDS, "method" => method, "route" => route),
            requests: Default::default(),
        }
    }

    /// Counts one reply.
    pub fn answered(&self, status: u16, took: Duration) {
        self.seconds.record(took.as_secs_f64());
        let known = STATUSES.iter().zip(&self.requests);
        match known.into_iter().find(|((code, _), _)| *code == status) {
            Some(((_, name), slot)) => slot.get_or_init(|| self.counter(name)).increment(1),
            None => self.counter("other").increment(1),
        }
    }

    fn counter(&self, status: &'static str) -> Counter {
        counter!(REQUESTS, "method" => self.method, "route" => self.route, "status" => status)
    }
}

impl std::fmt::Debug for RouteMeters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteMeters({} {})", self.method, self.route)
    }
}

/// Counts a request that was refused before its handler.
pub(super) fn refused(reason: &'static str) {
    counter!(REFUSED, "reason" => reason).increment(1);
}

/// Counts a panic.
pub(super) fn panicked() {
    counter!(PANICS).increment(1);
}

/// Installs the process's recorder, once; later calls give the same handle. Call it before routes
/// are mounted, for meters are bound to the recorder of that moment.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(SECONDS.into()), &BUCKETS)?
        .install_recorder()?;
    describe();
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    *installed = Some(handle.clone());
    Ok(handle)
}

fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests answered");
    metrics::describe_histogram!(SECONDS, "Seconds from request to reply");
    metrics::describe_gauge!(IN_FLIGHT, "Requests at work");
    metrics::describe_counter!(REFUSED, "Requests refused before a handler saw them");
    metrics::describe_counter!(PANICS, "Handlers that panicked");
    metrics::describe_gauge!(BUILD, "Version of the server");
}

/// Drains the histograms' samples every few seconds, as the recorder needs it; runs until dropped.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_template_method_and_status() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let meters = RouteMeters::new("GET", "/fhir/{type}/{id}");
            meters.answered(200, Duration::from_millis(2));
            meters.answered(200, Duration::from_millis(2));
            meters.answered(418, Duration::ZERO);
        });
        let shown = handle.render();
        let labels = r#"method="GET",route="/fhir/{type}/{id}""#;
        assert!(
            shown.contains(&format!("{REQUESTS}{{{labels},status=\"200\"}} 2")),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("{REQUESTS}{{{labels},status=\"other\"}} 1")),
            "{shown}"
        );
    }

    #[test]
    fn the_manual_lists_every_metric() {
        let manual = include_str!("../../docs/operations.md");
        for name in [REQUESTS, SECONDS, IN_FLIGHT, REFUSED, PANICS, BUILD] {
            assert!(manual.contains(&format!("`{name}`")), "{name}");
        }
    }
}
