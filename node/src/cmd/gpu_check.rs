//! `oraculo gpu-check`: what a machine with an NVIDIA GPU should prove. Fails with the exact reason where it cannot.
//!
//! For every bundle: all nodes on CUDA by the profile, answers within 1e-4 of the CPU's, and the throughput of every
//! bucket beside the CPU's. A bundle that is a half-precision twin of another (`NAME` and `NAME-fp16`) is compared with
//! it, too.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use forecaster::edge::check::{Latency, cost};
use forecaster::edge::probe::provider_table;
use forecaster::edge::{Engines, Model, Search};
use forecaster::{Bundle, Device, EngineChoice, EngineKind, Provider};
use serde::Serialize;
use serde_json::json;

use crate::assets;

/// Batch sizes that a GPU runs.
const BUCKETS: [usize; 4] = [1, 8, 64, 512];
/// How far CUDA may be from the CPU, and half precision from single.
const AGREEMENT: (f32, f32) = (1e-4, 5e-3);

/// Arguments of `oraculo gpu-check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  make gpu-check\n  oraculo gpu-check --ort-lib vendor/onnxruntime-gpu --json"
)]
pub struct GpuCheckArgs {
    /// Folder of the model bundles [default: models/ nearby].
    #[arg(long)]
    models: Option<PathBuf>,
    /// ONNX Runtime with CUDA, or its folder [default: vendor/onnxruntime-gpu, then the usual places].
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
    /// One JSON object on the last line of stdout.
    #[arg(long)]
    json: bool,
}

/// What was found about one bundle.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    ok: bool,
    /// Why it failed.
    reason: Option<String>,
    /// Nodes on CUDA and elsewhere.
    nodes: [u64; 2],
    /// Largest difference between CUDA and the CPU.
    difference: Option<f32>,
    /// Largest difference from the half-precision twin, where there is one.
    half: Option<f32>,
    cuda: Vec<Latency>,
    cpu: Vec<Latency>,
    /// Rows per second on CUDA over the CPU, by bucket.
    speedup: Vec<f64>,
}

/// Proves or fails.
pub fn run(args: &GpuCheckArgs) -> Result<ExitCode> {
    if !cfg!(feature = "cuda") {
        bail!(
            "this program was built without CUDA; `make gpu-check` builds it with the Cargo feature `cuda`"
        );
    }
    let search = search(args.ort_lib.clone());
    let engines = Engines::find(&search, EngineChoice::Only(EngineKind::Ort))?;
    let library = engines.ort()?;
    if !library.providers().contains(&Provider::Cuda.name()) {
        bail!(
            "ONNX Runtime at {} was built without CUDA; fetch the other one with `python3 scripts/fetch_ort.py --gpu`",
            library.library().display()
        );
    }
    let models = assets::models_dir(args.models.as_deref())?;
    let scratch = std::env::temp_dir().join(format!("oraculo-gpu-check-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).context("making a scratch folder")?;
    let rows: Vec<Row> = bundles(&models)?.iter().map(|dir| examine(&engines, dir, &scratch)).collect();
    // A scratch folder that stays behind harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    let ok = !rows.is_empty() && rows.iter().all(|row| row.ok);
    if args.json {
        println!(
            "{}",
            json!({"ok": ok, "library": library.library(), "version": library.version(), "models": rows})
        );
    } else {
        println!("ONNX Runtime {} at {}", library.version(), library.library().display());
        rows.iter().for_each(print);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The library with CUDA first; what was named is not replaced.
fn search(wanted: Option<PathBuf>) -> Search {
    let search = assets::ort_search(wanted);
    let places = search.cwd.iter().map(|cwd| cwd.join("vendor").join("onnxruntime-gpu"));
    let gpu = places.into_iter().find(|dir| dir.is_dir());
    match gpu {
        Some(dir) if search.arg.is_none() && search.env.is_none() => Search { arg: Some(dir), ..search },
        _ => search,
    }
}

fn bundles(models: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(models).with_context(|| format!("reading {}", models.display()))?;
    let mut dirs: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|p| p.join("forecaster.toml").is_file()).collect();
    dirs.sort();
    Ok(dirs)
}

fn examine(engines: &Engines, dir: &Path, scratch: &Path) -> Row {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut row = Row {
        name,
        ok: false,
        reason: None,
        nodes: [0, 0],
        difference: None,
        half: None,
        cuda: Vec::new(),
        cpu: Vec::new(),
        speedup: Vec::new(),
    };
    match examined(engines, dir, scratch, &mut row) {
        Ok(()) => row.ok = true,
        Err(error) => row.reason = Some(format!("{error:#}")),
    }
    row
}

fn examined(engines: &Engines, dir: &Path, scratch: &Path, row: &mut Row) -> Result<()> {
    let bundle = Bundle::load(dir)?;
    let table = provider_table(engines, &bundle, Device::CudaOrFail, scratch)?;
    let count = |on: bool| {
        let shares = table.shares.iter().filter(|(name, _)| (name.as_str() == Provider::Cuda.name()) == on);
        shares.map(|(_, share)| share.nodes).sum()
    };
    row.nodes = [count(true), count(false)];
    if row.nodes[0] == 0 || row.nodes[1] > 0 {
        bail!("{} nodes ran on CUDA and {} elsewhere", row.nodes[0], row.nodes[1]);
    }
    let mut cuda = engines.load(&bundle, Device::CudaOrFail)?;
    let mut cpu = engines.load(&bundle, Device::Cpu)?;
    let rows = golden_rows(&bundle);
    let mine = answers(&mut cuda, &rows)?;
    let difference = widest(&mine, &answers(&mut cpu, &rows)?);
    row.difference = Some(difference);
    let twin = dir.with_file_name(format!("{}-fp16", row.name));
    if twin.join("forecaster.toml").is_file() {
        let mut half = engines.load(&Bundle::load(&twin)?, Device::CudaOrFail)?;
        row.half = Some(widest(&mine, &answers(&mut half, &rows)?));
    }
    throughput(&mut cuda, &mut cpu, &rows, row)?;
    let within = if row.name.ends_with("-fp16") { AGREEMENT.1 } else { AGREEMENT.0 };
    if difference > within {
        bail!("CUDA and the CPU differ by {difference:e}, more than {within:e}");
    }
    match row.half {
        Some(half) if half > AGREEMENT.1 => {
            bail!("half precision differs by {half:e}, more than {:e}", AGREEMENT.1)
        }
        _ => Ok(()),
    }
}

/// Golden rows, one after the other, as many as the largest bucket takes.
fn golden_rows(bundle: &Bundle) -> Vec<f32> {
    let pairs = bundle.golden().pairs();
    let rows = pairs.iter().cycle().take(if pairs.is_empty() { 0 } else { BUCKETS[3] });
    rows.flat_map(|p| p.input.iter().copied()).collect()
}

fn answers(model: &mut Model, rows: &[f32]) -> Result<Vec<f32>> {
    if rows.is_empty() {
        bail!("no golden rows to compare with");
    }
    let mut out = Vec::new();
    model.predict_into(rows, rows.len() / model.width().max(1), &mut out)?;
    Ok(out)
}

/// The largest difference; NaN and a missing answer count as infinite.
fn widest(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let differs = |(x, y): (&f32, &f32)| if (x - y).is_nan() { f32::INFINITY } else { (x - y).abs() };
    a.iter().zip(b).map(differs).fold(0.0, f32::max)
}

fn throughput(cuda: &mut Model, cpu: &mut Model, rows: &[f32], row: &mut Row) -> Result<()> {
    let (width, most) = (cuda.width(), cuda.max_batch());
    let mut out = Vec::new();
    for n in BUCKETS.into_iter().filter(|n| *n <= most) {
        let mut timed = |model: &mut Model| {
            let kind = (model.engine(), model.report().chosen);
            cost::time(kind, n, |_| {
                out.clear();
                model.predict_into(&rows[..n * width], n, &mut out)
            })
        };
        let (fast, slow) = (timed(cuda)?, timed(cpu)?);
        row.speedup.push(slow.min_us / fast.min_us);
        row.cuda.push(fast);
        row.cpu.push(slow);
    }
    Ok(())
}

fn print(row: &Row) {
    let state = if row.ok { "ok  " } else { "FAIL" };
    let [on, off] = row.nodes;
    println!(
        "{state} {:<16} {on} nodes on CUDA, {off} elsewhere; differs from the CPU by {:?}",
        row.name, row.difference
    );
    for ((cuda, cpu), speedup) in row.cuda.iter().zip(&row.cpu).zip(&row.speedup) {
        println!(
            "     batch {:>4}: CUDA {:>9.1} us, CPU {:>9.1} us, x {speedup:.2}",
            cuda.batch, cuda.min_us, cpu.min_us
        );
    }
    if let Some(reason) = &row.reason {
        println!("     {reason}");
    }
}
