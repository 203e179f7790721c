//! The tape: market data of every venue as rows in one form; integers at the instrument's own scale, never a float,
//! never a time that was made up.
//!
//! A tape is derived from raw frames and reproducible from them. Its rows name the raw record they come from, and an
//! instrument's number means something only within one tape, after the [`TapeBody::Instrument`] row that introduced it.

use minicbor::{Decode, Encode};

use crate::fixed::{IndexPrice, Ppm};
use crate::market::Venue;
use crate::time::Timestamp;

/// Number of an instrument within one tape, from 0, in the order of introduction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct InstrumentNo(#[n(0)] pub u32);

/// What kind of thing is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum InstrumentKind {
    /// Pays 1 or 0 (or a fraction if it is split). Kalshi: the yes side; Polymarket: one outcome token.
    #[n(0)]
    Binary,
    /// Pays a value within bounds.
    #[n(1)]
    Scalar,
    /// A currency pair.
    #[n(2)]
    Spot,
    /// A perpetual future.
    #[n(3)]
    Perpetual,
    /// A published value that nobody trades, e.g. BRTI.
    #[n(4)]
    Index,
}

/// A thing that is quoted, by its venue's own name.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Instrument {
    /// Its venue.
    #[n(0)]
    pub venue: Venue,
    /// The venue's own name, verbatim: Kalshi ticker, Polymarket token id, spot symbol, index id.
    #[n(1)]
    pub native: String,
    /// The venue's market it belongs to: Polymarket condition id; elsewhere equal to `native`. Empty if not known yet.
    #[n(2)]
    pub market: String,
    /// What it is.
    #[n(3)]
    pub kind: InstrumentKind,
    /// A price integer counts 10^-price_decimals of the quote currency.
    #[n(4)]
    pub price_decimals: u8,
    /// A quantity integer counts 10^-qty_decimals of the base unit (contracts, shares, coins).
    #[n(5)]
    pub qty_decimals: u8,
}

/// The three clocks of a row; none ever replaces another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Times {
    /// When it happened, by the venue or the source behind it.
    #[n(0)]
    pub venue_at: Option<Timestamp>,
    /// When the venue sent it, where it says so beside `venue_at`.
    #[n(1)]
    pub publish_at: Option<Timestamp>,
    /// When our socket had it.
    #[n(2)]
    pub recv_at: Timestamp,
}

/// A side of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum BookSide {
    /// Buyers.
    #[n(0)]
    Bid,
    /// Sellers.
    #[n(1)]
    Ask,
}

/// Why a book was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum GapReason {
    /// A sequence number was skipped.
    #[n(0)]
    SequenceSkipped,
    /// A sequence number went back.
    #[n(1)]
    SequenceBack,
    /// The connection ended.
    #[n(2)]
    Disconnected,
    /// The venue's checksum or hash differs from our book's.
    #[n(3)]
    Checksum,
    /// The venue's best prices differ from our book's.
    #[n(4)]
    TopMismatch,
    /// Best bid at or above best ask.
    #[n(5)]
    Crossed,
    /// A level would have become negative.
    #[n(6)]
    NegativeLevel,
    /// The price grid changed: a new book epoch.
    #[n(7)]
    TickChange,
    /// The venue dropped messages because we read too slowly (Kalshi error 25, RTDS `dropped`).
    #[n(8)]
    Overflow,
    /// The venue ended the channel (Kalshi error 10).
    #[n(9)]
    ChannelError,
    /// A REST audit differed from our book.
    #[n(10)]
    Audit,
    /// A frame of this book could not be read.
    #[n(11)]
    Unreadable,
}

/// Whether a book may be used. Everything but `Live` is to be excluded from features, scores and backtests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum BookState {
    /// Complete and verified as far as the venue allows it.
    #[n(0)]
    Live,
    /// Complete, but nothing was heard for longer than the idle limit.
    #[n(1)]
    Stale {
        /// Receive time of what was last heard.
        #[n(0)]
        since: Timestamp,
    },
    /// A snapshot was asked for and has not come. Also the state before the first one.
    #[n(2)]
    Resyncing {
        /// Since when.
        #[n(0)]
        since: Timestamp,
    },
    /// What happened between `from` and `to` is not known.
    #[n(3)]
    Gap {
        /// Why.
        #[n(0)]
        reason: GapReason,
        /// Receive time of the last thing that is known.
        #[n(1)]
        from: Timestamp,
        /// Receive time of the snapshot that ended it; `None` while it is open.
        #[n(2)]
        to: Option<Timestamp>,
    },
}

/// An executed trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TradeRow {
    /// The venue's id (a UUID's bytes, or a number big-endian), or a hash where the venue has none.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// Price.
    #[n(1)]
    pub price: i64,
    /// Quantity.
    #[n(2)]
    pub qty: i64,
    /// The side that took: `Bid` bought.
    #[n(3)]
    pub taker: Option<BookSide>,
    /// Negotiated off the book.
    #[n(4)]
    pub block: bool,
}

/// The best price of a side as a venue tells it outside its book channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TopRow {
    /// Price.
    #[n(0)]
    pub price: i64,
    /// Quantity, where it is told.
    #[n(1)]
    pub qty: Option<i64>,
}

/// A value of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct IndexRow {
    /// The value.
    #[n(0)]
    pub value: IndexPrice,
    /// 0 for an instantaneous value, else the length in seconds of the window it is the average of.
    #[n(1)]
    pub window_s: u32,
    /// End of that window (exclusive), where it is told.
    #[n(2)]
    pub window_end: Option<Timestamp>,
    /// The source repeats an older value.
    #[n(3)]
    pub carried_forward: bool,
    /// The average that settles, as the venue itself marks it.
    #[n(4)]
    pub settling: bool,
}

/// One candle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct CandleRow {
    /// Start of the interval.
    #[n(0)]
    pub start: Timestamp,
    /// Length, seconds.
    #[n(1)]
    pub interval_s: u32,
    /// First price; `None` where nothing traded.
    #[n(2)]
    pub open: Option<i64>,
    /// Highest price.
    #[n(3)]
    pub high: Option<i64>,
    /// Lowest price.
    #[n(4)]
    pub low: Option<i64>,
    /// Last price.
    #[n(5)]
    pub close: Option<i64>,
    /// Quantity traded.
    #[n(6)]
    pub volume: i64,
    /// Whether it can still change.
    #[n(7)]
    pub closed: bool,
}

/// Where a market stands in its life, in the words of neither venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Phase {
    /// Listed, not trading yet.
    #[n(0)]
    Created,
    /// Trading.
    #[n(1)]
    Active,
    /// Trading halted for a while.
    #[n(2)]
    Paused,
    /// Trading has ended.
    #[n(3)]
    Closed,
    /// An outcome was named (Kalshi determined, UMA proposed); not final.
    #[n(4)]
    Determined,
    /// The named outcome is challenged.
    #[n(5)]
    Disputed,
    /// The named outcome was changed.
    #[n(6)]
    Amended,
    /// Paid; nothing changes any more.
    #[n(7)]
    Final,
    /// Only a description, date, fee or price grid changed.
    #[n(8)]
    Changed,
}

/// A change in a market's life. The table of these is bitemporal: `venue_at` says since when it holds, `recv_at` since
/// when we know.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LifecycleRow {
    /// The market.
    #[n(0)]
    pub market: String,
    /// Where it stands now.
    #[n(1)]
    pub phase: Phase,
    /// The venue's own word for it.
    #[n(2)]
    pub said: String,
    /// What one yes (or first outcome) contract pays, once named; any value from 0 to 1 is legal.
    #[n(3)]
    pub payout: Option<Ppm>,
    /// When trading ends, where it is told.
    #[n(4)]
    pub closes_at: Option<Timestamp>,
    /// What else changed, as canonical JSON.
    #[n(5)]
    pub detail: String,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum TapeBody {
    /// An instrument is introduced under the row's number.
    #[n(0)]
    Instrument(#[n(0)] Box<Instrument>),
    /// The book is empty now; a snapshot's levels follow, or nothing until it is resynchronised.
    #[n(1)]
    Clear,
    /// A level has this quantity now; 0 removes it.
    #[n(2)]
    Level {
        /// Side.
        #[n(0)]
        side: BookSide,
        /// Price.
        #[n(1)]
        price: i64,
        /// Absolute quantity after the change.
        #[n(2)]
        qty: i64,
        /// Whether it is part of a snapshot.
        #[n(3)]
        snapshot: bool,
    },
    /// A trade.
    #[n(3)]
    Trade(#[n(0)] TradeRow),
    /// Best prices told outside the book channel.
    #[n(4)]
    Quote {
        /// Best bid.
        #[n(0)]
        bid: Option<TopRow>,
        /// Best ask.
        #[n(1)]
        ask: Option<TopRow>,
    },
    /// An index value.
    #[n(5)]
    Index(#[n(0)] IndexRow),
    /// A candle.
    #[n(6)]
    Candle(#[n(0)] Box<CandleRow>),
    /// The price grid changed to this step.
    #[n(7)]
    TickSize {
        /// Before, where known.
        #[n(0)]
        old: Option<i64>,
        /// Now.
        #[n(1)]
        new: i64,
    },
    /// A market's life went on.
    #[n(8)]
    Lifecycle(#[n(0)] Box<LifecycleRow>),
    /// The book's state changed.
    #[n(9)]
    State(#[n(0)] BookState),
}

/// One row of a tape.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TapeRow {
    /// Number of the raw record it follows from.
    #[n(0)]
    pub raw_seq: u64,
    /// The venue's own sequence number; 0 where it has none.
    #[n(1)]
    pub venue_seq: u64,
    /// The instrument; for a market's [`TapeBody::Lifecycle`] its first one, or `u32::MAX` if none is known.
    #[n(2)]
    pub instrument: InstrumentNo,
    /// Its clocks.
    #[n(3)]
    pub times: Times,
    /// What it says.
    #[n(4)]
    pub body: TapeBody,
}

impl InstrumentNo {
    /// No instrument of this tape.
    pub const NONE: Self = Self(u32::MAX);
}

impl BookState {
    /// Whether the book may be used.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Live)
    }
}
