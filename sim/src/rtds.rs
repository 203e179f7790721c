//! The words of the venue's real-time data socket (RTDS v1) as its server speaks them; never opens a socket.

use std::fmt::Write as _;

use schemas::Timestamp;
use serde::Deserialize;

use crate::day::Tick;

/// The topic of the Chainlink prices.
pub const TOPIC: &str = "crypto_prices_chainlink";
/// The answer to `PING`.
pub const PONG: &str = "PONG";
/// The answer to a command that cannot be read.
pub const ERROR: &str = r#"{"message":"Invalid request body","statusCode":400}"#;
/// A frame that no client can parse, for fault injection.
pub const MALFORMED: &str = r#"{"topic":"crypto_prices_chainlink","type":"update","payload":{"symbol":"#;

/// How far back the history after a subscribe reaches, in feed time.
const HISTORY_MS: i64 = 120_000;
/// Subscriptions in one command.
const MAX_SUBSCRIPTIONS: usize = 64;

/// A command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Keep-alive.
    Ping,
    /// Send these from now on.
    Subscribe(Vec<Wanted>),
    /// Do not send these any more.
    Unsubscribe(Vec<Wanted>),
}

/// One subscription of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub topic: String,
    /// `update` or `*`.
    pub kind: String,
    /// The pair it is restricted to, if any.
    pub symbol: Option<String>,
}

impl Wanted {
    /// Whether it asks for the Chainlink prices of `symbol`; other topics are ignored, as the venue does.
    pub fn is_for(&self, symbol: &str) -> bool {
        self.topic == TOPIC
            && matches!(self.kind.as_str(), "update" | "*")
            && self.symbol.as_ref().is_none_or(|s| s.eq_ignore_ascii_case(symbol))
    }
}

/// Text that is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a command of the real-time data socket")]
pub struct BadCommand;

#[derive(Deserialize)]
struct WireCommand {
    action: String,
    subscriptions: Vec<WireSubscription>,
}

#[derive(Deserialize)]
struct WireSubscription {
    topic: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    filters: String,
}

#[derive(Deserialize)]
struct Filters {
    symbol: String,
}

/// Reads a client's text frame.
///
/// # Errors
/// [`BadCommand`] for anything but `PING` (in any case), `subscribe` and `unsubscribe` with at most 64 entries.
pub fn parse(text: &str) -> Result<Command, BadCommand> {
    if text.eq_ignore_ascii_case("ping") {
        return Ok(Command::Ping);
    }
    let command: WireCommand = serde_json::from_str(text).map_err(|_| BadCommand)?;
    if command.subscriptions.len() > MAX_SUBSCRIPTIONS {
        return Err(BadCommand);
    }
    let wanted = command.subscriptions.into_iter().map(wanted).collect::<Result<_, _>>()?;
    match command.action.as_str() {
        "subscribe" => Ok(Command::Subscribe(wanted)),
        "unsubscribe" => Ok(Command::Unsubscribe(wanted)),
        _ => Err(BadCommand),
    }
}

fn wanted(wire: WireSubscription) -> Result<Wanted, BadCommand> {
    let symbol = if wire.filters.is_empty() {
        None
    } else {
        Some(serde_json::from_str::<Filters>(&wire.filters).map_err(|_| BadCommand)?.symbol)
    };
    Ok(Wanted { topic: wire.topic, kind: wire.kind, symbol })
}

/// The frame of one tick. `symbol` needs no escaping: a day's symbol is checked when it is made.
pub fn update(symbol: &str, tick: &Tick) -> String {
    format!(
        concat!(
            r#"{{"topic":"crypto_prices_chainlink","type":"update","timestamp":{},"payload":{{"symbol":"{}","#,
            r#""timestamp":{},"value":{},"full_accuracy_value":"{}"}}}}"#
        ),
        tick.server_ms, symbol, tick.feed_ms, tick.value, tick.full.0
    )
}

/// The history a subscriber gets first: of the ticks `played`, those of the last two minutes, by feed time.
pub fn history(symbol: &str, now: Timestamp, played: &[Tick]) -> String {
    let since = now.millis() - HISTORY_MS;
    // Received no earlier than their feed time, so nothing recent hides behind an older receive time.
    let from = played.partition_point(|t| t.recv_ms < since);
    let mut recent: Vec<_> = played.iter().skip(from).filter(|t| t.feed_ms >= since).collect();
    recent.sort_by_key(|t| t.feed_ms);
    let mut out = format!(
        r#"{{"topic":"{TOPIC}","type":"subscribe","timestamp":{},"payload":{{"symbol":"{symbol}","data":["#,
        now.millis()
    );
    for (i, tick) in recent.into_iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"timestamp":{},"value":{}}}"#, tick.feed_ms, tick.value)
            .expect("writing to a String cannot fail");
    }
    out.push_str("]}}");
    out
}

#[cfg(test)]
mod tests {
    use schemas::IndexPrice;

    use super::*;

    fn tick(feed_ms: i64, value: &str) -> Tick {
        let full = IndexPrice::from_decimal(value).unwrap();
        Tick { feed_ms, server_ms: feed_ms + 900, recv_ms: feed_ms + 1_100, value: value.into(), full }
    }

    fn want(topic: &str, symbol: Option<&str>) -> Wanted {
        Wanted { topic: topic.into(), kind: "*".into(), symbol: symbol.map(Into::into) }
    }

    #[test]
    fn commands_are_read_or_refused() {
        let sub = |action: &str, filters: &str| {
            format!(
                r#"{{"action":"{action}","subscriptions":[{{"topic":"{TOPIC}","type":"*","filters":"{filters}"}}]}}"#
            )
        };
        let btc = r#"{\"symbol\":\"btc/usd\"}"#;
        for (text, expected) in [
            ("PING".to_owned(), Ok(Command::Ping)),
            ("ping".to_owned(), Ok(Command::Ping)),
            (sub("subscribe", btc), Ok(Command::Subscribe(vec![want(TOPIC, Some("btc/usd"))]))),
            (sub("unsubscribe", ""), Ok(Command::Unsubscribe(vec![want(TOPIC, None)]))),
            (sub("publish", btc), Err(BadCommand)),
            (sub("subscribe", "symbol"), Err(BadCommand)),
            (sub("subscribe", "{}"), Err(BadCommand)),
            (r#"{"action":"subscribe"}"#.to_owned(), Err(BadCommand)),
            (r#"{"action":"subscribe","subscriptions":[]}"#.to_owned(), Ok(Command::Subscribe(vec![]))),
            ("{".to_owned(), Err(BadCommand)),
            (String::new(), Err(BadCommand)),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
        assert!(want(TOPIC, None).is_for("btc/usd") && want(TOPIC, Some("BTC/USD")).is_for("btc/usd"));
        assert!(
            !want(TOPIC, Some("eth/usd")).is_for("btc/usd") && !want("crypto_prices", None).is_for("btc/usd")
        );
    }

    #[test]
    fn frames_are_the_venues() {
        let played = [tick(0, "1"), tick(60_000, "61164.12"), tick(61_000, "61161.075")];
        insta::assert_snapshot!(update("btc/usd", &played[1]), @r#"{"topic":"crypto_prices_chainlink","type":"update","timestamp":60900,"payload":{"symbol":"btc/usd","timestamp":60000,"value":61164.12,"full_accuracy_value":"61164120000000000000000"}}"#);
        insta::assert_snapshot!(history("btc/usd", Timestamp::from_millis(150_000), &played), @r#"{"topic":"crypto_prices_chainlink","type":"subscribe","timestamp":150000,"payload":{"symbol":"btc/usd","data":[{"timestamp":60000,"value":61164.12},{"timestamp":61000,"value":61161.075}]}}"#);
        insta::assert_snapshot!(history("btc/usd", Timestamp::from_millis(900_000), &played), @r#"{"topic":"crypto_prices_chainlink","type":"subscribe","timestamp":900000,"payload":{"symbol":"btc/usd","data":[]}}"#);
    }
}
