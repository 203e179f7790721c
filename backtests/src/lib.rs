//! backtests.
