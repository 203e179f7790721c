//! The venue's sockets: does a machine's deeds and turns what comes back into raw records; it never parses a frame.
//!
//! Everything travels through two bounded queues: deeds in, [`Seen`] out, stamped where the socket was read. When the
//! reader of `sink` is slow the sockets are not read (TCP holds the sender back); when a deed does not fit it is
//! refused with a typed error. Any number of connections lives at a time, each with its machine's number.

#![allow(clippy::disallowed_methods, reason = "an edge: tasks and the network live here")]

pub mod archive;
mod endpoints;
pub mod kalshi_sign;
mod rest;
mod seen;
mod sign;
mod ws;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemas::{Raw, RestReply};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::deed::Deed;
use crate::error::IngestError;
pub use endpoints::Endpoints;
use rest::Rest;
pub use seen::{Seen, clocks};
pub use sign::Signer;

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
    /// Whether a WebSocket ping is handed on as a frame with its body (Kalshi: `heartbeat`), for a machine that counts
    /// it as a sign of life. It is answered in any case.
    pub pass_pings: bool,
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
            pass_pings: false,
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
    deeds: mpsc::Sender<Deed>,
    capacity: usize,
    grace: Duration,
    dropped: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// Chooses who does the cryptography of https and wss in this process; without the feature `tls` there is none.
pub fn use_tls() {
    // A provider that was installed before is as good.
    #[cfg(feature = "tls")]
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl VenueEdge {
    /// Starts the edge with default limits; must be called within a tokio runtime.
    pub fn spawn(endpoints: Endpoints, sink: mpsc::Sender<Seen>) -> Self {
        Self::spawn_with(endpoints, EdgeLimits::default(), None, sink)
    }

    /// Starts the edge; must be called within a tokio runtime. With a `signer` every handshake and every request is
    /// signed anew.
    pub fn spawn_with(
        endpoints: Endpoints,
        limits: EdgeLimits,
        signer: Option<Arc<dyn Signer>>,
        sink: mpsc::Sender<Seen>,
    ) -> Self {
        use_tls();
        let (deeds, inbox) = mpsc::channel(limits.deeds.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let (capacity, grace) = (limits.deeds.max(1), limits.send_timeout);
        let hub = Hub {
            sockets: endpoints.sockets.clone(),
            rest: Arc::new(Rest::new(&endpoints.hosts, &limits, signer.clone())),
            limits,
            signer,
            sink,
            conns: BTreeMap::new(),
            tasks: JoinSet::new(),
            fetches: JoinSet::new(),
            dropped: Arc::clone(&dropped),
        };
        let task = tokio::spawn(hub.run(inbox));
        Self { endpoints, deeds, capacity, grace, dropped, task }
    }

    /// Queues a deed. Errors: the endpoint is unusable or not configured, production and demo hosts are mixed, the
    /// queue is full, or the edge has stopped.
    pub fn deed(&self, deed: Deed) -> Result<(), IngestError> {
        match &deed {
            Deed::Connect { socket, .. } => {
                self.endpoints.check_world()?;
                self.endpoints.socket(*socket)?;
            }
            Deed::Fetch { host, .. } => {
                self.endpoints.check_world()?;
                self.endpoints.host(*host)?;
            }
            Deed::Send { .. } | Deed::Close { .. } => {}
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
    sockets: Vec<String>,
    limits: EdgeLimits,
    rest: Arc<Rest>,
    signer: Option<Arc<dyn Signer>>,
    sink: mpsc::Sender<Seen>,
    conns: BTreeMap<u32, mpsc::Sender<Command>>,
    /// Connections; each answers with its number when it has ended.
    tasks: JoinSet<u32>,
    fetches: JoinSet<()>,
    dropped: Arc<AtomicU64>,
}

impl Hub {
    async fn run(mut self, mut inbox: mpsc::Receiver<Deed>) {
        loop {
            tokio::select! {
                deed = inbox.recv() => match deed {
                    Some(deed) => self.start(deed),
                    None => break,
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.forget(ended.ok()),
                Some(_) = self.fetches.join_next(), if !self.fetches.is_empty() => {}
            }
        }
        // Without a commander every socket says goodbye and ends.
        self.conns.clear();
        let goodbye = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.send_timeout, goodbye).await.is_err() {
            tracing::warn!("a connection did not close in time");
        }
    }

    fn start(&mut self, deed: Deed) {
        match deed {
            Deed::Connect { conn, socket } => self.connect(conn, socket),
            Deed::Send { conn, text } => self.command(conn, Command::Send(text)),
            Deed::Close { conn } => {
                self.command(conn, Command::Close);
                self.conns.remove(&conn);
            }
            Deed::Fetch { request, host, path, body } => self.fetch(request, host, path, body),
        }
    }

    /// A connection of its own; one that has this number already loses its commander and says goodbye.
    fn connect(&mut self, conn: u32, socket: u8) {
        let (commands, orders) = mpsc::channel(self.limits.sends.max(1));
        self.conns.insert(conn, commands);
        let conn = ws::Conn {
            number: conn,
            url: self.sockets.get(usize::from(socket)).cloned().unwrap_or_default(),
            limits: self.limits.clone(),
            signer: self.signer.clone(),
            orders,
            sink: self.sink.clone(),
        };
        self.tasks.spawn(async move {
            let no = conn.number;
            conn.run().await;
            no
        });
    }

    /// A connection has ended: nothing can be sent on it any more.
    fn forget(&mut self, conn: Option<u32>) {
        if let Some(conn) = conn
            && self.conns.get(&conn).is_some_and(mpsc::Sender::is_closed)
        {
            self.conns.remove(&conn);
        }
    }

    fn command(&mut self, conn: u32, command: Command) {
        let sent = self.conns.get(&conn).map(|orders| orders.try_send(command));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(conn, "command for a connection that is gone or does not take it");
        }
    }

    fn fetch(&mut self, request: u32, host: u8, path: String, body: Option<String>) {
        let sink = self.sink.clone();
        if self.fetches.len() >= self.limits.fetches.max(1) {
            let bytes = b"too many requests in flight".to_vec();
            let refusal = Raw::Rest(RestReply { request, status: 0, bytes });
            if sink.try_send(Seen::now(refusal)).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        let rest = Arc::clone(&self.rest);
        self.fetches.spawn(async move {
            let reply = rest.fetch(request, host, &path, body).await;
            // The reader is gone only when the process ends.
            let _ = sink.send(Seen::now(Raw::Rest(reply))).await;
        });
    }
}
