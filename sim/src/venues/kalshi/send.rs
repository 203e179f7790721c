//! How what happened reaches the connections, and what goes wrong on the way. Never changes a market's book.

use super::session::{Channel, Session, Subscription};
use super::units::CONTRACT;
use super::venue::{KalshiVenue, VenueStats};
use super::wire;
use super::world::{Change, Lifecycle};
use crate::wire_faults::WireFaults;

/// The faults of one message.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one flag for each field of WireFaults")]
struct Strike {
    drop: bool,
    duplicate: bool,
    reorder: bool,
    cut: bool,
    garbage: bool,
    overflow: bool,
    rewind: bool,
    zombie: bool,
    corrupt: bool,
    tick_change: bool,
}

impl Strike {
    fn of(faults: &WireFaults, number: u64) -> Self {
        Self {
            drop: faults.drop.contains(&number),
            duplicate: faults.duplicate.contains(&number),
            reorder: faults.reorder.contains(&number),
            cut: faults.cut.contains(&number),
            garbage: faults.garbage.contains(&number),
            overflow: faults.overflow.contains(&number),
            rewind: faults.rewind.contains(&number),
            zombie: faults.zombie.contains(&number),
            corrupt: faults.corrupt.contains(&number),
            tick_change: faults.tick_change.contains(&number),
        }
    }
}

/// The payloads of one message; each is written when the first subscription needs it.
struct Payloads<'a> {
    venue: &'a super::world::World,
    change: &'a Change,
    now_us: i64,
    corrupt: bool,
    plain: Option<String>,
    yes_leg: Option<String>,
}

impl Payloads<'_> {
    fn get(&mut self, yes_leg: bool) -> &str {
        let (venue, change, now_us, corrupt) = (self.venue, self.change, self.now_us, self.corrupt);
        let slot = if yes_leg { &mut self.yes_leg } else { &mut self.plain };
        slot.get_or_insert_with(|| match change {
            Change::Trade { trade, .. } => wire::trade(trade, corrupt),
            Change::Level { market, side, price, delta } => {
                let market = &venue.markets[*market];
                // One contract more than there was: a client that applies it has a negative level.
                let before = market.book.side(*side).get(price).copied().unwrap_or(0) - delta;
                let told = if corrupt { -(before + CONTRACT) } else { *delta };
                wire::delta(market, *side, *price, told, now_us, yes_leg)
            }
        })
    }
}

impl KalshiVenue {
    /// Lets the next numbered message happen and sends it; `false` if nothing trades.
    pub fn step(&mut self, now_us: i64) -> bool {
        if !self.trading_active {
            return false;
        }
        let Some(change) = self.world.next(now_us) else { return false };
        let strike = Strike::of(&self.config.faults, self.stats.messages);
        self.stats.messages += 1;
        if strike.tick_change {
            let market = &self.world.markets[change.market()];
            let event = Lifecycle::Structure(market.spec.ticker.clone(), market.structure.finer());
            self.stats.tick_changes += 1;
            self.happen(&event, now_us);
        }
        self.deliver(&change, strike, now_us);
        self.quote(&change, now_us);
        true
    }

    fn deliver(&mut self, change: &Change, strike: Strike, now_us: i64) {
        let (channel, kind) = match change {
            Change::Level { .. } => (Channel::Orderbook, "orderbook_delta"),
            Change::Trade { .. } => (Channel::Trade, "trade"),
        };
        let place = change.market();
        let mut payloads = Payloads {
            venue: &self.world,
            change,
            now_us,
            corrupt: strike.corrupt,
            plain: None,
            yes_leg: None,
        };
        for session in self.sessions.values_mut() {
            let wants = |(sid, sub): (&u64, &mut Subscription)| sub.wants(channel, place).then_some(*sid);
            let sids: Vec<u64> = session.subs.iter_mut().filter_map(wants).collect();
            for sid in sids {
                send(session, sid, kind, &mut payloads, strike, &mut self.stats, self.config.buffer);
            }
        }
    }

    /// The ticker, if the top of the book or the last trade changed.
    fn quote(&mut self, change: &Change, now_us: i64) {
        let place = change.market();
        let market = &self.world.markets[place];
        let ((bid, bid_size), (ask, ask_size)) = (market.yes_bid(), market.yes_ask());
        let top = [bid, bid_size, ask, ask_size];
        let same = self.told.insert(place, top) == Some(top);
        if same && matches!(change, Change::Level { .. }) {
            return;
        }
        let buffer = self.config.buffer;
        let mut payload = None;
        for session in self.sessions.values_mut().filter(|session| !session.zombie) {
            let wants =
                |(sid, sub): (&u64, &mut Subscription)| sub.wants(Channel::Ticker, place).then_some(*sid);
            let sids: Vec<u64> = session.subs.iter_mut().filter_map(wants).collect();
            for sid in sids {
                let msg = payload.get_or_insert_with(|| wire::ticker(market, now_us));
                if session.out.len() >= buffer {
                    session.fail(sid, 25);
                    self.stats.overflows += 1;
                } else {
                    session.push(wire::frame("ticker", None, Some(sid), None, Some(msg)));
                }
            }
        }
    }

    /// Sends an unnumbered message to the subscriptions of a channel that want it.
    pub(crate) fn tell(
        &mut self,
        channel: Channel,
        kind: &str,
        msg: &str,
        wants: impl Fn(&Subscription) -> bool,
    ) {
        for session in self.sessions.values_mut().filter(|session| !session.zombie) {
            let of =
                |(sid, sub): (&u64, &Subscription)| (sub.channel == channel && wants(sub)).then_some(*sid);
            let sids: Vec<u64> = session.subs.iter().filter_map(of).collect();
            for sid in sids {
                let Some(sub) = session.subs.get_mut(&sid) else { continue };
                let seq = sub.next_seq();
                session.push_for(sid, wire::frame(kind, None, Some(sid), Some(seq), Some(msg)));
            }
        }
    }

    /// Sends the frames that still wait for a successor.
    pub fn release_held(&mut self) {
        for session in self.sessions.values_mut() {
            let sids: Vec<u64> = session.subs.keys().copied().collect();
            for sid in sids {
                session.release(sid);
            }
        }
    }
}

/// One message to one subscription, with everything that goes wrong.
fn send(
    session: &mut Session,
    sid: u64,
    kind: &str,
    payloads: &mut Payloads<'_>,
    strike: Strike,
    stats: &mut VenueStats,
    buffer: usize,
) {
    if session.zombie {
        return;
    }
    if strike.cut {
        session.cut();
        stats.cuts += 1;
        return;
    }
    if strike.zombie {
        session.zombie = true;
        stats.zombies += 1;
        return;
    }
    if strike.overflow || session.out.len() >= buffer {
        session.fail(sid, 25);
        stats.overflows += 1;
        return;
    }
    let Some(sub) = session.subs.get_mut(&sid) else { return };
    if strike.rewind {
        sub.seq = 0;
        stats.rewinds += 1;
    }
    let seq = sub.next_seq();
    let text = wire::frame(kind, None, Some(sid), Some(seq), Some(payloads.get(sub.yes_leg)));
    stats.corrupted += u64::from(strike.corrupt);
    if strike.garbage {
        session.push(format!(r#"{{"type":"{kind}","sid":{sid},"seq"#));
        stats.garbage += 1;
    }
    if strike.drop {
        stats.dropped += 1;
        return;
    }
    stats.delivered += 1;
    if strike.reorder && session.hold(sid, &text) {
        stats.reordered += 1;
        return;
    }
    if strike.duplicate {
        session.push(text.clone());
        stats.duplicated += 1;
    }
    session.push_for(sid, text);
}
