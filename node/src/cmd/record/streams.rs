//! Polymarket's price streams as `oraculo record` is told of them: names, and where the credentials are. It never prints
//! a credential, and none is archived.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use ingest::venue::polymarket::rtds2::{Credentials, Key};
use schemas::Venue;

/// Topics of RTDS v1 whose values are prices.
const TOPICS: [&str; 5] = [
    "crypto_prices",
    "crypto_prices_chainlink",
    "crypto_prices_twap_thirty",
    "crypto_prices_twap_sixty",
    "equity_prices",
];
/// Channels of RTDS v2; those of averages have a length.
const CHANNELS: [(&str, bool); 4] = [
    ("price.crypto", false),
    ("price.crypto.twap", true),
    ("price.equity", false),
    ("price.equity.twap", true),
];
/// Names of the credentials in the environment and in the file.
const NAMES: [&str; 3] = ["POLYMARKET_API_KEY", "POLYMARKET_API_SECRET", "POLYMARKET_API_PASSPHRASE"];

/// Price streams and their credentials.
#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// A price stream of Polymarket's RTDS v1, e.g. crypto_prices_chainlink:btc/usd; repeatable.
    #[arg(long, value_parser = topic, value_name = "TOPIC:SYMBOL")]
    pub(super) rtds: Vec<(String, String)>,
    /// A price stream of RTDS v2, e.g. price.crypto:btcusd or price.crypto.twap:btcusd:60; repeatable. Needs an API key.
    #[arg(long, value_parser = key, value_name = "CHANNEL:SYMBOL[:SECONDS]")]
    pub(super) rtds2: Vec<Key>,
    /// Id of the CLOB API key.
    #[arg(long, env = NAMES[0], value_name = "ID", hide_env_values = true)]
    api_key: Option<String>,
    /// Its secret; better in the environment or in --env-file, where no other process sees it.
    #[arg(long, env = NAMES[1], value_name = "SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// Its passphrase; likewise.
    #[arg(long, env = NAMES[2], value_name = "TEXT", hide_env_values = true)]
    api_passphrase: Option<String>,
    /// File with lines POLYMARKET_API_KEY=…, POLYMARKET_API_SECRET=… and POLYMARKET_API_PASSPHRASE=….
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

fn topic(text: &str) -> Result<(String, String), String> {
    let (topic, symbol) = text.split_once(':').unwrap_or((text, ""));
    if TOPICS.contains(&topic) && !symbol.is_empty() {
        return Ok((topic.to_owned(), symbol.to_owned()));
    }
    Err(format!("unknown_stream: {text:?} is not TOPIC:SYMBOL with a topic of {}", TOPICS.join(", ")))
}

fn key(text: &str) -> Result<Key, String> {
    let bad = || {
        let names = CHANNELS.map(|(name, _)| name).join(", ");
        format!(
            "unknown_stream: {text:?} is not CHANNEL:SYMBOL[:SECONDS] with a channel of {names}; averages need SECONDS"
        )
    };
    let mut parts = text.split(':');
    let (channel, symbol, window) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next());
    let (_, average) = CHANNELS.into_iter().find(|(name, _)| *name == channel).ok_or_else(bad)?;
    let window_s =
        window.map(|text| text.parse::<u32>().ok().filter(|s| *s > 0).ok_or_else(bad)).transpose()?;
    if symbol.is_empty() || parts.next().is_some() || window_s.is_some() != average {
        return Err(bad());
    }
    Ok(Key { channel: channel.to_owned(), symbol: symbol.to_lowercase(), window_s })
}

impl StreamArgs {
    /// Whether any stream was named. Errors: another venue has none.
    pub(super) fn any(&self, venue: Venue) -> Result<bool> {
        let any = !self.rtds.is_empty() || !self.rtds2.is_empty();
        ensure!(!any || venue == Venue::Polymarket, "wrong_flag: {venue} has no --rtds and --rtds2");
        Ok(any)
    }

    /// What RTDS v2 asks for; empty where no stream of it was named. A flag or variable goes before the file.
    pub(super) fn credentials(&self) -> Result<Credentials> {
        let mut found = [&self.api_key, &self.api_secret, &self.api_passphrase].map(Clone::clone);
        if let Some(file) = &self.env_file {
            let unreadable = || format!("key_unreadable: {}", file.display());
            let text = std::fs::read_to_string(file).with_context(unreadable)?;
            for (name, slot) in NAMES.iter().zip(&mut found) {
                *slot = slot.take().or_else(|| value(&text, name));
            }
        }
        match found {
            [Some(api_key), Some(secret), Some(passphrase)] => {
                Ok(Credentials { api_key, secret, passphrase })
            }
            _ if self.rtds2.is_empty() => {
                Ok(Credentials { api_key: String::new(), secret: String::new(), passphrase: String::new() })
            }
            _ => {
                bail!("key_missing: --rtds2 needs {}, in the environment or in --env-file", NAMES.join(", "))
            }
        }
    }
}

/// A variable's value in the lines `NAME=value` or `export NAME="value"`.
fn value(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("export ").trim_start());
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    let value = values.next_back()?.trim();
    let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    Some(quoted.unwrap_or(value).to_owned()).filter(|value| !value.is_empty())
}
