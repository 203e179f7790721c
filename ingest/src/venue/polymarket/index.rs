//! Values of price streams (RTDS v1 and v2): the payload both share, and the rows it becomes; it never fills in a value.

use std::borrow::Cow;

use schemas::{
    Digest, GapReason, IndexPrice, IndexRow, Instrument, InstrumentKind, InstrumentNo, TapeBody, Timestamp,
    Venue,
};

use super::market_wire::WireError;
use crate::decimal;
use crate::deed::VenueOutput;
use crate::scan::Scan;
use crate::shelf::{Origin, Shelf};

/// Milliseconds at 2100-01-01; later times are refused.
const MAX_MILLIS: i64 = 4_102_444_800_000;
/// Decimals of [`IndexPrice`].
const INDEX_DECIMALS: u8 = 18;

type Result<T> = std::result::Result<T, WireError>;

/// A payload as it stands; what of it must be there depends on the stream.
#[derive(Debug, Default)]
pub(super) struct Payload<'a> {
    pub(super) symbol: Option<Cow<'a, str>>,
    pub(super) ms: Option<i64>,
    value: Option<&'a [u8]>,
    full: Option<&'a [u8]>,
    pub(super) window: Option<i64>,
    pub(super) carried: bool,
    /// The list of earlier values that answers a subscription.
    pub(super) data: Option<&'a [u8]>,
}

/// How exact a value must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exactness {
    /// `full_accuracy_value` must be there: with a point a decimal, without one a count of 1e-18.
    Atoms,
    /// The same, but the rounded `value` will do.
    Rounded,
    /// `full_accuracy_value` must be there and is a decimal.
    Decimal,
}

/// One value of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) ms: i64,
    pub(super) value: IndexPrice,
}

/// A time in milliseconds.
pub(super) fn millis(scan: &mut Scan<'_>, name: &'static str) -> Result<i64> {
    Some(scan.integer()?).filter(|ms| (1..=MAX_MILLIS).contains(ms)).ok_or(WireError::Bad(name))
}

/// Puts a field in its place once.
pub(super) fn put<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<()> {
    if slot.replace(value).is_some() { Err(WireError::Twice(name)) } else { Ok(()) }
}

impl<'a> Payload<'a> {
    pub(super) fn read(scan: &mut Scan<'a>) -> Result<Self> {
        let mut all = Self::default();
        scan.object()?;
        while let Some(key) = scan.key()? {
            match key {
                b"symbol" => put(&mut all.symbol, scan.text()?, "symbol")?,
                b"timestamp" => put(&mut all.ms, millis(scan, "payload.timestamp")?, "payload.timestamp")?,
                b"value" if scan.starts(b'"') => put(&mut all.value, scan.plain()?, "value")?,
                b"value" => put(&mut all.value, scan.number()?, "value")?,
                b"full_accuracy_value" => put(&mut all.full, scan.plain()?, "full_accuracy_value")?,
                b"window_s" | b"window_seconds" => put(&mut all.window, scan.integer()?, "window")?,
                b"is_carried_forward" => all.carried = scan.boolean()?,
                b"data" if scan.starts(b'[') => put(&mut all.data, scan.raw()?, "data")?,
                _ => scan.skip()?,
            }
        }
        Ok(all)
    }

    pub(super) fn symbol(&self) -> Result<&str> {
        self.symbol.as_deref().filter(|text| !text.is_empty()).ok_or(WireError::Missing("symbol"))
    }

    pub(super) fn point(&self, exactness: Exactness) -> Result<Point> {
        let ms = self.ms.ok_or(WireError::Missing("payload.timestamp"))?;
        Ok(Point { ms, value: exact(self.value, self.full, exactness)? })
    }

    /// The earlier values, ascending by time.
    pub(super) fn points(&self, exactness: Exactness) -> Result<Vec<Point>> {
        let mut scan = Scan::new(self.data.ok_or(WireError::Missing("data"))?);
        let mut points = Vec::new();
        scan.array()?;
        while scan.item()? {
            points.push(Payload::read(&mut scan)?.point(exactness)?);
        }
        points.sort_by_key(|point| point.ms);
        Ok(points)
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The exact value; the rounded one beside it must be the same but for its rounding.
fn exact(value: Option<&[u8]>, full: Option<&[u8]>, exactness: Exactness) -> Result<IndexPrice> {
    let bad = WireError::Bad("full_accuracy_value");
    let near = value.map(|raw| text(raw).and_then(IndexPrice::from_decimal).ok_or(WireError::Bad("value")));
    let near = near.transpose()?;
    let price = match full.map(|raw| text(raw).ok_or(bad)).transpose()? {
        Some(full) if exactness == Exactness::Decimal || full.contains('.') => {
            IndexPrice::from_decimal(full).ok_or(bad)?
        }
        Some(full) => IndexPrice::from_atoms(full).ok_or(bad)?,
        None if exactness == Exactness::Rounded => near.ok_or(WireError::Missing("value"))?,
        None => return Err(WireError::Missing("full_accuracy_value")),
    };
    if price.0 <= 0 {
        return Err(bad);
    }
    if let (Some(near), Some(raw)) = (near, value) {
        let places = u32::from(decimal::places(raw).min(INDEX_DECIMALS));
        let unit = IndexPrice::ONE.unsigned_abs() / 10_u128.pow(places);
        let slack = unit.max(price.0.unsigned_abs() / 1_000_000);
        if near.0.abs_diff(price.0) > slack {
            return Err(WireError::Bad("value"));
        }
    }
    Ok(price)
}

/// One value with its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    /// Topic or channel.
    pub(super) stream: &'a str,
    pub(super) symbol: &'a str,
    pub(super) point: Point,
    /// Seconds of the window it is the average of; 0 if it is none.
    pub(super) window_s: u32,
    pub(super) carried: bool,
    /// When the relay sent it.
    pub(super) published: Option<Timestamp>,
    /// From the list that answers a subscription.
    pub(super) history: bool,
}

/// The streams of a machine, as instruments of its shelf.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    pub(super) shelf: Shelf,
    /// Newest value of each instrument.
    last: Vec<Option<(i64, IndexPrice, bool)>>,
    /// The group (connection and channel) each instrument belongs to.
    group: Vec<u64>,
}

impl Board {
    /// Says a value unless it was said before or is older than what was said.
    pub(super) fn say(&mut self, said: &Said<'_>, group: u64, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let mut origin = origin.at_venue_ms(said.point.ms);
        origin.times.publish_at = said.published;
        let no = self.instrument(said, group, &origin, out);
        let at = no.0 as usize;
        let value = (said.point.ms, said.point.value, said.carried);
        if let Some(last) = self.last[at] {
            if value == last || (said.history && value.0 <= last.0) {
                self.shelf.counts.duplicates += 1;
                return;
            }
            if value.0 < last.0 {
                self.shelf.counts.stale_dropped += 1;
                return;
            }
        }
        self.last[at] = Some(value);
        let row = IndexRow {
            value: said.point.value,
            window_s: said.window_s,
            window_end: None,
            carried_forward: said.carried,
            settling: false,
        };
        // A gap ends with the first value after it.
        if self.shelf.slot(no).is_some_and(|slot| slot.state.is_live()) {
            self.shelf.heard(no, &origin, out);
        } else {
            self.shelf.mark_live(no, &origin, out);
        }
        self.shelf.push(no, TapeBody::Index(row), &origin, out);
    }

    fn instrument(
        &mut self,
        said: &Said<'_>,
        group: u64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> InstrumentNo {
        let native = if said.window_s > 0 && !said.stream.contains("_twap_") {
            format!("{}:{}:{}", said.stream, said.symbol, said.window_s)
        } else {
            format!("{}:{}", said.stream, said.symbol)
        };
        let no = self.shelf.intern(native.as_bytes(), origin, out, || Instrument {
            venue: Venue::Polymarket,
            native: native.clone(),
            market: native.clone(),
            kind: InstrumentKind::Index,
            price_decimals: INDEX_DECIMALS,
            qty_decimals: 0,
        });
        self.last.resize(self.shelf.len(), None);
        self.group.resize(self.shelf.len(), group);
        self.group[no.0 as usize] = group;
        no
    }

    /// What was said of these groups in between is not known.
    pub(super) fn lose(
        &mut self,
        of: impl Fn(u64) -> bool,
        reason: GapReason,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        for at in 0..self.group.len() {
            if of(self.group[at]) {
                self.shelf.lose(InstrumentNo(at as u32), reason, origin, out);
            }
        }
    }

    pub(super) fn digest(&self) -> Digest {
        let mut own = Vec::new();
        for (ms, value, carried) in self.last.iter().flatten() {
            own.extend(ms.to_be_bytes());
            own.extend(value.0.to_be_bytes());
            own.push(u8::from(*carried));
        }
        Digest::combine(&[self.shelf.digest(), Digest::of(&own)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str, exactness: Exactness) -> Result<i128> {
        let mut scan = Scan::new(json.as_bytes());
        Payload::read(&mut scan)?.point(exactness).map(|point| point.value.0)
    }

    #[test]
    fn exact_values_are_read_and_rounded_ones_only_where_they_may_be() {
        let atoms = r#"{"timestamp":1,"value":63304.2003,"full_accuracy_value":"63304200301195075000000"}"#;
        assert_eq!(value(atoms, Exactness::Atoms), Ok(63_304_200_301_195_075_000_000));
        let rounded = r#"{"timestamp":1,"value":198.45,"full_accuracy_value":"198.4523"}"#;
        assert_eq!(value(rounded, Exactness::Rounded), Ok(198_452_300_000_000_000_000));
        assert_eq!(value(rounded, Exactness::Decimal), Ok(198_452_300_000_000_000_000));
        let whole = r#"{"timestamp":1,"value":65000,"full_accuracy_value":"65000"}"#;
        assert_eq!(value(whole, Exactness::Decimal), Ok(65_000 * IndexPrice::ONE));
        assert!(value(whole, Exactness::Atoms).is_err(), "65000 units of 1e-18 are not 65000 dollars");
        let plain = r#"{"timestamp":1,"value":198.45}"#;
        assert_eq!(value(plain, Exactness::Rounded), Ok(198_450_000_000_000_000_000));
        assert_eq!(value(plain, Exactness::Atoms), Err(WireError::Missing("full_accuracy_value")));
        let other = r#"{"timestamp":1,"value":197.45,"full_accuracy_value":"198.4523"}"#;
        assert_eq!(value(other, Exactness::Decimal), Err(WireError::Bad("value")));
    }

    #[test]
    fn a_gap_is_closed_by_the_next_value_of_the_same_stream_only() {
        let (mut board, mut out) = (Board::default(), Vec::new());
        let said = |symbol, ms| Said {
            stream: "s",
            symbol,
            point: Point { ms, value: IndexPrice(5) },
            window_s: 0,
            carried: false,
            published: None,
            history: false,
        };
        for symbol in ["a", "b"] {
            board.say(&said(symbol, 1), 7, &Origin::default(), &mut out);
        }
        board.lose(|group| group == 7, GapReason::SequenceSkipped, &Origin::default(), &mut out);
        assert_eq!(board.shelf.live(), 0);
        board.say(&said("a", 2), 7, &Origin::default(), &mut out);
        assert_eq!((board.shelf.live(), board.shelf.counts.gaps), (1, 2));
    }
}
