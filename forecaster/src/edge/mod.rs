//! Where the world begins: ONNX Runtime, inference threads, files; nothing here decides what a miner says.

pub mod bundle_dir;
pub mod check;
pub mod client;
pub mod engines;
pub mod key_file;
pub mod lane;
pub mod library;
pub mod model;
pub mod oip;
pub mod ort_engine;
pub mod probe;

pub use check::{Finding, check};
pub use engines::Engines;
pub use lane::{Lane, LaneConfig, LaneCounters};
pub use library::Search;
pub use model::Model;
pub use ort_engine::OrtEngine;
pub use probe::{Probe, probe};
