//! The machine of Polymarket's market channel: verified books of outcome tokens, trades, quotes and lifecycle; it never
//! sends an order and never shows a message half applied.
//!
//! The channel has no sequence numbers. A book is trusted because (a) the best prices in each change agree with ours,
//! (b) the venue's hash of a snapshot fits, (c) REST books at the same state agree, and (d) times never go back. Where
//! one of these fails the book is lost, says why, and is asked for again; until its next `book` arrives all changes of
//! it are dropped (counted as `stale_dropped`).
//!
//! **Times.** A change older than its book's snapshot is a replay and is dropped. One that is older than the change
//! before it is dropped if it is an exact repeat, else messages were reordered and the book is lost. Equal times are
//! applied, because quantities are absolute; an exact repeat that changes nothing is a duplicate. What this cannot see,
//! a message reordered within one millisecond or a last change that never came, the REST audit finds.

mod books;
mod config;
mod said;
mod sync;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schemas::{
    Digest, GapReason, Instrument, InstrumentKind, InstrumentNo, Machine, Raw, Record, RestReply, Timestamp,
    Venue,
};

pub use config::PolymarketConfig;

use super::market_wire::{self as wire, Event, PRICE_DECIMALS, QTY_DECIMALS, Scratch};
use crate::book::Book;
use crate::deed::VenueOutput;
use crate::link::Link;
use crate::scan::Scan;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// How many changes of a token are remembered to know a repeat.
const REMEMBERED: usize = 16;
/// Deepest nesting that is searched for token ids in a message that cannot be read.
const BLAME_DEPTH: u32 = 8;
/// Best bid of the book that the venue's own placeholder orders make, 1e-6 dollars.
const PLACEHOLDER_BID: i64 = 10_000;
/// See [`PLACEHOLDER_BID`].
const PLACEHOLDER_ASK: i64 = 990_000;

/// What is known of a token beside its book.
#[derive(Clone, Debug)]
struct Asset {
    shard: u32,
    /// Subscribed, or seen while recordings are read.
    watched: bool,
    /// Venue time of the snapshot, ms.
    book_ms: i64,
    /// Fingerprint of the snapshot.
    book_print: u64,
    /// Venue time of the last change or snapshot applied, ms.
    last_ms: i64,
    /// Latest venue time heard on this connection, applied or not, ms.
    heard_ms: i64,
    /// The venue's hash of the book after the last message, folded; 0 if it was not told.
    hash: u64,
    /// Changes and snapshots applied, ever.
    moves: u64,
    /// `moves` after the snapshot.
    book_moves: u64,
    /// Price grid, 1e-6 dollars; 0 if not known.
    tick: i64,
    /// Venue time of the tick change whose book has not come, ms; 0 if there is none.
    epoch_ms: i64,
    /// Venue time of the newest tick change, ms.
    tick_ms: i64,
    /// The message that was last checked against it.
    checked: u64,
    recent: [u64; REMEMBERED],
    recent_at: u8,
    /// When the book was last asked for.
    asked_at: Timestamp,
    /// When it is to be asked for (again).
    due: Timestamp,
    /// Asked for without an answer.
    attempts: u32,
    /// Snapshots refused since the last good one, because they were older than what was heard.
    refused: u32,
    /// A REST book that was newer than ours and different: when to look again, and our `moves` then.
    suspect: Option<(Timestamp, u64)>,
}

impl Asset {
    fn new(shard: usize) -> Self {
        Self {
            shard: shard as u32,
            watched: true,
            book_ms: 0,
            book_print: 0,
            last_ms: 0,
            heard_ms: 0,
            hash: 0,
            moves: 0,
            book_moves: 0,
            tick: 0,
            epoch_ms: 0,
            tick_ms: 0,
            checked: 0,
            recent: [0; REMEMBERED],
            recent_at: 0,
            asked_at: Timestamp::ZERO,
            due: Timestamp::MAX,
            attempts: 0,
            refused: 0,
            suspect: None,
        }
    }
}

/// One connection and the tokens it carries.
#[derive(Clone, Debug)]
struct Shard {
    link: Link,
    assets: Vec<InstrumentNo>,
    data_at: Timestamp,
    /// Its books were marked stale.
    stale: bool,
}

/// Whose token a message names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Ours(InstrumentNo),
    Foreign,
    /// Ours, but of another market: a token never moves.
    Moved(InstrumentNo),
}

/// A REST audit that is out.
#[derive(Clone, Debug)]
struct Audit {
    request: u32,
    assets: Vec<InstrumentNo>,
    deadline: Timestamp,
}

/// The market channel.
#[derive(Clone, Debug)]
pub struct Polymarket {
    config: PolymarketConfig,
    shelf: Shelf,
    now: Timestamp,
    assets: Vec<Asset>,
    shards: Vec<Shard>,
    last_shard: usize,
    next_conn: u32,
    next_request: u32,
    /// Tokens to be added and removed at the next record.
    adding: Vec<String>,
    removing: Vec<String>,
    scratch: Scratch,
    plan: Vec<(InstrumentNo, books::Verdict)>,
    messages: u64,
    /// Books to be asked for.
    due: BTreeSet<(Timestamp, u32)>,
    /// REST books to be looked at again.
    suspects: BTreeSet<(Timestamp, u32)>,
    audit: Option<Audit>,
    next_audit: Timestamp,
    audit_cursor: u32,
    wake: Timestamp,
    trade_ids: BTreeSet<[u8; 16]>,
    trade_order: VecDeque<[u8; 16]>,
    /// How often each execution appeared in the frame that is being read.
    frame_trades: BTreeMap<[u8; 16], u32>,
}

impl Polymarket {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: PolymarketConfig) -> Self {
        let adding = config.assets.clone();
        Self {
            config,
            shelf: Shelf::default(),
            now: Timestamp::ZERO,
            assets: Vec::new(),
            shards: Vec::new(),
            last_shard: 0,
            next_conn: 0,
            next_request: 0,
            adding,
            removing: Vec::new(),
            scratch: Scratch::default(),
            plan: Vec::new(),
            messages: 0,
            due: BTreeSet::new(),
            suspects: BTreeSet::new(),
            audit: None,
            next_audit: Timestamp::MAX,
            audit_cursor: 0,
            wake: Timestamp::ZERO,
            trade_ids: BTreeSet::new(),
            trade_order: VecDeque::new(),
            frame_trades: BTreeMap::new(),
        }
    }

    /// Subscribes to more tokens with the next record.
    pub fn add_assets(&mut self, assets: impl IntoIterator<Item = String>) {
        self.adding.extend(assets);
        self.wake = Timestamp::ZERO;
    }

    /// Unsubscribes from tokens with the next record; their books are emptied.
    pub fn remove_assets(&mut self, assets: impl IntoIterator<Item = String>) {
        self.removing.extend(assets);
        self.wake = Timestamp::ZERO;
    }

    /// How many tokens each connection carries.
    pub fn shard_sizes(&self) -> Vec<usize> {
        self.shards.iter().map(|shard| shard.assets.len()).collect()
    }

    /// Whether a book is live and its best prices are somebody's quotes: the venue's own orders at 0.01 and 0.99 (or
    /// wider) are not.
    pub fn quotable(&self, no: InstrumentNo) -> bool {
        self.shelf.slot(no).is_some_and(|slot| slot.state.is_live() && !placeholder(&slot.book))
    }

    fn on_frame(&mut self, conn: u32, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        let Some(shard) = self.shard_of(conn) else {
            self.shelf.counts.stray += 1;
            return;
        };
        self.shelf.counts.frames += 1;
        match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[') if bytes.len() <= self.config.max_frame_bytes => {
                self.revive(shard, origin, out);
                if self.read(bytes, origin, out).is_err() {
                    // What the rest of the frame said is not known, nor whose book it was about.
                    self.shelf.counts.quarantined += 1;
                    self.lose_shard(shard, GapReason::Unreadable, origin, out);
                }
            }
            Some(b'{' | b'[') => {
                self.shelf.counts.quarantined += 1;
                self.lose_shard(shard, GapReason::Unreadable, origin, out);
            }
            None => self.heard(shard),
            Some(_) if bytes.trim_ascii().eq_ignore_ascii_case(b"pong") => self.heard(shard),
            // The venue answers bad requests in plain words; no message about a book begins like that.
            Some(_) => {
                self.heard(shard);
                self.shelf.counts.venue_errors += 1;
                self.shelf.counts.quarantined += 1;
            }
        }
    }

    fn heard(&mut self, shard: usize) {
        if let Some(shard) = self.shards.get_mut(shard) {
            shard.link.heard(self.now);
        }
    }

    /// The shard that a connection belongs to.
    #[inline]
    fn shard_of(&mut self, conn: u32) -> Option<usize> {
        if self.shards.get(self.last_shard).is_some_and(|shard| shard.link.owns(conn)) {
            return Some(self.last_shard);
        }
        let at = self.shards.iter().position(|shard| shard.link.owns(conn))?;
        self.last_shard = at;
        Some(at)
    }

    /// Reads all messages of a frame; an error means that the rest of it could not be read at all.
    fn read(
        &mut self,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), wire::WireError> {
        self.frame_trades.clear();
        let mut scan = Scan::new(bytes);
        if scan.starts(b'[') {
            scan.array()?;
            while scan.item()? {
                self.message(&mut scan, bytes, origin, out)?;
            }
        } else {
            self.message(&mut scan, bytes, origin, out)?;
        }
        Ok(scan.end()?)
    }

    #[inline]
    fn message(
        &mut self,
        scan: &mut Scan<'_>,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), wire::WireError> {
        self.messages += 1;
        let mut ahead = scan.clone();
        let mut scratch = std::mem::take(&mut self.scratch);
        let event = wire::read(&mut ahead, &mut scratch);
        let done = match event {
            Ok(event) => {
                *scan = ahead;
                self.on_event(&event, &scratch, bytes, origin, out);
                Ok(())
            }
            Err(_) => scan.raw().map(|message| self.blame(message, origin, out)).map_err(Into::into),
        };
        self.scratch = scratch;
        done
    }

    #[inline]
    fn on_event(
        &mut self,
        event: &Event<'_>,
        scratch: &Scratch,
        bytes: &[u8],
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) {
        match event {
            Event::Changes { market, ms } => {
                self.on_changes(*market, *ms, &scratch.changes, bytes, origin, out);
            }
            Event::Book(book) => self.on_book(book, scratch, bytes, origin, out),
            Event::Trade(trade) => self.on_trade(trade, origin, out),
            Event::Tick(tick) => self.on_tick(tick, origin, out),
            Event::Top { market, asset, ms, bid, ask } => {
                let origin = origin.at_venue_ms(*ms);
                if let Some(no) = self.resolve(asset, *market, &origin, out) {
                    self.on_top(no, *bid, *ask, &origin, out);
                }
            }
            Event::Listed(listed) => self.on_listed(listed, origin, out),
            Event::Resolved { market, assets, winner, ms } => {
                self.on_resolved(market, assets, winner, &origin.at_venue_ms(*ms), out);
            }
            Event::Foreign => self.shelf.counts.foreign += 1,
        }
    }

    /// A message that cannot be used may have changed the books it names; if it names none it may have changed any.
    #[cold]
    fn blame(&mut self, message: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.counts.quarantined += 1;
        if wire::harmless(message) {
            return;
        }
        let mut names = BTreeSet::new();
        // What cannot be walked to its end names what it named so far; the caller saw that it is JSON.
        let walked = wire::strings(&mut Scan::new(message), BLAME_DEPTH, &mut |text| {
            names.insert(text.to_vec());
        });
        let mut guilty: BTreeSet<InstrumentNo> = names.iter().filter_map(|name| self.watched(name)).collect();
        // A token whose id is what cannot be read is one of the market's.
        let slots = self.shelf.slots().filter(|(_, slot)| names.contains(slot.instrument.market.as_bytes()));
        guilty.extend(slots.map(|(no, _)| no).filter(|no| self.is_watched(*no)));
        if guilty.is_empty() || walked.is_err() {
            self.lose_shard(self.last_shard, GapReason::Unreadable, origin, out);
        }
        for no in guilty {
            self.lose(no, GapReason::Unreadable, origin, out);
        }
    }

    fn is_watched(&self, no: InstrumentNo) -> bool {
        self.assets.get(no.0 as usize).is_some_and(|asset| asset.watched)
    }

    /// The number of a token that is followed.
    #[inline]
    fn watched(&mut self, name: &[u8]) -> Option<InstrumentNo> {
        self.shelf.find(name).filter(|no| self.is_watched(*no))
    }

    /// The number of a message's token; `None` if it is not followed or the message contradicts itself.
    #[inline]
    fn resolve(
        &mut self,
        name: &[u8],
        market: Option<&[u8]>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<InstrumentNo> {
        match self.named(name, market, origin, out) {
            Named::Ours(no) => Some(no),
            Named::Foreign => None,
            Named::Moved(no) => {
                self.shelf.counts.quarantined += 1;
                self.lose(no, GapReason::Unreadable, origin, out);
                None
            }
        }
    }

    /// Whose token it is. Recordings follow every token they show.
    #[inline]
    fn named(
        &mut self,
        name: &[u8],
        market: Option<&[u8]>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Named {
        let no = match self.shelf.find(name) {
            Some(no) if self.is_watched(no) => no,
            None if self.config.capture => match self.introduce(name, self.last_shard, origin, out) {
                Some(no) => {
                    self.shards[self.last_shard].assets.push(no);
                    no
                }
                None => return Named::Foreign,
            },
            _ => {
                self.shelf.counts.foreign += 1;
                return Named::Foreign;
            }
        };
        let (Some(market), Some(slot)) = (market, self.shelf.slot(no)) else { return Named::Ours(no) };
        let known = slot.instrument.market.as_bytes();
        if known == market {
            return Named::Ours(no);
        }
        match std::str::from_utf8(market) {
            Ok(market) if known.is_empty() => self.shelf.name_market(no, market, origin, out),
            _ => return Named::Moved(no),
        }
        Named::Ours(no)
    }

    fn introduce(
        &mut self,
        name: &[u8],
        shard: usize,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Option<InstrumentNo> {
        let native = std::str::from_utf8(name).ok()?.to_owned();
        let no = self.shelf.intern(name, origin, out, || Instrument {
            venue: Venue::Polymarket,
            native,
            market: String::new(),
            kind: InstrumentKind::Binary,
            price_decimals: PRICE_DECIMALS,
            qty_decimals: QTY_DECIMALS,
        });
        while self.assets.len() <= no.0 as usize {
            self.assets.push(Asset::new(shard));
        }
        Some(no)
    }

    /// A book is lost and asked for again at once.
    #[cold]
    fn lose(&mut self, no: InstrumentNo, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.shelf.lose(no, reason, origin, out);
        self.want(no, self.now);
    }

    fn lose_shard(&mut self, shard: usize, reason: GapReason, origin: &Origin, out: &mut Vec<VenueOutput>) {
        let assets = self.shards.get(shard).map(|shard| shard.assets.clone()).unwrap_or_default();
        for no in assets {
            self.lose(no, reason, origin, out);
        }
    }
}

/// Whether a book holds nothing but the venue's placeholder orders at its best prices.
pub fn placeholder(book: &Book) -> bool {
    let best = |side| book.best(side).map(|level| level.price);
    match (best(schemas::BookSide::Bid), best(schemas::BookSide::Ask)) {
        (None, None) => false,
        (bid, ask) => {
            bid.is_none_or(|bid| bid <= PLACEHOLDER_BID) && ask.is_none_or(|ask| ask >= PLACEHOLDER_ASK)
        }
    }
}

impl Machine for Polymarket {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        let at = match &record.body {
            Raw::TimeAdvanced { to } => record.at.max(*to),
            _ => record.at,
        };
        self.now = self.now.max(at);
        let mut origin = Origin { raw_seq: record.seq, ..Origin::default() };
        origin.times.recv_at = at;
        match &record.body {
            Raw::Frame { conn, bytes } => {
                self.on_frame(*conn, bytes, &origin, out);
                if self.now < self.wake {
                    return;
                }
            }
            Raw::Connected { conn } => self.on_connected(*conn, &origin, out),
            Raw::Closed { conn, .. } => self.on_closed(*conn, &origin, out),
            Raw::Rest(RestReply { request, status, bytes }) => {
                self.on_reply(*request, *status, bytes, &origin, out);
            }
            Raw::TimeAdvanced { .. } => {}
        }
        self.run(&origin, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.wake).filter(|at| *at < Timestamp::MAX)
    }

    fn digest(&self) -> Digest {
        let mut own = Vec::new();
        for asset in &self.assets {
            for number in [asset.book_ms, asset.last_ms, asset.tick, asset.epoch_ms, i64::from(asset.watched)]
            {
                own.extend(number.to_be_bytes());
            }
        }
        for id in &self.trade_order {
            own.extend(id);
        }
        Digest::combine(&[self.shelf.digest(), Digest::of(&own)])
    }
}

impl VenueMachine for Polymarket {
    fn venue(&self) -> Venue {
        Venue::Polymarket
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
