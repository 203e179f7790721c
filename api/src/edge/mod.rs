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
mod read;
mod socket;
mod submit;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use schemas::Timestamp;
use tokio::sync::broadcast;

use crate::desk::Desk;
use crate::hosted::Host;
use crate::limits::ApiLimits;
use crate::push::Push;
use crate::view::View;

pub use http::{app, serve};
pub use metrics::Metrics;
pub use openapi::{openapi, openapi_json};

/// The view as its one writer (the kernel) and many readers share it. Apply a verdict before its pushes are sent.
pub type SharedView = Arc<RwLock<View>>;

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
            desk,
            keys,
            pushes,
            now,
            limits: ApiLimits::default(),
            health: Arc::new(|| Health { ready: true, checks: Vec::new() }),
            metrics: Arc::default(),
            host: None,
        }
    }

    /// The view, to read. Never held across an await.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.now)()
    }
}
