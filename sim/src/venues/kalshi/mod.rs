//! Kalshi's wire forms and the true books of a made-up Kalshi; never a socket.
//!
//! [`KalshiVenue`] is the whole venue without sockets: commands and steps go in, frames for each connection come out.
//! The forms follow Kalshi's AsyncAPI 2.0.0 and OpenAPI 3.34.0 and a recorded session of 2026-07-01.

pub mod auth;
mod candles;
pub mod command;
mod commands;
pub mod grid;
pub mod index;
pub mod market;
pub mod object;
mod send;
pub mod session;
pub mod units;
pub mod venue;
pub mod wire;
pub mod world;

pub use auth::{ClientKey, KeyError, PublicKey};
pub use grid::Structure;
pub use market::{Book, MarketSpec, Side};
pub use session::{Channel, Out};
pub use venue::{KalshiVenue, VenueConfig, VenueStats};
pub use world::{Lifecycle, TrueTrade};
