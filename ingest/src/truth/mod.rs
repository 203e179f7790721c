//! What is true of a market beside its book: fees, settlement rules, lifecycle, cross-venue identity; never a forecast.

pub mod bitemporal;
pub mod canon;
pub mod detail;
pub mod evidence;
pub mod fees;
pub mod grid;
pub mod identity;
pub mod lifecycle;
pub mod rules;
pub mod settle;
pub mod settler;
pub mod terms;
