//! Kalshi: sequence numbers find every loss, so nothing may be missing without a gap.

use std::collections::BTreeSet;

use ingest::edge::Endpoints;
use ingest::link::LinkConfig;
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use node::recorder::{Subject, VenueBox};
use schemas::Timestamp;
use sim::edge::kalshi::{KalshiTwin, KalshiTwinConfig, KalshiTwinHandle};
use sim::venues::kalshi::{MarketSpec, VenueConfig};

use crate::support::{MESSAGES, RATE, Truth, ZOMBIE_NS, faults, start};

pub(crate) fn twin(fault: &str) -> KalshiTwinHandle {
    let venue = VenueConfig { markets: MarketSpec::many(8), faults: faults(fault), ..VenueConfig::default() };
    KalshiTwin::spawn(KalshiTwinConfig { venue, check_signatures: false, ..KalshiTwinConfig::default() })
        .unwrap()
}

pub(crate) fn endpoints(twin: &KalshiTwinHandle) -> Endpoints {
    Endpoints { sockets: vec![twin.ws_url.clone()], hosts: vec![twin.rest_url.clone()] }
}

pub(crate) fn machine(tickers: &[String], leg: u8) -> VenueBox {
    let link = LinkConfig { zombie_ns: ZOMBIE_NS, seed: [leg; 32], ..LinkConfig::default() };
    VenueBox(Box::new(Kalshi::new(KalshiConfig {
        tickers: tickers.to_vec(),
        link,
        ..KalshiConfig::default()
    })))
}

/// The true sides in our terms: an offer of yes is a bid for no.
pub(crate) fn truth(twin: &KalshiTwinHandle) -> Vec<Truth> {
    let of = |ticker: String| {
        let book = twin.truth(&ticker).unwrap();
        let asks = book.no.iter().map(|(price, qty)| (1_000_000 - price, *qty)).collect();
        Truth { native: ticker, bids: book.yes, asks }
    };
    twin.tickers().into_iter().map(of).collect()
}

async fn case(fault: &str) {
    let twin = twin(fault);
    let tickers = twin.tickers();
    let running = start(Subject::Single(machine(&tickers, 0)), endpoints(&twin));
    while twin.sent().values().sum::<u64>() < tickers.len() as u64 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for _ in 0..MESSAGES / 20 {
        twin.step(20).await;
        tokio::time::sleep(std::time::Duration::from_millis(20_000 / RATE)).await;
    }
    assert!(twin.quiesce().await);
    let ended = running.finish(fault, || Subject::Single(machine(&tickers, 0)), &truth(&twin)).await;
    let told: BTreeSet<String> =
        ended.trades(fault).into_iter().map(|(_, trade, _)| uuid(trade.id)).collect();
    let mut lost = 0;
    for trade in twin.trades() {
        if !told.contains(&trade.id) {
            lost += 1;
            let at = Timestamp::from_millis(trade.at_us / 1_000);
            assert!(
                ended.covered(&trade.ticker, at),
                "{fault}: trade {trade:?} is missing and no gap says so"
            );
        }
    }
    if matches!(fault, "none" | "duplicate" | "garbage" | "tick_change") {
        assert_eq!(lost, 0, "{fault}: trades are missing");
    }
    ended.print("kalshi", fault);
    twin.shutdown().await;
}

fn uuid(id: [u8; 16]) -> String {
    let hex = hex::encode(id);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            case(stringify!($name)).await;
        }
    )+};
}
cases!(none, drop, duplicate, reorder, cut, garbage, overflow, rewind, zombie, corrupt, tick_change);
