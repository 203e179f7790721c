//! Counts of a run for its summary: markets, agreement with the venue, signals, rejections. Never judges.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::{Decode, Encode};
use schemas::{Determination, MarketEvent, MinerId, Ppm, Verdict, VoidReason};
use serde::Serialize;

/// What became of one market.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct MarketOutcome {
    /// What the validators agreed on.
    #[n(0)]
    pub ours: Option<Determination>,
    /// What one Up token paid at the venue.
    #[n(1)]
    pub venue: Option<Ppm>,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tally {
    /// Every listed market by its venue id.
    #[n(0)]
    pub markets: BTreeMap<String, MarketOutcome>,
    /// Rejected predictions per miner.
    #[n(1)]
    pub rejected: BTreeMap<MinerId, u64>,
    /// Signals issued.
    #[n(2)]
    pub issued: u64,
    /// Slots without a signal.
    #[n(3)]
    pub no_signal: u64,
    /// Units sold (charged more than zero).
    #[n(4)]
    pub sold: u64,
    /// Ledger transactions.
    #[n(5)]
    pub transactions: u64,
    /// Ledger postings (legs).
    #[n(6)]
    pub postings: u64,
    /// Sum of all legs of all transactions, over all assets; zero unless the ledger is broken.
    #[n(7)]
    pub sum_micros: i64,
    /// Epochs closed.
    #[n(8)]
    pub epochs_closed: u64,
    /// Epochs on whose root 2/3 of validator stake agree.
    #[n(9)]
    pub epochs_final: BTreeSet<u64>,
    /// Questions opened.
    #[n(10)]
    pub questions: u64,
    /// Markets resolved, provable or not: a quick count for progress.
    #[n(11)]
    pub resolved: u64,
}

/// How the markets of a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarketCounts {
    /// Listed and closed within the run.
    pub total: u64,
    /// With a strike and a tick in the closing second.
    pub provable: u64,
    /// Provable, and the venue's own outcome is the same.
    pub agree: u64,
    /// Provable, and the venue said otherwise.
    pub disagree: u64,
    /// Closed without proof.
    pub unprovable: u64,
    /// Unprovable because the venue published no strike.
    pub no_strike: u64,
    /// Unprovable because no tick carries the closing second.
    pub no_closing_tick: u64,
    /// Unprovable because reports cannot state the rule it ends under.
    pub no_rule: u64,
}

impl Tally {
    /// Takes a market event.
    pub fn market(&mut self, event: &MarketEvent) {
        match event {
            MarketEvent::Listed(market) => {
                self.markets.entry(market.id.to_string()).or_default();
            }
            MarketEvent::Resolved(resolution) => {
                self.markets.entry(resolution.market.to_string()).or_default().venue =
                    Some(resolution.up_paid);
            }
            MarketEvent::Tick(_) | MarketEvent::Quote(_) | MarketEvent::Feed(_) => {}
        }
    }

    /// Takes a verdict.
    pub fn verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Resolved { market, determination, .. } => {
                self.resolved += 1;
                self.markets.entry(market.to_string()).or_default().ours = Some(*determination);
            }
            Verdict::Rejected { miner: Some(miner), .. } => *self.rejected.entry(*miner).or_default() += 1,
            Verdict::QuestionOpened(_) => self.questions += 1,
            Verdict::Signal(_) => self.issued += 1,
            Verdict::NoSignal { .. } => self.no_signal += 1,
            Verdict::Charged(charge) if charge.charged.0 > 0 => self.sold += 1,
            Verdict::Posted(txn) => {
                self.transactions += 1;
                self.postings += txn.postings.len() as u64;
                self.sum_micros += txn.postings.iter().map(|p| p.amount.0).sum::<i64>();
            }
            Verdict::EpochClosed(_) => self.epochs_closed += 1,
            Verdict::EpochFinal { epoch, .. } => {
                self.epochs_final.insert(*epoch);
            }
            _ => {}
        }
    }

    /// Counts the markets that closed.
    pub fn market_counts(&self) -> MarketCounts {
        let mut counts = MarketCounts::default();
        for market in self.markets.values() {
            let Some(ours) = market.ours else { continue };
            counts.total += 1;
            match ours {
                Determination::Determined { up, .. } => {
                    counts.provable += 1;
                    let want = if up { Ppm::ONE } else { Ppm(0) };
                    counts.agree += u64::from(market.venue == Some(want));
                    counts.disagree += u64::from(market.venue.is_some_and(|paid| paid != want));
                }
                Determination::Void(reason) => {
                    counts.unprovable += 1;
                    match reason {
                        VoidReason::NoStrike => counts.no_strike += 1,
                        VoidReason::NoClosingTick => counts.no_closing_tick += 1,
                        VoidReason::NoRule => counts.no_rule += 1,
                    }
                }
            }
        }
        counts
    }
}
