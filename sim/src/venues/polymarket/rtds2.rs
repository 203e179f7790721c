//! The words of RTDS v2 (ops, acknowledgements, envelopes) as its server speaks them; never opens a socket.
//!
//! After venues.md §2 and the venue's own reference of its live data channel. The error codes other than
//! `auth_required` are this twin's own words: the reference names only that one.

use std::fmt::Write as _;

use serde::Deserialize;

use super::decimal::scaled;
use super::index::IndexTick;
use super::rtds::number;

/// Close code: the credential that was shown is wrong.
pub const CLOSE_AUTH: u16 = 4_001;
/// Close code: the server drains; come back within ten seconds.
pub const CLOSE_DRAIN: u16 = 4_003;
/// Close code: a rule was broken; do not come back unchanged.
pub const CLOSE_POLICY: u16 = 4_008;

/// A channel of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// `price.crypto`.
    Crypto,
    /// `price.crypto.twap`; only a window of 60 seconds has data.
    Twap,
}

impl Channel {
    /// The venue's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Crypto => "price.crypto",
            Self::Twap => "price.crypto.twap",
        }
    }

    const fn value(self, tick: &IndexTick) -> i64 {
        match self {
            Self::Crypto => tick.spot,
            Self::Twap => tick.twap_60,
        }
    }
}

/// A (channel, filter) pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The channel.
    pub channel: Channel,
    /// `btcusd` and the like, lower case.
    pub symbol: String,
    /// Seconds, on the channel of averages.
    pub window: Option<u32>,
}

impl Key {
    /// Whether it asks for a coin's ticks.
    pub fn is_for(&self, coin: &str) -> bool {
        let data = match self.channel {
            Channel::Crypto => true,
            Channel::Twap => self.window == Some(60),
        };
        data && self.symbol.strip_suffix("usd") == Some(coin)
    }
}

/// What an `auth` op shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// API key of the CLOB account.
    pub api_key: String,
    /// Its secret, as it was issued: the reference sends it in clear over TLS, nothing is signed.
    pub secret: String,
    /// Its passphrase.
    pub passphrase: String,
}

/// A client's frame.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Frame {
    /// `auth`, `subscribe`, `unsubscribe` or `ping`.
    pub op: String,
    /// Echoed in the acknowledgement.
    #[serde(default)]
    pub rid: Option<String>,
    #[serde(default)]
    auth: Option<Credentials>,
    #[serde(default)]
    subscriptions: Vec<WireKey>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    filter: Option<Filter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct WireKey {
    channel: String,
    #[serde(default)]
    filter: Filter,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Filter {
    #[serde(default)]
    symbol: String,
    #[serde(default)]
    window_seconds: Option<u32>,
}

impl Frame {
    /// What it shows, if it is an `auth`.
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.auth.as_ref()
    }

    /// The pairs it names, each as it was named or as the reason why it is none.
    pub fn keys(&self) -> Vec<Result<Key, (String, &'static str)>> {
        let single = self.channel.as_ref().map(|channel| WireKey {
            channel: channel.clone(),
            filter: self.filter.clone().unwrap_or_default(),
        });
        self.subscriptions.iter().chain(&single).map(key).collect()
    }
}

fn key(wire: &WireKey) -> Result<Key, (String, &'static str)> {
    let channel = match wire.channel.as_str() {
        "price.crypto" => Channel::Crypto,
        "price.crypto.twap" => Channel::Twap,
        _ => return Err((wire.channel.clone(), "unknown_channel")),
    };
    let symbol = wire.filter.symbol.clone();
    let window = wire.filter.window_seconds;
    let lower = !symbol.is_empty() && symbol.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !lower || (channel == Channel::Twap) != window.is_some() {
        return Err((wire.channel.clone(), "invalid_filter"));
    }
    Ok(Key { channel, symbol, window })
}

/// An acknowledgement: `op`, and what of channel, code and rid there is.
pub fn ack(op: &str, code: Option<&str>, channel: Option<&str>, rid: Option<&str>) -> String {
    let mut out = format!(r#"{{"op":"{op}""#);
    for (key, value) in [("code", code), ("channel", channel), ("rid", rid)] {
        if let Some(value) = value {
            write!(out, r#","{key}":{}"#, serde_json::Value::from(value))
                .expect("writing to a String cannot fail");
        }
    }
    out.push('}');
    out
}

/// What an envelope carries around its payload.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// The channel.
    pub channel: Channel,
    /// Consecutive per connection and channel, snapshots included.
    pub seq: u64,
    /// Messages of the channel that the server threw away since the last one.
    pub dropped: u64,
    /// The producer's time, Unix milliseconds.
    pub ts: i64,
}

impl Envelope {
    /// `dropped` and `snapshot` are optional: an even `seq` says them even when they are 0 and false.
    fn open(&self, snapshot: bool) -> String {
        let mut out =
            format!(r#"{{"v":1,"channel":"{}","seq":{},"ts":{}"#, self.channel.word(), self.seq, self.ts);
        let wordy = self.seq.is_multiple_of(2);
        if wordy || self.dropped > 0 {
            write!(out, r#","dropped":{}"#, self.dropped).expect("writing to a String cannot fail");
        }
        if wordy || snapshot {
            write!(out, r#","snapshot":{snapshot}"#).expect("writing to a String cannot fail");
        }
        out
    }

    /// A live tick; corrupted, its exact value is ten times what it should be.
    pub fn tick(&self, coin: &str, tick: &IndexTick, corrupt: bool) -> String {
        let value = self.channel.value(tick);
        let exact = scaled(if corrupt { value * 10 } else { value }, 8);
        let (source, window) = match self.channel {
            Channel::Crypto => ("pyth", ""),
            Channel::Twap => ("chainlink", r#","window_seconds":60"#),
        };
        format!(
            concat!(
                r#"{},"payload":{{"symbol":"{}usd","source":"{}","timestamp":{},"value":{},"#,
                r#""full_accuracy_value":"{}","is_carried_forward":false{}}}}}"#
            ),
            self.open(false),
            coin,
            source,
            tick.feed_ms,
            number(value),
            exact,
            window
        )
    }

    /// The snapshot of a new pair: the last two minutes, or nothing.
    pub fn snapshot<'a>(&self, key: &Key, ticks: impl Iterator<Item = &'a IndexTick>) -> String {
        let window = key.window.map_or_else(String::new, |s| format!(r#","window_seconds":{s}"#));
        let mut out = self.open(true);
        write!(out, r#","payload":{{"symbol":"{}"{window},"data":["#, key.symbol)
            .expect("writing to a String cannot fail");
        for (i, tick) in ticks.enumerate() {
            let value = self.channel.value(tick);
            let comma = if i == 0 { "" } else { "," };
            write!(
                out,
                r#"{comma}{{"timestamp":{},"value":{},"full_accuracy_value":"{}"}}"#,
                tick.feed_ms,
                number(value),
                scaled(value, 8)
            )
            .expect("writing to a String cannot fail");
        }
        out.push_str("]}}");
        out
    }
}
