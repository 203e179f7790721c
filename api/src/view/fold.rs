//! One verdict at a time into the view; every verdict is taken as true, because the validator judged it.

use schemas::verdict::ChargeOutcome;
use schemas::{
    AccountView, Asset, Determination, LedgerAccount, Micros, MinerId, MinerJoined, Q32, Question, Record,
    RejectCode, Score, ScoreStatus, Settlement, Signal, Subscription, Timestamp, TopicRules, Txn, Verdict,
};

use super::View;
use super::state::{EpochState, Held, Notice, OutcomeRecord, Position, SubscriptionState, TopicState};
use super::track::MinerRecord;
use crate::push::Push;

impl View {
    pub(super) fn fold(&mut self, record: &Record<Verdict>, out: &mut Vec<Push>) {
        if self.epoch.is_empty() {
            let parts: [&[u8]; 3] =
                [&record.seq.to_be_bytes(), &record.at.0.to_be_bytes(), &schemas::encode(&record.body)];
            self.epoch = hex::encode(&schemas::id::derive("oraculo/epoch/1", &parts)[..8]);
        }
        self.seq = record.seq;
        self.at = record.at;
        match &record.body {
            Verdict::TopicListed(rules) => self.topic_listed(rules),
            Verdict::MinerListed(miner) => self.miner_listed(miner),
            Verdict::QuestionOpened(question) => self.question_opened(question),
            Verdict::Accepted { miner, .. } => {
                self.with_miner(*miner, |m| m.accepted += 1);
            }
            Verdict::Rejected { miner, code, .. } => self.rejected(*miner, *code),
            Verdict::Signal(signal) => self.signal_issued(signal, out),
            Verdict::NoSignal { topic, question, slot, reason } => {
                if let Some(state) = self.topics.get_mut(topic) {
                    state.no_signals += 1;
                }
                let (topic, question, slot, reason) = (topic.clone(), *question, *slot, *reason);
                self.notice(Notice::NoSignal { topic: topic.clone(), question, slot, reason });
                out.push(Push::NoSignal { topic, question, slot, reason });
            }
            Verdict::Resolved { market, closes_at, determination } => {
                let ended = |q: &&Question| q.market == *market && q.resolves_at == *closes_at;
                let questions: Vec<Question> = self.questions.values().filter(ended).cloned().collect();
                for question in &questions {
                    self.question_ended(question, *determination, out);
                }
            }
            Verdict::Scored(score) => self.scored(score),
            Verdict::Settled(settlement) => self.settled(settlement),
            Verdict::Posted(txn) => self.posted(txn),
            Verdict::Account(account) => self.account_changed(account, out),
            Verdict::Subscribed(subscription) => self.subscribed(subscription),
            Verdict::Charged(charge) => self.charged(charge, out),
            Verdict::ChargeRefused { .. } => self.charges_refused += 1,
            Verdict::EpochClosed(summary) => {
                self.epochs.insert(summary.epoch, EpochState { summary: summary.clone(), is_final: false });
                while self.epochs.len() > self.limits.epochs as usize {
                    self.epochs.pop_first();
                }
            }
            Verdict::EpochFinal { epoch, root } => match self.epochs.get_mut(epoch) {
                Some(state) if state.summary.root == *root => state.is_final = true,
                _ => self.dropped.unknown += 1,
            },
        }
    }

    fn topic_listed(&mut self, rules: &TopicRules) {
        if let Some(state) = self.topics.get_mut(&rules.id) {
            state.rules = rules.clone();
        } else if self.topics.len() < self.limits.topics as usize {
            self.topics.insert(rules.id.clone(), TopicState::new(rules.clone()));
        } else {
            self.dropped.refused += 1;
        }
    }

    fn miner_listed(&mut self, joined: &MinerJoined) {
        if self.miners.len() >= self.limits.miners as usize {
            self.dropped.refused += 1;
            return;
        }
        let record = MinerRecord {
            miner: joined.miner,
            name: joined.name.clone(),
            kind: joined.kind.clone(),
            stake_start: joined.stake,
            stake: joined.stake,
            gain: Micros(0),
            rejected: 0,
            accepted: 0,
            topics: std::collections::BTreeMap::new(),
            earned: Micros(0),
            recent: std::collections::VecDeque::new(),
        };
        self.miners.insert(joined.miner, record);
    }

    fn with_miner(&mut self, miner: Option<MinerId>, change: impl FnOnce(&mut MinerRecord)) {
        match miner.map(|id| self.miners.get_mut(&id)) {
            Some(Some(record)) => change(record),
            Some(None) => self.dropped.unknown += 1,
            None => {}
        }
    }

    fn rejected(&mut self, miner: Option<MinerId>, code: RejectCode) {
        *self.rejections.entry(code).or_default() += 1;
        self.with_miner(miner, |m| m.rejected += 1);
    }

    fn question_opened(&mut self, question: &Question) {
        self.by_end.insert((question.resolves_at, question.id));
        self.questions.insert(question.id, question.clone());
        while self.questions.len() > self.limits.questions as usize {
            let Some((_, oldest)) = self.by_end.pop_first() else { break };
            self.questions.remove(&oldest);
            self.dropped.questions += 1;
        }
    }

    fn signal_issued(&mut self, signal: &Signal, out: &mut Vec<Push>) {
        let position = Position { seq: self.seq, part: 0 };
        let Some(topic) = self.topics.get_mut(&signal.topic) else {
            self.dropped.unknown += 1;
            return;
        };
        topic.head = signal.topic_seq;
        topic.issued += 1;
        topic.unresolved.insert(signal.question, signal.topic_seq);
        topic.ring.insert(signal.topic_seq, Held { signal: signal.clone(), position, outcome: None });
        while topic.ring.len() > self.limits.signals_per_topic as usize {
            if let Some((_, old)) = topic.ring.pop_first() {
                topic.unresolved.remove(&old.signal.question);
            }
        }
        out.push(Push::Signal { signal: signal.clone() });
    }

    fn notice(&mut self, notice: Notice) {
        let part = match self.notices.last_key_value() {
            Some((last, _)) if last.seq == self.seq => last.part + 1,
            _ => 0,
        };
        self.notices.insert(Position { seq: self.seq, part }, notice);
        while self.notices.len() > self.limits.notices as usize {
            self.notices.pop_first();
        }
    }

    fn question_ended(&mut self, question: &Question, determination: Determination, out: &mut Vec<Push>) {
        self.questions.remove(&question.id);
        self.by_end.remove(&(question.resolves_at, question.id));
        let Some(topic) = self.topics.get_mut(&question.topic) else {
            self.dropped.unknown += 1;
            return;
        };
        let topic_seq = topic.unresolved.remove(&question.id);
        let held = topic_seq.and_then(|seq| topic.ring.get_mut(&seq));
        let p = held.as_ref().map(|held| held.signal.p);
        let outcome = outcome_of(question, determination, self.at, topic_seq, p);
        if let Some(held) = held {
            held.outcome = Some(outcome.clone());
        }
        topic.count_outcome(&outcome);
        self.notice(Notice::Outcome(outcome.clone()));
        out.push(Push::Outcome { outcome });
    }

    fn scored(&mut self, score: &Score) {
        self.with_miner(Some(score.miner), |miner| {
            miner.remember(score);
            let record = miner.topics.entry(score.topic.clone()).or_default();
            match score.status {
                ScoreStatus::Missing => record.missing += 1,
                ScoreStatus::Void => record.void += 1,
                ScoreStatus::Scored => {
                    record.scored += 1;
                    record.loss_sum = record.loss_sum.saturating_add(Q32::ONE.0 - score.score.0);
                    record.reference_loss_sum =
                        record.reference_loss_sum.saturating_add(Q32::ONE.0 - score.reference.0);
                    if let (Some(p), Some(up)) = (score.p, score.up) {
                        record.track.add(p, up);
                    }
                }
            }
        });
    }

    fn settled(&mut self, settlement: &Settlement) {
        self.with_miner(Some(settlement.miner), |miner| {
            miner.settle(settlement);
            miner.stake = settlement.stake_after;
            miner.gain = Micros(miner.gain.0.saturating_add(settlement.delta.0));
        });
    }

    fn posted(&mut self, txn: &Txn) {
        let ledger = &mut self.ledger;
        ledger.chain_breaks += u64::from(txn.prev != ledger.last);
        ledger.last = txn.hash();
        ledger.transactions += 1;
        ledger.postings += txn.postings.len() as u64;
        for posting in &txn.postings {
            let sum = ledger.sums.entry(posting.asset).or_default();
            *sum = Micros(sum.0.saturating_add(posting.amount.0));
            if let (LedgerAccount::MinerPayable(id), Asset::Usd) = (&posting.account, posting.asset)
                && let Some(miner) = self.miners.get_mut(id)
            {
                miner.earned = Micros(miner.earned.0.saturating_add(posting.amount.0));
            }
        }
    }

    fn account_changed(&mut self, view: &AccountView, out: &mut Vec<Push>) {
        if !self.accounts.contains_key(&view.account) && self.accounts.len() >= self.limits.accounts as usize
        {
            self.dropped.refused += 1;
            return;
        }
        let account = self.accounts.entry(view.account.clone()).or_default();
        if account.prepaid != view.prepaid {
            account.prepaid = view.prepaid;
            out.push(Push::Balance { account: view.account.clone(), prepaid: view.prepaid });
        }
    }

    fn subscribed(&mut self, subscription: &Subscription) {
        if let Some(state) = self.subscriptions.get_mut(&subscription.id) {
            state.subscription = subscription.clone();
            return;
        }
        let full = self.subscriptions.len() >= self.limits.subscriptions as usize;
        match self.accounts.get_mut(&subscription.account) {
            Some(account) if !full => {
                account.subscriptions.insert(subscription.id.clone());
                let state = SubscriptionState {
                    subscription: subscription.clone(),
                    paid: std::collections::BTreeMap::new(),
                };
                self.subscriptions.insert(subscription.id.clone(), state);
            }
            _ => self.dropped.refused += 1,
        }
    }

    fn charged(&mut self, charge: &ChargeOutcome, out: &mut Vec<Push>) {
        if let Some(state) = self.subscriptions.get_mut(&charge.subscription) {
            let slots = state.paid.entry(charge.topic.clone()).or_default();
            slots.insert(charge.slot);
            while slots.len() > self.limits.signals_per_topic as usize {
                slots.pop_first();
            }
        } else {
            self.dropped.unknown += 1;
        }
        if charge.charged.0 > 0
            && let Some(topic) = self.topics.get_mut(&charge.topic)
        {
            topic.sold += 1;
        }
        if let Some(account) = self.accounts.get_mut(&charge.account) {
            account.spent = Micros(account.spent.0.saturating_add(charge.charged.0));
            account.units += u64::from(charge.charged.0 > 0);
            if account.prepaid != charge.balance {
                account.prepaid = charge.balance;
                out.push(Push::Balance { account: charge.account.clone(), prepaid: charge.balance });
            }
        }
    }
}

impl TopicState {
    /// Adds a resolved question to the track records.
    fn count_outcome(&mut self, outcome: &OutcomeRecord) {
        match outcome.up() {
            Some(true) => self.ended.0 += 1,
            Some(false) => self.ended.1 += 1,
            None => self.ended.2 += 1,
        }
        let (Some(up), Some(p)) = (outcome.up(), outcome.p) else { return };
        self.ensemble.add(p, up);
        self.reference.add(outcome.reference, up);
        if let Some(mid) = outcome.market_mid {
            self.market.add(mid, up);
            self.ensemble_where_quoted.add(p, up);
        }
    }
}

fn outcome_of(
    question: &Question,
    determination: Determination,
    resolved_at: Timestamp,
    topic_seq: Option<u64>,
    p: Option<schemas::Ppm>,
) -> OutcomeRecord {
    OutcomeRecord {
        topic: question.topic.clone(),
        question: question.id,
        market: question.market.clone(),
        slot: question.market_starts_at,
        closes_at: question.resolves_at,
        resolved_at,
        strike: question.strike,
        determination,
        topic_seq,
        p,
        reference: question.reference,
        market_mid: question.market_mid,
    }
}
