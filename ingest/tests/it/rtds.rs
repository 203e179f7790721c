//! Frames of the index stream, good and bad.

use ingest::venue::polymarket::rtds::{self, RtdsFrame};

use crate::recorded;

/// What a frame decodes to, as one line.
fn read(bytes: &[u8], symbol: &str) -> String {
    match rtds::decode(bytes, symbol, 2_000) {
        Ok(RtdsFrame::Pong) => "pong".to_owned(),
        Ok(RtdsFrame::Foreign) => "foreign".to_owned(),
        Ok(RtdsFrame::Update(t)) => {
            format!("{} {} {:?}", t.feed_at.millis(), t.value, t.server_at.map(schemas::Timestamp::millis))
        }
        Ok(RtdsFrame::History(ticks)) => {
            ticks.iter().map(|t| format!("{}={}", t.feed_at.millis(), t.value)).collect::<Vec<_>>().join(" ")
        }
        Err(error) => error.code().to_owned(),
    }
}

fn check(frame: &str, expected: &str) {
    assert_eq!(read(frame.as_bytes(), "btc/usd"), expected, "{frame}");
}

/// An update with this payload after the symbol.
fn update(rest: &str) -> String {
    format!(
        r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":1780730269142,"payload":{{"symbol":"btc/usd"{rest}}}}}"#
    )
}

#[test]
fn updates_keep_every_digit() {
    let full = r#","timestamp":1780730269000,"value":63304.20030119507,"full_accuracy_value":"63304200301195075000000""#;
    check(&update(full), "1780730269000 63304.200301195075 Some(1780730269142)");
    let dotted = r#","timestamp":1780730269000,"value":61035.86,"full_accuracy_value":"61035.86000000""#;
    check(&update(dotted), "1780730269000 61035.86 Some(1780730269142)");
    let plain = r#","timestamp":1780730269000,"value":61035.86"#;
    check(&update(plain), "1780730269000 61035.86 Some(1780730269142)");
    let unknown = r#","timestamp":1780730269000,"value":61035,"full_accuracy_value":null,"new":[{"a":1}]"#;
    check(&update(unknown), "1780730269000 61035 Some(1780730269142)");
    let exponent_beside_exact =
        r#","timestamp":1780730269000,"value":6.103586e4,"full_accuracy_value":"61035860000000000000000""#;
    check(&update(exponent_beside_exact), "1780730269000 61035.86 Some(1780730269142)");
    let no_server = update(plain).replace(r#""timestamp":1780730269142,"#, "");
    check(&no_server, "1780730269000 61035.86 None");
}

#[test]
fn nothing_is_filled_in() {
    for (rest, code) in [
        ("", "bad_shape"),
        (r#","value":1.5"#, "bad_shape"),
        (r#","timestamp":null,"value":1.5"#, "bad_shape"),
        (r#","timestamp":"1780730269000","value":1.5"#, "bad_shape"),
        (r#","timestamp":1780730269000.5,"value":1.5"#, "bad_shape"),
        (r#","timestamp":0,"value":1.5"#, "bad_time"),
        (r#","timestamp":-5,"value":1.5"#, "bad_time"),
        (r#","timestamp":9007199254740993,"value":1.5"#, "bad_time"),
        (r#","timestamp":1780730269000"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":null"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":0"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":-1.5"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1e5"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":"61035.86""#, "bad_number"),
        (r#","timestamp":1780730269000,"value":[1]"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1.1234567890123456789"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1.5,"full_accuracy_value":"""#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1.5,"full_accuracy_value":"x""#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1.5,"full_accuracy_value":1500000000000000000"#, "bad_number"),
        (r#","timestamp":1780730269000,"value":1.5,"full_accuracy_value":"-1.5""#, "bad_number"),
        // Without a dot the text counts 1e-18: a decimal that lost its dot is a hundred thousand times off.
        (r#","timestamp":1780730269000,"value":61035.0,"full_accuracy_value":"61035""#, "value_mismatch"),
        (r#","timestamp":1780730269000,"value":2.5,"full_accuracy_value":"1.5""#, "value_mismatch"),
        (r#","timestamp":1780730269000,"value":1.5,"timestamp":1780730269001"#, "bad_shape"),
    ] {
        check(&update(rest), code);
    }
}

#[test]
fn other_frames() {
    let good = update(r#","timestamp":1780730269000,"value":1.5"#);
    for (frame, expected) in [
        ("PONG", "pong"),
        (" pong\n", "pong"),
        ("", "foreign"),
        ("  ", "foreign"),
        ("{", "bad_json"),
        ("\u{0}", "bad_json"),
        ("[]", "bad_shape"),
        ("null", "bad_shape"),
        (r#"{"message":"Internal server error"}"#, "bad_shape"),
        (r#"{"topic":"comments","type":"x"}"#, "foreign"),
        (r#"{"topic":"comments","type":"x","payload":{"symbol":7}}"#, "foreign"),
        (r#"{"topic":"crypto_prices_chainlink","type":"update"}"#, "bad_shape"),
        (&good.replace("btc/usd", "eth/usd"), "foreign"),
        (&good.replace("crypto_prices_chainlink", "crypto_prices"), "foreign"),
        (&good.replace(r#""type":"update""#, r#""type":"unsubscribe""#), "unknown_type"),
        (&good.replace(r#""type":"update""#, r#""type":"subscribe""#), "bad_shape"),
        (&"x".repeat(2_001), "too_large"),
    ] {
        check(frame, expected);
    }
    assert_eq!(read(&[0xff, 0xfe, 0x80], "btc/usd"), "bad_json");
}

#[test]
fn history_is_sorted_and_refused_as_a_whole() {
    let dump = |data: &str| {
        format!(
            r#"{{"topic":"crypto_prices_chainlink","type":"subscribe","timestamp":1780726213178,"payload":{{"symbol":"btc/usd","data":[{data}]}}}}"#
        )
    };
    check(
        &dump(r#"{"timestamp":1780726210000,"value":61161.07},{"timestamp":1780726209000,"value":61164.12}"#),
        "1780726209000=61164.12 1780726210000=61161.07",
    );
    check(&dump(""), "");
    check(&dump(r#"{"timestamp":1780726210000,"value":61161.07},{"timestamp":1780726209000}"#), "bad_number");
    check(&dump(r#"{"value":61161.07}"#), "bad_shape");
}

#[test]
fn recorded_fixtures() {
    let Some(dump) = recorded::fixture("rtds_crypto_prices_subscribe") else { return };
    let ours = |text: &str| text.replace("\"crypto_prices\"", "\"crypto_prices_chainlink\"");
    assert_eq!(read(dump.as_bytes(), "btcusdt"), "foreign");
    assert_eq!(
        read(ours(&dump).as_bytes(), "btcusdt"),
        "1780726209000=61164.12 1780726210000=61161.07 1780726211000=61150.89"
    );
    let update = recorded::fixture("rtds_crypto_prices_update").unwrap();
    assert_eq!(read(ours(&update).as_bytes(), "btcusdt"), "1780730269000 61035.86 Some(1780730269142)");
    for name in ["rtds_equity_prices_subscribe", "rtds_equity_prices_update"] {
        assert_eq!(read(recorded::fixture(name).unwrap().as_bytes(), "aapl"), "foreign");
    }
    // Frames of the order-book socket are no frames of this one.
    for name in
        ["ws_book_snapshot", "ws_market_book_msg", "ws_market_price_change_msg", "ws_market_resolved_msg"]
    {
        assert_eq!(read(recorded::fixture(name).unwrap().as_bytes(), "btc/usd"), "bad_shape", "{name}");
    }
}

#[test]
fn subscription_text() {
    let text: serde_json::Value = serde_json::from_str(&rtds::subscribe("btc/usd")).unwrap();
    let expected = serde_json::json!({"action": "subscribe", "subscriptions": [
        {"topic": "crypto_prices_chainlink", "type": "*", "filters": "{\"symbol\":\"btc/usd\"}"}
    ]});
    assert_eq!(text, expected);
}
