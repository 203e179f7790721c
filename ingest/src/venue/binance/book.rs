//! How snapshots and depth events become one book; an event is never applied unless it follows what is there.

use schemas::{BookSide, GapReason, RestReply, Timestamp};

use super::wire::{self, Change, Fields, Result, integer, levels, must};
use super::{Binance, Dialect, RETRY_CAP_NS, Sync};
use crate::deed::VenueOutput;
use crate::shelf::Origin;

/// The numbers and times of a depth event.
#[derive(Clone, Copy, Debug)]
struct Event {
    /// First and last change.
    first: i64,
    last: i64,
    /// Futures: last change of the event before.
    previous: Option<i64>,
}

impl Event {
    fn read(fields: &Fields<'_>, dialect: Dialect) -> Result<Self> {
        let first = integer(fields.first.as_ref(), "no U")?;
        let last = integer(fields.last.as_ref(), "no u")?;
        let previous = match dialect {
            Dialect::Futures => Some(integer(fields.previous.as_ref(), "no pu")?),
            Dialect::Spot => must(fields.previous.is_none().then_some(None), "pu in a spot event")?,
        };
        must((first <= last).then_some(Self { first, last, previous }), "U is after u")
    }

    /// Whether nothing is missing between change `last` and this event, which ends after it.
    ///
    /// The venue asks that the first event after a spot snapshot has `U <= last + 1`, after a futures snapshot
    /// `U <= last`, and that every other has `U = last + 1` or `pu = last`. For futures `pu <= last` is the same
    /// promise and holds in one more harmless case: numbers are shared by all symbols, so that a snapshot's may lie
    /// between two events of its own symbol.
    fn follows(&self, last: i64, chained: bool) -> bool {
        match (self.previous, chained) {
            (Some(previous), true) => previous == last,
            (Some(previous), false) => previous <= last,
            (None, true) => self.first == last + 1,
            (None, false) => self.first <= last + 1,
        }
    }
}

/// The frame's clocks in the row's.
fn with_times(origin: &Origin, fields: &Fields<'_>, dialect: Dialect) -> Result<Origin> {
    let mut origin = *origin;
    let sent = Timestamp::from_millis(must(fields.event_at, "no E")?);
    match dialect {
        Dialect::Spot => origin.times.venue_at = Some(sent),
        Dialect::Futures => {
            let at = integer(fields.trade_at.as_ref(), "no T")?;
            origin.times.venue_at = Some(Timestamp::from_millis(at));
            origin.times.publish_at = Some(sent);
        }
    }
    Ok(origin)
}

impl Binance {
    /// A depth event: applied if the book is there, else kept until it is.
    pub(super) fn on_depth(
        &mut self,
        at: usize,
        fields: &Fields<'_>,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<()> {
        let dialect = if fields.previous.is_some() { Dialect::Futures } else { Dialect::Spot };
        let dialect = *self.dialect.get_or_insert(dialect);
        let event = Event::read(fields, dialect)?;
        self.session.link.data(self.session.now);
        if matches!(self.symbols[at].sync, Sync::Loaded | Sync::Chained) {
            if !self.chain(at, event, fields, dialect, origin, out)? {
                let back = event.first <= self.symbols[at].last;
                let reason = if back { GapReason::SequenceBack } else { GapReason::SequenceSkipped };
                self.lose(at, reason, origin, out);
                self.keep(at, bytes);
            }
            return Ok(());
        }
        with_times(origin, fields, dialect)?;
        self.read_levels(at, fields)?;
        self.keep(at, bytes);
        match self.symbols[at].sync {
            Sync::Idle => self.want(at, self.session.now),
            // A symbol that was waited for has spoken.
            Sync::Wanted { at: when } if when > self.session.now && self.session.listings[at].tries == 0 => {
                self.want(at, self.session.now);
            }
            _ => {}
        }
        Ok(())
    }

    fn keep(&mut self, at: usize, bytes: &[u8]) {
        let buffer = &mut self.symbols[at].buffer;
        if buffer.len() >= self.config.max_buffered.max(1) {
            buffer.pop_front();
        }
        buffer.push_back(bytes.into());
    }

    /// The levels of an event, into `changes`.
    #[inline]
    fn read_levels(&mut self, at: usize, fields: &Fields<'_>) -> Result<()> {
        let (bids, asks) = (must(fields.bids.as_ref(), "no b")?, must(fields.asks.as_ref(), "no a")?);
        self.changes.clear();
        let mut decimals = self.session.listings[at].decimals;
        levels(&mut bids.clone(), BookSide::Bid, &mut decimals, &mut self.changes)?;
        levels(&mut asks.clone(), BookSide::Ask, &mut decimals, &mut self.changes)?;
        self.session.listings[at].decimals = decimals;
        Ok(())
    }

    /// Applies an event to a book that is there; `false` if something is missing between them.
    #[inline]
    fn chain(
        &mut self,
        at: usize,
        event: Event,
        fields: &Fields<'_>,
        dialect: Dialect,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<bool> {
        let mut origin = with_times(origin, fields, dialect)?;
        self.read_levels(at, fields)?;
        let symbol = &mut self.symbols[at];
        let chained = symbol.sync == Sync::Chained;
        let sent = origin.times.publish_at.or(origin.times.venue_at).unwrap_or_default();
        if event.last <= symbol.last {
            // A repeat is as old as what it repeats; a newer message with older numbers means that the venue counts anew.
            if chained && event.last < symbol.last && sent >= symbol.sent {
                return Ok(false);
            }
            let count = &mut self.session.shelf.counts;
            *(if chained { &mut count.duplicates } else { &mut count.stale_dropped }) += 1;
            return Ok(true);
        }
        let (true, Some(no)) = (event.follows(symbol.last, chained), self.session.listings[at].no) else {
            return Ok(false);
        };
        symbol.last = event.last;
        symbol.sent = sent;
        symbol.sync = Sync::Chained;
        origin.venue_seq = event.last.unsigned_abs();
        for Change { side, price, qty } in self.changes.iter().copied() {
            self.session.shelf.set(no, side, price, qty, &origin, out);
        }
        self.session.shelf.heard(no, &origin, out);
        if self.session.shelf.slot(no).is_some_and(|slot| slot.book.crossed()) {
            self.session.shelf.counts.crossed += 1;
            self.lose(at, GapReason::Crossed, &origin, out);
        }
        Ok(true)
    }

    /// An answer to a snapshot request.
    pub(super) fn on_reply(&mut self, reply: &RestReply, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let RestReply { request, status, bytes } = reply;
        let ours = |sync: Sync| matches!(sync, Sync::Fetching { request: asked, .. } if asked == *request);
        let Some(at) = self.symbols.iter().position(|symbol| ours(symbol.sync)) else {
            self.session.shelf.counts.stray += 1;
            return;
        };
        self.session.shelf.counts.frames += 1;
        // Whoever waits for room is looked at again.
        self.session.due = self.session.now;
        if *status != 200 {
            self.session.shelf.counts.failed_requests += 1;
            self.retry(at, matches!(status, 418 | 429));
            return;
        }
        match self.load(at, bytes, origin, out) {
            Ok(true) => {}
            Ok(false) => {
                self.session.shelf.counts.failed_requests += 1;
                self.retry(at, false);
            }
            Err(_) => {
                self.session.shelf.counts.quarantined += 1;
                self.retry(at, false);
            }
        }
    }

    fn retry(&mut self, at: usize, refused: bool) {
        let tries = &mut self.session.listings[at].tries;
        let wait = self.config.retry_ns.max(1).saturating_mul(1 << (*tries).min(16)).min(RETRY_CAP_NS);
        *tries += 1;
        self.want(at, self.session.now.plus(if refused { RETRY_CAP_NS } else { wait }));
    }

    /// Loads a snapshot and the events that waited for it; `false` if it is too old for them.
    fn load(&mut self, at: usize, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) -> Result<bool> {
        self.changes.clear();
        let mut decimals = self.session.listings[at].decimals;
        let depth = wire::depth(bytes, &mut decimals, &mut self.changes)?;
        must(decimals, "an empty book")?;
        if self.dialect == Some(Dialect::Futures) {
            must(depth.trade_at.and(depth.event_at), "no E or T")?;
        }
        if !self.reaches(at, depth.last)? {
            return Ok(false);
        }
        self.session.listings[at].decimals = decimals;
        let mut loading = *origin;
        loading.venue_seq = depth.last.unsigned_abs();
        loading.times.venue_at = depth.trade_at.map(Timestamp::from_millis);
        loading.times.publish_at = depth.event_at.map(Timestamp::from_millis);
        let Some(no) = self.introduce(at, origin, out) else { return Ok(false) };
        self.session.shelf.clear(no, &loading, out);
        for Change { side, price, qty } in self.changes.iter().copied() {
            self.session.shelf.load(no, side, price, qty, &loading, out);
        }
        self.session.shelf.loaded(no, &loading, out);
        let symbol = &mut self.symbols[at];
        (symbol.last, symbol.sync) = (depth.last, Sync::Loaded);
        self.session.listings[at].tries = 0;
        let waiting = std::mem::take(&mut symbol.buffer);
        for frame in waiting {
            let mut fields = Fields::default();
            let read = fields.read(&frame).and_then(|()| self.on_depth(at, &fields, &frame, origin, out));
            if read.is_err() {
                self.quarantine(&fields, origin, out);
            }
        }
        Ok(true)
    }

    /// Whether a snapshot that ends with change `last` reaches the first waiting event it does not hold.
    fn reaches(&self, at: usize, last: i64) -> Result<bool> {
        let Some(dialect) = self.dialect else { return Ok(true) };
        for frame in &self.symbols[at].buffer {
            let mut fields = Fields::default();
            fields.read(frame)?;
            let event = Event::read(&fields, dialect)?;
            if event.last > last {
                return Ok(event.follows(last, false));
            }
        }
        Ok(true)
    }
}
