//! Worlds of markets and the wire forms of the venues that quote them; seeded, never random.

pub mod binance;
pub mod kalshi;
pub mod polymarket;
