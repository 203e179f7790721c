//! Polymarket: no sequence exists. Best prices find most losses at once, the audit finds the rest; a lost trade cannot be
//! known, so only what was never sent may be missing without a gap.

use std::collections::BTreeMap;
use std::time::Duration;

use ingest::edge::Endpoints;
use ingest::link::LinkConfig;
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use node::recorder::{Subject, VenueBox};
use schemas::Timestamp;
use sim::edge::polymarket::{LogEntry, PolymarketHandle, PolymarketTwin, PolymarketTwinConfig, VenueTime};

use crate::support::{MESSAGES, RATE, Truth, ZOMBIE_NS, faults, start};

pub(crate) fn twin(fault: &str) -> PolymarketHandle {
    PolymarketTwin::spawn(PolymarketTwinConfig {
        markets: 6,
        faults: faults(fault),
        time: VenueTime::Wall,
        replay: 3,
        bare_every: 7,
        ..PolymarketTwinConfig::default()
    })
    .unwrap()
}

pub(crate) fn endpoints(twin: &PolymarketHandle) -> Endpoints {
    Endpoints { sockets: vec![twin.market_ws_url.clone()], hosts: vec![twin.rest_url.clone()] }
}

pub(crate) fn machine(assets: &[String], leg: u8) -> VenueBox {
    let base = PolymarketConfig::new(assets.to_vec());
    let link = LinkConfig { zombie_ns: ZOMBIE_NS, seed: [leg; 32], ..base.link.clone() };
    // The audit is what finds a lost change deep in a book: here it runs often, so that a test need not wait for it.
    let (audit_period_ns, audit_grace_ns) = (200_000_000, 300_000_000);
    VenueBox(Box::new(Polymarket::new(PolymarketConfig { link, audit_period_ns, audit_grace_ns, ..base })))
}

/// The true sides.
pub(crate) fn truth(twin: &PolymarketHandle) -> Vec<Truth> {
    let of = |asset: String| {
        let levels = twin.truth(&asset).unwrap();
        Truth {
            native: asset,
            bids: levels.bids.into_iter().collect(),
            asks: levels.asks.into_iter().collect(),
        }
    };
    twin.assets().into_iter().map(of).collect()
}

/// Trades by what identifies them: token, price, quantity, millisecond.
pub(crate) fn traded(twin: &PolymarketHandle) -> BTreeMap<(String, i64, i64, i64), u32> {
    let markets = twin.markets();
    let mut out = BTreeMap::new();
    for entry in twin.log() {
        if let LogEntry::Trade { trade, .. } = entry {
            let token = &markets[trade.market].tokens[trade.outcome as usize];
            *out.entry((token.clone(), trade.price, trade.size, trade.at_ms)).or_default() += 1;
        }
    }
    out
}

pub(crate) async fn run(twin: &PolymarketHandle, assets: usize) {
    while twin.stats().books < assets as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for _ in 0..MESSAGES / 20 {
        twin.step(20).await;
        tokio::time::sleep(Duration::from_millis(20_000 / RATE)).await;
    }
    twin.quiesce().await;
}

async fn case(fault: &str) {
    let twin = twin(fault);
    let assets = twin.assets();
    let running = start(Subject::Single(machine(&assets, 0)), endpoints(&twin));
    run(&twin, assets.len()).await;
    let ended = running.finish(fault, || Subject::Single(machine(&assets, 0)), &truth(&twin)).await;
    let mut told: BTreeMap<_, u32> = BTreeMap::new();
    for (native, trade, row) in ended.trades(fault) {
        let ms = row.times.venue_at.unwrap().millis();
        *told.entry((native, trade.price, trade.qty, ms)).or_default() += 1;
    }
    let unsent = matches!(fault, "drop" | "cut" | "zombie");
    let truth = traded(&twin);
    for (key, count) in &truth {
        let got = told.remove(key).unwrap_or(0);
        assert!(got <= *count, "{fault}: {key:?} came {got} times instead of {count}");
        let covered = || ended.covered(&key.0, Timestamp::from_millis(key.3));
        assert!(got == *count || unsent || covered(), "{fault}: trade {key:?} is missing and no gap says so");
    }
    assert!(told.is_empty(), "{fault}: trades that never were: {told:?}");
    ended.print("polymarket", fault);
    twin.shutdown().await;
}

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            case(stringify!($name)).await;
        }
    )+};
}
cases!(none, drop, duplicate, reorder, cut, garbage, zombie, corrupt, tick_change);
