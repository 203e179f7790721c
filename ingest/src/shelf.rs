//! All books of one machine, and the only way to change them: every change becomes a row, every loss a state.

use schemas::{
    BookSide, BookState, Digest, GapReason, Instrument, InstrumentNo, TapeBody, TapeRow, Times, Timestamp,
};

use crate::book::Book;
use crate::counts::Counts;
use crate::deed::VenueOutput;
use crate::names::Names;

/// Where a row comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Number of the raw record.
    pub raw_seq: u64,
    /// The venue's sequence number, 0 if none.
    pub venue_seq: u64,
    /// The clocks.
    pub times: Times,
}

impl Origin {
    /// A row of this origin.
    #[inline]
    pub fn row(&self, instrument: InstrumentNo, body: TapeBody) -> VenueOutput {
        VenueOutput::Row(TapeRow {
            raw_seq: self.raw_seq,
            venue_seq: self.venue_seq,
            instrument,
            times: self.times,
            body,
        })
    }

    /// The same origin with the venue's time in milliseconds.
    #[inline]
    #[must_use]
    pub fn at_venue_ms(mut self, millis: i64) -> Self {
        self.times.venue_at = Some(Timestamp::from_millis(millis));
        self
    }
}

/// One instrument and its book.
#[derive(Clone, Debug)]
pub struct Slot {
    /// What it is.
    pub instrument: Instrument,
    /// Its book.
    pub book: Book,
    /// Whether the book may be used.
    pub state: BookState,
    /// Receive time of the last thing heard about the book.
    pub heard_at: Timestamp,
}

/// The books of one machine.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    names: Names,
    slots: Vec<Slot>,
    /// The counters; machines add to them.
    pub counts: Counts,
}

impl Shelf {
    /// The number of a known instrument.
    #[inline]
    pub fn find(&mut self, native: &[u8]) -> Option<InstrumentNo> {
        self.names.find(native)
    }

    /// The number of an instrument; a new one is introduced with a row and starts as resyncing.
    pub fn intern(
        &mut self,
        native: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
        make: impl FnOnce() -> Instrument,
    ) -> InstrumentNo {
        let (no, new) = self.names.intern(native);
        if new {
            let instrument = make();
            let since = origin.times.recv_at;
            let state = BookState::Resyncing { since };
            self.push(no, TapeBody::Instrument(Box::new(instrument.clone())), origin, out);
            self.slots.push(Slot { instrument, book: Book::default(), state, heard_at: since });
        }
        no
    }

    /// The market of an instrument that was introduced without one: it is introduced again under its number.
    pub fn name_market(
        &mut self,
        no: InstrumentNo,
        market: &str,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        if slot.instrument.market != market {
            market.clone_into(&mut slot.instrument.market);
            let instrument = Box::new(slot.instrument.clone());
            self.push(no, TapeBody::Instrument(instrument), origin, out);
        }
    }

    /// An instrument's slot.
    #[inline]
    pub fn slot(&self, no: InstrumentNo) -> Option<&Slot> {
        self.slots.get(no.0 as usize)
    }

    /// An instrument's slot by its native name.
    pub fn by_name(&self, native: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.instrument.native == native)
    }

    /// All slots in the order of their numbers.
    pub fn slots(&self) -> impl Iterator<Item = (InstrumentNo, &Slot)> {
        self.slots.iter().enumerate().map(|(at, slot)| (InstrumentNo(at as u32), slot))
    }

    /// How many instruments there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many books are live.
    pub fn live(&self) -> usize {
        self.slots.iter().filter(|slot| slot.state.is_live()).count()
    }

    /// Says any row.
    #[inline]
    pub fn push(&mut self, no: InstrumentNo, body: TapeBody, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.counts.rows += 1;
        out.push(origin.row(no, body));
    }

    /// Says a row of another shelf again, under the number the instrument has here, and does what it says. Nothing but
    /// the row is counted.
    pub fn follow(&mut self, no: InstrumentNo, body: TapeBody, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        match &body {
            TapeBody::Instrument(instrument) => slot.instrument.clone_from(instrument),
            TapeBody::Clear => slot.book.clear(),
            TapeBody::Level { side, price, qty, .. } => {
                slot.book.set(*side, *price, *qty);
            }
            // How a gap ended; what the book is now follows.
            TapeBody::State(BookState::Gap { to: Some(_), .. }) => {}
            TapeBody::State(state) => slot.state = *state,
            _ => {}
        }
        slot.heard_at = origin.times.recv_at;
        self.push(no, body, origin, out);
    }

    /// Begins a snapshot: empties the book and says so.
    pub fn clear(&mut self, no: InstrumentNo, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if let Some(slot) = self.slots.get_mut(no.0 as usize) {
            slot.book.clear();
            slot.heard_at = origin.times.recv_at;
            self.push(no, TapeBody::Clear, origin, out);
        }
    }

    /// One level of a snapshot. Quantities of 0 or less are ignored.
    #[inline]
    pub fn load(
        &mut self,
        no: InstrumentNo,
        side: BookSide,
        price: i64,
        qty: i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        if qty > 0 {
            slot.book.set(side, price, qty);
            self.push(no, TapeBody::Level { side, price, qty, snapshot: true }, origin, out);
        }
    }

    /// Ends a snapshot: the book is live from here, and an open gap is closed.
    pub fn loaded(&mut self, no: InstrumentNo, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.counts.snapshots += 1;
        self.mark_live(no, origin, out);
    }

    /// The book is live (again).
    pub fn mark_live(&mut self, no: InstrumentNo, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        slot.heard_at = origin.times.recv_at;
        let was = std::mem::replace(&mut slot.state, BookState::Live);
        if let BookState::Gap { reason, from, .. } = was {
            let to = Some(origin.times.recv_at);
            self.push(no, TapeBody::State(BookState::Gap { reason, from, to }), origin, out);
        }
        if was != BookState::Live {
            self.push(no, TapeBody::State(BookState::Live), origin, out);
        }
    }

    /// Sets a level's absolute quantity.
    #[inline]
    pub fn set(
        &mut self,
        no: InstrumentNo,
        side: BookSide,
        price: i64,
        qty: i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        slot.book.set(side, price, qty);
        slot.heard_at = origin.times.recv_at;
        self.counts.deltas += 1;
        self.push(no, TapeBody::Level { side, price, qty, snapshot: false }, origin, out);
    }

    /// Adds to a level. `false`, and nothing changed, if it would become negative or overflow.
    #[inline]
    #[must_use]
    pub fn add(
        &mut self,
        no: InstrumentNo,
        side: BookSide,
        price: i64,
        delta: i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return true };
        let Some(qty) = slot.book.qty(side, price).checked_add(delta).filter(|qty| *qty >= 0) else {
            self.counts.negative_levels += 1;
            return false;
        };
        slot.book.set(side, price, qty);
        slot.heard_at = origin.times.recv_at;
        self.counts.deltas += 1;
        self.push(no, TapeBody::Level { side, price, qty, snapshot: false }, origin, out);
        true
    }

    /// Keeps the best `depth` levels of both sides, without rows: consumers of a truncated book do the same.
    pub fn truncate(&mut self, no: InstrumentNo, depth: usize) {
        if let Some(slot) = self.slots.get_mut(no.0 as usize) {
            slot.book.truncate(BookSide::Bid, depth);
            slot.book.truncate(BookSide::Ask, depth);
        }
    }

    /// The book is lost: it is emptied, and a gap opens at the time it was last heard of. A gap that is open stays.
    pub fn lose(&mut self, no: InstrumentNo, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        // Before its first snapshot there was nothing to lose.
        if matches!(slot.state, BookState::Gap { .. } | BookState::Resyncing { .. }) {
            return;
        }
        slot.book.clear();
        let state = BookState::Gap { reason, from: slot.heard_at, to: None };
        slot.state = state;
        self.counts.gaps += 1;
        self.push(no, TapeBody::Clear, origin, out);
        self.push(no, TapeBody::State(state), origin, out);
    }

    /// The book may be old: nothing was heard for too long. Only a live book becomes stale.
    pub fn age(&mut self, no: InstrumentNo, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        if slot.state.is_live() {
            let state = BookState::Stale { since: slot.heard_at };
            slot.state = state;
            self.push(no, TapeBody::State(state), origin, out);
        }
    }

    /// Something was heard that proves a stale book good.
    #[inline]
    pub fn heard(&mut self, no: InstrumentNo, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.slots.get_mut(no.0 as usize) else { return };
        slot.heard_at = origin.times.recv_at;
        if matches!(slot.state, BookState::Stale { .. }) {
            self.mark_live(no, origin, out);
        }
    }

    /// Over all instruments, books, states and counters.
    pub fn digest(&self) -> Digest {
        let mut parts = vec![Digest::of(&schemas::encode(&self.counts))];
        for slot in &self.slots {
            parts.push(Digest::of(&schemas::encode(&slot.instrument)));
            parts.push(slot.book.digest());
            parts.push(Digest::of(&schemas::encode(&slot.state)));
        }
        Digest::combine(&parts)
    }
}
