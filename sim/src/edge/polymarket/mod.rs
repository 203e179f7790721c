//! The twin of Polymarket over loopback: its exact protocol, and faults where a test asks for them.
//!
//! One server carries the market channel (`/ws/market`), RTDS v1 (`/rtds`), RTDS v2 (`/rtds2/ws`) and the three REST
//! interfaces (CLOB, Gamma, Data), whose paths do not collide. Never decides what is true: the books of
//! [`crate::venues::polymarket::World`] are, and [`PolymarketHandle::truth`] shows them.
//!
//! Numbers of [`crate::WireFaults`] count, on the market channel, `price_change`, `last_trade_price` and the `book`
//! frames that follow a trade; books after a subscribe or a grid change, `tick_size_change`, `best_bid_ask` and
//! lifecycle messages are not counted and not faulted.
#![allow(clippy::disallowed_methods, reason = "edge: starts the twin's tasks and reads clocks")]

pub mod config;
mod conn;
mod hub;
pub mod log;
mod market;
mod rest;
mod rtds;
mod rtds2;
mod socket;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::{any, get, post};
use tokio::time::Instant;

pub use config::{Corruption, PolymarketTwinConfig, RtdsConfig, SnapshotForm, VenueTime};
pub use hub::BOOKS_PER_FRAME;
pub use log::{LogEntry, PolymarketStats};

use crate::edge::server::{Server, Stop};
use crate::error::SimError;
use crate::venues::polymarket::{Levels, MarketIds};
use hub::Hub;

/// Longest that [`PolymarketHandle::quiesce`] and the steps of one call wait for slow readers, wall time.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the paced twin looks at its clock.
const BEAT: Duration = Duration::from_millis(2);
/// Messages produced under one lock.
const BATCH: u64 = 64;

/// What all tasks of a twin share.
struct Shared {
    hub: Mutex<Hub>,
    stop: Stop,
}

impl Shared {
    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Polymarket's twin; see [`PolymarketTwin::spawn`].
#[derive(Debug)]
pub struct PolymarketTwin;

impl PolymarketTwin {
    /// Serves made-up markets on loopback.
    ///
    /// # Errors
    /// [`SimError::NoRuntime`] outside a tokio runtime, [`SimError::Bind`] if no port can be bound.
    pub fn spawn(config: PolymarketTwinConfig) -> Result<PolymarketHandle, SimError> {
        let addr = config.addr;
        let shared = Arc::new(Shared { hub: Mutex::new(Hub::new(config)), stop: Stop::default() });
        let player = play(Arc::clone(&shared));
        let (addr, server) = Server::start(addr, &shared.stop, router(Arc::clone(&shared)), player)?;
        Ok(PolymarketHandle {
            market_ws_url: format!("ws://{addr}/ws/market"),
            rtds_ws_url: format!("ws://{addr}/rtds"),
            rtds2_ws_url: format!("ws://{addr}/rtds2/ws"),
            rest_url: format!("http://{addr}"),
            shared,
            server,
        })
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ws/market", any(market::upgrade))
        .route("/rtds", any(rtds::upgrade))
        .route("/rtds2/ws", any(rtds2::upgrade))
        .route("/book", get(rest::clob::book))
        .route("/books", post(rest::clob::books))
        .route("/tick-size", get(rest::clob::tick_size))
        .route("/fee-rate", get(rest::clob::fee_rate))
        .route("/prices-history", get(rest::clob::prices_history))
        .route("/clob-markets/{condition}", get(rest::clob::clob_market))
        .route("/markets", get(rest::gamma::markets))
        .route("/events", get(rest::gamma::events))
        .route("/trades", get(rest::data::trades))
        .route("/resolutions", get(rest::data::resolutions))
        .route("/v2/resolutions", get(rest::data::resolutions))
        .with_state(shared)
}

/// Moves a paced twin; a stepped one has nothing to do here.
async fn play(shared: Arc<Shared>) {
    let (rate, tick_rate) = {
        let hub = shared.hub();
        (hub.config.rate, hub.config.rtds.rate)
    };
    if rate.is_none() && tick_rate.is_none() {
        return;
    }
    let mut beat = tokio::time::interval(BEAT);
    let mut last = Instant::now();
    let (mut owed, mut ticks_owed) = (0.0, 0.0);
    loop {
        tokio::select! {
            () = shared.stop.stopped() => return,
            _ = beat.tick() => {}
        }
        let passed = last.elapsed().as_secs_f64();
        last = Instant::now();
        let mut hub = shared.hub();
        if hub.paused {
            continue;
        }
        // A machine that fell behind does not catch up in one burst.
        owed = f64::min(owed + rate.unwrap_or(0.0) * passed, 4_096.0);
        ticks_owed = f64::min(ticks_owed + tick_rate.unwrap_or(0.0) * passed, 64.0);
        while owed >= 1.0 && hub.produce(None) {
            owed -= 1.0;
        }
        while ticks_owed >= 1.0 {
            hub.rtds_tick();
            ticks_owed -= 1.0;
        }
    }
}

/// A running twin; dropping it stops it.
pub struct PolymarketHandle {
    /// The market channel.
    pub market_ws_url: String,
    /// RTDS v1.
    pub rtds_ws_url: String,
    /// RTDS v2.
    pub rtds2_ws_url: String,
    /// Base address of CLOB, Gamma and Data API, without a slash at the end.
    pub rest_url: String,
    shared: Arc<Shared>,
    server: Server,
}

impl std::fmt::Debug for PolymarketHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolymarketHandle")
            .field("rest_url", &self.rest_url)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl PolymarketHandle {
    /// The markets' names, in the order of their numbers.
    pub fn markets(&self) -> Vec<MarketIds> {
        self.shared.hub().world.markets().iter().map(|market| market.ids.clone()).collect()
    }

    /// All assets: YES and NO of each market in turn.
    pub fn assets(&self) -> Vec<String> {
        self.markets().into_iter().flat_map(|ids| ids.tokens).collect()
    }

    /// The true book of an asset, best level first.
    pub fn truth(&self, asset: &str) -> Option<Levels> {
        let hub = self.shared.hub();
        let (market, of) = hub.find(asset)?;
        Some(hub.world.markets()[market].book.levels(of))
    }

    /// The true price grid of an asset, 1e-6.
    pub fn tick_size(&self, asset: &str) -> Option<i64> {
        let hub = self.shared.hub();
        let (market, _) = hub.find(asset)?;
        Some(hub.world.markets()[market].book.tick)
    }

    /// The number of the next data message of the market channel, for [`crate::WireFaults`].
    pub fn next_number(&self) -> u64 {
        self.shared.hub().number
    }

    /// The number of the next tick of the real-time data sockets.
    pub fn next_tick_number(&self) -> u64 {
        self.shared.hub().ticks
    }

    /// Replaces the faults of the market channel from now on.
    pub fn set_faults(&self, faults: crate::WireFaults) {
        self.shared.hub().config.faults = faults;
    }

    /// Replaces the faults of the real-time data sockets from now on.
    pub fn set_rtds_faults(&self, faults: crate::WireFaults) {
        self.shared.hub().config.rtds.faults = faults;
    }

    /// Produces `count` data messages wherever the dice say, no faster than the readers read.
    pub async fn step(&self, count: u64) {
        self.steps(count, None).await;
    }

    /// Produces `count` data messages on one market (by number); what was due elsewhere comes first.
    pub async fn step_market(&self, market: usize, count: u64) {
        self.steps(count, Some(market)).await;
    }

    async fn steps(&self, count: u64, on: Option<usize>) {
        let (mut left, mut patient) = (count, true);
        while left > 0 {
            let room = {
                let mut hub = self.shared.hub();
                for _ in 0..left.min(BATCH) {
                    if !hub.produce(on) {
                        return;
                    }
                }
                hub.config.queue as u64 / 2
            };
            left -= left.min(BATCH);
            // A reader that does not read at all is waited for once; then its queue runs over.
            patient = patient && self.drained_to(room).await;
        }
    }

    /// Produces `count` ticks of the real-time data sockets.
    pub async fn step_rtds(&self, count: u64) {
        for _ in 0..count {
            let room = {
                let mut hub = self.shared.hub();
                hub.rtds_tick();
                hub.config.queue as u64 / 2
            };
            self.drained_to(room).await;
        }
    }

    /// Waits until no connection has more than `room` frames queued; `false` if that took too long.
    async fn drained_to(&self, room: u64) -> bool {
        let until = Instant::now() + DRAIN;
        while self.shared.hub().conns.backlog() > room {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    /// Stops a paced twin, sends what is held back (books that are owed, messages that wait for a successor) and
    /// waits until everything is written to the sockets.
    ///
    /// Returns whether all was written within ten seconds of wall time; a reader that does not read prevents it.
    pub async fn quiesce(&self) -> bool {
        {
            let mut hub = self.shared.hub();
            hub.paused = true;
            hub.pay_books(u64::MAX);
            hub.conns.release();
        }
        self.drained_to(0).await
    }

    /// Lets a paced twin go on.
    pub fn resume(&self) {
        self.shared.hub().paused = false;
    }

    /// Lists one more market, which the CLOB denies for a while; returns its names.
    pub fn list_market(&self) -> MarketIds {
        let mut hub = self.shared.hub();
        let number = hub.list_market();
        hub.world.markets()[number].ids.clone()
    }

    /// Resolves a market (by number); `yes` is what YES pays in 1e-6: 1,000,000, 0 or a split.
    pub fn resolve(&self, market: usize, yes: i64) {
        self.shared.hub().resolve(market, yes);
    }

    /// Changes a market's price grid now.
    pub fn change_tick(&self, market: usize) {
        self.shared.hub().change_tick(market);
    }

    /// Cuts every connection without a goodbye.
    pub fn cut_all(&self) {
        let mut hub = self.shared.hub();
        for id in hub.conns.ids() {
            hub.cut(id);
        }
    }

    /// Closes every RTDS v2 connection as a draining server does (4003).
    pub fn drain_rtds2(&self) {
        self.shared.hub().drain_rtds2();
    }

    /// Allows so many REST requests more before 429.
    pub fn refill(&self, requests: u64) {
        let mut hub = self.shared.hub();
        hub.config.rest_budget = Some(hub.stats.requests + requests);
    }

    /// The trades and lifecycle messages produced so far.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.hub().log.clone()
    }

    /// What was counted so far.
    pub fn stats(&self) -> PolymarketStats {
        let hub = self.shared.hub();
        let (overflows, connections) = (hub.conns.overflows, hub.conns.opened);
        PolymarketStats { overflows, connections, ticks: hub.ticks, ..hub.stats }
    }

    /// Closes all connections and stops (two seconds at most).
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}
