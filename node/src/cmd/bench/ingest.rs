//! `oraculo bench ingest`: what decoding a frame and changing a book costs, beside typed serde_json and sonic-rs doing
//! the same work in the same run; the archive beside plain zstd; the cold start of 10,000 assets.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use ingest::VenueOutput;
use ingest::venue::VenueMachine;
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use schemas::{Raw, Record, Timestamp};
use serde_json::{Value, json};

use super::peers::{Peer, PeerBooks};
use super::workload::{self, Session};

/// Markets in the made-up sessions.
const MARKETS: usize = 100;
/// Messages timed together: reading the clock costs as much as a tenth of a message.
const BATCH: usize = 64;
/// How often each session is measured; the fastest run counts for every contender alike.
const ROUNDS: usize = 5;

/// Measures both venues.
pub(super) fn run(messages: usize) -> Result<Value> {
    eprintln!("kalshi: {messages} deltas, {ROUNDS} rounds");
    let kalshi = venue(&workload::kalshi(MARKETS, messages), Venue::Kalshi)?;
    eprintln!("polymarket: {messages} messages, {ROUNDS} rounds");
    let polymarket = venue(&workload::polymarket(MARKETS, messages / 2), Venue::Polymarket)?;
    eprintln!("archive beside plain zstd");
    let archive = super::archive::run(&workload::kalshi(MARKETS, messages))?;
    Ok(json!({ "kalshi": kalshi, "polymarket": polymarket, "archive": archive }))
}

#[derive(Clone, Copy)]
enum Venue {
    Kalshi,
    Polymarket,
}

/// One contender's times.
struct Timing {
    /// Nanoseconds per delta, a value per batch.
    batches: Vec<f64>,
    /// Seconds of all batches.
    seconds: f64,
    /// Deltas that were timed.
    deltas: f64,
    /// Messages that were timed.
    messages: f64,
    /// Heap allocations while it ran.
    allocs: u64,
}

impl Timing {
    fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.batches.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * q) as usize]
    }
}

/// Runs `apply` over all messages in batches. The first fifth warms caches and capacities and is not counted.
fn time(session: &Session, mut apply: impl FnMut(usize) -> bool) -> Result<Timing> {
    let per_message = session.deltas as f64 / session.messages.len() as f64;
    let mut batches = Vec::with_capacity(session.messages.len() / BATCH + 1);
    let warm = session.messages.len() / 5;
    let mut fine = (0..warm).all(&mut apply);
    let mut seconds = 0.0;
    let allocs = allocation_counter::measure(|| {
        for start in (warm..session.messages.len()).step_by(BATCH) {
            let end = (start + BATCH).min(session.messages.len());
            let from = Instant::now();
            for at in start..end {
                fine &= apply(at);
            }
            let took = from.elapsed().as_secs_f64();
            seconds += took;
            batches.push(took * 1e9 / (end - start) as f64 / per_message);
        }
    })
    .count_total;
    ensure!(fine, "a message of the made-up session was refused");
    let messages = (session.messages.len() - warm) as f64;
    Ok(Timing { batches, seconds, deltas: messages * per_message, messages, allocs })
}

fn venue(session: &Session, venue: Venue) -> Result<Value> {
    let records: Vec<Record<Raw>> = session
        .messages
        .iter()
        .enumerate()
        .map(|(n, bytes)| record(1_000_000 + n as u64, Raw::Frame { conn: 1, bytes: bytes.clone() }))
        .collect();
    let ours = fastest(|| ours(session, &records, venue))?;
    let serde = fastest(|| peer(session, Peer::Serde, venue))?;
    let sonic = fastest(|| peer(session, Peer::Sonic, venue))?;
    let own = ours.quantile(0.5);
    let bytes = session.messages.iter().map(Vec::len).sum::<usize>() as f64 / session.messages.len() as f64;
    Ok(json!({
        "ns_per_delta": own,
        "ns_per_delta_p99": ours.quantile(0.99),
        "msgs_per_s": ours.messages / ours.seconds,
        "deltas_per_s": ours.deltas / ours.seconds,
        "deltas_per_msg": ours.deltas / ours.messages,
        "bytes_per_msg": bytes,
        "allocs_per_delta": ours.allocs as f64 / ours.deltas,
        "serde_ns_per_delta": serde.quantile(0.5),
        "sonic_ns_per_delta": sonic.quantile(0.5),
        "vs_serde": serde.quantile(0.5) / own,
        "vs_sonic": sonic.quantile(0.5) / own,
    }))
}

fn fastest(mut run: impl FnMut() -> Result<Timing>) -> Result<Timing> {
    let mut best = run()?;
    for _ in 1..ROUNDS {
        let next = run()?;
        if next.seconds < best.seconds {
            best = next;
        }
    }
    Ok(best)
}

fn record(seq: u64, body: Raw) -> Record<Raw> {
    Record { seq, at: Timestamp::from_millis(1_782_873_105_000), body }
}

/// The machine itself, from the opening on.
fn ours(session: &Session, records: &[Record<Raw>], venue: Venue) -> Result<Timing> {
    match venue {
        Venue::Kalshi => measure(Kalshi::new(KalshiConfig::capture()), session, records),
        Venue::Polymarket => measure(Polymarket::new(PolymarketConfig::capture()), session, records),
    }
}

fn measure<M: VenueMachine>(mut machine: M, session: &Session, records: &[Record<Raw>]) -> Result<Timing> {
    let mut out: Vec<VenueOutput> = Vec::with_capacity(4_096);
    machine.apply(&record(1, Raw::TimeAdvanced { to: Timestamp::from_millis(1_782_873_105_000) }), &mut out);
    machine.apply(&record(2, Raw::Connected { conn: 1 }), &mut out);
    for (n, bytes) in session.opening.iter().enumerate() {
        machine.apply(&record(3 + n as u64, Raw::Frame { conn: 1, bytes: bytes.clone() }), &mut out);
    }
    out.clear();
    let live = machine.shelf().live();
    ensure!(live > 0, "the opening of the made-up session gave no live book");
    let timing = time(session, |at| {
        out.clear();
        machine.apply(&records[at], &mut out);
        !out.is_empty()
    })?;
    let counts = machine.shelf().counts;
    ensure!(
        machine.shelf().live() == live && counts.gaps == 0 && counts.quarantined == 0,
        "the made-up session lost a book: {counts:?}"
    );
    Ok(timing)
}

fn peer(session: &Session, peer: Peer, venue: Venue) -> Result<Timing> {
    let mut books = PeerBooks::new(peer);
    let mut out: Vec<VenueOutput> = Vec::with_capacity(4_096);
    books.open(&session.opening, &mut out).context("the peer could not read the opening")?;
    time(session, |at| {
        out.clear();
        match venue {
            Venue::Kalshi => books.kalshi(&session.messages[at], &mut out),
            Venue::Polymarket => books.polymarket(&session.messages[at], &mut out),
        }
        .is_some()
    })
}

/// How long a piece of work takes, seconds.
pub(super) fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let from = Instant::now();
    let value = work().context("a measured piece of work")?;
    Ok((value, from.elapsed().as_secs_f64()))
}
