//! Books rebuilt from the wire equal the truth.

use std::time::Duration;

use sim::venues::kalshi::{MarketSpec, VenueConfig};

use crate::client::{Client, Reference, spawn};

/// Reads until nothing more comes for a while and compares all books with the truth.
async fn read_and_compare(
    client: &mut Client,
    twin: &sim::edge::kalshi::KalshiTwinHandle,
    tickers: &[String],
) -> usize {
    let mut reference = Reference::default();
    let frames = client.hear_all(200).await;
    for frame in &frames {
        reference.apply(frame);
    }
    assert_eq!((reference.breaks.len(), reference.negative), (0, 0));
    for ticker in tickers {
        assert_eq!(reference.books.get(ticker), twin.truth(ticker).as_ref(), "{ticker}");
    }
    frames.len()
}

#[tokio::test]
async fn stepped_by_hand_the_book_is_the_truth_after_every_message() {
    let twin = spawn(VenueConfig::default());
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", &tickers).await;
    let mut reference = Reference::default();
    for _ in &tickers {
        reference.apply(&client.hear().await);
    }
    let sids = reference.seqs.clone();
    for _ in 0..300 {
        let trades = twin.trades().len();
        assert_eq!(twin.step(1).await, 1);
        if twin.trades().len() == trades {
            reference.apply(&client.hear().await);
        }
        for ticker in &tickers {
            assert_eq!(reference.books.get(ticker), twin.truth(ticker).as_ref(), "{ticker}");
        }
    }
    assert_eq!(sids.len(), 1);
    assert_eq!((reference.breaks.len(), reference.negative), (0, 0));
    twin.shutdown().await;
}

#[tokio::test]
async fn several_connections_at_thousands_of_messages_a_second_all_hold_the_truth() {
    let twin = spawn(VenueConfig { markets: MarketSpec::many(200), ..VenueConfig::default() });
    let tickers = twin.tickers();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&twin).await;
        client.subscribe("orderbook_delta", &tickers).await;
        clients.push(client);
    }
    twin.run(4_000);
    let readers = clients.into_iter().map(|mut client| {
        let (twin, tickers) = (&twin, &tickers);
        async move { read_and_compare(&mut client, twin, tickers).await }
    });
    let quiet = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(twin.quiesce().await);
    };
    let (heard, ()) = tokio::join!(futures_util::future::join_all(readers), quiet);
    let stats = twin.stats();
    assert!(stats.messages >= 2_000, "{stats:?}");
    assert_eq!(stats.overflows, 0);
    assert!(heard.iter().all(|n| *n == heard[0]), "{heard:?}");
    twin.shutdown().await;
}

#[tokio::test]
async fn a_side_without_orders_has_no_key() {
    let twin = spawn(VenueConfig::default());
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    client.subscribe("orderbook_delta", &tickers).await;
    let mut missing = [0, 0, 0];
    for _ in &tickers {
        let frame = client.hear().await;
        let keys = ["yes_dollars_fp", "no_dollars_fp"].map(|key| frame["msg"].get(key).is_some());
        match keys {
            [false, true] => missing[0] += 1,
            [true, false] => missing[1] += 1,
            [false, false] => missing[2] += 1,
            [true, true] => {}
        }
    }
    assert_eq!(missing, [1, 1, 1]);
    twin.shutdown().await;
}

#[tokio::test]
async fn the_generator_never_crosses_a_book_and_leaves_no_grid() {
    let twin = spawn(VenueConfig { markets: MarketSpec::many(48), ..VenueConfig::default() });
    for _ in 0..200 {
        assert_eq!(twin.burst(100), 100);
        twin.with(|venue, _| {
            for market in &venue.world.markets {
                let best = |side: &std::collections::BTreeMap<i64, i64>| {
                    side.last_key_value().map_or(0, |(p, _)| *p)
                };
                assert!(best(&market.book.yes) + best(&market.book.no) < 1_000_000, "{}", market.spec.ticker);
                for (price, qty) in market.book.yes.iter().chain(&market.book.no) {
                    assert!(
                        *qty > 0 && market.structure.allows(*price),
                        "{} {price} {qty}",
                        market.spec.ticker
                    );
                }
            }
        });
    }
    assert!(twin.trades().len() > 1_000);
    twin.shutdown().await;
}

#[tokio::test]
async fn the_same_seed_is_the_same_day() {
    let clock = sim::edge::kalshi::TwinClock::Manual(1_782_873_105_000_000);
    let mut frames = Vec::new();
    for seed in [5, 5, 6] {
        let venue = VenueConfig { seed, ..VenueConfig::default() };
        let config = sim::edge::kalshi::KalshiTwinConfig { clock, ..crate::client::config(venue) };
        let twin = sim::edge::kalshi::KalshiTwin::spawn(config).unwrap();
        let mut client = Client::connect(&twin).await;
        client.subscribe("orderbook_delta", &twin.tickers()).await;
        twin.step(500).await;
        frames.push(client.hear_all(150).await);
        twin.shutdown().await;
    }
    assert_eq!(frames[0], frames[1]);
    assert_ne!(frames[0], frames[2]);
}
