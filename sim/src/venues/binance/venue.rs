//! The whole of Binance spot without sockets: frames and steps in, frames for each connection out. Never reads a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::market::{SpotBook, SpotTrade, Symbol, SymbolSpec};
use super::wire;
use crate::wire_faults::WireFaults;
use crate::world::dice::Dice;

/// Update ids that a rewind goes back.
const REWIND: u64 = 500;

/// What a [`BinanceVenue`] is made of.
#[derive(Clone, Debug)]
pub struct BinanceConfig {
    /// Seed of every draw.
    pub seed: u64,
    /// The symbols.
    pub symbols: Vec<SymbolSpec>,
    /// What goes wrong on purpose; messages are numbered over depth events and trades as they happen.
    pub faults: WireFaults,
    /// Frames that may wait for a connection; one more and it is cut.
    pub buffer: usize,
    /// Where the update ids of REST snapshots lie, one number for each request, from the first again at the end:
    /// 0 is the present, −k is k update ids ago, +k is k update ids that no depth event has told yet.
    pub snapshot_skew: Vec<i64>,
}

impl Default for BinanceConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            symbols: vec![SymbolSpec::new("BTCUSDT", 60_000), SymbolSpec::new("ETHUSDT", 2_000)],
            faults: WireFaults::default(),
            buffer: 10_000,
            snapshot_skew: vec![0],
        }
    }
}

/// What the venue counted; nothing is ever reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BinanceStats {
    /// Connections opened.
    pub connections: u64,
    /// Numbered messages that happened, whether anybody heard them or not.
    pub messages: u64,
    /// Frames of numbered messages handed to connections.
    pub delivered: u64,
    /// Frames withheld.
    pub dropped: u64,
    /// Frames sent twice.
    pub duplicated: u64,
    /// Frames sent after their successor on the same stream.
    pub reordered: u64,
    /// Connections cut, by a fault or because they read too slowly.
    pub cuts: u64,
    /// Frames sent that are no JSON.
    pub garbage: u64,
    /// Times the update ids went back.
    pub rewinds: u64,
    /// Connections that became zombies.
    pub zombies: u64,
    /// Frames sent with a wrong content.
    pub corrupted: u64,
    /// REST snapshots served.
    pub snapshots: u64,
}

/// What leaves on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinanceOut {
    /// A text frame.
    Text(String),
    /// The connection ends without a close frame.
    Cut,
}

#[derive(Debug, Default)]
struct Session {
    streams: BTreeSet<String>,
    combined: bool,
    out: VecDeque<BinanceOut>,
    zombie: bool,
    held: BTreeMap<String, String>,
}

impl Session {
    fn push(&mut self, text: String) {
        if !self.zombie {
            self.out.push_back(BinanceOut::Text(text));
        }
    }

    fn frame(&self, stream: &str, data: &str) -> String {
        if self.combined { format!(r#"{{"stream":"{stream}","data":{data}}}"#) } else { data.to_owned() }
    }

    fn cut(&mut self) {
        self.streams.clear();
        self.out.push_back(BinanceOut::Cut);
        self.zombie = true;
    }

    fn release(&mut self, stream: &str) {
        if let Some(held) = self.held.remove(stream) {
            self.push(held);
        }
    }
}

/// The venue.
#[derive(Debug)]
pub struct BinanceVenue {
    /// The symbols.
    pub symbols: Vec<Symbol>,
    /// What was counted.
    pub stats: BinanceStats,
    config: BinanceConfig,
    dice: Dice,
    sessions: BTreeMap<u64, Session>,
    next_conn: u64,
    /// A symbol whose trade must be followed by its depth event.
    due: Option<usize>,
    told: BTreeMap<usize, [i64; 4]>,
}

impl BinanceVenue {
    /// A venue with its first books.
    pub fn new(config: BinanceConfig) -> Self {
        let mut dice = Dice::new(config.seed, 0x6269);
        let symbols = config.symbols.iter().map(|spec| Symbol::new(spec.clone(), &mut dice)).collect();
        Self {
            symbols,
            stats: BinanceStats::default(),
            config,
            dice,
            sessions: BTreeMap::new(),
            next_conn: 0,
            due: None,
            told: BTreeMap::new(),
        }
    }

    /// A new connection with its first streams; `combined` wraps each frame with its stream's name.
    pub fn open(&mut self, combined: bool, streams: impl IntoIterator<Item = String>) -> u64 {
        let conn = self.next_conn;
        self.next_conn += 1;
        let streams = streams.into_iter().collect();
        self.sessions.insert(conn, Session { streams, combined, ..Session::default() });
        self.stats.connections += 1;
        conn
    }

    /// Forgets a connection.
    pub fn close(&mut self, conn: u64) {
        self.sessions.remove(&conn);
    }

    /// Takes at most `limit` frames that wait for a connection.
    pub fn take(&mut self, conn: u64, limit: usize) -> Vec<BinanceOut> {
        let Some(session) = self.sessions.get_mut(&conn) else { return Vec::new() };
        let count = session.out.len().min(limit);
        session.out.drain(..count).collect()
    }

    /// Frames that wait for the connection with the most.
    pub fn backlog(&self) -> usize {
        self.sessions.values().map(|session| session.out.len()).max().unwrap_or(0)
    }

    /// Connections for which something waits.
    pub fn ready(&self) -> impl Iterator<Item = u64> {
        self.sessions.iter().filter(|(_, session)| !session.out.is_empty()).map(|(conn, _)| *conn)
    }

    /// The symbol of a name in either case.
    pub fn symbol(&self, name: &str) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| symbol.spec.symbol.eq_ignore_ascii_case(name))
    }

    /// The true book of a symbol, with what no depth event has told yet.
    pub fn truth(&self, name: &str) -> Option<&SpotBook> {
        self.symbol(name).map(|symbol| &symbol.book)
    }

    /// Cuts all connections without a close frame.
    pub fn cut_all(&mut self) {
        for session in self.sessions.values_mut() {
            session.cut();
            self.stats.cuts += 1;
        }
    }

    /// Takes a text frame of a connection: `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`.
    pub fn command(&mut self, conn: u64, text: &str) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let id = value.get("id").cloned().unwrap_or_default();
        let params = value.get("params").and_then(Value::as_array);
        let names: Option<Vec<String>> =
            params.and_then(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        let result = match (value.get("method").and_then(Value::as_str), names) {
            (Some("SUBSCRIBE"), Some(names)) => {
                session.streams.extend(names);
                Ok(Value::Null)
            }
            (Some("UNSUBSCRIBE"), Some(names)) => {
                session.streams.retain(|stream| !names.contains(stream));
                Ok(Value::Null)
            }
            (Some("LIST_SUBSCRIPTIONS"), _) => Ok(json!(session.streams)),
            (Some("SUBSCRIBE" | "UNSUBSCRIBE"), None) => {
                Err("Invalid request: params must be an array of strings")
            }
            _ => Err("Invalid request: unknown method"),
        };
        session.push(match result {
            Ok(result) => format!(r#"{{"result":{result},"id":{id}}}"#),
            Err(words) => format!(r#"{{"error":{{"code":2,"msg":"{words}"}},"id":{id}}}"#),
        });
    }

    /// Lets the next numbered message happen and sends it; `false` without symbols.
    pub fn step(&mut self, now_ms: i64) -> bool {
        let Some(last) = self.symbols.len().checked_sub(1) else { return false };
        let number = self.stats.messages;
        self.stats.messages += 1;
        if let Some(at) = self.due.take() {
            self.depth(at, number, now_ms);
            return true;
        }
        let at = self.dice.between(0, last as i64) as usize;
        if self.dice.between(0, 99) < 20
            && let Some(trade) = self.symbols[at].trade(&mut self.dice, now_ms)
        {
            self.due = Some(at);
            self.trade(at, &trade, number, now_ms);
            return true;
        }
        for _ in 0..self.dice.between(1, 4) {
            self.symbols[at].change(&mut self.dice);
        }
        self.depth(at, number, now_ms);
        true
    }

    /// Sends what no depth event has told yet, and the frames that wait for a successor.
    pub fn settle(&mut self, now_ms: i64) {
        self.due = None;
        for at in 0..self.symbols.len() {
            if !self.symbols[at].unsent.is_empty() {
                let number = self.stats.messages;
                self.stats.messages += 1;
                self.depth(at, number, now_ms);
            }
        }
        for session in self.sessions.values_mut() {
            let streams: Vec<String> = session.held.keys().cloned().collect();
            for stream in streams {
                session.release(&stream);
            }
        }
    }

    fn depth(&mut self, at: usize, number: u64, now_ms: i64) {
        if self.config.faults.rewind.contains(&number) {
            self.symbols[at].rewind(REWIND);
            self.stats.rewinds += 1;
        }
        if self.config.faults.tick_change.contains(&number) {
            let symbol = &mut self.symbols[at];
            symbol.tick = (symbol.tick / 10).max(1);
        }
        let changes = std::mem::take(&mut self.symbols[at].unsent);
        let corrupt = self.config.faults.corrupt.contains(&number);
        let data = wire::depth(&self.symbols[at], &changes, now_ms, corrupt);
        let name = self.symbols[at].spec.symbol.to_ascii_lowercase();
        self.send(&format!("{name}@depth@100ms"), &data, number);
        self.send(&format!("{name}@depth"), &data, number);
        let book = &self.symbols[at].book;
        let ((bid, bid_qty), (ask, ask_qty)) =
            (book.best_bid().unwrap_or((0, 0)), book.best_ask().unwrap_or((0, 0)));
        let top = [bid, bid_qty, ask, ask_qty];
        if self.told.insert(at, top) != Some(top) {
            let data = wire::book_ticker(&self.symbols[at]);
            self.tell(&format!("{name}@bookTicker"), &data);
        }
    }

    fn trade(&mut self, at: usize, trade: &SpotTrade, number: u64, now_ms: i64) {
        let name = trade.symbol.to_ascii_lowercase();
        let mut told = trade.clone();
        if self.config.faults.corrupt.contains(&number) {
            // A decimal shift.
            told.price *= 10;
        }
        self.send(&format!("{name}@aggTrade"), &wire::agg_trade(&told), number);
        self.send(&format!("{name}@trade"), &wire::trade(&told), number);
        let klines = &self.symbols[at].klines;
        let open_ms = now_ms.div_euclid(60_000) * 60_000;
        let mut frames = Vec::new();
        // The first trade of a minute closes the minute before.
        let last = klines
            .range(..open_ms)
            .next_back()
            .filter(|_| klines.get(&open_ms).is_some_and(|k| k.ids[0] == k.ids[1]));
        if let Some((_, kline)) = last {
            frames.push(wire::kline(&trade.symbol, kline, now_ms, true));
        }
        if let Some(kline) = klines.get(&open_ms) {
            frames.push(wire::kline(&trade.symbol, kline, now_ms, false));
        }
        for frame in frames {
            self.tell(&format!("{name}@kline_1m"), &frame);
        }
    }

    /// Sends an unnumbered message.
    fn tell(&mut self, stream: &str, data: &str) {
        for session in self.sessions.values_mut().filter(|session| session.streams.contains(stream)) {
            session.push(session.frame(stream, data));
        }
    }

    /// Sends a numbered message, with everything that goes wrong.
    fn send(&mut self, stream: &str, data: &str, number: u64) {
        let (faults, stats) = (&self.config.faults, &mut self.stats);
        for session in self.sessions.values_mut() {
            if session.zombie || !session.streams.contains(stream) {
                continue;
            }
            if faults.cut.contains(&number)
                || faults.overflow.contains(&number)
                || session.out.len() >= self.config.buffer
            {
                session.cut();
                stats.cuts += 1;
                continue;
            }
            if faults.zombie.contains(&number) {
                session.zombie = true;
                stats.zombies += 1;
                continue;
            }
            let text = session.frame(stream, data);
            if faults.garbage.contains(&number) {
                session.push(format!(r#"{{"stream":"{stream}","da"#));
                stats.garbage += 1;
            }
            if faults.drop.contains(&number) {
                stats.dropped += 1;
                continue;
            }
            stats.corrupted += u64::from(faults.corrupt.contains(&number));
            stats.delivered += 1;
            if faults.reorder.contains(&number) && !session.held.contains_key(stream) {
                session.held.insert(stream.to_owned(), text);
                stats.reordered += 1;
                continue;
            }
            if faults.duplicate.contains(&number) {
                session.push(text.clone());
                stats.duplicated += 1;
            }
            session.push(text);
            session.release(stream);
        }
    }

    /// `GET /api/v3/depth`: the status and the body.
    pub fn depth_snapshot(&mut self, name: &str, limit: usize) -> (u16, String) {
        let at = self.symbols.iter().position(|symbol| symbol.spec.symbol == name);
        let Some(at) = at else { return (400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned()) };
        let turn = self.stats.snapshots as usize % self.config.snapshot_skew.len().max(1);
        let skew = self.config.snapshot_skew.get(turn).copied().unwrap_or(0);
        self.stats.snapshots += 1;
        for _ in 0..skew.max(0) {
            self.symbols[at].change(&mut self.dice);
        }
        let (book, id) = self.symbols[at].back(usize::try_from(-skew).unwrap_or(0));
        (200, wire::snapshot(&book, id, limit.clamp(1, 5_000)))
    }
}
