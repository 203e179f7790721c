//! The board: open questions, market facts and verdicts about miners, for miners that run elsewhere.
//!
//! It is a bounded memory by position, so a reader that falls behind is told what it missed and nothing waits for it.
//! It knows no commitment, nonce or forecast: what is sealed cannot be read here.

use std::collections::VecDeque;

use minicbor::{Decode, Encode};
use schemas::public::{self, MinerChannel};
use schemas::verdict::What;
use schemas::{
    IndexTick, MarketEvent, Micros, MinerId, Question, QuestionId, Quote, Record, RejectCode, Score,
    Timestamp, Verdict,
};

use crate::wire;

/// The bounds of a board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BoardLimits {
    /// Market facts: more than two hours of a tick a second.
    #[n(0)]
    pub facts: u32,
    /// Questions.
    #[n(1)]
    pub questions: u32,
    /// Verdicts about miners.
    #[n(2)]
    pub told: u32,
}

impl Default for BoardLimits {
    fn default() -> Self {
        Self { facts: 8_192, questions: 1_024, told: 8_192 }
    }
}

/// The newest things of one kind, numbered from 1 without holes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Ring<T> {
    #[n(0)]
    head: u64,
    #[n(1)]
    items: VecDeque<T>,
}

impl<T> Ring<T> {
    fn new() -> Self {
        Self { head: 0, items: VecDeque::new() }
    }

    fn push(&mut self, max: u32, item: impl FnOnce(u64) -> T) {
        self.head += 1;
        self.items.push_back(item(self.head));
        while self.items.len() > max.max(1) as usize {
            self.items.pop_front();
        }
    }

    /// Position of the oldest; one past the head when there is none.
    fn oldest(&self) -> u64 {
        self.head + 1 - self.items.len() as u64
    }

    /// Everything from this position on that is kept.
    fn from(&self, next: u64) -> impl Iterator<Item = &T> {
        let skip = next.saturating_sub(self.oldest());
        self.items.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }
}

/// What a market fact says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FactBody {
    /// A value of an index.
    #[n(0)]
    Tick(#[n(0)] IndexTick),
    /// Best bid and ask.
    #[n(1)]
    Quote(#[n(0)] Quote),
}

/// A market fact with its position.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fact {
    /// Position.
    #[n(0)]
    pub seq: u64,
    /// When it was recorded.
    #[n(1)]
    pub at: Timestamp,
    /// What it says.
    #[n(2)]
    pub body: FactBody,
}

/// A question with its position.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Asked {
    /// Position.
    #[n(0)]
    pub seq: u64,
    /// The newest market fact when it opened.
    #[n(1)]
    pub market_seq: u64,
    /// The question.
    #[n(2)]
    pub question: Question,
}

/// What was said about a miner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToldBody {
    /// A submission was admitted.
    #[n(0)]
    Accepted(#[n(0)] What, #[n(1)] Option<QuestionId>),
    /// A submission was refused.
    #[n(1)]
    Rejected(#[n(0)] What, #[n(1)] Option<QuestionId>, #[n(2)] RejectCode),
    /// A score.
    #[n(2)]
    Scored(#[n(0)] Score),
    /// Stake moved: question, by how much, to what.
    #[n(3)]
    Settled(#[n(0)] QuestionId, #[n(1)] Micros, #[n(2)] Micros),
}

/// What was said about a miner, with its position.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Told {
    /// Position.
    #[n(0)]
    pub seq: u64,
    /// When.
    #[n(1)]
    pub at: Timestamp,
    /// About whom.
    #[n(2)]
    pub miner: MinerId,
    /// What.
    #[n(3)]
    pub body: ToldBody,
}

/// Where a reader goes on; `None` for a channel it does not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Next question.
    pub questions: Option<u64>,
    /// Next market fact.
    pub market: Option<u64>,
    /// Next verdict, and about whom.
    pub told: Option<(u64, MinerId)>,
}

/// One thing a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Positions that are not kept any more.
    Gap(MinerChannel, u64, u64),
    /// A question.
    Question(Asked),
    /// A market fact.
    Fact(Fact),
    /// A verdict.
    Told(Told),
}

/// The board.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Board {
    #[n(0)]
    limits: BoardLimits,
    #[n(1)]
    facts: Ring<Fact>,
    #[n(2)]
    questions: Ring<Asked>,
    #[n(3)]
    told: Ring<Told>,
}

impl Board {
    /// A board on which nothing is written.
    pub fn new(limits: BoardLimits) -> Self {
        Self { limits, facts: Ring::new(), questions: Ring::new(), told: Ring::new() }
    }

    /// Takes a market event; says whether a reader may want to look.
    pub fn market(&mut self, record: &Record<MarketEvent>) -> bool {
        let body = match &record.body {
            MarketEvent::Tick(tick) => FactBody::Tick(tick.clone()),
            MarketEvent::Quote(quote) => FactBody::Quote(quote.clone()),
            MarketEvent::Listed(_) | MarketEvent::Resolved(_) | MarketEvent::Feed(_) => return false,
        };
        self.facts.push(self.limits.facts, |seq| Fact { seq, at: record.at, body });
        true
    }

    /// Takes a verdict; says whether a reader may want to look.
    pub fn verdict(&mut self, record: &Record<Verdict>) -> bool {
        let (miner, body) = match &record.body {
            Verdict::QuestionOpened(question) => {
                let (market_seq, question) = (self.facts.head, question.clone());
                self.questions.push(self.limits.questions, |seq| Asked { seq, market_seq, question });
                return true;
            }
            Verdict::MinerListed(joined) => (joined.miner, ToldBody::Accepted(What::Registry, None)),
            Verdict::Accepted { what, miner: Some(miner), question } => {
                (*miner, ToldBody::Accepted(*what, *question))
            }
            Verdict::Rejected { what, miner: Some(miner), question, code } => {
                (*miner, ToldBody::Rejected(*what, *question, *code))
            }
            Verdict::Scored(score) => (score.miner, ToldBody::Scored(score.clone())),
            Verdict::Settled(s) => (s.miner, ToldBody::Settled(s.question, s.delta, s.stake_after)),
            _ => return false,
        };
        self.told.push(self.limits.told, |seq| Told { seq, at: record.at, miner, body });
        true
    }

    /// Questions that may be committed to or revealed now, or all that are kept.
    pub fn questions(&self, now: Option<Timestamp>) -> impl Iterator<Item = &Asked> {
        self.questions.items.iter().filter(move |q| now.is_none_or(|now| now < q.question.reveal_closes_at))
    }

    /// Facts after a position about one index, and quotes: at most `limit`, the position to read on from, and whether
    /// more follow.
    pub fn history(&self, symbol: &str, since: u64, limit: usize) -> (Vec<&Fact>, u64, bool) {
        let wanted = |fact: &&Fact| match &fact.body {
            FactBody::Tick(tick) => tick.symbol == symbol,
            FactBody::Quote(_) => true,
        };
        let mut found: Vec<&Fact> =
            self.facts.from(since.saturating_add(1)).filter(wanted).take(limit + 1).collect();
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().map(|fact| fact.seq).filter(|_| more);
        (found, last.unwrap_or(self.facts.head), more)
    }

    /// Position of the oldest fact that is kept.
    pub fn oldest_fact(&self) -> u64 {
        self.facts.oldest()
    }

    /// Where a reader that begins now goes on.
    pub fn ends(&self) -> (u64, u64) {
        (self.facts.head + 1, self.told.head + 1)
    }

    /// The oldest question that is kept.
    pub fn oldest_question(&self) -> u64 {
        self.questions.oldest()
    }

    /// The next things after a cursor, at most `max` and a gap or two, and where to go on. A question comes after the
    /// facts that were known when it opened and before those that were not, as hosted forecasters hear it.
    pub fn read(&self, cursor: &mut Cursor, max: usize) -> Vec<Item> {
        let mut out = Vec::new();
        gap(
            &mut cursor.questions,
            self.questions.oldest(),
            self.questions.head,
            MinerChannel::Questions,
            &mut out,
        );
        gap(&mut cursor.market, self.facts.oldest(), self.facts.head, MinerChannel::Market, &mut out);
        let mut questions = cursor.questions.map(|next| self.questions.from(next).peekable());
        let mut facts = cursor.market.map(|next| self.facts.from(next).peekable());
        while out.len() < max {
            let question = questions.as_mut().and_then(|q| q.peek().copied());
            let fact = facts.as_mut().and_then(|f| f.peek().copied());
            match (question, fact) {
                (Some(q), f) if f.is_none_or(|f| f.seq > q.market_seq) => {
                    cursor.questions = Some(q.seq + 1);
                    out.push(Item::Question(q.clone()));
                    questions.as_mut().map(Iterator::next);
                }
                (_, Some(f)) => {
                    cursor.market = Some(f.seq + 1);
                    out.push(Item::Fact(f.clone()));
                    facts.as_mut().map(Iterator::next);
                }
                (_, None) => break,
            }
        }
        self.read_told(cursor, max, &mut out);
        out
    }

    fn read_told(&self, cursor: &mut Cursor, max: usize, out: &mut Vec<Item>) {
        let Some((next, miner)) = cursor.told else { return };
        let mut at = Some(next);
        gap(&mut at, self.told.oldest(), self.told.head, MinerChannel::Miner, out);
        let mut next = at.unwrap_or(next);
        for told in self.told.from(next) {
            if out.len() >= max {
                break;
            }
            next = told.seq + 1;
            if told.miner == miner {
                out.push(Item::Told(told.clone()));
            }
        }
        cursor.told = Some((next, miner));
    }
}

/// Moves a reader past what is not kept any more and says so; one that is ahead of a younger history begins there.
fn gap(next: &mut Option<u64>, oldest: u64, head: u64, channel: MinerChannel, out: &mut Vec<Item>) {
    match next {
        Some(at) if *at < oldest => {
            out.push(Item::Gap(channel, *at, oldest - 1));
            *at = oldest;
        }
        Some(at) if *at > head + 1 => *at = head + 1,
        _ => {}
    }
}

/// A question as a miner sees it.
pub(crate) fn question(asked: &Asked, network: &[u8; 32], now: Timestamp) -> public::Question {
    let q = &asked.question;
    let phase = if now < q.commit_closes_at {
        "commit"
    } else if now < q.reveal_closes_at {
        "reveal"
    } else {
        "waiting"
    };
    public::Question {
        seq: asked.seq,
        id: q.id.to_string(),
        network: hex::encode(network),
        topic: q.topic.to_string(),
        rules_version: q.rules_version,
        rules_hash: hex::encode(q.rules_hash),
        market: public::MarketRef { venue: q.market.venue.to_string(), market_id: q.market.native.clone() },
        symbol: q.symbol.clone(),
        strike: q.strike.to_string(),
        market_starts_at: wire::exact_time(q.market_starts_at),
        opens_at: wire::exact_time(q.opens_at),
        commit_closes_at: wire::exact_time(q.commit_closes_at),
        reveal_closes_at: wire::exact_time(q.reveal_closes_at),
        resolves_at: wire::exact_time(q.resolves_at),
        reference: q.reference.as_f64(),
        reference_ppm: q.reference.0,
        reference_source: q.reference_source.clone(),
        input_watermark: wire::exact_time(q.input_watermark),
        market_mid_ppm: q.market_mid.map(|p| p.0),
        market_seq: asked.market_seq,
        phase: phase.to_owned(),
    }
}

/// A market fact as a miner sees it.
pub(crate) fn fact(fact: &Fact) -> public::MarketFact {
    let (tick, quote) = match &fact.body {
        FactBody::Tick(tick) => {
            let (symbol, value) = (tick.symbol.clone(), tick.value.to_string());
            (Some(public::TickFact { symbol, feed_at: wire::exact_time(tick.feed_at), value }), None)
        }
        FactBody::Quote(quote) => {
            let (venue, market_id) = (quote.market.venue.to_string(), quote.market.native.clone());
            let (bid_micros, ask_micros) = (quote.bid.map(|p| p.0), quote.ask.map(|p| p.0));
            let market = public::MarketRef { venue, market_id };
            (None, Some(public::QuoteFact { market, bid_micros, ask_micros }))
        }
    };
    public::MarketFact { seq: fact.seq, at: wire::exact_time(fact.at), tick, quote }
}

/// A verdict as a miner sees it.
pub(crate) fn told(told: &Told) -> public::MinerVerdict {
    let mut out = public::MinerVerdict {
        seq: told.seq,
        at: wire::exact_time(told.at),
        miner: told.miner.to_string(),
        question: None,
        what: String::new(),
        code: String::new(),
        score: None,
        reference_score: None,
        delta: None,
        stake: None,
    };
    let (question, what, code) = match &told.body {
        ToldBody::Accepted(what, question) => (*question, what_name(*what), "accepted"),
        ToldBody::Rejected(what, question, code) => (*question, what_name(*what), code.code()),
        ToldBody::Scored(score) => {
            out.score = Some(score.score.as_f64());
            out.reference_score = Some(score.reference.as_f64());
            (Some(score.question), "score", wire::score_status(score.status))
        }
        ToldBody::Settled(question, delta, stake) => {
            (out.delta, out.stake) = (Some(wire::money(*delta)), Some(wire::money(*stake)));
            (Some(*question), "settlement", "settled")
        }
    };
    out.question = question.map(|q| q.to_string());
    (out.what, out.code) = (what.to_owned(), code.to_owned());
    out
}

const fn what_name(what: What) -> &'static str {
    match what {
        What::Commitment => "commitment",
        What::Reveal => "reveal",
        What::Registry => "registration",
        What::Report => "report",
        What::Account => "account",
        What::Vote => "vote",
    }
}
