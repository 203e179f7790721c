//! forecaster.
