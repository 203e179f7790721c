//! The whole of Kalshi without sockets: commands and steps in, frames for each connection out. Never reads a clock.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::auth::ClientKey;
use super::command::Command;
use super::index::{Index, IndexTick};
use super::market::{Book, Market, MarketSpec, Status};
use super::session::{Channel, Out, Session};
use super::units::{dollars_text, rfc3339_us};
use super::world::{Lifecycle, World};
use crate::wire_faults::WireFaults;

/// What a [`KalshiVenue`] is made of.
#[derive(Clone, Debug)]
pub struct VenueConfig {
    /// Seed of every draw.
    pub seed: u64,
    /// The markets at the start.
    pub markets: Vec<MarketSpec>,
    /// The streamed indices: id and first value in 1e-8 dollars.
    pub indices: Vec<(String, i64)>,
    /// What goes wrong on purpose; messages are numbered over deltas and trades as they happen.
    pub faults: WireFaults,
    /// The clients whose signatures are accepted.
    pub clients: Vec<ClientKey>,
    /// How far a signed timestamp may be from the venue's clock, milliseconds.
    pub skew_ms: i64,
    /// Frames that may wait for a connection; one data frame more is error 25 for its subscription.
    pub buffer: usize,
    /// Markets of one subscription; more is error 26.
    pub market_limit: usize,
    /// Whether updates and unsubscribes wait and are acknowledged in another order than they came.
    pub delay_acks: bool,
    /// Messages of a removed market that still follow the acknowledgement of its removal.
    pub late_messages: u32,
}

impl Default for VenueConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            markets: MarketSpec::many(16),
            indices: vec![
                ("BRTI".to_owned(), 60_000 * 100_000_000),
                ("ETHUSD_RTI".to_owned(), 2_000 * 100_000_000),
            ],
            faults: WireFaults::default(),
            clients: Vec::new(),
            skew_ms: 5_000,
            buffer: 10_000,
            market_limit: 10_000,
            delay_acks: false,
            late_messages: 0,
        }
    }
}

macro_rules! venue_stats {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What the venue counted; nothing is ever reset.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct VenueStats { $($(#[$doc])* pub $name: u64,)+ }
    };
}

venue_stats! {
    /// Connections opened.
    connections,
    /// Handshakes refused.
    refused,
    /// Commands read.
    commands,
    /// Subscriptions made.
    subscribes,
    /// `ok` frames.
    acks,
    /// Error frames that answer a command.
    errors,
    /// Snapshots sent.
    snapshots,
    /// Numbered messages that happened, whether anybody heard them or not.
    messages,
    /// Frames of numbered messages that were handed to connections.
    delivered,
    /// Frames withheld: the sequence number is used, the frame is not sent.
    dropped,
    /// Frames sent twice.
    duplicated,
    /// Frames sent after their successor.
    reordered,
    /// Connections cut.
    cuts,
    /// Frames sent that are no JSON.
    garbage,
    /// Subscriptions ended with error 25.
    overflows,
    /// Subscriptions whose sequence went back to 1.
    rewinds,
    /// Connections that became zombies.
    zombies,
    /// Frames sent with a wrong content.
    corrupted,
    /// Price grids changed.
    tick_changes,
    /// REST requests.
    rest_requests,
    /// REST requests refused with 429.
    rest_limited,
    /// REST requests refused with 401.
    rest_refused,
}

/// One message of the channel `market_lifecycle_v2` that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleSent {
    /// The frame's `type`.
    pub kind: &'static str,
    /// The frame's `msg`.
    pub msg: Value,
}

/// The venue.
#[derive(Debug)]
pub struct KalshiVenue {
    /// The markets.
    pub world: World,
    /// What was counted.
    pub stats: VenueStats,
    /// `exchange_active` of the exchange status.
    pub exchange_active: bool,
    /// `trading_active` of the exchange status; nothing happens without it.
    pub trading_active: bool,
    /// What was told on `market_lifecycle_v2`.
    pub lifecycles: Vec<LifecycleSent>,
    /// Index ticks that happened.
    pub index_ticks: Vec<IndexTick>,
    /// Fee overrides by event.
    pub fee_overrides: BTreeMap<String, (&'static str, i64)>,
    /// Unix second of the start.
    pub started_s: i64,
    pub(crate) config: VenueConfig,
    pub(crate) indices: Vec<Index>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) next_sid: u64,
    pub(crate) waiting: Vec<(u64, Command)>,
    /// Top of book as the ticker last told it.
    pub(crate) told: BTreeMap<usize, [i64; 4]>,
    next_conn: u64,
}

impl KalshiVenue {
    /// A venue whose markets begin at `now_us` (microseconds since 1970).
    pub fn new(config: VenueConfig, now_us: i64) -> Self {
        let indices = config.indices.iter().map(|(id, value)| Index::new(config.seed, id, *value)).collect();
        Self {
            world: World::new(config.seed, config.markets.clone(), now_us),
            stats: VenueStats::default(),
            exchange_active: true,
            trading_active: true,
            lifecycles: Vec::new(),
            index_ticks: Vec::new(),
            fee_overrides: BTreeMap::new(),
            started_s: now_us.div_euclid(1_000_000),
            config,
            indices,
            sessions: BTreeMap::new(),
            next_sid: 1,
            waiting: Vec::new(),
            told: BTreeMap::new(),
            next_conn: 0,
        }
    }

    /// A new connection; the answer is its number.
    pub fn open(&mut self) -> u64 {
        let conn = self.next_conn;
        self.next_conn += 1;
        self.sessions.insert(conn, Session::default());
        self.stats.connections += 1;
        conn
    }

    /// Forgets a connection.
    pub fn close(&mut self, conn: u64) {
        self.sessions.remove(&conn);
        self.waiting.retain(|(of, _)| *of != conn);
    }

    /// Takes at most `limit` frames that wait for a connection.
    pub fn take(&mut self, conn: u64, limit: usize) -> Vec<Out> {
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

    /// Frames handed to each open connection so far.
    pub fn sent(&self) -> BTreeMap<u64, u64> {
        self.sessions.iter().map(|(conn, session)| (*conn, session.sent)).collect()
    }

    /// The true book of a ticker.
    pub fn truth(&self, ticker: &str) -> Option<&Book> {
        self.world.market(ticker).map(|market| &market.book)
    }

    /// Cuts a connection without a close frame.
    pub fn cut(&mut self, conn: u64) {
        if let Some(session) = self.sessions.get_mut(&conn) {
            session.cut();
            self.stats.cuts += 1;
        }
    }

    /// Cuts all connections without a close frame.
    pub fn cut_all(&mut self) {
        let conns: Vec<u64> = self.sessions.keys().copied().collect();
        for conn in conns {
            self.cut(conn);
        }
    }

    /// Ends all subscriptions of a channel with error 10.
    pub fn fail_channel(&mut self, channel: Channel) {
        for session in self.sessions.values_mut() {
            let of =
                |(sid, sub): (&u64, &super::session::Subscription)| (sub.channel == channel).then_some(*sid);
            let sids: Vec<u64> = session.subs.iter().filter_map(of).collect();
            for sid in sids {
                session.fail(sid, 10);
            }
        }
    }

    /// Lists a market under `/historical` only; it stops trading. `false` for an unknown ticker.
    pub fn to_history(&mut self, ticker: &str) -> bool {
        let Some(at) = self.world.place(ticker) else { return false };
        self.world.set_status(at, Status::Finalized);
        self.world.markets[at].historical = true;
        true
    }

    /// Lets something happen to a market or an event and tells it. `false` for an unknown ticker.
    pub fn happen(&mut self, event: &Lifecycle, now_us: i64) -> bool {
        let Some((kind, msg)) = self.lifecycle_message(event, now_us) else { return false };
        let text = msg.to_string();
        self.lifecycles.push(LifecycleSent { kind, msg });
        self.tell(Channel::Lifecycle, kind, &text, |_| true);
        true
    }

    /// Applies a lifecycle event to the world and writes it down.
    fn lifecycle_message(&mut self, event: &Lifecycle, now_us: i64) -> Option<(&'static str, Value)> {
        let now_s = now_us.div_euclid(1_000_000);
        if let Lifecycle::Created(spec) = event {
            self.world.add(spec.clone(), now_us);
        }
        let msg = match event {
            Lifecycle::Created(spec) => created(spec, self.started_s),
            Lifecycle::Activated(t) => {
                self.status(t, Status::Active)?;
                json!({"event_type": "activated", "market_ticker": t, "is_deactivated": false})
            }
            Lifecycle::Deactivated(t) => {
                self.status(t, Status::Inactive)?;
                json!({"event_type": "deactivated", "market_ticker": t, "is_deactivated": true})
            }
            Lifecycle::CloseDate(t, close_s) => {
                let started = self.started_s;
                self.market(t)?.spec.closes_after_s = close_s - started;
                json!({"event_type": "close_date_updated", "market_ticker": t, "close_ts": close_s})
            }
            Lifecycle::Determined(t, result, value) => {
                self.status(t, Status::Determined)?;
                let market = self.market(t)?;
                (market.result, market.settlement) = (*result, Some(*value));
                json!({"event_type": "determined", "market_ticker": t, "result": result,
                       "determination_ts": now_s, "settlement_value": dollars_text(*value)})
            }
            Lifecycle::Settled(t) => {
                self.status(t, Status::Finalized)?;
                self.market(t)?.settled_s = Some(now_s);
                json!({"event_type": "settled", "market_ticker": t, "settled_ts": now_s})
            }
            Lifecycle::Structure(t, structure) => {
                self.market(t)?.structure = *structure;
                json!({"event_type": "price_level_structure_updated", "market_ticker": t,
                       "price_level_structure": structure.name(), "price_ranges": structure.ranges_json()})
            }
            Lifecycle::Strike(t, strike) => {
                self.market(t)?.spec.floor_strike = Some(*strike);
                json!({"event_type": "metadata_updated", "market_ticker": t,
                       "strike_type": "greater", "floor_strike": strike})
            }
            Lifecycle::EventCreated { event, series } => {
                let msg = json!({"event_ticker": event, "exchange_index": 0, "title": event, "subtitle": "",
                                 "collateral_return_type": "MECNET", "series_ticker": series});
                return Some(("event_lifecycle", msg));
            }
            Lifecycle::EventFee { event, fee } => {
                match fee {
                    Some(fee) => self.fee_overrides.insert(event.clone(), *fee),
                    None => self.fee_overrides.remove(event),
                };
                let msg = json!({"event_ticker": event, "fee_type_override": fee.map(|f| f.0),
                                 "fee_multiplier_override": fee.map(|f| f.1)});
                return Some(("event_fee_update", msg));
            }
        };
        Some(("market_lifecycle_v2", msg))
    }

    fn market(&mut self, ticker: &str) -> Option<&mut Market> {
        self.world.place(ticker).map(|at| &mut self.world.markets[at])
    }

    fn status(&mut self, ticker: &str, status: Status) -> Option<()> {
        let at = self.world.place(ticker)?;
        self.world.set_status(at, status);
        Some(())
    }

    /// One tick of every index at a time in milliseconds, and its frames.
    pub fn tick_indices(&mut self, at_ms: i64) {
        let ticks: Vec<IndexTick> = self.indices.iter_mut().filter_map(|index| index.tick(at_ms)).collect();
        for tick in ticks {
            let text = tick.msg.to_string();
            self.tell(Channel::Index, Channel::Index.name(), &text, |sub| {
                sub.indices.contains("all") || sub.indices.contains(&tick.id)
            });
            self.index_ticks.push(tick);
        }
    }
}

fn created(spec: &MarketSpec, started_s: i64) -> Value {
    let close = started_s + spec.closes_after_s;
    let mut metadata = json!({
        "name": spec.title, "title": spec.title, "yes_sub_title": "Yes", "no_sub_title": "No",
        "rules_primary": format!("If it happens, {} resolves to Yes.", spec.ticker),
        "rules_secondary": "", "can_close_early": true, "event_ticker": spec.event,
        "expected_expiration_ts": close, "strike_type": "structured",
    });
    if let Some(strike) = spec.floor_strike {
        metadata["strike_type"] = json!("greater");
        metadata["floor_strike"] = json!(strike);
    }
    json!({"event_type": "created", "market_ticker": spec.ticker, "exchange_index": 0, "open_ts": started_s,
           "close_ts": close, "additional_metadata": metadata,
           "price_level_structure": spec.structure.name(), "price_ranges": spec.structure.ranges_json()})
}

/// A time in microseconds as the venue writes `created_time`.
pub(crate) fn created_time(at_us: i64) -> String {
    rfc3339_us(at_us)
}
