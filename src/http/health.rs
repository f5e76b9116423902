//! For the operator: `/livez` (the process answers), `/readyz` (it can do its work), `/metrics`.

use super::{Act, Edge, Mount, meters, negotiate::JSON};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use std::{fmt, sync::Arc, time::Duration};

/// How long all checks together may take before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

type Check = dyn Fn() -> Result<(), String> + Send + Sync;

/// What must hold for the server to be ready: the store answers, the audit can be written.
#[derive(Clone, Default)]
pub struct Checks(Arc<[(&'static str, Arc<Check>)]>);

impl Checks {
    /// Nothing to check: ready when it answers.
    pub fn none() -> Checks {
        Checks::default()
    }

    /// With one more. It may block (it runs off the request threads); its error goes to the log.
    #[must_use]
    pub fn with(
        self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Checks {
        let more: [(&'static str, Arc<Check>); 1] = [(name, Arc::new(check))];
        Checks(self.0.iter().cloned().chain(more).collect())
    }

    /// Runs all of them: each name with whether it holds.
    fn run(&self) -> Vec<(&'static str, bool)> {
        let run = |(name, check): &(&'static str, Arc<Check>)| match check() {
            Ok(()) => (*name, true),
            Err(problem) => {
                tracing::warn!(check = *name, problem, "not ready");
                (*name, false)
            }
        };
        self.0.iter().map(run).collect()
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Puts the operator's routes on. `metrics` is `None` where `/metrics` has a listener of its own.
#[must_use]
pub fn mount(mount: Mount, checks: Checks, metrics: Option<Scrape>) -> Mount {
    let mount = mount
        .on(Act::Livez, livez, ())
        .on(Act::Readyz, readyz, checks);
    match metrics {
        Some(scrape) => mount.on(Act::Metrics, scraped, scrape),
        None => mount,
    }
}

/// The Router of the metrics' own listener.
pub fn metrics_only(edge: Arc<Edge>, scrape: Scrape) -> Router {
    Mount::new(edge).on(Act::Metrics, scraped, scrape).router()
}

/// What a scrape shows.
#[derive(Clone)]
pub struct Scrape {
    /// The process's recorder.
    pub recorder: PrometheusHandle,
    /// Whose requests at work are shown.
    pub edge: Arc<Edge>,
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(checks): State<Checks>) -> Response {
    let run = tokio::task::spawn_blocking(move || checks.run());
    let held = match tokio::time::timeout(PATIENCE, run).await {
        Ok(Ok(held)) => held,
        _ => vec![("in-time", false)],
    };
    let ready = held.iter().all(|(_, holds)| *holds);
    let said: Vec<_> = held
        .iter()
        .map(|(name, holds)| format!(r#""{name}":"{}""#, if *holds { "ok" } else { "failed" }))
        .collect();
    let body = format!(r#"{{"ready":{ready},"checks":{{{}}}}}"#, said.join(","));
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

async fn scraped(State(scrape): State<Scrape>) -> Response {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests at work")]
    gauge!(meters::IN_FLIGHT).set(scrape.edge.in_flight() as f64);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], scrape.recorder.render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, extract::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn ask(checks: Checks) -> (u16, String) {
        let edge = Arc::new(Edge::for_tests());
        let router = mount(Mount::new(edge), checks, None).router();
        let request = Request::get("/readyz").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_when_every_check_holds() {
        let checks = Checks::none().with("store", || Ok(()));
        let (status, body) = ask(checks.clone()).await;
        assert_eq!(
            (status, body.as_str()),
            (200, r#"{"ready":true,"checks":{"store":"ok"}}"#)
        );
        let (status, body) = ask(checks.with("audit", || Err("disk full".into()))).await;
        assert_eq!(status, 503);
        assert!(
            body.contains(r#""audit":"failed""#) && !body.contains("disk"),
            "{body}"
        );
    }
}
