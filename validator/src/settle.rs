//! What a score is worth: `kappa * w * m * (s - s_ref)` in integers, bounded by construction; never by clipping.
//!
//! A question's **rate** is `kappa * w_q` in Q32: the part of its stake a miner can lose on it at most. It follows from
//! facts that are fixed before anybody commits: `rate = share * min(rho, budget / M)`, where `share` is the question's
//! part of the epoch (`w_q` over the sum of all weights, at most what is left of one), `rho` the largest loss per
//! epoch, `budget` what the pool can pay in this epoch, `M` all stake at risk on the question. Shares sum to at most
//! one, so losses sum to at most `rho * m` and gains to at most the budget.
//!
//! Rounding: one floor. Gains are rounded towards zero, losses away from zero (but never past the bound), so no unit
//! is created.

use schemas::{
    Asset, LedgerAccount, Micros, MinerId, Posting, Ppm, Q32, Question, Score, ScoreStatus, ScoringRule,
};

use crate::ledger::leg;
use crate::round::{Entry, Round};
use crate::score::brier;

/// The rate of a question; see the module.
pub fn rate(share: Q32, max_loss: Ppm, budget: Micros, total_at_risk: Micros) -> Q32 {
    let one = i128::from(Q32::ONE.0);
    let rho = i128::from(max_loss.0.min(Ppm::ONE.0)) * one / i128::from(Ppm::ONE.0);
    let afford = i128::from(budget.0.max(0)) * one / i128::from(total_at_risk.0.max(1));
    Q32((i128::from(share.0.clamp(0, Q32::ONE.0)) * rho.min(afford) / one) as i64)
}

/// The most a stake can lose or gain on a question of this rate, rounded down.
pub fn bound(at_risk: Micros, rate: Q32) -> Micros {
    Micros((i128::from(at_risk.0) * i128::from(rate.0)).div_euclid(i128::from(Q32::ONE.0)) as i64)
}

/// Gain or loss of a scored prediction; scores in [0, 1], rate in [0, 1].
pub fn delta(at_risk: Micros, rate: Q32, score: Q32, reference: Q32) -> Micros {
    // Stake < 2^63, rate <= 2^32, the difference <= 2^32: the product fits 128 bits.
    let product = i128::from(at_risk.0) * i128::from(rate.0) * i128::from(score.0 - reference.0);
    Micros((product >> 64) as i64).max(-bound(at_risk, rate))
}

/// What a missing prediction pays: `rate * m * phi`, as a loss.
pub fn missing_fee(at_risk: Micros, rate: Q32, phi: Ppm) -> Micros {
    let product = i128::from(at_risk.0) * i128::from(rate.0) * i128::from(phi.0.min(Ppm::ONE.0));
    let fee = -(-product).div_euclid(i128::from(Q32::ONE.0) * i128::from(Ppm::ONE.0));
    -Micros(fee as i64).min(bound(at_risk, rate))
}

/// The score of a probability under a topic's rule.
pub fn score(rule: ScoringRule, p: Ppm, up: bool) -> Q32 {
    match rule {
        // Questions of a numeric topic are refused at admission, so only Brier is reached for a probability.
        ScoringRule::Brier | ScoringRule::ReferenceCrps => brier(p, up),
    }
}

/// One miner's result on one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) score: Score,
    pub(crate) at_risk: Micros,
    pub(crate) delta: Micros,
}

/// The results of all miners at risk, ascending by miner; `up` is `None` when the question is void.
pub(crate) fn lines(round: &Round, up: Option<bool>) -> Vec<Line> {
    let reference = up.map_or(Q32(0), |up| score(round.scoring, round.question.reference, up));
    round.entries.iter().map(|(miner, entry)| line(round, *miner, entry, reference, up)).collect()
}

/// One miner's result.
fn line(round: &Round, miner: MinerId, entry: &Entry, reference: Q32, up: Option<bool>) -> Line {
    let Question { id, topic, .. } = &round.question;
    let (status, own, delta) = match (up, entry.p) {
        (None, _) => (ScoreStatus::Void, Q32(0), Micros(0)),
        (Some(_), None) => {
            (ScoreStatus::Missing, Q32(0), missing_fee(entry.at_risk, round.rate, round.missing_fee))
        }
        (Some(up), Some(p)) => {
            let own = score(round.scoring, p, up);
            (ScoreStatus::Scored, own, delta(entry.at_risk, round.rate, own, reference))
        }
    };
    let score =
        Score { question: *id, topic: topic.clone(), miner, status, p: entry.p, score: own, reference, up };
    Line { score, at_risk: entry.at_risk, delta }
}

/// Gains (from the pool) and losses (burned) of a question.
pub(crate) fn totals(lines: &[Line]) -> (i64, i64) {
    lines
        .iter()
        .map(|line| line.delta.0)
        .fold((0, 0), |(paid, burned), d| if d > 0 { (paid + d, burned) } else { (paid, burned - d) })
}

/// The legs that move the stake; empty if nothing moves.
pub(crate) fn legs(lines: &[Line]) -> Vec<Posting> {
    let moved = lines.iter().filter(|line| line.delta.0 != 0);
    let stake = |account, amount| leg(account, Asset::Stake, amount);
    let mut legs: Vec<Posting> =
        moved.map(|line| stake(LedgerAccount::MinerStake(line.score.miner), line.delta.0)).collect();
    let (paid, burned) = totals(lines);
    if paid != 0 {
        legs.push(stake(LedgerAccount::EmissionPool, -paid));
    }
    if burned != 0 {
        legs.push(stake(LedgerAccount::Burned, burned));
    }
    legs
}
