//! Books: snapshots and changes applied, losses told, snapshots asked for again; a book is live only while every frame
//! of its subscription was seen.

use schemas::{BookSide, BookState, GapReason, InstrumentNo, TapeBody, Timestamp};

use super::machine::Kalshi;
use super::sub::{Channel, Step};
use super::wire::{self, DOLLAR, Delta, Snapshot};
use crate::deed::VenueOutput;
use crate::shelf::Origin;

/// A first snapshot may take this many times longer than one that was asked for.
const FIRST_SNAPSHOT: i64 = 3;

impl Kalshi {
    #[inline]
    pub(crate) fn on_delta(
        &mut self,
        sid: u32,
        delta: &Delta<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(no) = self.shelf.find(delta.ticker) else {
            self.shelf.counts.foreign += 1;
            return;
        };
        let Some(mark) = self.marks.get(no.0 as usize).filter(|mark| mark.sid == sid) else {
            return self.on_idle_delta(no);
        };
        let was_crossed = mark.crossed;
        let mut origin = *origin;
        origin.times.venue_at = delta.ts_ms.map(Timestamp::from_millis);
        let price = if delta.side == BookSide::Bid { delta.price } else { DOLLAR - delta.price };
        if !self.shelf.add(no, delta.side, price, delta.delta, &origin, out) {
            self.lose_one(no, GapReason::NegativeLevel, &origin, out);
            return;
        }
        let crossed = self.is_crossed(no);
        if crossed != was_crossed {
            self.set_crossed(no, crossed);
        }
    }

    /// A change for a book that is not live: it is older than the snapshot that will come, or nobody wants it any more.
    #[cold]
    fn on_idle_delta(&mut self, no: InstrumentNo) {
        let wanted = self.marks.get(no.0 as usize).is_some_and(|mark| mark.wanted);
        if wanted || self.config.capture {
            self.shelf.counts.stale_dropped += 1;
        } else {
            self.shelf.counts.foreign += 1;
        }
    }

    /// Best yes bid above best yes ask. Equal prices (yes + no = 1.00) are locked and legal.
    #[inline]
    fn is_crossed(&self, no: InstrumentNo) -> bool {
        self.shelf.slot(no).is_some_and(|slot| {
            let best = (slot.book.best(BookSide::Bid), slot.book.best(BookSide::Ask));
            matches!(best, (Some(bid), Some(ask)) if bid.price > ask.price)
        })
    }

    #[cold]
    fn set_crossed(&mut self, no: InstrumentNo, crossed: bool) {
        self.shelf.counts.crossed += u64::from(crossed);
        self.marks[no.0 as usize].crossed = crossed;
    }

    pub(crate) fn on_snapshot(
        &mut self,
        at: usize,
        sid: u32,
        snapshot: &Snapshot<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let no = if self.config.capture {
            Some(self.market(snapshot.ticker, origin, out))
        } else {
            self.shelf.find(snapshot.ticker).filter(|no| {
                let mark = &self.marks[no.0 as usize];
                mark.wanted && mark.sub == at
            })
        };
        let Some(no) = no else {
            self.shelf.counts.foreign += 1;
            return;
        };
        let mark = &mut self.marks[no.0 as usize];
        if self.config.capture && mark.sub != at {
            self.subs[at].members.push(no);
        }
        (mark.wanted, mark.sub, mark.sid, mark.tries, mark.until) = (true, at, sid, 0, Timestamp::MAX);
        self.shelf.clear(no, origin, out);
        for (side, text) in [(BookSide::Bid, snapshot.yes), (BookSide::Ask, snapshot.no)] {
            let load = |level: wire::WireLevel| {
                let price = if side == BookSide::Bid { level.price } else { DOLLAR - level.price };
                self.shelf.load(no, side, price, level.qty, origin, out);
                true
            };
            // The text was read once before: it cannot fail here.
            let _ = text.map(|text| wire::levels(text, load));
        }
        self.shelf.loaded(no, origin, out);
        if self.paused {
            self.shelf.age(no, origin, out);
        }
        let (was, crossed) = (self.marks[no.0 as usize].crossed, self.is_crossed(no));
        if was != crossed {
            self.set_crossed(no, crossed);
        }
    }

    /// One book is lost; its snapshot is asked for.
    pub(crate) fn lose_one(
        &mut self,
        no: InstrumentNo,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(mark) = self.marks.get_mut(no.0 as usize) else { return };
        (mark.sid, mark.crossed) = (0, false);
        let at = mark.sub;
        self.shelf.lose(no, reason, origin, out);
        if !self.config.capture && self.marks[no.0 as usize].wanted {
            self.await_snapshot(no, 1);
            self.ask_snapshots(at, &[no], out);
        }
    }

    /// Everything a subscription keeps is lost.
    pub(crate) fn lose_sub(
        &mut self,
        at: usize,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(sub) = self.subs.get(at) else { return };
        let (channel, sid) = (sub.channel, sub.sid);
        for place in 0..sub.members.len() {
            let no = self.subs[at].members[place];
            match channel {
                Channel::Book => {
                    let mark = &mut self.marks[no.0 as usize];
                    if mark.sid == sid && sid != 0 {
                        (mark.sid, mark.crossed) = (0, false);
                        self.shelf.lose(no, reason, origin, out);
                    }
                }
                Channel::Index | Channel::Index5 => self.shelf.lose(no, reason, origin, out),
                _ => {}
            }
        }
    }

    /// Frames of a subscription were lost.
    #[cold]
    pub(crate) fn on_lost(
        &mut self,
        at: usize,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.subs[at].doubt = false;
        match self.subs[at].channel {
            Channel::Book => {
                self.lose_sub(at, reason, origin, out);
                self.recover(at, out);
            }
            Channel::Index | Channel::Index5 => {
                self.lose_sub(at, reason, origin, out);
                self.reopen(at, reason, origin, out);
            }
            _ => {
                self.shelf.counts.gaps += 1;
                let since = self.subs[at].heard_at;
                self.subs[at].gap.get_or_insert((reason, since));
                if self.config.capture {
                    self.tell_gap(at, origin, out);
                } else {
                    self.reopen(at, reason, origin, out);
                }
            }
        }
    }

    /// Says which stretch of a subscription without a book was missed; the books themselves stand as they stood.
    pub(crate) fn tell_gap(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some((reason, from)) = self.subs[at].gap.take() else { return };
        let gap = BookState::Gap { reason, from, to: Some(origin.times.recv_at) };
        let members = std::mem::take(&mut self.subs[at].members);
        for no in &members {
            let stands = self.shelf.slot(*no).map(|slot| slot.state);
            self.shelf.push(*no, TapeBody::State(gap), origin, out);
            if let Some(stands) = stands {
                self.shelf.push(*no, TapeBody::State(stands), origin, out);
            }
        }
        if members.is_empty() {
            self.shelf.push(InstrumentNo::NONE, TapeBody::State(gap), origin, out);
        }
        self.subs[at].members = members;
    }

    /// Asks for the snapshots of all books of a subscription that are not live.
    pub(crate) fn recover(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        if self.config.capture || self.subs.get(at).is_none_or(|sub| sub.channel != Channel::Book) {
            return;
        }
        let missing: Vec<InstrumentNo> =
            self.subs[at].members.iter().copied().filter(|no| self.marks[no.0 as usize].sid == 0).collect();
        for no in &missing {
            self.await_snapshot(*no, 1);
        }
        self.ask_snapshots(at, &missing, out);
    }

    fn await_snapshot(&mut self, no: InstrumentNo, times: i64) {
        let until = self.now.plus(self.config.resync_ns.max(1).saturating_mul(times));
        self.marks[no.0 as usize].until = until;
        self.due_at(until);
    }

    /// After a subscription was asked for: its books must come.
    pub(crate) fn await_sub(&mut self, at: usize) {
        if self.config.capture || self.subs[at].channel != Channel::Book {
            return;
        }
        for place in 0..self.subs[at].members.len() {
            let no = self.subs[at].members[place];
            if self.marks[no.0 as usize].sid == 0 {
                self.await_snapshot(no, FIRST_SNAPSHOT);
            }
        }
    }

    pub(crate) fn await_all(&mut self) {
        (0..self.subs.len()).for_each(|at| self.await_sub(at));
    }

    /// Closes a subscription and opens it again; what it keeps is lost until then.
    pub(crate) fn reopen(
        &mut self,
        at: usize,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        if self.config.capture {
            return;
        }
        self.lose_sub(at, reason, origin, out);
        self.unsubscribe(at, out);
        self.subscribe(at, out);
        self.await_sub(at);
    }

    /// Snapshots that did not come in time: asked for again, then the subscription is opened anew, then, if nothing
    /// of it lives, the connection is given up. A single market that never answers is asked for ever more rarely.
    pub(crate) fn run_books(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let tries = self.config.snapshot_tries;
        let mut asks: Vec<(usize, InstrumentNo)> = Vec::new();
        let (mut anew, mut dead) = (std::collections::BTreeSet::new(), false);
        for place in 0..self.marks.len() {
            let no = InstrumentNo(place as u32);
            let mark = &mut self.marks[place];
            if mark.until > self.now {
                let until = mark.until;
                self.due_at(until);
                continue;
            }
            let at = mark.sub;
            if self.subs.get(at).is_none_or(|sub| sub.sid == 0) {
                self.await_snapshot(no, FIRST_SNAPSHOT);
                continue;
            }
            mark.tries = mark.tries.saturating_add(1);
            let tried = mark.tries;
            self.shelf.counts.failed_requests += 1;
            match tried {
                n if n == tries + 1 => drop(anew.insert(at)),
                n if n == tries + 2 && !self.any_live(at) => dead = true,
                _ => asks.push((at, no)),
            }
            let wait = self.patience(tried.saturating_sub(tries + 2));
            let until = self.now.plus(wait);
            self.marks[place].until = until;
            self.due_at(until);
        }
        if dead {
            self.give_up(GapReason::Disconnected, origin, out);
            return;
        }
        asks.retain(|(at, _)| !anew.contains(at));
        for group in asks.chunk_by(|a, b| a.0 == b.0) {
            let markets: Vec<InstrumentNo> = group.iter().map(|(_, no)| *no).collect();
            self.ask_snapshots(group[0].0, &markets, out);
        }
        for at in anew {
            self.reopen(at, GapReason::SequenceSkipped, origin, out);
        }
    }

    fn any_live(&self, at: usize) -> bool {
        self.subs[at].members.iter().any(|no| self.marks[no.0 as usize].sid != 0)
    }

    /// A frame may have been lost: the books it may have changed are old until the next counter proves them good.
    #[cold]
    pub(crate) fn doubt(&mut self, sid: Option<u32>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.quarantined += 1;
        for at in 0..self.subs.len() {
            let sub = &mut self.subs[at];
            if sub.sid == 0 || !sub.channel.sequenced() || sid.is_some_and(|sid| sid != sub.sid) {
                continue;
            }
            sub.doubt = true;
            let probe = sub.channel == Channel::Book;
            for place in 0..self.subs[at].members.len() {
                let no = self.subs[at].members[place];
                if self.marks[no.0 as usize].sid == self.subs[at].sid {
                    self.shelf.age(no, origin, out);
                }
            }
            // An answer has a counter: it proves the books good or shows what is missing.
            if probe && !self.config.capture {
                let one: Vec<InstrumentNo> = self.subs[at].members.first().copied().into_iter().collect();
                self.ask_snapshots(at, &one, out);
            }
        }
    }

    /// The counter went on without a hole: the books in doubt are good.
    #[cold]
    pub(crate) fn believe(&mut self, at: usize, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.paused {
            return;
        }
        for place in 0..self.subs[at].members.len() {
            let no = self.subs[at].members[place];
            if self.marks[no.0 as usize].sid == self.subs[at].sid {
                self.shelf.heard(no, origin, out);
            }
        }
    }

    /// A frame that cannot be read: its counter counts, and what it may have changed is lost.
    #[cold]
    pub(crate) fn on_unreadable(&mut self, bytes: &[u8], origin: &mut Origin, out: &mut Vec<VenueOutput>) {
        let found = wire::remains(bytes);
        let at = found.sid.and_then(|sid| self.subs.iter().position(|sub| sub.sid == sid));
        let (Some(at), Some(seq)) = (at, found.seq) else {
            let known = at.is_some() || found.sid.is_some_and(|sid| self.closing.contains(&sid));
            return self.doubt(found.sid.filter(|_| known), origin, out);
        };
        self.shelf.counts.quarantined += 1;
        if !self.subs[at].channel.sequenced() {
            return;
        }
        origin.venue_seq = seq;
        match self.subs[at].step(seq) {
            Step::Duplicate => {}
            Step::Lost(reason) => self.on_lost(at, reason, origin, out),
            Step::Next => self.on_unreadable_next(at, found.ticker, origin, out),
        }
    }

    fn on_unreadable_next(
        &mut self,
        at: usize,
        ticker: Option<&[u8]>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        if std::mem::take(&mut self.subs[at].doubt) {
            self.believe(at, origin, out);
        }
        if self.subs[at].channel != Channel::Book {
            self.shelf.counts.gaps += 1;
            self.lose_sub(at, GapReason::Unreadable, origin, out);
            let since = self.subs[at].heard_at;
            if !matches!(self.subs[at].channel, Channel::Index | Channel::Index5) {
                self.subs[at].gap.get_or_insert((GapReason::Unreadable, since));
                self.tell_gap(at, origin, out);
            }
            return;
        }
        let one = ticker.and_then(|ticker| self.shelf.find(ticker));
        if let Some(no) = one.filter(|no| self.marks[no.0 as usize].sub == at) {
            self.lose_one(no, GapReason::Unreadable, origin, out);
        } else {
            self.lose_sub(at, GapReason::Unreadable, origin, out);
            self.recover(at, out);
        }
    }
}
