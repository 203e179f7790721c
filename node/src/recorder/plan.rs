//! What is recorded, as plain data: enough to build the same machine again for a replay. Nothing here reads a clock,
//! a file or the environment, and nothing secret is in a [`Plan`].

use ingest::edge::Endpoints;
use ingest::venue::binance::{Binance, BinanceConfig, Dialect};
use ingest::venue::coinbase::{Coinbase, CoinbaseConfig};
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use ingest::venue::kraken::{Kraken, KrakenConfig};
use ingest::venue::polymarket::rtds2::{Credentials, Key};
use ingest::venue::polymarket::{Polymarket, PolymarketConfig, RtdsV1, RtdsV1Config, RtdsV2, RtdsV2Config};
use schemas::time::NANOS_PER_MILLI;
use schemas::{Digest, Venue};

use super::subject::{Subject, VenueBox};

/// Time between two operations on RTDS v2, nanoseconds. The relay refuses for good below 110 ms between their arrivals,
/// and the way there squeezes it.
const OP_SPACING_NS: i64 = 200 * NANOS_PER_MILLI;

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The venue.
    pub venue: Venue,
    /// Tickers, token ids or symbols by the venue's own names.
    pub names: Vec<String>,
    /// Indices that the venue publishes, e.g. `BRTI` (Kalshi).
    pub indices: Vec<String>,
    /// Polymarket's price streams of RTDS v1, topic and symbol, e.g. `crypto_prices_chainlink` and `btc/usd`.
    pub rtds: Vec<(String, String)>,
    /// Those of RTDS v2.
    pub rtds2: Vec<Key>,
    /// Two connections instead of one, for the books.
    pub ab: bool,
    /// Seed of the reconnect jitter.
    pub seed: [u8; 32],
}

impl Plan {
    /// A fresh machine to replay with: it has no credentials and needs none. `None` if the venue cannot be recorded.
    pub fn machine(&self) -> Option<Subject> {
        let none = Credentials { api_key: String::new(), secret: String::new(), passphrase: String::new() };
        self.live_machine(none)
    }

    /// A fresh machine that logs in to RTDS v2 with these; its state does not depend on them. `None` if the venue cannot
    /// be recorded.
    pub fn live_machine(&self, credentials: Credentials) -> Option<Subject> {
        let mut parts = Vec::new();
        if self.streams() == 0 || !self.names.is_empty() {
            parts.push(self.books()?);
        }
        if !self.rtds.is_empty() {
            let config = RtdsV1Config::new(self.rtds.clone());
            let link = seeded(config.link, self.seed_of(2));
            parts.push(single(RtdsV1::new(RtdsV1Config { link, ..config })));
        }
        if !self.rtds2.is_empty() {
            let config = RtdsV2Config::new(self.rtds2.clone(), credentials);
            let link = seeded(config.link, self.seed_of(3));
            parts.push(single(RtdsV2::new(RtdsV2Config { link, op_spacing_ns: OP_SPACING_NS, ..config })));
        }
        if parts.len() == 1 { parts.pop() } else { Subject::together(parts) }
    }

    /// Price streams beside or instead of books.
    pub fn streams(&self) -> usize {
        self.rtds.len() + self.rtds2.len()
    }

    /// The machine of the books.
    fn books(&self) -> Option<Subject> {
        if self.ab {
            Some(Subject::pair([self.leg(0)?, self.leg(1)?]))
        } else {
            self.leg(0).map(Subject::Single)
        }
    }

    /// Each connection draws its own delays.
    fn seed_of(&self, part: u8) -> [u8; 32] {
        Digest::combine(&[Digest(self.seed), Digest::of(&[part])]).0
    }

    /// One connection's machine.
    fn leg(&self, leg: u8) -> Option<VenueBox> {
        let seed = self.seed_of(leg);
        let names = self.names.clone();
        let machine: Box<dyn ingest::venue::VenueMachine + Send> = match self.venue {
            Venue::Kalshi => {
                let config = KalshiConfig {
                    tickers: names,
                    ticker: true,
                    index_ids: self.indices.clone(),
                    rest: true,
                    ..KalshiConfig::default()
                };
                Box::new(Kalshi::new(KalshiConfig { link: seeded(config.link, seed), ..config }))
            }
            Venue::Polymarket => {
                let config = PolymarketConfig::new(names);
                Box::new(Polymarket::new(PolymarketConfig { link: seeded(config.link, seed), ..config }))
            }
            Venue::Binance | Venue::BinanceFutures => {
                let dialect = if self.venue == Venue::Binance { Dialect::Spot } else { Dialect::Futures };
                let config = BinanceConfig::new(dialect, names);
                Box::new(Binance::new(BinanceConfig { link: seeded(config.link, seed), ..config }))
            }
            Venue::Coinbase => {
                let config = CoinbaseConfig::new(names);
                Box::new(Coinbase::new(CoinbaseConfig { link: seeded(config.link, seed), ..config }))
            }
            Venue::Kraken => {
                let config = KrakenConfig::new(names);
                Box::new(Kraken::new(KrakenConfig { link: seeded(config.link, seed), ..config }))
            }
            Venue::PolymarketUs => return None,
        };
        Some(VenueBox(machine))
    }

    /// One line that says where frames come from, kept in the archive beside the plan's hash.
    pub fn source(&self, endpoints: &Endpoints) -> String {
        let legs = if self.ab { "two connections" } else { "one connection" };
        format!("recorded over {legs} from {}", endpoints.sockets.first().map_or("nowhere", String::as_str))
    }
}

fn single(machine: impl ingest::venue::VenueMachine + Send + 'static) -> Subject {
    Subject::Single(VenueBox(Box::new(machine)))
}

fn seeded(link: ingest::link::LinkConfig, seed: [u8; 32]) -> ingest::link::LinkConfig {
    ingest::link::LinkConfig { seed, ..link }
}

/// Where a venue lives by default.
pub fn endpoints(venue: Venue) -> Endpoints {
    let (sockets, hosts): (&[&str], &[&str]) = match venue {
        Venue::Kalshi => (
            &["wss://api.elections.kalshi.com/trade-api/ws/v2"],
            &["https://api.elections.kalshi.com/trade-api/v2"],
        ),
        Venue::Polymarket => (
            &[
                "wss://ws-subscriptions-clob.polymarket.com/ws/market",
                "wss://ws-live-data.polymarket.com",
                "wss://ws-live-v2.polymarket.com/ws",
            ],
            &[
                "https://clob.polymarket.com",
                "https://gamma-api.polymarket.com",
                "https://data-api.polymarket.com",
            ],
        ),
        Venue::Coinbase => (&["wss://advanced-trade-ws.coinbase.com"], &["https://api.coinbase.com"]),
        Venue::Kraken => (&["wss://ws.kraken.com/v2"], &["https://api.kraken.com"]),
        Venue::Binance => (&["wss://stream.binance.com:9443/ws"], &["https://api.binance.com"]),
        Venue::BinanceFutures => (&["wss://fstream.binance.com/ws"], &["https://fapi.binance.com"]),
        Venue::PolymarketUs => (&[], &[]),
    };
    let owned = |urls: &[&str]| urls.iter().map(|&url| url.to_owned()).collect();
    Endpoints { sockets: owned(sockets), hosts: owned(hosts) }
}
