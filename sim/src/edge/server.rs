//! What every twin runs on: a server on loopback, a player beside it, and the signal that ends both; it answers
//! nothing by itself.
#![allow(clippy::disallowed_methods, reason = "edge: starts the twins' tasks")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::SimError;

/// Wall time that a stopping twin grants its connections.
const GRACE: Duration = Duration::from_secs(2);

/// Tells all tasks of a twin to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    /// Resolves when the twin is told to stop.
    pub(super) async fn stopped(&self) {
        // The sender lives in `self`, so waiting can only end with the value.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}

/// A running server and its player; dropping it stops both.
pub(super) struct Server {
    stop: Stop,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves at an address, where port 0 picks a free one, and lets the player play; says where.
    ///
    /// # Errors
    /// [`SimError::NoRuntime`] outside a tokio runtime, [`SimError::Bind`] if no port can be bound.
    pub(super) fn start(
        addr: SocketAddr,
        stop: &Stop,
        router: Router,
        player: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(SocketAddr, Self), SimError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| SimError::NoRuntime)?;
        let bind = |source| SimError::Bind { addr, source };
        let listener = std::net::TcpListener::bind(addr).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(bind)?.tap_io(|tcp| {
            // Small frames must not wait for an acknowledgement; a socket that cannot is merely slow.
            let _ = tcp.set_nodelay(true);
        });
        let stopper = stop.clone();
        let server = runtime.spawn(async move {
            let serve = axum::serve(listener, router);
            if let Err(error) = serve.with_graceful_shutdown(async move { stopper.stopped().await }).await {
                tracing::error!(%error, "the twin's server ended");
            }
        });
        let player = runtime.spawn(player);
        Ok((bound, Self { stop: stop.clone(), tasks: vec![server, player] }))
    }

    /// Closes all connections, stops playing and waits for it (two seconds at most).
    pub(super) async fn shutdown(mut self) {
        self.stop.0.send_replace(true);
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.0.send_replace(true);
    }
}
