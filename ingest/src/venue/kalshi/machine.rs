//! The machine itself: records in, rows and deeds out; it keeps the connection, counts frames and hands them to their
//! part. It never opens a socket and never reads a clock.

use std::collections::{BTreeMap, VecDeque};

use schemas::{
    Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, RestReply, Times,
    Timestamp, Venue,
};

use super::command::Asked;
use super::config::KalshiConfig;
use super::desk::Desk;
use super::events::Fees;
use super::life::{Lives, PriceRange};
use super::sub::{Channel, Step, Sub};
use super::wire::{self, Body, Frame};
use crate::deed::VenueOutput;
use crate::link::Link;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// Longest wait between attempts that failed.
const RETRY_CAP_NS: i64 = 30 * schemas::time::NANOS_PER_SEC;
/// Executions whose ids are remembered.
const REMEMBERED_IDS: usize = 65_536;

/// What is known of a market beside its book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark {
    /// The subscription whose changes apply to the book; 0 = the book is not live.
    pub(crate) sid: u32,
    /// Best bid above best ask.
    pub(crate) crossed: bool,
    /// Whether it is followed.
    pub(crate) wanted: bool,
    /// Place of its book's subscription.
    pub(crate) sub: usize,
    /// When a snapshot must be here; `MAX` = none is awaited.
    pub(crate) until: Timestamp,
    /// Snapshots asked for in vain.
    pub(crate) tries: u32,
    /// Price grid, where it was told.
    pub(crate) grid: Vec<PriceRange>,
}

/// Kalshi's machine.
#[derive(Clone, Debug)]
pub struct Kalshi {
    pub(crate) config: KalshiConfig,
    pub(crate) shelf: Shelf,
    pub(crate) link: Link,
    pub(crate) now: Timestamp,
    origin: Origin,
    next_conn: u32,
    /// The connection of a recording.
    seen_conn: Option<u32>,
    started: bool,
    pub(crate) next_id: u64,
    pub(crate) asked: BTreeMap<u64, (Asked, Timestamp)>,
    pub(crate) subs: Vec<Sub>,
    hot: usize,
    /// Subscriptions that were closed and may still send.
    pub(crate) closing: Vec<u32>,
    pub(crate) marks: Vec<Mark>,
    /// The earliest instant anything of ours is due.
    due: Timestamp,
    pub(crate) max_markets: usize,
    pub(crate) lives: Lives,
    pub(crate) fees: Fees,
    pub(crate) ids: VecDeque<[u8; 17]>,
    pub(crate) id_set: std::collections::BTreeSet<[u8; 17]>,
    pub(crate) desk: Desk,
    pub(crate) paused: bool,
}

impl Kalshi {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: KalshiConfig) -> Self {
        let desk = Desk::new(config.read_tokens);
        Self {
            link: Link::new(config.link.clone()),
            max_markets: config.max_markets.max(1),
            config,
            shelf: Shelf::default(),
            now: Timestamp::ZERO,
            origin: Origin::default(),
            next_conn: 0,
            seen_conn: None,
            started: false,
            next_id: 0,
            asked: BTreeMap::new(),
            subs: Vec::new(),
            hot: 0,
            closing: Vec::new(),
            marks: Vec::new(),
            due: Timestamp::MAX,
            lives: Lives::default(),
            fees: Fees::default(),
            ids: VecDeque::new(),
            id_set: std::collections::BTreeSet::new(),
            desk,
            paused: false,
        }
    }

    /// What is known of a market's life.
    pub fn lives(&self) -> &Lives {
        &self.lives
    }

    /// The price grid of a market; empty if it was never told.
    pub fn grid(&self, ticker: &str) -> &[PriceRange] {
        let at = self.shelf.slots().find(|(_, slot)| slot.instrument.native == ticker).map(|(no, _)| no);
        at.and_then(|no| self.marks.get(no.0 as usize)).map_or(&[], |mark| &mark.grid)
    }

    /// Whether the exchange says that it does not trade.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Number of the newest connection; 0 before the first.
    pub fn conn(&self) -> u32 {
        self.link.conn()
    }

    /// Follows more markets. Deeds go to `out`; rows are stamped like the last record.
    pub fn add_markets(&mut self, tickers: &[&str], out: &mut Vec<VenueOutput>) {
        let origin = self.origin;
        let mut fresh = Vec::new();
        for ticker in tickers {
            let no = self.market(ticker.as_bytes(), &origin, out);
            let mark = &mut self.marks[no.0 as usize];
            if !std::mem::replace(&mut mark.wanted, true) {
                mark.tries = 0;
                fresh.push(no);
            }
        }
        let channels = [
            (Channel::Book, self.config.book),
            (Channel::Ticker, self.config.ticker && !self.config.all_markets),
            (Channel::Trade, self.config.trade && !self.config.all_markets),
        ];
        for (channel, _) in channels.into_iter().filter(|(_, on)| *on) {
            for no in &fresh {
                self.join(channel, *no);
            }
        }
        if !self.started || !self.link.is_open() {
            return;
        }
        for at in 0..self.subs.len() {
            if self.subs[at].unasked.is_empty() {
                continue;
            }
            if self.subs[at].sid != 0 {
                self.ask_unasked(at, out);
            } else if !self.is_asked(at) {
                self.subscribe(at, out);
            }
        }
    }

    /// Stops following markets; what still comes for them is dropped.
    pub fn delete_markets(&mut self, tickers: &[&str], out: &mut Vec<VenueOutput>) {
        let origin = self.origin;
        let mut gone = Vec::new();
        for ticker in tickers {
            let Some(no) = self.shelf.find(ticker.as_bytes()) else { continue };
            let Some(mark) = self.marks.get_mut(no.0 as usize).filter(|mark| mark.wanted) else { continue };
            mark.wanted = false;
            mark.sid = 0;
            mark.until = Timestamp::MAX;
            self.shelf.lose(no, GapReason::Disconnected, &origin, out);
            gone.push(no);
        }
        for at in 0..self.subs.len() {
            let sub = &mut self.subs[at];
            let left: Vec<InstrumentNo> = gone
                .iter()
                .copied()
                .filter(|no| sub.members.contains(no) && !sub.unasked.contains(no))
                .collect();
            sub.members.retain(|no| !gone.contains(no));
            sub.unasked.retain(|no| !gone.contains(no));
            if !left.is_empty() {
                self.ask_delete(at, &left, out);
            }
        }
    }

    fn is_asked(&self, at: usize) -> bool {
        self.asked.values().any(|(asked, _)| matches!(asked, Asked::Subscribe { sub } if *sub == at))
            || self.subs[at].ask_at != Timestamp::MAX
    }

    /// Puts a market into a subscription with room.
    pub(crate) fn join(&mut self, channel: Channel, no: InstrumentNo) {
        let most = self.max_markets;
        let fits = |sub: &Sub| sub.channel == channel && sub.members.len() < most;
        let at = self.subs.iter().position(fits).unwrap_or_else(|| {
            self.subs.push(Sub::new(channel));
            self.subs.len() - 1
        });
        self.subs[at].members.push(no);
        self.subs[at].unasked.push(no);
        if channel == Channel::Book {
            self.marks[no.0 as usize].sub = at;
        }
    }

    /// A market's number; a new one is introduced.
    pub(crate) fn market(
        &mut self,
        ticker: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> InstrumentNo {
        self.instrument(ticker, InstrumentKind::Binary, wire::PRICE_DECIMALS, wire::QTY_DECIMALS, origin, out)
    }

    pub(crate) fn instrument(
        &mut self,
        native: &[u8],
        kind: InstrumentKind,
        price_decimals: u8,
        qty_decimals: u8,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> InstrumentNo {
        let no = self.shelf.intern(native, origin, out, || {
            let native = String::from_utf8_lossy(native).into_owned();
            Instrument {
                venue: Venue::Kalshi,
                market: native.clone(),
                native,
                kind,
                price_decimals,
                qty_decimals,
            }
        });
        while self.marks.len() <= no.0 as usize {
            self.marks.push(Mark { until: Timestamp::MAX, sub: usize::MAX, ..Mark::default() });
        }
        no
    }

    /// The subscriptions of the configuration; once.
    fn start(&mut self, out: &mut Vec<VenueOutput>) {
        if std::mem::replace(&mut self.started, true) || self.config.capture {
            return;
        }
        let c = &self.config;
        let fixed = [
            (Channel::Ticker, c.ticker && c.all_markets),
            (Channel::Trade, c.trade && c.all_markets),
            (Channel::Life, c.lifecycle),
            (Channel::Multivariate, c.multivariate),
            (Channel::Index, !c.index_ids.is_empty() && !c.index_5hz),
            (Channel::Index5, !c.index_ids.is_empty() && c.index_5hz),
        ];
        self.subs.extend(fixed.into_iter().filter(|(_, on)| *on).map(|(channel, _)| Sub::new(channel)));
        let tickers = std::mem::take(&mut self.config.tickers);
        let named: Vec<&str> = tickers.iter().map(String::as_str).collect();
        self.add_markets(&named, out);
        self.config.tickers = tickers;
    }

    /// Notes that something is due at an instant.
    #[inline]
    pub(crate) fn due_at(&mut self, at: Timestamp) {
        self.due = self.due.min(at);
    }

    /// After a failure, how long until the next attempt.
    pub(crate) fn patience(&self, failures: u32) -> i64 {
        let base = self.config.resync_ns.max(1);
        base.saturating_mul(1_i64 << failures.min(20)).min(RETRY_CAP_NS.max(base))
    }

    fn on_connected(&mut self, conn: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let ours = self.link.opened(conn, self.now);
        if self.config.capture {
            self.switch(conn, origin, out);
        } else if ours {
            for at in 0..self.subs.len() {
                self.subscribe(at, out);
            }
            self.await_all();
        } else {
            self.shelf.counts.stray += 1;
        }
    }

    /// A recording goes on with another connection.
    fn switch(&mut self, conn: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.seen_conn.replace(conn).is_some_and(|before| before != conn) {
            self.drop_all(GapReason::Disconnected, origin, out);
            self.shelf.counts.disconnects += 1;
        }
    }

    fn on_closed(&mut self, conn: u32, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let ours = self.link.closed(conn, self.now);
        if ours || (self.config.capture && self.seen_conn == Some(conn)) {
            self.seen_conn = None;
            self.shelf.counts.disconnects += 1;
            self.drop_all(GapReason::Disconnected, origin, out);
        } else if conn == 0 || conn > self.link.conn() {
            self.shelf.counts.stray += 1;
        }
    }

    /// The connection carries nothing any more: every book is lost, every subscription shut.
    pub(crate) fn drop_all(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        for at in 0..self.subs.len() {
            self.lose_sub(at, reason, origin, out);
            self.subs[at].shut();
        }
        if self.config.capture {
            self.subs.clear();
        }
        self.asked.clear();
        self.closing.clear();
        for mark in &mut self.marks {
            mark.until = Timestamp::MAX;
        }
    }

    /// Gives the connection up: everything is lost for this reason, and the link backs off.
    pub(crate) fn give_up(&mut self, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.drop_all(reason, origin, out);
        if !self.config.capture {
            self.shelf.counts.disconnects += 1;
            self.link.give_up(self.now, out);
        }
    }

    fn on_frame(&mut self, conn: u32, bytes: &[u8], origin: &mut Origin, out: &mut Vec<VenueOutput>) {
        if self.config.capture {
            if self.seen_conn != Some(conn) {
                self.switch(conn, origin, out);
            }
        } else if !self.link.owns(conn) {
            self.shelf.counts.stray += 1;
            return;
        }
        if matches!(bytes, b"" | b"heartbeat") {
            self.link.heard(self.now);
            return;
        }
        self.shelf.counts.frames += 1;
        self.link.data(self.now);
        match wire::decode(bytes) {
            Ok(frame) => self.on_decoded(&frame, origin, out),
            Err(_) => self.on_unreadable(bytes, origin, out),
        }
    }

    #[inline]
    fn on_decoded(&mut self, frame: &Frame<'_>, origin: &mut Origin, out: &mut Vec<VenueOutput>) {
        if let Body::Subscribed { channel, sid } = frame.body {
            self.on_subscribed(frame.id, channel, sid, origin, out);
            return;
        }
        let Some(sid) = frame.sid else { return self.on_unscoped(frame, origin, out) };
        let Some(at) = self.sub_at(sid, &frame.body) else {
            self.shelf.counts.stray += 1;
            if matches!(frame.body, Body::Unsubscribed) {
                self.closing.retain(|old| *old != sid);
                self.answered(frame.id);
            }
            return;
        };
        let sub = &mut self.subs[at];
        match frame.seq {
            Some(seq) if sub.channel.sequenced() => {
                origin.venue_seq = seq;
                match sub.step(seq) {
                    Step::Next => {}
                    Step::Duplicate => {
                        self.shelf.counts.duplicates += 1;
                        return;
                    }
                    Step::Lost(reason) => {
                        self.on_lost(at, reason, origin, out);
                        // A frame from the past is not of this book's line.
                        if reason == GapReason::SequenceBack {
                            return;
                        }
                    }
                }
            }
            None if sub.channel.sequenced() => return self.doubt(Some(sid), origin, out),
            _ => {}
        }
        let Some(sub) = self.subs.get_mut(at) else { return };
        sub.heard_at = origin.times.recv_at;
        if std::mem::take(&mut sub.doubt) {
            self.believe(at, origin, out);
        }
        self.dispatch(at, sid, frame, origin, out);
    }

    #[inline]
    fn dispatch(
        &mut self,
        at: usize,
        sid: u32,
        frame: &Frame<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        let channel = self.subs[at].channel;
        let fits = match &frame.body {
            Body::Delta(_) | Body::Snapshot(_) => channel == Channel::Book,
            Body::Ticker(_) => channel == Channel::Ticker,
            Body::Trade(_) => channel == Channel::Trade,
            Body::Fill(_) => channel == Channel::Fill,
            Body::Market(_) | Body::Event(_) | Body::Fee(_) => {
                matches!(channel, Channel::Life | Channel::Multivariate)
            }
            Body::Index(_) | Body::IndexList => matches!(channel, Channel::Index | Channel::Index5),
            Body::Foreign => channel != Channel::Book,
            _ => true,
        };
        if !fits {
            self.shelf.counts.quarantined += 1;
            self.lose_sub(at, GapReason::Unreadable, origin, out);
            self.recover(at, out);
            return;
        }
        match &frame.body {
            Body::Delta(delta) => self.on_delta(sid, delta, origin, out),
            Body::Snapshot(snapshot) => {
                self.answered(frame.id);
                self.on_snapshot(at, sid, snapshot, origin, out);
            }
            Body::Ticker(ticker) => self.on_ticker(ticker, origin, out),
            Body::Trade(trade) => self.on_trade(trade, origin, out),
            Body::Fill(fill) => self.on_fill(fill, origin, out),
            Body::Market(life) => self.on_market(life, origin, out),
            Body::Event(life) => self.on_event(life, origin, out),
            Body::Fee(fee) => self.on_fee(fee, origin, out),
            Body::Index(value) => self.on_index(at, value, origin, out),
            Body::Error { code } => self.on_error(Some(at), frame.id, *code, origin, out),
            Body::Ok => self.on_ok(at, frame.id, out),
            Body::Unsubscribed => self.on_unsubscribed(at, frame.id, origin, out),
            Body::IndexList | Body::Foreign => self.shelf.counts.foreign += 1,
            Body::Subscribed { .. } => {}
        }
    }

    /// The place of a subscription; in a recording an unknown one is taken over as it stands.
    #[inline]
    fn sub_at(&mut self, sid: u32, body: &Body<'_>) -> Option<usize> {
        if self.subs.get(self.hot).is_some_and(|sub| sub.sid == sid) {
            return Some(self.hot);
        }
        let found = self.subs.iter().position(|sub| sub.sid == sid);
        if let Some(at) = found {
            self.hot = at;
            return found;
        }
        self.config.capture.then(|| self.adopt(sid, body)).flatten()
    }

    #[cold]
    fn adopt(&mut self, sid: u32, body: &Body<'_>) -> Option<usize> {
        let channel = match body {
            Body::Delta(_) | Body::Snapshot(_) => Channel::Book,
            Body::Ticker(_) => Channel::Ticker,
            Body::Trade(_) => Channel::Trade,
            Body::Fill(_) => Channel::Fill,
            Body::Market(_) | Body::Event(_) | Body::Fee(_) => Channel::Life,
            Body::Index(_) | Body::IndexList => Channel::Index,
            _ => return None,
        };
        let mut sub = Sub::new(channel);
        sub.sid = sid;
        self.subs.push(sub);
        Some(self.subs.len() - 1)
    }

    /// What is due by the clock.
    fn run(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        if self.link.run(self.now, &mut self.next_conn, out).is_some() {
            self.shelf.counts.disconnects += 1;
            self.drop_all(GapReason::Disconnected, origin, out);
        }
        if self.config.capture {
            return;
        }
        if self.now >= self.due {
            self.due = Timestamp::MAX;
            self.run_commands(origin, out);
            self.run_books(origin, out);
        }
        self.run_desk(out);
    }
}

impl Machine for Kalshi {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        let times = Times { venue_at: None, publish_at: None, recv_at: record.at };
        let mut origin = Origin { raw_seq: record.seq, venue_seq: 0, times };
        if matches!(record.body, Raw::TimeAdvanced { .. }) {
            origin.times.recv_at = self.now;
        }
        self.origin = origin;
        if !self.started {
            self.start(out);
        }
        match &record.body {
            Raw::Frame { conn, bytes } => self.on_frame(*conn, bytes, &mut origin, out),
            Raw::Connected { conn } => self.on_connected(*conn, &origin, out),
            Raw::Closed { conn, .. } => self.on_closed(*conn, &origin, out),
            Raw::Rest(RestReply { request, status, bytes }) => {
                self.on_reply(*request, *status, bytes, &origin, out);
            }
            Raw::TimeAdvanced { .. } => {}
        }
        let origin = self.origin;
        self.run(&origin, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let own = self.link.wake_at().min(self.due).min(self.desk_wake_at());
        (own != Timestamp::MAX).then_some(own)
    }

    fn digest(&self) -> Digest {
        let mut parts = vec![self.shelf.digest()];
        let mut own = Vec::new();
        for sub in &self.subs {
            own.extend(sub.channel.name().as_bytes());
            own.extend(sub.sid.to_be_bytes());
            own.extend(sub.last.to_be_bytes());
            own.push(u8::from(sub.doubt));
        }
        for mark in &self.marks {
            own.extend(mark.sid.to_be_bytes());
            own.extend([u8::from(mark.crossed), u8::from(mark.wanted)]);
            for range in &mark.grid {
                own.extend([range.start, range.end, range.step].map(i64::to_be_bytes).concat());
            }
        }
        for (ticker, known) in self.lives.iter() {
            own.extend(ticker.as_bytes());
            own.extend(schemas::encode(&known.phase));
            own.extend(schemas::encode(&known.payout));
            own.extend(schemas::encode(&known.closes_at));
            own.extend(known.object.iter().flatten());
        }
        own.push(u8::from(self.paused));
        parts.push(Digest::of(&own));
        Digest::combine(&parts)
    }
}

impl VenueMachine for Kalshi {
    fn venue(&self) -> Venue {
        Venue::Kalshi
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl Kalshi {
    /// Whether an execution's id is new; the newest 65,536 are remembered. `tag` tells kinds of memory apart.
    pub(crate) fn is_new(&mut self, tag: u8, id: &[u8; 16]) -> bool {
        let mut key = [tag; 17];
        key[1..].copy_from_slice(id);
        if !self.id_set.insert(key) {
            return false;
        }
        self.ids.push_back(key);
        if self.ids.len() > REMEMBERED_IDS
            && let Some(old) = self.ids.pop_front()
        {
            self.id_set.remove(&old);
        }
        true
    }
}
