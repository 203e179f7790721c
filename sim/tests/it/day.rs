//! The recorded day loads as the data says, and whatever is wrong with its files has a code.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use schemas::Timestamp;
use sim::Day;

use crate::client::recorded;

const MARKETS: &str = "x__BTC-5m-markets-2026-06-08.jsonl";
const PRICES: &str = "x__BTCUSD-prices-2026-06-08.csv";
const HEADER: &str = "feed_ts_ms,value,full_accuracy_value,server_ts_ms,recv_ms\n";
const ROW: &str = "1780876800000,63304.20030119507,63304200301195075000000,1780876800939,1780876801156\n";

fn market() -> serde_json::Value {
    serde_json::json!({
        "slug": "btc-updown-5m-1780876800", "asset": "btc", "interval_sec": 300, "condition_id": "0xaa",
        "token_ids": ["1", "2"], "start_sec": 1_780_876_800, "end_sec": 1_780_877_100, "resolved": true,
        "outcome_prices": ["1", "0"], "strike_value": "63304200301195075000000",
        "raw": {"slug": "btc-updown-5m-1780876800", "conditionId": "0xaa", "closedTime": "2026-06-08 00:05:25+00"},
    })
}

/// The market's line with one field replaced.
fn line(key: &str, value: serde_json::Value) -> String {
    let mut market = market();
    market[key] = value;
    format!("{market}\n")
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn check(files: &[(&str, &[u8])], expected: Result<(), (&str, &str)>) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let day = Day::recorded(dir.path());
    match (day, expected) {
        (Ok(_), Ok(())) => {}
        (Err(error), Err((code, says))) => {
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
        (Ok(_), Err((code, _))) => panic!("loaded, expected {code}: {files:?}"),
        (Err(error), Ok(())) => panic!("{error}: {files:?}"),
    }
}

/// A folder whose prices are fine and whose markets file holds this.
fn check_markets(text: &str, expected: Result<(), (&str, &str)>) {
    check(&[(MARKETS, text.as_bytes()), (PRICES, format!("{HEADER}{ROW}").as_bytes())], expected);
}

/// A folder whose markets are fine and whose prices file holds this.
fn check_prices(text: &str, expected: Result<(), (&str, &str)>) {
    check(&[(MARKETS, format!("{}\n", market()).as_bytes()), (PRICES, text.as_bytes())], expected);
}

#[test]
fn the_recorded_day_is_complete() {
    let Some(day) = recorded() else { return };
    assert_eq!((day.markets.len(), day.ticks().len()), (292, 84_558));
    assert_eq!(
        (day.symbol.as_str(), day.slug_prefix.as_str(), day.interval_s),
        ("btc/usd", "btc-updown-5m", 300)
    );
    assert_eq!(day.begins_at(), Timestamp::from_secs(1_780_876_500));
    assert_eq!(day.ends_at(), Timestamp::from_secs(1_780_964_100 + 120));
    assert_eq!(day.official().filter(|(_, up)| *up == Some(true)).count(), 137);
    assert!(day.ticks().windows(2).all(|w| w[0].recv_ms <= w[1].recv_ms));
    // Chainlink's own rule against the venue's word, wherever both ends are provable.
    let value = |ms: i64| day.ticks().iter().find(|t| t.feed_ms == ms).map(|t| t.full);
    let provable: Vec<_> = day
        .markets
        .iter()
        .filter_map(|m| Some((value(m.ends_at.millis())? >= m.strike?, m.official?)))
        .collect();
    assert_eq!((provable.len(), provable.iter().filter(|(rule, word)| rule == word).count()), (280, 280));
}

#[test]
fn files_are_found_by_pattern_plain_or_gzipped() {
    let (markets, prices) = (format!("{}\n\n", market()), format!("{HEADER}{ROW}"));
    let (markets, prices) = (markets.as_bytes(), prices.as_bytes());
    let (gz_markets, gz_prices) = (format!("{MARKETS}.gz"), format!("{PRICES}.gz"));
    let unreadable = |says| Err(("sim_day_unreadable", says));
    let missing = |says| Err(("sim_day_file_missing", says));
    let ambiguous = |says| Err(("sim_day_file_ambiguous", says));
    check(&[(MARKETS, markets), (PRICES, prices), ("README.md", b"")], Ok(()));
    check(&[(&gz_markets, &gz(markets)), (&gz_prices, &gz(prices))], Ok(()));
    check(&[(MARKETS, markets)], missing("*BTCUSD-prices-*.csv.gz"));
    check(&[(PRICES, prices)], missing("*BTC-5m-markets-*.jsonl.gz"));
    check(&[], missing("BTC-5m-markets"));
    check(&[(MARKETS, markets), (&gz_markets, &gz(markets)), (PRICES, prices)], ambiguous("2 files match"));
    check(
        &[(MARKETS, markets), (PRICES, prices), ("b-BTCUSD-prices-1.csv", prices)],
        ambiguous("*BTCUSD-prices-"),
    );
    check(&[(MARKETS, markets), (&gz_prices, prices)], unreadable(PRICES));
    let cut = gz(prices);
    check(&[(MARKETS, markets), (&gz_prices, &cut[..cut.len() / 2])], unreadable(PRICES));
    check(&[(MARKETS, b"\xff\xfe"), (PRICES, prices)], unreadable(MARKETS));
    let error = Day::recorded(Path::new("/nonexistent/day")).unwrap_err();
    assert_eq!(error.code(), "sim_day_unreadable");
}

#[test]
fn corrupt_markets_are_refused_with_their_line() {
    let wrong = |says| Err(("sim_markets_row", says));
    let good = format!("{}\n", market());
    check_markets(&good, Ok(()));
    check_markets(&line("strike_value", serde_json::Value::Null), Ok(()));
    check_markets("", Err(("sim_day_empty", MARKETS)));
    check_markets("{\n", wrong("line 1: not a market"));
    check_markets(&format!("{good}{{}}\n"), wrong("line 2: not a market"));
    check_markets(&format!("{good}{good}"), wrong("line 2: the market was listed before"));
    for (key, value, says) in [
        ("end_sec", 1_780_877_101.into(), "end is not start plus interval"),
        ("start_sec", i64::MIN.into(), "end is not start plus interval"),
        ("interval_sec", 0.into(), "end is not start plus interval"),
        ("asset", "BTC\"".into(), "lower-case name"),
        ("asset", "eth".into(), "slug does not name"),
        ("slug", "btc-updown-5m-1".into(), "slug does not name"),
        ("token_ids", vec!["1"].into(), "two token ids"),
        ("strike_value", "63304.2".into(), "strike is no integer"),
        ("raw", serde_json::json!({"slug": "x"}), "no Gamma market"),
        ("raw", serde_json::json!({"slug": "x", "conditionId": "0xaa"}), "another market"),
        (
            "raw",
            serde_json::json!({"slug": "btc-updown-5m-1780876800", "conditionId": "0xaa", "closedTime": "soon"}),
            "cannot be read",
        ),
    ] {
        check_markets(&line(key, value), wrong(says));
    }
}

#[test]
fn corrupt_prices_are_refused_with_their_line() {
    let wrong = |says| Err(("sim_prices_row", says));
    check_prices(&format!("{HEADER}{ROW}\r\n"), Ok(()));
    check_prices("", Err(("sim_prices_header", "expected `feed_ts_ms")));
    check_prices(ROW, Err(("sim_prices_header", "1780876800000")));
    check_prices(HEADER, Err(("sim_day_empty", PRICES)));
    check_prices(&format!("{HEADER}{ROW}1,2,3\n"), wrong("line 3: not five cells"));
    for (from, to, says) in [
        ("1780876800000", "x", "no count of milliseconds"),
        ("1780876800939", "-1", "no count of milliseconds"),
        ("1780876801156", "99999999999999", "no count of milliseconds"),
        ("63304.20030119507", "6.3e4", "no plain decimal"),
        ("63304200301195075000000", "0x1", "no integer"),
        ("63304.20030119507", "63305.2", "disagree"),
        ("63304200301195075000000", "0", "disagree"),
    ] {
        check_prices(&format!("{HEADER}{}", ROW.replacen(from, to, 1)), wrong(says));
    }
}

#[test]
fn only_a_clean_winner_is_official() {
    for (resolved, prices, expected) in [
        (true, vec!["1", "0"], Some(true)),
        (true, vec!["0", "1"], Some(false)),
        (false, vec!["1", "0"], None),
        (true, vec!["0.5", "0.5"], None),
        (true, vec!["0", "0"], None),
        (true, vec!["1"], None),
    ] {
        let mut market = market();
        market["resolved"] = resolved.into();
        market["outcome_prices"] = prices.clone().into();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(MARKETS), market.to_string()).unwrap();
        std::fs::write(dir.path().join(PRICES), format!("{HEADER}{ROW}")).unwrap();
        let day = Day::recorded(dir.path()).unwrap();
        assert_eq!(day.official().collect::<Vec<_>>(), [("0xaa", expected)], "{prices:?}");
    }
}
