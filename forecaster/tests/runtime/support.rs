//! Bundles, engines and models for these tests; it never hides what a test is about.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forecaster::bundle::BundleLimits;
use forecaster::bundle::golden::Pair;
use forecaster::edge::lane::{Rows, Source};
use forecaster::edge::{Calibration, Engines, LaneConfig, Search};
use forecaster::{Bundle, Device, EngineKind, ForecasterError, ProviderReport};
use schemas::{BundleId, InferenceRequest, MinerId, QuestionId};
use sha2::{Digest as _, Sha256};

use crate::onnx::File;

const MANIFEST: &str = r#"
schema = 2
name = "NAME"
version = "VERSION"
kind = "model"
topic = "btc-usd.up-5m"
engine = "auto"

[model]
file = "model.onnx"
sha256 = "SHA256"
opset = 17
license = "MIT"

[features]
set = "updown-1"
names = ["log_moneyness", "tau_s", "vol_15m", "vol_60m", "ret_60s", "ret_300s", "ret_900s", "z_15m", "z_60m", "elapsed_s"]
lookback_s = 3600

[normalise]
kind = "none"

[[inputs]]
name = "features"
dtype = "f32"
shape = ["batch", 10]
source = "features"

[[outputs]]
name = "p_up"
kind = "probability"
shape = ["batch", 1]
range = [0.0, 1.0]

[limits]
max_batch = 64
deadline_ms = 200
"#;

/// `p_up = sigmoid(weight * row[7])`, as the three parts of a bundle.
pub fn parts(name: &str, version: &str, weight: f32) -> (String, Vec<u8>, String) {
    let mut weights = [0.0; 10];
    weights[7] = weight;
    let model = File::linear(weights).bytes();
    let manifest = MANIFEST
        .replace("NAME", name)
        .replace("VERSION", version)
        .replace("SHA256", &hex::encode(Sha256::digest(&model)));
    (manifest, model, golden(weight, 0.0))
}

/// Three pairs of `sigmoid(weight * x)`, wrong by `error`.
pub fn golden(weight: f32, error: f64) -> String {
    let pair = |x: f32| {
        let p = 1.0 / (1.0 + libm::exp(-f64::from(weight * x))) + error;
        format!(r#"{{"input":[0,0,0,0,0,0,0,{x},0,0],"output":[{p}]}}"#)
    };
    format!(
        r#"{{"schema":1,"feature_set":"updown-1","engine":"by hand","tolerance":1e-5,"pairs":[{},{},{}]}}"#,
        pair(-1.0),
        pair(0.0),
        pair(0.5)
    )
}

pub fn bundle(version: &str, weight: f32) -> Arc<Bundle> {
    let (manifest, model, golden) = parts("test", version, weight);
    Arc::new(Bundle::from_parts(&manifest, model, Some(&golden), &BundleLimits::default()).unwrap())
}

/// The engines with ONNX Runtime, or `None` after saying so loudly.
pub fn engines() -> Option<Engines> {
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    match Search::here(None, env).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

pub fn row(x: f32) -> Vec<f32> {
    let mut row = vec![0.0; 10];
    row[7] = x;
    row
}

pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// A request whose question carries a number.
pub fn request(bundle: BundleId, n: u64, row: Vec<f32>) -> InferenceRequest {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    InferenceRequest { miner: MinerId([1; 32]), question: QuestionId(id), bundle, row }
}

pub fn number(question: QuestionId) -> u64 {
    u64::from_be_bytes(question.0[..8].try_into().unwrap())
}

/// Little measuring, so that tests are quick.
pub fn config(queue: usize) -> LaneConfig {
    let calibration = Calibration { budget: Duration::from_millis(2), ..Calibration::default() };
    LaneConfig { queue, calibration, ..LaneConfig::default() }
}

/// A model in a few lines, for what no real engine does on demand: `weight * row[0]`, panics, failures, delays.
#[derive(Clone)]
pub struct Fake {
    pub id: BundleId,
    pub weight: f32,
    pub max_batch: usize,
    /// Spins so long for each run and each row.
    pub cost: (Duration, Duration),
    /// Loads that fail after the first so many.
    pub loads: u64,
    pub loaded: Arc<AtomicU64>,
    pub report: ProviderReport,
}

/// What a [`Fake`] does with this number in a row, besides its weight.
pub const PANIC: f32 = 666.0;
pub const FAIL: f32 = 555.0;

impl Fake {
    pub fn new(n: u8, weight: f32) -> Self {
        Self {
            id: BundleId([n; 32]),
            weight,
            max_batch: 64,
            cost: (Duration::ZERO, Duration::ZERO),
            loads: u64::MAX,
            loaded: Arc::default(),
            report: ProviderReport::cpu_only(EngineKind::Trees, Device::Cpu).unwrap(),
        }
    }

    pub fn source(self) -> Arc<dyn Source> {
        Arc::new(self)
    }
}

impl Source for Fake {
    fn id(&self) -> BundleId {
        self.id
    }
    fn load(&self) -> Result<Box<dyn Rows>, ForecasterError> {
        if self.loaded.fetch_add(1, Ordering::SeqCst) >= self.loads {
            return Err(ForecasterError::Session("no more".to_owned()));
        }
        Ok(Box::new(self.clone()))
    }
    fn takes(&self) -> String {
        "takes three numbers and answers one".to_owned()
    }
    fn golden(&self) -> &[Pair] {
        &[]
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl Rows for Fake {
    fn width(&self) -> usize {
        3
    }
    fn answer_width(&self) -> usize {
        1
    }
    fn max_batch(&self) -> usize {
        self.max_batch
    }
    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }
    fn report(&self) -> &ProviderReport {
        &self.report
    }
    fn predict_into(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        assert_eq!(rows.len(), n * 3);
        assert!(n <= self.max_batch);
        assert!(!rows.contains(&PANIC), "told to panic");
        if rows.contains(&FAIL) {
            return Err(ForecasterError::Run("told to fail".to_owned()));
        }
        let until = Instant::now() + self.cost.0 + self.cost.1 * n as u32;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        out.extend(rows.chunks_exact(3).map(|row| row[0] * self.weight));
        Ok(())
    }
}
