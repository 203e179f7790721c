//! Strictly proper scores, one file per rule; a score never depends on who forecasts or on anybody else's forecast.
//!
//! Scores that move stake are in [0, 1], 1 is best, and are computed in integers. The floating-point functions beside
//! them are for reports only.

mod brier;
mod crps;
mod log;

pub use brier::{brier, squared_error};
pub use crps::{Axis, crps_ensemble, crps_ensemble_fair, crps_quantile, reference_crps};
pub use log::{log_loss, log_score};
