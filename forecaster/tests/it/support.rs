//! Shared builders of questions, ticks and bundles; it never hides what a test is about.

use std::path::PathBuf;

use forecaster::edge::{Engines, Search};
use schemas::{IndexPrice, MarketId, MinerId, Ppm, Question, QuestionId, Timestamp, TopicId, Venue};

pub const SYMBOL: &str = "btc/usd";
pub const START_S: i64 = 1_780_876_800;

pub fn secs(s: i64) -> Timestamp {
    Timestamp::from_secs(s)
}

/// A price in dollars, exact to a billionth.
pub fn price(dollars: f64) -> IndexPrice {
    IndexPrice((dollars * 1e9).round() as i128 * 1_000_000_000)
}

pub fn miner(n: u8) -> MinerId {
    MinerId([n; 32])
}

/// A question on the market that starts at `START_S`, opening `horizon_s` into it: 2 s to commit, 2 s to reveal.
pub fn question(horizon_s: i64) -> Question {
    let (topic, opens_at) =
        (TopicId(format!("btc-usd.up-5m.{horizon_s}s")), secs(START_S).plus(horizon_s * 1_000_000_000));
    let market = MarketId { venue: Venue::Polymarket, native: "0xabc".to_owned() };
    Question {
        id: Question::derive_id(&topic, 1, &market, opens_at),
        topic,
        rules_version: 1,
        rules_hash: [7; 32],
        market,
        symbol: SYMBOL.to_owned(),
        strike: price(100.0),
        market_starts_at: secs(START_S),
        opens_at,
        commit_closes_at: opens_at.plus(2_000_000_000),
        reveal_closes_at: opens_at.plus(4_000_000_000),
        resolves_at: secs(START_S + 300),
        reference: Ppm(510_000),
        reference_source: "closed-form/1".to_owned(),
        input_watermark: opens_at,
        market_mid: None,
    }
}

pub fn question_id(n: u8) -> QuestionId {
    QuestionId([n; 32])
}

/// The library by the usual discovery, or `None` after saying so loudly.
pub fn engine() -> Option<Engines> {
    #[allow(clippy::disallowed_methods, reason = "the test stands where node stands")]
    let env = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    match Search::here(None, env).find() {
        Ok(path) => Some(Engines::open(&path).unwrap()),
        Err(error) => {
            eprintln!("SKIPPED: this test needs ONNX Runtime: {error}");
            None
        }
    }
}

/// The folder of the shipped bundles, or `None` after saying so loudly.
pub fn models() -> Option<PathBuf> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    if dir.join("closed-form/forecaster.toml").is_file() {
        return Some(dir);
    }
    eprintln!("SKIPPED: this test needs the bundles in {}", dir.display());
    None
}
