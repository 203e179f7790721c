//! One connection of RTDS v2: authentication, operations one after another, pings, sequence numbers; it never sends two
//! operations within the venue's spacing.

use std::collections::{BTreeMap, VecDeque};

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;
use serde_json::{Value, json};

use super::wire::Reply;
use super::{Key, MAX_FRAME, RtdsV2Config};
use crate::deed::{Deed, VenueOutput};
use crate::jitter::Jitter;
use crate::link::Link;

/// A connection that was halved is not halved again within this time.
const HALVING_REST_NS: i64 = 60 * NANOS_PER_SEC;

/// Where a sequence number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Next,
    /// Not above the last one.
    Seen,
    Skipped,
}

/// What is to be sent.
#[derive(Clone, Debug)]
struct Op {
    body: Value,
    /// The answer that confirms it, and how many of them come; pings have none that matters.
    answers: Option<(&'static str, usize)>,
}

/// An operation without its answers so far.
#[derive(Clone, Debug)]
struct Pending {
    rid: String,
    op: &'static str,
    left: usize,
    deadline: Timestamp,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) link: Link,
    pub(super) keys: Vec<Key>,
    /// The relay does not want us: no more connections.
    pub(super) refused: bool,
    /// Give the connection up at the next run.
    broken: bool,
    ops: VecDeque<Op>,
    pending: Option<Pending>,
    rid: u64,
    next_op: Timestamp,
    next_ping: Timestamp,
    hold: Timestamp,
    halved_at: Option<Timestamp>,
    seqs: BTreeMap<usize, u64>,
    jitter: Jitter,
}

impl Session {
    pub(super) fn new(config: &RtdsV2Config, at: usize, keys: Vec<Key>) -> Self {
        let mut link = config.link.clone();
        link.ping = None;
        for (byte, salt) in link.seed.iter_mut().zip((at as u64).to_le_bytes()) {
            *byte ^= salt;
        }
        Self {
            link: Link::new(link),
            keys,
            refused: false,
            broken: false,
            ops: VecDeque::new(),
            pending: None,
            rid: 0,
            next_op: Timestamp::ZERO,
            next_ping: Timestamp::MAX,
            hold: Timestamp::ZERO,
            halved_at: None,
            seqs: BTreeMap::new(),
            jitter: Jitter::default(),
        }
    }

    /// The socket opened: authenticate first.
    pub(super) fn opened(&mut self, conn: u32, config: &RtdsV2Config, now: Timestamp) -> bool {
        if !self.link.opened(conn, now) {
            return false;
        }
        self.reset();
        if config.capture {
            return true;
        }
        self.next_ping = now.plus(config.ping_ns.max(1));
        match &config.credentials {
            Some(c) => {
                let auth = json!({ "apiKey": c.api_key, "secret": c.secret, "passphrase": c.passphrase });
                let body = json!({ "op": "auth", "auth": auth });
                self.ops.push_back(Op { body, answers: Some(("authed", 1)) });
            }
            None => self.refused = true,
        }
        true
    }

    /// The socket ended; `true` if it was ours.
    pub(super) fn closed(&mut self, conn: u32, reason: &str, config: &RtdsV2Config, now: Timestamp) -> bool {
        if !self.link.closed(conn, now) {
            return false;
        }
        match close_code(reason) {
            Some(4001 | 4008) => self.refused = true,
            Some(4003) => {
                let limit = config.overload_ns.max(1);
                self.hold = now.plus(self.jitter.draw(&config.link.seed, limit, limit, 0));
            }
            _ => {}
        }
        true
    }

    /// Forgets what belonged to a connection.
    pub(super) fn reset(&mut self) {
        self.ops.clear();
        self.pending = None;
        self.next_ping = Timestamp::MAX;
        self.seqs.clear();
        self.rid = 0;
        self.broken = false;
    }

    /// Takes a sequence number of a channel.
    pub(super) fn count(&mut self, channel: usize, seq: u64) -> Order {
        match self.seqs.get_mut(&channel) {
            Some(last) if seq <= *last => Order::Seen,
            Some(last) => {
                let next = seq == *last + 1;
                *last = seq;
                if next { Order::Next } else { Order::Skipped }
            }
            None => {
                self.seqs.insert(channel, seq);
                Order::Next
            }
        }
    }

    /// An answer of the relay.
    pub(super) fn on_reply(&mut self, reply: &Reply<'_>, now: Timestamp, out: &mut Vec<VenueOutput>) {
        let Some(pending) = self.pending.as_mut().filter(|pending| reply.rid == Some(pending.rid.as_str()))
        else {
            return;
        };
        let refused = reply.op == "error";
        if refused && pending.op == "authed" {
            // A relay that cannot look keys up now may do so later.
            self.refused = reply.code != Some("auth_unavailable");
            self.link.give_up(now, out);
            self.broken = true;
            return;
        }
        if !refused && reply.op != pending.op {
            return;
        }
        pending.left = pending.left.saturating_sub(1);
        if pending.left > 0 {
            return;
        }
        if pending.op == "authed" {
            let keys = self.keys.clone();
            self.operate("subscribe", "subscribed", &keys);
        }
        self.pending = None;
    }

    /// Queues an operation over streams, in frames that are not too long.
    fn operate(&mut self, op: &str, answer: &'static str, keys: &[Key]) {
        let mut batch: Vec<Value> = Vec::new();
        let mut size = 0;
        for key in keys {
            let mut filter = json!({ "symbol": key.symbol });
            if let Some(window) = key.window_s {
                filter["window_seconds"] = window.into();
            }
            let item = json!({ "channel": key.channel, "filter": filter });
            let length = item.to_string().len() + 1;
            // The rest of the frame is shorter than a hundred bytes.
            if size + length + 100 > MAX_FRAME {
                self.queue(op, answer, &batch);
                batch.clear();
                size = 0;
            }
            size += length;
            batch.push(item);
        }
        self.queue(op, answer, &batch);
    }

    fn queue(&mut self, op: &str, answer: &'static str, batch: &[Value]) {
        if !batch.is_empty() {
            let answers = Some((answer, batch.len()));
            self.ops.push_back(Op { body: json!({ "op": op, "subscriptions": batch }), answers });
        }
    }

    /// Gives half of the streams away.
    pub(super) fn halve(&mut self, config: &RtdsV2Config, now: Timestamp) -> Option<Vec<Key>> {
        let resting = self.halved_at.is_some_and(|at| now < at.plus(HALVING_REST_NS));
        if config.capture || resting || self.keys.len() < 2 {
            return None;
        }
        self.halved_at = Some(now);
        let moved = self.keys.split_off(self.keys.len().div_ceil(2));
        self.operate("unsubscribe", "unsubscribed", &moved);
        Some(moved)
    }

    /// Does what is due; `true` if the connection was given up.
    pub(super) fn run(
        &mut self,
        config: &RtdsV2Config,
        now: Timestamp,
        next_conn: &mut u32,
        out: &mut Vec<VenueOutput>,
    ) -> bool {
        if std::mem::take(&mut self.broken) {
            return true;
        }
        if self.refused || now < self.hold {
            return false;
        }
        let wake = self.link.wake_at();
        // A recording's clock may stand still: the next connection opens at once.
        let then = if config.capture && wake < Timestamp::MAX { now.max(wake) } else { now };
        if self.link.run(then, next_conn, out).is_some() {
            return true;
        }
        if self.pending.as_ref().is_some_and(|pending| now >= pending.deadline) {
            self.link.give_up(now, out);
            return true;
        }
        if self.link.is_open() && now >= self.next_ping {
            self.next_ping = now.plus(config.ping_ns.max(1));
            self.ops.push_front(Op { body: json!({ "op": "ping" }), answers: None });
        }
        self.send(config, now, out);
        false
    }

    /// Whether the next operation may go out, but for the spacing.
    fn ready(&self) -> bool {
        let ping = self.ops.front().is_some_and(|op| op.answers.is_none());
        self.link.is_open() && !self.ops.is_empty() && (self.pending.is_none() || ping)
    }

    fn send(&mut self, config: &RtdsV2Config, now: Timestamp, out: &mut Vec<VenueOutput>) {
        if !self.ready() || now < self.next_op {
            return;
        }
        let Some(mut op) = self.ops.pop_front() else { return };
        if let Some((answer, left)) = op.answers {
            self.rid += 1;
            let rid = self.rid.to_string();
            op.body["rid"] = rid.as_str().into();
            let deadline = now.plus(config.ack_timeout_ns.max(1));
            self.pending = Some(Pending { rid, op: answer, left, deadline });
        }
        self.next_op = now.plus(config.op_spacing_ns.max(1));
        let text = op.body.to_string();
        out.push(VenueOutput::Deed(Deed::Send { conn: self.link.conn(), text }));
    }

    pub(super) fn wake_at(&self, config: &RtdsV2Config) -> Timestamp {
        if self.refused {
            return Timestamp::MAX;
        }
        let mut wake = self.link.wake_at();
        if self.link.is_open() && !config.capture {
            let answer = self.pending.as_ref().map_or(Timestamp::MAX, |pending| pending.deadline);
            let op = if self.ready() { self.next_op } else { Timestamp::MAX };
            wake = wake.min(self.next_ping).min(answer).min(op);
        }
        wake.max(self.hold)
    }
}

/// The close code that a reason names last, e.g. `overloaded (4003)`.
fn close_code(reason: &str) -> Option<u32> {
    let words = reason.split(|c: char| !c.is_ascii_digit()).filter(|word| word.len() == 4);
    words.filter_map(|word| word.parse().ok()).rfind(|code| (1_000..5_000).contains(code))
}
