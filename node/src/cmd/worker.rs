//! `oraculo inference-worker`: the caged process of one stranger's model. Hidden: the node starts it, people do not.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use forecaster::edge::SandboxEngine;
use forecaster::edge::sandbox::SandboxConfig;
use serde_json::{Value, json};

/// It takes no arguments: everything comes over descriptor 0.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo doctor     starts some and says whether their cage holds")]
pub struct WorkerArgs {}

/// Serves its parent on descriptor 0 until it goes away.
pub fn run(_: &WorkerArgs) -> ExitCode {
    forecaster::edge::sandbox::worker::run()
}

/// What of the cage holds on this machine: its layers, and every escape tried for real. For `oraculo doctor`.
pub fn cage_report(library: &Path) -> Value {
    let worker = match crate::assets::worker() {
        Ok(worker) => worker,
        Err(error) => return json!({"ok": false, "error": format!("{error:#}")}),
    };
    let engine = SandboxEngine::new(SandboxConfig::new(worker, Some(library.to_owned())));
    match engine.cage() {
        Err(error) => json!({"ok": false, "error": error.to_string(), "code": error.code()}),
        Ok(report) => {
            let attempts = engine.attempts();
            let holes: Vec<&str> = attempts.iter().filter(|a| !a.contained).map(|a| a.name).collect();
            json!({
                "ok": report.is_complete() && holes.is_empty(), "layers": report.layers,
                "holes": holes, "attempts": attempts,
            })
        }
    }
}

/// The same for people: one line, and one for each layer that is missing.
pub fn print_cage(report: &Value) {
    let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
    if let Some(error) = report["error"].as_str() {
        println!("cage           FAILED {error}");
        return;
    }
    let (layers, holes) = (list("layers"), list("holes"));
    let missing: Vec<&Value> = layers.iter().filter(|l| l["in_force"] != true).collect();
    println!(
        "cage           {} of {} layers in force, {} of {} escapes contained",
        layers.len() - missing.len(),
        layers.len(),
        list("attempts").len() - holes.len(),
        list("attempts").len()
    );
    for layer in missing {
        println!("               NOT IN FORCE {}: {}", layer["name"], layer["detail"]);
    }
    for hole in holes {
        println!("               A HOLE: {hole}");
    }
}
