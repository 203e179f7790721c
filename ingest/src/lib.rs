//! Brings facts of venues: frames in, market events, questions and report drafts out; it never has an opinion or an
//! unstamped clock.
//!
//! Two families of deterministic machines without sockets live here. [`Feed`], [`Scheduler`] and [`Resolver`] run the
//! sale: settlement index, questions, reports. The machines in [`venue`] turn every frame of a venue into verified
//! books and rows of the tape ([`schemas::TapeRow`]). The `edge` module (feature `edge`) does the deeds they ask for
//! and turns the world into [`schemas::Raw`] records.

pub mod archive;
pub mod book;
pub mod conflate;
pub mod counts;
pub mod coverage;
pub mod decimal;
pub mod deed;
#[cfg(feature = "edge")]
pub mod edge;
mod error;
mod fact;
mod feed;
pub mod guard;
pub mod import;
mod jitter;
pub mod link;
pub mod names;
pub mod redundancy;
pub mod reference;
mod resolver;
pub mod rfc3339;
pub mod scan;
mod scheduler;
pub mod shelf;
pub mod together;
pub mod truth;
pub mod venue;

pub use counts::Counts;
pub use deed::{Deed, VenueOutput};
pub use error::IngestError;
pub use fact::FactInput;
pub use feed::{Feed, FeedConfig, FeedCounts, FeedOutput};
pub use resolver::{ReportDraft, Resolver, ResolverConfig};
pub use scheduler::{Scheduler, SchedulerConfig, SkipReason};
pub use shelf::{Origin, Shelf, Slot};
