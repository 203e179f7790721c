//! The venue's answers to commands and its errors; an answer is matched by our own id, whatever order it comes in.

use schemas::{GapReason, InstrumentNo, Timestamp};

use super::command::Asked;
use super::machine::Kalshi;
use super::sub::{Channel, Sub};
use super::wire::{Body, Frame};
use crate::deed::VenueOutput;
use crate::shelf::Origin;

/// Subscriptions asked for in vain before the connection is given up.
const SILENT_SUBSCRIBES: u32 = 3;
/// The channel failed.
const CHANNEL_ERROR: i64 = 10;
/// We read too slowly.
const OVERFLOW: i64 = 25;
/// Too many markets for one subscription.
const MARKET_LIMIT: i64 = 26;

impl Kalshi {
    /// Forgets a command that was answered; says what it was about.
    pub(crate) fn answered(&mut self, id: Option<u64>) -> Option<Asked> {
        self.asked.remove(&id?).map(|(asked, _)| asked)
    }

    pub(crate) fn on_subscribed(
        &mut self,
        id: Option<u64>,
        channel: &[u8],
        sid: u32,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let channel = Channel::of(channel);
        if self.config.capture {
            return self.on_recorded_subscription(channel, sid, origin, out);
        }
        let Some(Asked::Subscribe { sub: at }) = self.answered(id) else {
            self.shelf.counts.stray += 1;
            return;
        };
        if self.subs[at].channel != channel {
            self.shelf.counts.quarantined += 1;
            self.retry(at);
            return;
        }
        self.closing.retain(|old| *old != sid);
        self.subs[at].open(sid, self.now);
        self.tell_gap(at, origin, out);
        self.ask_unasked(at, out);
        self.await_sub(at);
    }

    /// A recording's own client subscribed; a number that is used again may start counting again.
    fn on_recorded_subscription(
        &mut self,
        channel: Channel,
        sid: u32,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        match self.subs.iter().position(|sub| sub.sid == sid) {
            Some(at) if self.subs[at].channel == channel => self.subs[at].reopened = true,
            Some(at) => {
                self.lose_sub(at, GapReason::Disconnected, origin, out);
                self.subs[at] = Sub::new(channel);
                self.subs[at].open(sid, self.now);
            }
            None => {
                let mut sub = Sub::new(channel);
                sub.open(sid, self.now);
                self.subs.push(sub);
            }
        }
    }

    /// An answer or error that is about no subscription; anything else without a sid cannot be placed.
    pub(crate) fn on_unscoped(&mut self, frame: &Frame<'_>, origin: &Origin, out: &mut Vec<VenueOutput>) {
        match frame.body {
            // A counter without its sid: it counted somewhere.
            _ if frame.seq.is_some() => self.doubt(None, origin, out),
            Body::Error { code } => self.on_error(None, frame.id, code, origin, out),
            Body::Ok => {
                if let Some(Asked::Subscribe { sub }) = self.answered(frame.id) {
                    self.retry(sub);
                }
            }
            _ => self.doubt(None, origin, out),
        }
    }

    /// `ok`; to a subscribe it means that the venue put the markets into a subscription that was open before.
    pub(crate) fn on_ok(&mut self, at: usize, id: Option<u64>, out: &mut Vec<VenueOutput>) {
        let Some(Asked::Subscribe { sub: from }) = self.answered(id) else { return };
        if from == at || self.subs[from].channel != self.subs[at].channel {
            return;
        }
        let moved = std::mem::take(&mut self.subs[from].members);
        let unasked = std::mem::take(&mut self.subs[from].unasked);
        self.subs[from].ask_at = Timestamp::MAX;
        for no in moved.iter().filter(|_| self.subs[at].channel == Channel::Book) {
            self.marks[no.0 as usize].sub = at;
        }
        self.subs[at].members.extend(moved);
        self.subs[at].unasked.extend(unasked);
        self.ask_unasked(at, out);
        self.await_sub(at);
    }

    /// The venue closed a subscription that we did not close.
    pub(crate) fn on_unsubscribed(
        &mut self,
        at: usize,
        id: Option<u64>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.answered(id);
        self.lose_sub(at, GapReason::ChannelError, origin, out);
        self.subs[at].shut();
        if !self.config.capture {
            self.subscribe(at, out);
            self.await_sub(at);
        }
    }

    pub(crate) fn on_error(
        &mut self,
        at: Option<usize>,
        id: Option<u64>,
        code: i64,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        self.shelf.counts.venue_errors += 1;
        match code {
            OVERFLOW => return self.give_up(GapReason::Overflow, origin, out),
            CHANNEL_ERROR => return self.give_up(GapReason::ChannelError, origin, out),
            _ => {}
        }
        match self.answered(id) {
            Some(Asked::Subscribe { sub }) if code == MARKET_LIMIT && self.subs[sub].members.len() > 1 => {
                self.split(sub, out);
            }
            Some(Asked::Subscribe { sub }) => self.retry(sub),
            Some(Asked::Add { sub, markets }) if code == MARKET_LIMIT => self.move_out(sub, &markets, out),
            Some(Asked::Add { sub, markets }) => {
                self.subs[sub].unasked.extend(markets);
                self.retry(sub);
            }
            // Too many commands: the snapshot's own time-out asks again.
            Some(Asked::Snapshot { .. }) if code == 27 => {}
            Some(Asked::Snapshot { sub }) => self.reopen(sub, GapReason::ChannelError, origin, out),
            Some(Asked::Delete | Asked::Unsubscribe) | None => {}
        }
        let _ = at;
    }

    /// Asks for a subscription, or for its new markets, again later.
    fn retry(&mut self, at: usize) {
        let failures = self.subs[at].failures;
        let ask_at = self.now.plus(self.patience(failures));
        self.subs[at].failures = failures.saturating_add(1);
        self.subs[at].ask_at = ask_at;
        self.due_at(ask_at);
    }

    /// Half of a subscription's markets go into a new one.
    fn split(&mut self, at: usize, out: &mut Vec<VenueOutput>) {
        let half = self.subs[at].members.len().div_ceil(2);
        self.max_markets = self.max_markets.min(half).max(1);
        let tail = self.subs[at].members.split_off(half);
        let mut sub = Sub::new(self.subs[at].channel);
        sub.members = tail;
        let new = self.subs.len();
        if sub.channel == Channel::Book {
            for no in &sub.members {
                self.marks[no.0 as usize].sub = new;
            }
        }
        self.subs.push(sub);
        for at in [at, new] {
            self.subscribe(at, out);
            self.await_sub(at);
        }
    }

    /// Markets that a subscription does not take go into others.
    fn move_out(&mut self, at: usize, markets: &[InstrumentNo], out: &mut Vec<VenueOutput>) {
        let channel = self.subs[at].channel;
        self.subs[at].members.retain(|no| !markets.contains(no));
        self.max_markets = self.max_markets.min(self.subs[at].members.len()).max(1);
        for no in markets {
            self.join(channel, *no);
        }
        for at in 0..self.subs.len() {
            if self.subs[at].sid == 0 && !self.subs[at].unasked.is_empty() {
                self.subscribe(at, out);
                self.await_sub(at);
            }
        }
    }

    /// Commands without an answer, and attempts that are due.
    pub(crate) fn run_commands(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let now = self.now;
        let late: Vec<u64> =
            self.asked.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        self.shelf.counts.failed_requests += late.len() as u64;
        for id in late {
            match self.answered(Some(id)) {
                Some(Asked::Subscribe { sub }) if self.subs[sub].failures >= SILENT_SUBSCRIBES => {
                    return self.give_up(GapReason::Disconnected, origin, out);
                }
                Some(Asked::Subscribe { sub }) => self.retry(sub),
                Some(Asked::Add { sub, markets }) => {
                    self.subs[sub].unasked.extend(markets);
                    self.retry(sub);
                }
                _ => {}
            }
        }
        for at in 0..self.subs.len() {
            if self.subs[at].ask_at > now {
                continue;
            }
            self.subs[at].ask_at = Timestamp::MAX;
            if self.subs[at].sid == 0 {
                self.subscribe(at, out);
            } else {
                self.ask_unasked(at, out);
            }
        }
        let untils: Vec<Timestamp> = self.asked.values().map(|(_, until)| *until).collect();
        let asks: Vec<Timestamp> = self.subs.iter().map(|sub| sub.ask_at).collect();
        untils.into_iter().chain(asks).for_each(|at| self.due_at(at));
    }
}
