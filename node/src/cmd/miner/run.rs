//! `oraculo miner run`: a model, a lane and a connection, until stopped. Never a decision of its own.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use forecaster::bundle::Bundle;
use forecaster::edge::client::{RemoteConfig, RemoteMiner, Rest, Sink, Status};
use forecaster::edge::oip::{self, Counter, Served};
use forecaster::edge::{Engines, Lane, LaneConfig};
use forecaster::{Device, FeatureChoice, MinerConfig, Strategy};
use indicatif::ProgressBar;
use tokio::sync::oneshot;

use super::{NodeArgs, miner_key, patiently, register};
use crate::cmd::progress;
use crate::genesis::MAX_INPUT_AGE_NS;
use crate::signals::Signals;

/// Arguments of `oraculo miner run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  oraculo miner run --bundle models/gbt --connect http://127.0.0.1:8787 --api-key-file api.key --key miner.key --name alice --stake 1000000"
)]
pub struct RunArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The model bundle.
    #[arg(long, value_name = "PATH")]
    bundle: PathBuf,
    /// The miner's key file; made if it does not exist.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Register under this name first, with --stake, unless the key is a member already.
    #[arg(long, requires = "stake")]
    name: Option<String>,
    /// The stake to register with, micro-units.
    #[arg(long, value_name = "MICROS", requires = "name")]
    stake: Option<i64>,
    /// The journal of promises; whoever loses it cannot keep them [default: the key file's name + .promises.jsonl].
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Serve the model over the Open Inference Protocol v2 at this address.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// ONNX Runtime library or its folder [default: ORT_DYLIB_PATH, or vendor/onnxruntime nearby].
    #[arg(long, value_name = "PATH")]
    ort_lib: Option<PathBuf>,
    /// Where the model runs: cpu, auto, cuda or cuda-or-fail.
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Events as JSON lines on stdout; the last line is the final status.
    #[arg(long)]
    json: bool,
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(args: RunArgs) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let (rest, key) = (args.node.rest()?, miner_key(&args.key)?);
    let bundle = Arc::new(Bundle::load(&args.bundle)?);
    let prefix = bundle
        .manifest()
        .topic
        .clone()
        .context("the bundle's manifest names no topic: it is no forecaster")?;
    let joining = join(&args, &rest, &key, bundle.manifest().kind.name());
    tokio::select! {
        joined = joining => joined?,
        () = signals.stop() => return Ok(ExitCode::SUCCESS),
    }
    let symbol = symbol(&rest, &prefix).await?;
    let strategy = Strategy::Model { bundle: bundle.id() };
    let miner = MinerConfig {
        max_input_age_ns: MAX_INPUT_AGE_NS,
        features: FeatureChoice::of(bundle.manifest()),
        ..MinerConfig::new(key.id(), &prefix, &symbol, strategy)
    };
    let journal = args.journal.clone().unwrap_or_else(|| beside(&args.key));
    eprintln!("miner      {}", key.id());
    eprintln!("bundle     {} {}", bundle.manifest().name, bundle.id());
    eprintln!("promises   {}", journal.display());
    let counter = Arc::new(Counter::default());
    let (sender, answers) = RemoteMiner::answers();
    let lane = Arc::new(lane(&args, &bundle, &counter, RemoteMiner::answering(sender))?);
    let server = match args.listen {
        None => None,
        Some(addr) => {
            Some(serve(addr, Served::new(&[Arc::clone(&bundle)], Arc::clone(&lane), counter)).await?)
        }
    };
    let config = RemoteConfig { rest, key, miner, journal };
    let bar = progress::line();
    let remote = RemoteMiner::new(config, lane, answers, sink(args.json, bar.clone()))?;
    let status = remote.run(async move { signals.stop().await }).await;
    bar.finish_and_clear();
    if let Some((stop, task)) = server {
        let _ = stop.send(());
        task.await.context("the inference server panicked")?.context("serving inference")?;
    }
    finish(args.json, &status?);
    Ok(ExitCode::SUCCESS)
}

/// Registers if a name was given and the key is no member yet; without a name it must be one.
async fn join(args: &RunArgs, rest: &Rest, key: &forecaster::MinerKey, kind: &str) -> Result<()> {
    let id = key.id();
    if rest.miner(&id).await.is_ok() {
        return Ok(());
    }
    if let (Some(name), Some(stake)) = (&args.name, args.stake) {
        return register::join(rest, key, name, kind, stake).await;
    }
    let found = patiently(|| rest.miner(&id)).await;
    found
        .map(drop)
        .context("this key is no member of the network; add --name NAME --stake MICROS to register it")
}

/// The index of the topics that the model answers.
async fn symbol(rest: &Rest, prefix: &str) -> Result<String> {
    let topics = patiently(|| rest.topics()).await?;
    let found = topics.data.iter().find(|t| t.id.starts_with(prefix));
    let known = || topics.data.iter().map(|t| t.id.clone()).collect::<Vec<_>>().join(", ");
    Ok(found
        .with_context(|| format!("no topic of this network starts with {prefix:?}; it has {}", known()))?
        .symbol
        .clone())
}

fn beside(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".promises.jsonl");
    PathBuf::from(name)
}

fn lane(
    args: &RunArgs,
    bundle: &Arc<Bundle>,
    counter: &Arc<Counter>,
    miner: forecaster::edge::lane::OnResult,
) -> Result<Lane> {
    let engines = Engines::open(&crate::assets::ort_search(args.ort_lib.clone()).find()?)?;
    let counter = Arc::clone(counter);
    let back = move |result| {
        if let Some(own) = counter.take(result) {
            miner(own);
        }
    };
    let config = LaneConfig { device: args.device, ..LaneConfig::default() };
    Ok(Lane::start(&engines, vec![Arc::clone(bundle)], config, Box::new(back))?)
}

type Server = (oneshot::Sender<()>, tokio::task::JoinHandle<std::io::Result<()>>);

async fn serve(addr: SocketAddr, served: Served) -> Result<Server> {
    ensure!(served.count() > 0, "--listen: the bundle takes no feature row or answers no probability");
    let listener = tokio::net::TcpListener::bind(addr)
        .await
        .with_context(|| format!("listening on {addr} (choose another address with --listen)"))?;
    eprintln!("inference  http://{}/v2", listener.local_addr().context("the own address")?);
    let (stop, stopped) = oneshot::channel::<()>();
    let until = async move {
        // A dropped sender ends it too.
        let _ = stopped.await;
    };
    Ok((stop, tokio::spawn(oip::serve(listener, Arc::new(served), until))))
}

/// Where events go: JSON lines, one line that is rewritten on a terminal, or plain lines.
fn sink(json: bool, bar: ProgressBar) -> Sink {
    let live = std::io::stderr().is_terminal();
    let mut last = String::new();
    Box::new(move |event, status| {
        if json {
            let line = event.and_then(|e| serde_json::to_string(e).ok());
            if let Some(line) = line {
                // Nobody reading any more is no reason to stop mining.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
        if live {
            bar.set_message(status.line());
            bar.tick();
        } else if !json {
            let line = status.line();
            if line != last {
                eprintln!("{line}");
                last = line;
            }
        }
    })
}

fn finish(json: bool, status: &Status) {
    if json {
        println!("{}", serde_json::to_string(status).expect("a status is plain data"));
    } else {
        println!("{}", status.line());
    }
}
