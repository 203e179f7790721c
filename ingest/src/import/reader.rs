//! Which machine reads which recording; it is noted in the archive, so that a replay takes the same one.

use schemas::Venue;

use super::IndexHistory;
use crate::link::LinkConfig;
use crate::venue::VenueMachine;
use crate::venue::binance::{Binance, BinanceConfig, Dialect};
use crate::venue::coinbase::{Coinbase, CoinbaseConfig};
use crate::venue::kalshi::{Kalshi, KalshiConfig};
use crate::venue::kraken::{Kraken, KrakenConfig};
use crate::venue::polymarket::{History, Polymarket, PolymarketConfig};

/// A configuration with [`patience`].
macro_rules! patient {
    ($config:expr) => {{
        let mut config = $config;
        config.link = patience(&config.link);
        config
    }};
}

/// The kinds of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReaderKind {
    /// Frames and REST bodies as the venue sends them.
    #[default]
    Wire,
    /// Canonical rows: recorded snapshots and polled quotes.
    Rows,
    /// Recorded index prices and market lists.
    Index,
}

impl ReaderKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Wire, Self::Rows, Self::Index];

    /// The source an archive of this kind names.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Wire => "import/wire",
            Self::Rows => "import/rows",
            Self::Index => "import/index",
        }
    }

    /// The kind of an archive by its source; what a live node writes is read like a recording of its frames.
    pub fn of_source(source: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.source() == source).unwrap_or_default()
    }

    /// A machine that has seen nothing, follows whatever a recording shows and lets no clock end a connection: what a
    /// recording does not show did not happen.
    pub fn machine(self, venue: Venue) -> Box<dyn VenueMachine> {
        match (self, venue) {
            (Self::Index, _) => Box::new(IndexHistory::default()),
            (Self::Rows, venue) | (Self::Wire, venue @ Venue::PolymarketUs) => Box::new(History::new(venue)),
            (Self::Wire, Venue::Kalshi) => Box::new(Kalshi::new(patient!(KalshiConfig::capture()))),
            (Self::Wire, Venue::Polymarket) => {
                Box::new(Polymarket::new(patient!(PolymarketConfig::capture())))
            }
            (Self::Wire, Venue::Coinbase) => Box::new(Coinbase::new(patient!(CoinbaseConfig::capture()))),
            (Self::Wire, Venue::Kraken) => Box::new(Kraken::new(patient!(KrakenConfig::capture()))),
            (Self::Wire, Venue::Binance | Venue::BinanceFutures) => {
                let mut config = patient!(BinanceConfig::capture());
                config.max_age_ns = i64::MAX;
                let futures = venue == Venue::BinanceFutures;
                config.dialect = Some(if futures { Dialect::Futures } else { Dialect::Spot });
                Box::new(Binance::new(config))
            }
        }
    }
}

/// A connection that ends only where the recording shows it, and is there again at once.
fn patience(link: &LinkConfig) -> LinkConfig {
    LinkConfig {
        ping: None,
        idle_ns: i64::MAX,
        zombie_ns: 0,
        connect_timeout_ns: i64::MAX,
        backoff_base_ns: 0,
        backoff_cap_ns: 0,
        ..link.clone()
    }
}
