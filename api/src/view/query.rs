//! Questions to the view; all of them are reads.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{AccountId, MarketId, MinerId, Question, RejectCode, Timestamp, TopicId};

use super::View;
use super::state::{
    AccountState, Dropped, Entitlement, EpochState, Held, LedgerSums, Notice, Position, SubscriptionState,
    TopicState,
};
use super::track::MinerRecord;

/// Something a stream of topics has to tell, in the order of the verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Signals `from ..= to` of the topic are no longer in memory.
    Gap {
        /// The topic.
        topic: TopicId,
        /// First missing position.
        from: u64,
        /// Last missing position.
        to: u64,
    },
    /// The topic's next signal.
    Signal(Box<Held>),
    /// Something that is free to know.
    Notice(Position, Box<Notice>),
}

impl View {
    /// Position of the newest record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Time of the newest record.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Identifies this history; empty before the first record.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// All topics.
    pub fn topics(&self) -> &BTreeMap<TopicId, TopicState> {
        &self.topics
    }

    /// All miners.
    pub fn miners(&self) -> &BTreeMap<MinerId, MinerRecord> {
        &self.miners
    }

    /// One miner.
    pub fn miner(&self, id: &MinerId) -> Option<&MinerRecord> {
        self.miners.get(id)
    }

    /// The books.
    pub fn ledger(&self) -> &LedgerSums {
        &self.ledger
    }

    /// The newest closed epochs.
    pub fn epochs(&self) -> &BTreeMap<u64, EpochState> {
        &self.epochs
    }

    /// How often what was refused.
    pub fn rejections(&self) -> &BTreeMap<RejectCode, u64> {
        &self.rejections
    }

    /// Charges that were refused.
    pub fn charges_refused(&self) -> u64 {
        self.charges_refused
    }

    /// What was not kept.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Open questions.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        self.questions.values()
    }

    /// The newest outcomes and absent signals.
    pub fn notices(&self) -> &BTreeMap<Position, Notice> {
        &self.notices
    }

    /// An account.
    pub fn account(&self, id: &AccountId) -> Option<&AccountState> {
        self.accounts.get(id)
    }

    /// How many accounts there are.
    pub fn account_count(&self) -> usize {
        self.accounts.len()
    }

    /// An account's subscriptions, ascending by id.
    pub fn subscriptions_of(&self, account: &AccountId) -> impl Iterator<Item = &SubscriptionState> {
        let ids = self.accounts.get(account).map(|a| &a.subscriptions);
        ids.into_iter().flatten().filter_map(|id| self.subscriptions.get(id))
    }

    /// Whether any subscription of the account covers the topic now.
    pub fn covers(&self, account: &AccountId, topic: &TopicId, at: Timestamp) -> bool {
        self.subscriptions_of(account).any(|s| s.subscription.covers(topic, at))
    }

    /// Through which subscription a slot may be delivered now: one that has paid for it, else the first that covers.
    pub fn entitlement(
        &self,
        account: &AccountId,
        topic: &TopicId,
        slot: Timestamp,
        at: Timestamp,
    ) -> Option<Entitlement> {
        let covering = || self.subscriptions_of(account).filter(|s| s.subscription.covers(topic, at));
        let chosen = covering().find(|s| s.has_paid(topic, slot)).or_else(|| covering().next())?;
        Some(Entitlement {
            account: account.clone(),
            subscription: chosen.subscription.id.clone(),
            paid: chosen.has_paid(topic, slot),
        })
    }

    /// Whether any subscription of the account has paid for this slot.
    pub fn has_paid(&self, account: &AccountId, topic: &TopicId, slot: Timestamp) -> bool {
        self.subscriptions_of(account).any(|s| s.has_paid(topic, slot))
    }

    /// The newest signal on a market over the topics the account is entitled to, and whether the market is known.
    pub fn market_signal(
        &self,
        market: &MarketId,
        account: &AccountId,
        at: Timestamp,
    ) -> (Option<&Held>, MarketKnown) {
        let mut known = MarketKnown::No;
        let mut newest: Option<&Held> = None;
        for (id, topic) in &self.topics {
            let Some(held) = topic.ring.values().rev().find(|held| held.signal.market == *market) else {
                continue;
            };
            if !self.covers(account, id, at) {
                known = known.max(MarketKnown::NotEntitled);
                continue;
            }
            known = MarketKnown::Entitled;
            if newest.is_none_or(|n| n.position < held.position) {
                newest = Some(held);
            }
        }
        if known == MarketKnown::No && self.questions.values().any(|q| q.market == *market) {
            known = MarketKnown::NoSignalYet;
        }
        (newest, known)
    }

    /// What happened on some topics: signals from each topic's given position on, and notices after `seen`,
    /// in the order of the verdicts, at most `limit`.
    pub fn events_after(&self, next: &BTreeMap<TopicId, u64>, seen: Position, limit: usize) -> Vec<Event> {
        let mut found: Vec<(Position, Event)> = Vec::new();
        for (id, from) in next {
            let Some(topic) = self.topics.get(id) else { continue };
            let oldest = topic.oldest();
            if *from < oldest {
                let gap = Event::Gap { topic: id.clone(), from: *from, to: oldest - 1 };
                found.push((Position::default(), gap));
            }
            let rest = topic.ring.range(*from..).take(limit);
            found.extend(rest.map(|(_, held)| (held.position, Event::Signal(Box::new(held.clone())))));
        }
        let after = (std::ops::Bound::Excluded(seen), std::ops::Bound::Unbounded);
        let notices = self.notices.range(after).filter(|(_, n)| next.contains_key(n.topic())).take(limit);
        found.extend(notices.map(|(at, n)| (*at, Event::Notice(*at, Box::new(n.clone())))));
        found.sort_by_key(|(position, _)| *position);
        found.into_iter().take(limit).map(|(_, event)| event).collect()
    }

    /// A topic's signals before `before`, newest first, that are public or paid by the account; and whether
    /// older ones follow.
    pub fn history(
        &self,
        topic: &TopicId,
        account: &AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> (Vec<&Held>, bool) {
        let Some(state) = self.topics.get(topic) else { return (Vec::new(), false) };
        let slots: BTreeSet<Timestamp> =
            self.subscriptions_of(account).filter_map(|s| s.paid.get(topic)).flatten().copied().collect();
        let readable = |held: &&Held| held.outcome.is_some() || slots.contains(&held.signal.slot);
        let end = before.unwrap_or(u64::MAX);
        let mut found: Vec<&Held> =
            state.ring.range(..end).rev().map(|(_, held)| held).filter(readable).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }
}

/// What the view knows of a market for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarketKnown {
    /// Nothing.
    No,
    /// A question is open.
    NoSignalYet,
    /// It has signals, on topics the caller may not read.
    NotEntitled,
    /// It has signals the caller may read.
    Entitled,
}

impl SubscriptionState {
    /// Whether this slot was paid.
    pub fn has_paid(&self, topic: &TopicId, slot: Timestamp) -> bool {
        self.paid.get(topic).is_some_and(|slots| slots.contains(&slot))
    }
}
