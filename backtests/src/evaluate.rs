//! Forecast evaluation from the tables alone: Brier, log, skill, reliability. Never reads a verdict's score.
//!
//! Formulas: Brier (1950) mean (p - y)^2; log score mean -ln q of what happened, p clipped to [1e-6, 1 - 1e-6];
//! skill = 1 - score / score of the benchmark; Murphy (1973) decomposition over ten equal-width bins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tables::Tables;

/// Scores of one topic's signals beside what they are measured against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TopicEvaluation {
    /// Signals with an outcome.
    pub n: u64,
    /// Brier score of the signals.
    pub brier: f64,
    /// Log score of the signals, nats.
    pub log: f64,
    /// Brier score of the reference on the same questions.
    pub baseline_brier: f64,
    /// Log score of the reference.
    pub baseline_log: f64,
    /// Brier skill against the reference: 1 - brier / baseline.
    pub skill_vs_baseline: f64,
    /// Signals with a market mid.
    pub market_n: u64,
    /// Brier score of the market's mid on those.
    pub market_brier: Option<f64>,
    /// Brier score of the signals on those.
    pub brier_where_market: Option<f64>,
    /// Murphy's reliability (lower is better).
    pub reliability: f64,
    /// Murphy's resolution (higher is better).
    pub resolution: f64,
    /// Base-rate uncertainty.
    pub uncertainty: f64,
    /// Ten equal-width bins.
    pub bins: Vec<ReliabilityBin>,
}

/// One bin of a reliability diagram.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Forecasts in the bin.
    pub n: u64,
    /// Their mean.
    pub mean_p: f64,
    /// How often it was Up.
    pub up_rate: f64,
}

/// One miner's record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinerEvaluation {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Scored predictions.
    pub n: u64,
    /// Missing predictions.
    pub missing: u64,
    /// Brier score.
    pub brier: Option<f64>,
    /// Reference's Brier score on the same questions.
    pub baseline_brier: Option<f64>,
    /// Stake moved over the run, micro-units.
    pub delta_micros: i64,
}

/// The evaluation of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Per topic.
    pub topics: BTreeMap<String, TopicEvaluation>,
    /// Per miner key.
    pub miners: BTreeMap<String, MinerEvaluation>,
    /// Ledger legs.
    pub postings: u64,
    /// Their sum, micro-units: zero.
    pub sum_micros: i64,
}

/// Evaluates a run's tables.
pub fn evaluate(tables: &Tables) -> Evaluation {
    let mut topics: BTreeMap<String, Acc> = BTreeMap::new();
    for signal in &tables.signals {
        if let Some(up) = signal.up {
            let acc = topics.entry(signal.topic.clone()).or_default();
            acc.push(signal.p_ppm, signal.reference_ppm, signal.market_mid_ppm, up);
        }
    }
    Evaluation {
        topics: topics.into_iter().map(|(topic, acc)| (topic, acc.finish())).collect(),
        miners: miners(tables),
        postings: tables.ledger.len() as u64,
        sum_micros: tables.ledger.iter().map(|leg| leg.amount_micros).sum(),
    }
}

fn brier(p_ppm: u32, up: bool) -> f64 {
    let y = if up { 1.0 } else { 0.0 };
    let d = f64::from(p_ppm) / 1e6 - y;
    d * d
}

fn log_loss(p_ppm: u32, up: bool) -> f64 {
    let p = f64::from(p_ppm.clamp(1, 999_999)) / 1e6;
    -libm::log(if up { p } else { 1.0 - p })
}

#[derive(Default)]
struct Acc {
    n: u64,
    ups: u64,
    sums: [f64; 4],
    market: (u64, f64, f64),
    bins: [(u64, u64, f64); 10],
}

impl Acc {
    fn push(&mut self, p: u32, reference: u32, mid: Option<u32>, up: bool) {
        self.n += 1;
        self.ups += u64::from(up);
        let scores = [brier(p, up), log_loss(p, up), brier(reference, up), log_loss(reference, up)];
        for (sum, score) in self.sums.iter_mut().zip(scores) {
            *sum += score;
        }
        if let Some(mid) = mid {
            self.market = (self.market.0 + 1, self.market.1 + brier(mid, up), self.market.2 + brier(p, up));
        }
        let bin = &mut self.bins[(p / 100_000).min(9) as usize];
        *bin = (bin.0 + 1, bin.1 + u64::from(up), bin.2 + f64::from(p) / 1e6);
    }

    fn finish(self) -> TopicEvaluation {
        let n = self.n as f64;
        let base = self.ups as f64 / n;
        let [brier, log, baseline_brier, baseline_log] = self.sums.map(|sum| sum / n);
        let market = |sum: f64| (self.market.0 > 0).then(|| sum / self.market.0 as f64);
        let (mut reliability, mut resolution) = (0.0, 0.0);
        let bins = self.bins.map(|(count, ups, sum)| {
            let k = count.max(1) as f64;
            let (mean_p, up_rate) = (sum / k, ups as f64 / k);
            if count > 0 {
                reliability += k / n * (mean_p - up_rate) * (mean_p - up_rate);
                resolution += k / n * (up_rate - base) * (up_rate - base);
            }
            ReliabilityBin { n: count, mean_p, up_rate }
        });
        TopicEvaluation {
            n: self.n,
            brier,
            log,
            baseline_brier,
            baseline_log,
            skill_vs_baseline: 1.0 - brier / baseline_brier,
            market_n: self.market.0,
            market_brier: market(self.market.1),
            brier_where_market: market(self.market.2),
            reliability,
            resolution,
            uncertainty: base * (1.0 - base),
            bins: bins.to_vec(),
        }
    }
}

fn miners(tables: &Tables) -> BTreeMap<String, MinerEvaluation> {
    let reference: BTreeMap<&str, u32> =
        tables.questions.iter().map(|q| (q.question.as_str(), q.reference_ppm)).collect();
    let mut out: BTreeMap<String, MinerEvaluation> = BTreeMap::new();
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (key, (name, kind)) in &tables.miners {
        let miner = MinerEvaluation { name: name.clone(), kind: kind.clone(), ..MinerEvaluation::default() };
        out.insert(key.clone(), miner);
    }
    for row in &tables.scores {
        let miner = out.entry(row.miner.clone()).or_default();
        miner.delta_micros += row.delta_micros;
        match (row.status, row.p_ppm, row.up, reference.get(row.question.as_str())) {
            ("scored", Some(p), Some(up), Some(&reference)) => {
                miner.n += 1;
                let sum = sums.entry(row.miner.clone()).or_default();
                *sum = (sum.0 + brier(p, up), sum.1 + brier(reference, up));
            }
            ("missing", ..) => miner.missing += 1,
            _ => {}
        }
    }
    for (key, (ours, theirs)) in sums {
        if let Some(miner) = out.get_mut(&key) {
            miner.brier = Some(ours / miner.n as f64);
            miner.baseline_brier = Some(theirs / miner.n as f64);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murphy_identity_holds_where_every_bin_has_one_value() {
        let mut acc = Acc::default();
        for (p, up) in [(250_000, true), (250_000, false), (250_000, false), (850_000, true), (850_000, true)]
        {
            acc.push(p, 500_000, Some(600_000), up);
        }
        let got = acc.finish();
        assert!((got.brier - (got.reliability - got.resolution + got.uncertainty)).abs() < 1e-12);
        assert!((got.baseline_brier - 0.25).abs() < 1e-12);
        assert_eq!((got.n, got.market_n), (5, 5));
        assert_eq!(got.bins[2].n, 3);
    }

    #[test]
    fn log_score_is_clipped_not_infinite() {
        assert!((log_loss(0, true) - 13.815_510_557_964_274).abs() < 1e-9);
        assert!(log_loss(1_000_000, false).is_finite());
    }
}
