//! The market channel without faults: books, changes, trades, grids, the custom features and the 500-asset rule.

use std::collections::{BTreeMap, BTreeSet};

use sim::edge::polymarket::{LogEntry, PolymarketTwinConfig, SnapshotForm};
use sim::venues::polymarket::{Mix, Outcome};

use crate::client::{Client, Socket, first_frame, micros, objects, operation, recomputed_hash, spawn};

#[tokio::test(flavor = "multi_thread")]
async fn rebuilt_books_equal_the_truth_whatever_the_writing_style() {
    for (best_first, bare_every, snapshots) in
        [(false, 0, SnapshotForm::Array), (true, 3, SnapshotForm::Single), (true, 1, SnapshotForm::Alternate)]
    {
        let twin = spawn(PolymarketTwinConfig { best_first, bare_every, snapshots, ..Default::default() });
        let assets = twin.assets();
        let mut client = Client::subscribed(&twin, &assets, true).await;
        assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
        twin.step(3_000).await;
        assert!(twin.quiesce().await);
        assert_eq!(client.catch_up().await, None);
        let replica = &client.replica;
        assert_eq!(replica.wrong(&twin, &assets), Vec::<String>::new());
        assert_eq!((replica.bad_hashes, replica.bad_tops, replica.garbage, replica.early), (0, 0, 0, 0));
        assert!(
            replica.count("book") > 100 && replica.count("last_trade_price") > 100,
            "{:?}",
            replica.counts
        );
        assert!(
            replica.count("price_change") > 1_000 && replica.count("best_bid_ask") > 100,
            "{:?}",
            replica.counts
        );
        let bare =
            client.heard.iter().any(|text| text.contains(r#""price":".""#) || text.contains(r#""price":"."#));
        assert_eq!(bare, bare_every > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_come_as_arrays_and_as_single_objects_in_either_level_order() {
    let twin = spawn(PolymarketTwinConfig { best_first: false, ..Default::default() });
    let assets = twin.assets();
    let array = Client::subscribed(&twin, &assets, false).await;
    let single = Client::subscribed(&twin, &assets, false).await;
    assert!(array.heard.len() == 1 && array.heard[0].starts_with('['));
    assert!(single.heard.len() == assets.len() && single.heard.iter().all(|text| text.starts_with('{')));
    for book in objects(&array.heard[0]) {
        assert_eq!(recomputed_hash(&book), book["hash"].as_str().unwrap());
        let prices = |key: &str| -> Vec<i64> {
            book[key].as_array().unwrap().iter().map(|l| micros(l["price"].as_str().unwrap())).collect()
        };
        assert!(prices("bids").is_sorted() && prices("asks").iter().rev().is_sorted(), "best last");
    }
    let other = spawn(PolymarketTwinConfig { best_first: true, ..Default::default() });
    let client = Client::subscribed(&other, &other.assets()[..1], false).await;
    let book = &objects(&client.heard[0])[0];
    let bids: Vec<_> =
        book["bids"].as_array().unwrap().iter().map(|l| micros(l["price"].as_str().unwrap())).collect();
    assert!(bids.len() > 2 && bids.iter().rev().is_sorted(), "best first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_touches_both_tokens_and_mirrors_them() {
    let twin = spawn(PolymarketTwinConfig { mix: Mix::changes_only(), markets: 3, ..Default::default() });
    let ids = twin.markets();
    // Only YES is listened to: the message still carries both tokens.
    let mut client = Client::subscribed(&twin, &[ids[1].tokens[0].clone()], false).await;
    twin.step_market(1, 200).await;
    assert!(twin.quiesce().await);
    client.catch_up().await;
    let changes = client.of_kind("price_change");
    assert_eq!(changes.len(), 200);
    for message in changes {
        assert_eq!(message["market"], ids[1].condition.as_str());
        let entries = message["price_changes"].as_array().unwrap();
        assert!(entries.len().is_multiple_of(2));
        for pair in entries.chunks(2) {
            assert_eq!(
                (&pair[0]["asset_id"], &pair[1]["asset_id"]),
                (&ids[1].tokens[0].clone().into(), &ids[1].tokens[1].clone().into())
            );
            let number = |i: usize, key: &str| micros(pair[i][key].as_str().unwrap());
            assert_eq!(number(0, "price") + number(1, "price"), 1_000_000);
            assert_eq!(number(0, "size"), number(1, "size"));
            assert_ne!(pair[0]["side"], pair[1]["side"]);
            assert_eq!(number(0, "best_bid") + number(1, "best_ask"), 1_000_000);
            assert_ne!(pair[0]["hash"], pair[1]["hash"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_change_carries_the_hash_of_the_book_that_rest_would_show() {
    let twin = spawn(PolymarketTwinConfig { mix: Mix::changes_only(), markets: 1, ..Default::default() });
    let assets = twin.assets();
    let mut client = Client::subscribed(&twin, &assets, false).await;
    twin.step(50).await;
    assert!(twin.quiesce().await);
    client.catch_up().await;
    let last = client.of_kind("price_change").pop().unwrap();
    let (status, book) = crate::client::get(&twin, &format!("/book?token_id={}", assets[0])).await;
    assert_eq!((status, recomputed_hash(&book)), (200, book["hash"].as_str().unwrap().to_owned()));
    let entries = last["price_changes"].as_array().unwrap();
    assert_eq!(
        entries[0]["hash"], book["hash"],
        "same timestamp {} {}",
        last["timestamp"], book["timestamp"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_500_assets_on_a_connection_mean_no_books_only_changes() {
    let twin = spawn(PolymarketTwinConfig { markets: 260, ..Default::default() });
    let assets = twin.assets();
    let full = Client::subscribed(&twin, &assets[..500], false).await;
    assert_eq!(full.replica.count("book"), 500);
    let mut over = Client::subscribed(&twin, &assets[..501], false).await;
    assert_eq!(over.replica.counts, BTreeMap::new());
    twin.change_tick(0);
    twin.step(400).await;
    assert!(twin.quiesce().await);
    over.catch_up().await;
    assert_eq!(over.replica.count("book"), 0);
    assert!(over.replica.count("price_change") > 200 && over.replica.count("last_trade_price") > 0);
    // The rule counts what a connection listens to, not what one command names.
    let mut grown = Client::subscribed(&twin, &assets[..500], false).await;
    let before = grown.replica.count("book");
    grown.socket.say(operation("subscribe", &assets[500..502])).await;
    grown.catch_up().await;
    assert_eq!((before, grown.replica.count("book")), (500, 500));
    grown.socket.say(operation("unsubscribe", &assets[..10])).await;
    grown.socket.say(operation("subscribe", &assets[502..504])).await;
    grown.catch_up().await;
    assert_eq!(grown.replica.count("book"), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsubscribed_asset_falls_silent_and_a_resubscribe_brings_its_book() {
    let twin = spawn(PolymarketTwinConfig { markets: 2, ..Default::default() });
    let assets = twin.assets();
    let mut client = Client::subscribed(&twin, &assets, false).await;
    client.socket.say(operation("unsubscribe", &assets[..2])).await;
    client.catch_up().await;
    let before = client.heard.len();
    twin.step_market(0, 50).await;
    assert!(twin.quiesce().await);
    client.catch_up().await;
    assert_eq!(client.heard.len(), before);
    client.socket.say(operation("subscribe", &assets[..2])).await;
    client.catch_up().await;
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
    // What is no command is answered, and nobody is cut for it.
    client.socket.say("{").await;
    assert_eq!(client.socket.text().await, "INVALID OPERATION");
    client.socket.say(r#"{"operation":"fly","assets_ids":[]}"#).await;
    assert_eq!(client.socket.text().await, "INVALID OPERATION");
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_have_no_id_and_fills_share_a_transaction() {
    let mix = Mix { trades: 500, ..Mix::default() };
    let twin = spawn(PolymarketTwinConfig { mix, markets: 4, ..Default::default() });
    let assets = twin.assets();
    let mut client = Client::subscribed(&twin, &assets, false).await;
    twin.step(1_000).await;
    assert!(twin.quiesce().await);
    client.catch_up().await;
    let ids = twin.markets();
    let heard: Vec<_> = client
        .of_kind("last_trade_price")
        .iter()
        .map(|t| {
            assert!(t.get("id").is_none() && t.get("trade_id").is_none());
            let text = |key: &str| t[key].as_str().unwrap().to_owned();
            (
                text("asset_id"),
                micros(&text("price")),
                micros(&text("size")),
                text("side"),
                text("transaction_hash"),
            )
        })
        .collect();
    let log: Vec<_> = twin
        .log()
        .into_iter()
        .filter_map(|entry| match entry {
            LogEntry::Trade { trade: t, .. } => {
                let asset = ids[t.market].tokens[t.outcome.index()].clone();
                Some((asset, t.price, t.size, t.side.word().to_owned(), t.transaction))
            }
            _ => None,
        })
        .collect();
    assert_eq!(heard, log);
    let transactions: BTreeSet<_> = log.iter().map(|t| &t.4).collect();
    assert!(transactions.len() > 50 && transactions.len() < log.len(), "some fills share one");
    assert!(client.replica.timestamps.windows(2).any(|w| w[0] == w[1]), "equal timestamps occur");
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_change_is_said_for_both_tokens_and_the_books_follow_after_the_delay() {
    let config = PolymarketTwinConfig {
        mix: Mix::changes_only(),
        markets: 1,
        book_delay: 5,
        snapshots: SnapshotForm::Single,
        ..Default::default()
    };
    let twin = spawn(config);
    let assets = twin.assets();
    let mut client = Client::subscribed(&twin, &assets, false).await;
    assert_eq!(client.heard, Vec::<String>::new(), "the first books wait, too");
    twin.step(10).await;
    twin.change_tick(0);
    assert_eq!(twin.tick_size(&assets[0]), Some(1_000));
    twin.step(10).await;
    assert!(twin.quiesce().await);
    client.catch_up().await;
    let kinds: Vec<_> =
        client.heard.iter().map(|t| objects(t)[0]["event_type"].as_str().unwrap().to_owned()).collect();
    let place = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
    assert_eq!((place("book"), place("tick_size_change")), (5, 12), "{kinds:?}");
    assert_eq!(kinds[12..21].iter().filter(|k| *k == "price_change").count(), 5);
    assert_eq!(kinds[19..21], ["book", "book"]);
    let change = &client.of_kind("tick_size_change")[1];
    assert_eq!((&change["old_tick_size"], &change["new_tick_size"]), (&"0.01".into(), &"0.001".into()));
    assert_eq!(change["asset_id"], assets[Outcome::No.index()].as_str());
    // 5 messages of the first wait and 5 of the grid's, each with both tokens or more.
    assert!(client.replica.early >= 20, "{}", client.replica.early);
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_near_the_ends_refine_the_grid_by_themselves() {
    let mix = Mix { moves: 600, ..Mix::default() };
    let twin = spawn(PolymarketTwinConfig { mix, markets: 12, seed: 3, ..Default::default() });
    let assets = twin.assets();
    let mut client = Client::subscribed(&twin, &assets, false).await;
    for _ in 0..20 {
        twin.step(1_000).await;
        client.catch_up().await;
    }
    assert!(twin.quiesce().await);
    client.catch_up().await;
    assert!(client.replica.count("tick_size_change") >= 2, "{:?}", client.replica.counts);
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
    assert_eq!((client.replica.bad_tops, client.replica.bad_hashes), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_features_are_for_those_who_ask() {
    let twin = spawn(PolymarketTwinConfig { markets: 2, unlisted_requests: 1, ..Default::default() });
    let assets = twin.assets();
    let mut custom = Client::subscribed(&twin, &assets, true).await;
    let mut plain = Client::subscribed(&twin, &assets, false).await;
    let new = twin.list_market();
    twin.step(200).await;
    twin.resolve(0, 1_000_000);
    twin.resolve(1, 500_000);
    assert!(twin.quiesce().await);
    custom.catch_up().await;
    plain.catch_up().await;
    for kind in ["best_bid_ask", "new_market", "market_resolved"] {
        assert!(custom.replica.count(kind) > 0 && plain.replica.count(kind) == 0, "{kind}");
    }
    assert_eq!(custom.of_kind("new_market")[0]["condition_id"], new.condition.as_str());
    let resolved = custom.of_kind("market_resolved");
    assert_eq!(resolved[0]["winning_asset_id"], assets[0].as_str());
    assert_eq!(resolved[1]["winning_asset_id"], "", "a split has no winner");
    // The markets have ended: nothing more happens.
    let before = twin.next_number();
    twin.step(10).await;
    assert_eq!(twin.next_number(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_market_has_a_book_once_the_clob_knows_it() {
    let twin = spawn(PolymarketTwinConfig { markets: 1, unlisted_requests: 2, ..Default::default() });
    let new = twin.list_market();
    let mut client = Client::subscribed(&twin, &new.tokens, false).await;
    assert_eq!(client.replica.count("book"), 0);
    let path = format!("/book?token_id={}", new.tokens[0]);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(crate::client::get(&twin, &path).await.0);
    }
    assert_eq!(statuses, [404, 404, 200]);
    client.catch_up().await;
    assert_eq!(client.replica.count("book"), 2);
    let placeholder = twin.truth(&new.tokens[0]).unwrap();
    assert_eq!((placeholder.bids[0].0, placeholder.asks[0].0), (10_000, 990_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconnect_the_last_changes_are_said_again_with_their_old_times() {
    let config =
        PolymarketTwinConfig { mix: Mix::changes_only(), markets: 1, replay: 3, ..Default::default() };
    let twin = spawn(config);
    let assets = twin.assets();
    let mut first = Client::subscribed(&twin, &assets, false).await;
    twin.step(40).await;
    assert!(twin.quiesce().await);
    first.catch_up().await;
    let last: Vec<_> = first.heard.iter().rev().take(3).rev().cloned().collect();
    twin.cut_all();
    assert!(first.catch_up().await.is_some());
    let again = Client::subscribed(&twin, &assets, false).await;
    let after_books: Vec<_> =
        again.heard.iter().filter(|text| !text.contains(r#""event_type":"book""#)).cloned().collect();
    assert_eq!(after_books, last, "byte for byte");
    assert!(
        again.replica.timestamps.windows(2).any(|w| w[1] < w[0]),
        "their times are older than the book's"
    );
    assert_eq!(again.replica.wrong(&twin, &assets), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_says_the_same_bytes() {
    let mut runs = Vec::new();
    for seed in [4, 4, 5] {
        let twin = spawn(PolymarketTwinConfig { seed, ..Default::default() });
        let mut client = Client::subscribed(&twin, &twin.assets(), true).await;
        twin.step(500).await;
        assert!(twin.quiesce().await);
        client.catch_up().await;
        runs.push(client.heard);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_twin_plays_by_itself_and_quiesces() {
    let twin = spawn(PolymarketTwinConfig { rate: Some(2_000.0), ..Default::default() });
    let assets = twin.assets();
    let mut socket = Socket::open(&twin.market_ws_url).await;
    socket.say(first_frame(&assets, false)).await;
    let mut client = Client { socket, replica: crate::client::Replica::default(), heard: Vec::new() };
    while client.replica.count("price_change") < 100 {
        client.catch_up().await;
    }
    assert!(twin.quiesce().await);
    client.catch_up().await;
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
    let stopped = twin.next_number();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(twin.next_number(), stopped);
    twin.resume();
    while twin.next_number() == stopped {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
