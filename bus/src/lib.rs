//! Streams, the sequencer, snapshots and the one loop that drives live and replay; never a rule of the market.
//!
//! A [`Log`] keeps [`schemas::Entry`]s in one total order. A [`Driver`] stamps inputs, lets the machines of a
//! [`Wiring`] answer, appends what they say right behind, and hands out deeds only after the group commit is
//! durable. [`replay`] reads a log again through the same step and demands every derived entry byte for byte.
//!
//! The middle of this crate knows no disk, socket, clock or thread; those live in [`edge`] (feature `edge`).

mod driver;
#[cfg(feature = "edge")]
pub mod edge;
mod error;
pub mod frame;
mod log;
mod memory;
mod replay;
mod snapshot;
mod step;

pub use driver::{Applied, Driver, Limits, Recovery};
#[cfg(feature = "edge")]
pub use edge::file::{FileLog, FileOptions, TornTail};
#[cfg(feature = "edge")]
pub use edge::group::{Ack, GroupCommit, GroupOptions, Submitter};
#[cfg(feature = "edge")]
pub use edge::redis::{RedisLog, RedisOptions};
#[cfg(feature = "edge")]
pub use edge::snapshot::{SnapshotOptions, SnapshotStore};
#[cfg(feature = "edge")]
pub use edge::tail::RedisTail;
pub use error::{BusError, Damage, ShortHash};
pub use log::{EMPTY_AT, Log};
pub use memory::{MemoryLog, MemoryOptions};
pub use replay::{ReplayReport, replay};
pub use snapshot::{SavedState, SnapshotFault, SnapshotNote};
pub use step::{NoMachines, Outbox, Wiring};
