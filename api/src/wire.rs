//! The house's words into what strangers see; it hides nothing by itself, callers decide who may see what.

use schemas::public;
use schemas::{Determination, Micros, Score, ScoreStatus, ScoringRule, Timestamp};

use crate::view::{Bin, Held, MinerRecord, OutcomeRecord, SubscriptionState, TopicState, Track, View};

/// RFC 3339 in microseconds with `Z`.
///
/// Truncated, not rounded: a time is never shown before it happened, and equal times stay equal.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{:.6}", jiff_time(Timestamp(at.0.saturating_sub(at.0.rem_euclid(1000)))))
}

/// RFC 3339 in nanoseconds with `Z`, exact: for miners, who compute with it.
pub(crate) fn exact_time(at: Timestamp) -> String {
    format!("{:.9}", jiff_time(at))
}

/// The same instant in the calendar library's type.
pub(crate) fn jiff_time(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .expect("64 bits of nanoseconds are the years 1677 to 2262")
}

/// Micro-USD or micro-units as a string.
pub(crate) fn money(amount: Micros) -> String {
    amount.0.to_string()
}

/// A signal with its outcome, if there is one.
pub(crate) fn signal(epoch: &str, held: &Held) -> public::Signal {
    let s = &held.signal;
    let market = public::SignalMarket {
        venue: s.market.venue.to_string(),
        market_id: s.market.native.clone(),
        p_market: s.market_view.as_ref().map(|m| m.mid.as_f64()),
        p_market_ppm: s.market_view.as_ref().map(|m| m.mid.0),
        as_of: s.market_view.as_ref().map(|m| time(m.as_of)),
    };
    public::Signal {
        id: s.id.to_string(),
        topic: s.topic.to_string(),
        epoch: epoch.to_owned(),
        seq: s.topic_seq,
        slot: time(s.slot),
        question: s.question.to_string(),
        issued_at: time(s.issued_at),
        expires_at: time(s.expires_at),
        input_watermark: time(s.input_watermark),
        kind: "binary".to_owned(),
        p: s.p.as_f64(),
        p_ppm: s.p.0,
        reference: s.reference.as_f64(),
        reference_ppm: s.reference.0,
        reference_weight: s.reference_weight.as_f64(),
        dispersion_ppm: s.dispersion.0,
        market,
        edge_ppm: s.market_view.as_ref().map(|m| i64::from(s.p.0) - i64::from(m.mid.0)),
        n_contributors: s.contributors.len() as u32,
        contributors: s.contributors.iter().map(contributor).collect(),
        outcome: held.outcome.as_ref().map(outcome),
    }
}

fn contributor(c: &schemas::Contributor) -> public::Contributor {
    public::Contributor {
        miner: c.miner.to_string(),
        weight: c.weight.as_f64(),
        weight_q32: c.weight.0.to_string(),
        p: c.p.as_f64(),
        p_ppm: c.p.0,
    }
}

/// How a question's market ended.
pub(crate) fn outcome(o: &OutcomeRecord) -> public::Outcome {
    let (closing, void_reason) = match o.determination {
        Determination::Determined { closing, .. } => (Some(closing.to_string()), None),
        Determination::Void(reason) => (None, Some(reason.code().to_owned())),
    };
    public::Outcome {
        topic: o.topic.to_string(),
        question: o.question.to_string(),
        market: public::MarketRef { venue: o.market.venue.to_string(), market_id: o.market.native.clone() },
        slot: time(o.slot),
        closes_at: time(o.closes_at),
        resolved_at: time(o.resolved_at),
        seq: o.topic_seq,
        result: result(o).to_owned(),
        strike: Some(o.strike.to_string()),
        closing,
        void_reason,
    }
}

/// `up`, `down` or `void`.
pub(crate) fn result(o: &OutcomeRecord) -> &'static str {
    match o.up() {
        Some(true) => "up",
        Some(false) => "down",
        None => "void",
    }
}

/// Mean scores of a track.
pub(crate) fn skill(track: &Track) -> public::Skill {
    public::Skill { n: track.n, brier: track.brier(), log: track.log() }
}

/// A topic.
pub(crate) fn topic(view: &View, t: &TopicState) -> public::Topic {
    let millis = |ns: i64| ns.div_euclid(schemas::time::NANOS_PER_MILLI);
    public::Topic {
        id: t.rules.id.to_string(),
        version: t.rules.version,
        rules_hash: hex::encode(t.rules.hash()),
        symbol: t.rules.symbol.clone(),
        interval_s: t.rules.interval_s,
        horizon_s: t.rules.horizon_s,
        commit_window_ms: millis(t.rules.commit_window_ns),
        reveal_window_ms: millis(t.rules.reveal_window_ns),
        scoring_rule: match t.rules.scoring {
            ScoringRule::Brier => "brier",
            ScoringRule::ReferenceCrps => "reference_crps",
        }
        .to_owned(),
        price: money(t.rules.price),
        epoch: view.epoch().to_owned(),
        seq: t.head,
        no_signals: t.no_signals,
        skill: public::TopicSkill {
            ensemble: skill(&t.ensemble),
            reference: skill(&t.reference),
            market: skill(&t.market),
            ensemble_where_quoted: skill(&t.ensemble_where_quoted),
            coin_brier: 0.25,
        },
    }
}

/// All miners by stake, largest first, equal stakes by key.
pub(crate) fn leaderboard(view: &View) -> Vec<public::LeaderboardRow> {
    let mut miners: Vec<&MinerRecord> = view.miners().values().collect();
    miners.sort_by_key(|m| (std::cmp::Reverse(m.stake), m.miner));
    miners.iter().zip(1..).map(|(miner, rank)| row(miner, rank)).collect()
}

fn row(m: &MinerRecord, rank: u32) -> public::LeaderboardRow {
    let all = m.overall();
    let (brier, reference) = (all.loss(), all.reference_loss());
    public::LeaderboardRow {
        rank,
        miner: m.miner.to_string(),
        name: m.name.clone(),
        kind: m.kind.clone(),
        stake: money(m.stake),
        stake_start: money(m.stake_start),
        gain: money(m.gain),
        n: all.scored,
        brier,
        reference_brier: reference,
        skill: brier.zip(reference).filter(|(_, r)| *r > 0.0).map(|(b, r)| 1.0 - b / r),
        log: all.track.log(),
        missing: all.missing,
        rejected: m.rejected,
    }
}

/// One miner with its record by topic and its calibration.
pub(crate) fn miner(view: &View, m: &MinerRecord) -> public::Miner {
    let ahead = view.miners().values().filter(|o| (o.stake, m.miner) > (m.stake, o.miner)).count();
    let topics = m.topics.iter().map(|(topic, record)| public::MinerTopic {
        topic: topic.to_string(),
        own: skill(&record.track),
        reference_brier: record.reference_loss(),
        missing: record.missing,
    });
    public::Miner {
        row: row(m, ahead as u32 + 1),
        topics: topics.collect(),
        reliability: reliability(&m.overall().track.bins),
        accepted: m.accepted,
        void: m.overall().void,
        earned: money(m.earned),
        recent: m.recent.iter().rev().map(recent).collect(),
    }
}

fn recent((score, delta): &(Score, Option<Micros>)) -> public::MinerResult {
    public::MinerResult {
        question: score.question.to_string(),
        topic: score.topic.to_string(),
        status: score_status(score.status).to_owned(),
        p_ppm: score.p.map(|p| p.0),
        up: score.up,
        score: score.score.as_f64(),
        reference_score: score.reference.as_f64(),
        delta: delta.map(money),
    }
}

/// `scored`, `missing` or `void`.
pub(crate) const fn score_status(status: ScoreStatus) -> &'static str {
    match status {
        ScoreStatus::Scored => "scored",
        ScoreStatus::Missing => "missing",
        ScoreStatus::Void => "void",
    }
}

/// The bins of a reliability diagram.
pub(crate) fn reliability(bins: &[Bin]) -> Vec<public::ReliabilityBin> {
    let width = 1.0 / crate::view::BINS as f64;
    let bin = |(i, b): (usize, &Bin)| public::ReliabilityBin {
        lo: (i as f64 * width * 10.0).round() / 10.0,
        hi: ((i + 1) as f64 * width * 10.0).round() / 10.0,
        n: b.n,
        mean_p: (b.n > 0).then(|| b.p_sum as f64 / 1e6 / b.n as f64),
        observed: (b.n > 0).then(|| b.ups as f64 / b.n as f64),
    };
    bins.iter().enumerate().map(bin).collect()
}

/// A subscription.
pub(crate) fn subscription(s: &SubscriptionState) -> public::SubscriptionInfo {
    let s = &s.subscription;
    public::SubscriptionInfo {
        id: s.id.to_string(),
        topics: s.topics.iter().map(ToString::to_string).collect(),
        from: time(s.from),
        until: time(s.until),
        max_price: money(s.max_price),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_in_utc() {
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00.000000Z");
        assert_eq!(time(Timestamp(1_780_876_800_123_456_789)), "2026-06-08T00:00:00.123456Z");
        assert_eq!(time(Timestamp::MAX), "2262-04-11T23:47:16.854775Z");
    }
}
