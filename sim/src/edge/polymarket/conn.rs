//! Open connections and what waits for them; never blocks, and a full queue ends the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::{Notify, mpsc};

/// What a socket is told to do next.
pub(super) enum Out {
    /// Send this.
    Text(Utf8Bytes),
    /// Say goodbye with a code.
    Close(u16, &'static str),
    /// Go without a goodbye.
    Cut,
}

/// One open connection of any of the sockets.
pub(super) struct Conn {
    queue: mpsc::Sender<Out>,
    kill: Arc<Notify>,
    /// Frames queued and not yet written to the socket.
    backlog: Arc<AtomicU64>,
    /// Markets subscribed, with a bit for each outcome.
    pub(super) markets: BTreeMap<usize, u8>,
    /// Assets subscribed.
    pub(super) assets: usize,
    /// Whether `custom_feature_enabled` was asked for.
    pub(super) custom: bool,
    /// Whether it carries no data any more.
    pub(super) zombie: bool,
    /// Messages that wait for their successor.
    held: Vec<Utf8Bytes>,
    /// What a real-time data connection knows.
    pub(super) rtds: super::rtds::Session,
}

/// The socket's end of a connection.
pub(super) struct Ears {
    pub(super) id: u64,
    pub(super) queue: mpsc::Receiver<Out>,
    pub(super) kill: Arc<Notify>,
    pub(super) backlog: Arc<AtomicU64>,
}

/// All open connections.
#[derive(Default)]
pub(super) struct Conns {
    open: BTreeMap<u64, Conn>,
    next: u64,
    /// Connections ended because their queue was full.
    pub(super) overflows: u64,
    /// Connections opened so far.
    pub(super) opened: u64,
}

impl Conns {
    pub(super) fn open(&mut self, queue: usize) -> Ears {
        let (sender, receiver) = mpsc::channel(queue.max(1));
        let (kill, backlog) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let id = self.next;
        self.next += 1;
        self.opened += 1;
        self.open.insert(
            id,
            Conn {
                queue: sender,
                kill: Arc::clone(&kill),
                backlog: Arc::clone(&backlog),
                markets: BTreeMap::new(),
                assets: 0,
                custom: false,
                zombie: false,
                held: Vec::new(),
                rtds: super::rtds::Session::default(),
            },
        );
        Ears { id, queue: receiver, kill, backlog }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Conn> {
        self.open.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Conn> {
        self.open.get_mut(&id)
    }

    pub(super) fn ids(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Conn> {
        self.open.remove(&id)
    }

    /// The longest backlog of any connection, frames.
    pub(super) fn backlog(&self) -> u64 {
        self.open.values().map(|conn| conn.backlog.load(SeqCst)).max().unwrap_or(0)
    }

    /// Queues a frame as it is; returns whether the connection took it.
    pub(super) fn send(&mut self, id: u64, text: Utf8Bytes) -> bool {
        let Some(conn) = self.open.get(&id) else { return false };
        conn.backlog.fetch_add(1, SeqCst);
        let sent = conn.queue.try_send(Out::Text(text)).is_ok();
        if !sent {
            self.overflows += 1;
            // What waits is lost with the connection, as with a real slow reader.
            if let Some(conn) = self.open.remove(&id) {
                conn.kill.notify_one();
            }
        }
        sent
    }

    /// Queues data: nothing on a zombie, and what waited for its successor follows.
    pub(super) fn data(&mut self, id: u64, text: Utf8Bytes, twice: bool) {
        let Some(conn) = self.open.get_mut(&id).filter(|conn| !conn.zombie) else { return };
        let held = std::mem::take(&mut conn.held);
        if twice {
            self.send(id, text.clone());
        }
        self.send(id, text);
        for text in held {
            self.send(id, text);
        }
    }

    /// Queues data that neither counts nor releases what waits.
    pub(super) fn aside(&mut self, id: u64, text: Utf8Bytes) {
        if self.open.get(&id).is_some_and(|conn| !conn.zombie) {
            self.send(id, text);
        }
    }

    /// Keeps a frame until the connection gets its next one.
    pub(super) fn hold(&mut self, id: u64, text: Utf8Bytes) {
        if let Some(conn) = self.open.get_mut(&id).filter(|conn| !conn.zombie) {
            conn.held.push(text);
        }
    }

    /// Sends what still waits for a successor.
    pub(super) fn release(&mut self) {
        for id in self.ids() {
            let held = self.open.get_mut(&id).map(|conn| std::mem::take(&mut conn.held)).unwrap_or_default();
            for text in held {
                self.send(id, text);
            }
        }
    }

    /// Ends a connection after what is queued; `None` is a cut without a goodbye. Subscriptions are the caller's.
    pub(super) fn end(&mut self, id: u64, close: Option<(u16, &'static str)>) {
        if let Some(conn) = self.open.remove(&id) {
            let out = close.map_or(Out::Cut, |(code, reason)| Out::Close(code, reason));
            if conn.queue.try_send(out).is_err() {
                conn.kill.notify_one();
            }
        }
    }

    /// Ids of the connections for which `wants` holds.
    pub(super) fn filter(&self, wants: impl Fn(&Conn) -> bool) -> BTreeSet<u64> {
        self.open.iter().filter(|(_, conn)| wants(conn)).map(|(&id, _)| id).collect()
    }
}
