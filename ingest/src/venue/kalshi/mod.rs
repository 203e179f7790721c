//! Kalshi market data, read-only; this module never sends an order.
//!
//! [`Kalshi`] is the machine; `wire` reads frames, `sub` counts `seq` per `sid`, `books` applies and recovers, `life`
//! follows markets, [`rest`] reads answers and builds requests. The edge must hand the server's pings on as frames
//! (`heartbeat` or empty): they are the only sign of life of a quiet market.

mod answers;
mod books;
mod command;
mod config;
mod desk;
mod events;
pub mod life;
mod machine;
pub mod rest;
mod sub;
pub mod wire;

pub use config::KalshiConfig;
pub use desk::Audit;
pub use machine::Kalshi;
