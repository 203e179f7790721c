//! Brings facts of venues: frames in, market events, questions and report drafts out; it never has an opinion or an
//! unstamped clock.
//!
//! [`Feed`], [`Scheduler`] and [`Resolver`] are deterministic machines without sockets; the `edge` module (feature
//! `edge`) does the [`FeedDeed`]s they ask for and turns the world into [`schemas::Raw`] records.

#[cfg(feature = "edge")]
pub mod edge;
mod error;
mod fact;
mod feed;
pub mod reference;
mod resolver;
mod scheduler;
pub mod venue;

pub use error::IngestError;
pub use fact::FactInput;
pub use feed::{Feed, FeedConfig, FeedCounts, FeedDeed, FeedOutput};
pub use resolver::{ReportDraft, Resolver, ResolverConfig};
pub use scheduler::{Scheduler, SchedulerConfig, SkipReason};
