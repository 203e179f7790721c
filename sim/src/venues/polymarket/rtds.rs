//! The words of RTDS v1 as its server speaks them, for every price topic; never opens a socket.

use std::fmt::Write as _;

use serde::Deserialize;

use super::decimal::scaled;
use super::index::IndexTick;

pub use crate::rtds::{ERROR, MALFORMED, PONG};

/// Subscriptions in one command.
const MAX_SUBSCRIPTIONS: usize = 64;

/// A price topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `crypto_prices`: Binance.
    Binance,
    /// `crypto_prices_chainlink`.
    Chainlink,
    /// `crypto_prices_twap_thirty`.
    TwapThirty,
    /// `crypto_prices_twap_sixty`.
    TwapSixty,
}

impl Topic {
    /// All topics of this twin.
    pub const ALL: [Self; 4] = [Self::Binance, Self::Chainlink, Self::TwapThirty, Self::TwapSixty];

    /// The venue's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Binance => "crypto_prices",
            Self::Chainlink => "crypto_prices_chainlink",
            Self::TwapThirty => "crypto_prices_twap_thirty",
            Self::TwapSixty => "crypto_prices_twap_sixty",
        }
    }

    /// How it names a coin: `btcusdt` or `btc/usd`.
    pub fn symbol(self, coin: &str) -> String {
        match self {
            Self::Binance => format!("{coin}usdt"),
            _ => format!("{coin}/usd"),
        }
    }

    const fn window(self) -> Option<u32> {
        match self {
            Self::TwapThirty => Some(30),
            Self::TwapSixty => Some(60),
            Self::Binance | Self::Chainlink => None,
        }
    }

    const fn value(self, tick: &IndexTick) -> i64 {
        match self {
            Self::Binance | Self::Chainlink => tick.spot,
            Self::TwapThirty => tick.twap_30,
            Self::TwapSixty => tick.twap_60,
        }
    }
}

/// One subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub topic: Topic,
    /// The symbols it is restricted to; empty is all.
    pub symbols: Vec<String>,
}

impl Wanted {
    /// Whether it asks for a coin's prices on a topic.
    pub fn is_for(&self, topic: Topic, coin: &str) -> bool {
        let symbol = topic.symbol(coin);
        self.topic == topic
            && (self.symbols.is_empty() || self.symbols.iter().any(|s| s.eq_ignore_ascii_case(&symbol)))
    }
}

/// A command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Keep-alive.
    Ping,
    /// Send these from now on; topics of other kinds are left out.
    Subscribe(Vec<Wanted>),
    /// Do not send these any more.
    Unsubscribe(Vec<Wanted>),
}

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

/// Reads a client's text frame; `None` for what is no command. A filter is a JSON object with one symbol, or (Binance
/// topic only) symbols with commas between.
pub fn parse(text: &str) -> Option<Command> {
    if text.eq_ignore_ascii_case("PING") {
        return Some(Command::Ping);
    }
    let command: WireCommand = serde_json::from_str(text).ok()?;
    if command.subscriptions.len() > MAX_SUBSCRIPTIONS {
        return None;
    }
    let mut wanted = Vec::new();
    for entry in &command.subscriptions {
        let topic = Topic::ALL.into_iter().find(|t| t.word() == entry.topic);
        let symbols = symbols(topic, &entry.filters)?;
        let live = matches!(entry.kind.as_str(), "update" | "*");
        wanted.extend(topic.filter(|_| live).map(|topic| Wanted { topic, symbols }));
    }
    match command.action.as_str() {
        "subscribe" => Some(Command::Subscribe(wanted)),
        "unsubscribe" => Some(Command::Unsubscribe(wanted)),
        _ => None,
    }
}

fn symbols(topic: Option<Topic>, filters: &str) -> Option<Vec<String>> {
    if filters.is_empty() {
        return Some(Vec::new());
    }
    if topic == Some(Topic::Binance) && !filters.starts_with('{') {
        return Some(filters.split(',').map(str::to_owned).collect());
    }
    let filters: Filters = serde_json::from_str(filters).ok()?;
    Some(vec![filters.symbol])
}

/// 1e-8 dollars as JSON number text without trailing zeros, e.g. `61035.86`.
pub fn number(value: i64) -> String {
    let text = scaled(value, 8);
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

/// The `update` of a tick; corrupted, its exact value is ten times what it should be.
pub fn update(topic: Topic, coin: &str, tick: &IndexTick, corrupt: bool) -> String {
    let value = topic.value(tick);
    let exact = if corrupt { value * 10 } else { value };
    let full = match topic {
        Topic::Binance => scaled(exact, 8),
        // An integer of 1e-18 dollars.
        _ => format!("{exact}0000000000"),
    };
    let window = topic.window().map_or_else(String::new, |s| format!(r#","window_s":{s}"#));
    format!(
        concat!(
            r#"{{"topic":"{}","type":"update","timestamp":{},"payload":{{"symbol":"{}","timestamp":{},"value":{},"#,
            r#""full_accuracy_value":"{}"{}}}}}"#
        ),
        topic.word(),
        tick.published_ms,
        topic.symbol(coin),
        tick.feed_ms,
        number(value),
        full,
        window
    )
}

/// The history that a filtered subscribe gets first.
pub fn history<'a>(
    topic: Topic,
    coin: &str,
    now_ms: i64,
    ticks: impl Iterator<Item = &'a IndexTick>,
) -> String {
    let mut out = format!(
        r#"{{"topic":"{}","type":"subscribe","timestamp":{now_ms},"payload":{{"symbol":"{}","data":["#,
        topic.word(),
        topic.symbol(coin)
    );
    for (i, tick) in ticks.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, r#"{comma}{{"timestamp":{},"value":{}}}"#, tick.feed_ms, number(topic.value(tick)))
            .expect("writing to a String cannot fail");
    }
    out.push_str("]}}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_or_refused() {
        let sub = |topic: &str, filters: &str| {
            let filters = serde_json::Value::from(filters);
            parse(&format!(
                r#"{{"action":"subscribe","subscriptions":[{{"topic":"{topic}","type":"update","filters":{filters}}}]}}"#
            ))
        };
        let one = |topic, symbols: &[&str]| {
            let symbols = symbols.iter().map(|&s| s.to_owned()).collect();
            Some(Command::Subscribe(vec![Wanted { topic, symbols }]))
        };
        assert_eq!(sub("crypto_prices", "btcusdt,ethusdt"), one(Topic::Binance, &["btcusdt", "ethusdt"]));
        assert_eq!(sub("crypto_prices", r#"{"symbol":"btcusdt"}"#), one(Topic::Binance, &["btcusdt"]));
        assert_eq!(
            sub("crypto_prices_twap_sixty", r#"{"symbol":"btc/usd"}"#),
            one(Topic::TwapSixty, &["btc/usd"])
        );
        assert_eq!(sub("crypto_prices_chainlink", ""), one(Topic::Chainlink, &[]));
        assert_eq!(sub("comments", ""), Some(Command::Subscribe(vec![])));
        assert_eq!(sub("crypto_prices_chainlink", "btc/usd"), None);
        assert_eq!(parse("PING"), Some(Command::Ping));
        assert_eq!(parse("{"), None);
    }
}
