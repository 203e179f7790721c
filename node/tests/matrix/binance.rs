//! Binance: update ids find every loss of a book; trades have numbers of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use ingest::edge::Endpoints;
use ingest::link::LinkConfig;
use ingest::venue::binance::{Binance, BinanceConfig, Dialect};
use node::recorder::{Subject, VenueBox};
use schemas::Timestamp;
use sim::edge::binance::{BinanceTwin, BinanceTwinConfig};

use crate::support::{MESSAGES, RATE, Truth, ZOMBIE_NS, faults, start};

fn machine(symbols: &[String]) -> VenueBox {
    let base = BinanceConfig::new(Dialect::Spot, symbols.to_vec());
    let link = LinkConfig { zombie_ns: ZOMBIE_NS, ..base.link.clone() };
    VenueBox(Box::new(Binance::new(BinanceConfig { link, ..base })))
}

async fn case(fault: &str) {
    let mut config = BinanceTwinConfig::default();
    config.venue.faults = faults(fault);
    config.venue.snapshot_skew = vec![0, -5, 7];
    let twin = BinanceTwin::spawn(config).unwrap();
    let symbols = ["BTCUSDT".to_owned(), "ETHUSDT".to_owned()];
    let endpoints =
        Endpoints { sockets: vec![format!("{}/ws", twin.ws_url)], hosts: vec![twin.rest_url.clone()] };
    let running = start(Subject::Single(machine(&symbols)), endpoints);
    while twin.stats().connections == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..MESSAGES / 20 {
        twin.step(20).await;
        tokio::time::sleep(Duration::from_millis(20_000 / RATE)).await;
    }
    assert!(twin.quiesce().await);
    let of = |symbol: &String| {
        let book = twin.truth(symbol).unwrap();
        Truth { native: symbol.clone(), bids: book.bids, asks: book.asks }
    };
    let truth: Vec<Truth> = symbols.iter().map(of).collect();
    let ended = running.finish(fault, || Subject::Single(machine(&symbols)), &truth).await;
    let told: BTreeSet<(String, u128)> =
        ended.trades(fault).into_iter().map(|(native, t, _)| (native, u128::from_be_bytes(t.id))).collect();
    for symbol in &symbols {
        for trade in twin.trades(symbol) {
            let got = told.contains(&(symbol.clone(), u128::from(trade.id)));
            let unsent = matches!(fault, "drop" | "cut" | "zombie");
            let covered = || ended.covered(symbol, Timestamp::from_millis(trade.at_ms));
            assert!(got || unsent || covered(), "{fault}: trade {trade:?} is missing and no gap says so");
        }
    }
    ended.print("binance", fault);
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
cases!(none, drop, duplicate, reorder, cut, garbage, rewind, zombie);
