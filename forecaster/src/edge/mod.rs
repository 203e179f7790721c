//! Where the world begins: ONNX Runtime, inference threads, files; nothing here decides what a miner says.

pub mod bundle_dir;
pub mod bundle_tar;
pub mod cadence;
pub mod calibrate;
pub mod check;
pub mod engines;
pub mod key_file;
pub mod lane;
pub mod library;
pub mod model;
mod ort_cuda;
pub mod ort_engine;
mod ort_rows;
mod ort_session;
pub mod probe;
pub mod raw_ort;
pub mod reload;
pub mod rten_engine;
pub mod shadow;
pub mod store;
mod tensors;

pub use cadence::{Cadence, Sweep};
pub use calibrate::{Calibration, Plan, Plans};
pub use check::{CheckOptions, CheckReport, Finding, check, check_with};
pub use engines::Engines;
pub use lane::{
    BareSource, BundleSource, Lane, LaneConfig, LaneCounters, Lanes, Outcome, Predicted, Rows, Seat, Source,
};
pub use library::Search;
pub use model::Model;
pub use ort_engine::OrtEngine;
pub use probe::{Probe, probe};
pub use reload::{Prepared, Reloaded, prepare};
