//! Decoded venue facts: markets, index ticks, quotes, the venue's own resolutions; never an opinion.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::fixed::{IndexPrice, Ppm, Price};
use crate::time::Timestamp;

/// Where something is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Venue {
    /// Polymarket (CLOB and Gamma).
    #[n(0)]
    Polymarket,
    /// Kalshi.
    #[n(1)]
    Kalshi,
    /// Coinbase (Advanced Trade; in old captures Coinbase Pro).
    #[n(2)]
    Coinbase,
    /// Kraken spot.
    #[n(3)]
    Kraken,
    /// Binance spot.
    #[n(4)]
    Binance,
    /// Binance USD-margined futures.
    #[n(5)]
    BinanceFutures,
    /// Polymarket US, a venue of its own.
    #[n(6)]
    PolymarketUs,
}

impl Venue {
    /// All venues.
    pub const ALL: [Self; 7] = [
        Self::Polymarket,
        Self::Kalshi,
        Self::Coinbase,
        Self::Kraken,
        Self::Binance,
        Self::BinanceFutures,
        Self::PolymarketUs,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polymarket => "polymarket",
            Self::Kalshi => "kalshi",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
            Self::Binance => "binance",
            Self::BinanceFutures => "binance-futures",
            Self::PolymarketUs => "polymarket-us",
        }
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Venue {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|venue| venue.name() == text).ok_or(())
    }
}

/// A market by its venue's own id (Polymarket: condition id; Kalshi: ticker).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct MarketId {
    /// The venue.
    #[n(0)]
    pub venue: Venue,
    /// The venue's id, verbatim.
    #[n(1)]
    pub native: String,
}

impl fmt::Display for MarketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.venue, self.native)
    }
}

/// A listed Up/Down market over a fixed interval.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Market {
    /// Venue and condition id.
    #[n(0)]
    pub id: MarketId,
    /// The venue's slug, e.g. `btc-updown-5m-1780876800`.
    #[n(1)]
    pub slug: String,
    /// The question in words.
    #[n(2)]
    pub title: String,
    /// The asset pair the index feed names, e.g. `btc/usd`.
    #[n(3)]
    pub symbol: String,
    /// Start of the interval.
    #[n(4)]
    pub starts_at: Timestamp,
    /// End of the interval; the closing index value is taken here.
    #[n(5)]
    pub closes_at: Timestamp,
    /// The index value to beat, once the venue publishes it. Up iff closing value >= strike.
    #[n(6)]
    pub strike: Option<IndexPrice>,
    /// Token ids of [Up, Down]: decimal strings of up to 78 digits.
    #[n(7)]
    pub token_ids: Vec<String>,
    /// Taker fee rate in ppm (Gamma `feeSchedule.rate`), if the venue says it.
    #[n(8)]
    pub fee_rate: Option<Ppm>,
}

/// One value of a settlement index (Chainlink through Polymarket RTDS).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct IndexTick {
    /// The pair, e.g. `btc/usd`.
    #[n(0)]
    pub symbol: String,
    /// The feed's own time of the value.
    #[n(1)]
    pub feed_at: Timestamp,
    /// The value.
    #[n(2)]
    pub value: IndexPrice,
    /// When the relay sent it, if it said so.
    #[n(3)]
    pub server_at: Option<Timestamp>,
}

/// Best bid and ask of the Up token.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Quote {
    /// The market.
    #[n(0)]
    pub market: MarketId,
    /// Best bid in dollars per contract, if any.
    #[n(1)]
    pub bid: Option<Price>,
    /// Best ask in dollars per contract, if any.
    #[n(2)]
    pub ask: Option<Price>,
}

/// The venue's own word on how a market ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct VenueResolution {
    /// The market.
    #[n(0)]
    pub market: MarketId,
    /// What one Up token paid: 1_000_000 = Up, 0 = Down, 500_000 = split.
    #[n(1)]
    pub up_paid: Ppm,
}

/// The health of a feed; consumers can exclude what was not live.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FeedState {
    /// Data flows.
    #[n(0)]
    Live,
    /// No data came for longer than the idle limit; the feed reconnects.
    #[n(1)]
    Stale {
        /// The last index value's own time.
        #[n(0)]
        since: Timestamp,
    },
    /// The connection is down.
    #[n(2)]
    Down {
        /// Why.
        #[n(0)]
        reason: String,
    },
    /// The feed came back after missing `from ..= to` of the index's own time.
    #[n(3)]
    Gap {
        /// First missing second.
        #[n(0)]
        from: Timestamp,
        /// Last missing second.
        #[n(1)]
        to: Timestamp,
    },
    /// A frame or answer could not be used; it is kept in the raw stream.
    #[n(4)]
    Quarantined {
        /// The stable code of the decode error.
        #[n(0)]
        code: String,
        /// What was wrong.
        #[n(1)]
        detail: String,
    },
}

/// A decoded fact of a venue.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MarketEvent {
    /// A market was listed, or its strike became known.
    #[n(0)]
    Listed(#[n(0)] Market),
    /// A value of the settlement index.
    #[n(1)]
    Tick(#[n(0)] IndexTick),
    /// Best bid and ask.
    #[n(2)]
    Quote(#[n(0)] Quote),
    /// The venue resolved a market.
    #[n(3)]
    Resolved(#[n(0)] VenueResolution),
    /// The feed's own state changed.
    #[n(4)]
    Feed(#[n(0)] FeedState),
}
