//! A bounded queue of rows between a machine and a consumer: when it is full, quotes that a newer quote has overtaken
//! give way; nothing else is ever dropped.
//!
//! Levels are never conflated, although a book could be sent anew instead: a consumer's book is then exact after every
//! row, and the states that bracket it keep their place. When only rows that must not be lost are left, the producer is
//! told to wait, which ends at the socket: it is not read.

use std::collections::VecDeque;

use schemas::{InstrumentNo, TapeBody, TapeRow};

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a row that has to wait must be offered again"]
pub enum Offer {
    /// It is in the queue.
    Taken,
    /// There is no room and nothing may be dropped: offer it again after the consumer took something.
    Wait(Box<TapeRow>),
}

/// The queue. The place of a row is its number since the start; `head` is the number of the first one in memory.
#[derive(Clone, Debug, Default)]
pub struct Conflate {
    rows: VecDeque<Option<TapeRow>>,
    head: u64,
    /// Rows that are really there.
    len: usize,
    capacity: usize,
    /// Place after the newest waiting quote of each instrument; 0 = none.
    newest: Vec<u64>,
    /// Places of quotes that a newer one has overtaken.
    overtaken: VecDeque<u64>,
    conflated: u64,
}

impl Conflate {
    /// A queue of at most `capacity` rows, at least 1.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), ..Self::default() }
    }

    /// Puts a row at the end. When the queue is full, an overtaken quote makes room; a new quote overtakes the waiting
    /// one of its own instrument.
    pub fn offer(&mut self, row: TapeRow) -> Offer {
        let quote = is_quote(&row);
        if self.len >= self.capacity && !self.make_room(quote.then_some(row.instrument)) {
            return Offer::Wait(Box::new(row));
        }
        if self.rows.len() >= 2 * self.capacity {
            self.compact();
        }
        if quote {
            self.mark(row.instrument);
        }
        self.rows.push_back(Some(row));
        self.len += 1;
        Offer::Taken
    }

    /// The oldest row.
    pub fn take(&mut self) -> Option<TapeRow> {
        while let Some(slot) = self.rows.pop_front() {
            self.head += 1;
            if slot.is_some() {
                self.len -= 1;
                return slot;
            }
        }
        None
    }

    /// Rows that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Quotes that gave way so far.
    pub fn conflated(&self) -> u64 {
        self.conflated
    }

    /// The next row is the newest quote of its instrument.
    fn mark(&mut self, instrument: InstrumentNo) {
        let at = instrument.0 as usize;
        if at >= self.newest.len() {
            self.newest.resize(at + 1, 0);
        }
        let place = self.head + self.rows.len() as u64 + 1;
        let old = std::mem::replace(&mut self.newest[at], place);
        // What the consumer took needs no place any more.
        while self.overtaken.front().is_some_and(|place| *place < self.head) {
            self.overtaken.pop_front();
        }
        if self.waits(old) {
            self.overtaken.push_back(old - 1);
        }
    }

    /// Whether the row before this place is still in the queue.
    fn waits(&self, after: u64) -> bool {
        after > self.head
    }

    fn make_room(&mut self, quote_of: Option<InstrumentNo>) -> bool {
        while let Some(place) = self.overtaken.pop_front() {
            if self.remove(place) {
                return true;
            }
        }
        let Some(no) = quote_of else { return false };
        let Some(after) = self.newest.get(no.0 as usize).copied().filter(|after| self.waits(*after)) else {
            return false;
        };
        self.newest[no.0 as usize] = 0;
        self.remove(after - 1)
    }

    fn remove(&mut self, place: u64) -> bool {
        let Some(at) = place.checked_sub(self.head) else { return false };
        let removed = self.rows.get_mut(at as usize).and_then(Option::take).is_some();
        if removed {
            self.len -= 1;
            self.conflated += 1;
        }
        removed
    }

    /// Forgets the places of removed rows, so that memory stays within twice the capacity.
    fn compact(&mut self) {
        self.rows.retain(Option::is_some);
        self.newest.fill(0);
        self.overtaken.clear();
        for at in 0..self.rows.len() {
            let Some(no) =
                self.rows[at].as_ref().filter(|row| is_quote(row)).map(|row| row.instrument.0 as usize)
            else {
                continue;
            };
            let place = self.head + at as u64 + 1;
            let old = std::mem::replace(&mut self.newest[no], place);
            if old > 0 {
                self.overtaken.push_back(old - 1);
            }
        }
    }
}

/// Only quotes of a known instrument are conflated.
fn is_quote(row: &TapeRow) -> bool {
    matches!(row.body, TapeBody::Quote { .. }) && row.instrument != InstrumentNo::NONE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use schemas::{BookSide, TopRow, TradeRow};

    use super::*;
    use crate::book::Book;

    #[derive(Clone, Debug)]
    enum Step {
        Offer(TapeRow),
        Take(usize),
    }

    fn body() -> impl Strategy<Value = TapeBody> {
        prop_oneof![
            4 => (1_i64..9).prop_map(|price| TapeBody::Quote {
                bid: Some(TopRow { price, qty: None }),
                ask: None
            }),
            2 => (any::<bool>(), 1_i64..9, 0_i64..5).prop_map(|(bid, price, qty)| TapeBody::Level {
                side: if bid { BookSide::Bid } else { BookSide::Ask },
                price,
                qty,
                snapshot: false
            }),
            1 => Just(TapeBody::Clear),
            1 => (1_i64..9).prop_map(|price| TapeBody::Trade(TradeRow {
                id: [0; 16],
                price,
                qty: 1,
                taker: None,
                block: false
            })),
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let row = (0_u32..3, body()).prop_map(|(no, body)| {
            Step::Offer(TapeRow {
                raw_seq: 0,
                venue_seq: 0,
                instrument: InstrumentNo(no),
                times: schemas::Times::default(),
                body,
            })
        });
        proptest::collection::vec(prop_oneof![8 => row, 1 => (1_usize..6).prop_map(Step::Take)], 0..400)
    }

    /// Books as a consumer of these rows keeps them.
    fn books(rows: &[TapeRow]) -> BTreeMap<u32, u64> {
        let mut books: BTreeMap<u32, Book> = BTreeMap::new();
        for row in rows {
            let book = books.entry(row.instrument.0).or_default();
            match row.body {
                TapeBody::Clear => book.clear(),
                TapeBody::Level { side, price, qty, .. } => {
                    book.set(side, price, qty);
                }
                _ => {}
            }
        }
        books.into_iter().map(|(no, book)| (no, book.quick_hash())).collect()
    }

    proptest! {
        #[test]
        fn only_overtaken_quotes_are_missing_and_order_is_kept(capacity in 1_usize..12, steps in steps()) {
            let mut queue = Conflate::new(capacity);
            let (mut sent, mut got): (Vec<TapeRow>, Vec<TapeRow>) = (Vec::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Offer(mut row) => {
                        row.raw_seq = sent.len() as u64;
                        sent.push(row.clone());
                        while let Offer::Wait(back) = queue.offer(row) {
                            prop_assert_eq!(queue.len(), capacity);
                            got.extend(queue.take());
                            row = *back;
                        }
                    }
                    Step::Take(n) => got.extend((0..n).filter_map(|_| queue.take())),
                }
                prop_assert!(queue.len() <= capacity && queue.rows.len() <= 2 * capacity);
                prop_assert!(queue.overtaken.len() <= 4 * capacity);
            }
            got.extend(std::iter::from_fn(|| queue.take()));
            prop_assert!(queue.is_empty());
            prop_assert!(got.windows(2).all(|w| w[0].raw_seq < w[1].raw_seq), "order");
            let missing: Vec<&TapeRow> =
                sent.iter().filter(|row| got.binary_search_by_key(&row.raw_seq, |g| g.raw_seq).is_err()).collect();
            prop_assert_eq!(missing.len() as u64, queue.conflated());
            for row in missing {
                prop_assert!(is_quote(row));
                let newer = got.iter().any(|g| is_quote(g) && g.instrument == row.instrument && g.raw_seq > row.raw_seq);
                prop_assert!(newer, "the newest quote of an instrument is never missing");
            }
            prop_assert_eq!(books(&sent), books(&got));
        }
    }
}
