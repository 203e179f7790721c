//! A machine and the tape it says: rows counted and hashed as they come; the same for an import and for a replay.

use schemas::{Digest, Raw, Record, TapeBody, TapeRow, Venue};

use super::ReaderKind;
use crate::counts::Counts;
use crate::deed::{Deed, VenueOutput};
use crate::venue::VenueMachine;

/// Folds rows into their number, their hash and the markets among them.
#[derive(Clone, Debug, Default)]
pub struct RowFold {
    hasher: blake3::Hasher,
    rows: u64,
    markets: Vec<bool>,
    /// Markets of machines that ended.
    earlier: u64,
    /// Polled best prices are all the book there is.
    quotes: bool,
    bytes: Vec<u8>,
}

impl RowFold {
    /// Takes a row. Gives it in wire form v1 behind its length (four bytes, little-endian): what is hashed, and what a
    /// file of rows holds.
    pub fn row(&mut self, row: &TapeRow) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(&[0; 4]);
        minicbor::encode(row, &mut self.bytes).expect("writing to a Vec cannot fail");
        let len = (self.bytes.len() - 4) as u32;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        self.hasher.update(&self.bytes);
        self.rows += 1;
        let is_market = match row.body {
            TapeBody::Clear | TapeBody::Level { .. } | TapeBody::Trade(_) => true,
            TapeBody::Quote { .. } => self.quotes,
            _ => false,
        };
        if is_market {
            let at = row.instrument.0 as usize;
            if at < (1 << 24) {
                self.markets.resize(self.markets.len().max(at + 1), false);
                self.markets[at] = true;
            }
        }
        &self.bytes
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// BLAKE3 of all rows so far, lengths included.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Instruments with a book or a trade.
    pub fn markets(&self) -> u64 {
        self.earlier + self.markets.iter().filter(|there| **there).count() as u64
    }

    fn session(&mut self) {
        self.earlier = self.markets();
        self.markets.clear();
    }
}

/// Hears a row and its bytes.
pub type OnRow<'a, E> = dyn FnMut(&TapeRow, &[u8]) -> Result<(), E> + 'a;

/// A machine being played to.
pub struct Tape {
    kind: ReaderKind,
    venue: Venue,
    machine: Box<dyn VenueMachine>,
    out: Vec<VenueOutput>,
    fold: RowFold,
    /// Digests and counters of machines that ended.
    earlier: Vec<Digest>,
    counts: Counts,
    begun: bool,
    skipped: u64,
}

impl Tape {
    /// A fresh machine for recordings of this kind.
    pub fn new(kind: ReaderKind, venue: Venue) -> Self {
        Self::with(kind, venue, kind.machine(venue))
    }

    /// The same with a machine of the caller's; where a session begins anew, the kind's own machine follows.
    pub fn with(kind: ReaderKind, venue: Venue, machine: Box<dyn VenueMachine>) -> Self {
        Self {
            kind,
            venue,
            machine,
            out: Vec::new(),
            fold: RowFold { quotes: kind == ReaderKind::Rows, ..RowFold::default() },
            earlier: Vec::new(),
            counts: Counts::default(),
            begun: false,
            skipped: 0,
        }
    }

    /// A new session begins: this machine takes the place of the one before.
    pub fn begin(&mut self, kind: ReaderKind, machine: Box<dyn VenueMachine>) {
        if std::mem::replace(&mut self.begun, true) {
            self.end_session();
        }
        self.kind = kind;
        self.fold.quotes = kind == ReaderKind::Rows;
        self.machine = machine;
    }

    /// Plays one record. Rows go to `on_row` in order, with their bytes; deeds are pushed to `deeds`. Records before the
    /// first one that begins a machine cannot be understood: they are counted and passed over.
    pub fn apply<E>(
        &mut self,
        record: &Record<Raw>,
        fresh: bool,
        deeds: &mut Vec<Deed>,
        on_row: &mut OnRow<'_, E>,
    ) -> Result<(), E> {
        if fresh && std::mem::replace(&mut self.begun, true) {
            self.end_session();
            self.machine = self.kind.machine(self.venue);
        }
        if !self.begun {
            self.skipped += 1;
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        self.machine.apply(record, &mut out);
        let mut result = Ok(());
        for said in out.drain(..) {
            match said {
                VenueOutput::Row(row) if result.is_ok() => result = on_row(&row, self.fold.row(&row)),
                VenueOutput::Row(_) => {}
                VenueOutput::Deed(deed) => deeds.push(deed),
            }
        }
        self.out = out;
        result
    }

    /// The machine at work.
    pub fn machine(&self) -> &dyn VenueMachine {
        &*self.machine
    }

    /// Counters of all machines.
    pub fn counts(&self) -> Counts {
        self.counts.plus(self.machine.shelf().counts)
    }

    /// Rows so far.
    pub fn rows(&self) -> &RowFold {
        &self.fold
    }

    /// Records before the first beginning of a machine (retention cut it off).
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Over the machines' states and all rows.
    pub fn digest(&self) -> Digest {
        let mut parts = self.earlier.clone();
        parts.push(self.machine.digest());
        parts.push(self.fold.digest());
        Digest::combine(&parts)
    }

    fn end_session(&mut self) {
        self.earlier.push(self.machine.digest());
        self.counts = self.counts();
        self.fold.session();
    }
}
