//! Two connections to one venue: whatever happens to one of them at a time leaves no gap and loses no trade.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use node::recorder::Subject;
use schemas::{BookState, TapeBody};

use crate::support::start;
use crate::{kalshi, polymarket};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kalshi_over_two_connections_tells_everything_once() {
    let twin = kalshi::twin("none");
    let tickers = twin.tickers();
    let make = || Subject::pair([kalshi::machine(&tickers, 0), kalshi::machine(&tickers, 1)]);
    let running = start(make(), kalshi::endpoints(&twin));
    while twin.sent().values().filter(|sent| **sent > tickers.len() as u64).count() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = twin.trades().len();
    for _ in 0..50 {
        twin.step(20).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(twin.quiesce().await);
    let ended = running.finish("two", make, &kalshi::truth(&twin)).await;
    let told: BTreeSet<[u8; 16]> = ended.trades("two").into_iter().map(|(_, trade, _)| trade.id).collect();
    let wanted = twin.trades().len() - before;
    assert!(wanted > 20 && told.len() >= wanted, "{} of {wanted} trades", told.len());
    let gaps = ended.rows.iter().filter(|r| matches!(r.body, TapeBody::State(BookState::Gap { .. }))).count();
    assert_eq!(gaps, 0);
    ended.print("kalshi", "two");
    twin.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polymarket_over_two_connections_tells_everything_once() {
    let twin = polymarket::twin("none");
    let assets = twin.assets();
    let make = || Subject::pair([polymarket::machine(&assets, 0), polymarket::machine(&assets, 1)]);
    let running = start(make(), polymarket::endpoints(&twin));
    polymarket::run(&twin, 2 * assets.len()).await;
    let ended = running.finish("two", make, &polymarket::truth(&twin)).await;
    let mut told: BTreeMap<_, u32> = BTreeMap::new();
    for (native, trade, row) in ended.trades("two") {
        *told.entry((native, trade.price, trade.qty, row.times.venue_at.unwrap().millis())).or_default() += 1;
    }
    assert_eq!(told, polymarket::traded(&twin));
    ended.print("polymarket", "two");
    twin.shutdown().await;
}
