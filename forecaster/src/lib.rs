//! Opinions: features, model bundles, ONNX Runtime and the miner; this crate never judges and never sees money.
//!
//! [`Forecaster`] is one miner as a deterministic machine: ticks and questions in, deeds out. The deeds are done
//! by [`edge`]: [`edge::Lane`] runs models, [`signer::MinerKey`] seals and signs what the miner says. A model is a
//! [`bundle::Bundle`]: a checked ONNX file with a manifest that says what goes in and what comes out.

pub mod answer;
pub mod bundle;
pub mod config;
#[cfg(feature = "edge")]
pub mod edge;
pub mod engine;
pub mod error;
pub mod features;
pub mod history;
pub mod machine;
pub mod manifest;
mod memory;
pub mod signer;
pub mod trees;

pub use bundle::Bundle;
pub use config::{MinerConfig, Strategy};
pub use engine::{Device, EngineChoice, EngineKind, Provider, ProviderReport};
pub use error::{Check, ForecasterError};
pub use history::History;
pub use machine::{AbstainReason, Counters, Forecaster, ForecasterInput, ForecasterOutput};
pub use manifest::Manifest;
pub use signer::MinerKey;
