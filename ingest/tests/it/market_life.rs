//! One market from its first listing to its resolution, over REST answers; the clock moves only as the feed asks.

use ingest::{Deed, Feed, FeedConfig, FeedOutput};
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
        200..250 => (200, body(Some("63999"), json!({"bestBid": 0.7, "bestAsk": 0.72}))),
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
            if let FeedOutput::Deed(Deed::Fetch { request, path, .. }) = &output {
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
    insta::assert_snapshot!(lines.join("\n"), @r"
    240 fetch 45 /events?slug=btc-updown-5m-1780877100
    270 fetch 50 /events?slug=btc-updown-5m-1780877100
    270     listed btc-updown-5m-1780877100 strike - fee Some(70000)
    300 fetch 55 /events?slug=btc-updown-5m-1780877100
    305 fetch 56 /events?slug=btc-updown-5m-1780877100
    310 fetch 59 /events?slug=btc-updown-5m-1780877100
    310     listed btc-updown-5m-1780877100 strike 63304.2 fee Some(70000)
    310     quote Some(500000) Some(510000)
    340 fetch 66 /events?slug=btc-updown-5m-1780877100
    340 fetch 67 /events?slug=btc-updown-5m-1780877100
    340 fetch 68 /events?slug=btc-updown-5m-1780877100
    342 fetch 69 /events?slug=btc-updown-5m-1780877100
    344 fetch 70 /events?slug=btc-updown-5m-1780877100
    347 fetch 71 /events?slug=btc-updown-5m-1780877100
    348 fetch 72 /events?slug=btc-updown-5m-1780877100
    367 fetch 77 /events?slug=btc-updown-5m-1780877100
    369 fetch 78 /events?slug=btc-updown-5m-1780877100
    379 fetch 81 /events?slug=btc-updown-5m-1780877100
    403 fetch 88 /events?slug=btc-updown-5m-1780877100
    403     quote Some(620000) Some(640000)
    433 fetch 95 /events?slug=btc-updown-5m-1780877100
    433     quote Some(620000) Some(640000)
    463 fetch 102 /events?slug=btc-updown-5m-1780877100
    463     quote Some(620000) Some(640000)
    493 fetch 109 /events?slug=btc-updown-5m-1780877100
    493     quote Some(620000) Some(640000)
    523 fetch 116 /events?slug=btc-updown-5m-1780877100
    523     quarantined restated
    523     quote Some(700000) Some(720000)
    553 fetch 124 /events?slug=btc-updown-5m-1780877100
    553     quarantined crossed_quote
    583 fetch 132 /events?slug=btc-updown-5m-1780877100
    583     quarantined crossed_quote
    610 fetch 141 /events?slug=btc-updown-5m-1780877100
    620 fetch 146 /events?slug=btc-updown-5m-1780877100
    630 fetch 151 /events?slug=btc-updown-5m-1780877100
    640 fetch 156 /events?slug=btc-updown-5m-1780877100
    650 fetch 161 /events?slug=btc-updown-5m-1780877100
    650     resolved up paid 1000000
    ");
}

#[test]
fn an_unresolved_market_is_given_up_and_silence_is_retried() {
    let config = FeedConfig { give_up_ns: 60_000_000_000, max_open_markets: 2, ..quiet() };
    let lines = drive(config, 420, |secs, _| (secs < 30).then(|| (404, String::new())));
    insta::assert_snapshot!(lines.join("\n"), @r"
      0 fetch 1 /events?slug=btc-updown-5m-1780876500
      0 fetch 2 /events?slug=btc-updown-5m-1780876800
      5 fetch 3 /events?slug=btc-updown-5m-1780876800
     10 fetch 4 /events?slug=btc-updown-5m-1780876500
     10 fetch 5 /events?slug=btc-updown-5m-1780876800
     15 fetch 6 /events?slug=btc-updown-5m-1780876800
     20 fetch 7 /events?slug=btc-updown-5m-1780876500
     20 fetch 8 /events?slug=btc-updown-5m-1780876800
     25 fetch 9 /events?slug=btc-updown-5m-1780876800
     30 fetch 10 /events?slug=btc-updown-5m-1780876500
     30 fetch 11 /events?slug=btc-updown-5m-1780876800
     60     quarantined resolution_timeout
     60 fetch 12 /events?slug=btc-updown-5m-1780876800
     90 fetch 13 /events?slug=btc-updown-5m-1780876800
    122 fetch 14 /events?slug=btc-updown-5m-1780876800
    154 fetch 15 /events?slug=btc-updown-5m-1780876800
    187 fetch 16 /events?slug=btc-updown-5m-1780876800
    218 fetch 17 /events?slug=btc-updown-5m-1780876800
    240 fetch 18 /events?slug=btc-updown-5m-1780877100
    267 fetch 19 /events?slug=btc-updown-5m-1780876800
    270 fetch 20 /events?slug=btc-updown-5m-1780877100
    300 fetch 21 /events?slug=btc-updown-5m-1780877100
    307 fetch 22 /events?slug=btc-updown-5m-1780876800
    331 fetch 23 /events?slug=btc-updown-5m-1780877100
    356 fetch 24 /events?slug=btc-updown-5m-1780876800
    360     quarantined resolution_timeout
    364 fetch 25 /events?slug=btc-updown-5m-1780877100
    399 fetch 26 /events?slug=btc-updown-5m-1780877100
    ");
}

#[test]
fn the_oldest_market_makes_room_for_the_newest() {
    let config = FeedConfig { max_open_markets: 1, ..quiet() };
    let lines = drive(config, 545, |_, _| Some((404, String::new())));
    let dropped: Vec<&String> = lines.iter().filter(|line| line.contains("quarantined")).collect();
    // The previous market at once, the running one when the next one is asked for, and so on.
    assert_eq!(
        dropped,
        [
            "    0     quarantined market_limit",
            "  240     quarantined market_limit",
            "  540     quarantined market_limit"
        ]
    );
}

#[test]
fn another_condition_id_under_the_same_slug_is_another_market() {
    let lines = drive(quiet(), 40, |secs, path| {
        let slug = format!("btc-updown-5m-{START}");
        let mut state = json!({"bestBid": 0.5, "bestAsk": 0.51});
        if secs > 20 {
            state = json!({"conditionId": format!("0x{:064x}", 7), "bestBid": 0.7, "bestAsk": 0.71});
        }
        path.ends_with(&slug).then(|| (200, recorded::event(&slug, Some("1"), &market(START, &state))))
    });
    let ours: Vec<&String> = lines.iter().filter(|line| !line.contains("fetch")).collect();
    assert_eq!(
        ours,
        [
            "    0     listed btc-updown-5m-1780876800 strike 1 fee Some(70000)",
            "    0     quote Some(500000) Some(510000)",
            "   30     quarantined restated",
        ]
    );
}
