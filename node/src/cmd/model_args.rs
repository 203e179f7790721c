//! Flags of every command that runs models: which, with what library, on which device. Never loads anything.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use forecaster::edge::Engines;
use forecaster::{Device, EngineChoice};

use crate::assets;

/// Without the feature `cuda` there is nothing to choose from.
const DEFAULT_DEVICE: &str = if cfg!(feature = "cuda") { "auto" } else { "cpu" };

/// Where models and their runtime are, and where they run.
#[derive(Clone, Debug, Args)]
pub struct ModelArgs {
    /// Folder of the model bundles [default: models/ nearby].
    #[arg(long)]
    pub models: Option<PathBuf>,
    /// ONNX Runtime library or its folder [default: ORT_DYLIB_PATH, or vendor/onnxruntime nearby].
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
    /// Where models run: cpu, auto, cuda or cuda-or-fail.
    #[arg(long, default_value = DEFAULT_DEVICE, value_parser = parse_device)]
    pub device: Device,
    /// What runs models: auto, ort (ONNX Runtime), trees or rten (pure Rust).
    #[arg(long, default_value = "auto", value_parser = parse_engine)]
    pub engine: EngineChoice,
}

/// The same without the folder of bundles, for commands that are given one bundle.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// What runs the model: auto, ort (ONNX Runtime), trees or rten (pure Rust).
    #[arg(long, default_value = "auto", value_parser = parse_engine)]
    pub engine: EngineChoice,
    /// Where it runs: cpu, auto, cuda or cuda-or-fail.
    #[arg(long, default_value = DEFAULT_DEVICE, value_parser = parse_device)]
    pub device: Device,
    /// ONNX Runtime library or its folder [default: ORT_DYLIB_PATH, or vendor/onnxruntime nearby].
    #[arg(long, value_name = "PATH")]
    pub ort_lib: Option<PathBuf>,
}

impl EngineArgs {
    /// The engines of this machine.
    pub fn engines(&self) -> Result<Engines> {
        Ok(Engines::find(&assets::ort_search(self.ort_lib.clone()), self.engine)?)
    }
}

impl ModelArgs {
    /// The engines of this machine.
    pub fn engines(&self) -> Result<Engines> {
        Ok(Engines::find(&assets::ort_search(self.ort_lib.clone()), self.engine)?)
    }
}

fn parse_engine(text: &str) -> Result<EngineChoice, String> {
    text.parse().map_err(|e: forecaster::ForecasterError| e.to_string())
}

fn parse_device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: forecaster::ForecasterError| e.to_string())
}
