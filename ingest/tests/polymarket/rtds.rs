//! Price streams: exact values, three times, gaps by sequence number and by the relay's own word.

use ingest::venue::VenueMachine;
use ingest::venue::polymarket::rtds2::{Credentials, Key};
use ingest::venue::polymarket::{RtdsV1, RtdsV1Config, RtdsV2, RtdsV2Config};
use ingest::{Deed, VenueOutput};
use schemas::time::{NANOS_PER_MILLI, NANOS_PER_SEC};
use schemas::{BookState, GapReason, IndexPrice, IndexRow, Raw, TapeBody, TapeRow};

use crate::{Rig, T, recorded, rows, sent};

fn values(out: &[VenueOutput]) -> Vec<(TapeRow, IndexRow)> {
    rows(out)
        .filter_map(|row| match row.body {
            TapeBody::Index(index) => Some((row.clone(), index)),
            _ => None,
        })
        .collect()
}

fn dollars(text: &str) -> IndexPrice {
    IndexPrice::from_decimal(text).unwrap()
}

fn old() -> Rig<RtdsV1> {
    let mut rig = Rig::new(RtdsV1::new(RtdsV1Config::capture()));
    rig.connect();
    rig
}

#[test]
fn the_fixtures_of_v1_hold_what_they_state() {
    let mut rig = old();
    for (name, native, want) in [
        ("rtds_crypto_prices_subscribe", "crypto_prices:btcusdt", vec!["61164.12", "61161.07", "61150.89"]),
        ("rtds_crypto_prices_update", "crypto_prices:btcusdt", vec!["61035.86"]),
        ("rtds_equity_prices_update", "equity_prices:aapl", vec!["198.4523"]),
        ("rtds_equity_prices_subscribe", "equity_prices:aapl", vec!["307.91499", "307.91578", "307.91547"]),
    ] {
        let Some(bytes) = recorded(&format!("nautilus_test_data/nautilus__{name}.json")) else { return };
        let said = values(&rig.frame(std::str::from_utf8(&bytes).unwrap()));
        let got: Vec<_> = said.iter().map(|(_, index)| index.value).collect();
        assert_eq!(got, want.iter().map(|text| dollars(text)).collect::<Vec<_>>(), "{name}");
        let update = name.ends_with("update");
        for (row, _) in said {
            assert_eq!(row.times.publish_at.is_some(), update, "{name}");
            assert!(row.times.venue_at.unwrap().millis() % 1_000 == 0, "{name}");
            let slot = rig.machine.shelf().slot(row.instrument).unwrap();
            assert_eq!(slot.instrument.native, native);
        }
    }
    assert_eq!(rig.counts().quarantined, 0);
}

fn chainlink(ms: i64, value: &str, atoms: &str) -> String {
    format!(
        r#"{{"payload":{{"symbol":"btc/usd","timestamp":{ms},"value":{value},"full_accuracy_value":"{atoms}"}},"timestamp":{},"type":"update","topic":"crypto_prices_chainlink"}}"#,
        ms + 250
    )
}

#[test]
fn a_value_has_the_time_of_the_source_of_the_relay_and_of_receipt() {
    let mut rig = old();
    rig.now = rig.now.plus(3 * NANOS_PER_MILLI);
    let out = rig.frame(&chainlink(T, "63304.2003", "63304200301195075000000"));
    let (row, index) = values(&out)[0].clone();
    assert_eq!(index.value, dollars("63304.200301195075"));
    let millis = [row.times.venue_at.unwrap(), row.times.publish_at.unwrap(), row.times.recv_at];
    assert_eq!(millis.map(schemas::Timestamp::millis), [T, T + 250, T + 3]);
    assert_eq!((index.window_s, index.window_end, index.settling), (0, None, false));
    // The same again, and an older one.
    rig.frame(&chainlink(T, "63304.2003", "63304200301195075000000"));
    rig.frame(&chainlink(T - 1_000, "63304.2003", "63304200301195075000000"));
    assert_eq!((rig.counts().duplicates, rig.counts().stale_dropped), (1, 1));
}

#[test]
fn the_list_after_a_reconnect_repeats_nothing_that_was_said() {
    let mut rig = old();
    rig.frame(&chainlink(T, "63304.2003", "63304200301195075000000"));
    let list = format!(
        r#"{{"topic":"crypto_prices_chainlink","type":"subscribe","timestamp":{T},"payload":{{"symbol":"btc/usd","data":[{{"timestamp":{},"value":63305}},{{"timestamp":{T},"value":63304.2}},{{"timestamp":{},"value":63303}}]}}}}"#,
        T + 1_000,
        T - 1_000
    );
    let said = values(&rig.frame(&list));
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].0.times.venue_at.unwrap().millis(), said[0].0.times.publish_at), (T + 1_000, None));
    assert_eq!(rig.counts().duplicates, 2);
}

#[test]
fn averages_name_their_window_and_must_agree_with_their_topic() {
    let twap = |topic: &str, window: i64| {
        format!(
            r#"{{"topic":"{topic}","type":"update","timestamp":{T},"payload":{{"symbol":"btc/usd","timestamp":{T},"value":65000.5,"full_accuracy_value":"65000500000000000000000","window_s":{window}}}}}"#
        )
    };
    let mut rig = old();
    let sixty = values(&rig.frame(&twap("crypto_prices_twap_sixty", 60)));
    let thirty = values(&rig.frame(&twap("crypto_prices_twap_thirty", 30)));
    assert_eq!((sixty[0].1.window_s, thirty[0].1.window_s), (60, 30));
    rig.frame(&twap("crypto_prices_twap_thirty", 60));
    assert_eq!(rig.counts().quarantined, 1);
}

#[test]
fn a_field_of_v1_that_is_gone_is_no_value() {
    let whole = chainlink(T, "63304.2003", "63304200301195075000000");
    for field in ["symbol", "payload", "type", "topic", "full_accuracy_value"] {
        let mut rig = old();
        let out = rig.frame(&whole.replace(&format!("\"{field}\""), &format!("\"{field}_v2\"")));
        assert!(values(&out).is_empty() && rig.counts().quarantined == 1, "{field}");
    }
    for (from, to) in
        [("63304.2003,", "53304.2003,"), ("\"6330420", "\"-330420"), ("195075000000\"", "195\"")]
    {
        let mut rig = old();
        let out = rig.frame(&whole.replace(from, to));
        assert!(values(&out).is_empty() && rig.counts().quarantined == 1, "{to}");
    }
}

#[test]
fn v1_subscribes_pings_and_says_when_it_is_cut() {
    let streams = [("crypto_prices_chainlink".to_owned(), "btc/usd".to_owned())];
    let mut rig = Rig::new(RtdsV1::new(RtdsV1Config::new(streams)));
    let first = sent(&rig.connect());
    assert_eq!(first[0]["action"], "subscribe");
    assert_eq!(first[0]["subscriptions"][0]["filters"], r#"{"symbol":"btc/usd"}"#);
    rig.frame(&chainlink(T, "63304.2003", "63304200301195075000000"));
    rig.frame(&chainlink(T, "1", "1").replace("btc/usd", "eth/usd"));
    assert_eq!((rig.counts().foreign, rig.counts().quarantined), (1, 0));
    let out = rig.wait(5 * NANOS_PER_SEC);
    assert!(out.contains(&VenueOutput::Deed(Deed::Send { conn: 1, text: "PING".to_owned() })));
    rig.apply(Raw::Closed { conn: 1, reason: "cut".to_owned() });
    let native = "crypto_prices_chainlink:btc/usd";
    assert!(matches!(rig.state(native), BookState::Gap { reason: GapReason::Disconnected, to: None, .. }));
}

fn keys(count: usize) -> Vec<Key> {
    let key =
        |n: usize| Key { channel: "price.crypto".to_owned(), symbol: format!("c{n}usd"), window_s: None };
    let twap =
        Key { channel: "price.crypto.twap".to_owned(), symbol: "btcusd".to_owned(), window_s: Some(60) };
    (1..count).map(key).chain([twap]).collect()
}

fn credentials() -> Credentials {
    let word = |text: &str| text.to_owned();
    Credentials { api_key: word("k"), secret: word("hush"), passphrase: word("p") }
}

fn new(count: usize) -> Rig<RtdsV2> {
    let mut rig = Rig::new(RtdsV2::new(RtdsV2Config::new(keys(count), credentials())));
    rig.connect();
    rig
}

/// Authenticates and subscribes; returns what was sent.
fn subscribed(rig: &mut Rig<RtdsV2>, conn: u32) -> Vec<serde_json::Value> {
    let mut all = sent(&rig.frame_on(conn, r#"{"op":"authed","rid":"1"}"#));
    all.extend(sent(&rig.wait(NANOS_PER_SEC / 4)));
    all
}

fn data(seq: u64, ms: i64, dropped: u64, symbol: &str, value: &str) -> String {
    format!(
        r#"{{"v":1,"channel":"price.crypto","seq":{seq},"ts":{},"dropped":{dropped},"snapshot":false,"payload":{{"symbol":"{symbol}","source":"s","timestamp":{ms},"value":{value},"full_accuracy_value":"{value}","is_carried_forward":true}}}}"#,
        ms + 90
    )
}

#[test]
fn v2_authenticates_then_subscribes_with_rids_and_spacing() {
    let mut rig = Rig::new(RtdsV2::new(RtdsV2Config::new(keys(3), credentials())));
    let first = sent(&rig.connect());
    assert_eq!(first[0]["op"], "auth");
    assert_eq!((&first[0]["rid"], &first[0]["auth"]["secret"]), (&"1".into(), &"hush".into()));
    // Not within 110 ms of the operation before.
    let out = rig.frame(r#"{"op":"authed","rid":"1"}"#);
    assert!(sent(&out).is_empty());
    assert!(sent(&rig.wait(110 * NANOS_PER_MILLI - 1)).is_empty());
    let second = sent(&rig.wait(1));
    assert_eq!((&second[0]["op"], &second[0]["rid"]), (&"subscribe".into(), &"2".into()));
    let filter = &second[0]["subscriptions"][2];
    assert_eq!(filter["filter"], serde_json::json!({ "symbol": "btcusd", "window_seconds": 60 }));
    for _ in 0..3 {
        rig.frame(r#"{"op":"subscribed","rid":"2","channel":"price.crypto"}"#);
    }
    let pings = sent(&rig.wait(31 * NANOS_PER_SEC));
    assert_eq!(pings, [serde_json::json!({ "op": "ping" })]);
    assert!(!format!("{:?}", rig.machine).contains("hush"), "secrets are not shown");
}

#[test]
fn v2_without_an_acknowledgement_or_a_frame_is_left() {
    let mut rig = new(2);
    let out = rig.wait(11 * NANOS_PER_SEC);
    assert!(out.contains(&VenueOutput::Deed(Deed::Close { conn: 1 })));
    let mut rig = new(2);
    subscribed(&mut rig, 1);
    for _ in 0..2 {
        rig.frame(r#"{"op":"subscribed","rid":"2","channel":"price.crypto"}"#);
    }
    assert!(!rig.wait(89 * NANOS_PER_SEC).contains(&VenueOutput::Deed(Deed::Close { conn: 1 })));
    assert!(rig.wait(2 * NANOS_PER_SEC).contains(&VenueOutput::Deed(Deed::Close { conn: 1 })));
}

#[test]
fn a_skipped_number_of_v2_is_a_gap_of_its_channel_until_the_next_value() {
    let mut rig = new(3);
    subscribed(&mut rig, 1);
    let out = rig.frame(&data(41, T, 0, "C1USD", "65000.123"));
    let (row, index) = values(&out)[0].clone();
    assert_eq!((row.venue_seq, index.value, index.carried_forward), (41, dollars("65000.123"), true));
    assert_eq!(row.times.publish_at.unwrap().millis(), T + 90);
    rig.frame(&data(42, T, 0, "c2usd", "7"));
    rig.frame(&data(42, T, 0, "c2usd", "7"));
    assert_eq!((rig.counts().duplicates, rig.counts().gaps), (1, 0));
    rig.frame(&data(44, T + 1_000, 0, "c2usd", "8"));
    let skipped =
        |state| matches!(state, BookState::Gap { reason: GapReason::SequenceSkipped, to: None, .. });
    assert!(skipped(rig.state("price.crypto:c1usd")));
    assert_eq!(rig.state("price.crypto:c2usd"), BookState::Live);
    rig.frame(&data(45, T + 1_000, 0, "c1usd", "65001"));
    assert_eq!(rig.state("price.crypto:c1usd"), BookState::Live);
    // What comes late is not said again.
    rig.frame(&data(43, T + 500, 0, "c1usd", "65000"));
    assert_eq!((rig.counts().duplicates, rig.counts().gaps), (2, 2));
}

#[test]
fn what_the_relay_dropped_is_a_gap_and_halves_the_connection() {
    let mut rig = new(64);
    assert_eq!(rig.machine.session_sizes(), [64]);
    subscribed(&mut rig, 1);
    for _ in 0..64 {
        rig.frame(r#"{"op":"subscribed","rid":"2","channel":"price.crypto"}"#);
    }
    rig.frame(&data(1, T, 0, "c1usd", "5"));
    let mut out = rig.frame(&data(2, T, 9, "c2usd", "5"));
    let overflow = matches!(
        rig.state("price.crypto:c1usd"),
        BookState::Gap { reason: GapReason::Overflow, to: None, .. }
    );
    assert!(overflow);
    assert_eq!(rig.machine.session_sizes(), [32, 32]);
    out.extend(rig.wait(NANOS_PER_SEC));
    let unsubscribe = sent(&out).into_iter().find(|text| text["op"] == "unsubscribe").unwrap();
    assert_eq!(unsubscribe["subscriptions"].as_array().unwrap().len(), 32);
    assert!(out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Connect { conn: 2, .. }))));
    // Not once more right away.
    rig.frame(&data(3, T, 9, "c2usd", "6"));
    assert_eq!(rig.machine.session_sizes(), [32, 32]);
}

#[test]
fn more_than_sixty_four_streams_take_more_connections_and_no_frame_is_too_long() {
    let long =
        |n: usize| Key { channel: "price.crypto".to_owned(), symbol: format!("{n:0>2000}"), window_s: None };
    let config = RtdsV2Config::new((0..100).map(long), credentials());
    let mut rig = Rig::new(RtdsV2::new(config));
    rig.connect();
    assert_eq!(rig.machine.session_sizes(), [64, 36]);
    let mut frames = subscribed(&mut rig, 1);
    for rid in 2..5 {
        for _ in 0..64 {
            let out = rig.frame(&format!(r#"{{"op":"subscribed","rid":"{rid}","channel":"price.crypto"}}"#));
            frames.extend(sent(&out));
        }
        frames.extend(sent(&rig.wait(NANOS_PER_SEC / 4)));
    }
    let sizes: Vec<usize> =
        frames.iter().map(|frame| frame["subscriptions"].as_array().unwrap().len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 64);
    assert!(sizes.len() == 3 && frames.iter().all(|frame| frame.to_string().len() <= 60_000));
}

#[test]
fn close_codes_of_v2_end_or_delay() {
    for (reason, refused) in [("unauthorized (4001)", true), ("close 4008", true), ("overload (4003)", false)]
    {
        let mut rig = new(2);
        rig.apply(Raw::Closed { conn: 1, reason: reason.to_owned() });
        let out = rig.wait(11 * NANOS_PER_SEC);
        let again = out.iter().any(|said| matches!(said, VenueOutput::Deed(Deed::Connect { .. })));
        assert_eq!((rig.machine.refused(), again), (refused, !refused), "{reason}");
    }
    let mut rig = new(2);
    rig.frame(r#"{"op":"error","rid":"1","code":"invalid_credentials"}"#);
    assert!(rig.machine.refused());
    assert_eq!((rig.counts().venue_errors, rig.machine.wake_at_is_never()), (1, true));
}

trait Never {
    fn wake_at_is_never(&self) -> bool;
}

impl Never for RtdsV2 {
    fn wake_at_is_never(&self) -> bool {
        schemas::Machine::wake_at(self).is_none()
    }
}

#[test]
fn a_field_of_v2_that_is_gone_is_no_value() {
    let whole = data(41, T, 0, "c1usd", "65000.123");
    for field in ["v", "channel", "seq", "ts", "payload", "symbol", "timestamp", "full_accuracy_value"] {
        let mut rig = new(2);
        let out = rig.frame(&whole.replace(&format!("\"{field}\""), &format!("\"{field}_v2\"")));
        assert!(values(&out).is_empty() && rig.counts().quarantined == 1, "{field}");
    }
    let mut rig = new(2);
    rig.frame(&whole.replace("price.crypto", "price.crypto.twap"));
    assert_eq!(rig.counts().quarantined, 1, "an average without its window");
    rig.frame(&whole.replace("price.crypto", "price.gold"));
    assert_eq!(rig.counts().foreign, 1);
}

#[test]
fn a_snapshot_of_v2_says_its_points_once() {
    let mut rig = new(2);
    let point = |ms: i64| format!(r#"{{"timestamp":{ms},"value":5,"full_accuracy_value":"5.25"}}"#);
    let text = format!(
        r#"{{"v":1,"channel":"price.crypto.twap","seq":1,"ts":{T},"dropped":0,"snapshot":true,"payload":{{"symbol":"btcusd","source":"s","window_seconds":60,"data":[{},{}]}}}}"#,
        point(T - 1_000),
        point(T - 2_000)
    );
    let said = values(&rig.frame(&text));
    assert_eq!(
        said.iter().map(|(row, _)| row.times.venue_at.unwrap().millis()).collect::<Vec<_>>(),
        [T - 2_000, T - 1_000]
    );
    assert!(said.iter().all(|(row, index)| index.window_s == 60 && row.times.publish_at.is_none()));
    assert_eq!(rig.state("price.crypto.twap:btcusd:60"), BookState::Live);
}
