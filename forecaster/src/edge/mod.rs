//! Where the world begins: ONNX Runtime, inference threads, files; nothing here decides what a miner says.

pub mod bundle_dir;
pub mod cadence;
pub mod calibrate;
pub mod check;
pub mod deployed;
pub mod engines;
pub mod key_file;
pub mod lane;
pub mod library;
pub mod model;
pub mod ort_engine;
pub mod probe;
pub mod reload;
pub mod shadow;
pub mod store;

pub use cadence::{Cadence, Sweep};
pub use calibrate::{Calibration, Plan, Plans};
pub use check::{Finding, check};
pub use engines::Engines;
pub use lane::{
    BareSource, BundleSource, Lane, LaneConfig, LaneCounters, LaneMeter, Lanes, Outcome, Predicted, Rows,
    Seat, Source,
};
pub use library::Search;
pub use model::Model;
pub use ort_engine::OrtEngine;
pub use probe::{Probe, probe};
pub use reload::{Prepared, Reloaded, prepare};
