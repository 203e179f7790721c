//! One connection of Kalshi's WebSocket: its subscriptions and what waits to be sent. Never decides what happened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::wire;

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// `orderbook_delta`.
    Orderbook,
    /// `ticker`.
    Ticker,
    /// `trade`.
    Trade,
    /// `market_lifecycle_v2`.
    Lifecycle,
    /// `multivariate_market_lifecycle`: accepted, never has anything to say.
    Multivariate,
    /// `cfbenchmarks_value`.
    Index,
    /// `fill`: accepted, never has anything to say.
    Fill,
}

impl Channel {
    const ALL: [Self; 7] = [
        Self::Orderbook,
        Self::Ticker,
        Self::Trade,
        Self::Lifecycle,
        Self::Multivariate,
        Self::Index,
        Self::Fill,
    ];

    /// The venue's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orderbook => "orderbook_delta",
            Self::Ticker => "ticker",
            Self::Trade => "trade",
            Self::Lifecycle => "market_lifecycle_v2",
            Self::Multivariate => "multivariate_market_lifecycle",
            Self::Index => "cfbenchmarks_value",
            Self::Fill => "fill",
        }
    }

    /// The channel of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    /// Whether its data frames carry `seq`.
    pub const fn is_sequenced(self) -> bool {
        !matches!(self, Self::Ticker | Self::Fill)
    }
}

/// What leaves on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out {
    /// A text frame.
    Text(String),
    /// The connection ends without a close frame.
    Cut,
}

/// One subscription of a connection.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) channel: Channel,
    /// The last sequence number sent; the next frame has one more.
    pub(crate) seq: u64,
    /// Every market (channels that allow no filter).
    pub(crate) all: bool,
    pub(crate) markets: BTreeSet<usize>,
    pub(crate) indices: BTreeSet<String>,
    pub(crate) skip_ack: bool,
    pub(crate) yes_leg: bool,
    /// A frame that waits for its successor.
    pub(crate) held: Option<String>,
    /// Markets just removed, and how many of their messages are still sent.
    pub(crate) leaving: BTreeMap<usize, u32>,
}

impl Subscription {
    /// Whether a message of a market goes to this subscription; counts down what a removed market still sends.
    pub(crate) fn wants(&mut self, channel: Channel, market: usize) -> bool {
        if self.channel != channel {
            return false;
        }
        if self.all || self.markets.contains(&market) {
            return true;
        }
        let Some(left) = self.leaving.get_mut(&market) else { return false };
        *left -= 1;
        if *left == 0 {
            self.leaving.remove(&market);
        }
        true
    }

    pub(crate) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) subs: BTreeMap<u64, Subscription>,
    pub(crate) out: VecDeque<Out>,
    /// Carries nothing any more.
    pub(crate) zombie: bool,
    /// Frames handed to it.
    pub(crate) sent: u64,
}

impl Session {
    pub(crate) fn push(&mut self, text: String) {
        if !self.zombie {
            self.sent += 1;
            self.out.push_back(Out::Text(text));
        }
    }

    /// A frame of a subscription that may not be lost: acknowledgements, snapshots, errors.
    pub(crate) fn push_for(&mut self, sid: u64, text: String) {
        self.push(text);
        self.release(sid);
    }

    /// Sends the frame that waited for its successor.
    pub(crate) fn release(&mut self, sid: u64) {
        let held = self.subs.get_mut(&sid).and_then(|sub| sub.held.take());
        if let Some(held) = held {
            self.push(held);
        }
    }

    /// Lets a frame wait for its successor; `false` if one waits already.
    pub(crate) fn hold(&mut self, sid: u64, text: &str) -> bool {
        match self.subs.get_mut(&sid) {
            Some(sub) if sub.held.is_none() => {
                sub.held = Some(text.to_owned());
                true
            }
            _ => false,
        }
    }

    pub(crate) fn cut(&mut self) {
        self.subs.clear();
        self.out.push_back(Out::Cut);
        self.zombie = true;
    }

    /// Ends a subscription with a terminal error (10 or 25); the error has the next sequence number.
    pub(crate) fn fail(&mut self, sid: u64, code: u16) {
        if let Some(mut sub) = self.subs.remove(&sid) {
            let seq = sub.next_seq();
            self.push(wire::frame("error", None, Some(sid), Some(seq), Some(&wire::error(code))));
        }
    }
}
