//! Recorded index prices and market lists (one price per CSV line, one market per JSON line) as frames and as rows; it
//! never fills a second that is not there.
//!
//! A price frame is `{"symbol":"…","feed_ts_ms":n,"atoms":"…","server_ts_ms":n|null}`, `atoms` counting 1e-18; the line's
//! `recv_ms` becomes the record's receive time. A market line is kept verbatim.

use schemas::{
    Digest, IndexPrice, IndexRow, Instrument, InstrumentKind, LifecycleRow, Machine, Phase, Ppm, Raw, Record,
    TapeBody, Timestamp, Venue,
};
use serde::{Deserialize, Serialize};

use super::text::usable;
use crate::deed::{Deed, SOCKET_MAIN, VenueOutput};
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// Where the columns of a price table are.
#[derive(Clone, Copy, Debug)]
pub(super) struct PriceColumns {
    feed: usize,
    atoms: usize,
    server: Option<usize>,
    recv: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PriceFrame<'a> {
    symbol: &'a str,
    feed_ts_ms: i64,
    atoms: &'a str,
    server_ts_ms: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct MarketFrame {
    slug: String,
    condition_id: String,
    token_ids: Vec<String>,
    start_sec: i64,
    end_sec: i64,
    resolved: bool,
    outcome_prices: Option<Vec<String>>,
    strike_value: Option<String>,
}

impl PriceColumns {
    /// From the table's first line; `None` if it is no such table.
    pub(super) fn header(line: &str) -> Option<Self> {
        let names: Vec<&str> = line.split(',').map(str::trim).collect();
        let find = |name: &str| names.iter().position(|n| *n == name);
        Some(Self {
            feed: find("feed_ts_ms")?,
            atoms: find("full_accuracy_value")?,
            server: find("server_ts_ms"),
            recv: find("recv_ms"),
        })
    }

    /// A line as its receive time and its frame.
    pub(super) fn line(&self, line: &str, symbol: &str) -> Option<(Option<Timestamp>, Vec<u8>)> {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let number = |at: usize| cells.get(at)?.parse::<i64>().ok();
        let millis = |at: usize| usable(number(at)?.checked_mul(1_000_000)?);
        let atoms = cells.get(self.atoms).copied()?;
        IndexPrice::from_atoms(atoms)?;
        millis(self.feed)?;
        let at = match self.recv {
            Some(at) if !cells.get(at)?.is_empty() => Some(millis(at)?),
            _ => None,
        };
        let server_ts_ms = match self.server {
            Some(at) if !cells.get(at)?.is_empty() => Some(number(at)?),
            _ => None,
        };
        let frame = PriceFrame { symbol, feed_ts_ms: number(self.feed)?, atoms, server_ts_ms };
        Some((at, serde_json::to_vec(&frame).ok()?))
    }
}

/// The pair a price table is about, by its file's name (`…BTCUSD-prices-…`); the table itself does not say it.
pub(super) fn symbol(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    let before = name.split("-prices").next().filter(|before| before.len() < name.len());
    let word = before.and_then(|before| before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next());
    word.filter(|word| !word.is_empty()).unwrap_or("index").to_ascii_lowercase()
}

/// Reads price and market frames.
#[derive(Clone, Debug, Default)]
pub struct IndexHistory {
    shelf: Shelf,
    started: bool,
}

impl IndexHistory {
    fn price(&mut self, frame: &PriceFrame<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<()> {
        let value = IndexPrice::from_atoms(frame.atoms)?;
        let mut origin = origin.at_venue_ms(frame.feed_ts_ms);
        origin.times.publish_at = frame.server_ts_ms.map(Timestamp::from_millis);
        let no = self.shelf.intern(frame.symbol.as_bytes(), &origin, out, || Instrument {
            venue: Venue::Polymarket,
            native: frame.symbol.to_owned(),
            market: frame.symbol.to_owned(),
            kind: InstrumentKind::Index,
            price_decimals: 18,
            qty_decimals: 0,
        });
        let row = IndexRow { value, window_s: 0, window_end: None, carried_forward: false, settling: false };
        self.shelf.push(no, TapeBody::Index(row), &origin, out);
        Some(())
    }

    fn market(&mut self, frame: &MarketFrame, origin: &Origin, out: &mut Vec<VenueOutput>) -> Option<()> {
        let [first, second] = frame.token_ids.as_slice() else { return None };
        let payout = match (frame.resolved, frame.outcome_prices.as_deref()) {
            (true, Some([up, down])) => match (up.as_str(), down.as_str()) {
                ("1", "0") => Some(Ppm(1_000_000)),
                ("0", "1") => Some(Ppm(0)),
                ("0.5", "0.5") => Some(Ppm(500_000)),
                _ => return None,
            },
            (true, _) => return None,
            (false, _) => None,
        };
        if let Some(strike) = &frame.strike_value {
            IndexPrice::from_atoms(strike)?;
        }
        let mut numbers = [first, second].map(|token| {
            self.shelf.intern(token.as_bytes(), origin, out, || Instrument {
                venue: Venue::Polymarket,
                native: token.clone(),
                market: frame.condition_id.clone(),
                kind: InstrumentKind::Binary,
                price_decimals: 6,
                qty_decimals: 6,
            })
        });
        numbers.sort_unstable();
        let detail = serde_json::json!({
            "slug": frame.slug, "start_sec": frame.start_sec, "strike_atoms": frame.strike_value,
        });
        let row = LifecycleRow {
            market: frame.condition_id.clone(),
            phase: if frame.resolved { Phase::Final } else { Phase::Active },
            said: if frame.resolved { "resolved" } else { "active" }.to_owned(),
            payout,
            closes_at: Some(Timestamp::from_secs(frame.end_sec)),
            detail: detail.to_string(),
        };
        self.shelf.push(numbers[0], TapeBody::Lifecycle(Box::new(row)), origin, out);
        Some(())
    }

    fn frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.frames += 1;
        let read = if let Ok(price) = serde_json::from_slice::<PriceFrame<'_>>(bytes) {
            self.price(&price, origin, out)
        } else {
            let market = serde_json::from_slice::<MarketFrame>(bytes).ok();
            market.and_then(|market| self.market(&market, origin, out))
        };
        if read.is_none() {
            self.shelf.counts.quarantined += 1;
        }
    }
}

impl Machine for IndexHistory {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let mut origin = Origin { raw_seq: record.seq, ..Origin::default() };
        origin.times.recv_at = record.at;
        if !std::mem::replace(&mut self.started, true) {
            out.push(VenueOutput::Deed(Deed::Connect { conn: 1, socket: SOCKET_MAIN }));
        }
        match &record.body {
            Raw::Frame { bytes, .. } => self.frame(bytes, &origin, out),
            Raw::Rest(_) => self.shelf.counts.stray += 1,
            Raw::Connected { .. } | Raw::Closed { .. } | Raw::TimeAdvanced { .. } => {}
        }
    }

    fn digest(&self) -> Digest {
        self.shelf.digest()
    }
}

impl VenueMachine for IndexHistory {
    fn venue(&self) -> Venue {
        Venue::Polymarket
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
