//! The models and rows of the benchmark, made by a Python script in an environment of its own; it never invents either.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use forecaster::EngineChoice;
use forecaster::edge::{BareSource, Engines, Source};
use forecaster::engine::{LoadOptions, RowIo, Session};
use schemas::BundleId;
use serde::Deserialize;

const VENV: &str = include_str!("../../../../../scripts/bench_venv.py");
const MODELS: &str = include_str!("../../../../../scripts/bench_models.py");
const PEER: &str = include_str!("../../../../../scripts/bench_peer.py");
/// Most rows in one run.
pub(super) const MAX_BATCH: usize = 4096;

/// One model with its rows.
#[derive(Clone)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) model: Arc<Vec<u8>>,
    pub(super) io: RowIo,
    /// Flat; at least [`MAX_BATCH`] and one rows.
    pub(super) rows: Arc<Vec<f32>>,
    pub(super) count: usize,
}

/// Where everything is.
pub(super) struct Place {
    pub(super) python: PathBuf,
    pub(super) peer: PathBuf,
    pub(super) dir: PathBuf,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    input: String,
    shape: Vec<usize>,
    output: String,
    answers: usize,
}

/// The environment and the models, made where they are not there yet. An error says what is missing.
pub(super) fn prepare() -> Result<(Place, Vec<Workload>)> {
    let cache = cache_folder()?;
    let version = blake3::hash(format!("{VENV}{MODELS}{PEER}").as_bytes()).to_hex();
    let home = cache.join(format!("bench-{}", &version[..12]));
    std::fs::create_dir_all(&home).with_context(|| format!("creating {}", home.display()))?;
    let script = |name: &str, text: &str| -> Result<PathBuf> {
        let path = home.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    };
    let (venv, models) = (script("bench_venv.py", VENV)?, script("bench_models.py", MODELS)?);
    let peer = script("bench_peer.py", PEER)?;
    eprintln!("the Python environment");
    let made = run(Command::new("python3").arg(venv)).context("making the Python environment")?;
    let python = PathBuf::from(made.trim());
    let dir = home.join("models");
    if !dir.join("index.json").is_file() {
        eprintln!("the models");
        run(Command::new(&python).arg(models).arg("workloads").arg(&dir)).context("making the models")?;
    }
    let workloads = load(&dir)?;
    Ok((Place { python, peer, dir }, workloads))
}

fn cache_folder() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("oraculo"))
}

/// The output of a command that must succeed; its complaints go to stderr as they come.
fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("starting {program}"))?;
    if !out.status.success() {
        bail!("{program} ended with {}; the reason is above", out.status);
    }
    String::from_utf8(out.stdout).context("its output is not UTF-8")
}

fn load(dir: &Path) -> Result<Vec<Workload>> {
    let read = |name: &str| std::fs::read(dir.join(name)).with_context(|| format!("reading {name}"));
    let mut entries: Vec<Entry> = serde_json::from_slice(&read("index.json")?)?;
    let twin = entries.iter().find(|e| e.name == "mlp").context("there is no mlp")?;
    let (input, output) = (twin.input.clone(), twin.output.clone());
    let twin = Entry { name: "mlp2".to_owned(), shape: twin.shape.clone(), input, output, answers: 1 };
    entries.push(twin);
    entries.into_iter().map(|entry| workload(entry, &read)).collect()
}

fn workload(entry: Entry, read: &impl Fn(&str) -> Result<Vec<u8>>) -> Result<Workload> {
    let bytes = read(&format!("{}.rows", entry.name))?;
    let mut rows: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let width: usize = entry.shape.iter().product();
    ensure!(
        width > 0 && !rows.is_empty() && rows.len().is_multiple_of(width),
        "rows of {} are cut off",
        entry.name
    );
    // Wide rows are fewer; a batch of 4,096 repeats them.
    while rows.len() < (MAX_BATCH + 1) * width {
        rows.extend_from_within(..);
    }
    let io = RowIo {
        input: entry.input,
        row_shape: entry.shape,
        output: entry.output,
        answer_width: entry.answers,
        constants: Vec::new(),
    };
    let model = Arc::new(read(&format!("{}.onnx", entry.name))?);
    Ok(Workload { count: rows.len() / width, name: entry.name, model, io, rows: Arc::new(rows) })
}

impl Workload {
    pub(super) fn width(&self) -> usize {
        self.io.row_width()
    }

    /// `n` rows, another place each time.
    pub(super) fn batch(&self, turn: usize, n: usize) -> &[f32] {
        let places = (self.count - n) / n + 1;
        let start = (turn % places) * n * self.width();
        &self.rows[start..start + n * self.width()]
    }

    /// A session in one engine.
    pub(super) fn session(&self, engines: &Engines, choice: EngineChoice) -> Result<Box<dyn Session>> {
        let rows = Some(self.io.clone());
        let options = LoadOptions { rows, max_batch: MAX_BATCH, ..LoadOptions::default() };
        engines.session(&self.model, choice, &options).with_context(|| format!("loading {}", self.name))
    }

    /// The model for a lane, in the engine that `auto` takes.
    pub(super) fn source(&self, engines: &Engines, id: BundleId) -> Arc<dyn Source> {
        let (engines, model) = (engines.clone(), Arc::clone(&self.model));
        let open = move |options: &LoadOptions| engines.session(&model, EngineChoice::Auto, options);
        let deadline = Duration::from_secs(2);
        Arc::new(BareSource { id, rows: self.io.clone(), max_batch: MAX_BATCH, deadline, open })
    }
}
