//! Flags of every command that runs models: which, with what library, on which device. Never loads anything.

use std::path::PathBuf;

use clap::Args;
use forecaster::Device;

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
}

fn parse_device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: forecaster::ForecasterError| e.to_string())
}
