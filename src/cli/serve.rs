//! `confide serve`: the server.

use super::{
    Ended, Trouble,
    open::{self, Opened},
};
use crate::{
    calendar::Clock,
    config::Config,
    fhir::json::Limits,
    http::{
        Api, Edge, Mount, Proxies, Shared, auth, capabilities, fhir,
        health::{self, Checks, Scrape},
        meters,
        rate::Rates,
        server,
    },
    interaction::{Service, cursor::CursorKey},
};
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

/// The flags of `confide serve`: the global ones.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs it until SIGTERM or SIGINT.
pub fn run(config: &Config) -> Result<Ended, Trouble> {
    super::runtime()?.block_on(async {
        // The address first: a busy port is said before anything is opened.
        let listener = bind(config).await?;
        let opened = open::open(config, Clock::System)?;
        let api = api(config, opened)?;
        serve(
            config,
            listener,
            checks(&api),
            |mount| routes(mount, &api, &config.base()),
            server::signal(),
        )
        .await
    })
}

/// The API over what was opened.
pub fn api(config: &Config, opened: Opened) -> Result<Api, Trouble> {
    let cursors = CursorKey::open(&config.data_dir).map_err(|error| {
        Trouble::Usage(format!(
            "{}: the key of cursors can't be made: {error}",
            config.data_dir.display()
        ))
    })?;
    let limits = Limits {
        depth: config.limits.json_depth,
        nodes: config.limits.json_nodes,
    };
    let longest = std::time::Duration::from_secs(config.limits.request_seconds);
    opened.store.limit(longest);
    Ok(Api::new(Shared {
        service: Service {
            store: opened.store,
            journal: opened.audit.clone(),
            settings: opened.settings,
            clock: opened.clock,
            base: config.base().into(),
            cursors,
            limits,
            checks: open::checks(config),
            count_max: u16::try_from(config.limits.search_count_max).unwrap_or(1000),
            entries_max: config.limits.bundle_entries,
            strict: config.strict,
            turn: tokio::sync::Mutex::default(),
        },
        log: opened.audit,
        tokens: opened.tokens,
        registry: opened.registry,
        remote: opened.remote,
        urls: opened.urls,
        rates: Rates::new(config.limits.requests_per_second),
        clock: opened.clock,
    }))
}

/// Every row of the route table but the operator's. The CapabilityStatement comes last: it says what
/// was mounted before it.
pub fn routes(mount: Mount, api: &Api, base: &str) -> Mount {
    let mount = fhir::mount(mount, api);
    let mount = auth::mount(mount, api);
    capabilities::mount(mount, api, base)
}

/// What must hold for the server to be ready.
pub fn checks(api: &Api) -> Checks {
    let store = api.parts().service.store.clone();
    let log = api.parts().log.clone();
    Checks::none()
        .with("store", move || {
            store.ping().map_err(|error| error.to_string())
        })
        .with("audit", move || {
            log.ping().map_err(|error| error.to_string())
        })
}

/// Takes the configured address, or says why it can't.
pub async fn bind(config: &Config) -> Result<TcpListener, Trouble> {
    let bound = server::bind(config.listen).await;
    bound.map_err(|error| Trouble::Usage(error.to_string()))
}

/// Serves what `routes` mounts, and the operator's routes, until `stop`. `demo` calls it too.
pub async fn serve(
    config: &Config,
    listener: TcpListener,
    checks: Checks,
    routes: impl FnOnce(Mount) -> Mount,
    stop: impl Future<Output = ()>,
) -> Result<Ended, Trouble> {
    let failed = |error: &dyn std::error::Error| Trouble::Failed(error.to_string());
    let recorder = meters::install().map_err(|error| failed(&error))?;
    let upkeep = tokio::spawn(meters::upkeep(recorder.clone()));
    let edge = Arc::new(Edge::new(
        &config.limits,
        Proxies::new(&config.public_url, &config.trusted_proxies),
    ));
    let scrape = Scrape {
        recorder,
        edge: edge.clone(),
    };
    let here = match config.metrics_listen {
        None => Some(scrape),
        Some(at) => {
            let bound = server::bind(at).await;
            let alone = bound.map_err(|error| Trouble::Usage(error.to_string()))?;
            let router = health::metrics_only(edge.clone(), scrape);
            let never = std::future::pending();
            tokio::spawn(server::serve(alone, router, never, server::GRACE));
            None
        }
    };
    let router = health::mount(routes(Mount::new(edge)), checks, here).router();
    let at = listener.local_addr().map_err(|error| failed(&error))?;
    tracing::info!(listen = %at, base = config.base(), "ready: http://{at}");
    let stopped = server::serve(listener, router, stop, server::GRACE).await;
    upkeep.abort();
    match stopped {
        server::Stopped::Clean => tracing::info!("stopped"),
        server::Stopped::Cut => tracing::warn!("stopped; some requests were cut off"),
    }
    Ok(Ended::Done)
}
