//! JSON forms that strangers send and receive, with their schema; never used between our own parts.
//!
//! Times are RFC 3339 in microseconds with `Z`, money is a decimal string of micro-USD, ids and keys are lower-case
//! hex, probabilities are JSON numbers in [0, 1] with the exact parts per million beside them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

mod hosted;
mod miner;
mod socket;

pub use hosted::*;
pub use miner::*;
pub use socket::*;

/// A venue and the venue's own id of a market.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketRef {
    /// `polymarket` or `kalshi`.
    pub venue: String,
    /// The venue's id, verbatim.
    pub market_id: String,
}

/// The market a signal is about and, if it was quoted, the market's own opinion when the question opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalMarket {
    /// `polymarket` or `kalshi`.
    pub venue: String,
    /// The venue's id, verbatim.
    pub market_id: String,
    /// Mid price of the Up token as a probability.
    pub p_market: Option<f64>,
    /// The same, exact, in parts per million.
    pub p_market_ppm: Option<u32>,
    /// When it was observed.
    #[schema(format = DateTime)]
    pub as_of: Option<String>,
}

/// One miner's part in a signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Contributor {
    /// The miner's Ed25519 public key.
    pub miner: String,
    /// Weight in the log-odds pool; all weights and the reference's sum to one.
    pub weight: f64,
    /// The same, exact: units of 2^-32.
    pub weight_q32: String,
    /// What it said.
    pub p: f64,
    /// The same, exact, in parts per million.
    pub p_ppm: u32,
}

/// A combined forecast for one question: what is sold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Signal {
    /// Its id; also the `ETag` of a REST answer.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Identifies the stream that `seq` counts in.
    pub epoch: String,
    /// Position on its topic, from 1, without holes.
    pub seq: u64,
    /// The slot that is sold: the market's start.
    #[schema(format = DateTime)]
    pub slot: String,
    /// The question it answers.
    pub question: String,
    /// When it was issued.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// When it stops being of use: the market's end.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The index's own time of the newest value behind the question.
    #[schema(format = DateTime)]
    pub input_watermark: String,
    /// Always `binary` here.
    pub kind: String,
    /// Probability of Up.
    #[schema(minimum = 0, maximum = 1)]
    pub p: f64,
    /// The same, exact, in parts per million.
    #[schema(maximum = 1_000_000)]
    pub p_ppm: u32,
    /// The open reference forecast.
    #[schema(minimum = 0, maximum = 1)]
    pub reference: f64,
    /// The same, exact, in parts per million.
    #[schema(maximum = 1_000_000)]
    pub reference_ppm: u32,
    /// Weight of the reference in the pool.
    pub reference_weight: f64,
    /// Weighted standard deviation between contributors, in parts per million: disagreement, not uncertainty.
    pub dispersion_ppm: u32,
    /// The market and its opinion.
    pub market: SignalMarket,
    /// `p_ppm` minus the market's, if it was quoted.
    pub edge_ppm: Option<i64>,
    /// How many contributed.
    pub n_contributors: u32,
    /// Who contributed what, ascending by miner.
    pub contributors: Vec<Contributor>,
    /// How the market ended, once validators agree.
    pub outcome: Option<Outcome>,
}

/// How a question's market ended, as 2/3 of validator stake agreed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    /// The topic.
    pub topic: String,
    /// The question.
    pub question: String,
    /// The market.
    pub market: MarketRef,
    /// The slot: the market's start.
    #[schema(format = DateTime)]
    pub slot: String,
    /// The market's end.
    #[schema(format = DateTime)]
    pub closes_at: String,
    /// When it was agreed.
    #[schema(format = DateTime)]
    pub resolved_at: String,
    /// Position of the question's signal on the topic, if it had one.
    pub seq: Option<u64>,
    /// `up`, `down` or `void`.
    pub result: String,
    /// The index value to beat.
    pub strike: Option<String>,
    /// The closing index value, unless void.
    pub closing: Option<String>,
    /// Why it is void: `no_strike`, `no_closing_tick` or `no_rule`.
    pub void_reason: Option<String>,
}

/// Mean scores over `n` resolved questions; lower is better for both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Skill {
    /// How many questions.
    pub n: u64,
    /// Mean (p - outcome)^2.
    pub brier: Option<f64>,
    /// Mean -ln of the probability of what happened, in nats.
    pub log: Option<f64>,
}

/// The track record of a topic's signals beside what they must beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopicSkill {
    /// The signals.
    pub ensemble: Skill,
    /// The reference forecast on the same questions.
    pub reference: Skill,
    /// The market's mid, on those questions where it was quoted.
    pub market: Skill,
    /// The signals on just those questions.
    pub ensemble_where_quoted: Skill,
    /// Brier of always saying one half: 0.25.
    pub coin_brier: f64,
}

/// A family of questions with one target, horizon, cadence and rules version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Topic {
    /// Its name.
    pub id: String,
    /// Version of its rules.
    pub version: u32,
    /// Hash of those rules, as questions carry it.
    pub rules_hash: String,
    /// The index pair, e.g. `btc/usd`.
    pub symbol: String,
    /// Length of the markets, seconds.
    pub interval_s: u32,
    /// When a question opens, seconds after the market's start.
    pub horizon_s: u32,
    /// Length of the commit window, milliseconds.
    pub commit_window_ms: i64,
    /// Length of the reveal window, milliseconds.
    pub reveal_window_ms: i64,
    /// `brier` or `reference_crps`.
    pub scoring_rule: String,
    /// Price of one signal, micro-USD.
    pub price: String,
    /// Identifies the stream that `seq` counts in.
    pub epoch: String,
    /// Position of the newest signal; 0 before the first.
    pub seq: u64,
    /// Questions without a signal so far.
    pub no_signals: u64,
    /// Track record.
    pub skill: TopicSkill,
}

/// All topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopicList {
    /// Ascending by name.
    pub data: Vec<Topic>,
}

/// A page of signals, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignalPage {
    /// The signals the caller may read.
    pub data: Vec<Signal>,
    /// Give it back to read on.
    pub next_cursor: Option<String>,
    /// Whether older ones follow.
    pub has_more: bool,
}

/// One miner on the leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaderboardRow {
    /// 1 is the largest stake.
    pub rank: u32,
    /// The miner's Ed25519 public key.
    pub miner: String,
    /// Its name for people.
    pub name: String,
    /// What it says it is.
    pub kind: String,
    /// Stake now, micro-units.
    pub stake: String,
    /// Stake it joined with, micro-units.
    pub stake_start: String,
    /// Sum of settlements, micro-units.
    pub gain: String,
    /// Predictions scored.
    pub n: u64,
    /// Mean Brier score of its predictions.
    pub brier: Option<f64>,
    /// Mean loss of the reference on the same questions.
    pub reference_brier: Option<f64>,
    /// 1 - brier / reference_brier.
    pub skill: Option<f64>,
    /// Mean log score, nats.
    pub log: Option<f64>,
    /// Questions it did not answer.
    pub missing: u64,
    /// Submissions refused.
    pub rejected: u64,
}

/// All miners by stake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Leaderboard {
    /// Descending by stake.
    pub data: Vec<LeaderboardRow>,
    /// Time of the newest record behind it.
    #[schema(format = DateTime)]
    pub as_of: String,
}

/// A bin of a reliability diagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReliabilityBin {
    /// Lower edge of the stated probability.
    pub lo: f64,
    /// Upper edge.
    pub hi: f64,
    /// Forecasts in it.
    pub n: u64,
    /// Their mean.
    pub mean_p: Option<f64>,
    /// How often Up came true.
    pub observed: Option<f64>,
}

/// A miner's record on one topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinerTopic {
    /// The topic.
    pub topic: String,
    /// Its predictions.
    pub own: Skill,
    /// Mean loss of the reference on the same questions.
    pub reference_brier: Option<f64>,
    /// Questions it did not answer.
    pub missing: u64,
}

/// A miner's public record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Miner {
    /// Its row of the leaderboard.
    #[serde(flatten)]
    pub row: LeaderboardRow,
    /// Per topic.
    pub topics: Vec<MinerTopic>,
    /// Calibration in ten bins.
    pub reliability: Vec<ReliabilityBin>,
    /// Submissions admitted.
    pub accepted: u64,
    /// Questions that were void.
    pub void: u64,
    /// Its part of what customers paid, micro-USD.
    pub earned: String,
    /// How it fared on the newest questions, newest first.
    pub recent: Vec<MinerResult>,
}

/// One subscription of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubscriptionInfo {
    /// Its id.
    pub id: String,
    /// The topics it covers.
    pub topics: Vec<String>,
    /// Valid from here
    #[schema(format = DateTime)]
    pub from: String,
    /// until before here.
    #[schema(format = DateTime)]
    pub until: String,
    /// Dearer signals are not delivered, micro-USD.
    pub max_price: String,
}

/// An account's prepaid money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Balance {
    /// The account.
    pub account: String,
    /// Prepaid, micro-USD.
    pub prepaid: String,
    /// Spent so far, micro-USD.
    pub spent: String,
    /// Signals paid so far.
    pub units: u64,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionInfo>,
}

/// The answer to an admitted submission: its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// Position in the journal.
    pub seq: u64,
    /// When the sequencer stamped it.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A miner's sealed forecast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// The miner's Ed25519 public key, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub miner: String,
    /// The question, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub question: String,
    /// The commitment hash, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
    /// Ed25519 signature, 128 hex digits.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    pub signature: String,
}

/// A forecast in a reveal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Forecast {
    /// Probability of Up.
    Probability {
        /// Parts per million.
        #[schema(maximum = 1_000_000)]
        p_ppm: u32,
    },
    /// 99 quantiles at levels 0.01 to 0.99.
    Quantiles {
        /// Ascending, in millionths of the unit.
        #[schema(min_items = 99, max_items = 99)]
        values: Vec<i64>,
    },
}

/// The opening of a commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reveal {
    /// The miner's Ed25519 public key, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub miner: String,
    /// The question, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub question: String,
    /// The model bundle, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub bundle: String,
    /// The salt, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub nonce: String,
    /// The forecast.
    pub forecast: Forecast,
    /// Ed25519 signature, 128 hex digits.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    pub signature: String,
}

/// An error (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A reference that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable code.
    pub code: String,
    /// Say this when you ask us.
    pub request_id: String,
}

/// The JSON Schema (2020-12) documents of what strangers send and receive, by name.
pub fn json_schemas() -> BTreeMap<&'static str, serde_json::Value> {
    BTreeMap::from([
        ("signal", document::<Signal>("signal")),
        ("commitment", closed(document::<Commitment>("commitment"))),
        ("reveal", closed(document::<Reveal>("reveal"))),
        ("registration", closed(document::<Registration>("registration"))),
        ("question", document::<Question>("question")),
        ("market-fact", document::<MarketFact>("market-fact")),
        ("miner-client-message", closed(document::<MinerClientMessage>("miner-client-message"))),
        ("miner-server-message", document::<MinerServerMessage>("miner-server-message")),
        ("topic", document::<Topic>("topic")),
        ("leaderboard", document::<Leaderboard>("leaderboard")),
        ("hosted-bundle", document::<HostedBundle>("hosted-bundle")),
        ("problem", document::<Problem>("problem")),
        ("ws-client-message", closed(document::<ClientMessage>("ws-client-message"))),
        ("ws-server-message", document::<ServerMessage>("ws-server-message")),
    ])
}

/// One self-contained document: the type's own schema, and under `$defs` what it refers to.
fn document<T: ToSchema>(name: &str) -> serde_json::Value {
    let mut parts: Vec<(String, RefOr<Schema>)> = Vec::new();
    T::schemas(&mut parts);
    let mut root = json(&T::schema());
    let defs: serde_json::Map<_, _> =
        parts.iter().map(|(name, schema)| (name.clone(), json(schema))).collect();
    if let Some(object) = root.as_object_mut() {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
        object.insert("$id".into(), format!("urn:oraculo:v1:{name}").into());
        object.insert("title".into(), name.into());
        if !defs.is_empty() {
            object.insert("$defs".into(), defs.into());
        }
    }
    root
}

/// What strangers send is closed everywhere, as `deny_unknown_fields` has it; the derive says so for structs only.
fn closed(mut value: serde_json::Value) -> serde_json::Value {
    match &mut value {
        serde_json::Value::Object(map) => {
            if map.get("properties").is_some_and(serde_json::Value::is_object) {
                map.insert("additionalProperties".into(), false.into());
            }
            map.values_mut().for_each(|inner| *inner = closed(inner.take()));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|inner| *inner = closed(inner.take())),
        _ => {}
    }
    value
}

/// A schema as JSON, with references that stay inside the document.
fn json(schema: &RefOr<Schema>) -> serde_json::Value {
    let mut value = serde_json::to_value(schema).expect("a schema is plain data with string keys");
    relocate(&mut value);
    value
}

/// Points every `$ref` at `$defs`.
fn relocate(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(serde_json::Value::String(target)) = map.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/components/schemas/")
            {
                *target = format!("#/$defs/{name}");
            }
            map.values_mut().for_each(relocate);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(relocate),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_a_document_is_inside_it() {
        for (name, document) in json_schemas() {
            let text = document.to_string();
            for part in text.split("\"#/$defs/").skip(1) {
                let target = part.split('"').next().unwrap_or_default();
                assert!(document["$defs"][target].is_object(), "{name}: {target}");
            }
            assert!(!text.contains("#/components"), "{name}");
        }
    }
}
