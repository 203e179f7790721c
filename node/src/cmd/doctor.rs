//! `oraculo doctor`: says whether this machine can run models, and where they really run. Changes nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use forecaster::bundle::Bundle;
use forecaster::edge::{CheckOptions, Engines, check_with};
use forecaster::{Device, Provider};
use serde_json::{Value, json};

use crate::assets;
use crate::cmd::model_args::ModelArgs;

/// Arguments of `oraculo doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  oraculo doctor\n  oraculo doctor --device cuda-or-fail --models models")]
pub struct DoctorArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

/// Examines the machine. Exit 1 if anything a model needs is missing.
pub fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let engines = args.model.engines()?;
    // Without ONNX Runtime the other engines may do; each bundle says whether they do.
    let ort = engines.ort();
    let models = assets::models_dir(args.model.models.as_deref())?;
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(&models)
        .with_context(|| format!("reading {}", models.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("forecaster.toml").is_file())
        .collect();
    dirs.sort();
    let scratch = std::env::temp_dir().join(format!("oraculo-doctor-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).context("making a scratch folder")?;
    let rows: Vec<Value> =
        dirs.iter().map(|dir| examine(&engines, dir, args.model.device, &scratch)).collect();
    // A scratch folder that stays behind harms nobody.
    let _ = std::fs::remove_dir_all(&scratch);
    let ok = !rows.is_empty() && rows.iter().all(|row| row["ok"] == true);
    let report = json!({
        "ok": ok, "library": ort.as_ref().ok().map(|e| e.library().display().to_string()),
        "version": ort.as_ref().ok().map(|e| e.version()), "missing": ort.as_ref().err().map(ToString::to_string),
        "providers": ort.as_ref().map(|e| e.providers()).unwrap_or_default(), "engines": engines.kinds(),
        "device": args.model.device.name(), "models": rows,
        "cage": ort.as_ref().ok().map(|e| crate::cmd::worker::cage_report(e.library())),
    });
    if args.json {
        println!("{report}");
    } else {
        print(&report);
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(engines: &Engines, dir: &Path, device: Device, scratch: &Path) -> Value {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match examined(engines, dir, device, scratch) {
        Ok(mut row) => {
            row["name"] = json!(name);
            row
        }
        Err(error) => json!({"name": name, "ok": false, "error": format!("{error:#}")}),
    }
}

fn examined(engines: &Engines, dir: &Path, device: Device, scratch: &Path) -> Result<Value> {
    let bundle = Bundle::load(dir)?;
    let options = CheckOptions { device, scratch: Some(scratch.to_owned()), measure: false };
    let found = check_with(engines, &bundle, &options)?;
    let failed: Vec<String> =
        found.findings.iter().filter(|f| !f.passed).map(|f| format!("{}: {}", f.check, f.detail)).collect();
    let table = found.providers.as_ref();
    let nodes: Value = table
        .into_iter()
        .flat_map(|t| &t.shares)
        .map(|(p, s)| (p.clone(), json!({"nodes": s.nodes, "micros": s.micros})))
        .collect();
    let provider = table.map_or(Provider::Cpu, |t| t.report.chosen);
    Ok(json!({
        "ok": found.passed(), "bundle": bundle.id().to_string(), "checks": found.findings.len(), "failed": failed,
        "engine": found.engine, "provider": format!("{provider:?}"),
        "reason": table.and_then(|t| t.report.reason.clone()), "nodes": nodes,
    }))
}

fn print(report: &Value) {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    match report["missing"].as_str() {
        Some(reason) => println!("ONNX Runtime   not there: {reason}"),
        None => println!("ONNX Runtime   {} at {}", text(&report["version"]), text(&report["library"])),
    }
    println!("engines        {}", report["engines"]);
    println!("providers      {}", report["providers"]);
    println!("device policy  {}", text(&report["device"]));
    crate::cmd::worker::print_cage(&report["cage"]);
    for row in report["models"].as_array().into_iter().flatten() {
        if let Some(error) = row["error"].as_str() {
            println!("{:<14} FAILED {error}", text(&row["name"]));
            continue;
        }
        println!(
            "{:<14} {} {} runs on {} nodes {} ({} checks{})",
            text(&row["name"]),
            if row["ok"] == true { "ok" } else { "FAILED" },
            text(&row["engine"]),
            text(&row["provider"]),
            row["nodes"],
            row["checks"],
            row["reason"].as_str().map(|r| format!("; {r}")).unwrap_or_default()
        );
        for failed in row["failed"].as_array().into_iter().flatten() {
            println!("{:<14}   {}", "", text(failed));
        }
    }
}
