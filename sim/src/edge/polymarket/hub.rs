//! What all sockets of the twin share: the world, who listens to what, and the numbering of messages. Never waits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use axum::extract::ws::Utf8Bytes;

use super::config::{Corruption, PolymarketTwinConfig, SnapshotForm, VenueTime};
use super::conn::Conns;
use super::log::{LogEntry, PolymarketStats};
use crate::venues::polymarket::index::Index;
use crate::venues::polymarket::wire::{self, Flaw, Style};
use crate::venues::polymarket::world::{CENT, Event, Said, Standing, TENTH};
use crate::venues::polymarket::{Outcome, Side, World, WorldSpec};

/// Books in one array frame.
pub const BOOKS_PER_FRAME: usize = 50;

/// A `book` that is owed.
struct Owed {
    /// The data message before which it is sent.
    before: u64,
    market: usize,
    of: Outcome,
    /// Only to this connection, or to all that listen.
    to: Option<u64>,
}

/// The twin's state, under one lock.
pub(super) struct Hub {
    pub(super) config: PolymarketTwinConfig,
    pub(super) world: World,
    pub(super) index: Index,
    pub(super) conns: Conns,
    assets: BTreeMap<String, (usize, Outcome)>,
    conditions: BTreeMap<String, usize>,
    /// Per market, who listens.
    listeners: Vec<BTreeSet<u64>>,
    /// Per market, the last `price_change` frames.
    recent: Vec<VecDeque<Utf8Bytes>>,
    owed: VecDeque<Owed>,
    /// The next data message of the market channel.
    pub(super) number: u64,
    /// Ticks of the real-time data sockets so far.
    pub(super) ticks: u64,
    corrupt_due: bool,
    subscribes: u64,
    pub(super) log: Vec<LogEntry>,
    pub(super) stats: PolymarketStats,
    pub(super) paused: bool,
}

impl Hub {
    pub(super) fn new(config: PolymarketTwinConfig) -> Self {
        let starts_at_ms = match config.time {
            VenueTime::Virtual(ms) => ms,
            VenueTime::Wall => wall_ms(),
        };
        let spec = WorldSpec {
            seed: config.seed,
            markets: config.markets,
            levels: config.levels,
            mix: config.mix,
            starts_at_ms,
        };
        let mut hub = Self {
            index: Index::new(config.seed, &config.rtds.coins, starts_at_ms),
            world: World::new(spec),
            conns: Conns::default(),
            assets: BTreeMap::new(),
            conditions: BTreeMap::new(),
            listeners: Vec::new(),
            recent: Vec::new(),
            owed: VecDeque::new(),
            number: 0,
            ticks: 0,
            corrupt_due: false,
            subscribes: 0,
            log: Vec::new(),
            stats: PolymarketStats::default(),
            paused: false,
            config,
        };
        for number in 0..hub.world.markets().len() {
            hub.enlist(number);
        }
        hub
    }

    fn enlist(&mut self, number: usize) {
        let ids = &self.world.markets()[number].ids;
        for of in Outcome::BOTH {
            self.assets.insert(ids.tokens[of.index()].clone(), (number, of));
        }
        self.conditions.insert(ids.condition.clone(), number);
        self.listeners.push(BTreeSet::new());
        self.recent.push(VecDeque::new());
    }

    pub(super) fn find(&self, asset: &str) -> Option<(usize, Outcome)> {
        self.assets.get(asset).copied()
    }

    pub(super) fn find_condition(&self, condition: &str) -> Option<usize> {
        self.conditions.get(condition).copied()
    }

    fn style(&self) -> Style {
        let every = self.config.bare_every;
        Style { bare: every > 0 && self.number % every == every - 1, best_first: self.config.best_first }
    }

    pub(super) fn tick_clock(&mut self) {
        if self.config.time == VenueTime::Wall {
            self.world.advance_to(wall_ms());
        }
    }

    /// Produces one data message, on a named market or wherever the dice say; `false` if no market is open.
    pub(super) fn produce(&mut self, on: Option<usize>) -> bool {
        self.tick_clock();
        let Some(market) = self.world.next_market(on) else { return false };
        let number = self.number;
        if self.config.faults.tick_change.contains(&number) {
            self.change_tick(market);
        }
        self.pay_books(number);
        let Some(event) = self.world.perform() else { return false };
        let text = self.write(&event);
        self.number += 1;
        self.deliver(number, &event, &text);
        if matches!(event.said, Said::Changes(_)) {
            self.remember(event.market, &text);
            self.tell_tops(&event);
            if self.world.wants_finer_grid(event.market) {
                self.change_tick(event.market);
            }
        }
        true
    }

    fn remember(&mut self, market: usize, text: &Utf8Bytes) {
        if self.config.replay > 0 {
            let recent = &mut self.recent[market];
            recent.push_back(text.clone());
            if recent.len() > self.config.replay {
                recent.pop_front();
            }
        }
    }

    /// Writes the message, flawed if it is its turn; a flaw that falls on a trade waits for the next book message.
    fn write(&mut self, event: &Event) -> Utf8Bytes {
        self.corrupt_due |= self.config.faults.corrupt.contains(&self.number);
        let flaw = match self.config.corruption {
            _ if !self.corrupt_due => Flaw::None,
            Corruption::BestPrice => Flaw::BestPrice,
            Corruption::Hash => Flaw::Hash,
        };
        let (style, market) = (self.style(), &self.world.markets()[event.market]);
        let text = match &event.said {
            Said::Trade(trade) => {
                let text = wire::last_trade(market, trade, style);
                self.log.push(LogEntry::Trade { number: self.number, trade: trade.clone() });
                return text.into();
            }
            Said::Changes(changes) => wire::price_change(market, changes, event.at_ms, style, flaw),
            Said::Book(of) => wire::book(market, *of, event.at_ms, style, flaw),
        };
        if flaw != Flaw::None {
            self.corrupt_due = false;
            self.stats.corrupted += 1;
        }
        text.into()
    }

    /// Who gets a message: changes go to whoever listens to either token, everything else to the token's listeners.
    fn audience(&self, event: &Event) -> Vec<u64> {
        let of = match &event.said {
            Said::Changes(_) => None,
            Said::Trade(trade) => Some(trade.outcome),
            Said::Book(of) => Some(*of),
        };
        let books = matches!(event.said, Said::Book(_));
        let hears = |id: &u64| {
            self.conns.get(*id).is_some_and(|conn| {
                let mask = conn.markets.get(&event.market).copied().unwrap_or(0);
                let wanted = of.is_none_or(|of| mask & bit(of) != 0);
                wanted && !(books && conn.assets > self.config.snapshot_limit)
            })
        };
        self.listeners[event.market].iter().copied().filter(hears).collect()
    }

    /// Hands a numbered message to its audience, faults included.
    fn deliver(&mut self, number: u64, event: &Event, text: &Utf8Bytes) {
        let audience = self.audience(event);
        self.stats.messages += 1;
        let faults = &self.config.faults;
        let (drop, twice, reorder) = (
            faults.drop.contains(&number),
            faults.duplicate.contains(&number),
            faults.reorder.contains(&number),
        );
        let (cut, garbage, zombie) =
            (faults.cut.contains(&number), faults.garbage.contains(&number), faults.zombie.contains(&number));
        for id in audience {
            if zombie && let Some(conn) = self.conns.get_mut(id) {
                conn.zombie = true;
            }
            if garbage {
                self.conns.aside(id, Utf8Bytes::from_static(wire::GARBAGE));
            }
            if cut {
                self.cut(id);
            } else if reorder {
                self.conns.hold(id, text.clone());
            } else if !drop {
                self.stats.deliveries += 1;
                self.conns.data(id, text.clone(), twice);
            }
        }
    }

    /// Whether anybody who listens to a market asked for the custom features.
    fn has_custom(&self, market: usize) -> bool {
        self.listeners[market].iter().any(|id| self.conns.get(*id).is_some_and(|conn| conn.custom))
    }

    /// `best_bid_ask` of both tokens, for those who asked for the custom features.
    fn tell_tops(&mut self, event: &Event) {
        if !self.has_custom(event.market) {
            return;
        }
        let Said::Changes(changes) = &event.said else { return };
        let book = &self.world.markets()[event.market].book;
        let at_top = changes.iter().any(|change| {
            let best = book.best(change.side);
            // The level is the best one now, or it was until it left.
            best.is_none_or(|best| match change.side {
                Side::Buy => change.price >= best,
                Side::Sell => change.price <= best,
            })
        });
        if at_top {
            for of in Outcome::BOTH {
                let text = wire::best_bid_ask(&self.world.markets()[event.market], of, event.at_ms);
                self.tell(event.market, of, &text.into(), true);
            }
        }
    }

    /// Sends an unnumbered frame to the listeners of a token.
    fn tell(&mut self, market: usize, of: Outcome, text: &Utf8Bytes, custom_only: bool) {
        for id in self.listeners[market].clone() {
            let hears = self.conns.get(id).is_some_and(|conn| {
                conn.markets.get(&market).is_some_and(|mask| mask & bit(of) != 0)
                    && (conn.custom || !custom_only)
            });
            if hears {
                self.conns.aside(id, text.clone());
            }
        }
    }

    /// Changes a market's grid between a cent and a tenth of one: says so, and owes the new books.
    pub(super) fn change_tick(&mut self, market: usize) {
        let at_ms = self.world.now_ms();
        let Some(found) = self.world.market_mut(market) else { return };
        let old = found.book.tick;
        let new = if old == CENT { TENTH } else { CENT };
        found.book.regrid(new);
        // Frames of the old grid are never said again.
        self.recent[market].clear();
        self.log.push(LogEntry::TickSize { market, old, new, at_ms });
        for of in Outcome::BOTH {
            let text = wire::tick_size_change(&self.world.markets()[market], of, old, new, at_ms);
            self.tell(market, of, &text.into(), false);
            self.owed.push_back(Owed { before: self.number + self.config.book_delay, market, of, to: None });
        }
        self.pay_books(self.number);
    }

    /// Sends the books that are due before message `number`.
    pub(super) fn pay_books(&mut self, number: u64) {
        while self.owed.front().is_some_and(|owed| owed.before <= number) {
            let Some(owed) = self.owed.pop_front() else { return };
            let (style, at_ms) = (self.style(), self.world.now_ms());
            let text: Utf8Bytes =
                wire::book(&self.world.markets()[owed.market], owed.of, at_ms, style, Flaw::None).into();
            for id in self.listeners[owed.market].clone() {
                let hears = self.conns.get(id).is_some_and(|conn| {
                    let mask = conn.markets.get(&owed.market).copied().unwrap_or(0);
                    mask & bit(owed.of) != 0 && conn.assets <= self.config.snapshot_limit
                });
                if hears && owed.to.is_none_or(|to| to == id) {
                    self.stats.books += 1;
                    self.conns.aside(id, text.clone());
                }
            }
        }
    }

    /// Adds assets to a connection: the books first (unless it listens to too many), then what is replayed.
    pub(super) fn subscribe(&mut self, id: u64, assets: &[String], custom: bool) {
        self.tick_clock();
        let found: Vec<_> = assets.iter().filter_map(|asset| self.find(asset)).collect();
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.custom |= custom;
        for &(market, of) in &found {
            let mask = conn.markets.entry(market).or_insert(0);
            if *mask & bit(of) == 0 {
                *mask |= bit(of);
                conn.assets += 1;
            }
            self.listeners[market].insert(id);
        }
        let silent = conn.assets > self.config.snapshot_limit;
        let nth = self.subscribes;
        self.subscribes += 1;
        if !silent {
            self.snapshots(id, &found, nth);
        }
        let markets: BTreeSet<_> = found.iter().map(|(market, _)| *market).collect();
        for market in markets {
            for text in self.recent[market].clone() {
                self.stats.replayed += 1;
                self.conns.aside(id, text);
            }
        }
    }

    fn snapshots(&mut self, id: u64, found: &[(usize, Outcome)], nth: u64) {
        let listed = |market: usize| self.world.markets()[market].is_listed();
        let listed: Vec<_> = found.iter().copied().filter(|&(market, _)| listed(market)).collect();
        if self.config.book_delay > 0 {
            let before = self.number + self.config.book_delay;
            self.owed.extend(listed.into_iter().map(|(market, of)| Owed {
                before,
                market,
                of,
                to: Some(id),
            }));
            return;
        }
        let array = match self.config.snapshots {
            SnapshotForm::Alternate => nth.is_multiple_of(2),
            SnapshotForm::Array => true,
            SnapshotForm::Single => false,
        };
        let (style, at_ms) = (self.style(), self.world.now_ms());
        for chunk in listed.chunks(if array { BOOKS_PER_FRAME } else { 1 }) {
            let books: Vec<_> = chunk
                .iter()
                .map(|&(market, of)| wire::book(&self.world.markets()[market], of, at_ms, style, Flaw::None))
                .collect();
            self.stats.books += books.len() as u64;
            let joined = books.join(",");
            let text = if array { format!("[{joined}]") } else { joined };
            self.conns.aside(id, text.into());
        }
    }

    /// Takes assets from a connection; nothing is said about it.
    pub(super) fn unsubscribe(&mut self, id: u64, assets: &[String]) {
        let found: Vec<_> = assets.iter().filter_map(|asset| self.find(asset)).collect();
        let Some(conn) = self.conns.get_mut(id) else { return };
        for (market, of) in found {
            let Some(mask) = conn.markets.get_mut(&market) else { continue };
            if *mask & bit(of) != 0 {
                *mask &= !bit(of);
                conn.assets -= 1;
            }
            if *mask == 0 {
                conn.markets.remove(&market);
                self.listeners[market].remove(&id);
            }
        }
    }

    /// Cuts a connection without a goodbye, after what is queued.
    pub(super) fn cut(&mut self, id: u64) {
        self.forget(id);
        self.conns.end(id, None);
        self.stats.cuts += 1;
    }

    /// Forgets what a connection listened to.
    pub(super) fn forget(&mut self, id: u64) {
        if let Some(conn) = self.conns.get(id) {
            for market in conn.markets.keys() {
                self.listeners[*market].remove(&id);
            }
        }
    }

    /// Lists one more market, for everybody who asked for the custom features; returns its number.
    pub(super) fn list_market(&mut self) -> usize {
        self.tick_clock();
        let number = self.world.found(self.config.unlisted_requests);
        self.enlist(number);
        let at_ms = self.world.now_ms();
        let text: Utf8Bytes = wire::new_market(&self.world.markets()[number], at_ms).into();
        self.log.push(LogEntry::Listed { market: number, at_ms });
        for id in self.conns.filter(|conn| conn.custom) {
            self.conns.aside(id, text.clone());
        }
        number
    }

    /// Counts a CLOB request about a market that may not be listed yet; whoever listens gets its books once it is.
    pub(super) fn is_listed(&mut self, market: usize) -> bool {
        let Some(found) = self.world.market_mut(market) else { return false };
        if found.unlisted == 0 {
            return true;
        }
        found.unlisted -= 1;
        if found.unlisted == 0 {
            let before = self.number + self.config.book_delay;
            self.owed.extend(Outcome::BOTH.map(|of| Owed { before, market, of, to: None }));
            self.pay_books(self.number);
        }
        false
    }

    /// Resolves a market; `yes` is what YES pays, 1e-6.
    pub(super) fn resolve(&mut self, market: usize, yes: i64) {
        self.tick_clock();
        let at_ms = self.world.now_ms();
        let Some(found) = self.world.market_mut(market) else { return };
        found.standing = Standing::Resolved { yes };
        let winner = match yes {
            0 => Some(Outcome::No),
            1_000_000 => Some(Outcome::Yes),
            _ => None,
        };
        let text: Utf8Bytes = wire::market_resolved(&self.world.markets()[market], winner, at_ms).into();
        self.log.push(LogEntry::Resolved { market, yes, at_ms });
        for id in self.listeners[market].clone() {
            if self.conns.get(id).is_some_and(|conn| conn.custom) {
                self.conns.aside(id, text.clone());
            }
        }
    }
}

/// The bit of an outcome in a subscription.
const fn bit(of: Outcome) -> u8 {
    1 << of.index()
}

/// The machine's clock, Unix milliseconds.
#[allow(clippy::disallowed_methods, reason = "edge: reads the clock")]
pub(super) fn wall_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
