//! One market on its way to its settlement: what is known of it, what was said about it, what is still to be said.

use minicbor::{Decode, Encode};
use schemas::id::EvidenceHash;
use schemas::{LifecycleRow, MarketId, Phase, Ppm, Timestamp};

use super::record::{SettlementRecord, SettlementState, Standing};
use crate::truth::detail::StrikeParts;
use crate::truth::evidence::{Evidence, Said};
use crate::truth::rules::{RuleRef, SettlementRule, rule_for};
use crate::truth::settle::{Check, Finding, IndexValues, Unproved, judge};
use crate::truth::terms::{IndexKey, MarketTerms};

/// Venues' words for a market that was called off.
const CALLED_OFF: [&str; 5] = ["void", "voided", "cancelled", "canceled", "annulled"];

/// What the rule computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
enum Computed {
    #[n(0)]
    Not,
    #[n(1)]
    Payout(#[n(0)] Ppm, #[n(1)] EvidenceHash, #[n(2)] Check),
    #[n(2)]
    Unproved(#[n(0)] Unproved),
}

/// What the venue said about the outcome.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Word {
    #[n(0)]
    phase: Phase,
    #[n(1)]
    said: Said,
}

/// One market.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Case {
    #[n(0)]
    pub(super) terms: Option<MarketTerms>,
    /// Time of the last news.
    #[n(1)]
    pub(super) touched: Timestamp,
    #[n(2)]
    computed: Computed,
    /// Words about the outcome that have not been taken in yet: those that came before the terms.
    #[n(3)]
    words: Vec<Word>,
    /// The outcome the venue named last, and how firm it is.
    #[n(4)]
    reported: Option<(Ppm, Standing)>,
    #[n(5)]
    disputed: bool,
    /// The state of the last record.
    #[n(6)]
    pub(super) last: Option<SettlementState>,
    #[n(7)]
    no: u32,
    /// States not said yet.
    #[n(8)]
    queue: Vec<SettlementState>,
    /// The parts of its strike that were told.
    #[n(9)]
    pub(super) parts: StrikeParts,
}

/// Words kept for a market whose terms are not known; the oldest are dropped.
const MAX_WORDS: usize = 16;

impl Case {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            terms: None,
            touched: now,
            computed: Computed::Not,
            words: Vec::new(),
            reported: None,
            disputed: false,
            last: None,
            no: 0,
            queue: Vec::new(),
            parts: StrikeParts::default(),
        }
    }

    /// The rule by family and end; reported markets need no end.
    fn rule(&self) -> Option<&'static SettlementRule> {
        let terms = self.terms.as_ref()?;
        rule_for(terms.family, terms.closes_at.unwrap_or_default())
    }

    fn is_computed(&self) -> bool {
        // A family without a rule is one that would have to be computed.
        self.terms.is_some() && self.rule().is_none_or(|rule| rule.basis.is_computed())
    }

    /// Whether it is computed and not decided.
    pub(super) fn waits(&self) -> bool {
        self.computed == Computed::Not && self.is_computed()
    }

    /// Whether nothing more is expected.
    pub(super) fn is_over(&self) -> bool {
        match self.terms {
            None => false,
            Some(_) if self.is_computed() => self.computed != Computed::Not,
            Some(_) => {
                matches!(self.last, Some(SettlementState::Void { .. } | SettlementState::Unprovable { .. }))
                    || self.last.is_some_and(|state| state.scorable().is_some())
            }
        }
    }

    /// Whether a value of this index and time can decide it.
    pub(super) fn reads(&self, key: &IndexKey, venue_at: Timestamp, now: Timestamp) -> bool {
        let Some(terms) = self.terms.as_ref().filter(|terms| terms.index.as_ref() == Some(key)) else {
            return false;
        };
        let close = terms.closes_at.unwrap_or(Timestamp::MAX);
        // Before the close nothing is complete; a value for the window may still come late.
        self.waits() && venue_at.max(now) >= close
    }

    /// Takes terms; what was told first counts. Returns whether they contradict that.
    pub(super) fn learn(&mut self, told: MarketTerms) -> bool {
        let Some(terms) = &mut self.terms else {
            self.terms = Some(told);
            return false;
        };
        let differs = terms.strike.is_some() && told.strike.is_some() && terms.strike != told.strike
            || terms.family != told.family;
        if self.computed == Computed::Not {
            terms.strike = terms.strike.or(told.strike);
            terms.closes_at = told.closes_at.or(terms.closes_at);
            terms.index = terms.index.take().or(told.index);
        }
        differs
    }

    /// Decides by the rule if that can be done, or, with `over`, says that it cannot.
    pub(super) fn compute(&mut self, values: Option<&IndexValues>, over: bool) {
        if !self.waits() {
            return;
        }
        let Some(terms) = &self.terms else { return };
        let Some(rule) = self.rule() else {
            if over {
                self.computed = Computed::Unproved(Unproved::NoRule);
            }
            return;
        };
        let finding = match values {
            Some(values) => judge(rule, terms, values),
            None if terms.index.is_none() => Finding::Unproved(Unproved::NoIndex),
            None => judge(rule, terms, &IndexValues::default()),
        };
        if !over && !finding.is_complete(rule.basis) {
            return;
        }
        self.computed = match finding {
            Finding::Proved(proof) => Computed::Payout(proof.payout, proof.evidence.hash(), proof.check),
            Finding::Unproved(reason) => Computed::Unproved(reason),
        };
    }

    /// Takes a venue's word about the outcome.
    pub(super) fn hear(&mut self, row: &LifecycleRow, venue_at: Option<Timestamp>) {
        if !matches!(row.phase, Phase::Determined | Phase::Disputed | Phase::Amended | Phase::Final) {
            return;
        }
        if self.words.len() == MAX_WORDS {
            self.words.remove(0);
        }
        let said = Said { word: row.said.clone(), payout: row.payout, venue_at };
        self.words.push(Word { phase: row.phase, said });
    }

    fn evidence(&self, id: &MarketId, rule: RuleRef, said: Said) -> EvidenceHash {
        let terms = self.terms.as_ref();
        let evidence = Evidence {
            rule,
            market: id.clone(),
            closes_at: terms.and_then(|t| t.closes_at),
            strike: terms.and_then(|t| t.strike),
            values: Vec::new(),
            said: Some(said),
        };
        evidence.hash()
    }

    /// Takes the words in, in their order.
    fn take_words(&mut self, id: &MarketId) {
        if self.terms.is_none() {
            return;
        }
        for word in std::mem::take(&mut self.words) {
            let computed = self.is_computed();
            let before = self.reported;
            let state = self.step(id, word);
            if !computed {
                self.queue.extend(state);
            } else if let Some(SettlementState::Void { evidence }) = state {
                // The venue pays nobody: what the rule computed pays nobody either.
                self.queue.push(SettlementState::Void { evidence });
            } else if self.reported != before {
                self.compare();
            }
        }
    }

    /// The transition of a market that is settled by the venue's word.
    fn step(&mut self, id: &MarketId, word: Word) -> Option<SettlementState> {
        let rule = self.rule().map(SettlementRule::reference);
        let hash =
            |case: &Self, said: Said| rule.map_or_else(EvidenceHash::default, |r| case.evidence(id, r, said));
        let standing = match (word.phase, self.reported) {
            (Phase::Final, _) | (_, Some((_, Standing::Final))) => Standing::Final,
            _ => Standing::Provisional,
        };
        match (word.phase, word.said.payout) {
            (Phase::Disputed, _) => {
                let was = std::mem::replace(&mut self.disputed, true);
                (!was).then(|| SettlementState::Disputed { payout: self.reported.map(|(p, _)| p) })
            }
            (_, Some(payout)) => {
                let evidence = hash(self, word.said);
                self.named(payout, standing, evidence)
            }
            (Phase::Final, None) if CALLED_OFF.contains(&word.said.word.as_str()) => {
                self.reported = None;
                Some(SettlementState::Void { evidence: hash(self, word.said) })
            }
            (Phase::Final, None) => match self.reported {
                // The outcome that was named, undisputed, is the one that is paid.
                Some((payout, _)) if !self.disputed => {
                    let evidence = hash(self, Said { payout: Some(payout), ..word.said });
                    self.named(payout, Standing::Final, evidence)
                }
                _ => Some(SettlementState::Unprovable { reason: Unproved::NoPayout }),
            },
            _ => None,
        }
    }

    /// An outcome was named; says what is new about it.
    fn named(&mut self, payout: Ppm, standing: Standing, evidence: EvidenceHash) -> Option<SettlementState> {
        let before = self.reported.replace((payout, standing));
        let disputed = std::mem::replace(&mut self.disputed, false);
        match before {
            Some((from, _)) if from != payout => {
                Some(SettlementState::Amended { from, to: payout, evidence, standing })
            }
            Some((_, was)) if was == standing && !disputed => None,
            _ => Some(SettlementState::Settled { payout, evidence, standing, check: Check::None }),
        }
    }

    /// Holds the computed outcome against the venue's.
    fn compare(&mut self) {
        let (Computed::Payout(computed, evidence, check), Some((reported, standing))) =
            (self.computed, self.reported)
        else {
            return;
        };
        let stood =
            matches!(self.queue.last().or(self.last.as_ref()), Some(SettlementState::Mismatch { .. }));
        if computed != reported {
            self.queue.push(SettlementState::Mismatch { computed, reported, standing, evidence });
        } else if stood {
            let standing = Standing::Final;
            self.queue.push(SettlementState::Settled { payout: computed, evidence, standing, check });
        }
    }

    /// Says everything there is to say.
    pub(super) fn flush(&mut self, id: &MarketId, now: Timestamp, out: &mut Vec<SettlementRecord>) {
        let unsaid = self.last.is_none() && self.queue.is_empty();
        match self.computed {
            Computed::Payout(payout, evidence, check) if unsaid => {
                let standing = Standing::Final;
                self.queue.push(SettlementState::Settled { payout, evidence, standing, check });
                self.compare();
            }
            Computed::Unproved(reason) if unsaid => self.queue.push(SettlementState::Unprovable { reason }),
            _ => {}
        }
        self.take_words(id);
        let rule = self.rule().map(SettlementRule::reference);
        for state in std::mem::take(&mut self.queue) {
            let replaces = (self.no > 0).then_some(self.no);
            self.no += 1;
            self.last = Some(state);
            out.push(SettlementRecord {
                market: id.clone(),
                closes_at: self.terms.as_ref().and_then(|terms| terms.closes_at),
                rule,
                no: self.no,
                replaces,
                said_at: now,
                state,
            });
        }
    }
}
