//! Kalshi market data, read-only; this module never sends an order.
