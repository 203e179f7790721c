//! The twin of Kalshi over loopback: its exact protocol, and faults where a test asks for them.
//!
//! [`KalshiTwin::spawn`] serves a [`KalshiVenue`] on 127.0.0.1: the signed WebSocket and the REST interface. The twin
//! never reaches out, and never changes a market unless it is stepped or run.

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

pub use self::handle::KalshiTwinHandle;
use crate::edge::server::{Server, Stop};
use crate::edge::turns::{Turns, wall_us};
use crate::error::SimError;
use crate::venues::kalshi::{KalshiVenue, VenueConfig};

/// The path of the WebSocket, which is also what its handshake signs.
pub const WS_PATH: &str = "/trade-api/ws/v2";
/// The root of the REST interface.
pub const REST_ROOT: &str = "/trade-api/v2";
/// The clock of a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwinClock {
    /// The machine's; indices tick each second.
    Wall,
    /// Stands still at these microseconds since 1970 and moves by [`KalshiTwinHandle::advance`] only.
    Manual(i64),
}

/// The token bucket of the REST interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestLimit {
    /// Tokens that come back each second.
    pub refill_per_s: u64,
    /// Tokens that it holds.
    pub capacity: u64,
    /// Tokens of one request.
    pub cost: u64,
}

/// The settings of a twin.
#[derive(Clone, Debug)]
pub struct KalshiTwinConfig {
    /// Where to listen; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The venue: markets, clients, faults, limits.
    pub venue: VenueConfig,
    /// Whether signatures are checked (the venue does).
    pub check_signatures: bool,
    /// Messages each second from the start; 0 waits for [`KalshiTwinHandle::step`] or [`KalshiTwinHandle::run`].
    pub rate: u64,
    /// The clock.
    pub clock: TwinClock,
    /// Time between the server's pings (body `heartbeat`).
    pub ping_every: Duration,
    /// How long updates wait for their acknowledgement; zero acknowledges at once and in order.
    pub ack_delay: Duration,
    /// The limit of the REST interface; the Basic tier without a setting.
    pub rest_limit: RestLimit,
}

impl Default for KalshiTwinConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            venue: VenueConfig::default(),
            check_signatures: true,
            rate: 0,
            clock: TwinClock::Wall,
            ping_every: Duration::from_secs(10),
            ack_delay: Duration::ZERO,
            rest_limit: RestLimit { refill_per_s: 200, capacity: 200, cost: 10 },
        }
    }
}

/// The venue and who waits for its frames, under one lock.
struct Hub {
    venue: KalshiVenue,
    wakers: BTreeMap<u64, Arc<Notify>>,
}

/// What all tasks of a twin share.
struct Shared {
    config: KalshiTwinConfig,
    hub: Mutex<Hub>,
    manual_us: AtomicI64,
    rate: AtomicU64,
    bucket: Mutex<rest::Bucket>,
    stop: Stop,
}

impl Shared {
    /// The venue's time, microseconds since 1970.
    fn now_us(&self) -> i64 {
        match self.config.clock {
            TwinClock::Manual(_) => self.manual_us.load(Ordering::SeqCst),
            TwinClock::Wall => wall_us(),
        }
    }

    /// Works on the venue under the lock and wakes the connections that have something to send.
    fn with<T>(&self, work: impl FnOnce(&mut KalshiVenue, i64) -> T) -> T {
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let now_us = self.now_us();
        let out = work(&mut hub.venue, now_us);
        for conn in hub.venue.ready() {
            if let Some(waker) = hub.wakers.get(&conn) {
                waker.notify_one();
            }
        }
        out
    }
}

/// The twin; see [`KalshiTwin::spawn`].
#[derive(Debug)]
pub struct KalshiTwin;

impl KalshiTwin {
    /// Serves the venue of `config` on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// [`SimError::NoRuntime`] outside a tokio runtime, [`SimError::Bind`] if no port can be bound.
    pub fn spawn(config: KalshiTwinConfig) -> Result<KalshiTwinHandle, SimError> {
        let shared = Arc::new(share(config));
        let router = Router::new()
            .route(WS_PATH, get(ws::upgrade))
            .route("/trade-api/v2/{*path}", get(rest::get))
            .with_state(Arc::clone(&shared));
        let (addr, server) =
            Server::start(shared.config.addr, &shared.stop, router, drive(Arc::clone(&shared)))?;
        Ok(KalshiTwinHandle::new(addr, shared, server))
    }
}

fn share(mut config: KalshiTwinConfig) -> Shared {
    let start_us = match config.clock {
        TwinClock::Wall => wall_us(),
        TwinClock::Manual(us) => us,
    };
    config.venue.delay_acks |= !config.ack_delay.is_zero();
    Shared {
        hub: Mutex::new(Hub {
            venue: KalshiVenue::new(config.venue.clone(), start_us),
            wakers: BTreeMap::new(),
        }),
        manual_us: AtomicI64::new(start_us),
        rate: AtomicU64::new(config.rate),
        bucket: Mutex::new(rest::Bucket::full(config.rest_limit)),
        stop: Stop::default(),
        config,
    }
}

/// Runs the venue at its rate, ticks the indices by the wall, and lets late acknowledgements go.
async fn drive(shared: Arc<Shared>) {
    let mut turns = Turns::new();
    let (mut second, mut waited) = (0_i64, None::<i64>);
    loop {
        let (count, now_us) = tokio::select! {
            () = shared.stop.stopped() => return,
            turn = turns.next(&shared.rate) => turn,
        };
        let wall = shared.config.clock == TwinClock::Wall;
        let delay_us = i64::try_from(shared.config.ack_delay.as_micros()).unwrap_or(i64::MAX);
        shared.with(|venue, venue_us| {
            for _ in 0..count {
                venue.step(venue_us);
            }
            if wall && now_us / 1_000_000 != second {
                second = now_us / 1_000_000;
                venue.tick_indices(second * 1_000);
            }
            if delay_us > 0 && venue.has_waiting() {
                if now_us - *waited.get_or_insert(now_us) >= delay_us {
                    venue.release_acks(venue_us);
                    waited = None;
                }
            } else {
                waited = None;
            }
        });
    }
}
