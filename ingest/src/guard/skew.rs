//! How far a venue's clock is from ours, as far as one-way times tell: the smallest `receive - venue` time of a while;
//! it never corrects a time.
//!
//! The true difference of the clocks is unknown, but no message arrives before it is sent: the minimum is the skew plus
//! the shortest way, so a minimum below zero proves that the venue's clock is ahead, and a change of the minimum is a
//! drift of a clock or a change of the way.

use std::collections::{BTreeMap, VecDeque};

use minicbor::{Decode, Encode};
use schemas::time::{NANOS_PER_MILLI, NANOS_PER_SEC};
use schemas::{Digest, Snapshot as _, Timestamp, Venue};

/// Settings of a [`SkewMeter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SkewConfig {
    /// Length of one part of the window, ns.
    #[n(0)]
    pub part_ns: i64,
    /// How many parts the window has.
    #[n(1)]
    pub parts: u32,
    /// How far below zero a minimum may be, ns: the error of our own clock.
    #[n(2)]
    pub tolerance_ns: i64,
}

impl Default for SkewConfig {
    fn default() -> Self {
        Self { part_ns: 60 * NANOS_PER_SEC, parts: 10, tolerance_ns: 50 * NANOS_PER_MILLI }
    }
}

/// A change of the alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum SkewSign {
    /// Something arrived before it was sent by more than the tolerance.
    #[n(0)]
    Ahead {
        /// By how much, ns.
        #[n(0)]
        by_ns: i64,
    },
    /// A whole window passed without that.
    #[n(1)]
    Cleared,
}

/// The smallest difference of one part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Part {
    #[n(0)]
    no: i64,
    #[n(1)]
    least: i64,
}

/// The skew of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SkewMeter {
    #[n(0)]
    config: SkewConfig,
    #[n(1)]
    parts: VecDeque<Part>,
    /// Minimum of the first complete part, and its number: what drift is measured from.
    #[n(2)]
    first: Option<Part>,
    #[n(3)]
    alarmed: bool,
    #[n(4)]
    alarms: u64,
}

impl SkewMeter {
    /// A meter that has seen nothing.
    pub fn new(config: SkewConfig) -> Self {
        Self { config, parts: VecDeque::new(), first: None, alarmed: false, alarms: 0 }
    }

    /// Takes a message's two times; says when the alarm changes. A message without the venue's time is none of ours.
    pub fn note(&mut self, recv_at: Timestamp, venue_at: Timestamp) -> Option<SkewSign> {
        let least = recv_at.since(venue_at);
        let no = recv_at.0.div_euclid(self.config.part_ns.max(1));
        match self.parts.back_mut() {
            // A receive time that went back belongs to the newest part.
            Some(part) if part.no >= no => part.least = part.least.min(least),
            _ => {
                self.first = self.first.or_else(|| self.parts.front().copied());
                self.parts.push_back(Part { no, least });
            }
        }
        let oldest = no - i64::from(self.config.parts.max(1));
        while self.parts.front().is_some_and(|part| part.no <= oldest) {
            self.parts.pop_front();
        }
        self.sign(least)
    }

    fn sign(&mut self, newest: i64) -> Option<SkewSign> {
        let limit = -self.config.tolerance_ns;
        if !self.alarmed && newest < limit {
            self.alarmed = true;
            self.alarms += 1;
            return Some(SkewSign::Ahead { by_ns: newest.saturating_neg() });
        }
        if self.alarmed && self.least_ns().is_some_and(|least| least >= limit) {
            self.alarmed = false;
            return Some(SkewSign::Cleared);
        }
        None
    }

    /// The smallest `receive - venue` time of the window, ns.
    pub fn least_ns(&self) -> Option<i64> {
        self.parts.iter().map(|part| part.least).min()
    }

    /// By how much the newest part's minimum differs from the first complete part's, and the time between them; ns.
    pub fn drift_ns(&self) -> Option<(i64, i64)> {
        let (first, last) = (self.first?, self.parts.back()?);
        let apart = last.no.saturating_sub(first.no).saturating_mul(self.config.part_ns.max(1));
        Some((last.least.saturating_sub(first.least), apart))
    }

    /// Whether the alarm is on.
    pub fn is_alarmed(&self) -> bool {
        self.alarmed
    }

    /// How often it went on.
    pub fn alarms(&self) -> u64 {
        self.alarms
    }
}

/// The skews of all connections, bounded.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Skews {
    #[n(0)]
    config: SkewConfig,
    #[n(1)]
    max: u32,
    #[n(2)]
    meters: BTreeMap<(Venue, u32), SkewMeter>,
    #[n(3)]
    unmeasured: u64,
}

impl Skews {
    /// Meters for at most `max` connections.
    pub fn new(config: SkewConfig, max: u32) -> Self {
        Self { config, max, meters: BTreeMap::new(), unmeasured: 0 }
    }

    /// Takes a message of a connection.
    pub fn note(
        &mut self,
        venue: Venue,
        conn: u32,
        recv_at: Timestamp,
        venue_at: Timestamp,
    ) -> Option<SkewSign> {
        let key = (venue, conn);
        if !self.meters.contains_key(&key) && self.meters.len() >= self.max as usize {
            self.unmeasured += 1;
            return None;
        }
        self.meters.entry(key).or_insert_with(|| SkewMeter::new(self.config)).note(recv_at, venue_at)
    }

    /// A connection ended.
    pub fn forget(&mut self, venue: Venue, conn: u32) {
        self.meters.remove(&(venue, conn));
    }

    /// One connection's meter.
    pub fn get(&self, venue: Venue, conn: u32) -> Option<&SkewMeter> {
        self.meters.get(&(venue, conn))
    }

    /// The smallest time over all connections of a venue, ns.
    pub fn least_ns(&self, venue: Venue) -> Option<i64> {
        self.meters.iter().filter(|((of, _), _)| *of == venue).filter_map(|(_, meter)| meter.least_ns()).min()
    }

    /// Messages of connections beyond the bound.
    pub fn unmeasured(&self) -> u64 {
        self.unmeasured
    }

    /// Equal messages in equal order, equal digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.save())
    }
}
