//! Binding, accepting, stopping. Plain hyper instead of `axum::serve`, for two reasons: a caller that
//! trickles its header is cut off, and stopping is bounded.

use super::{forwarded::Peer, path};
use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{future::Future, io, net::SocketAddr, pin::pin, time::Duration};
use tokio::net::TcpListener;
use tower::Service;

/// How long requests that run may go on after a stop is asked for.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long a caller may take for a request's head; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(30);

/// The address can't be listened on: one message for the user, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {at}: {}", problem(.error))]
pub struct BindError {
    at: SocketAddr,
    error: io::Error,
}

fn problem(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses this port; choose another one with `listen` (CONFIDE_LISTEN)"
                .into()
        }
        io::ErrorKind::PermissionDenied => "this user may not use this port".into(),
        io::ErrorKind::AddrNotAvailable => "this machine doesn't have that address".into(),
        _ => error.to_string(),
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Every request that was running has been answered.
    Clean,
    /// Some were cut off at the end of the grace.
    Cut,
}

/// Listens on an address; port 0 takes a free one.
pub async fn bind(at: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(at)
        .await
        .map_err(|error| BindError { at, error })
}

/// Serves until `stop`; then accepts no more, lets running requests finish within `grace`, and
/// returns.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) -> Stopped {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .pipeline_flush(true);
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (socket, peer) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => (socket, Peer(peer.ip())),
                Err(error) => {
                    backoff(&error).await;
                    continue;
                }
            },
        };
        // Small replies must not wait for the other side's acknowledgement.
        let _ = socket.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            if let Some(uri) = path::plain(request.uri()) {
                *request.uri_mut() = uri;
            }
            router.clone().call(request)
        });
        let connection = http.serve_connection(TokioIo::new(socket), service);
        let watched = connections.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the other side's affair; nothing of it is logged.
            let _ = watched.await;
        });
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => Stopped::Clean,
        () = tokio::time::sleep(grace) => Stopped::Cut,
    }
}

/// A connection that was gone before it was accepted is no matter; out of file descriptors, trying
/// again at once would only burn time until some connection ends.
async fn backoff(error: &io::Error) {
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    );
    if !gone {
        tracing::warn!(%error, "can't accept a connection");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Resolves at SIGTERM or SIGINT.
pub async fn signal() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
