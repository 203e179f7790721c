//! The engines of this machine and bundles made in memory; it never hides what a test is about.

use std::fmt::Write as _;
use std::path::PathBuf;

use forecaster::bundle::{Bundle, BundleLimits};
use forecaster::edge::{Engines, Search};
use forecaster::{EngineChoice, ForecasterError};
use sha2::{Digest as _, Sha256};

/// ONNX Runtime by the usual discovery, or `None` after saying so loudly.
pub fn with_ort() -> Option<Engines> {
    #[allow(clippy::disallowed_methods, reason = "the test stands where node stands")]
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    match Search::here(None, env).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

/// The engines of a machine without ONNX Runtime.
pub fn without_ort() -> Engines {
    let nowhere = Search::default();
    assert!(nowhere.find().is_err());
    Engines::find(&nowhere, EngineChoice::Auto).unwrap()
}

/// What a bundle says beside its model; `{inputs}` and the like are whole TOML tables.
pub struct Spec<'a> {
    pub tables: &'a str,
    pub topic: Option<&'a str>,
    pub max_batch: u32,
}

/// Ten features of `updown-1`.
pub const FEATURES: &str = r#"
[features]
set = "updown-1"
names = ["log_moneyness", "tau_s", "vol_15m", "vol_60m", "ret_60s", "ret_300s", "ret_900s", "z_15m", "z_60m", "elapsed_s"]
lookback_s = 3600
"#;

/// A bundle of a model and the tables of its inputs and outputs.
pub fn bundle(model: &[u8], spec: &Spec<'_>) -> Result<Bundle, ForecasterError> {
    let mut text = String::from("schema = 2\nname = \"test\"\nversion = \"1.0.0\"\nkind = \"model\"\n");
    if let Some(topic) = spec.topic {
        writeln!(text, "topic = \"{topic}\"").unwrap();
    }
    let sha = hex::encode(Sha256::digest(model));
    write!(
        text,
        "engine = \"auto\"\n[model]\nfile = \"model.onnx\"\nsha256 = \"{sha}\"\nopset = 17\nlicense = \"MIT\"\n\
         [normalise]\nkind = \"none\"\n{}\n[limits]\nmax_batch = {}\ndeadline_ms = 60000\n",
        spec.tables, spec.max_batch
    )
    .unwrap();
    Bundle::from_parts(&text, model.to_vec(), None, &BundleLimits::default())
}
