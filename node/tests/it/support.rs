//! What the tests of the whole house share: small days, the binary, skipping loudly. Never asserts on wall time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use node::demo_run::{DemoEnd, DemoOptions, DemoRun};
use schemas::Timestamp;
use sim::{Day, WorldConfig};

/// A round hour to begin simulated days at.
pub(crate) const START_S: i64 = 1_780_876_800;

/// A simulated day of `markets` five-minute markets.
pub(crate) fn small_day(seed: u64, markets: u64) -> Day {
    Day::simulated(WorldConfig {
        seed,
        start: Timestamp::from_secs(START_S),
        length_s: markets * 300,
        history_s: 300,
        ..WorldConfig::default()
    })
}

/// Whether ONNX Runtime is there; says loudly when a test is skipped because it is not.
pub(crate) fn has_onnx_runtime(test: &str) -> bool {
    let found = node::assets::ort_search(None).find();
    if let Err(error) = &found {
        eprintln!("SKIPPED {test}: {error} (run `make ort`)");
    }
    found.is_ok()
}

/// The recorded day, if the shared folder is there.
pub(crate) fn recorded_day(test: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/polymarket");
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED {test}: {} is absent", dir.display());
    None
}

/// Runs a whole small day in this process, as fast as it settles.
pub(crate) fn run_day(seed: u64, markets: u64, dir: &Path) -> DemoEnd {
    runtime().block_on(async {
        let demo =
            DemoRun::start(DemoOptions::new(small_day(seed, markets), dir.to_owned(), seed)).await.unwrap();
        demo.twin.done().await;
        assert!(demo.drain().await, "the customer got everything");
        demo.finish().await.unwrap()
    })
}

/// A runtime of two threads.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The binary.
pub(crate) fn oraculo(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oraculo")).args(args).output().unwrap()
}

/// stdout and stderr as text.
pub(crate) fn texts(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// An HTTP client. With the feature `tls` anywhere in the build it wants a crypto provider, even for plain HTTP.
pub(crate) fn http() -> reqwest::Client {
    // A provider that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
