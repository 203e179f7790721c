//! Polymarket's wire forms and the true books of a made-up Polymarket; never a socket.
//!
//! [`world::World`] is the truth: binary markets whose NO book mirrors the YES book at 1 − p. [`wire`] says it as the
//! market channel does, [`rest`] as CLOB, Gamma and Data API do, [`index`] and [`rtds`] are the real-time prices.

pub mod book;
pub mod decimal;
pub mod ids;
pub mod index;
pub mod rest;
pub mod rtds;
pub mod rtds2;
pub mod wire;
pub mod world;

pub use book::{Levels, Outcome, Side, TrueBook};
pub use world::{Market, MarketIds, Mix, Trade, World, WorldSpec};
