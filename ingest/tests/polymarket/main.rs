//! Tests of the Polymarket machines: recorded and stated frames in, rows and deeds out; they never reach a venue.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests; a skip is said loudly")]

mod allocations;
mod fixtures;
mod history;
mod market;
mod mutations;
mod rest;
mod rtds;
mod sync;
mod truth;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ingest::book::Book;
use ingest::venue::VenueMachine;
use ingest::venue::polymarket::{Polymarket, PolymarketConfig};
use ingest::{Counts, Deed, VenueOutput};
use schemas::{BookSide, BookState, InstrumentNo, Raw, Record, TapeBody, TapeRow, Timestamp};

/// Two tokens of one market, as long as real ones.
pub(crate) const YES: &str = "71321045679252212594626385532706912750332728571942532289631379312455583992563";
pub(crate) const NO: &str = "52114319501245915516055106046884209969926127482827954674443846427813813222426";
pub(crate) const MARKET: &str = "0xdd22472e552920b8438158ea7238bfadfa4f736aa4cee91a6b86c39ead110917";
/// A venue time, ms.
pub(crate) const T: i64 = 1_767_200_000_000;

/// A file of the recordings; `None`, said loudly, where they are absent.
pub(crate) fn recorded(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/polymarket").join(name);
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        eprintln!("SKIPPED: {} is absent", path.display());
    }
    bytes
}

/// What a reader of the rows knows: its books, built from rows alone.
#[derive(Default)]
pub(crate) struct Mirror {
    pub(crate) books: BTreeMap<InstrumentNo, Book>,
    pub(crate) states: BTreeMap<InstrumentNo, BookState>,
}

impl Mirror {
    pub(crate) fn read(&mut self, out: &[VenueOutput]) {
        for row in rows(out) {
            let book = self.books.entry(row.instrument).or_default();
            match &row.body {
                TapeBody::Clear => book.clear(),
                TapeBody::Level { side, price, qty, .. } => {
                    book.set(*side, *price, *qty);
                }
                TapeBody::State(state) => {
                    self.states.insert(row.instrument, *state);
                }
                _ => {}
            }
        }
    }
}

/// A machine, its clock, and a reader of its rows.
pub(crate) struct Rig<M> {
    pub(crate) machine: M,
    pub(crate) now: Timestamp,
    seq: u64,
    pub(crate) mirror: Mirror,
    /// Everything said so far.
    pub(crate) said: Vec<VenueOutput>,
}

impl<M: VenueMachine> Rig<M> {
    pub(crate) fn new(machine: M) -> Self {
        let now = Timestamp::from_millis(T);
        Self { machine, now, seq: 0, mirror: Mirror::default(), said: Vec::new() }
    }

    pub(crate) fn apply(&mut self, body: Raw) -> Vec<VenueOutput> {
        self.seq += 1;
        let mut out = Vec::new();
        self.machine.apply(&Record { seq: self.seq, at: self.now, body }, &mut out);
        self.mirror.read(&out);
        for (no, slot) in self.machine.shelf().slots() {
            assert_eq!(
                self.mirror.books.get(&no),
                Some(&slot.book),
                "rows tell another book than the shelf holds"
            );
            assert!(!slot.state.is_live() || !slot.book.crossed(), "a live book is crossed");
        }
        self.said.extend(out.iter().cloned());
        out
    }

    /// The clock moves on, in steps as the machine asks for them.
    pub(crate) fn wait(&mut self, nanos: i64) -> Vec<VenueOutput> {
        let end = self.now.plus(nanos);
        let mut out = Vec::new();
        loop {
            let next = self.machine.wake_at().unwrap_or(Timestamp::MAX).max(self.now).min(end);
            self.now = next;
            out.extend(self.apply(Raw::TimeAdvanced { to: next }));
            if next == end {
                return out;
            }
            assert!(
                self.machine.wake_at().is_none_or(|at| at > next),
                "asks again for what it was just given"
            );
        }
    }

    /// Opens every connection that is asked for; returns what was said then.
    pub(crate) fn connect(&mut self) -> Vec<VenueOutput> {
        let mut out = self.wait(0);
        let mut from = 0;
        while from < out.len() {
            if let VenueOutput::Deed(Deed::Connect { conn, .. }) = out[from] {
                out.extend(self.apply(Raw::Connected { conn }));
            }
            from += 1;
        }
        out
    }

    pub(crate) fn frame_on(&mut self, conn: u32, text: &str) -> Vec<VenueOutput> {
        self.apply(Raw::Frame { conn, bytes: text.as_bytes().to_vec() })
    }

    pub(crate) fn frame(&mut self, text: &str) -> Vec<VenueOutput> {
        self.frame_on(1, text)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.machine.shelf().counts
    }

    pub(crate) fn state(&self, native: &str) -> BookState {
        self.machine.shelf().by_name(native).unwrap().state
    }

    /// Levels of a side, best first: price and quantity.
    pub(crate) fn levels(&self, native: &str, side: BookSide) -> Vec<(i64, i64)> {
        let slot = self.machine.shelf().by_name(native).unwrap();
        slot.book.best_first(side).map(|level| (level.price, level.qty)).collect()
    }
}

/// A live machine for these tokens, connected.
pub(crate) fn live(tokens: &[&str]) -> Rig<Polymarket> {
    let config = PolymarketConfig::new(tokens.iter().map(|token| (*token).to_owned()));
    let mut rig = Rig::new(Polymarket::new(PolymarketConfig { audit_period_ns: 0, ..config }));
    rig.connect();
    rig
}

/// A machine that reads a recording, connected.
pub(crate) fn capture() -> Rig<Polymarket> {
    let mut rig = Rig::new(Polymarket::new(PolymarketConfig::capture()));
    rig.now = Timestamp::ZERO;
    rig.connect();
    rig
}

pub(crate) fn rows(out: &[VenueOutput]) -> impl Iterator<Item = &TapeRow> {
    out.iter().filter_map(|said| match said {
        VenueOutput::Row(row) => Some(row),
        VenueOutput::Deed(_) => None,
    })
}

/// The texts sent.
pub(crate) fn sent(out: &[VenueOutput]) -> Vec<serde_json::Value> {
    let text = |said: &VenueOutput| match said {
        VenueOutput::Deed(Deed::Send { text, .. }) if text != "PING" => {
            Some(serde_json::from_str(text).unwrap())
        }
        _ => None,
    };
    out.iter().filter_map(text).collect()
}

/// A `book` of one token.
pub(crate) fn book(asset: &str, ms: i64, bids: &[(&str, &str)], asks: &[(&str, &str)]) -> String {
    let list = |levels: &[(&str, &str)]| {
        let level = |(price, size): &(&str, &str)| format!(r#"{{"price":"{price}","size":"{size}"}}"#);
        levels.iter().map(level).collect::<Vec<_>>().join(",")
    };
    let (bids, asks) = (list(bids), list(asks));
    format!(
        r#"{{"event_type":"book","asset_id":"{asset}","market":"{MARKET}","bids":[{bids}],"asks":[{asks}],"timestamp":"{ms}","hash":"0x1"}}"#
    )
}

/// One entry of `price_changes`: token, side, price, size, best bid, best ask.
pub(crate) type Entry<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str, &'a str);

/// A `price_change`; the event type comes last.
pub(crate) fn change(ms: i64, entries: &[Entry<'_>]) -> String {
    let entry = |(asset, side, price, size, bid, ask): &Entry<'_>| {
        format!(
            r#"{{"asset_id":"{asset}","price":"{price}","size":"{size}","side":"{side}","hash":"0x{ms}","best_bid":"{bid}","best_ask":"{ask}"}}"#
        )
    };
    let list = entries.iter().map(entry).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"market":"{MARKET}","price_changes":[{list}],"timestamp":"{ms}","event_type":"price_change"}}"#
    )
}

/// Both tokens with a book each: YES 0.50/0.52, NO 0.48/0.50.
pub(crate) fn both() -> Rig<Polymarket> {
    let mut rig = live(&[YES, NO]);
    let yes = book(YES, T, &[("0.49", "350"), ("0.50", "200")], &[("0.52", "250"), (".53", "10.5")]);
    let no = book(NO, T, &[("0.48", "250")], &[("0.50", "200"), ("0.51", "350")]);
    rig.frame(&format!("[{yes},{no}]"));
    rig
}
