//! Guards against wrong values and wrong clocks: outliers, decimal shifts, clock skew, latency; they flag, they never
//! repair.

mod crossing;
mod latency;
mod outlier;
mod skew;

pub use crossing::{Crossing, CrossingWatch};
pub use latency::{Latencies, Latency, LatencySummary};
pub use outlier::{OutlierConfig, OutlierGuard, OutlierVerdict};
pub use skew::{SkewConfig, SkewMeter, SkewSign, Skews};
