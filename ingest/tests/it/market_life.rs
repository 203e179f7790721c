//! One market from its first listing to its resolution, over REST answers; the clock moves only as the feed asks.

use ingest::{Feed, FeedConfig, FeedDeed, FeedOutput};
use schemas::{Machine as _, Raw, Record, RestReply, Timestamp};
use serde_json::{Value, json};

use crate::{START, apply, recorded, show};

/// A Gamma market object with nothing but what is read.
fn market(start_s: i64, state: &Value) -> Value {
    let mut market = json!({
        "conditionId": format!("0x{start_s:064x}"),
        "slug": format!("btc-updown-5m-{start_s}"),
        "question": "Bitcoin Up or Down",
        "outcomes": r#"["Up", "Down"]"#,
        "outcomePrices": r#"["0.5", "0.5"]"#,
        "clobTokenIds": r#"["1", "2"]"#,
        "closed": false,
        "active": true,
        "acceptingOrders": true,
        "endDate": rfc3339(start_s + 300),
        "feeSchedule": {"rate": 0.07, "exponent": 1},
        "resolutionSource": "https://data.chain.link/streams/btc-usd",
    });
    for (key, value) in state.as_object().unwrap() {
        market[key] = value.clone();
    }
    market
}

/// Only for this day's first hour.
fn rfc3339(secs: i64) -> String {
    let s = secs - START;
    assert!((0..3_600).contains(&s));
    format!("2026-06-08T00:{:02}:{:02}Z", s / 60, s % 60)
}

/// What the venue answers about the market that starts at `START + 300`, `s` seconds after that start.
fn answer(s: i64) -> (u16, String) {
    let start_s = START + 300;
    let slug = format!("btc-updown-5m-{start_s}");
    let body = |strike: Option<&str>, state: Value| recorded::event(&slug, strike, &market(start_s, &state));
    match s {
        ..-30 => (200, "[]".to_owned()),
        -30..8 => (200, body(None, json!({"bestBid": 0.01, "bestAsk": 0.99}))),
        8..40 => (200, body(Some("63304.2"), json!({"bestBid": 0.5, "bestAsk": 0.51}))),
        40..90 => (503, "overloaded".to_owned()),
        90..200 => (200, body(Some("63304.2"), json!({"bestBid": 0.62, "bestAsk": 0.64}))),
        200..250 => (200, body(Some("63999"), json!({"bestBid": 0.7, "bestAsk": 0.6}))),
        250..300 => (200, body(Some("63304.2"), json!({"bestBid": 0.7, "bestAsk": 0.6}))),
        300..330 => (200, body(Some("63304.2"), json!({"bestBid": 0.98, "bestAsk": 0.99}))),
        330..345 => (200, body(Some("63304.2"), json!({"closed": true, "outcomePrices": r#"["0", "0"]"#}))),
        _ => (200, body(Some("63304.2"), json!({"closed": true, "outcomePrices": r#"["1", "0"]"#}))),
    }
}

/// Drives the feed by its own wake-ups, answering its requests at once, and returns what it said.
fn drive(
    config: FeedConfig,
    until_s: i64,
    reply: impl Fn(i64, &str) -> Option<(u16, String)>,
) -> Vec<String> {
    let mut feed = Feed::new(config);
    let mut lines = Vec::new();
    let mut now = Timestamp::from_secs(START);
    while now < Timestamp::from_secs(START + until_s) {
        let mut todo = apply(&mut feed, &Record { seq: 1, at: now, body: Raw::TimeAdvanced { to: now } });
        while let Some(output) = (!todo.is_empty()).then(|| todo.remove(0)) {
            let secs = now.secs() - START;
            if let FeedOutput::Deed(FeedDeed::Fetch { request, path }) = &output {
                lines.push(format!("{secs:>5} {}", show(&output)));
                if let Some((status, body)) = reply(secs, path) {
                    let body = Raw::Rest(RestReply { request: *request, status, bytes: body.into_bytes() });
                    todo.extend(apply(&mut feed, &Record { seq: 1, at: now, body }));
                }
            } else if matches!(&output, FeedOutput::Market(_)) {
                lines.push(format!("{secs:>5}     {}", show(&output)));
            }
        }
        now = feed.wake_at().unwrap();
    }
    lines
}

/// No connection attempts between the polls.
fn quiet() -> FeedConfig {
    FeedConfig { connect_timeout_ns: i64::MAX / 2, ..FeedConfig::default() }
}

#[test]
fn listed_quoted_closed_resolved() {
    let slug = format!("{}", START + 300);
    let lines = drive(quiet(), 700, |secs, path| {
        if path.ends_with(&slug) { Some(answer(secs - 300)) } else { Some((404, String::new())) }
    });
    let ours = |line: &&String| !line.contains("fetch") || line.contains(&slug);
    let lines: Vec<String> = lines.iter().filter(ours).cloned().collect();
    insta::assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn an_unresolved_market_is_given_up_and_silence_is_retried() {
    let config = FeedConfig { give_up_ns: 60_000_000_000, max_open_markets: 2, ..quiet() };
    let lines = drive(config, 420, |secs, _| (secs < 30).then(|| (404, String::new())));
    insta::assert_snapshot!(lines.join("\n"), @"");
}
