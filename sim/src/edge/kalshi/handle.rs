//! What a test holds of a running twin: its addresses, its truth, its levers. Never a socket of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{REST_ROOT, Shared, WS_PATH};
use crate::edge::server::Server;
use crate::edge::turns::until;
use crate::venues::kalshi::index::IndexTick;
use crate::venues::kalshi::venue::LifecycleSent;
use crate::venues::kalshi::{Book, Channel, KalshiVenue, Lifecycle, TrueTrade, VenueStats};

/// Wall time that stepping waits for a full queue before it goes on, and that quiescing waits for empty ones.
const PATIENCE: Duration = Duration::from_secs(5);
/// Messages of one turn of [`KalshiTwinHandle::step`].
const BATCH: u64 = 64;

/// A running twin; dropping it stops it.
pub struct KalshiTwinHandle {
    /// The WebSocket's address.
    pub ws_url: String,
    /// The REST root `…/trade-api/v2`, without a slash at the end.
    pub rest_url: String,
    shared: Arc<Shared>,
    server: Server,
}

impl std::fmt::Debug for KalshiTwinHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KalshiTwinHandle")
            .field("ws_url", &self.ws_url)
            .field("rest_url", &self.rest_url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl KalshiTwinHandle {
    pub(super) fn new(addr: SocketAddr, shared: Arc<Shared>, server: Server) -> Self {
        Self {
            ws_url: format!("ws://{addr}{WS_PATH}"),
            rest_url: format!("http://{addr}{REST_ROOT}"),
            shared,
            server,
        }
    }

    /// Works on the venue itself under its lock; the second argument is its time in microseconds since 1970.
    pub fn with<T>(&self, work: impl FnOnce(&mut KalshiVenue, i64) -> T) -> T {
        self.shared.with(work)
    }

    /// Lets exactly the next `count` messages happen, no faster than the connections take them. The answer is how
    /// many happened: fewer if nothing trades.
    pub async fn step(&self, count: u64) -> u64 {
        let mut done = 0;
        while done < count {
            self.wait_for_room().await;
            let batch = BATCH.min(count - done);
            let moved = self.burst(batch);
            done += moved;
            if moved < batch {
                break;
            }
        }
        done
    }

    async fn wait_for_room(&self) {
        let half = self.shared.config.venue.buffer / 2;
        self.wait_until(|venue| venue.backlog() <= half).await;
    }

    async fn wait_until(&self, ready: impl Fn(&KalshiVenue) -> bool) -> bool {
        until(PATIENCE, || self.with(|venue, _| ready(venue))).await
    }

    /// Lets the next `count` messages happen at once, as the venue would: a connection whose queue is full gets
    /// error 25. The answer is how many happened.
    pub fn burst(&self, count: u64) -> u64 {
        self.with(|venue, now_us| (0..count).take_while(|_| venue.step(now_us)).count() as u64)
    }

    /// Lets messages happen by themselves from now on, so many each second; 0 stops.
    pub fn run(&self, per_second: u64) {
        self.shared.rate.store(per_second, Ordering::SeqCst);
    }

    /// Stops changing, acknowledges what waits, sends what was held back, and waits until every queue is empty
    /// (five seconds at most). `false` if a queue did not empty.
    pub async fn quiesce(&self) -> bool {
        self.run(0);
        self.with(|venue, now_us| {
            venue.release_acks(now_us);
            venue.release_held();
        });
        self.wait_until(|venue| venue.backlog() == 0).await
    }

    /// The true book of a ticker now.
    pub fn truth(&self, ticker: &str) -> Option<Book> {
        self.with(|venue, _| venue.truth(ticker).cloned())
    }

    /// The tickers of all markets in the order they were created.
    pub fn tickers(&self) -> Vec<String> {
        self.with(|venue, _| venue.world.markets.iter().map(|m| m.spec.ticker.clone()).collect())
    }

    /// All trades that happened.
    pub fn trades(&self) -> Vec<TrueTrade> {
        self.with(|venue, _| venue.world.trades.clone())
    }

    /// All messages of `market_lifecycle_v2` that happened.
    pub fn lifecycles(&self) -> Vec<LifecycleSent> {
        self.with(|venue, _| venue.lifecycles.clone())
    }

    /// All index ticks that happened.
    pub fn index_ticks(&self) -> Vec<IndexTick> {
        self.with(|venue, _| venue.index_ticks.clone())
    }

    /// Frames handed to each open connection.
    pub fn sent(&self) -> BTreeMap<u64, u64> {
        self.with(|venue, _| venue.sent())
    }

    /// Lets something happen to a market or an event; `false` for an unknown ticker.
    pub fn happen(&self, event: &Lifecycle) -> bool {
        self.with(|venue, now_us| venue.happen(event, now_us))
    }

    /// Lists a market under `/historical` only, with renamed fields; `false` for an unknown ticker.
    pub fn to_history(&self, ticker: &str) -> bool {
        self.with(|venue, _| venue.to_history(ticker))
    }

    /// Pauses and resumes the exchange: what `/exchange/status` says; nothing happens while trading is paused.
    pub fn set_exchange(&self, exchange_active: bool, trading_active: bool) {
        self.with(|venue, _| {
            (venue.exchange_active, venue.trading_active) = (exchange_active, trading_active);
        });
    }

    /// Moves a manual clock; the indices tick at every whole second on the way.
    pub fn advance(&self, by: Duration) {
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let from = self.shared.manual_us.fetch_add(by_us, Ordering::SeqCst);
        self.with(|venue, now_us| {
            for second in from.div_euclid(1_000_000) + 1..=now_us.div_euclid(1_000_000) {
                venue.tick_indices(second * 1_000);
            }
        });
    }

    /// Ends all subscriptions of a channel with error 10.
    pub fn fail_channel(&self, channel: Channel) {
        self.with(|venue, _| venue.fail_channel(channel));
    }

    /// Cuts all connections without a close frame.
    pub fn cut_all(&self) {
        self.with(|venue, _| venue.cut_all());
    }

    /// Acknowledges the updates that wait, the youngest first.
    pub fn release_acks(&self) {
        self.with(KalshiVenue::release_acks);
    }

    /// What was counted so far.
    pub fn stats(&self) -> VenueStats {
        self.with(|venue, _| venue.stats)
    }

    /// The venue's time, microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.shared.now_us()
    }

    /// Closes all connections, stops changing and waits for it (two seconds at most).
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
