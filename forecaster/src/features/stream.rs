//! Records in, rows out: the one streaming form of every feature set; it never looks ahead and never reads a clock.

use minicbor::data::Tag;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use schemas::{IndexPrice, MarketEvent, MarketId, Question, TapeRow, Timestamp};

use super::gate::{self, Needs, NoRow};
use super::market::{self, Bounds, MarketState};
use super::updown::{self, Target};
use super::{FeatureSet, Spec};
use crate::history::{History, Offered};

/// What stands before the state of `market-1` in a snapshot; of the range for private use.
const MARKET_TAG: Tag = Tag::new(70_001);

/// What a row is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The market.
    pub market: &'a MarketId,
    /// The index pair, e.g. `btc/usd`.
    pub symbol: &'a str,
    /// The strike K.
    pub strike: IndexPrice,
    /// The market's start.
    pub starts_at: Timestamp,
    /// The market's end.
    pub resolves_at: Timestamp,
}

impl<'a> From<&'a Question> for Query<'a> {
    fn from(q: &'a Question) -> Self {
        Self {
            market: &q.market,
            symbol: &q.symbol,
            strike: q.strike,
            starts_at: q.market_starts_at,
            resolves_at: q.resolves_at,
        }
    }
}

/// What must hold for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The features that must be there and legal.
    pub needs: Needs,
    /// Least history before the instant, ns; `updown-1` as a whole, other sets know it feature by feature.
    pub min_history_ns: i64,
    /// Greatest age of the newest tick, ns.
    pub max_input_age_ns: i64,
}

/// The state of one feature set.
#[derive(Clone, Debug, PartialEq)]
pub enum Stream {
    /// `updown-1`: the history of one index pair is all there is.
    UpDown(History),
    /// `market-1`.
    Market(Box<MarketState>),
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// A tick older than the newest.
    pub out_of_order: u64,
    /// A tick whose value is not positive.
    pub not_positive: u64,
    /// A tick that had to go although it was still in the lookback.
    pub evicted: u64,
}

impl Stream {
    /// A stream of the set that has seen nothing; keeps at most `max_ticks` values of an index pair.
    pub fn new(set: &FeatureSet, max_ticks: u32) -> Self {
        if set.name == market::FEATURE_SET {
            return Self::Market(Box::new(MarketState::new(Bounds::one_pair(max_ticks))));
        }
        Self::UpDown(History::new(max_ticks))
    }

    /// The set whose rows it gives.
    pub fn set(&self) -> &'static FeatureSet {
        match self {
            Self::UpDown(_) => &updown::SET,
            Self::Market(_) => &market::SET,
        }
    }

    /// Takes a record of the index pair that everybody knew at `known_at`; says what was dropped for it.
    pub fn apply(&mut self, known_at: Timestamp, event: &MarketEvent) -> Drops {
        let mut drops = Drops::default();
        match self {
            Self::Market(state) => return state.apply(known_at, event),
            Self::UpDown(history) => {
                let MarketEvent::Tick(tick) = event else { return drops };
                match history.offer(tick.feed_at, tick.value) {
                    Offered::Kept | Offered::Replaced => {}
                    Offered::OutOfOrder => drops.out_of_order += 1,
                    Offered::NotPositive => drops.not_positive += 1,
                    Offered::Evicted => drops.evicted += 1,
                }
            }
        }
        drops
    }

    /// Takes a row of a tape; `updown-1` knows no tapes.
    pub fn apply_tape(&mut self, row: &TapeRow) {
        if let Self::Market(state) = self {
            state.apply_tape(row);
        }
    }

    /// Another tape begins: its instruments are numbered anew.
    pub fn begin_tape(&mut self) {
        if let Self::Market(state) = self {
            state.begin_tape();
        }
    }

    /// Writes the set's whole row as of `at` into `out` (as long as the set is wide), or says why there is none. What
    /// the gate does not ask for and is not there is 0.
    pub fn row(
        &mut self,
        query: &Query<'_>,
        at: Timestamp,
        gate: &Gate,
        out: &mut [f32],
    ) -> Result<(), NoRow> {
        match self {
            Self::Market(state) => state.row(query, at, gate, out),
            Self::UpDown(history) => {
                let target = Target {
                    strike: query.strike,
                    opens_at: at,
                    starts_at: query.starts_at,
                    resolves_at: query.resolves_at,
                };
                let mut row = updown::raw(history, &target, gate.min_history_ns, gate.max_input_age_ns)?;
                if query.strike.0 <= 0 {
                    // Without a strike the clipped z would look like a certainty.
                    for i in updown::OF_STRIKE {
                        row[i] = f32::NAN;
                    }
                }
                admit(&row, &updown::SPECS, gate.needs, out)
            }
        }
    }
}

/// Lets a row through the gate: what is needed must be legal, what is not needed and not legal becomes 0.
fn admit(row: &[f32], specs: &[Spec], needs: Needs, out: &mut [f32]) -> Result<(), NoRow> {
    for (i, ((value, spec), slot)) in row.iter().zip(specs).zip(out).enumerate() {
        *slot = match gate::check(i, *value, spec) {
            Ok(()) => *value,
            Err(no) if needs.contains(i) => return Err(no),
            Err(_) => 0.0,
        };
    }
    Ok(())
}

// `updown-1` is encoded as its history alone, as it was before there were other sets.
impl<C> Encode<C> for Stream {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, c: &mut C) -> Result<(), EncodeError<W::Error>> {
        match self {
            Self::UpDown(history) => history.encode(e, c),
            Self::Market(state) => state.encode(e.tag(MARKET_TAG)?, c),
        }
    }
}

impl<'b, C> Decode<'b, C> for Stream {
    fn decode(d: &mut Decoder<'b>, c: &mut C) -> Result<Self, DecodeError> {
        if d.datatype()? != minicbor::data::Type::Tag {
            return History::decode(d, c).map(Self::UpDown);
        }
        if d.tag()? != MARKET_TAG {
            return Err(DecodeError::message("a feature set nobody knows"));
        }
        Ok(Self::Market(Box::new(MarketState::decode(d, c)?)))
    }
}
