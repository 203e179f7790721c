//! What the venue does with commands: subscriptions, acknowledgements, snapshots, refusals. Never changes a market.

use serde_json::json;

use super::command::{Action, Command, Kind, Refused, Scope, parse};
use super::session::{Channel, Subscription};
use super::venue::KalshiVenue;
use super::wire;

/// A snapshot that is due: connection, subscription, market, and the id of the command that asked for it alone.
type Due = (u64, u64, usize, Option<u64>);

impl KalshiVenue {
    /// Takes a text frame of a connection. With delayed acknowledgements an update or an unsubscribe waits for
    /// [`KalshiVenue::release_acks`].
    pub fn command(&mut self, conn: u64, text: &str, now_us: i64) {
        let Some(session) = self.sessions.get(&conn) else { return };
        if session.zombie {
            return;
        }
        self.stats.commands += 1;
        match parse(text) {
            Err(refused) => self.refuse(conn, refused),
            Ok(command) if self.config.delay_acks && !is_immediate(&command.kind) => {
                self.waiting.push((conn, command));
            }
            Ok(command) => {
                let due = self.act(conn, command, now_us);
                self.send_snapshots(&due);
            }
        }
    }

    /// Acts on the commands that wait, the youngest first, so that acknowledgements come out of order; then the
    /// snapshots of all of them.
    pub fn release_acks(&mut self, now_us: i64) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut due = Vec::new();
        for (conn, command) in waiting.into_iter().rev() {
            due.extend(self.act(conn, command, now_us));
        }
        self.send_snapshots(&due);
    }

    /// Whether commands wait for [`KalshiVenue::release_acks`].
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn act(&mut self, conn: u64, command: Command, now_us: i64) -> Vec<Due> {
        let id = command.id;
        match command.kind {
            Kind::Subscribe { .. } => self.subscribe(conn, &command, now_us),
            Kind::Unsubscribe(sids) => {
                for sid in sids {
                    self.unsubscribe(conn, id, sid);
                }
                Vec::new()
            }
            Kind::Update { sid, action, what, initial } => {
                self.update(conn, id, sid, action, &what, initial, now_us)
            }
            Kind::List => {
                self.list(conn, id);
                Vec::new()
            }
        }
    }

    fn places(&self, tickers: &[String]) -> Option<Vec<usize>> {
        tickers.iter().map(|t| self.world.place(t).filter(|at| !self.world.markets[*at].historical)).collect()
    }

    fn subscribe(&mut self, conn: u64, command: &Command, now_us: i64) -> Vec<Due> {
        let Kind::Subscribe { channels, what, initial, skip_ack, yes_leg } = &command.kind else {
            return Vec::new();
        };
        let refuse = |code| Refused { id: command.id, sid: None, code };
        let places = self.places(&what.tickers);
        let code = match &places {
            None => Some(11),
            Some(places) if places.len() > self.config.market_limit => Some(26),
            Some(places) if places.is_empty() && channels.contains(&Channel::Orderbook) => Some(14),
            Some(_) => None,
        };
        if let Some(code) = code {
            self.refuse(conn, refuse(code));
            return Vec::new();
        }
        let places = places.unwrap_or_default();
        let mut due = Vec::new();
        for &channel in channels {
            let sid = self.next_sid;
            self.next_sid += 1;
            let unfiltered = matches!(channel, Channel::Lifecycle | Channel::Multivariate);
            let sub = Subscription {
                channel,
                seq: 0,
                all: unfiltered || (places.is_empty() && channel != Channel::Index),
                markets: places.iter().copied().collect(),
                indices: what.indices.iter().cloned().collect(),
                skip_ack: *skip_ack,
                yes_leg: *yes_leg,
                held: None,
                leaving: std::collections::BTreeMap::new(),
            };
            let Some(session) = self.sessions.get_mut(&conn) else { return due };
            session.subs.insert(sid, sub);
            let msg = json!({"channel": channel.name(), "sid": sid}).to_string();
            session.push(wire::frame("subscribed", command.id, None, None, Some(&msg)));
            self.stats.subscribes += 1;
            match channel {
                Channel::Orderbook => due.extend(places.iter().map(|at| (conn, sid, *at, None))),
                Channel::Ticker if *initial => self.send_tickers(conn, sid, &places, now_us),
                _ => {}
            }
        }
        due
    }

    fn unsubscribe(&mut self, conn: u64, id: Option<u64>, sid: u64) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        session.release(sid);
        match session.subs.remove(&sid) {
            None => self.refuse(conn, Refused { id, sid: None, code: 7 }),
            Some(mut sub) => {
                let seq = sub.next_seq();
                session.push(wire::frame("unsubscribed", id, Some(sid), Some(seq), None));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    fn update(
        &mut self,
        conn: u64,
        id: Option<u64>,
        sid: u64,
        action: Action,
        what: &Scope,
        initial: bool,
        now_us: i64,
    ) -> Vec<Due> {
        let places = self.places(&what.tickers);
        let (limit, late) = (self.config.market_limit, self.config.late_messages);
        let known = self.sessions.get_mut(&conn).and_then(|session| session.subs.get_mut(&sid));
        let Some(sub) = known else {
            self.refuse(conn, Refused { id, sid: None, code: 7 });
            return Vec::new();
        };
        let for_indices = matches!(action, Action::AddIndices | Action::DeleteIndices | Action::IndexList);
        let code = match &places {
            _ if for_indices != (sub.channel == Channel::Index) => Some(13),
            None => Some(11),
            Some(places) if action == Action::AddMarkets => {
                let new = places.iter().filter(|at| !sub.markets.contains(at)).count();
                (sub.markets.len() + new > limit).then_some(26)
            }
            Some(_) if action == Action::GetSnapshot && sub.channel != Channel::Orderbook => Some(13),
            Some(_) => None,
        };
        if let Some(code) = code {
            self.refuse(conn, Refused { id, sid: Some(sid), code });
            return Vec::new();
        }
        let places = places.unwrap_or_default();
        let fresh: Vec<usize> = places.iter().copied().filter(|at| !sub.markets.contains(at)).collect();
        match action {
            Action::GetSnapshot => return places.iter().map(|at| (conn, sid, *at, id)).collect(),
            Action::AddMarkets => {
                sub.all = false;
                sub.markets.extend(&places);
                sub.leaving.retain(|at, _| !places.contains(at));
            }
            Action::DeleteMarkets => {
                for at in places {
                    if sub.markets.remove(&at) && late > 0 {
                        sub.leaving.insert(at, late);
                    }
                }
            }
            Action::AddIndices => sub.indices.extend(what.indices.iter().cloned()),
            Action::DeleteIndices => sub.indices.retain(|index| !what.indices.contains(index)),
            Action::IndexList => {}
        }
        let (channel, adds) = (sub.channel, action == Action::AddMarkets);
        self.acknowledge(conn, id, sid, action);
        if adds && channel == Channel::Ticker && initial {
            self.send_tickers(conn, sid, &fresh, now_us);
        }
        if !adds || channel != Channel::Orderbook {
            return Vec::new();
        }
        fresh.into_iter().map(|at| (conn, sid, at, None)).collect()
    }

    /// The `ok` of an update (or the index list): it has the next sequence number of its subscription.
    fn acknowledge(&mut self, conn: u64, id: Option<u64>, sid: u64, action: Action) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let Some(sub) = session.subs.get_mut(&sid) else { return };
        let seq = sub.next_seq();
        let (kind, msg) = match action {
            Action::IndexList => {
                let ids: Vec<&str> = self.indices.iter().map(|index| index.id.as_str()).collect();
                ("cfbenchmarks_value_indexlist", Some(json!({ "index_ids": ids }).to_string()))
            }
            Action::AddIndices | Action::DeleteIndices => {
                ("ok", Some(json!({"index_ids": sub.indices}).to_string()))
            }
            _ if sub.skip_ack => ("ok", None),
            _ => {
                let held = sub.markets.iter().map(|at| self.world.markets[*at].spec.ticker.as_str());
                ("ok", Some(wire::tickers(held.collect())))
            }
        };
        session.push_for(sid, wire::frame(kind, id, Some(sid), Some(seq), msg.as_deref()));
        self.stats.acks += 1;
    }

    fn list(&mut self, conn: u64, id: Option<u64>) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let subs = session.subs.iter().map(|(sid, sub)| json!({"channel": sub.channel.name(), "sid": sid}));
        let msg = subs.collect::<serde_json::Value>().to_string();
        session.push(wire::frame("ok", id, None, None, Some(&msg)));
    }

    /// An error frame; one that names a living subscription has that subscription's next sequence number.
    fn refuse(&mut self, conn: u64, refused: Refused) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        let (mut sid, mut code) = (refused.sid, refused.code);
        let mut seq = None;
        if let Some(named) = sid {
            seq = session.subs.get_mut(&named).map(Subscription::next_seq);
            if seq.is_none() {
                (sid, code) = (None, 7);
            }
        }
        let text = wire::frame("error", refused.id, sid, seq, Some(&wire::error(code)));
        session.push(text);
        if let Some(sid) = sid {
            session.release(sid);
        }
        self.stats.errors += 1;
    }

    fn send_snapshots(&mut self, due: &[Due]) {
        for &(conn, sid, at, id) in due {
            let Some(session) = self.sessions.get_mut(&conn) else { continue };
            let Some(sub) = session.subs.get_mut(&sid) else { continue };
            let (seq, msg) = (sub.next_seq(), wire::snapshot(&self.world.markets[at], sub.yes_leg));
            session.push_for(sid, wire::frame("orderbook_snapshot", id, Some(sid), Some(seq), Some(&msg)));
            self.stats.snapshots += 1;
        }
    }

    fn send_tickers(&mut self, conn: u64, sid: u64, places: &[usize], now_us: i64) {
        let Some(session) = self.sessions.get_mut(&conn) else { return };
        for &at in places {
            let msg = wire::ticker(&self.world.markets[at], now_us);
            session.push(wire::frame("ticker", None, Some(sid), None, Some(&msg)));
        }
    }
}

const fn is_immediate(kind: &Kind) -> bool {
    matches!(kind, Kind::Subscribe { .. } | Kind::List)
}
