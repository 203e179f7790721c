//! Two connections to one venue, one stream of rows: the first arrival counts, the second proves it; a leg is lost
//! without a gap as long as the other one lives.
//!
//! Each leg is a whole machine of the venue with connections and requests of its own; a number's lowest bit names the
//! leg. Per book the changes said lately form a `Story`. A leg with a place in the story confirms what the other one
//! said first, or is ahead and speaks. A leg without a place (after a snapshot that nobody has seen yet, or after a
//! change that contradicts the story) stands by, and finds its place again as soon as its book equals one the story
//! had. When no leg with a place is live, the one that is live takes over: what is missing is said as the difference
//! of two books. A gap is said only when both legs are lost.
//!
//! Limit: a leg that stands by ahead of the other is not used before the market pauses for the length of the lag, or
//! the leading leg is silent for [`RedundantConfig::switch_ns`].

mod once;
mod story;

use schemas::{
    BookSide, BookState, Digest, GapReason, InstrumentNo, Machine, Raw, Record, TapeBody, TapeRow, Timestamp,
    Venue,
};

use crate::book::{Book, Level};
use crate::counts::Counts;
use crate::deed::{Deed, VenueOutput};
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;
use once::{Once, key};
use story::{Change, Story, Verdict};

/// Settings of a [`Redundant`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedundantConfig {
    /// Trades remembered by id.
    pub trades: usize,
    /// Other rows (lifecycle, index, candles, quotes, tick sizes) remembered by content.
    pub others: usize,
    /// Equal content said later than this is another event, nanoseconds.
    pub window_ns: i64,
    /// A leg that stands by takes a book over when the other one says nothing of it for so long, nanoseconds.
    pub switch_ns: i64,
}

impl Default for RedundantConfig {
    fn default() -> Self {
        let second = schemas::time::NANOS_PER_SEC;
        Self { trades: 1 << 16, others: 1 << 14, window_ns: 600 * second, switch_ns: 2 * second }
    }
}

/// What one leg did for the outgoing stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// Rows it was first with.
    pub wins: u64,
    /// Rows it confirmed.
    pub duplicates: u64,
    /// Sum of how far it was behind with those, nanoseconds.
    pub lag_sum_ns: i64,
    /// The longest of them, nanoseconds.
    pub lag_max_ns: i64,
    /// Books it took over without a gap.
    pub takeovers: u64,
    /// Times it lost its place in a book's story.
    pub standbys: u64,
}

/// Two machines of one venue as one.
#[derive(Clone, Debug)]
pub struct Redundant<M> {
    config: RedundantConfig,
    legs: [M; 2],
    stats: [LegStats; 2],
    seen: [Counts; 2],
    /// The outgoing number of each leg's instruments.
    outer: [Vec<InstrumentNo>; 2],
    shelf: Shelf,
    stories: Vec<Story>,
    trades: Once,
    others: Once,
    /// Earliest time a leg that stands by may take over.
    due: Timestamp,
    now: Timestamp,
    /// Reused: what a leg is told, what it says, which books it touched.
    told: Record<Raw>,
    said: Vec<VenueOutput>,
    touched: Vec<Touched>,
}

/// A book that a leg's record concerned.
#[derive(Clone, Copy, Debug)]
struct Touched {
    no: InstrumentNo,
    /// A new book was begun; its changes since then are judged as one.
    reset: bool,
    /// Changes of the leg were passed on.
    spoke: bool,
    origin: Origin,
}

impl<M: VenueMachine> Redundant<M> {
    /// Two machines of one venue, fresh, with different seeds so that they do not reconnect at the same time.
    pub fn new(config: RedundantConfig, legs: [M; 2]) -> Self {
        Self {
            legs,
            stats: [LegStats::default(); 2],
            seen: [Counts::default(); 2],
            outer: [Vec::new(), Vec::new()],
            shelf: Shelf::default(),
            stories: Vec::new(),
            trades: Once::new(config.trades, 0),
            others: Once::new(config.others, config.window_ns),
            due: Timestamp::MAX,
            now: Timestamp::ZERO,
            told: Record { seq: 0, at: Timestamp::ZERO, body: Raw::TimeAdvanced { to: Timestamp::ZERO } },
            said: Vec::new(),
            touched: Vec::new(),
            config,
        }
    }

    /// One of the two machines, 0 or 1.
    pub fn leg(&self, leg: usize) -> Option<&M> {
        self.legs.get(leg)
    }

    /// What each leg did for the stream.
    pub fn stats(&self) -> &[LegStats; 2] {
        &self.stats
    }

    /// Lets a leg read `self.told` and passes on what follows.
    fn run(&mut self, leg: usize, out: &mut Vec<VenueOutput>) {
        let mut said = std::mem::take(&mut self.said);
        self.legs[leg].apply(&self.told, &mut said);
        for output in said.drain(..) {
            match output {
                VenueOutput::Deed(deed) => out.push(VenueOutput::Deed(numbered(deed, leg as u32))),
                VenueOutput::Row(row) => self.row(leg, row, out),
            }
        }
        self.said = said;
        let mut touched = std::mem::take(&mut self.touched);
        for touch in touched.drain(..) {
            self.settle(leg, touch, out);
        }
        self.touched = touched;
        self.absorb(leg);
    }

    fn row(&mut self, leg: usize, mut row: TapeRow, out: &mut Vec<VenueOutput>) {
        let origin = Origin { raw_seq: row.raw_seq, venue_seq: row.venue_seq, times: row.times };
        if let TapeBody::Instrument(instrument) = row.body {
            return self.introduce(leg, row.instrument, *instrument, &origin, out);
        }
        let Some(no) = self.outer_of(leg, row.instrument) else { return };
        match row.body {
            // A book belongs to an instrument.
            TapeBody::Clear | TapeBody::State(_) | TapeBody::Level { .. } if no == InstrumentNo::NONE => {}
            TapeBody::Clear => self.touch(no, origin).reset = true,
            TapeBody::State(_) => {
                self.touch(no, origin);
            }
            TapeBody::Level { side, price, qty, .. } => {
                if !self.touch(no, origin).reset {
                    self.change(leg, no, Change::Level { side, price, qty }, &origin, out);
                }
            }
            _ => {
                row.instrument = no;
                self.once(leg, row, out);
            }
        }
    }

    fn introduce(
        &mut self,
        leg: usize,
        inner: InstrumentNo,
        instrument: schemas::Instrument,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let native = instrument.native.clone();
        let market = instrument.market.clone();
        let no = self.shelf.intern(native.as_bytes(), origin, out, || instrument);
        if !market.is_empty() {
            self.shelf.name_market(no, &market, origin, out);
        }
        let at = no.0 as usize;
        if self.stories.len() <= at {
            self.stories.resize_with(at + 1, Story::default);
        }
        self.stories[at].legs[leg].inner = Some(inner);
        let outer = &mut self.outer[leg];
        if outer.len() <= inner.0 as usize {
            outer.resize(inner.0 as usize + 1, InstrumentNo::NONE);
        }
        outer[inner.0 as usize] = no;
    }

    #[inline]
    fn outer_of(&self, leg: usize, inner: InstrumentNo) -> Option<InstrumentNo> {
        if inner == InstrumentNo::NONE {
            return Some(inner);
        }
        self.outer[leg].get(inner.0 as usize).copied()
    }

    /// The note about a book in this record; frames rarely touch more than two.
    fn touch(&mut self, no: InstrumentNo, origin: Origin) -> &mut Touched {
        let at = self.touched.iter().rposition(|t| t.no == no).unwrap_or(self.touched.len());
        if at == self.touched.len() {
            self.touched.push(Touched { no, reset: false, spoke: false, origin });
        }
        &mut self.touched[at]
    }

    /// A leg's book and state.
    fn of_leg(&self, leg: usize, no: InstrumentNo) -> Option<(&Book, BookState)> {
        let inner = self.stories.get(no.0 as usize)?.legs[leg].inner?;
        self.legs[leg].shelf().slot(inner).map(|slot| (&slot.book, slot.state))
    }

    fn is_live(&self, leg: usize, no: InstrumentNo) -> bool {
        self.of_leg(leg, no).is_some_and(|(_, state)| state.is_live())
    }

    fn change(
        &mut self,
        leg: usize,
        no: InstrumentNo,
        change: Change,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        // What led to a loss is not passed on: the other leg knows better.
        if !self.is_live(leg, no) {
            return;
        }
        let story = &mut self.stories[no.0 as usize];
        let had_place = story.follows(leg);
        match story.hear(leg, change, None, self.now) {
            Verdict::Duplicate(behind) => self.stats[leg].confirmed(behind, &mut self.shelf.counts),
            Verdict::Standby => self.stats[leg].standbys += u64::from(had_place),
            Verdict::New => {
                let Change::Level { side, price, qty } = change else { return };
                self.shelf.set(no, side, price, qty, origin, out);
                let hash = self.shelf.slot(no).map_or(0, |slot| slot.book.quick_hash());
                self.stories[no.0 as usize].said(leg, change, hash, self.now);
                self.stats[leg].wins += 1;
                self.touch(no, *origin).spoke = true;
            }
        }
    }

    /// Rows that are not about a book's levels.
    fn once(&mut self, leg: usize, row: TapeRow, out: &mut Vec<VenueOutput>) {
        let trade = matches!(row.body, TapeBody::Trade(_));
        let memory = if trade { &mut self.trades } else { &mut self.others };
        if let Err(behind) = memory.hear(leg, key(&row), self.now) {
            return self.stats[leg].confirmed(behind, &mut self.shelf.counts);
        }
        self.stats[leg].wins += 1;
        self.shelf.counts.fills += u64::from(trade);
        self.shelf.counts.rows += 1;
        out.push(VenueOutput::Row(row));
    }

    /// A leg has said everything about a book that its record brought.
    fn settle(&mut self, leg: usize, touch: Touched, out: &mut Vec<VenueOutput>) {
        let (no, now) = (touch.no, self.now);
        let Some((book, state)) = self.of_leg(leg, no) else { return };
        let hash = book.quick_hash();
        let ours = self.shelf.slot(no).map_or(0, |slot| slot.book.quick_hash());
        let story = &mut self.stories[no.0 as usize];
        match state {
            BookState::Gap { .. } | BookState::Resyncing { .. } => {
                story.legs[leg].cursor = None;
                story.legs[leg].waiting = None;
            }
            BookState::Live if touch.reset => self.reset(leg, &touch, hash, out),
            BookState::Live if touch.spoke && hash != ours => self.agree(leg, &touch, out),
            BookState::Live if story.level(leg) && hash != ours => {
                story.legs[leg].cursor = None;
                self.stats[leg].standbys += 1;
            }
            BookState::Live | BookState::Stale { .. } => {}
        }
        if state.is_live() && !self.stories[no.0 as usize].follows(leg) {
            self.stand_by(leg, no, now);
        }
        self.meet(1 - leg, &touch);
        self.keep_up(leg, &touch, out);
    }

    /// A leg began a new book.
    fn reset(&mut self, leg: usize, touch: &Touched, hash: u64, out: &mut Vec<VenueOutput>) {
        let no = touch.no;
        let lost = |state: BookState| matches!(state, BookState::Gap { .. } | BookState::Resyncing { .. });
        if self.shelf.slot(no).is_some_and(|slot| lost(slot.state)) {
            self.copy(leg, touch, out);
            self.stories[no.0 as usize].restart(leg, hash, self.now);
            self.stats[leg].wins += 1;
            return;
        }
        match self.stories[no.0 as usize].hear(leg, Change::Book, Some(hash), self.now) {
            Verdict::Duplicate(behind) => self.stats[leg].confirmed(behind, &mut self.shelf.counts),
            Verdict::New => {
                self.copy(leg, touch, out);
                self.stories[no.0 as usize].said(leg, Change::Book, hash, self.now);
                self.stats[leg].wins += 1;
            }
            Verdict::Standby => {}
        }
    }

    /// After a leg spoke the outgoing book must be the leg's: a venue may cut a book to its depth without a word.
    fn agree(&mut self, leg: usize, touch: &Touched, out: &mut Vec<VenueOutput>) {
        let Some((book, _)) = self.of_leg(leg, touch.no) else { return };
        let depth = book.side(BookSide::Bid).len().max(book.side(BookSide::Ask).len());
        let hash = book.quick_hash();
        self.shelf.truncate(touch.no, depth);
        if self.shelf.slot(touch.no).is_some_and(|slot| slot.book.quick_hash() == hash) {
            self.stories[touch.no.0 as usize].rehash(hash);
        } else {
            self.take_over(leg, touch, out);
        }
    }

    /// A leg without a place looks for one.
    fn stand_by(&mut self, leg: usize, no: InstrumentNo, now: Timestamp) {
        let Some((book, _)) = self.of_leg(leg, no) else { return };
        let hash = book.quick_hash();
        let ours = self.shelf.slot(no).map_or(0, |slot| slot.book.quick_hash());
        let story = &mut self.stories[no.0 as usize];
        if !story.find(leg, hash, ours) {
            let since = *story.legs[leg].waiting.get_or_insert(now);
            self.due = self.due.min(since.plus(self.config.switch_ns));
        }
    }

    /// The other leg stands by, and perhaps the story has just reached it.
    fn meet(&mut self, other: usize, touch: &Touched) {
        let story = &self.stories[touch.no.0 as usize];
        if !touch.spoke || story.follows(other) {
            return;
        }
        let Some((book, state)) = self.of_leg(other, touch.no) else { return };
        let ours = self.shelf.slot(touch.no).map_or(0, |slot| slot.book.quick_hash());
        if state.is_live() && book.quick_hash() == ours {
            self.stories[touch.no.0 as usize].find(other, ours, ours);
        }
    }

    /// The outgoing book lives as long as one leg does.
    fn keep_up(&mut self, leg: usize, touch: &Touched, out: &mut Vec<VenueOutput>) {
        let no = touch.no;
        let states = [0, 1].map(|l| self.of_leg(l, no).map(|(_, state)| state));
        let live = |l: usize| states[l].is_some_and(|state| state.is_live());
        let follows = |l: usize| self.stories[no.0 as usize].follows(l);
        if [0, 1].into_iter().any(|l| live(l) && follows(l)) {
            self.shelf.heard(no, &touch.origin, out);
            // Nobody live has confirmed everything: one catches up, or its own book is the better one.
            let level = |l: usize| live(l) && self.stories[no.0 as usize].level(l);
            if !level(0) && !level(1) {
                let behind = [leg, 1 - leg].into_iter().find(|l| live(*l)).unwrap_or(leg);
                let since = *self.stories[no.0 as usize].legs[behind].waiting.get_or_insert(self.now);
                self.due = self.due.min(since.plus(self.config.switch_ns));
            }
        } else if let Some(heir) = [leg, 1 - leg].into_iter().find(|l| live(*l)) {
            self.take_over(heir, touch, out);
        } else if states.iter().flatten().any(|state| matches!(state, BookState::Stale { .. })) {
            self.shelf.age(no, &touch.origin, out);
        } else {
            let reason = match states[leg].or(states[1 - leg]) {
                Some(BookState::Gap { reason, .. }) => reason,
                _ => GapReason::Disconnected,
            };
            self.shelf.lose(no, reason, &touch.origin, out);
        }
    }

    /// Says a leg's whole book.
    fn copy(&mut self, leg: usize, touch: &Touched, out: &mut Vec<VenueOutput>) {
        let Some(inner) = self.stories[touch.no.0 as usize].legs[leg].inner else { return };
        let Some(slot) = self.legs[leg].shelf().slot(inner) else { return };
        self.shelf.clear(touch.no, &touch.origin, out);
        for side in [BookSide::Bid, BookSide::Ask] {
            for level in slot.book.side(side) {
                self.shelf.load(touch.no, side, level.price, level.qty, &touch.origin, out);
            }
        }
        self.shelf.loaded(touch.no, &touch.origin, out);
    }

    /// A leg becomes the one that speaks: what is missing is said as changes, and the story begins anew.
    fn take_over(&mut self, leg: usize, touch: &Touched, out: &mut Vec<VenueOutput>) {
        let no = touch.no;
        let Some((book, _)) = self.of_leg(leg, no) else { return };
        let hash = book.quick_hash();
        let lost =
            |slot: &crate::Slot| matches!(slot.state, BookState::Gap { .. } | BookState::Resyncing { .. });
        if self.shelf.slot(no).is_some_and(lost) {
            self.copy(leg, touch, out);
        } else {
            let Some(ours) = self.shelf.slot(no) else { return };
            for (side, level) in difference(&ours.book, book) {
                self.shelf.set(no, side, level.price, level.qty, &touch.origin, out);
            }
            self.shelf.heard(no, &touch.origin, out);
            self.stats[leg].takeovers += 1;
        }
        self.stories[no.0 as usize].restart(leg, hash, self.now);
    }

    /// Legs that stood by for long enough beside a silent one take over.
    fn overdue(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.due = Timestamp::MAX;
        for at in 0..self.stories.len() {
            for leg in [0, 1] {
                let no = InstrumentNo(at as u32);
                let Some(since) = self.stories[at].legs[leg].waiting else { continue };
                let due = since.plus(self.config.switch_ns);
                if due > self.now {
                    self.due = self.due.min(due);
                } else if self.is_live(leg, no) {
                    let touch = Touched { no, reset: false, spoke: true, origin: *origin };
                    self.take_over(leg, &touch, out);
                }
            }
        }
    }

    /// What a leg counted and the outgoing stream does not count itself.
    fn absorb(&mut self, leg: usize) {
        let new = self.legs[leg].shelf().counts;
        let old = std::mem::replace(&mut self.seen[leg], new);
        let c = &mut self.shelf.counts;
        c.frames += new.frames - old.frames;
        c.stale_dropped += new.stale_dropped - old.stale_dropped;
        c.checksums_ok += new.checksums_ok - old.checksums_ok;
        c.checksums_bad += new.checksums_bad - old.checksums_bad;
        c.negative_levels += new.negative_levels - old.negative_levels;
        c.crossed += new.crossed - old.crossed;
        c.tops_ok += new.tops_ok - old.tops_ok;
        c.tops_bad += new.tops_bad - old.tops_bad;
        c.audits_ok += new.audits_ok - old.audits_ok;
        c.audits_bad += new.audits_bad - old.audits_bad;
        c.foreign += new.foreign - old.foreign;
        c.stray += new.stray - old.stray;
        c.quarantined += new.quarantined - old.quarantined;
        c.disconnects += new.disconnects - old.disconnects;
        c.failed_requests += new.failed_requests - old.failed_requests;
        c.venue_errors += new.venue_errors - old.venue_errors;
    }
}

impl LegStats {
    fn confirmed(&mut self, behind_ns: i64, counts: &mut Counts) {
        self.duplicates += 1;
        self.lag_sum_ns = self.lag_sum_ns.saturating_add(behind_ns);
        self.lag_max_ns = self.lag_max_ns.max(behind_ns);
        counts.duplicates += 1;
    }
}

/// What turns one book into another, removals first, so that no state between is crossed by us.
fn difference(from: &Book, to: &Book) -> Vec<(BookSide, Level)> {
    let sides = [BookSide::Bid, BookSide::Ask];
    let gone = sides.into_iter().flat_map(|side| {
        let kept = move |level: &&Level| to.qty(side, level.price) == 0;
        from.side(side).iter().filter(kept).map(move |level| (side, Level { price: level.price, qty: 0 }))
    });
    let set = sides.into_iter().flat_map(|side| {
        let new = move |level: &&Level| from.qty(side, level.price) != level.qty;
        to.side(side).iter().filter(new).map(move |level| (side, *level))
    });
    gone.chain(set).collect()
}

/// A leg's deed under the numbers that name the leg.
fn numbered(deed: Deed, leg: u32) -> Deed {
    let outer = |no: u32| (no << 1) | leg;
    match deed {
        Deed::Connect { conn, socket } => Deed::Connect { conn: outer(conn), socket },
        Deed::Send { conn, text } => Deed::Send { conn: outer(conn), text },
        Deed::Close { conn } => Deed::Close { conn: outer(conn) },
        Deed::Fetch { request, host, path, body } => {
            Deed::Fetch { request: outer(request), host, path, body }
        }
    }
}

/// Writes a record under the leg's own numbers into `told`, reusing its memory; says which leg, `None` for both.
fn address(record: &Record<Raw>, told: &mut Record<Raw>) -> Option<usize> {
    told.seq = record.seq;
    told.at = record.at;
    let (leg, no) = match &record.body {
        Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } => (conn & 1, conn >> 1),
        Raw::Rest(reply) => (reply.request & 1, reply.request >> 1),
        Raw::TimeAdvanced { .. } => {
            told.body = record.body.clone();
            return None;
        }
    };
    if let (Raw::Frame { bytes, .. }, Raw::Frame { conn, bytes: old }) = (&record.body, &mut told.body) {
        *conn = no;
        old.clone_from(bytes);
        return Some(leg as usize);
    }
    told.body = record.body.clone();
    match &mut told.body {
        Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } => *conn = no,
        Raw::Rest(reply) => reply.request = no,
        Raw::TimeAdvanced { .. } => {}
    }
    Some(leg as usize)
}

impl<M: VenueMachine> Machine for Redundant<M> {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        match address(record, &mut self.told) {
            Some(leg) => self.run(leg, out),
            None => [0, 1].into_iter().for_each(|leg| self.run(leg, out)),
        }
        if self.now >= self.due {
            let times = schemas::Times { recv_at: record.at, ..schemas::Times::default() };
            self.overdue(&Origin { raw_seq: record.seq, venue_seq: 0, times }, out);
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let own = (self.due < Timestamp::MAX).then_some(self.due);
        self.legs.iter().filter_map(Machine::wake_at).chain(own).min()
    }

    fn digest(&self) -> Digest {
        let places: Vec<(Option<u64>, Option<u64>)> =
            self.stories.iter().map(|s| (s.legs[0].cursor, s.legs[1].cursor)).collect();
        Digest::combine(&[
            self.shelf.digest(),
            self.legs[0].digest(),
            self.legs[1].digest(),
            Digest::of(&schemas::encode(&places)),
        ])
    }
}

impl<M: VenueMachine> VenueMachine for Redundant<M> {
    fn venue(&self) -> Venue {
        self.legs[0].venue()
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
