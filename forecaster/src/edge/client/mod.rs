//! A miner that runs beside nobody: it reads questions and market facts over the network, seals, signs and hands in.
//!
//! The same [`crate::Forecaster`] decides what to say as in a hosted miner; here are only the socket, the requests, the
//! clock and the journal of promises. Nothing here judges, and the key never leaves the process.
//!
//! A forecast is written to the [`journal`] and synced before its commitment is sent. So whatever dies, this process or
//! the node, the same bytes are sent again, and what was acknowledged is revealed.

pub mod book;
mod convert;
mod feed;
pub mod journal;
mod pause;
pub mod rest;
mod run;
pub mod status;
mod submit;

pub use rest::{Failure, Rest};
pub use run::{Answers, RemoteConfig, RemoteMiner, Sink};
pub use status::{Event, Status};
