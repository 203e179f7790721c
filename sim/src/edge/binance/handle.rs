//! What a test holds of a running twin: its addresses, its truth, its levers. Never a socket of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use crate::edge::server::Server;
use crate::edge::turns::until;
use crate::venues::binance::{BinanceStats, BinanceVenue, SpotBook, SpotTrade};

/// Wall time that stepping waits for a full queue before it goes on, and that quiescing waits for empty ones.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages of one turn of [`BinanceTwinHandle::step`].
const BATCH: u64 = 64;

/// A running twin; dropping it stops it.
pub struct BinanceTwinHandle {
    /// The WebSocket's address without a path: append `/stream?streams=…` or `/ws/…`.
    pub ws_url: String,
    /// The REST address without a path: append `/api/v3/…`.
    pub rest_url: String,
    shared: Arc<Shared>,
    server: Server,
}

impl std::fmt::Debug for BinanceTwinHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BinanceTwinHandle")
            .field("ws_url", &self.ws_url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl BinanceTwinHandle {
    pub(super) fn new(addr: SocketAddr, shared: Arc<Shared>, server: Server) -> Self {
        Self { ws_url: format!("ws://{addr}"), rest_url: format!("http://{addr}"), shared, server }
    }

    /// Works on the venue itself under its lock; the second argument is its time in milliseconds since 1970.
    pub fn with<T>(&self, work: impl FnOnce(&mut BinanceVenue, i64) -> T) -> T {
        self.shared.with(work)
    }

    /// Lets exactly the next `count` messages happen, no faster than the connections take them.
    pub async fn step(&self, count: u64) -> u64 {
        let mut done = 0;
        while done < count {
            let half = self.shared.config.venue.buffer / 2;
            self.wait_until(|venue| venue.backlog() <= half).await;
            let batch = BATCH.min(count - done);
            let moved = self.burst(batch);
            done += moved;
            if moved < batch {
                break;
            }
        }
        done
    }

    async fn wait_until(&self, ready: impl Fn(&BinanceVenue) -> bool) -> bool {
        until(PATIENCE, || self.with(|venue, _| ready(venue))).await
    }

    /// Lets the next `count` messages happen at once: a connection whose queue is full is cut.
    pub fn burst(&self, count: u64) -> u64 {
        self.with(|venue, now_ms| (0..count).take_while(|_| venue.step(now_ms)).count() as u64)
    }

    /// Lets messages happen by themselves from now on, so many each second; 0 stops.
    pub fn run(&self, per_second: u64) {
        self.shared.rate.store(per_second, Ordering::SeqCst);
    }

    /// Stops changing, tells what no depth event has told yet, sends what was held back, and waits until every queue
    /// is empty (five seconds at most). `false` if a queue did not empty.
    pub async fn quiesce(&self) -> bool {
        self.run(0);
        self.with(BinanceVenue::settle);
        self.wait_until(|venue| venue.backlog() == 0).await
    }

    /// The true book of a symbol now.
    pub fn truth(&self, symbol: &str) -> Option<SpotBook> {
        self.with(|venue, _| venue.truth(symbol).cloned())
    }

    /// The last update id of a symbol.
    pub fn last_id(&self, symbol: &str) -> Option<u64> {
        self.with(|venue, _| venue.symbol(symbol).map(|symbol| symbol.last_id))
    }

    /// All trades of a symbol.
    pub fn trades(&self, symbol: &str) -> Vec<SpotTrade> {
        self.with(|venue, _| venue.symbol(symbol).map(|symbol| symbol.trades.clone()).unwrap_or_default())
    }

    /// Moves a manual clock.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shared.manual_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Cuts all connections without a close frame.
    pub fn cut_all(&self) {
        self.with(|venue, _| venue.cut_all());
    }

    /// What was counted so far.
    pub fn stats(&self) -> BinanceStats {
        self.with(|venue, _| venue.stats)
    }

    /// Closes all connections, stops changing and waits for it (two seconds at most).
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
