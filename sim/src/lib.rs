//! Seeded worlds and venue twins: a day of markets, recorded or made up, served over the venue's real wire
//! protocols. Never judges, never trades, and never tells anybody what was not known yet.
//!
//! A [`Day`] is the script. [`Twin`] plays it over loopback sockets (RTDS WebSocket and Gamma REST); [`Pace`] owns
//! virtual time and only moves it when everything in flight has settled, so a slow machine never misses a window.

pub mod civil;
pub mod day;
pub mod edge;
pub mod error;
pub mod faults;
pub mod gamma;
pub mod quote;
pub mod recorded;
pub mod rtds;
pub mod venues;
pub mod wire_faults;
pub mod world;

pub use day::{Day, DayMarket, Tick};
pub use edge::pace::{BoxFuture, Clock, Hold, Pace, Speed, StepHook};
pub use edge::stats::TwinStats;
pub use edge::twin::{Twin, TwinConfig, TwinHandle};
pub use error::SimError;
pub use faults::{Faults, RestFault, Zombie};
pub use wire_faults::WireFaults;
pub use world::WorldConfig;
