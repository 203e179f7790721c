//! The cold start: from no connection to every book of thousands of Polymarket assets live, against the venue's twin on
//! loopback, archive included.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ingest::edge::{Endpoints, Seen, VenueEdge, clocks};
use ingest::venue::VenueMachine as _;
use schemas::{Raw, Venue};
use serde_json::{Value, json};
use sim::edge::polymarket::{PolymarketTwin, PolymarketTwinConfig, VenueTime};
use tokio::sync::mpsc;

use crate::recorder::{ArchiveSink, Plan, RawSink as _, Recorder, RunLimits};

/// Changes each second that the twin makes meanwhile.
const RATE: f64 = 1_000.0;
/// How long it may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_mins(2);
/// Things taken before the books are counted again.
const BATCH: usize = 64;

/// Seconds until all books of `markets` binary markets (two assets each) are live.
pub(super) async fn run(markets: usize, dir: &Path) -> Result<Value> {
    let config =
        PolymarketTwinConfig { markets, rate: Some(RATE), time: VenueTime::Wall, ..Default::default() };
    let twin = PolymarketTwin::spawn(config).context("starting the twin")?;
    let assets = twin.assets();
    let endpoints =
        Endpoints { sockets: vec![twin.market_ws_url.clone()], hosts: vec![twin.rest_url.clone()] };
    let plan = Plan {
        venue: Venue::Polymarket,
        names: assets.clone(),
        indices: vec![],
        rtds: vec![],
        rtds2: vec![],
        ab: false,
        seed: [7; 32],
    };
    let machine = plan.machine().context("Polymarket can be recorded")?;
    let sink = ArchiveSink::open(dir, &plan, "bench")?;
    let mut recorder = Recorder::new(machine, sink);
    let (tx, mut seen) = mpsc::channel::<Seen>(4_096);
    let started = Instant::now();
    let edge = VenueEdge::spawn_with(endpoints, RunLimits::default().edge, None, tx);
    let (mut rows, mut deeds, mut batch) = (Vec::new(), Vec::new(), Vec::with_capacity(BATCH));
    let mut frames = 0_u64;
    while recorder.subject().shelf().live() < assets.len() {
        ensure!(started.elapsed() < PATIENCE, "not all books were live after {} s", PATIENCE.as_secs());
        let (wall, mono_ns) = clocks();
        if recorder.wake_at().is_some_and(|due| due <= wall) {
            batch.push(Seen { wall, mono_ns, raw: Raw::TimeAdvanced { to: wall } });
        } else {
            // Nothing for a while is no reason to stop: the clock is looked at again.
            let _ = tokio::time::timeout(Duration::from_millis(5), seen.recv_many(&mut batch, BATCH)).await;
        }
        for one in batch.drain(..) {
            frames += 1;
            recorder.take(one, &mut rows, &mut deeds)?;
            for deed in deeds.drain(..) {
                edge.deed(deed)?;
            }
        }
        rows.clear();
    }
    let seconds = started.elapsed().as_secs_f64();
    let open = recorder.meter.open();
    let gaps = recorder.subject().shelf().counts.gaps;
    edge.shutdown().await;
    recorder.into_parts().2.close()?;
    twin.shutdown().await;
    Ok(
        json!({ "assets": assets.len(), "connections": open, "seconds": seconds, "frames": frames, "gaps": gaps }),
    )
}
