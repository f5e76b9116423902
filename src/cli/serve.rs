//! `confide serve`: the server.

use super::{Ended, Trouble};
use crate::{
    config::Config,
    http::{
        Edge, Mount,
        health::{self, Checks, Scrape},
        meters, server,
    },
};
use std::{future::Future, sync::Arc};
use tokio::net::TcpListener;

/// The flags of `confide serve`: the global ones.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs it until SIGTERM or SIGINT.
pub fn run(config: &Config) -> Result<Ended, Trouble> {
    super::runtime()?.block_on(async {
        let listener = bind(config).await?;
        serve(
            config,
            listener,
            Checks::none(),
            |mount| mount,
            server::signal(),
        )
        .await
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
    let edge = Arc::new(Edge::new(&config.limits));
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
