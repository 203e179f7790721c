//! Opening of questions: everything that decides what a score is worth is fixed here, before anybody may answer.

use std::collections::BTreeMap;

use schemas::time::NANOS_PER_SEC;
use schemas::{Micros, MinerId, Q32, Question, RejectCode, ScoringRule, TopicRules, Verdict};

use crate::admit::ensure;
use crate::limits::{MAX_TEXT, has_room};
use crate::round::{Entry, Round};
use crate::settle;
use crate::validator::Validator;

impl Validator {
    /// Opens a question or says why not.
    pub(crate) fn open_question(&mut self, q: &Question, out: &mut Vec<Verdict>) -> Result<(), RejectCode> {
        let rules = self.topics.get(&q.topic).map(|t| &t.rules).ok_or(RejectCode::UnknownTopic)?;
        ensure(!self.rounds.contains_key(&q.id), RejectCode::DuplicateQuestion)?;
        ensure(follows_from(q, rules), RejectCode::InvalidQuestion)?;
        let early = q.opens_at.since(self.now) > i64::from(rules.interval_s) * NANOS_PER_SEC;
        let open = !early && self.now < q.commit_closes_at && !self.is_resolved(&q.market);
        ensure(open, RejectCode::InvalidQuestion)?;
        ensure(has_room(self.rounds.len(), self.limits.max_open_questions), RejectCode::LimitReached)?;
        let max_loss = self.network.as_ref().ok_or(RejectCode::NoGenesis)?.rules.max_loss;
        let epoch = self.epochs.current_open().ok_or(RejectCode::NoGenesis)?;
        let opened = epoch.opened.get(&q.topic).copied().unwrap_or(0);
        ensure(opened < rules.questions_per_epoch, RejectCode::LimitReached)?;
        let share = self.share(rules).min(Q32(Q32::ONE.0 - epoch.shared.0));
        let rate = settle::rate(share, max_loss, epoch.budget, self.total_stake());
        let round = Round {
            question: q.clone(),
            epoch: self.epochs.current,
            scoring: rules.scoring,
            missing_fee: rules.missing_fee,
            rate,
            price: rules.price,
            entries: self.snapshot_stakes(rate),
            answered: false,
        };
        self.epochs.opened(&q.topic, share);
        self.reserve(&round, true);
        self.due.insert((round.due(), q.id));
        self.rounds.insert(q.id, round);
        out.push(Verdict::QuestionOpened(q.clone()));
        Ok(())
    }

    /// A question's part of its epoch: its weight over the sum of all topics' weights times their questions.
    fn share(&self, rules: &TopicRules) -> Q32 {
        let full = |r: &TopicRules| i128::from(r.weight.0) * i128::from(r.questions_per_epoch);
        let sum: i128 = self.topics.values().map(|t| full(&t.rules)).sum();
        Q32::ratio(i128::from(rules.weight.0), sum.max(1))
    }

    /// What every miner has at risk: its stake, or what is left of it if other open questions could take it all.
    fn snapshot_stakes(&self, rate: Q32) -> BTreeMap<MinerId, Entry> {
        let at_risk = |(id, miner): (&MinerId, &crate::registry::Miner)| {
            let stake = self.miner_stake(id);
            let free = Micros(stake.0 - miner.reserved.0);
            let at_risk = if settle::bound(stake, rate) <= free { stake } else { free };
            (at_risk.0 > 0).then_some((*id, Entry { at_risk, seal: None, p: None }))
        };
        self.miners.iter().filter_map(at_risk).collect()
    }

    /// Reserves the largest losses of a round, or releases them.
    pub(crate) fn reserve(&mut self, round: &Round, take: bool) {
        for (id, entry) in &round.entries {
            let bound = settle::bound(entry.at_risk, round.rate).0;
            if let Some(miner) = self.miners.get_mut(id) {
                miner.reserved.0 += if take { bound } else { -bound };
            }
        }
    }
}

/// Whether id, times, hash and numbers of a question follow from its topic's rules.
fn follows_from(q: &Question, rules: &TopicRules) -> bool {
    let opens = q.market_starts_at.plus(i64::from(rules.horizon_s) * NANOS_PER_SEC);
    let commit_closes = opens.plus(rules.commit_window_ns);
    let sound_text = |text: &str| text.len() <= MAX_TEXT;
    let names =
        !q.market.native.is_empty() && sound_text(&q.market.native) && sound_text(&q.reference_source);
    let identity = q.rules_version == rules.version
        && q.rules_hash == rules.hash()
        && q.symbol == rules.symbol
        && q.id == Question::derive_id(&q.topic, q.rules_version, &q.market, q.opens_at);
    let times = q.market_starts_at.0 >= 0
        && q.opens_at == opens
        && q.commit_closes_at == commit_closes
        && q.reveal_closes_at == commit_closes.plus(rules.reveal_window_ns)
        && q.resolves_at == q.market_starts_at.plus(i64::from(rules.interval_s) * NANOS_PER_SEC)
        && q.opens_at.since(q.input_watermark) <= rules.max_input_age_ns;
    let numbers = (1..=999_999).contains(&q.reference.0) && q.market_mid.is_none_or(schemas::Ppm::is_valid);
    rules.scoring == ScoringRule::Brier && names && identity && times && numbers
}
