//! JSON of miners that run elsewhere: registration, questions, market data, verdicts; it decides nothing.
//!
//! Times here are RFC 3339 in nanoseconds, exact: a miner computes with them. Index values are exact decimals.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MarketRef;

/// The network and its clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The hash that is inside every commitment and registration, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub hash: String,
    /// Identifies the history that positions count in.
    pub epoch: String,
    /// The service's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// A miner that joins and pays for its stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The miner's Ed25519 public key, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub miner: String,
    /// A name for people that no other miner has.
    #[schema(min_length = 1, max_length = 128)]
    pub name: String,
    /// What it says it is, e.g. `model`. Never used in scoring.
    #[schema(min_length = 1, max_length = 128)]
    pub kind: String,
    /// The stake, micro-units; as many micro-USD are taken from the prepaid balance of the key's account.
    pub stake_micros: String,
    /// Ed25519 signature, 128 hex digits.
    #[schema(pattern = "^[0-9a-f]{128}$")]
    pub signature: String,
}

/// A question, fixed before anybody may answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    /// Position among the questions, from 1, without holes.
    pub seq: u64,
    /// Its id, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub id: String,
    /// The network hash that is inside commitments, 64 hex digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub network: String,
    /// Its topic.
    pub topic: String,
    /// Version of the topic's rules.
    pub rules_version: u32,
    /// Hash of those rules.
    pub rules_hash: String,
    /// The market it is about.
    pub market: MarketRef,
    /// The index pair, e.g. `btc/usd`.
    pub symbol: String,
    /// The index value to beat.
    pub strike: String,
    /// Start of the market.
    #[schema(format = DateTime)]
    pub market_starts_at: String,
    /// Commitments are admitted from here
    #[schema(format = DateTime)]
    pub opens_at: String,
    /// until before here,
    #[schema(format = DateTime)]
    pub commit_closes_at: String,
    /// reveals from there until before here.
    #[schema(format = DateTime)]
    pub reveal_closes_at: String,
    /// The market's end.
    #[schema(format = DateTime)]
    pub resolves_at: String,
    /// The reference forecast that must be beaten.
    pub reference: f64,
    /// The same, exact, in parts per million.
    pub reference_ppm: u32,
    /// Where the reference came from.
    pub reference_source: String,
    /// The index's own time of the newest value the reference has seen.
    #[schema(format = DateTime)]
    pub input_watermark: String,
    /// The market's mid when the question opened, if it was quoted, in parts per million.
    pub market_mid_ppm: Option<u32>,
    /// The newest market fact when the question opened: facts up to this position were known.
    pub market_seq: u64,
    /// `commit`, `reveal` or `waiting`: what may be done about it now.
    pub phase: String,
}

/// Questions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuestionList {
    /// In the order in which they opened.
    pub data: Vec<Question>,
    /// Identifies the history that positions count in.
    pub epoch: String,
    /// The service's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// A value of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TickFact {
    /// The pair, e.g. `btc/usd`.
    pub symbol: String,
    /// The index's own time of the value.
    #[schema(format = DateTime)]
    pub feed_at: String,
    /// The value.
    pub value: String,
}

/// Best bid and ask of a market's Up token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuoteFact {
    /// The market.
    pub market: MarketRef,
    /// Best bid, micro-dollars per contract.
    pub bid_micros: Option<i64>,
    /// Best ask, micro-dollars per contract.
    pub ask_micros: Option<i64>,
}

/// One fact of a market, as hosted forecasters see it: a tick or a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketFact {
    /// Position among the facts, from 1, without holes.
    pub seq: u64,
    /// When the node recorded it.
    #[schema(format = DateTime)]
    pub at: String,
    /// A value of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<TickFact>,
    /// Best bid and ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteFact>,
}

/// Market facts after a position, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MarketHistory {
    /// The facts.
    pub data: Vec<MarketFact>,
    /// Read on with `since` = this.
    pub next: u64,
    /// Whether more follow.
    pub has_more: bool,
    /// The oldest position that is kept.
    pub oldest: u64,
    /// Identifies the history that positions count in.
    pub epoch: String,
    /// The service's clock.
    #[schema(format = DateTime)]
    pub server_time: String,
}

/// What the validator said about a miner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinerVerdict {
    /// Position among what was said, from 1, without holes; over all miners.
    pub seq: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The miner.
    pub miner: String,
    /// About which question, if about one.
    pub question: Option<String>,
    /// `commitment`, `reveal`, `registration`, `score` or `settlement`.
    pub what: String,
    /// `accepted`, the code of a refusal, `scored`, `missing`, `void` or `settled`.
    pub code: String,
    /// The score in [0, 1], 1 is best; of a score.
    pub score: Option<f64>,
    /// The reference's score on the same question; of a score.
    pub reference_score: Option<f64>,
    /// Stake won or lost, micro-units; of a settlement.
    pub delta: Option<String>,
    /// Stake afterwards, micro-units; of a settlement.
    pub stake: Option<String>,
}

/// How a miner fared on one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MinerResult {
    /// The question.
    pub question: String,
    /// Its topic.
    pub topic: String,
    /// `scored`, `missing` or `void`.
    pub status: String,
    /// What it revealed, parts per million.
    pub p_ppm: Option<u32>,
    /// Whether the market ended Up.
    pub up: Option<bool>,
    /// The score in [0, 1]; 1 is best.
    pub score: f64,
    /// The reference's score on the same question.
    pub reference_score: f64,
    /// Stake won or lost, micro-units, once it is settled.
    pub delta: Option<String>,
}

/// What a miner's socket may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MinerChannel {
    /// Questions as they open.
    Questions,
    /// Market facts.
    Market,
    /// What the validator says about one miner.
    Miner,
}

/// What a miner may send over its socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub enum MinerClientMessage {
    /// Starts channels; answered by `subscribed` or `error` with the same id. A second one replaces the first.
    Subscribe {
        /// Chosen by the client, echoed.
        id: u64,
        /// The channels.
        #[schema(min_items = 1)]
        channels: Vec<MinerChannel>,
        /// Whose verdicts; for the channel `miner`.
        #[serde(default)]
        miner: Option<String>,
        /// Start the market after this position; without it, with what comes from now on.
        #[serde(default)]
        market_after: Option<u64>,
    },
    /// Answered by `pong`.
    Ping {
        /// Chosen by the client, echoed.
        id: u64,
    },
}

/// What a miner's socket says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum MinerServerMessage {
    /// First message of a connection.
    Welcome {
        /// Say this when you ask us.
        conn_id: String,
        /// The network.
        network: Network,
        /// A ping comes this often.
        heartbeat_s: u64,
    },
    /// Channels started. Questions that are open follow at once.
    Subscribed {
        /// The command's id.
        id: u64,
        /// The channels.
        channels: Vec<MinerChannel>,
    },
    /// A question opened, or was open when the channel started.
    Question {
        /// The service's clock.
        #[schema(format = DateTime)]
        server_time: String,
        /// The question.
        question: Box<Question>,
    },
    /// A market fact.
    Market {
        /// The service's clock.
        #[schema(format = DateTime)]
        server_time: String,
        /// The fact.
        fact: MarketFact,
    },
    /// The validator said something about the miner.
    Verdict {
        /// The service's clock.
        #[schema(format = DateTime)]
        server_time: String,
        /// What.
        verdict: MinerVerdict,
    },
    /// Positions `from ..= to` of a channel are not kept any more and were not sent; read them over REST.
    Gap {
        /// The channel.
        channel: MinerChannel,
        /// First missing position.
        from: u64,
        /// Last missing position.
        to: u64,
    },
    /// Something went wrong.
    Error {
        /// The command's id, if a command caused it.
        id: Option<u64>,
        /// The stable code.
        code: String,
        /// What was wrong this time.
        detail: String,
    },
    /// The answer to `ping`.
    Pong {
        /// The command's id.
        id: u64,
        /// The service's clock.
        #[schema(format = DateTime)]
        server_time: String,
    },
    /// The service is about to close; come back.
    GoingAway {
        /// Wait this long first.
        reconnect_after_ms: u64,
    },
}
