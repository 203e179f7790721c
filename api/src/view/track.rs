//! Track records: sums of proper scores in integers; it never rounds a sum, only the ratio that is shown.

use minicbor::{Decode, Encode};
use schemas::{Micros, MinerId, Ppm, Q32, Score, Settlement, TopicId};
use std::collections::{BTreeMap, VecDeque};

/// How many bins a reliability diagram has.
pub(crate) const BINS: usize = 10;
/// Probabilities nearer to 0 or 1 than this are held there before the logarithm, ppm.
const LOG_MARGIN: u32 = 1;

/// One bin of a reliability diagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Bin {
    /// Forecasts in it.
    #[n(0)]
    pub n: u64,
    /// Their sum, ppm.
    #[n(1)]
    pub p_sum: u64,
    /// How many came true.
    #[n(2)]
    pub ups: u64,
}

/// Sums over resolved forecasts of a probability.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Track {
    /// How many.
    #[n(0)]
    pub n: u64,
    /// Sum of (p - outcome)^2, in 1e-12.
    #[n(1)]
    pub brier_sum: u64,
    /// Sum of -ln of the probability of what happened, nats in Q32.
    #[n(2)]
    pub log_sum: i64,
    /// Ten bins of the stated probability; empty before the first forecast.
    #[n(3)]
    pub bins: Vec<Bin>,
}

impl Track {
    /// Adds one resolved forecast.
    pub fn add(&mut self, p: Ppm, up: bool) {
        let p = p.0.min(Ppm::ONE.0);
        let miss = u64::from(if up { Ppm::ONE.0 - p } else { p });
        self.n += 1;
        self.brier_sum = self.brier_sum.saturating_add(miss * miss);
        self.log_sum = self.log_sum.saturating_add(log_loss(Ppm(p), up).0);
        self.bins.resize(BINS, Bin::default());
        let bin = &mut self.bins[(p as usize * BINS / Ppm::ONE.0 as usize).min(BINS - 1)];
        bin.n += 1;
        bin.p_sum += u64::from(p);
        bin.ups += u64::from(up);
    }

    /// Adds another track's sums.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.brier_sum = self.brier_sum.saturating_add(other.brier_sum);
        self.log_sum = self.log_sum.saturating_add(other.log_sum);
        if !other.bins.is_empty() {
            self.bins.resize(BINS, Bin::default());
        }
        for (own, more) in self.bins.iter_mut().zip(&other.bins) {
            own.n += more.n;
            own.p_sum += more.p_sum;
            own.ups += more.ups;
        }
    }

    /// Mean Brier score; 0 is best.
    pub fn brier(&self) -> Option<f64> {
        (self.n > 0).then(|| self.brier_sum as f64 / 1e12 / self.n as f64)
    }

    /// Mean log score in nats; 0 is best.
    pub fn log(&self) -> Option<f64> {
        (self.n > 0).then(|| Q32(self.log_sum).as_f64() / self.n as f64)
    }
}

/// -ln of the probability of what happened.
fn log_loss(p: Ppm, up: bool) -> Q32 {
    let p = p.clamped(LOG_MARGIN).as_f64();
    let stated = if up { p } else { 1.0 - p };
    Q32::from_f64(-libm::log(stated)).expect("a probability of at least 1e-6 has a log loss below 14 nats")
}

/// A miner's record on one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MinerTopicRecord {
    /// Its probabilities.
    #[n(0)]
    pub track: Track,
    /// Predictions scored, of any kind.
    #[n(1)]
    pub scored: u64,
    /// Sum of its losses (1 - score), Q32.
    #[n(2)]
    pub loss_sum: i64,
    /// Sum of the reference's losses on the same questions, Q32.
    #[n(3)]
    pub reference_loss_sum: i64,
    /// Questions it did not answer.
    #[n(4)]
    pub missing: u64,
    /// Questions that were void.
    #[n(5)]
    pub void: u64,
}

impl MinerTopicRecord {
    /// Adds another record's sums.
    pub fn merge(&mut self, other: &Self) {
        self.track.merge(&other.track);
        self.scored += other.scored;
        self.loss_sum = self.loss_sum.saturating_add(other.loss_sum);
        self.reference_loss_sum = self.reference_loss_sum.saturating_add(other.reference_loss_sum);
        self.missing += other.missing;
        self.void += other.void;
    }

    /// Mean loss of its predictions: the exact Brier score where all are probabilities.
    pub fn loss(&self) -> Option<f64> {
        if self.track.n == self.scored { self.track.brier() } else { mean_q32(self.loss_sum, self.scored) }
    }

    /// Mean loss of the reference on the questions the miner answered.
    pub fn reference_loss(&self) -> Option<f64> {
        mean_q32(self.reference_loss_sum, self.scored)
    }
}

fn mean_q32(sum: i64, n: u64) -> Option<f64> {
    (n > 0).then(|| Q32(sum).as_f64() / n as f64)
}

/// A miner as the public sees it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MinerRecord {
    /// Its key.
    #[n(0)]
    pub miner: MinerId,
    /// Its name for people.
    #[n(1)]
    pub name: String,
    /// What it says it is.
    #[n(2)]
    pub kind: String,
    /// Stake it joined with.
    #[n(3)]
    pub stake_start: Micros,
    /// Stake now.
    #[n(4)]
    pub stake: Micros,
    /// Sum of settlements.
    #[n(5)]
    pub gain: Micros,
    /// Submissions refused.
    #[n(6)]
    pub rejected: u64,
    /// Submissions admitted.
    #[n(7)]
    pub accepted: u64,
    /// Per topic.
    #[n(8)]
    pub topics: BTreeMap<TopicId, MinerTopicRecord>,
    /// Its part of what customers paid, micro-USD.
    #[n(9)]
    pub earned: Micros,
    /// The newest scores, oldest first, each with the stake it moved.
    #[n(10)]
    pub recent: VecDeque<(Score, Option<Micros>)>,
}

/// Newest scores kept per miner.
const RECENT: usize = 16;

impl MinerRecord {
    /// Keeps a score among the newest.
    pub(super) fn remember(&mut self, score: &Score) {
        self.recent.push_back((score.clone(), None));
        while self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Notes what a question moved.
    pub(super) fn settle(&mut self, settlement: &Settlement) {
        let same = self.recent.iter_mut().rev().find(|(score, _)| score.question == settlement.question);
        if let Some((_, delta)) = same {
            *delta = Some(settlement.delta);
        }
    }

    /// All topics together.
    pub fn overall(&self) -> MinerTopicRecord {
        let mut sum = MinerTopicRecord::default();
        self.topics.values().for_each(|topic| sum.merge(topic));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_merge() {
        let mut a = Track::default();
        a.add(Ppm(700_000), true);
        a.add(Ppm(200_000), false);
        let mut b = Track::default();
        b.add(Ppm(1_000_000), false);
        let mut all = a.clone();
        all.merge(&b);
        assert_eq!(all.n, 3);
        assert_eq!(all.brier_sum, 90_000_000_000 + 40_000_000_000 + 1_000_000_000_000);
        assert_eq!(all.bins[7], Bin { n: 1, p_sum: 700_000, ups: 1 });
        assert_eq!(all.bins[9], Bin { n: 1, p_sum: 1_000_000, ups: 0 });
        let log = a.log().unwrap();
        assert!((2.0 * log - 0.356_674_943_9 - 0.223_143_551_3).abs() < 1e-9, "{log}");
        assert!((b.log().unwrap() - 13.815_510_557).abs() < 1e-8);
        assert_eq!(Track::default().brier(), None);
    }
}
