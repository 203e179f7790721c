//! A small sequenced venue for the tests: JSON frames, a snapshot on request, a gap when a number is skipped; its books
//! are those of the real shelf.

use ingest::book::Book;
use ingest::link::{Link, LinkConfig};
use ingest::venue::VenueMachine;
use ingest::{Deed, Origin, Shelf, VenueOutput};
use schemas::{
    BookSide, Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, TapeBody,
    Times, Timestamp, TradeRow, Venue,
};
use serde::{Deserialize, Serialize};

/// One thing that happens at the venue.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) number: usize,
    pub(crate) no: usize,
    pub(crate) changes: Vec<(BookSide, i64, i64)>,
    pub(crate) traded: bool,
}

impl Event {
    pub(crate) fn new(number: usize, no: usize, changes: Vec<(bool, i64, i64)>, traded: bool) -> Self {
        let side = |bid| if bid { BookSide::Bid } else { BookSide::Ask };
        let changes = changes.into_iter().map(|(bid, price, qty)| (side(bid), price, qty)).collect();
        Self { number, no, changes, traded }
    }

    /// Its trade's id.
    pub(crate) fn trade(&self) -> Option<[u8; 16]> {
        self.traded.then(|| (self.number as u128 + 1).to_be_bytes())
    }
}

#[derive(Serialize, Deserialize)]
struct Frame {
    no: usize,
    seq: u64,
    snapshot: bool,
    levels: Vec<(bool, i64, i64)>,
    trade: Option<[u8; 16]>,
}

pub(crate) fn frame_of(seq: u64, event: &Event) -> Vec<u8> {
    let levels =
        event.changes.iter().map(|&(side, price, qty)| (side == BookSide::Bid, price, qty)).collect();
    serde_json::to_vec(&Frame { no: event.no, seq, snapshot: false, levels, trade: event.trade() }).unwrap()
}

pub(crate) fn snapshot_of(no: usize, seq: u64, book: &Book) -> Vec<u8> {
    let side = |side| book.side(side).iter().map(move |l| (side == BookSide::Bid, l.price, l.qty));
    let levels = side(BookSide::Bid).chain(side(BookSide::Ask)).collect();
    serde_json::to_vec(&Frame { no, seq, snapshot: true, levels, trade: None }).unwrap()
}

/// The venue's machine: connects, asks for each snapshot, applies what follows it, asks again after a gap.
pub(crate) struct SimVenue {
    link: Link,
    next_conn: u32,
    shelf: Shelf,
    /// The last number of each book; `None` while its snapshot is awaited.
    seqs: Vec<Option<u64>>,
}

impl SimVenue {
    pub(crate) fn new(instruments: usize) -> Self {
        let config =
            LinkConfig { backoff_base_ns: 50_000_000, idle_ns: i64::MAX / 4, ..LinkConfig::default() };
        Self { link: Link::new(config), next_conn: 0, shelf: Shelf::default(), seqs: vec![None; instruments] }
    }

    fn ask(&self, no: usize, out: &mut Vec<VenueOutput>) {
        out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text: no.to_string() }));
    }

    fn instrument(&mut self, no: usize, origin: &Origin, out: &mut Vec<VenueOutput>) -> InstrumentNo {
        let native = no.to_string();
        self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
            venue: Venue::Kalshi,
            native: native.clone(),
            market: native.clone(),
            kind: InstrumentKind::Binary,
            price_decimals: 6,
            qty_decimals: 2,
        })
    }

    fn lose_all(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.disconnects += 1;
        self.seqs.fill(None);
        for at in 0..self.shelf.len() as u32 {
            self.shelf.lose(InstrumentNo(at), GapReason::Disconnected, origin, out);
        }
    }

    fn frame(&mut self, frame: &Frame, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let no = self.instrument(frame.no, origin, out);
        let side = |bid| if bid { BookSide::Bid } else { BookSide::Ask };
        if frame.snapshot {
            self.seqs[frame.no] = Some(frame.seq);
            self.shelf.clear(no, origin, out);
            for &(bid, price, qty) in &frame.levels {
                self.shelf.load(no, side(bid), price, qty, origin, out);
            }
            return self.shelf.loaded(no, origin, out);
        }
        if let Some(id) = frame.trade {
            let trade = TradeRow { id, price: 1, qty: 1, taker: None, block: false };
            self.shelf.push(no, TapeBody::Trade(trade), origin, out);
        }
        match self.seqs[frame.no] {
            // A snapshot is on its way.
            None => {}
            Some(last) if frame.seq <= last => {}
            Some(last) if frame.seq == last + 1 => {
                self.seqs[frame.no] = Some(frame.seq);
                for &(bid, price, qty) in &frame.levels {
                    self.shelf.set(no, side(bid), price, qty, origin, out);
                }
            }
            Some(_) => {
                self.seqs[frame.no] = None;
                self.shelf.lose(no, GapReason::SequenceSkipped, origin, out);
                self.ask(frame.no, out);
            }
        }
    }
}

impl Machine for SimVenue {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let times = Times { recv_at: record.at, ..Times::default() };
        let origin = Origin { raw_seq: record.seq, venue_seq: 0, times };
        match &record.body {
            Raw::Connected { conn } if self.link.opened(*conn, record.at) => {
                (0..self.seqs.len()).for_each(|no| self.ask(no, out));
            }
            Raw::Frame { conn, bytes } if self.link.owns(*conn) => {
                self.link.data(record.at);
                self.shelf.counts.frames += 1;
                let frame: Frame = serde_json::from_slice(bytes).unwrap();
                self.frame(&frame, &origin, out);
            }
            Raw::Closed { conn, .. } if self.link.closed(*conn, record.at) => self.lose_all(&origin, out),
            _ => {}
        }
        self.link.run(record.at, &mut self.next_conn, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.link.wake_at())
    }

    fn digest(&self) -> Digest {
        self.shelf.digest()
    }
}

impl VenueMachine for SimVenue {
    fn venue(&self) -> Venue {
        Venue::Kalshi
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
