//! `oraculo schemas`: writes the JSON Schemas and the OpenAPI document, or one of them to stdout.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

/// Arguments of `oraculo schemas`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  oraculo schemas --out docs/schemas")]
pub struct SchemasArgs {
    /// Folder to write to [default: print the names].
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Writes the documents.
pub fn run(args: &SchemasArgs) -> Result<ExitCode> {
    let mut documents = ::schemas::public::json_schemas();
    let openapi = serde_json::to_value(api::openapi()).context("encoding the OpenAPI document")?;
    documents.insert("openapi", openapi);
    for (name, document) in documents {
        let Some(out) = &args.out else {
            println!("{name}");
            continue;
        };
        std::fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
        let path = out.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&document).context("encoding a schema")?;
        std::fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
