//! `oraculo model deploy`: checks a bundle and puts it into a model store, where running miners find it. Starts nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::edge::store::{Mode, Pointer, Store};
use forecaster::edge::{Engines, check};
use forecaster::{Bundle, ForecasterError};
use serde_json::json;

use crate::assets;
use crate::cmd::progress;

/// Where a store is unless somebody says otherwise.
pub const DEFAULT_STORE: &str = "data/store";

/// Arguments of `oraculo model deploy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo model deploy models/mlp\n  oraculo model deploy models/mlp --store data/store --canary --json"
)]
pub struct DeployArgs {
    /// The bundle: its folder, or a packed file.
    bundle: PathBuf,
    /// Folder of the model store; made if it is not there.
    #[arg(long, default_value = DEFAULT_STORE, env = "ORACULO_STORE", value_name = "DIR")]
    store: PathBuf,
    /// Let it predict beside the active version and be scored, without being paid or published.
    #[arg(long, conflicts_with = "canary")]
    shadow: bool,
    /// The same, and let it take over when its score is better.
    #[arg(long)]
    canary: bool,
    /// ONNX Runtime library or its folder.
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Checks, stores, and points at the new version.
pub fn run(args: &DeployArgs) -> Result<ExitCode> {
    let bar = progress::line();
    let say = |text: &str| {
        bar.set_message(text.to_owned());
        bar.tick();
    };
    say("waiting for the store");
    let engines = Engines::open(&assets::ort_search(args.ort_lib.clone()).find()?)?;
    let mut writer = Store::at(&args.store).write()?;
    say("copying and checking");
    let stored = writer
        .put(&args.bundle, &mut |bundle| {
            say(&format!("running the checks of {}", bundle.manifest().name));
            verify(&engines, bundle)
        })
        .with_context(|| {
            format!("{} was not deployed; `oraculo model check` says more", args.bundle.display())
        })?;
    let mode = if args.canary { Some(Mode::Canary) } else { args.shadow.then_some(Mode::Shadow) };
    let pointer = match mode {
        None => writer.activate(&stored.name, &stored.version)?,
        Some(mode) => writer.on_trial(&stored.name, &stored.version, mode)?,
    };
    bar.finish_and_clear();
    if args.json {
        let report = json!({
            "name": stored.name, "version": stored.version, "bundle": stored.bundle.id().to_string(),
            "path": stored.path.display().to_string(), "pointer": pointer,
        });
        println!("{report}");
    } else {
        println!("{}", stored.path.display());
        eprintln!("{}", tell(&args.store, &stored.name, &pointer));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a store says about a model, for people.
pub fn tell(store: &Path, name: &str, pointer: &Pointer) -> String {
    let active = pointer.active.as_deref().unwrap_or("nothing");
    let trial = pointer.candidate.as_ref().map_or_else(String::new, |c| {
        let what = match c.mode {
            Mode::Shadow => "as a shadow",
            Mode::Canary => "as a canary",
        };
        format!(", {} beside it {what}", c.version)
    });
    format!("{name}: {active} serves{trial}; miners started with --store {} follow", store.display())
}

/// Every dynamic check must pass.
fn verify(engines: &Engines, bundle: &Bundle) -> Result<(), ForecasterError> {
    let failed = check(engines, bundle)?.into_iter().find(|finding| !finding.passed);
    failed.map_or(Ok(()), |f| Err(ForecasterError::Bundle { check: f.check, detail: f.detail }))
}
