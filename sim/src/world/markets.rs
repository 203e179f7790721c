//! The markets of a made-up day and how they end; never uses another settlement rule than the venue's.

use schemas::{IndexPrice, Timestamp, id};

use super::WorldConfig;
use super::dice::Dice;
use super::feed::exact;
use super::path::Path;
use crate::civil;
use crate::day::{DayMarket, LISTED_BEFORE_S, Tick};
use crate::gamma::{object, text};

/// When the venue's resolution shows, seconds after the end.
const RESOLVES_S: (i64, i64) = (15, 22);

/// The rules in words.
const DESCRIPTION: &str = "Resolves to \"Up\" if the index at the end of the range is greater than or equal to the \
    index at its beginning, otherwise to \"Down\". Simulated.";

/// `btc-updown-5m` for btc and 300.
pub(super) fn slug_prefix(config: &WorldConfig, interval: i64) -> String {
    format!("{}-updown-{}m", config.asset, interval / 60)
}

/// The market that starts at second `start`.
pub(super) fn make(
    config: &WorldConfig,
    start: i64,
    interval: i64,
    path: &Path,
    ticks: &[Tick],
) -> DayMarket {
    let end = start + interval;
    let bytes = |what: &[u8]| {
        id::derive(
            "sim/market/1",
            &[&config.seed.to_be_bytes(), config.asset.as_bytes(), &start.to_be_bytes(), what],
        )
    };
    let opening = ticks.binary_search_by_key(&(start * 1_000), |t| t.feed_ms).ok().map(|i| &ticks[i]);
    let strike = opening.map(|t| t.full);
    let up = settle(strike.or_else(|| path.at(start).map(exact)), end, ticks);
    let resolved = end + Dice::new(config.seed, 1_000 + start as u64).between(RESOLVES_S.0, RESOLVES_S.1);
    let known_ms = opening.map_or((start + 2) * 1_000, |t| t.recv_ms);
    let slug = format!("{}-{start}", slug_prefix(config, interval));
    let condition_id = hex(&bytes(b"condition"));
    let token_ids = [decimal(&bytes(b"up")), decimal(&bytes(b"down"))];
    let object =
        Final { slug: &slug, condition_id: &condition_id, token_ids: &token_ids, start, end, resolved, up };
    DayMarket {
        final_json: object.json(config, &bytes(b"question")).into(),
        slug,
        condition_id,
        token_ids,
        starts_at: Timestamp::from_secs(start),
        ends_at: Timestamp::from_secs(end),
        listed_at: Timestamp::from_secs(start - LISTED_BEFORE_S),
        strike,
        strike_known_at: Timestamp::from_millis(known_ms),
        official: Some(up),
        resolved_at: Timestamp::from_secs(resolved),
    }
}

/// Up iff the last tick at or before the end is at or above the strike; the venue knows the strike even where the
/// feed lost it.
fn settle(strike: Option<IndexPrice>, end: i64, ticks: &[Tick]) -> bool {
    let seen = ticks.partition_point(|t| t.feed_ms <= end * 1_000);
    seen.checked_sub(1).map(|i| ticks[i].full) >= strike
}

/// `0x` and 64 hex digits.
fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}"))
}

/// A decimal of at most 77 digits, below 2^256.
fn decimal(bytes: &[u8; 32]) -> String {
    let half = |from: usize| bytes[from..from + 16].iter().fold(0_u128, |acc, &b| acc << 8 | u128::from(b));
    format!("{}{:038}", half(0), half(16) % 10_u128.pow(38))
}

/// What the final object is written from.
struct Final<'a> {
    slug: &'a str,
    condition_id: &'a str,
    token_ids: &'a [String; 2],
    start: i64,
    end: i64,
    resolved: i64,
    up: bool,
}

impl Final<'_> {
    /// The final Gamma market object, with the fields that a recorded one has and a client may read.
    fn json(&self, config: &WorldConfig, question_id: &[u8; 32]) -> String {
        let listed = self.start - LISTED_BEFORE_S;
        let (day, from) = civil::title_time(self.start);
        let to = civil::title_time(self.end).1;
        let (prices, bid, ask, last) =
            if self.up { (["1", "0"], "0.99", "1", "0.99") } else { (["0", "1"], "0", "0.01", "0.01") };
        let list = |items: [&str; 2]| text(&format!("[\"{}\", \"{}\"]", items[0], items[1]));
        let asset = &config.asset;
        // Written by hand in this order: a JSON map's order may depend on what else is built along.
        let fields: [(&str, String); 36] = [
            ("id", text(&(9_000_000 + self.start / 60 % 1_000_000).to_string())),
            ("question", text(&format!("{} Up or Down - {day}, {from}-{to} UTC", asset.to_uppercase()))),
            ("conditionId", text(self.condition_id)),
            ("questionID", text(&hex(question_id))),
            ("slug", text(self.slug)),
            ("resolutionSource", text(&format!("simulated://seed-{}/streams/{asset}-usd", config.seed))),
            ("description", text(DESCRIPTION)),
            ("createdAt", text(&civil::rfc3339(listed))),
            ("startDate", text(&civil::rfc3339(listed))),
            ("acceptingOrdersTimestamp", text(&civil::rfc3339(listed))),
            ("eventStartTime", text(&civil::rfc3339(self.start))),
            ("endDate", text(&civil::rfc3339(self.end))),
            ("endDateIso", text(&civil::date(self.end))),
            ("updatedAt", text(&civil::rfc3339(self.resolved + 60))),
            ("closedTime", text(&civil::gamma_closed_time(self.resolved))),
            ("umaEndDate", text(&civil::rfc3339(self.resolved))),
            ("umaResolutionStatus", text("resolved")),
            ("automaticallyResolved", "true".to_owned()),
            ("active", "true".to_owned()),
            ("closed", "true".to_owned()),
            ("acceptingOrders", "false".to_owned()),
            ("enableOrderBook", "true".to_owned()),
            ("negRisk", "false".to_owned()),
            ("outcomes", list(["Up", "Down"])),
            ("outcomePrices", list(prices)),
            ("clobTokenIds", list([&self.token_ids[0], &self.token_ids[1]])),
            ("bestBid", bid.to_owned()),
            ("bestAsk", ask.to_owned()),
            ("lastTradePrice", last.to_owned()),
            ("spread", "0.01".to_owned()),
            ("orderPriceMinTickSize", "0.01".to_owned()),
            ("orderMinSize", "5".to_owned()),
            ("feesEnabled", "true".to_owned()),
            ("feeType", text("crypto_fees_v2")),
            ("feeSchedule", r#"{"rate":0.07,"exponent":1,"takerOnly":true,"rebateRate":0.2}"#.to_owned()),
            ("takerBaseFee", "1000".to_owned()),
        ];
        object(fields)
    }
}
