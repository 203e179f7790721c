//! The twin of Binance over loopback: its exact protocol, and faults where a test asks for them.
//!
//! [`BinanceTwin::spawn`] serves a [`BinanceVenue`] on 127.0.0.1: combined and raw streams and the REST interface. The
//! twin never reaches out, and never changes a book unless it is stepped or run.

mod handle;
mod rest;
mod ws;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::sync::Notify;

pub use self::handle::BinanceTwinHandle;
use crate::edge::server::{Server, Stop};
use crate::edge::turns::{Turns, wall_us};
use crate::error::SimError;
use crate::venues::binance::{BinanceConfig, BinanceVenue};

/// The settings of a twin.
#[derive(Clone, Debug)]
pub struct BinanceTwinConfig {
    /// Where to listen; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The venue: symbols, faults, limits.
    pub venue: BinanceConfig,
    /// Messages each second from the start; 0 waits for [`BinanceTwinHandle::step`] or [`BinanceTwinHandle::run`].
    pub rate: u64,
    /// A clock that stands at these milliseconds since 1970 and moves by [`BinanceTwinHandle::advance`] only; `None`
    /// is the machine's.
    pub clock_ms: Option<i64>,
    /// Time between the server's pings.
    pub ping_every: Duration,
    /// How long a connection lives; the venue ends each after 24 hours.
    pub max_age: Duration,
}

impl Default for BinanceTwinConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            venue: BinanceConfig::default(),
            rate: 0,
            clock_ms: None,
            ping_every: Duration::from_secs(20),
            max_age: Duration::from_hours(24),
        }
    }
}

/// The venue and who waits for its frames, under one lock.
struct Hub {
    venue: BinanceVenue,
    wakers: BTreeMap<u64, Arc<Notify>>,
}

/// What all tasks of a twin share.
struct Shared {
    config: BinanceTwinConfig,
    hub: Mutex<Hub>,
    manual_ms: AtomicI64,
    rate: AtomicU64,
    stop: Stop,
}

impl Shared {
    /// The venue's time, milliseconds since 1970.
    fn now_ms(&self) -> i64 {
        if self.config.clock_ms.is_some() { self.manual_ms.load(Ordering::SeqCst) } else { wall_us() / 1_000 }
    }

    /// Works on the venue under the lock and wakes the connections that have something to send.
    fn with<T>(&self, work: impl FnOnce(&mut BinanceVenue, i64) -> T) -> T {
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.now_ms();
        let out = work(&mut hub.venue, now_ms);
        for conn in hub.venue.ready() {
            if let Some(waker) = hub.wakers.get(&conn) {
                waker.notify_one();
            }
        }
        out
    }
}

/// The twin; see [`BinanceTwin::spawn`].
#[derive(Debug)]
pub struct BinanceTwin;

impl BinanceTwin {
    /// Serves the venue of `config` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`SimError::NoRuntime`] outside a tokio runtime, [`SimError::Bind`] if no port can be bound.
    pub fn spawn(config: BinanceTwinConfig) -> Result<BinanceTwinHandle, SimError> {
        let shared = Arc::new(Shared {
            hub: Mutex::new(Hub { venue: BinanceVenue::new(config.venue.clone()), wakers: BTreeMap::new() }),
            manual_ms: AtomicI64::new(config.clock_ms.unwrap_or(0)),
            rate: AtomicU64::new(config.rate),
            stop: Stop::default(),
            config,
        });
        let router = Router::new()
            .route("/stream", get(ws::combined))
            .route("/ws", get(ws::empty))
            .route("/ws/{*streams}", get(ws::raw))
            .route("/api/v3/{path}", get(rest::get))
            .with_state(Arc::clone(&shared));
        let (addr, server) =
            Server::start(shared.config.addr, &shared.stop, router, drive(Arc::clone(&shared)))?;
        Ok(BinanceTwinHandle::new(addr, shared, server))
    }
}

/// Runs the venue at its rate.
async fn drive(shared: Arc<Shared>) {
    let mut turns = Turns::new();
    loop {
        let (count, _) = tokio::select! {
            () = shared.stop.stopped() => return,
            turn = turns.next(&shared.rate) => turn,
        };
        if count > 0 {
            shared.with(|venue, now_ms| {
                for _ in 0..count {
                    venue.step(now_ms);
                }
            });
        }
    }
}
