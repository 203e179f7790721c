//! A consumer that keeps the books from the rows alone, and so proves that the rows are complete.

use ingest::Shelf;
use ingest::book::Book;
use schemas::{BookSide, TapeBody, TapeRow};

/// Books as a reader of the tape has them.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    books: Vec<Book>,
    /// Depth to which the venue cuts its books without a word.
    depth: Option<usize>,
    last: Option<(u64, u32)>,
    /// Rows read.
    pub rows: u64,
    /// Trades among them.
    pub trades: u64,
}

impl Mirror {
    /// `depth` for venues that cut their books to it after each message (Kraken).
    pub fn new(depth: Option<usize>) -> Self {
        Self { depth, ..Self::default() }
    }

    /// Reads a row.
    pub fn read(&mut self, row: &TapeRow) {
        self.rows += 1;
        let at = row.instrument.0 as usize;
        match row.body {
            TapeBody::Instrument(_) if at >= self.books.len() => {
                self.books.resize_with(at + 1, Book::default);
            }
            TapeBody::Trade(_) => self.trades += 1,
            TapeBody::Clear => {
                if let Some(book) = self.books.get_mut(at) {
                    book.clear();
                }
            }
            TapeBody::Level { side, price, qty, .. } => {
                self.cut(Some((row.raw_seq, row.instrument.0)));
                if let Some(book) = self.books.get_mut(at) {
                    book.set(side, price, qty);
                }
            }
            _ => {}
        }
    }

    /// A message of one book ends where the next begins.
    fn cut(&mut self, next: Option<(u64, u32)>) {
        let Some(depth) = self.depth else { return };
        if self.last != next
            && let Some((_, no)) = self.last
            && let Some(book) = self.books.get_mut(no as usize)
        {
            book.truncate(BookSide::Bid, depth);
            book.truncate(BookSide::Ask, depth);
        }
        self.last = next;
    }

    /// How many books differ from the machine's own.
    pub fn differences(&mut self, shelf: &Shelf) -> usize {
        self.cut(None);
        let differs = |(no, slot): &(schemas::InstrumentNo, &ingest::Slot)| {
            self.books.get(no.0 as usize).map_or(0, Book::quick_hash) != slot.book.quick_hash()
        };
        shelf.slots().filter(differs).count()
    }
}
