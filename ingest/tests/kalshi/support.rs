//! A bench for the machine: records with a clock by hand, the rows and deeds it says, the recordings; it never decides.

use std::path::PathBuf;

use ingest::venue::VenueMachine as _;
use ingest::venue::kalshi::{Kalshi, KalshiConfig};
use ingest::{Counts, Deed, VenueOutput};
use schemas::{BookSide, BookState, Machine as _, Raw, Record, RestReply, TapeBody, TapeRow, Timestamp};

/// The recordings' folder, or `None` with a loud note.
pub(crate) fn recording(name: &str) -> Option<String> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/kalshi")).join(name);
    let found = std::fs::read_to_string(&path);
    if found.is_err() {
        eprintln!("SKIPPED: recorded data is absent: {}", path.display());
    }
    found.ok()
}

/// The recorded session's frames.
pub(crate) fn session() -> Option<Vec<String>> {
    let text = recording("jfreun123_kalshi-market-maker__ws-session_2026-07-01_first3900lines.jsonl")?;
    Some(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A machine and all it said.
pub(crate) struct Bench {
    pub(crate) machine: Kalshi,
    pub(crate) rows: Vec<TapeRow>,
    pub(crate) deeds: Vec<Deed>,
    out: Vec<VenueOutput>,
    pub(crate) seq: u64,
    pub(crate) now: Timestamp,
}

impl Bench {
    pub(crate) fn new(config: KalshiConfig) -> Self {
        let now = Timestamp::from_secs(1_782_873_105);
        let mut bench = Self {
            machine: Kalshi::new(config),
            rows: Vec::new(),
            deeds: Vec::new(),
            out: Vec::new(),
            seq: 0,
            now,
        };
        bench.give(Raw::TimeAdvanced { to: now });
        bench
    }

    /// A machine whose connection is open.
    pub(crate) fn connected(config: KalshiConfig) -> Self {
        let mut bench = Self::new(config);
        bench.connect();
        bench
    }

    /// The connection that was asked for opens.
    pub(crate) fn connect(&mut self) -> u32 {
        let conn = self.machine.conn();
        self.give(Raw::Connected { conn });
        conn
    }

    pub(crate) fn give(&mut self, body: Raw) {
        self.seq += 1;
        self.machine.apply(&Record { seq: self.seq, at: self.now, body }, &mut self.out);
        self.sort();
    }

    fn sort(&mut self) {
        for said in self.out.drain(..) {
            match said {
                VenueOutput::Row(row) => self.rows.push(row),
                VenueOutput::Deed(deed) => self.deeds.push(deed),
            }
        }
    }

    /// A frame of the newest connection.
    pub(crate) fn frame(&mut self, text: &str) {
        let conn = self.machine.conn();
        self.give(Raw::Frame { conn, bytes: text.as_bytes().to_vec() });
    }

    pub(crate) fn reply(&mut self, request: u32, status: u16, text: &str) {
        self.give(Raw::Rest(RestReply { request, status, bytes: text.as_bytes().to_vec() }));
    }

    /// Time passes; the machine is woken whenever it asked for it.
    pub(crate) fn pass(&mut self, millis: i64) {
        let end = self.now.plus(millis * 1_000_000);
        while let Some(wake) = self.machine.wake_at().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.give(Raw::TimeAdvanced { to: self.now });
        }
        self.now = end;
        self.give(Raw::TimeAdvanced { to: end });
    }

    pub(crate) fn add(&mut self, tickers: &[&str]) {
        self.machine.add_markets(tickers, &mut self.out);
        self.sort();
    }

    pub(crate) fn delete(&mut self, tickers: &[&str]) {
        self.machine.delete_markets(tickers, &mut self.out);
        self.sort();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.machine.shelf().counts
    }

    /// Texts sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<serde_json::Value> {
        let deeds = std::mem::take(&mut self.deeds);
        let text = |deed| match deed {
            Deed::Send { text, .. } => Some(serde_json::from_str(&text).unwrap()),
            _ => None,
        };
        deeds.into_iter().filter_map(text).collect()
    }

    /// Requests asked for since the last call.
    pub(crate) fn fetched(&mut self) -> Vec<(u32, String)> {
        let deeds = std::mem::take(&mut self.deeds);
        let fetch = |deed| match deed {
            Deed::Fetch { request, path, .. } => Some((request, path)),
            _ => None,
        };
        deeds.into_iter().filter_map(fetch).collect()
    }

    pub(crate) fn state(&self, ticker: &str) -> BookState {
        self.machine.shelf().by_name(ticker).unwrap().state
    }

    pub(crate) fn live(&self, ticker: &str) -> bool {
        self.state(ticker).is_live()
    }

    /// Levels of a side, best first, in 1e-6 dollars and 1e-2 contracts.
    pub(crate) fn side(&self, ticker: &str, side: BookSide) -> Vec<(i64, i64)> {
        let slot = self.machine.shelf().by_name(ticker).unwrap();
        slot.book.best_first(side).map(|level| (level.price, level.qty)).collect()
    }

    /// Rows that are neither levels nor clears.
    pub(crate) fn told(&self) -> Vec<&TapeBody> {
        let quiet = |body: &&TapeBody| !matches!(body, TapeBody::Level { .. } | TapeBody::Clear);
        self.rows.iter().map(|row| &row.body).filter(quiet).collect()
    }
}

/// A `subscribed` answer.
pub(crate) fn subscribed(id: u64, channel: &str, sid: u32) -> String {
    format!(r#"{{"type":"subscribed","id":{id},"msg":{{"channel":"{channel}","sid":{sid}}}}}"#)
}

/// A delta; price and change as the venue writes them.
pub(crate) fn delta(sid: u32, seq: u64, ticker: &str, side: &str, price: &str, change: &str) -> String {
    format!(
        r#"{{"type":"orderbook_delta","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"m","price_dollars":"{price}","delta_fp":"{change}","side":"{side}","ts":"2026-07-01T02:31:45Z","ts_ms":1782873105000}}}}"#
    )
}

/// A snapshot; an empty side has no key.
pub(crate) fn snapshot(
    sid: u32,
    seq: u64,
    ticker: &str,
    yes: &[(&str, &str)],
    no: &[(&str, &str)],
) -> String {
    let side = |name: &str, levels: &[(&str, &str)]| {
        let levels: Vec<String> = levels.iter().map(|(p, q)| format!(r#"["{p}","{q}"]"#)).collect();
        if levels.is_empty() {
            String::new()
        } else {
            format!(r#","{name}_dollars_fp":[{}]"#, levels.join(","))
        }
    };
    format!(
        r#"{{"type":"orderbook_snapshot","sid":{sid},"seq":{seq},"msg":{{"market_ticker":"{ticker}","market_id":"m"{}{}}}}}"#,
        side("yes", yes),
        side("no", no)
    )
}
