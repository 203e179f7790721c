//! Tape rows as typed columns, one table per kind of row; it never reads a file.

use polars::prelude::{Column, DataFrame};
use schemas::{BookSide, BookState, TapeBody, TapeRow};

/// Which table a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Instruments,
    Levels,
    Trades,
    Quotes,
    Index,
    Candles,
    Lifecycle,
    States,
    Ticks,
}

impl Table {
    /// The table of a row.
    pub(super) const fn of(body: &TapeBody) -> Self {
        match body {
            TapeBody::Instrument(_) => Self::Instruments,
            TapeBody::Clear | TapeBody::Level { .. } => Self::Levels,
            TapeBody::Trade(_) => Self::Trades,
            TapeBody::Quote { .. } => Self::Quotes,
            TapeBody::Index(_) => Self::Index,
            TapeBody::Candle(_) => Self::Candles,
            TapeBody::Lifecycle(_) => Self::Lifecycle,
            TapeBody::State(_) => Self::States,
            TapeBody::TickSize { .. } => Self::Ticks,
        }
    }

    /// Its name in the path.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Instruments => "instruments",
            Self::Levels => "levels",
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Index => "index",
            Self::Candles => "candles",
            Self::Lifecycle => "lifecycle",
            Self::States => "states",
            Self::Ticks => "ticks",
        }
    }
}

/// A row with what the tape said about its book before.
pub(super) struct Kept {
    /// Position in the tape, from 0: the total order across all tables.
    pub(super) tape_seq: u64,
    /// Whether the instrument's book was live after this row.
    pub(super) live: bool,
    /// The row.
    pub(super) row: TapeRow,
}

macro_rules! columns {
    ($rows:expr, { $($name:ident : |$row:ident| $value:expr),* $(,)? }) => {
        vec![$( Column::new(stringify!($name).into(), $rows.iter().map(|$row| $value).collect::<Vec<_>>()) ),*]
    };
}

const fn side(side: BookSide) -> &'static str {
    match side {
        BookSide::Bid => "bid",
        BookSide::Ask => "ask",
    }
}

/// The rows of one table as a frame; all of them must belong to it.
pub(super) fn frame(table: Table, rows: &[Kept]) -> polars::prelude::PolarsResult<DataFrame> {
    let mut columns = common(rows);
    columns.extend(match table {
        Table::Instruments => instruments(rows),
        Table::Levels => levels(rows),
        Table::Trades => trades(rows),
        Table::Quotes => quotes(rows),
        Table::Index => index(rows),
        Table::Candles => candles(rows),
        Table::Lifecycle => lifecycle(rows),
        Table::States => states(rows),
        Table::Ticks => ticks(rows),
    });
    DataFrame::new(rows.len(), columns)
}

fn common(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        tape_seq: |r| r.tape_seq,
        raw_seq: |r| r.row.raw_seq,
        venue_seq: |r| r.row.venue_seq,
        instrument: |r| r.row.instrument.0,
        venue_at: |r| r.row.times.venue_at.map(|t| t.0),
        publish_at: |r| r.row.times.publish_at.map(|t| t.0),
        recv_at: |r| r.row.times.recv_at.0,
        live: |r| r.live,
    })
}

/// Reads one field of a variant; rows of another table do not occur and give `None`.
macro_rules! pick {
    ($row:expr, $pattern:pat => $value:expr) => {
        match &$row.row.body {
            $pattern => Some($value),
            _ => None,
        }
    };
}

fn instruments(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        venue: |r| pick!(r, TapeBody::Instrument(i) => i.venue.name()),
        native: |r| pick!(r, TapeBody::Instrument(i) => i.native.as_str()),
        market: |r| pick!(r, TapeBody::Instrument(i) => i.market.as_str()),
        kind: |r| pick!(r, TapeBody::Instrument(i) => kind(i.kind)),
        price_decimals: |r| pick!(r, TapeBody::Instrument(i) => u32::from(i.price_decimals)),
        qty_decimals: |r| pick!(r, TapeBody::Instrument(i) => u32::from(i.qty_decimals)),
    })
}

const fn kind(kind: schemas::InstrumentKind) -> &'static str {
    match kind {
        schemas::InstrumentKind::Binary => "binary",
        schemas::InstrumentKind::Scalar => "scalar",
        schemas::InstrumentKind::Spot => "spot",
        schemas::InstrumentKind::Perpetual => "perpetual",
        schemas::InstrumentKind::Index => "index",
    }
}

/// `side`, `price` and `qty` are null in the row that empties the book.
fn levels(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        clear: |r| matches!(r.row.body, TapeBody::Clear),
        snapshot: |r| matches!(r.row.body, TapeBody::Level { snapshot: true, .. }),
        side: |r| pick!(r, TapeBody::Level { side: s, .. } => side(*s)),
        price: |r| pick!(r, TapeBody::Level { price, .. } => *price),
        qty: |r| pick!(r, TapeBody::Level { qty, .. } => *qty),
    })
}

fn trades(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        id: |r| pick!(r, TapeBody::Trade(t) => hex::encode(t.id)),
        price: |r| pick!(r, TapeBody::Trade(t) => t.price),
        qty: |r| pick!(r, TapeBody::Trade(t) => t.qty),
        taker: |r| pick!(r, TapeBody::Trade(t) => t.taker.map(side)).flatten(),
        block: |r| pick!(r, TapeBody::Trade(t) => t.block),
    })
}

fn quotes(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        bid: |r| pick!(r, TapeBody::Quote { bid, .. } => bid.map(|t| t.price)).flatten(),
        bid_qty: |r| pick!(r, TapeBody::Quote { bid, .. } => bid.and_then(|t| t.qty)).flatten(),
        ask: |r| pick!(r, TapeBody::Quote { ask, .. } => ask.map(|t| t.price)).flatten(),
        ask_qty: |r| pick!(r, TapeBody::Quote { ask, .. } => ask.and_then(|t| t.qty)).flatten(),
    })
}

/// `value` counts 1e-18 and has more digits than 64 bits hold, so it is text.
fn index(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        value: |r| pick!(r, TapeBody::Index(i) => i.value.to_string()),
        window_s: |r| pick!(r, TapeBody::Index(i) => i.window_s),
        window_end: |r| pick!(r, TapeBody::Index(i) => i.window_end.map(|t| t.0)).flatten(),
        carried_forward: |r| pick!(r, TapeBody::Index(i) => i.carried_forward),
        settling: |r| pick!(r, TapeBody::Index(i) => i.settling),
    })
}

fn candles(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        start: |r| pick!(r, TapeBody::Candle(c) => c.start.0),
        interval_s: |r| pick!(r, TapeBody::Candle(c) => c.interval_s),
        open: |r| pick!(r, TapeBody::Candle(c) => c.open).flatten(),
        high: |r| pick!(r, TapeBody::Candle(c) => c.high).flatten(),
        low: |r| pick!(r, TapeBody::Candle(c) => c.low).flatten(),
        close: |r| pick!(r, TapeBody::Candle(c) => c.close).flatten(),
        volume: |r| pick!(r, TapeBody::Candle(c) => c.volume),
        closed: |r| pick!(r, TapeBody::Candle(c) => c.closed),
    })
}

fn lifecycle(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        market: |r| pick!(r, TapeBody::Lifecycle(l) => l.market.as_str()),
        phase: |r| pick!(r, TapeBody::Lifecycle(l) => format!("{:?}", l.phase).to_lowercase()),
        said: |r| pick!(r, TapeBody::Lifecycle(l) => l.said.as_str()),
        payout_ppm: |r| pick!(r, TapeBody::Lifecycle(l) => l.payout.map(|p| p.0)).flatten(),
        closes_at: |r| pick!(r, TapeBody::Lifecycle(l) => l.closes_at.map(|t| t.0)).flatten(),
        detail: |r| pick!(r, TapeBody::Lifecycle(l) => l.detail.as_str()),
    })
}

fn states(rows: &[Kept]) -> Vec<Column> {
    let state = |r: &Kept| pick!(r, TapeBody::State(s) => *s);
    columns!(rows, {
        state: |r| state(r).map(|s| match s {
            BookState::Live => "live",
            BookState::Stale { .. } => "stale",
            BookState::Resyncing { .. } => "resyncing",
            BookState::Gap { .. } => "gap",
        }),
        reason: |r| state(r).and_then(|s| match s {
            BookState::Gap { reason, .. } => Some(format!("{reason:?}")),
            _ => None,
        }),
        from: |r| state(r).and_then(|s| match s {
            BookState::Stale { since } | BookState::Resyncing { since } => Some(since.0),
            BookState::Gap { from, .. } => Some(from.0),
            BookState::Live => None,
        }),
        to: |r| state(r).and_then(|s| match s {
            BookState::Gap { to, .. } => to.map(|t| t.0),
            _ => None,
        }),
    })
}

fn ticks(rows: &[Kept]) -> Vec<Column> {
    columns!(rows, {
        old: |r| pick!(r, TapeBody::TickSize { old, .. } => *old).flatten(),
        new: |r| pick!(r, TapeBody::TickSize { new, .. } => *new),
    })
}
