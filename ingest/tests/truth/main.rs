//! Tests of what is true of a market beside its book, and of the guards: recorded data where it lies, stated data
//! elsewhere; they never reach another machine.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs, reason = "tests; a skip is said loudly")]

mod fees;
mod guard;
mod identity;
mod lifecycle;
mod recorded_day;
mod settler;
mod traps;
mod venues;

use ingest::truth::settler::{
    SettlementRecord, SettlementState, Settler, SettlerConfig, SettlerInput, Source,
};
use schemas::{
    IndexPrice, IndexRow, Instrument, InstrumentKind, InstrumentNo, LifecycleRow, Machine as _, Phase, Ppm,
    Record, TapeBody, TapeRow, Times, Timestamp, Venue,
};

/// Polymarket's tape.
pub(crate) const POLY: Source = Source { tape: 0, venue: Venue::Polymarket };
/// Kalshi's tape.
pub(crate) const KALSHI: Source = Source { tape: 1, venue: Venue::Kalshi };
/// 2026-06-08 00:05:00 UTC: the end of a recorded market, under the instantaneous rule.
pub(crate) const CLOSE: i64 = 1_780_877_100;
/// 2026-08-07 00:00:00 UTC: the first end under the average.
pub(crate) const TWAP: i64 = 1_786_060_800;

pub(crate) fn secs(s: i64) -> Timestamp {
    Timestamp::from_secs(s)
}

pub(crate) fn price(text: &str) -> IndexPrice {
    IndexPrice::from_decimal(text).unwrap()
}

/// A row half a second after its venue time.
pub(crate) fn row(instrument: u32, venue_at: Timestamp, body: TapeBody) -> TapeRow {
    let times = Times { venue_at: Some(venue_at), publish_at: None, recv_at: venue_at.plus(500_000_000) };
    TapeRow { raw_seq: 1, venue_seq: 0, instrument: InstrumentNo(instrument), times, body }
}

/// Introduces an index as instrument 0 of a tape.
pub(crate) fn index_instrument(source: Source, native: &str) -> TapeRow {
    let instrument = Instrument {
        venue: source.venue,
        native: native.to_owned(),
        market: native.to_owned(),
        kind: InstrumentKind::Index,
        price_decimals: 18,
        qty_decimals: 0,
    };
    row(0, secs(0), TapeBody::Instrument(Box::new(instrument)))
}

/// An instantaneous value.
pub(crate) fn instant(at: i64, dollars: &str) -> TapeRow {
    value(at, dollars, 0, None, false)
}

pub(crate) fn value(at: i64, dollars: &str, window_s: u32, end: Option<i64>, settling: bool) -> TapeRow {
    let body = IndexRow {
        value: price(dollars),
        window_s,
        window_end: end.map(secs),
        carried_forward: false,
        settling,
    };
    row(0, secs(at), TapeBody::Index(body))
}

pub(crate) fn life(
    market: &str,
    at: i64,
    phase: Phase,
    said: &str,
    payout: Option<u32>,
    detail: &str,
) -> TapeRow {
    let body = LifecycleRow {
        market: market.to_owned(),
        phase,
        said: said.to_owned(),
        payout: payout.map(Ppm),
        closes_at: None,
        detail: detail.to_owned(),
    };
    row(u32::MAX, secs(at), TapeBody::Lifecycle(Box::new(body)))
}

/// A listed Up/Down market of five minutes.
pub(crate) fn up_down(market: &str, close: i64, strike: Option<&str>) -> TapeRow {
    let start = close - 300;
    let strike = strike.map_or_else(String::new, |s| format!(r#","priceToBeat":{s}"#));
    let detail = format!(r#"{{"slug":"btc-updown-5m-{start}"{strike}}}"#);
    life(market, start, Phase::Active, "active", None, &detail)
}

/// A settler and everything it said.
pub(crate) struct Run {
    pub(crate) settler: Settler,
    pub(crate) said: Vec<SettlementRecord>,
    seq: u64,
    at: Timestamp,
}

impl Run {
    pub(crate) fn new(config: SettlerConfig) -> Self {
        let mut run = Self { settler: Settler::new(config), said: Vec::new(), seq: 0, at: Timestamp::ZERO };
        run.row(POLY, index_instrument(POLY, "btc/usd"));
        run.row(KALSHI, index_instrument(KALSHI, "BRTI"));
        run
    }

    pub(crate) fn apply(&mut self, at: Timestamp, body: SettlerInput) {
        self.seq += 1;
        self.at = self.at.max(at);
        self.settler.apply(&Record { seq: self.seq, at: self.at, body }, &mut self.said);
        assert!(self.settler.wake_at().is_none_or(|wake| wake > self.at), "asks again for what it was given");
    }

    pub(crate) fn row(&mut self, source: Source, row: TapeRow) {
        self.apply(row.times.recv_at, SettlerInput::Row(source, Box::new(row)));
    }

    pub(crate) fn clock(&mut self, at: i64) {
        self.apply(secs(at), SettlerInput::TimeAdvanced(secs(at)));
    }

    /// What was said, in short.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.said.iter().map(line).collect()
    }
}

/// A record in one line.
pub(crate) fn line(record: &SettlementRecord) -> String {
    let rule = record.rule.map_or_else(|| "-".to_owned(), |r| format!("{}/{}", r.id.code(), r.version));
    let what = match record.state {
        SettlementState::Settled { payout, standing, check, .. } => {
            format!("settled {} {standing:?} {check:?}", payout.0)
        }
        SettlementState::Void { .. } => "void".to_owned(),
        SettlementState::Amended { from, to, standing, .. } => {
            format!("amended {} -> {} {standing:?}", from.0, to.0)
        }
        SettlementState::Disputed { payout } => format!("disputed {:?}", payout.map(|p| p.0)),
        SettlementState::Unprovable { reason } => format!("unprovable {}", reason.code()),
        SettlementState::Mismatch { computed, reported, standing, .. } => {
            format!("mismatch {} not {} {standing:?}", computed.0, reported.0)
        }
    };
    let replaces = record.replaces.map_or_else(String::new, |no| format!(" for {no}"));
    format!("{} #{}{replaces} {rule} {what}", record.market.native, record.no)
}
