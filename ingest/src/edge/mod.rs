//! The venue's sockets: does a feed's deeds and turns what comes back into raw records; it never parses a frame.
//!
//! Everything travels through two bounded queues: deeds in, [`Raw`] out. When the reader of `sink` is slow the sockets
//! are not read (TCP holds the sender back); when a deed does not fit it is refused with a typed error.

#![allow(clippy::disallowed_methods, reason = "an edge: tasks and the network live here")]

pub mod kalshi_sign;
mod rest;
mod ws;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::{Raw, RestReply};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::IngestError;
use crate::feed::FeedDeed;
use rest::Rest;

/// Where a venue lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Index WebSocket, e.g. `wss://ws-live-data.polymarket.com` or `ws://127.0.0.1:9000/ws`.
    pub ws_url: String,
    /// REST host without a trailing path, e.g. `https://gamma-api.polymarket.com`.
    pub rest_url: String,
}

impl Endpoints {
    /// Checks the schemes; without the feature `tls` only `ws://` and `http://` work.
    pub fn check(&self) -> Result<(), IngestError> {
        check_scheme(&self.ws_url, "ws://", "wss://")?;
        check_scheme(&self.rest_url, "http://", "https://")
    }
}

fn check_scheme(url: &str, plain: &str, tls: &str) -> Result<(), IngestError> {
    match url {
        _ if url.starts_with(plain) => Ok(()),
        _ if url.starts_with(tls) && cfg!(feature = "tls") => Ok(()),
        _ if url.starts_with(tls) => Err(IngestError::TlsMissing(url.to_owned())),
        _ => Err(IngestError::BadEndpoint(url.to_owned())),
    }
}

/// Bounds of an edge.
#[derive(Clone, Debug)]
pub struct EdgeLimits {
    /// Deeds that may wait to be started.
    pub deeds: usize,
    /// Texts that may wait to be sent on one connection.
    pub sends: usize,
    /// Requests in flight; more are answered with status 0 at once.
    pub fetches: usize,
    /// Largest WebSocket message, bytes; a larger one ends the connection.
    pub max_frame_bytes: usize,
    /// Largest REST body, bytes; a larger one is answered with status 0.
    pub max_body_bytes: usize,
    /// Time for a socket to open, including the handshake.
    pub connect_timeout: Duration,
    /// Time for one request from start to last byte.
    pub request_timeout: Duration,
    /// Time for one text to be written, and for a connection to say goodbye.
    pub send_timeout: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            deeds: 256,
            sends: 64,
            fetches: 32,
            max_frame_bytes: 1 << 20,
            max_body_bytes: 1 << 20,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(5),
        }
    }
}

/// What a connection is told.
pub(crate) enum Command {
    /// Write a text frame.
    Send(String),
    /// Say goodbye.
    Close,
}

/// The handle of a running edge. Dropping it stops the edge without a goodbye.
#[derive(Debug)]
pub struct VenueEdge {
    endpoints: Endpoints,
    deeds: mpsc::Sender<FeedDeed>,
    capacity: usize,
    grace: Duration,
    dropped: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl VenueEdge {
    /// Starts the edge with default limits; must be called within a tokio runtime.
    pub fn spawn(endpoints: Endpoints, sink: mpsc::Sender<Raw>) -> Self {
        Self::spawn_with(endpoints, EdgeLimits::default(), sink)
    }

    /// Starts the edge; must be called within a tokio runtime.
    pub fn spawn_with(endpoints: Endpoints, limits: EdgeLimits, sink: mpsc::Sender<Raw>) -> Self {
        #[cfg(feature = "tls")]
        // A provider that was installed before is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (deeds, inbox) = mpsc::channel(limits.deeds.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let (capacity, grace) = (limits.deeds.max(1), limits.send_timeout);
        let rest = Rest::new(&endpoints.rest_url, &limits);
        let hub = Hub {
            ws_url: endpoints.ws_url.clone(),
            limits,
            rest: Arc::new(rest),
            sink,
            conns: BTreeMap::new(),
            sockets: JoinSet::new(),
            fetches: JoinSet::new(),
            dropped: Arc::clone(&dropped),
        };
        let task = tokio::spawn(hub.run(inbox));
        Self { endpoints, deeds, capacity, grace, dropped, task }
    }

    /// Queues a deed. Errors: the endpoint is unusable, the queue is full, or the edge has stopped.
    pub fn deed(&self, deed: FeedDeed) -> Result<(), IngestError> {
        match deed {
            FeedDeed::Connect { .. } => check_scheme(&self.endpoints.ws_url, "ws://", "wss://")?,
            FeedDeed::Fetch { .. } => check_scheme(&self.endpoints.rest_url, "http://", "https://")?,
            FeedDeed::Send { .. } | FeedDeed::Close { .. } => {}
        }
        self.deeds.try_send(deed).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => IngestError::QueueFull(self.capacity),
            mpsc::error::TrySendError::Closed(_) => IngestError::EdgeStopped,
        })
    }

    /// Deeds that were accepted and could not be done: a text for a connection that is gone or does not take it, or a
    /// request beyond the limit whose refusal did not fit into the sink.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Closes all connections and waits until every task has ended; what is still in flight then is cut off.
    pub async fn shutdown(mut self) {
        // Replacing the only sender ends the hub's inbox.
        let (gone, _) = mpsc::channel(1);
        self.deeds = gone;
        if tokio::time::timeout(self.grace * 2, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

impl Drop for VenueEdge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that owns all others.
struct Hub {
    ws_url: String,
    limits: EdgeLimits,
    rest: Arc<Rest>,
    sink: mpsc::Sender<Raw>,
    conns: BTreeMap<u32, mpsc::Sender<Command>>,
    sockets: JoinSet<()>,
    fetches: JoinSet<()>,
    dropped: Arc<AtomicU64>,
}

impl Hub {
    async fn run(mut self, mut inbox: mpsc::Receiver<FeedDeed>) {
        loop {
            tokio::select! {
                deed = inbox.recv() => match deed {
                    Some(deed) => self.start(deed),
                    None => break,
                },
                Some(_) = self.sockets.join_next(), if !self.sockets.is_empty() => {}
                Some(_) = self.fetches.join_next(), if !self.fetches.is_empty() => {}
            }
        }
        // Without a commander every socket says goodbye and ends.
        self.conns.clear();
        let goodbye = async { while self.sockets.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.send_timeout, goodbye).await.is_err() {
            tracing::warn!("a connection did not close in time");
        }
    }

    fn start(&mut self, deed: FeedDeed) {
        match deed {
            FeedDeed::Connect { conn } => self.connect(conn),
            FeedDeed::Send { conn, text } => self.command(conn, Command::Send(text)),
            FeedDeed::Close { conn } => {
                self.command(conn, Command::Close);
                self.conns.remove(&conn);
            }
            FeedDeed::Fetch { request, path } => self.fetch(request, path),
        }
    }

    /// One connection at a time: older ones lose their commander and say goodbye.
    fn connect(&mut self, conn: u32) {
        let (commands, orders) = mpsc::channel(self.limits.sends.max(1));
        self.conns.clear();
        self.conns.insert(conn, commands);
        self.sockets.spawn(ws::run(
            conn,
            self.ws_url.clone(),
            self.limits.clone(),
            orders,
            self.sink.clone(),
        ));
    }

    fn command(&mut self, conn: u32, command: Command) {
        let sent = self.conns.get(&conn).map(|orders| orders.try_send(command));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(conn, "command for a connection that is gone or does not take it");
        }
    }

    fn fetch(&mut self, request: u32, path: String) {
        let sink = self.sink.clone();
        if self.fetches.len() >= self.limits.fetches.max(1) {
            let bytes = b"too many requests in flight".to_vec();
            if sink.try_send(Raw::Rest(RestReply { request, status: 0, bytes })).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let rest = Arc::clone(&self.rest);
        self.fetches.spawn(async move {
            let reply = rest.fetch(request, &path).await;
            // The reader is gone only when the process ends.
            let _ = sink.send(Raw::Rest(reply)).await;
        });
    }
}
