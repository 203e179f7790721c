//! What a run amounts to, from the view and the tally: the JSON of `oraculo demo --json` and its text. Never judges.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::{TopicState, View};
use serde::Serialize;

use crate::genesis::{HORIZONS_S, topic_id};
use crate::guest::GuestReport;
use crate::tally::{MarketCounts, Tally};

/// The summary of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Markets that closed within the run.
    pub markets: MarketCounts,
    /// Scores of the ensemble by horizon in seconds.
    pub scores: BTreeMap<String, Scores>,
    /// Miners, by the stake they have.
    pub miners: Vec<Miner>,
    /// What became of bundles that were brought to a demo, and of the miner it was to wait for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<GuestReport>,
    /// Signals issued and sold.
    pub signals: Signals,
    /// The ledger.
    pub ledger: Ledger,
    /// Epochs.
    pub epochs: Epochs,
    /// Digest of all machines, hex; empty while running.
    pub digest: String,
    /// Folder of the run.
    pub dir: String,
    /// Wall seconds since the process started.
    pub wall_s: f64,
}

/// Scores of one horizon.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Scores {
    /// Signals with an outcome.
    pub n: u64,
    /// Brier score of the ensemble; null without outcomes.
    pub brier: Option<f64>,
    /// Log score of the ensemble, nats.
    pub log: Option<f64>,
    /// Brier score of the closed-form reference on the same questions.
    pub baseline_brier: Option<f64>,
    /// Its log score.
    pub baseline_log: Option<f64>,
    /// Brier score of the market's mid, where quoted.
    pub market_brier: Option<f64>,
    /// Signals where it was.
    pub market_n: u64,
    /// Brier score of always saying one half.
    pub coin_brier: f64,
}

/// One miner.
#[derive(Clone, Debug, Serialize)]
pub struct Miner {
    /// Name.
    pub name: String,
    /// model, baseline, poor or copycat.
    pub kind: String,
    /// Stake it brought, micro-units.
    pub stake_before: i64,
    /// Stake it has, micro-units.
    pub stake_after: i64,
    /// Brier score over all topics.
    pub brier: Option<f64>,
    /// The reference's on the same questions.
    pub baseline_brier: Option<f64>,
    /// Scored predictions.
    pub n: u64,
    /// Missing predictions.
    pub missing: u64,
    /// Rejected submissions.
    pub rejected: u64,
}

/// Signals.
#[derive(Clone, Debug, Serialize)]
pub struct Signals {
    /// Issued.
    pub issued: u64,
    /// Sold: units that were charged.
    pub sold: u64,
    /// Slots without a signal.
    pub none: u64,
    /// Wall milliseconds from the start of the process to the first delivery.
    pub first_sold_ms: Option<u64>,
    /// Received by the demo's customer.
    pub received: u64,
    /// Holes in the sequence it received; must be zero.
    pub holes: u64,
}

/// The ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Ledger {
    /// Postings (legs).
    pub postings: u64,
    /// Transactions.
    pub transactions: u64,
    /// Sum of all postings over all assets, micro-units; zero.
    pub sum_micros: i64,
}

/// Epochs.
#[derive(Clone, Debug, Serialize)]
pub struct Epochs {
    /// Closed.
    pub closed: u64,
    /// On whose root 2/3 of validator stake agree.
    pub agreed: u64,
}

/// What the demo's customer saw, for the summary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Signals.
    pub signals: u64,
    /// Holes.
    pub holes: u64,
    /// Milliseconds from process start to the first.
    pub first_ms: Option<u64>,
}

impl Summary {
    /// The summary as of now.
    pub fn new(view: &View, tally: &Tally, received: Received, dir: &str, wall_s: f64) -> Self {
        Self {
            markets: tally.market_counts(),
            scores: HORIZONS_S
                .iter()
                .filter_map(|h| Some((h.to_string(), scores(view.topics().get(&topic_id(*h))?))))
                .collect(),
            miners: miners(view, tally),
            guests: Vec::new(),
            signals: Signals {
                issued: tally.issued,
                sold: tally.sold,
                none: tally.no_signal,
                first_sold_ms: received.first_ms,
                received: received.signals,
                holes: received.holes,
            },
            ledger: Ledger {
                postings: tally.postings,
                transactions: tally.transactions,
                sum_micros: tally.sum_micros,
            },
            epochs: Epochs { closed: tally.epochs_closed, agreed: tally.epochs_final.len() as u64 },
            digest: String::new(),
            dir: dir.to_owned(),
            wall_s,
        }
    }

    /// The text a person reads.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let m = &self.markets;
        let no_rule = if m.no_rule > 0 { format!(", {} no rule", m.no_rule) } else { String::new() };
        let mut line = |text: String| writeln!(out, "{text}").expect("writing to a String cannot fail");
        line(format!(
            "markets    {} closed: {} provable ({} equal to the venue's outcome, {} not), {} unprovable ({} no strike, {} no closing tick{})",
            m.total, m.provable, m.agree, m.disagree, m.unprovable, m.no_strike, m.no_closing_tick, no_rule
        ));
        line(format!(
            "signals    {} issued, {} sold, {} slots without",
            self.signals.issued, self.signals.sold, self.signals.none
        ));
        line(format!(
            "\n{:<12}{:>6}{:>10}{:>10}{:>12}{:>10}{:>8}",
            "horizon", "n", "brier", "log", "closed form", "market", "coin"
        ));
        for (horizon, s) in HORIZONS_S.iter().filter_map(|h| Some((h, self.scores.get(&h.to_string())?))) {
            line(format!(
                "{:<12}{:>6}{:>10}{:>10}{:>12}{:>10}{:>8}",
                format!("{horizon} s"),
                s.n,
                show(s.brier),
                show(s.log),
                show(s.baseline_brier),
                show(s.market_brier),
                "0.25"
            ));
        }
        line(format!(
            "\n{:<14}{:<10}{:>6}{:>9}{:>9}{:>10}{:>10}{:>16}",
            "miner", "kind", "n", "missing", "rejected", "brier", "reference", "stake change"
        ));
        for miner in &self.miners {
            let change = (miner.stake_after - miner.stake_before) as f64 / 1e6;
            line(format!(
                "{:<14}{:<10}{:>6}{:>9}{:>9}{:>10}{:>10}{:>+16.6}",
                miner.name,
                miner.kind,
                miner.n,
                miner.missing,
                miner.rejected,
                show(miner.brier),
                show(miner.baseline_brier),
                change
            ));
        }
        for guest in &self.guests {
            line(guest.text());
        }
        line(format!(
            "\nledger     {} postings in {} transactions, sum {} micros; {} epochs closed, {} agreed by the validators",
            self.ledger.postings,
            self.ledger.transactions,
            self.ledger.sum_micros,
            self.epochs.closed,
            self.epochs.agreed
        ));
        out
    }
}

fn show(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.5}"))
}

fn scores(topic: &TopicState) -> Scores {
    Scores {
        n: topic.ensemble.n,
        brier: topic.ensemble.brier(),
        log: topic.ensemble.log(),
        baseline_brier: topic.reference.brier(),
        baseline_log: topic.reference.log(),
        market_brier: topic.market.brier(),
        market_n: topic.market.n,
        coin_brier: 0.25,
    }
}

fn miners(view: &View, tally: &Tally) -> Vec<Miner> {
    let row = |(id, record): (&schemas::MinerId, &api::MinerRecord)| {
        let overall = record.overall();
        Miner {
            name: record.name.clone(),
            kind: record.kind.clone(),
            stake_before: record.stake_start.0,
            stake_after: record.stake.0,
            brier: overall.track.brier(),
            baseline_brier: overall.reference_loss(),
            n: overall.scored,
            missing: overall.missing,
            rejected: tally.rejected.get(id).copied().unwrap_or(0),
        }
    };
    let mut rows: Vec<Miner> = view.miners().iter().map(row).collect();
    rows.sort_by(|a, b| b.stake_after.cmp(&a.stake_after).then_with(|| a.name.cmp(&b.name)));
    rows
}
