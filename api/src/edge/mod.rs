//! The API's edge: sockets, files, clocks and tasks; everything it decides is decided by pure code outside.

mod charge;
mod gate;
mod hosted;
mod http;
pub mod keys;
mod metrics;
mod openapi;
mod page;
mod problem;
mod questions;
mod read;
mod register;
mod socket;
mod submit;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use schemas::Timestamp;
use tokio::sync::{broadcast, watch};

use crate::desk::Desk;
use crate::hosted::Host;
use crate::limits::ApiLimits;
use crate::push::Push;
use crate::questions::{Board, BoardLimits};
use crate::view::View;

pub use http::{app, serve};
pub use metrics::Metrics;
pub use openapi::{openapi, openapi_json};

/// The view as its one writer (the kernel) and many readers share it. Apply a verdict before its pushes are sent.
pub type SharedView = Arc<RwLock<View>>;

/// The board as its one writer (the kernel) and many readers share it.
pub type SharedBoard = Arc<RwLock<Board>>;

/// The network that is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkName {
    /// Its name.
    pub name: String,
    /// The hash inside every commitment.
    pub hash: [u8; 32],
}

/// Whether the service can do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether requests should be sent here.
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<HealthCheck>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// How it is, in words.
    pub detail: String,
}

/// What the API stands on.
#[derive(Clone)]
pub struct ApiState {
    /// What may be read.
    pub view: SharedView,
    /// What miners that run elsewhere may read.
    pub board: SharedBoard,
    /// Rings when the board has changed; only the newest ring counts, so it never fills up.
    pub bell: watch::Sender<u64>,
    /// The network.
    pub network: NetworkName,
    /// The way into the intake.
    pub desk: Arc<dyn Desk>,
    /// Who may ask.
    pub keys: keys::KeyStore,
    /// Tells sockets that something happened; what happened they read from the view.
    pub pushes: broadcast::Sender<Arc<Push>>,
    /// The clock entitlements and rates are judged by.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The bounds.
    pub limits: ApiLimits,
    /// Asked at every `/readyz`.
    pub health: Arc<dyn Fn() -> Health + Send + Sync>,
    /// Counters of the edge; share it to read them elsewhere.
    pub metrics: Arc<Metrics>,
    /// More metrics of this process, as OpenMetrics text without its end; asked at every `/metrics`.
    pub more_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who runs uploaded bundles; nobody by default.
    pub host: Option<Arc<dyn Host>>,
}

impl ApiState {
    /// With default bounds, fresh counters and a health that is always ready.
    pub fn new(
        view: SharedView,
        desk: Arc<dyn Desk>,
        keys: keys::KeyStore,
        pushes: broadcast::Sender<Arc<Push>>,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self {
            view,
            board: Arc::new(RwLock::new(Board::new(BoardLimits::default()))),
            bell: watch::Sender::new(0),
            network: NetworkName::default(),
            desk,
            keys,
            pushes,
            now,
            limits: ApiLimits::default(),
            health: Arc::new(|| Health { ready: true, checks: Vec::new() }),
            metrics: Arc::default(),
            more_metrics: Arc::new(String::new),
            host: None,
        }
    }

    /// The view, to read. Never held across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The board, to read. Never held across an await.
    pub(crate) fn board(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }
}
