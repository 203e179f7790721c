//! `oraculo record`: a venue's frames into an archive, verified while they come. Never trades, never changes a frame.

mod streams;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ingest::Counts;
use ingest::edge::kalshi_sign::KalshiSigner;
use ingest::edge::{Endpoints, Signer};
use ingest::redundancy::LegStats;
use ingest::venue::VenueMachine as _;
use rand::TryRng as _;
use schemas::Venue;
use serde_json::{Value, json};

use crate::cmd::progress;
use crate::recorder::plan::endpoints;
use crate::recorder::replay::replay;
use crate::recorder::{ArchiveSink, Outcome, Plan, RunLimits, record};
use crate::signals::Signals;

/// Arguments of `oraculo record`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  oraculo record --venue polymarket --assets TOKEN_ID,TOKEN_ID --out archive\n  oraculo record --venue kalshi --markets KXBTC15M-26DEC311200-00 --key-id ID --private-key kalshi.pem --ab --out archive\n  oraculo record --venue binance --symbols BTCUSDT,ETHUSDT --for 60 --json --out archive\n  oraculo record --venue polymarket --rtds crypto_prices_chainlink:btc/usd --rtds2 price.crypto.twap:btcusd:60 --env-file polymarket.env --out archive"
)]
pub struct RecordArgs {
    /// kalshi, polymarket, binance, binance-futures, coinbase or kraken.
    #[arg(long, value_parser = venue)]
    venue: Venue,
    /// Kalshi tickers, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "TICKER")]
    markets: Vec<String>,
    /// Polymarket token ids.
    #[arg(long, value_delimiter = ',', value_name = "TOKEN")]
    assets: Vec<String>,
    /// Symbols of a spot venue by its own names, e.g. BTCUSDT, BTC-USD, BTC/USD.
    #[arg(long, value_delimiter = ',', value_name = "SYMBOL")]
    symbols: Vec<String>,
    /// Settlement indices of Kalshi, e.g. BRTI.
    #[arg(long, value_delimiter = ',', value_name = "INDEX")]
    indices: Vec<String>,
    #[command(flatten)]
    streams: streams::StreamArgs,
    /// WebSocket instead of the venue's own; once per socket of the venue.
    #[arg(long, value_name = "URL")]
    ws: Vec<String>,
    /// REST base instead of the venue's own; once per host of the venue.
    #[arg(long, value_name = "URL")]
    rest: Vec<String>,
    /// Id of the Kalshi API key.
    #[arg(long, env = "KALSHI_KEY_ID", value_name = "ID")]
    key_id: Option<String>,
    /// Its RSA private key, PEM.
    #[arg(long, value_name = "FILE")]
    private_key: Option<PathBuf>,
    /// Two connections: the first arrival counts, a lost one leaves no gap.
    #[arg(long)]
    ab: bool,
    /// Folder of the archive; the venue gets a folder of its own in it.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Stop after so many seconds; else at SIGINT or SIGTERM.
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Afterwards read the archive again and compare every row and the machine's digest; exit 1 if they differ.
    #[arg(long)]
    verify: bool,
    /// One JSON object on stdout at the end.
    #[arg(long)]
    json: bool,
}

fn venue(text: &str) -> Result<Venue, String> {
    let names = "kalshi, polymarket, binance, binance-futures, coinbase, kraken";
    match text.parse() {
        Ok(Venue::PolymarketUs) | Err(()) => Err(format!("unsupported_venue: {text:?} is none of {names}")),
        Ok(venue) => Ok(venue),
    }
}

impl RecordArgs {
    fn plan(&self) -> Result<Plan> {
        let lists = [("--markets", &self.markets), ("--assets", &self.assets), ("--symbols", &self.symbols)];
        let want = match self.venue {
            Venue::Kalshi => "--markets",
            Venue::Polymarket => "--assets",
            _ => "--symbols",
        };
        for (flag, given) in lists {
            ensure!(flag == want || given.is_empty(), "wrong_flag: {} takes {want}, not {flag}", self.venue);
        }
        ensure!(
            self.venue == Venue::Kalshi || self.indices.is_empty(),
            "wrong_flag: {} publishes no indices",
            self.venue
        );
        let streams = self.streams.any(self.venue)?;
        let names: Vec<String> = lists.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
        ensure!(
            !names.is_empty() || !self.indices.is_empty() || streams,
            "nothing_to_record: {} needs {want}",
            self.venue
        );
        let mut seed = [0; 32];
        rand::rngs::SysRng.try_fill_bytes(&mut seed).context("the system has no randomness")?;
        ensure!(!self.ab || !names.is_empty() || !self.indices.is_empty(), "wrong_flag: --ab is for books");
        Ok(Plan {
            venue: self.venue,
            names,
            indices: self.indices.clone(),
            rtds: self.streams.rtds.clone(),
            rtds2: self.streams.rtds2.clone(),
            ab: self.ab,
            seed,
        })
    }

    /// The venue's own addresses, each replaced by what was given for it.
    fn endpoints(&self) -> Result<Endpoints> {
        let mut own = endpoints(self.venue);
        replace(&mut own.sockets, &self.ws, "--ws", self.venue)?;
        replace(&mut own.hosts, &self.rest, "--rest", self.venue)?;
        own.check().map_err(|error| anyhow::anyhow!("{}: {error}", error.code()))?;
        Ok(own)
    }
}

fn replace(own: &mut [String], given: &[String], flag: &str, venue: Venue) -> Result<()> {
    ensure!(given.len() <= own.len(), "too_many_endpoints: {venue} takes {flag} at most {} times", own.len());
    for (url, new) in own.iter_mut().zip(given) {
        url.clone_from(new);
    }
    Ok(())
}

/// Records.
pub fn run(args: &RecordArgs) -> Result<ExitCode> {
    let plan = args.plan()?;
    let endpoints = args.endpoints()?;
    let signer = signer(args)?;
    let subject =
        plan.live_machine(args.streams.credentials()?).context("unsupported_venue: no machine records it")?;
    let sink = ArchiveSink::open(&args.out, &plan, &plan.source(&endpoints))?;
    let limits = RunLimits { hash_rows: args.verify, ..RunLimits::default() };
    let bar = progress::line();
    let runtime = tokio::runtime::Runtime::new().context("starting the runtime")?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let stop = async {
            let length = args.seconds.map_or(Duration::MAX, Duration::from_secs);
            tokio::select! {
                () = signals.stop() => {}
                () = tokio::time::sleep(length) => {}
            }
        };
        Box::pin(record(subject, sink, endpoints, signer, limits, &bar, stop)).await
    });
    bar.finish_and_clear();
    let mut outcome = outcome?;
    let differing = outcome.mirror.differences(outcome.subject.shelf());
    let replayed = if args.verify { Some(verify(args, &plan, &outcome)?) } else { None };
    if args.json {
        println!("{}", summary(&plan, args, &outcome, differing, replayed));
    } else {
        say(&plan, args, &outcome, differing, replayed);
    }
    let failed = differing > 0 || replayed == Some(false);
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn verify(args: &RecordArgs, plan: &Plan, outcome: &Outcome) -> Result<bool> {
    let again = replay(&args.out, plan.venue)?;
    Ok(again.digest == outcome.digest && Some(again.tape) == outcome.tape && again.rows == outcome.meter.rows)
}

fn summary(
    plan: &Plan,
    args: &RecordArgs,
    outcome: &Outcome,
    differing: usize,
    replayed: Option<bool>,
) -> Value {
    let (shelf, meter) = (outcome.subject.shelf(), &outcome.meter);
    let (p50_us, p99_us) = meter.latency_us();
    json!({
        "venue": plan.venue.name(), "seconds": outcome.seconds, "records": meter.records,
        "first_seq": outcome.first_seq, "messages": meter.frames, "answers": meter.answers, "bytes": meter.bytes,
        "messages_per_s": meter.frames as f64 / outcome.seconds.max(1e-9),
        "latency_us": {"p50": p50_us, "p99": p99_us},
        "connections": meter.connections(),
        "books": {"live": shelf.live(), "total": shelf.len()},
        "gaps": shelf.counts.gaps, "rows": meter.rows, "trades": outcome.mirror.trades,
        "counts": counts(&shelf.counts), "legs": outcome.subject.legs().map(|legs| legs.map(leg)),
        "consumer": {"rows": outcome.mirror.rows, "conflated": outcome.conflated, "books_differing": differing},
        "dropped_deeds": outcome.dropped,
        "archive": {
            "dir": args.out.join(plan.venue.name()), "chain": outcome.chain.map(|chain| chain.to_string()),
        },
        "digest": outcome.digest.to_string(), "replay_equal": replayed,
    })
}

fn leg(stats: LegStats) -> Value {
    let mean = stats.lag_sum_ns.checked_div(stats.duplicates as i64).unwrap_or(0);
    json!({
        "first": stats.wins, "confirmed": stats.duplicates, "lag_mean_us": mean / 1_000,
        "lag_max_us": stats.lag_max_ns / 1_000, "takeovers": stats.takeovers, "standbys": stats.standbys,
    })
}

fn counts(c: &Counts) -> Value {
    json!({
        "deltas": c.deltas, "snapshots": c.snapshots, "duplicates": c.duplicates, "stale_dropped": c.stale_dropped,
        "checksums_ok": c.checksums_ok, "checksums_bad": c.checksums_bad, "tops_ok": c.tops_ok,
        "tops_bad": c.tops_bad, "audits_ok": c.audits_ok, "audits_bad": c.audits_bad, "crossed": c.crossed,
        "negative_levels": c.negative_levels, "quarantined": c.quarantined, "disconnects": c.disconnects,
        "failed_requests": c.failed_requests, "venue_errors": c.venue_errors,
    })
}

fn say(plan: &Plan, args: &RecordArgs, outcome: &Outcome, differing: usize, replayed: Option<bool>) {
    let (shelf, meter) = (outcome.subject.shelf(), &outcome.meter);
    let (p50_us, p99_us) = meter.latency_us();
    println!("archive    {}", args.out.join(plan.venue.name()).display());
    println!(
        "messages   {} in {:.1} s, {} answers, {} bytes",
        meter.frames, outcome.seconds, meter.answers, meter.bytes
    );
    println!("books      {} of {} live, {} gaps", shelf.live(), shelf.len(), shelf.counts.gaps);
    println!(
        "rows       {} ({} trades, {} quotes conflated)",
        meter.rows, outcome.mirror.trades, outcome.conflated
    );
    println!("latency    p50 {:.1} ms, p99 {:.1} ms", p50_us as f64 / 1e3, p99_us as f64 / 1e3);
    for (name, stats) in ["A", "B"].iter().zip(outcome.subject.legs().into_iter().flatten()) {
        println!("leg {name}      first with {}, confirmed {}", stats.wins, stats.duplicates);
    }
    println!("digest     {}", outcome.digest);
    if differing > 0 {
        println!("consumer   {differing} books differ from the machine's");
    }
    match replayed {
        Some(true) => println!("replay     equal: every row and the digest follow from the archive"),
        Some(false) => println!("replay     DIFFERS: the archive does not give the same rows"),
        None => {}
    }
}

/// What signs for the venue. Errors: Kalshi without a key, another venue with one, a key that cannot be used.
fn signer(args: &RecordArgs) -> Result<Option<Arc<dyn Signer>>> {
    match (args.venue, &args.key_id, &args.private_key) {
        (Venue::Kalshi, Some(key_id), Some(file)) => {
            let unreadable = || format!("key_unreadable: {}", file.display());
            let pem = std::fs::read(file).with_context(unreadable)?;
            let signer = KalshiSigner::from_pem(key_id, &pem)
                .map_err(|error| anyhow::anyhow!("{}: {}: {error}", error.code(), file.display()))?;
            Ok(Some(Arc::new(signer)))
        }
        (Venue::Kalshi, _, _) => {
            bail!("key_missing: Kalshi signs every connection; give --key-id and --private-key")
        }
        (venue, _, Some(_)) => bail!("wrong_flag: {venue} takes no key"),
        _ => Ok(None),
    }
}
