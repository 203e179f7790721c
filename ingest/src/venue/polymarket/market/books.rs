//! How messages change books: snapshots, changes of levels, price grids; it never applies half a message.

use schemas::{BookSide, BookState, GapReason, InstrumentNo, TapeBody};

use super::{Asset, Named, Polymarket, REMEMBERED};
use crate::deed::VenueOutput;
use crate::shelf::Origin;
use crate::venue::polymarket::market_wire::{
    self as wire, Book, Change, NOBODY, Scratch, Tick, UNTOLD, WireLevel,
};

/// Snapshots refused in a row after which the connection itself is given up.
const MAX_REFUSED: u32 = 3;

/// What is to be done with one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Apply,
    /// Older than the snapshot, or the snapshot has not come.
    Stale,
    Duplicate,
    /// Not ours.
    Foreign,
    /// Messages were reordered.
    Unusable,
    /// The token is of another market.
    Contradiction,
}

/// A number that differs for different changes of one token.
#[inline]
fn print(ms: i64, change: &Change) -> u64 {
    mixed(ms, change.side, change.price, change.qty)
}

/// splitmix64's finaliser (Steele et al. 2014) over a level and its time; never 0.
#[inline]
fn mixed(ms: i64, side: BookSide, price: i64, qty: i64) -> u64 {
    let mut x = (ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (qty as u64).rotate_left(32);
    x ^= (price as u64).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ (u64::from(side == BookSide::Ask) << 63);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) | 1
}

/// A hash in text as a number; 0 if there is none.
#[inline]
pub(super) fn folded(text: &[u8]) -> u64 {
    let mut sum = 0_u64;
    for part in text.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    sum
}

impl Asset {
    #[inline]
    fn remembers(&self, print: u64) -> bool {
        self.recent.contains(&print)
    }

    #[inline]
    fn remember(&mut self, print: u64) {
        self.recent[usize::from(self.recent_at) % REMEMBERED] = print;
        self.recent_at = self.recent_at.wrapping_add(1);
    }
}

impl Polymarket {
    /// All changes of one message, or none of them.
    pub(super) fn on_changes(
        &mut self,
        market: Option<&[u8]>,
        ms: i64,
        changes: &[Change],
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let origin = origin.at_venue_ms(ms);
        let mut plan = std::mem::take(&mut self.plan);
        plan.clear();
        for change in changes {
            plan.push(match self.named(change.asset.of(bytes), market, &origin, out) {
                Named::Ours(no) => (no, self.judge(no, ms, change)),
                Named::Moved(no) => (no, Verdict::Contradiction),
                Named::Foreign => (InstrumentNo::NONE, Verdict::Foreign),
            });
        }
        let has = |wanted| plan.iter().any(|(_, verdict)| *verdict == wanted);
        if has(Verdict::Contradiction) {
            self.shelf.counts.quarantined += 1;
            self.lose_planned(&plan, GapReason::Unreadable, &origin, out);
        } else if has(Verdict::Unusable) {
            self.lose_planned(&plan, GapReason::SequenceBack, &origin, out);
        } else {
            self.apply_plan(ms, changes, &plan, bytes, &origin, out);
        }
        self.plan = plan;
    }

    #[cold]
    fn lose_planned(
        &mut self,
        plan: &[(InstrumentNo, Verdict)],
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        for (no, _) in plan {
            self.lose(*no, reason, origin, out);
        }
    }

    #[inline]
    fn judge(&mut self, no: InstrumentNo, ms: i64, change: &Change) -> Verdict {
        let at = no.0 as usize;
        let (Some(asset), Some(slot)) = (self.assets.get_mut(at), self.shelf.slot(no)) else {
            return Verdict::Foreign;
        };
        asset.heard_ms = asset.heard_ms.max(ms);
        if gone(&slot.state) || ms < asset.book_ms {
            return Verdict::Stale;
        }
        if ms > asset.last_ms {
            return Verdict::Apply;
        }
        let again = asset.remembers(print(ms, change));
        let moot = slot.book.qty(change.side, change.price) == change.qty;
        match (again, ms == asset.last_ms) {
            // Equal times: what changes nothing is a repeat, anything else happened within one millisecond.
            (true, true) if moot => Verdict::Duplicate,
            (_, true) => Verdict::Apply,
            (true, false) => Verdict::Duplicate,
            (false, false) => Verdict::Unusable,
        }
    }

    #[inline]
    fn apply_plan(
        &mut self,
        ms: i64,
        changes: &[Change],
        plan: &[(InstrumentNo, Verdict)],
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        for (change, (no, verdict)) in changes.iter().zip(plan) {
            match verdict {
                Verdict::Apply => {
                    self.shelf.set(*no, change.side, change.price, change.qty, origin, out);
                    let Some(asset) = self.assets.get_mut(no.0 as usize) else { continue };
                    asset.last_ms = ms;
                    asset.moves += 1;
                    asset.hash = folded(change.hash.of(bytes));
                    asset.remember(print(ms, change));
                }
                Verdict::Stale => self.shelf.counts.stale_dropped += 1,
                Verdict::Duplicate => self.shelf.counts.duplicates += 1,
                Verdict::Foreign | Verdict::Unusable | Verdict::Contradiction => {}
            }
        }
        // Backwards: the last change of each token tells the best prices after the message.
        for (change, (no, verdict)) in changes.iter().zip(plan).rev() {
            let Some(asset) = self.assets.get_mut(no.0 as usize) else { continue };
            if std::mem::replace(&mut asset.checked, self.messages) != self.messages
                && *verdict == Verdict::Apply
            {
                self.check_top(*no, change, origin, out);
            }
        }
    }

    #[inline]
    fn check_top(&mut self, no: InstrumentNo, change: &Change, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(slot) = self.shelf.slot(no) else { return };
        if slot.book.crossed() {
            self.shelf.counts.crossed += 1;
            return self.lose(no, GapReason::Crossed, origin, out);
        }
        if change.best_bid == UNTOLD && change.best_ask == UNTOLD {
            return;
        }
        let agrees =
            |side, told| told == UNTOLD || told == slot.book.best(side).map_or(NOBODY, |level| level.price);
        if agrees(BookSide::Bid, change.best_bid) && agrees(BookSide::Ask, change.best_ask) {
            self.shelf.counts.tops_ok += 1;
        } else {
            self.shelf.counts.tops_bad += 1;
            self.lose(no, GapReason::TopMismatch, origin, out);
        }
    }

    /// A whole book.
    pub(super) fn on_book(
        &mut self,
        book: &Book<'_>,
        scratch: &Scratch,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let origin = origin.at_venue_ms(book.ms);
        let Some(no) = self.resolve(book.asset, book.market, &origin, out) else { return };
        let sum = snapshot_print(book.ms, scratch);
        if !self.welcome(no, book, sum, &origin, out) {
            return;
        }
        match wire::hash_fits(book, scratch, bytes) {
            Some(true) => self.shelf.counts.checksums_ok += 1,
            Some(false) => {
                self.shelf.counts.checksums_bad += 1;
                if self.config.verify_hash {
                    return self.lose(no, GapReason::Checksum, &origin, out);
                }
            }
            None => {}
        }
        let best = |levels: &[WireLevel]| levels.iter().filter(|l| l.qty > 0).map(|l| l.price).max();
        let lowest = scratch.asks.iter().filter(|l| l.qty > 0).map(|l| l.price).min();
        if best(&scratch.bids).zip(lowest).is_some_and(|(bid, ask)| bid >= ask) {
            self.shelf.counts.crossed += 1;
            return self.lose(no, GapReason::Crossed, &origin, out);
        }
        self.load(no, book, scratch, sum, &origin, out);
    }

    /// Whether a snapshot is newer than all that is known; says the tick it names.
    fn welcome(
        &mut self,
        no: InstrumentNo,
        book: &Book<'_>,
        sum: u64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        let at = no.0 as usize;
        let (Some(asset), Some(slot)) = (self.assets.get_mut(at), self.shelf.slot(no)) else { return false };
        let lost = gone(&slot.state);
        let seen = sum == asset.book_print && asset.book_ms == book.ms;
        // A lost book that was asked for may well be the one before it again: nothing has moved at the venue since,
        // and what was applied upon it was a late repeat.
        let answer = lost && asset.attempts > 0;
        if seen && !answer && (!lost || asset.moves > asset.book_moves) {
            self.shelf.counts.duplicates += 1;
            return false;
        }
        let epoch = asset.epoch_ms > 0 && book.ms < asset.epoch_ms;
        let of_epoch = !epoch || book.tick == Some(asset.tick);
        let newest = if lost { asset.heard_ms } else { asset.last_ms };
        if book.ms < newest || !of_epoch {
            self.shelf.counts.stale_dropped += 1;
            if lost {
                asset.refused += 1;
                if asset.refused >= MAX_REFUSED && !self.config.capture {
                    self.restart_shard(at, origin, out);
                }
            }
            return false;
        }
        if let Some(tick) = book.tick.filter(|tick| *tick != asset.tick) {
            let old = Some(asset.tick).filter(|old| *old > 0);
            asset.tick = tick;
            self.shelf.push(no, TapeBody::TickSize { old, new: tick }, origin, out);
        }
        true
    }

    fn load(
        &mut self,
        no: InstrumentNo,
        book: &Book<'_>,
        scratch: &Scratch,
        sum: u64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.shelf.clear(no, origin, out);
        let mut levels = 0;
        for (side, list) in [(BookSide::Bid, &scratch.bids), (BookSide::Ask, &scratch.asks)] {
            for level in list {
                levels += usize::from(level.qty > 0);
                self.shelf.load(no, side, level.price, level.qty, origin, out);
            }
        }
        let held = self
            .shelf
            .slot(no)
            .map_or(0, |slot| slot.book.side(BookSide::Bid).len() + slot.book.side(BookSide::Ask).len());
        if held != levels {
            // The same price twice: which of them holds is not known.
            self.shelf.counts.quarantined += 1;
            self.shelf.clear(no, origin, out);
            return self.lose(no, GapReason::Unreadable, origin, out);
        }
        let Some(asset) = self.assets.get_mut(no.0 as usize) else { return };
        (asset.book_ms, asset.last_ms, asset.book_print) = (book.ms, book.ms, sum);
        asset.heard_ms = asset.heard_ms.max(book.ms);
        asset.hash = folded(book.hash.unwrap_or_default());
        asset.moves += 1;
        asset.book_moves = asset.moves;
        (asset.epoch_ms, asset.attempts, asset.refused) = (0, 0, 0);
        self.shelf.loaded(no, origin, out);
        self.unwant(no);
    }

    /// A change of the price grid begins a new book: what is known of the old one is void.
    pub(super) fn on_tick(&mut self, tick: &Tick<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let origin = origin.at_venue_ms(tick.ms);
        let Some(no) = self.resolve(tick.asset, tick.market, &origin, out) else { return };
        let Some(asset) = self.assets.get_mut(no.0 as usize) else { return };
        if tick.ms < asset.book_ms || tick.ms < asset.tick_ms {
            self.shelf.counts.stale_dropped += 1;
            return;
        }
        let known = asset.tick == tick.new;
        if known && asset.tick_ms == tick.ms {
            self.shelf.counts.duplicates += 1;
            return;
        }
        asset.tick_ms = tick.ms;
        if tick.old == tick.new && (known || asset.tick == 0) {
            asset.tick = tick.new;
            self.shelf.counts.foreign += 1;
            return;
        }
        asset.tick = tick.new;
        asset.epoch_ms = tick.ms;
        self.shelf.push(no, TapeBody::TickSize { old: Some(tick.old), new: tick.new }, &origin, out);
        self.shelf.lose(no, GapReason::TickChange, &origin, out);
        // The venue sends the new book by itself; only if it does not come it is asked for.
        self.want(no, self.now.plus(self.config.tick_wait_ns));
    }
}

/// Whether there is no book to change.
#[inline]
pub(super) fn gone(state: &BookState) -> bool {
    matches!(state, BookState::Gap { .. } | BookState::Resyncing { .. })
}

/// A number that differs for different snapshots of one token, whatever their order of levels.
fn snapshot_print(ms: i64, scratch: &Scratch) -> u64 {
    let side = |side, levels: &[WireLevel]| {
        levels.iter().map(|l| mixed(ms, side, l.price, l.qty)).fold(0_u64, u64::wrapping_add)
    };
    side(BookSide::Bid, &scratch.bids).wrapping_add(side(BookSide::Ask, &scratch.asks))
}
