//! What the dashboard shows: public data only; a probability is in it only after its market ended.

use schemas::{Asset, public};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::view::{Held, Notice, OutcomeRecord, TopicState, Track, View};
use crate::wire;

/// The whole page in one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Dashboard {
    /// Time of the newest record behind it.
    #[schema(format = DateTime)]
    pub at: String,
    /// Position of that record.
    pub seq: u64,
    /// Identifies the history.
    pub epoch: String,
    /// Counts.
    pub totals: DashboardTotals,
    /// Per topic.
    pub topics: Vec<DashboardTopic>,
    /// The newest signals, newest first.
    pub signals: Vec<DashboardRow>,
    /// Miners by stake.
    pub leaderboard: Vec<public::LeaderboardRow>,
    /// Calibration of all signals in ten bins.
    pub reliability: Vec<public::ReliabilityBin>,
    /// Calibration of the reference on the same questions.
    pub reference_reliability: Vec<public::ReliabilityBin>,
    /// The newest outcomes, newest first.
    pub outcomes: Vec<DashboardOutcome>,
    /// The books.
    pub ledger: DashboardLedger,
    /// The newest closed epochs, newest first.
    pub epochs: Vec<DashboardEpoch>,
}

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DashboardTotals {
    /// Questions open now.
    pub open_questions: u64,
    /// Signals issued.
    pub issued: u64,
    /// Units sold.
    pub sold: u64,
    /// Questions that ended Up or Down.
    pub resolved: u64,
    /// Questions that were void.
    pub void: u64,
    /// Submissions refused.
    pub rejected: u64,
    /// WebSocket connections now.
    pub connections: u64,
}

/// A topic's price and its signals' mean Brier score beside what they must beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DashboardTopic {
    /// The topic.
    pub id: String,
    /// When its questions open, seconds after the market's start.
    pub horizon_s: u32,
    /// Price of one signal, micro-USD.
    pub price: String,
    /// Signals issued.
    pub issued: u64,
    /// Units sold.
    pub sold: u64,
    /// The signals.
    pub ensemble: public::Skill,
    /// The reference on the same questions.
    pub reference: public::Skill,
    /// The market's mid, where it was quoted.
    pub market: public::Skill,
    /// Always saying one half.
    pub coin_brier: f64,
}

/// A signal as everybody may see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DashboardRow {
    /// The topic.
    pub topic: String,
    /// Position on the topic.
    pub seq: u64,
    /// The market.
    pub market: public::MarketRef,
    /// The market's start.
    #[schema(format = DateTime)]
    pub slot: String,
    /// When it was issued.
    #[schema(format = DateTime)]
    pub issued_at: String,
    /// The market's end.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Whether the probability is still for buyers only.
    pub sealed: bool,
    /// Probability of Up, once public.
    pub p: Option<f64>,
    /// The open reference forecast.
    pub reference: f64,
    /// The market's mid when the question opened.
    pub p_market: Option<f64>,
    /// How many contributed.
    pub n_contributors: u32,
    /// `up`, `down`, `void`, or nothing yet.
    pub result: Option<String>,
}

/// A question that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DashboardOutcome {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: public::Outcome,
    /// The signal's probability, if there was one.
    pub p: Option<f64>,
    /// The reference forecast.
    pub reference: f64,
    /// (p - outcome)^2, unless void or without a signal.
    pub brier: Option<f64>,
}

/// The books as anybody can add them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DashboardLedger {
    /// Transactions.
    pub transactions: u64,
    /// Postings.
    pub postings: u64,
    /// Sum of all postings in cash, micro-USD; zero, or something is wrong.
    pub sum_usd: String,
    /// Sum of all postings in stake, micro-units; zero, or something is wrong.
    pub sum_stake: String,
    /// Transactions that did not chain to the one before.
    pub chain_breaks: u64,
}

/// A closed epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DashboardEpoch {
    /// Its number.
    pub epoch: u64,
    /// Merkle root over its scores, settlements and transactions.
    pub root: String,
    /// Whether 2/3 of validator stake signed it.
    pub is_final: bool,
    /// Questions settled.
    pub questions: u32,
    /// Gains paid, micro-units.
    pub paid: String,
    /// Losses burned, micro-units.
    pub burned: String,
    /// Revenue split, micro-USD.
    pub revenue: String,
}

/// The dashboard of a view; `rows` bounds its lists.
pub(crate) fn dashboard(view: &View, connections: u64, rows: usize) -> Dashboard {
    let (mut ensemble, mut reference) = (Track::default(), Track::default());
    for topic in view.topics().values() {
        ensemble.merge(&topic.ensemble);
        reference.merge(&topic.reference);
    }
    let mut leaderboard = wire::leaderboard(view);
    leaderboard.truncate(rows);
    Dashboard {
        at: wire::time(view.at()),
        seq: view.seq(),
        epoch: view.epoch().to_owned(),
        totals: totals(view, connections),
        topics: view.topics().values().map(topic).collect(),
        signals: signals(view, rows),
        leaderboard,
        reliability: wire::reliability(&ensemble.bins),
        reference_reliability: wire::reliability(&reference.bins),
        outcomes: outcomes(view, rows),
        ledger: ledger(view),
        epochs: epochs(view, rows),
    }
}

fn totals(view: &View, connections: u64) -> DashboardTotals {
    let mut totals = DashboardTotals {
        open_questions: view.questions().count() as u64,
        rejected: view.rejections().values().sum(),
        connections,
        ..DashboardTotals::default()
    };
    for topic in view.topics().values() {
        totals.issued += topic.issued;
        totals.sold += topic.sold;
        totals.resolved += topic.ended.0 + topic.ended.1;
        totals.void += topic.ended.2;
    }
    totals
}

fn topic(topic: &TopicState) -> DashboardTopic {
    DashboardTopic {
        id: topic.rules.id.to_string(),
        horizon_s: topic.rules.horizon_s,
        price: wire::money(topic.rules.price),
        issued: topic.issued,
        sold: topic.sold,
        ensemble: wire::skill(&topic.ensemble),
        reference: wire::skill(&topic.reference),
        market: wire::skill(&topic.market),
        coin_brier: 0.25,
    }
}

fn signals(view: &View, rows: usize) -> Vec<DashboardRow> {
    let newest = |t: &'_ TopicState| {
        t.ring.values().rev().take(rows).map(|h| (h.position, row(h))).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = view.topics().values().flat_map(newest).collect();
    all.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
    all.into_iter().take(rows).map(|(_, row)| row).collect()
}

/// The one place that decides what the public sees of a signal: nothing that was sold, until the market ended.
fn row(held: &Held) -> DashboardRow {
    let s = &held.signal;
    DashboardRow {
        topic: s.topic.to_string(),
        seq: s.topic_seq,
        market: public::MarketRef { venue: s.market.venue.to_string(), market_id: s.market.native.clone() },
        slot: wire::time(s.slot),
        issued_at: wire::time(s.issued_at),
        expires_at: wire::time(s.expires_at),
        sealed: held.outcome.is_none(),
        p: held.outcome.as_ref().map(|_| s.p.as_f64()),
        reference: s.reference.as_f64(),
        p_market: s.market_view.as_ref().map(|m| m.mid.as_f64()),
        n_contributors: s.contributors.len() as u32,
        result: held.outcome.as_ref().map(|o| wire::result(o).to_owned()),
    }
}

fn outcomes(view: &View, rows: usize) -> Vec<DashboardOutcome> {
    let ended = view.notices().values().rev().filter_map(|notice| match notice {
        Notice::Outcome(outcome) => Some(outcome),
        Notice::NoSignal { .. } => None,
    });
    ended.take(rows).map(outcome).collect()
}

fn outcome(o: &OutcomeRecord) -> DashboardOutcome {
    let miss = |(p, up): (f64, bool)| (p - f64::from(u8::from(up))) * (p - f64::from(u8::from(up)));
    let p = o.p.map(schemas::Ppm::as_f64);
    DashboardOutcome {
        outcome: wire::outcome(o),
        p,
        reference: o.reference.as_f64(),
        brier: p.zip(o.up()).map(miss),
    }
}

fn ledger(view: &View) -> DashboardLedger {
    let books = view.ledger();
    let sum = |asset| wire::money(books.sums.get(&asset).copied().unwrap_or_default());
    DashboardLedger {
        transactions: books.transactions,
        postings: books.postings,
        sum_usd: sum(Asset::Usd),
        sum_stake: sum(Asset::Stake),
        chain_breaks: books.chain_breaks,
    }
}

fn epochs(view: &View, rows: usize) -> Vec<DashboardEpoch> {
    let newest = view.epochs().values().rev().take(rows);
    newest
        .map(|e| DashboardEpoch {
            epoch: e.summary.epoch,
            root: hex::encode(e.summary.root),
            is_final: e.is_final,
            questions: e.summary.questions,
            paid: wire::money(e.summary.paid),
            burned: wire::money(e.summary.burned),
            revenue: wire::money(e.summary.revenue),
        })
        .collect()
}
