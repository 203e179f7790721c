//! What is true of a market beside its book: fees, settlement rules, lifecycle, cross-venue identity; never a forecast.

pub mod fees;
