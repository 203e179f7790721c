//! The edge of the twins: sockets, files, wall time and tasks live here and nowhere else in this crate.

pub mod files;
pub mod pace;
mod player;
mod rest;
mod server;
pub mod stats;
mod turns;
pub mod twin;
mod ws;

pub mod binance;
pub mod kalshi;
pub mod polymarket;
