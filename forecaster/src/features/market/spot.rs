//! Family cross-venue spread: where spot venues trade against the settlement index. Never mixes two currencies' books:
//! a dollar token counts as a dollar, and the formula says so.

use schemas::time::NANOS_PER_SEC;
use schemas::{Timestamp, Venue};

use super::book::Book;
use super::{Basis, Frame, Why, spec};
use crate::features::{Source, Spec};

/// A venue's book that said nothing for longer says nothing now, ns.
const MAX_AGE_NS: i64 = 10 * NANOS_PER_SEC;
/// The venues in the order of the features; the last is a perpetual future.
pub const VENUES: [Venue; 4] = [Venue::Coinbase, Venue::Kraken, Venue::Binance, Venue::BinanceFutures];
/// How many of them are spot venues.
const SPOTS: usize = 3;

const NONE: &str = "no two-sided book of that venue, or it said nothing for over 10 s; or no index";

const fn venue(name: &'static str, formula: &'static str) -> Spec {
    spec(name, formula, "1", [-0.2, 0.2], Source::Spot, NONE)
}

/// The features.
pub const SPECS: [Spec; 6] = [
    venue("xv_coinbase", "ln(Coinbase mid) − ln S"),
    venue("xv_kraken", "ln(Kraken mid) − ln S"),
    venue("xv_binance", "ln(Binance mid) − ln S; USDT and USDC count as dollars"),
    venue("xv_perp", "ln(Binance futures mid) − ln S; USDT and USDC count as dollars"),
    spec(
        "xv_mean",
        "mean of those of the spot venues that are there",
        "1",
        [-0.2, 0.2],
        Source::Spot,
        "none is there",
    ),
    spec(
        "xv_width",
        "ln(greatest / least mid of the spot venues)",
        "1",
        [0.0, 0.4],
        Source::Spot,
        "fewer than two are there",
    ),
];

/// The pair of a venue's symbol, as the index feed names it: `BTC-USD`, `XBT/USD` and `BTCUSDT` are `btc/usd`.
/// `None` if it is not against dollars.
pub fn pair(native: &str) -> Option<String> {
    let plain: String =
        native.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let base = ["usdt", "usdc", "usd"].iter().find_map(|quote| plain.strip_suffix(quote))?;
    let base = if base == "xbt" { "btc" } else { base };
    (!base.is_empty()).then(|| format!("{base}/usd"))
}

/// Computes them; `books` in the order of [`VENUES`].
pub(super) fn put(books: &[Option<Book>], at: Timestamp, basis: &Basis, frame: &mut Frame, from: usize) {
    let (mut sum, mut n, mut least, mut most) = (0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    for (i, book) in books.iter().enumerate().take(VENUES.len()) {
        let mid = book.as_ref().ok_or(Why::Missing).and_then(|book| book.mid(at, MAX_AGE_NS));
        let gap = mid.and_then(|mid| Ok(libm::log(mid) - basis.ln?));
        frame.put(from + i, gap);
        if let (Ok(gap), true) = (gap, i < SPOTS) {
            sum += gap;
            n += 1.0;
            least = gap.min(least);
            most = gap.max(most);
        }
    }
    frame.put(from + 4, if n >= 1.0 { Ok(sum / n) } else { Err(Why::Missing) });
    frame.put(from + 5, if n >= 2.0 { Ok(most - least) } else { Err(Why::Missing) });
}
