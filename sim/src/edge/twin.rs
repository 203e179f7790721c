//! The venue's twin: one server on loopback for WebSocket and REST, one player that moves time. Never serves what
//! was not known at virtual now.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::Utf8Bytes;
use axum::routing::get;
use schemas::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::pace::{Hold, Pace};
use super::server::{Server, Stop};
use super::stats::{Counters, TwinStats};
use super::{player, rest, ws};
use crate::day::Day;
use crate::error::SimError;
use crate::faults::Faults;

/// The settings of a twin.
#[derive(Clone, Debug)]
pub struct TwinConfig {
    /// Where to listen; port 0 picks a free one.
    pub addr: SocketAddr,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// Frames that may wait for one connection; one more and it is closed.
    pub queue: usize,
    /// Connections at a time; one more and it is refused with 503.
    pub max_connections: usize,
    /// Wall time to wait for the first subscriber before playing; zero plays at once.
    pub wait_for_subscriber: Duration,
}

impl Default for TwinConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            faults: Faults::default(),
            queue: 1_024,
            max_connections: 64,
            wait_for_subscriber: Duration::from_secs(30),
        }
    }
}

/// A frame on its way to one connection; its unit of busy leaves if it is never sent.
pub(super) struct Outgoing {
    pub(super) text: Utf8Bytes,
    pub(super) hold: Hold,
}

/// One open connection.
pub(super) struct Conn {
    pub(super) queue: mpsc::Sender<Outgoing>,
    pub(super) kill: Arc<Notify>,
    pub(super) opened: Timestamp,
    pub(super) subscribed: bool,
}

/// The open connections and how far the day has been played, under one lock so that nobody gets a tick twice or
/// misses one between the history and the first update.
#[derive(Default)]
pub(super) struct Hub {
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) next_conn: u64,
    /// Ticks played.
    pub(super) cursor: usize,
}

/// What all tasks of a twin share.
pub(super) struct Shared {
    pub(super) day: Arc<Day>,
    pub(super) pace: Pace,
    pub(super) config: TwinConfig,
    pub(super) counters: Counters,
    pub(super) subscribed: Notify,
    pub(super) stop: Stop,
    pub(super) done: watch::Sender<bool>,
    hub: Mutex<Hub>,
}

impl Shared {
    pub(super) fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a frame for a connection of the hub; a full queue closes the connection.
    pub(super) fn send(&self, hub: &mut Hub, conn: u64, text: Utf8Bytes) -> bool {
        let Some(open) = hub.conns.get(&conn) else { return false };
        let sent = open.queue.try_send(Outgoing { text, hold: self.pace.hold() }).is_ok();
        if !sent {
            self.counters.overflows.bump();
            self.cut(hub, conn);
        }
        sent
    }

    /// Takes a connection out of the hub and closes it; the peer leaves for it when it has noticed.
    pub(super) fn cut(&self, hub: &mut Hub, conn: u64) {
        if let Some(open) = hub.conns.remove(&conn) {
            self.pace.enter();
            open.kill.notify_one();
        }
    }
}

/// The venue's twin; see [`Twin::spawn`].
#[derive(Debug)]
pub struct Twin;

impl Twin {
    /// Serves `day` on a free port of 127.0.0.1 and plays it by `pace`.
    ///
    /// # Errors
    /// [`SimError::NoRuntime`] outside a tokio runtime, [`SimError::Bind`] if no port can be bound.
    pub fn spawn(day: Arc<Day>, pace: Pace) -> Result<TwinHandle, SimError> {
        Self::spawn_with(day, pace, TwinConfig::default())
    }

    /// The same with settings.
    pub fn spawn_with(day: Arc<Day>, pace: Pace, config: TwinConfig) -> Result<TwinHandle, SimError> {
        let shared = Arc::new(Shared {
            day,
            pace,
            config,
            counters: Counters::default(),
            subscribed: Notify::new(),
            stop: Stop::default(),
            done: watch::Sender::new(false),
            hub: Mutex::default(),
        });
        let router = Router::new()
            .route("/ws", get(ws::upgrade))
            .route("/events", get(rest::events))
            .route("/markets", get(rest::markets))
            .with_state(Arc::clone(&shared));
        let player = player::play(Arc::clone(&shared));
        let (addr, server) = Server::start(shared.config.addr, &shared.stop, router, player)?;
        Ok(TwinHandle {
            ws_url: format!("ws://{addr}/ws"),
            rest_url: format!("http://{addr}"),
            shared,
            server,
        })
    }
}

/// A running twin; dropping it stops it.
pub struct TwinHandle {
    /// WebSocket address, RTDS v1.
    pub ws_url: String,
    /// Base address of the Gamma REST interface, without a slash at the end.
    pub rest_url: String,
    shared: Arc<Shared>,
    server: Server,
}

impl std::fmt::Debug for TwinHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TwinHandle")
            .field("ws_url", &self.ws_url)
            .field("rest_url", &self.rest_url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl TwinHandle {
    /// Resolves when the day has been played to its end and everything has settled. Holds nothing of `self`.
    pub fn done(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut done = self.shared.done.subscribe();
        async move {
            // An error means that the twin is gone, which is an end too.
            let _ = done.wait_for(|done| *done).await;
        }
    }

    /// Whether the day has been played to its end.
    pub fn is_done(&self) -> bool {
        *self.shared.done.borrow()
    }

    /// What was counted so far.
    pub fn stats(&self) -> TwinStats {
        self.shared.counters.snapshot()
    }

    /// The pace that the twin moves.
    pub fn pace(&self) -> Pace {
        self.shared.pace.clone()
    }

    /// Closes all connections, stops playing and waits for it (two seconds at most).
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
