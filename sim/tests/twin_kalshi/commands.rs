//! Commands and their answers: which sequence numbers they use, in which order they come, and every refusal.

use serde_json::{Value, json};
use sim::venues::kalshi::{Channel, VenueConfig};

use crate::client::{Client, Reference, spawn};

#[tokio::test]
async fn several_channels_are_several_subscriptions_with_their_own_sids() {
    let twin = spawn(VenueConfig::default());
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let channels = ["trade", "ticker", "market_lifecycle_v2", "orderbook_delta"];
    let id = client.say("subscribe", json!({"channels": channels, "market_tickers": tickers[..2]})).await;
    let mut sids = Vec::new();
    for channel in channels {
        let reply = client.hear().await;
        assert_eq!((&reply["type"], &reply["id"]), (&json!("subscribed"), &json!(id)));
        assert_eq!(reply["msg"]["channel"], channel);
        assert!(reply.get("seq").is_none() && reply.get("sid").is_none(), "{reply}");
        sids.push(reply["msg"]["sid"].as_u64().unwrap());
    }
    for seq in 1..=2 {
        let snapshot = client.hear().await;
        assert_eq!((&snapshot["type"], &snapshot["seq"]), (&json!("orderbook_snapshot"), &json!(seq)));
        assert_eq!(snapshot["sid"], sids[3]);
    }
    client.say("list_subscriptions", Value::Null).await;
    assert_eq!(client.hear().await["msg"][0], json!({"channel": "trade", "sid": sids[0]}));
    // A new connection never gets a sid of an old one.
    let mut second = Client::connect(&twin).await;
    let sid = second.subscribe("trade", &[]).await;
    assert!(!sids.contains(&sid));
    twin.shutdown().await;
}

#[tokio::test]
async fn acknowledgements_use_a_sequence_number_and_list_what_is_held() {
    let twin = spawn(VenueConfig::default());
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..1]).await;
    let mut reference = Reference::default();
    reference.apply(&client.hear().await);
    let add = json!({"sid": sid, "action": "add_markets", "market_tickers": tickers[1..3]});
    let id = client.say("update_subscription", add).await;
    let ok = client.hear().await;
    let mut held = tickers[..3].to_vec();
    held.sort();
    assert_eq!(ok, json!({"type": "ok", "id": id, "sid": sid, "seq": 2, "msg": {"market_tickers": held}}));
    reference.apply(&ok);
    for _ in 0..2 {
        reference.apply(&client.hear().await);
    }
    let remove = json!({"sids": [sid], "action": "delete_markets", "market_ticker": tickers[0]});
    client.say("update_subscription", remove).await;
    let ok = client.hear().await;
    assert_eq!((&ok["seq"], &ok["msg"]["market_tickers"]), (&json!(5), &json!(tickers[1..3])));
    reference.apply(&ok);
    let again = json!({"sid": sid, "action": "get_snapshot", "market_tickers": [tickers[1]]});
    let id = client.say("update_subscription", again).await;
    let snapshot = client.hear().await;
    assert_eq!((&snapshot["type"], &snapshot["id"]), (&json!("orderbook_snapshot"), &json!(id)));
    reference.apply(&snapshot);
    let id = client.say("unsubscribe", json!({"sids": [sid]})).await;
    assert_eq!(client.hear().await, json!({"type": "unsubscribed", "id": id, "sid": sid, "seq": 7}));
    assert!(reference.breaks.is_empty());
    assert_eq!(twin.step(200).await, 200);
    assert!(client.hear_all(100).await.is_empty());
    twin.shutdown().await;
}

#[tokio::test]
async fn delayed_acknowledgements_come_out_of_order_and_the_sequence_stays_whole() {
    let twin = spawn(VenueConfig { delay_acks: true, ..VenueConfig::default() });
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..1]).await;
    let mut reference = Reference::default();
    reference.apply(&client.hear().await);
    let mut ids = Vec::new();
    for ticker in &tickers[1..5] {
        let add = json!({"sid": sid, "action": "add_markets", "market_tickers": [ticker]});
        ids.push(client.say("update_subscription", add).await);
    }
    // The commands are in once the venue has read them; only then is their order the venue's choice.
    while twin.stats().commands < 5 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    twin.step(400).await;
    twin.release_acks();
    let mut acks = Vec::new();
    for frame in client.hear_all(150).await {
        if frame["type"] == "ok" {
            acks.push(frame["id"].as_u64().unwrap());
            assert_eq!(frame["msg"]["market_tickers"].as_array().unwrap().len(), 1 + acks.len());
        }
        reference.apply(&frame);
    }
    ids.reverse();
    assert_eq!(acks, ids);
    assert_eq!((reference.breaks.len(), reference.books.len()), (0, 5));
    assert!(reference.books.iter().all(|(ticker, book)| twin.truth(ticker).as_ref() == Some(book)));
    twin.shutdown().await;
}

#[tokio::test]
async fn acknowledgements_come_by_themselves_after_their_delay() {
    let delay = std::time::Duration::from_millis(30);
    let config = sim::edge::kalshi::KalshiTwinConfig {
        ack_delay: delay,
        ..crate::client::config(VenueConfig::default())
    };
    let twin = sim::edge::kalshi::KalshiTwin::spawn(config).unwrap();
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..1]).await;
    client.hear().await;
    client.say("unsubscribe", json!({"sids": [sid]})).await;
    assert_eq!(client.hear().await["type"], "unsubscribed");
    twin.shutdown().await;
}

#[tokio::test]
async fn a_removed_market_may_still_say_something() {
    let twin = spawn(VenueConfig { late_messages: 2, ..VenueConfig::default() });
    let ticker = twin.tickers()[0].clone();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", std::slice::from_ref(&ticker)).await;
    client.hear().await;
    client
        .say("update_subscription", json!({"sid": sid, "action": "delete_markets", "market_ticker": ticker}))
        .await;
    assert_eq!(client.hear().await["msg"], json!({"market_tickers": []}));
    twin.step(500).await;
    let late = client.hear_all(100).await;
    let seqs: Vec<u64> = late.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [3, 4]);
    assert!(late.iter().all(|frame| frame["msg"]["market_ticker"] == ticker.as_str()));
    twin.shutdown().await;
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let twin = spawn(VenueConfig { market_limit: 3, ..VenueConfig::default() });
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..2]).await;
    client.hear_all(50).await;
    let update = |params: Value| ("update_subscription", params);
    let cases = [
        (1, ("", Value::Null)),
        (2, ("subscribe", Value::Null)),
        (3, ("subscribe", json!({}))),
        (4, ("unsubscribe", json!({"sids": []}))),
        (5, ("resubscribe", json!({}))),
        (7, ("unsubscribe", json!({"sids": [999]}))),
        (7, update(json!({"sid": 999, "action": "add_markets", "market_tickers": [tickers[3]]}))),
        (8, ("subscribe", json!({"channels": ["weather"]}))),
        (11, ("subscribe", json!({"channels": ["orderbook_delta"], "market_tickers": ["KXNONE"]}))),
        (11, ("subscribe", json!({"channels": ["orderbook_delta"], "market_tickers": "KXNONE"}))),
        (12, update(json!({"action": "add_markets", "market_tickers": [tickers[3]]}))),
        (
            12,
            update(json!({"sids": [sid, sid + 1], "action": "add_markets", "market_tickers": [tickers[3]]})),
        ),
        (14, ("subscribe", json!({"channels": ["orderbook_delta"]}))),
        (26, ("subscribe", json!({"channels": ["orderbook_delta"], "market_tickers": tickers[..4]}))),
        (13, update(json!({"sid": sid, "action": "turn", "market_tickers": [tickers[3]]}))),
        (13, update(json!({"sid": sid, "action": "subscribe_indices", "index_ids": ["BRTI"]}))),
        (14, update(json!({"sid": sid, "action": "add_markets"}))),
        (15, update(json!({"sid": sid, "market_tickers": [tickers[3]]}))),
        (11, update(json!({"sid": sid, "action": "add_markets", "market_tickers": ["KXNONE"]}))),
        (26, update(json!({"sid": sid, "action": "add_markets", "market_tickers": tickers[2..4]}))),
    ];
    let mut seq = 2;
    for (code, (cmd, params)) in cases {
        let id = match cmd {
            "" => {
                client.say_text("{nonsense").await;
                None
            }
            cmd => Some(client.say(cmd, params.clone()).await),
        };
        let reply = client.hear().await;
        assert_eq!((&reply["type"], reply["id"].as_u64()), (&json!("error"), id), "{reply}");
        assert_eq!(reply["msg"]["code"], code, "{cmd} {params}: {reply}");
        // A refusal that concerns a living subscription uses one of its numbers.
        if reply.get("sid").is_some() {
            seq += 1;
            assert_eq!((reply["sid"].as_u64(), reply["seq"].as_u64()), (Some(sid), Some(seq)));
        }
    }
    assert_eq!(seq, 2 + 6);
    twin.shutdown().await;
}

#[tokio::test]
async fn error_10_ends_the_subscriptions_of_a_channel() {
    let twin = spawn(VenueConfig::default());
    let tickers = twin.tickers();
    let mut client = Client::connect(&twin).await;
    let sid = client.subscribe("orderbook_delta", &tickers[..1]).await;
    client.hear().await;
    twin.fail_channel(Channel::Orderbook);
    let error = client.hear().await;
    assert_eq!(error["msg"], json!({"code": 10, "msg": "Channel error"}));
    assert_eq!((error["sid"].as_u64(), error["seq"].as_u64()), (Some(sid), Some(2)));
    twin.step(300).await;
    assert!(client.hear_all(100).await.is_empty());
    twin.shutdown().await;
}

#[tokio::test]
async fn the_yes_leg_prices_the_no_side_at_its_complement() {
    let twin = spawn(VenueConfig::default());
    let ticker = twin.tickers()[0].clone();
    let mut client = Client::connect(&twin).await;
    let params = json!({"channels": ["orderbook_delta"], "market_ticker": ticker, "use_yes_price": true});
    client.say("subscribe", params).await;
    client.hear().await;
    let mut reference = Reference::default();
    reference.apply(&client.hear().await);
    twin.step(300).await;
    for frame in client.hear_all(100).await {
        reference.apply(&frame);
    }
    let mut book = reference.books.remove(&ticker).unwrap();
    book.no = book.no.into_iter().map(|(price, qty)| (1_000_000 - price, qty)).collect();
    assert_eq!(Some(book), twin.truth(&ticker));
    twin.shutdown().await;
}
