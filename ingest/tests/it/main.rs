//! Integration tests of ingest: recorded data, scripts of inputs and outputs, properties and real loopback sockets;
//! they never reach another machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests; a skip is said loudly")]

#[cfg(feature = "edge")]
mod edge;
mod feed_script;
mod gamma;
mod market_life;
mod properties;
mod recorded;
mod recorded_day;
mod resolver;
mod rtds;
mod scheduler;

use ingest::{Deed, FactInput, Feed, FeedOutput};
use schemas::{FeedState, IndexTick, Intake, Machine, MarketEvent, Raw, Record, Timestamp};

/// Start of the recorded day's second market.
pub(crate) const START: i64 = 1_780_876_800;

/// A record at so many seconds.
pub(crate) fn at<T>(secs: f64, body: T) -> Record<T> {
    Record { seq: 1, at: Timestamp((secs * 1e3).round() as i64 * 1_000_000), body }
}

/// The clock reaches an instant, for the machines that read facts.
pub(crate) fn tick_of_clock(secs: f64) -> Record<FactInput> {
    let record = at(secs, ());
    record.with(FactInput::Intake(Intake::TimeAdvanced { to: record.at }))
}

/// An index value that is recorded half a second after its own time.
pub(crate) fn index_tick(feed_s: i64, dollars: &str) -> Record<FactInput> {
    let tick = IndexTick {
        symbol: "btc/usd".to_owned(),
        feed_at: Timestamp::from_secs(feed_s),
        value: schemas::IndexPrice::from_decimal(dollars).unwrap(),
        server_at: None,
    };
    at(feed_s as f64 + 0.5, FactInput::Market(MarketEvent::Tick(tick)))
}

/// A raw frame as an update of the index topic.
pub(crate) fn update_frame(feed_ms: i64, dollars: &str) -> Vec<u8> {
    let atoms = schemas::IndexPrice::from_decimal(dollars).unwrap().0;
    format!(
        r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{},"payload":{{"symbol":"btc/usd","timestamp":{feed_ms},"value":{dollars},"full_accuracy_value":"{atoms}"}}}}"#,
        feed_ms + 900
    )
    .into_bytes()
}

/// Applies one raw record and returns what the feed said.
pub(crate) fn apply(feed: &mut Feed, record: &Record<Raw>) -> Vec<FeedOutput> {
    let mut out = Vec::new();
    feed.apply(record, &mut out);
    assert!(feed.wake_at().unwrap() > record.at, "asks again for what it was just given");
    out
}

/// One line per output, short enough for a snapshot.
pub(crate) fn show(output: &FeedOutput) -> String {
    let secs = |t: Timestamp| t.secs() - START;
    match output {
        FeedOutput::Deed(Deed::Connect { conn, .. }) => format!("connect {conn}"),
        FeedOutput::Deed(Deed::Send { conn, text }) => format!("send {conn} {text}"),
        FeedOutput::Deed(Deed::Close { conn }) => format!("close {conn}"),
        FeedOutput::Deed(Deed::Fetch { request, path, .. }) => format!("fetch {request} {path}"),
        FeedOutput::Market(MarketEvent::Tick(t)) => format!("tick {} {}", secs(t.feed_at), t.value),
        FeedOutput::Market(MarketEvent::Listed(m)) => {
            let strike = m.strike.map_or_else(|| "-".to_owned(), |s| s.to_string());
            format!("listed {} strike {strike} fee {:?}", m.slug, m.fee_rate.map(|p| p.0))
        }
        FeedOutput::Market(MarketEvent::Quote(q)) => {
            format!("quote {:?} {:?}", q.bid.map(|p| p.0), q.ask.map(|p| p.0))
        }
        FeedOutput::Market(MarketEvent::Resolved(r)) => format!("resolved up paid {}", r.up_paid.0),
        FeedOutput::Market(MarketEvent::Feed(state)) => match state {
            FeedState::Live => "live".to_owned(),
            FeedState::Stale { since } => format!("stale since {}", secs(*since)),
            FeedState::Down { reason } => format!("down {reason}"),
            FeedState::Gap { from, to } => format!("gap {} to {}", secs(*from), secs(*to)),
            FeedState::Quarantined { code, .. } => format!("quarantined {code}"),
        },
    }
}
