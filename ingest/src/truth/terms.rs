//! The terms of one market that its settlement needs: end, strike, index; taken from what venues say, never guessed.

use minicbor::{Decode, Encode};
use schemas::{IndexPrice, LifecycleRow, Market, MarketId, Ppm, Timestamp, Venue};

use super::detail::Detail;
use super::rules::Family;

/// What the deciding value is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Strike {
    /// Yes iff value >= this. Up/Down markets, Kalshi `greater_or_equal`: a tie is Up.
    #[n(0)]
    AtLeast(#[n(0)] IndexPrice),
    /// Yes iff value > this. Kalshi `greater`.
    #[n(1)]
    Above(#[n(0)] IndexPrice),
    /// Yes iff value <= this. Kalshi `less_or_equal`.
    #[n(2)]
    AtMost(#[n(0)] IndexPrice),
    /// Yes iff value < this. Kalshi `less`.
    #[n(3)]
    Below(#[n(0)] IndexPrice),
    /// Yes iff floor <= value <= cap. Kalshi `between`.
    #[n(4)]
    Between {
        /// Lower end, included.
        #[n(0)]
        floor: IndexPrice,
        /// Upper end, included.
        #[n(1)]
        cap: IndexPrice,
    },
}

impl Strike {
    /// From Kalshi's `strike_type`, `floor_strike` and `cap_strike`; `None` for types that no number decides and for
    /// missing numbers.
    pub fn kalshi(strike_type: &str, floor: Option<IndexPrice>, cap: Option<IndexPrice>) -> Option<Self> {
        match strike_type {
            "greater_or_equal" => floor.map(Self::AtLeast),
            "greater" => floor.map(Self::Above),
            "less_or_equal" => cap.map(Self::AtMost),
            "less" => cap.map(Self::Below),
            "between" => Some(Self::Between { floor: floor?, cap: cap? }),
            _ => None,
        }
    }

    /// Whether a value means yes.
    pub fn holds(&self, value: IndexPrice) -> bool {
        match *self {
            Self::AtLeast(strike) => value >= strike,
            Self::Above(strike) => value > strike,
            Self::AtMost(strike) => value <= strike,
            Self::Below(strike) => value < strike,
            Self::Between { floor, cap } => floor <= value && value <= cap,
        }
    }

    /// What one yes contract pays for a value.
    pub fn payout(&self, value: IndexPrice) -> Ppm {
        if self.holds(value) { Ppm::ONE } else { Ppm(0) }
    }
}

/// Polymarket's streams of the values and averages that settle its markets (RTDS v1 topics, RTDS v2 channels).
const SETTLEMENT_STREAMS: [&str; 5] = [
    "crypto_prices_chainlink",
    "crypto_prices_twap_thirty",
    "crypto_prices_twap_sixty",
    "price.crypto",
    "price.crypto.twap",
];

/// An index by its venue and its symbol in small letters and digits: `btc/usd`, `BTCUSD` and `btcusd` are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct IndexKey {
    /// The venue it comes through.
    #[n(0)]
    pub venue: Venue,
    /// The reduced symbol.
    #[n(1)]
    pub symbol: String,
}

impl IndexKey {
    /// From a venue's own name of the index, or from the name of its instrument, `<stream>:<symbol>` with a window's
    /// length behind another colon. The streams that carry the settlement index are one index; any other stream
    /// (`crypto_prices` is Binance) is an index of its own, whatever its symbol.
    pub fn new(venue: Venue, native: &str) -> Self {
        let symbol = match native.split_once(':') {
            Some((stream, symbol)) if SETTLEMENT_STREAMS.contains(&stream) => {
                symbol.split(':').next().unwrap_or(symbol)
            }
            _ => native,
        };
        let symbol = symbol.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase());
        Self { venue, symbol: symbol.collect() }
    }
}

/// A market as its settlement sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MarketTerms {
    /// The market.
    #[n(0)]
    pub id: MarketId,
    /// What kind it is.
    #[n(1)]
    pub family: Family,
    /// When it ends; `None` if not told yet.
    #[n(2)]
    pub closes_at: Option<Timestamp>,
    /// What the value is held against, once told.
    #[n(3)]
    pub strike: Option<Strike>,
    /// The deciding index; `None` for markets settled by the venue's word.
    #[n(4)]
    pub index: Option<IndexKey>,
}

/// Length in seconds and start of a slug like `btc-updown-5m-1780876800`; asset first.
fn up_down(slug: &str) -> Option<(&str, u32, i64)> {
    let (asset, rest) = slug.split_once("-updown-")?;
    let (length, start) = rest.split_once('-')?;
    let unit = |digits: &str, factor: u32| digits.parse::<u32>().ok()?.checked_mul(factor);
    let interval_s = match length.as_bytes().last()? {
        b'm' => unit(length.strip_suffix('m')?, 60),
        b'h' => unit(length.strip_suffix('h')?, 3_600),
        _ => None,
    }?;
    Some((asset, interval_s, start.parse().ok()?))
}

/// The asset of a Kalshi 15-minute crypto series or ticker, e.g. `KXBTC15M-...`.
fn crypto_15m(ticker: &str) -> Option<&str> {
    let series = ticker.split('-').next()?;
    series.strip_prefix("KX")?.strip_suffix("15M").filter(|asset| !asset.is_empty())
}

/// The index that settles a Kalshi crypto series: BRTI for bitcoin, else `<ASSET>USD_RTI`.
pub fn kalshi_index(asset: &str) -> IndexKey {
    match asset {
        "BTC" => IndexKey::new(Venue::Kalshi, "BRTI"),
        other => IndexKey::new(Venue::Kalshi, &format!("{other}USD_RTI")),
    }
}

impl MarketTerms {
    /// From a lifecycle row of a market. `None` where the venue's words do not say which family it is: a Polymarket row
    /// without a slug.
    pub fn from_detail(id: MarketId, closes_at: Option<Timestamp>, detail: &Detail) -> Option<Self> {
        if id.venue == Venue::Kalshi {
            let strike = detail.strike(id.venue);
            let asset = crypto_15m(detail.series.as_deref().unwrap_or(&id.native));
            let index = asset.map(kalshi_index);
            let family = if index.is_some() { Family::KalshiCrypto15m } else { Family::Reported };
            return Some(Self { id, family, closes_at, strike, index });
        }
        let slug = detail.slug.as_deref()?;
        let Some((asset, interval_s, start)) = up_down(slug) else {
            return Some(Self { id, family: Family::Reported, closes_at, strike: None, index: None });
        };
        let end = Timestamp::from_secs(start.saturating_add(i64::from(interval_s)));
        Some(Self {
            family: Family::UpDown { interval_s },
            closes_at: closes_at.or(Some(end)),
            strike: detail.strike(id.venue),
            index: Some(IndexKey::new(id.venue, &format!("{asset}usd"))),
            id,
        })
    }

    /// From a listed Up/Down market of the sale's feed.
    pub fn from_market(market: &Market) -> Self {
        let interval_s = u32::try_from(market.closes_at.secs() - market.starts_at.secs()).unwrap_or(0);
        Self {
            id: market.id.clone(),
            family: Family::UpDown { interval_s },
            closes_at: Some(market.closes_at),
            strike: market.strike.map(Strike::AtLeast),
            index: Some(IndexKey::new(market.id.venue, &market.symbol)),
        }
    }
}

/// Kalshi's machine says this for a market where the exchange as a whole is meant; no ticker is in small letters.
const EXCHANGE: &str = "exchange";

/// Whether a row is about one market: `event_lifecycle` and `event_fee_update` are about a whole event, pauses of the
/// exchange about all of them.
pub fn is_of_a_market(row: &LifecycleRow) -> bool {
    !row.said.starts_with("event_") && row.market != EXCHANGE
}

/// Kalshi's `result` and settlement value as one payout of yes; `None` while nothing or something contradictory is said.
pub fn kalshi_payout(result: Option<&str>, value: Option<Ppm>) -> Option<Ppm> {
    let payout = match result? {
        "yes" => Ppm::ONE,
        "no" => Ppm(0),
        // A void market pays a fair price as well.
        "scalar" | "void" => return value.filter(|v| v.is_valid()),
        _ => return None,
    };
    // A value beside a plain result must say the same.
    value.is_none_or(|v| v == payout).then_some(payout)
}

/// UMA's payouts [yes, no] as one payout of yes: (1, 0), (0, 1) or a split (0.5, 0.5). Anything else, (0, 0) above all,
/// is not a resolution.
pub fn uma_payout(payouts: [Ppm; 2]) -> Option<Ppm> {
    match payouts {
        [Ppm::ONE, Ppm(0)] | [Ppm(0), Ppm::ONE] | [Ppm::HALF, Ppm::HALF] => Some(payouts[0]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_follow_from_the_venues_own_names() {
        assert_eq!(up_down("btc-updown-5m-1780876800"), Some(("btc", 300, 1_780_876_800)));
        assert_eq!(up_down("eth-updown-4h-7"), Some(("eth", 14_400, 7)));
        assert_eq!(up_down("will-it-rain"), None);
        assert_eq!(crypto_15m("KXBTC15M-26NOV221945-00"), Some("BTC"));
        assert_eq!(crypto_15m("KXBTCD-26NOV22"), None);
        assert_eq!(kalshi_index("ETH").symbol, "ethusdrti");
        assert_eq!(IndexKey::new(Venue::Polymarket, "btc/usd"), IndexKey::new(Venue::Polymarket, "BTCUSD"));
        let key = |native| IndexKey::new(Venue::Polymarket, native).symbol;
        for stream in [
            "crypto_prices_chainlink:btc/usd",
            "crypto_prices_twap_thirty:btc/usd",
            "price.crypto.twap:btcusd:60",
        ] {
            assert_eq!(key(stream), "btcusd", "{stream}");
        }
        assert_eq!(key("crypto_prices:btc/usd"), "cryptopricesbtcusd");
        assert_ne!(key("btc/usd"), key("btcusdt"));
    }

    #[test]
    fn strikes_say_what_kalshi_means() {
        let v = |n| IndexPrice(n);
        let strike = |kind| Strike::kalshi(kind, Some(v(10)), Some(v(20)));
        for (kind, yes, no) in [
            ("greater_or_equal", vec![10, 11], vec![9]),
            ("greater", vec![11], vec![10]),
            ("less_or_equal", vec![20], vec![21]),
            ("less", vec![19], vec![20]),
            ("between", vec![10, 20], vec![9, 21]),
        ] {
            let strike = strike(kind).unwrap();
            assert!(yes.iter().all(|n| strike.holds(v(*n))), "{kind}");
            assert!(!no.iter().any(|n| strike.holds(v(*n))), "{kind}");
        }
        assert_eq!(strike("structured"), None);
        assert_eq!(Strike::kalshi("between", Some(v(1)), None), None);
    }

    #[test]
    fn payouts_are_strict() {
        assert_eq!(uma_payout([Ppm(500_000), Ppm(500_000)]), Some(Ppm::HALF));
        assert_eq!(uma_payout([Ppm(0), Ppm(0)]), None);
        assert_eq!(uma_payout([Ppm(600_000), Ppm(400_000)]), None);
        assert_eq!(kalshi_payout(Some("scalar"), Some(Ppm(370_000))), Some(Ppm(370_000)));
        assert_eq!(kalshi_payout(Some("yes"), Some(Ppm(0))), None);
        assert_eq!(kalshi_payout(Some("no"), None), Some(Ppm(0)));
        assert_eq!(kalshi_payout(None, Some(Ppm::ONE)), None);
    }
}
