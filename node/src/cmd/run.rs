//! `oraculo run`: a node that stays: live venue or any endpoint, wall clock, key file, drain on SIGTERM.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::config::{self, Config};
use crate::plan::Role;
use crate::signals::Signals;
use crate::{node_plan, roles};

/// Arguments of `oraculo run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo run --config oraculo.toml\n  oraculo run --role validator --redis redis://127.0.0.1:6379"
)]
pub struct RunArgs {
    /// The role; with any but `all`, roles meet over Redis.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder of the node.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Address of the API.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Redis URL.
    #[arg(long)]
    redis: Option<String>,
    /// WebSocket of the venue's index feed.
    #[arg(long)]
    ws_url: Option<String>,
    /// REST base of the venue.
    #[arg(long)]
    rest_url: Option<String>,
    /// ONNX Runtime library or its folder.
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
}

impl RunArgs {
    fn load(&self) -> Result<Config> {
        let mut flags = Vec::new();
        let mut flag = |key: &'static str, value: Option<String>| flags.extend(value.map(|v| (key, v)));
        flag("dir", self.dir.as_deref().map(|d: &Path| d.display().to_string()));
        flag("listen", self.listen.map(|l| l.to_string()));
        flag("redis", self.redis.clone());
        flag("venue.ws_url", self.ws_url.clone());
        flag("venue.rest_url", self.rest_url.clone());
        Ok(config::load(self.config.as_deref(), &config::environment(), &flags)?.config)
    }
}

/// Runs until SIGINT or SIGTERM.
pub fn run(args: RunArgs) -> Result<ExitCode> {
    let config = args.load()?;
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    if args.role != Role::All {
        return runtime.block_on(roles::run(args.role, &config, args.ort_lib));
    }
    runtime.block_on(all(&config, args.ort_lib))
}

async fn all(config: &Config, ort_lib: Option<PathBuf>) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let running = node_plan::plan(config, ort_lib)?.run().await?;
    eprintln!("dashboard  {}", running.url());
    eprintln!("node       {}", config.dir.display());
    let mut watch = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            () = signals.stop() => break,
            _ = watch.tick() => if running.is_down() {
                bail!("the kernel stopped; the log above says why");
            },
        }
    }
    eprintln!("draining");
    let finished = running.stop().await?;
    eprintln!("stopped at record {}", finished.last_seq);
    Ok(ExitCode::SUCCESS)
}
