//! Crossed prices: tells a venue's own crossed quote from a crossed book of ours by folding the tape a second time; it
//! changes neither.
//!
//! A quote is what a venue says its best prices are; polled ones are taken from two sides at two moments and are crossed
//! at times (286 rows of the recorded days). It is data: it is flagged and kept, and no book is lost over it. A book that
//! is live and crossed once a raw record is fully applied was put together wrongly, or the venue's loss went unnoticed:
//! that is a fault, and a machine must open a gap over it before it says so here.

use std::collections::BTreeMap;

use schemas::{BookState, InstrumentNo, TapeBody, TapeRow, Timestamp};

use crate::book::Book;

/// What was found crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// The venue's quote, best bid at or above best ask: a property of the source.
    Quote {
        /// The instrument.
        instrument: InstrumentNo,
        /// Receive time.
        at: Timestamp,
        /// Raw record.
        raw_seq: u64,
    },
    /// A live book after a whole raw record: a fault of ours or a loss that was not noticed.
    Book {
        /// The instrument.
        instrument: InstrumentNo,
        /// Receive time.
        at: Timestamp,
        /// Raw record.
        raw_seq: u64,
    },
}

#[derive(Clone, Debug, Default)]
struct Watched {
    book: Book,
    live: bool,
    /// Said already; one crossing is one finding until the book is uncrossed.
    said: bool,
}

/// Folds one tape and finds what is crossed.
#[derive(Clone, Debug, Default)]
pub struct CrossingWatch {
    books: BTreeMap<InstrumentNo, Watched>,
    /// Books that the raw record in hand touched.
    touched: Vec<InstrumentNo>,
    record: (u64, Timestamp),
    quotes: u64,
    faults: u64,
}

impl CrossingWatch {
    /// A watch that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next row. Books are judged when the first row of another raw record comes.
    pub fn note(&mut self, row: &TapeRow, out: &mut Vec<Crossing>) {
        if row.raw_seq != self.record.0 {
            self.finish(out);
            self.record = (row.raw_seq, row.times.recv_at);
        }
        match &row.body {
            TapeBody::Quote { bid: Some(bid), ask: Some(ask) } if bid.price >= ask.price => {
                self.quotes += 1;
                let (instrument, at, raw_seq) = (row.instrument, row.times.recv_at, row.raw_seq);
                out.push(Crossing::Quote { instrument, at, raw_seq });
            }
            TapeBody::Clear => self.books.entry(row.instrument).or_default().book.clear(),
            TapeBody::Level { side, price, qty, .. } => {
                self.books.entry(row.instrument).or_default().book.set(*side, *price, *qty);
                self.touch(row.instrument);
            }
            TapeBody::State(state) => {
                self.books.entry(row.instrument).or_default().live = *state == BookState::Live;
                self.touch(row.instrument);
            }
            _ => {}
        }
    }

    fn touch(&mut self, no: InstrumentNo) {
        if self.touched.last() != Some(&no) {
            self.touched.push(no);
        }
    }

    /// Judges the books of the last raw record; call it at the end of a tape.
    pub fn finish(&mut self, out: &mut Vec<Crossing>) {
        for no in self.touched.drain(..) {
            let Some(watched) = self.books.get_mut(&no) else { continue };
            let crossed = watched.live && watched.book.crossed();
            if crossed && !watched.said {
                self.faults += 1;
                let (raw_seq, at) = self.record;
                out.push(Crossing::Book { instrument: no, at, raw_seq });
            }
            watched.said = crossed;
        }
    }

    /// Crossed quotes so far.
    pub fn quotes(&self) -> u64 {
        self.quotes
    }

    /// Crossed live books so far: 0 in a right tape.
    pub fn faults(&self) -> u64 {
        self.faults
    }
}
