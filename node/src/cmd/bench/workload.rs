//! Made-up sessions in the venues' wire forms for the benchmark: seeded, legal, as long as asked for; never a recording.

use std::collections::BTreeMap;

/// Highest price level, in cents.
const CENTS: u64 = 99;

/// A small generator (xorshift64*, Vigna 2016): the same seed gives the same session.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }
}

/// A session: frames that build the books, and frames that change them.
pub(super) struct Session {
    /// Acknowledgements and snapshots.
    pub(super) opening: Vec<Vec<u8>>,
    /// One message each.
    pub(super) messages: Vec<Vec<u8>>,
    /// Book changes in all messages.
    pub(super) deltas: u64,
}

/// Hundredths of a contract by cents, yes bids and no bids of one market.
type Sides = [BTreeMap<u64, u64>; 2];

/// A Kalshi session over `markets` markets with `count` deltas; the form of the recorded frames (venues.md 1.2).
pub(super) fn kalshi(markets: usize, count: usize) -> Session {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let tickers: Vec<String> =
        (0..markets).map(|n| format!("KXBTCD-26JUL{:02}17-T{}.99", n % 28 + 1, 60_000 + 250 * n)).collect();
    let mut books: Vec<Sides> = (0..markets).map(|_| [side(&mut dice), side(&mut dice)]).collect();
    let mut opening =
        vec![br#"{"type":"subscribed","id":1,"msg":{"channel":"orderbook_delta","sid":1}}"#.to_vec()];
    let mut seq = 0;
    for (ticker, book) in tickers.iter().zip(&books) {
        seq += 1;
        let levels = |side: &BTreeMap<u64, u64>| {
            let texts: Vec<String> = side
                .iter()
                .map(|(cents, qty)| format!(r#"["0.{cents:02}00","{}.{:02}"]"#, qty / 100, qty % 100))
                .collect();
            texts.join(",")
        };
        opening.push(
            format!(
                r#"{{"type":"orderbook_snapshot","sid":1,"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"492cb255-91da-4c91-bc9e-f83d090cc6dd","yes_dollars_fp":[{}],"no_dollars_fp":[{}]}}}}"#,
                levels(&book[0]),
                levels(&book[1])
            )
            .into_bytes(),
        );
    }
    let mut messages = Vec::with_capacity(count);
    for n in 0..count {
        seq += 1;
        let market = dice.roll(markets as u64) as usize;
        let no = dice.roll(2) as usize;
        let (cents, delta) = change(&mut dice, &mut books[market][no]);
        let side = if no == 0 { "yes" } else { "no" };
        let (sign, size) = if delta < 0 { ("-", delta.unsigned_abs()) } else { ("", delta.unsigned_abs()) };
        messages.push(
            format!(
                r#"{{"type":"orderbook_delta","sid":1,"seq":{seq},"msg":{{"market_ticker":"{}","market_id":"492cb255-91da-4c91-bc9e-f83d090cc6dd","price_dollars":"0.{cents:02}00","delta_fp":"{sign}{}.{:02}","side":"{side}","ts":"2026-07-01T02:31:45.{:06}Z","ts_ms":{}}}}}"#,
                tickers[market],
                size / 100,
                size % 100,
                n % 1_000_000,
                1_782_873_105_000_u64 + n as u64 / 10,
            )
            .into_bytes(),
        );
    }
    Session { opening, messages, deltas: count as u64 }
}

/// About twenty levels below 48 cents, so that yes and no never cross.
fn side(dice: &mut Dice) -> BTreeMap<u64, u64> {
    (28..48).map(|cents| (cents, 100 + dice.roll(500_000))).collect()
}

/// Adds to a level, takes from it, or empties it; most changes are near the best price.
fn change(dice: &mut Dice, side: &mut BTreeMap<u64, u64>) -> (u64, i64) {
    let depth = dice.roll(20).min(dice.roll(20));
    let cents = (47 - depth).min(CENTS);
    let held = side.get(&cents).copied().unwrap_or(0);
    let delta = match dice.roll(4) {
        0 if held > 0 => -(held as i64),
        1 if held > 1 => -(1 + dice.roll(held - 1) as i64),
        _ => 1 + dice.roll(500_000) as i64,
    };
    let after = (held as i64 + delta) as u64;
    if after == 0 {
        side.remove(&cents)
    } else {
        side.insert(cents, after)
    };
    (cents, delta)
}

/// A Polymarket session over `markets` binary markets: every message changes both tokens, the second mirroring the
/// first (venues.md 2), with the best prices and a hash in each change.
pub(super) fn polymarket(markets: usize, count: usize) -> Session {
    let mut dice = Dice(0xd1b5_4a32_d192_ed03);
    let names: Vec<Names> = (0..markets).map(|n| Names::new(n, &mut dice)).collect();
    // Bids of the first token and bids of the second; the asks of one are the bids of the other, mirrored.
    let mut books: Vec<Sides> = (0..markets).map(|_| [side(&mut dice), side(&mut dice)]).collect();
    let mut opening = Vec::new();
    for (names, book) in names.iter().zip(&books) {
        for token in 0..2 {
            opening.push(snapshot(names, book, token));
        }
    }
    let mut messages = Vec::with_capacity(count);
    for n in 0..count {
        let market = dice.roll(markets as u64) as usize;
        let token = dice.roll(2) as usize;
        let (cents, _) = change(&mut dice, &mut books[market][token]);
        let hash =
            format!("{:016x}{:016x}{:08x}", dice.roll(u64::MAX), dice.roll(u64::MAX), dice.roll(1 << 32));
        messages.push(price_change(&names[market], &books[market], token, cents, &hash, n));
    }
    Session { opening, messages, deltas: 2 * count as u64 }
}

struct Names {
    market: String,
    tokens: [String; 2],
}

impl Names {
    fn new(n: usize, dice: &mut Dice) -> Self {
        let mut token = || {
            let digits: String = (0..76).map(|_| char::from(b'0' + dice.roll(10) as u8)).collect();
            format!("7{digits}")
        };
        Self { market: format!("0x{n:064x}"), tokens: [token(), token()] }
    }
}

/// Whole cents and hundredths of shares as Polymarket writes them.
fn shares(qty: u64) -> String {
    format!("{}.{:02}", qty / 100, qty % 100)
}

fn snapshot(names: &Names, book: &Sides, token: usize) -> Vec<u8> {
    let level = |cents: u64, qty: u64| format!(r#"{{"price":"0.{cents:02}","size":"{}"}}"#, shares(qty));
    let bids: Vec<String> = book[token].iter().map(|(c, q)| level(*c, *q)).collect();
    let asks: Vec<String> = book[1 - token].iter().map(|(c, q)| level(100 - c, *q)).collect();
    format!(
        r#"{{"event_type":"book","asset_id":"{}","market":"{}","bids":[{}],"asks":[{}],"timestamp":"1782873100000","hash":"0x00"}}"#,
        names.tokens[token],
        names.market,
        bids.join(","),
        asks.join(",")
    )
    .into_bytes()
}

fn price_change(names: &Names, book: &Sides, token: usize, cents: u64, hash: &str, n: usize) -> Vec<u8> {
    let best = |side: &BTreeMap<u64, u64>| side.keys().next_back().copied();
    let price =
        |cents: Option<u64>, none: &str| cents.map_or_else(|| none.to_owned(), |c| format!("0.{c:02}"));
    let size = shares(book[token].get(&cents).copied().unwrap_or(0));
    let change = |of: usize, price_text: String, side: &str| {
        let bid = price(best(&book[of]), "0");
        let ask = price(best(&book[1 - of]).map(|c| 100 - c), "1");
        format!(
            r#"{{"asset_id":"{}","price":"{price_text}","size":"{size}","side":"{side}","hash":"{hash}","best_bid":"{bid}","best_ask":"{ask}"}}"#,
            names.tokens[of]
        )
    };
    format!(
        r#"{{"market":"{}","price_changes":[{},{}],"timestamp":"{}","event_type":"price_change"}}"#,
        names.market,
        change(token, format!("0.{cents:02}"), "BUY"),
        change(1 - token, format!("0.{:02}", 100 - cents), "SELL"),
        1_782_873_105_000_u64 + n as u64 / 10
    )
    .into_bytes()
}
