//! Accounts, entitlements, metering, REST, WebSocket and the dashboard; it sells signals and never issues one.
//!
//! The [`View`] is a pure fold of verdicts. Everything with a clock, a socket or a file is in `edge`: REST and
//! WebSocket ([`app`], [`serve`]) and the key file ([`keys`]). The only ways back into the house are a [`Desk`] and a [`hosted::Host`].

mod bucket;
mod cursor;
mod dashboard;
mod desk;
mod error;
pub mod hosted;
mod key_form;
mod limits;
mod push;
mod questions;
mod register;
mod strict;
mod submit;
mod view;
mod wire;

#[cfg(feature = "edge")]
mod edge;

pub use bucket::{Bucket, Buckets, Rate};
pub use dashboard::{
    Dashboard, DashboardEpoch, DashboardLedger, DashboardOutcome, DashboardRow, DashboardTopic,
    DashboardTotals,
};
pub use desk::{Desk, DeskError, Receipt};
pub use error::ApiError;
pub use limits::{ApiLimits, SocketBounds};
pub use push::Push;
pub use questions::{Asked, Board, BoardLimits, Cursor, Fact, FactBody, Item, Told, ToldBody};
pub use view::{
    AccountState, Bin, Dropped, Entitlement, EpochState, Event, Held, LedgerSums, MarketKnown, MinerRecord,
    MinerTopicRecord, Notice, OutcomeRecord, Position, SubscriptionState, TopicState, Track, View,
    ViewLimits,
};

#[cfg(feature = "edge")]
pub use edge::{
    ApiState, Health, HealthCheck, Metrics, NetworkName, SharedBoard, SharedView, app, keys, openapi,
    openapi_json, serve,
};
