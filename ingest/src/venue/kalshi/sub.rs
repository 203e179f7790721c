//! One subscription and its counter; it says what a `seq` means and never repairs anything.

use schemas::{GapReason, InstrumentNo, Timestamp};

/// A channel of the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Book,
    Ticker,
    Trade,
    Life,
    Multivariate,
    Index,
    Index5,
    /// Own fills, in recordings only.
    Fill,
    /// Described and of no concern.
    Other,
}

impl Channel {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Book => "orderbook_delta",
            Self::Ticker => "ticker",
            Self::Trade => "trade",
            Self::Life => "market_lifecycle_v2",
            Self::Multivariate => "multivariate_market_lifecycle",
            Self::Index => "cfbenchmarks_value",
            Self::Index5 => "cfbenchmarks_value_5hz",
            Self::Fill => "fill",
            Self::Other => "",
        }
    }

    pub(crate) fn of(name: &[u8]) -> Self {
        let all = [
            Self::Book,
            Self::Ticker,
            Self::Trade,
            Self::Life,
            Self::Multivariate,
            Self::Index,
            Self::Index5,
            Self::Fill,
        ];
        all.into_iter().find(|channel| channel.name().as_bytes() == name).unwrap_or(Self::Other)
    }

    /// Whether every frame of the channel counts.
    pub(crate) const fn sequenced(self) -> bool {
        !matches!(self, Self::Ticker | Self::Fill | Self::Other)
    }

    /// Whether it is asked for by markets.
    pub(crate) const fn by_market(self) -> bool {
        matches!(self, Self::Book | Self::Ticker | Self::Trade)
    }
}

/// What a counter says about a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Next,
    Duplicate,
    Lost(GapReason),
}

/// One subscription; its place in the machine's list is its durable name, its `sid` changes with every connection.
#[derive(Clone, Debug)]
pub(crate) struct Sub {
    pub(crate) channel: Channel,
    /// Markets it covers.
    pub(crate) members: Vec<InstrumentNo>,
    /// Those of them that the venue was not asked for yet.
    pub(crate) unasked: Vec<InstrumentNo>,
    /// Its number on this connection; 0 = none.
    pub(crate) sid: u32,
    /// The last counter seen.
    pub(crate) last: u64,
    /// Whether `last` means something; a recording may begin in the middle.
    pub(crate) counting: bool,
    /// A recording showed a second `subscribed` of this number: the counter may start again.
    pub(crate) reopened: bool,
    /// A frame could not be read and may have been one of these; the next counter proves it.
    pub(crate) doubt: bool,
    /// A loss to be told when the subscription is open again: why, and since when.
    pub(crate) gap: Option<(GapReason, Timestamp)>,
    pub(crate) heard_at: Timestamp,
    /// Failed attempts to open it.
    pub(crate) failures: u32,
    /// When to ask for it again.
    pub(crate) ask_at: Timestamp,
}

impl Sub {
    pub(crate) fn new(channel: Channel) -> Self {
        Self {
            channel,
            members: Vec::new(),
            unasked: Vec::new(),
            sid: 0,
            last: 0,
            counting: false,
            reopened: false,
            doubt: false,
            gap: None,
            heard_at: Timestamp::ZERO,
            failures: 0,
            ask_at: Timestamp::MAX,
        }
    }

    /// The connection is gone, or the subscription is.
    pub(crate) fn shut(&mut self) {
        self.sid = 0;
        self.last = 0;
        self.counting = false;
        self.reopened = false;
        self.doubt = false;
    }

    /// The venue opened it.
    pub(crate) fn open(&mut self, sid: u32, now: Timestamp) {
        self.shut();
        self.sid = sid;
        self.counting = true;
        self.heard_at = now;
        self.failures = 0;
        self.ask_at = Timestamp::MAX;
    }

    /// Takes a frame's counter. After a loss counting goes on from the number that was seen.
    #[inline]
    pub(crate) fn step(&mut self, seq: u64) -> Step {
        let reopened = std::mem::take(&mut self.reopened);
        let step = if seq == self.last.wrapping_add(1) || !self.counting {
            Step::Next
        } else if reopened && seq == 1 {
            Step::Lost(GapReason::Disconnected)
        } else if seq == self.last {
            return Step::Duplicate;
        } else if seq > self.last {
            Step::Lost(GapReason::SequenceSkipped)
        } else {
            Step::Lost(GapReason::SequenceBack)
        };
        self.last = seq;
        self.counting = true;
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_from_what_was_seen() {
        let mut sub = Sub::new(Channel::Book);
        sub.open(7, Timestamp::ZERO);
        let steps: Vec<Step> = [1, 2, 2, 5, 6, 3, 4].into_iter().map(|seq| sub.step(seq)).collect();
        let (skipped, back) = (Step::Lost(GapReason::SequenceSkipped), Step::Lost(GapReason::SequenceBack));
        assert_eq!(steps, [Step::Next, Step::Next, Step::Duplicate, skipped, Step::Next, back, Step::Next]);
    }
}
