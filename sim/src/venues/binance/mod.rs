//! Binance's wire forms and the true books of a made-up Binance; never a socket.
//!
//! [`BinanceVenue`] is the venue without sockets: frames and steps go in, frames for each connection come out. The
//! forms are those of Binance spot as recorded in 2021-10 and in use since.

pub mod market;
pub mod venue;
pub mod wire;

pub use market::{SpotBook, SpotTrade, SymbolSpec};
pub use venue::{BinanceConfig, BinanceOut, BinanceStats, BinanceVenue};
