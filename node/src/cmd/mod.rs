//! The command line: one file per sub-command. Data goes to stdout, talk to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks")]

pub mod archive;
pub mod automl;
pub mod backtest;
pub mod bench;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod features;
pub mod gpu_check;
pub mod keys;
pub mod miner;
pub mod model;
pub mod model_args;
pub mod progress;
pub mod record;
pub mod replay;
pub mod run;
pub mod schemas;
pub mod worker;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Prediction-signal oracle: ONNX forecasters compete, validators score them, signals are sold.
#[derive(Debug, Parser)]
#[command(name = "oraculo", version, about, max_term_width = 110)]
#[command(
    after_help = "Start with:\n  oraculo demo\n  oraculo demo --data DIR --json     a recorded day instead of a simulated one\n  oraculo replay --check RUN_DIR     recompute every score, payout and signal of a run"
)]
pub struct Cli {
    /// What to log, e.g. `info` or `warn,ingest=debug`; text on a terminal, JSON lines otherwise.
    #[arg(long, global = true, default_value = "warn", env = "ORACULO_LOG", value_name = "FILTER")]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process on a simulated or recorded day.
    Demo(demo::DemoArgs),
    /// Run a node: all roles, or one of them.
    Run(run::RunArgs),
    /// Record a venue: every frame archived, every book verified, live and again on replay.
    Record(record::RecordArgs),
    /// Replay a finished run and check every derived record, score, payout and signal.
    Replay(replay::ReplayArgs),
    /// Turn a finished run into Parquet tables and an evaluation report.
    Backtest(backtest::BacktestArgs),
    /// Keep venue frames verbatim: list, verify, import recordings, export tapes, cover, delete.
    Archive(archive::ArchiveArgs),
    /// Create, list and revoke API keys.
    Keys(keys::KeysArgs),
    /// Run a miner in a process of its own, against a node anywhere.
    Miner(miner::MinerArgs),
    /// Check this machine: ONNX Runtime, models, execution providers.
    Doctor(doctor::DoctorArgs),
    /// Prove what a machine with an NVIDIA GPU should: providers, agreement, throughput; fails without one.
    GpuCheck(gpu_check::GpuCheckArgs),
    /// Make, check, pack, sign and deploy model bundles.
    Model(model::ModelCommandArgs),
    /// List feature sets; export datasets for training.
    Features(features::FeaturesArgs),
    /// Train several models on the same rows and keep the best, with its honest score.
    Automl(automl::AutomlArgs),
    /// Show or check the configuration.
    Config(config::ConfigArgs),
    /// Measure the numbers of docs/benchmarks.md.
    Bench(bench::BenchArgs),
    /// Write the JSON Schemas and the OpenAPI document of what strangers send and receive.
    Schemas(schemas::SchemasArgs),
    /// The caged process of one hosted model; the node starts it.
    #[command(hide = true)]
    InferenceWorker(worker::WorkerArgs),
}

/// Runs a command.
pub fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(args),
        Command::Run(args) => run::run(args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Backtest(args) => backtest::run(args),
        Command::Archive(args) => archive::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Miner(args) => miner::run(args),
        Command::Doctor(args) => doctor::run(&args),
        Command::GpuCheck(args) => gpu_check::run(&args),
        Command::Model(args) => model::run(args),
        Command::Features(args) => features::run(args),
        Command::Automl(args) => automl::run(&args),
        Command::Config(args) => config::run(args),
        Command::Bench(args) => bench::run(&args),
        Command::Schemas(args) => schemas::run(&args),
        Command::InferenceWorker(args) => Ok(worker::run(&args)),
    }
}

/// Prints an error and its causes to stderr.
pub fn complain(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
