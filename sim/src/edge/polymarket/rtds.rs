//! RTDS v1 sockets of the twin, and the ticks of both versions on their way out; never decides a price.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Utf8Bytes, WebSocketUpgrade};
use axum::response::Response;
use tokio::time::Instant;

use super::hub::Hub;
use super::{Shared, socket};
use crate::venues::polymarket::index::IndexTick;
use crate::venues::polymarket::rtds::{self, Command, Topic, Wanted};
use crate::venues::polymarket::rtds2::{Channel, Envelope, Key};

/// What a real-time data connection has asked for.
#[derive(Default)]
pub(super) struct Session {
    pub(super) v1: Vec<Wanted>,
    pub(super) is_v2: bool,
    pub(super) authed: bool,
    pub(super) auths: u32,
    pub(super) last_op: Option<Instant>,
    pub(super) keys: BTreeSet<Key>,
    counts: BTreeMap<Channel, (u64, u64)>,
}

impl Session {
    /// The next envelope of a channel; it has said what was dropped before it.
    pub(super) fn envelope(&mut self, channel: Channel, ts: i64) -> Envelope {
        let (seq, dropped) = self.counts.entry(channel).or_default();
        *seq += 1;
        Envelope { channel, seq: *seq, dropped: std::mem::take(dropped), ts }
    }
}

/// `GET /rtds`.
pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    socket::accept(shared, ws, handle)
}

fn handle(shared: &Shared, id: u64, text: &str) {
    let mut hub = shared.hub();
    match rtds::parse(text) {
        Some(Command::Ping) => {
            hub.conns.send(id, Utf8Bytes::from_static(rtds::PONG));
        }
        Some(Command::Subscribe(wanted)) => hub.rtds_subscribe(id, wanted),
        Some(Command::Unsubscribe(wanted)) => {
            if let Some(conn) = hub.conns.get_mut(id) {
                conn.rtds.v1.retain(|have| !wanted.contains(have));
            }
        }
        None => {
            hub.conns.send(id, Utf8Bytes::from_static(rtds::ERROR));
        }
    }
}

impl Hub {
    fn rtds_subscribe(&mut self, id: u64, wanted: Vec<Wanted>) {
        for want in wanted {
            if !want.symbols.is_empty() {
                for (coin, name) in self.index.coins().iter().enumerate() {
                    if want.is_for(want.topic, name) {
                        let text =
                            rtds::history(want.topic, name, self.index.now_ms(), self.index.history(coin));
                        self.conns.aside(id, text.into());
                    }
                }
            }
            if let Some(conn) = self.conns.get_mut(id)
                && !conn.rtds.v1.contains(&want)
            {
                conn.rtds.v1.push(want);
            }
        }
    }

    /// One tick of one coin, in every form somebody asked for.
    pub(super) fn rtds_tick(&mut self) {
        let Some(tick) = self.index.step() else { return };
        let number = self.ticks;
        self.ticks += 1;
        let coin = self.index.coins()[tick.coin].clone();
        let corrupt = self.config.rtds.faults.corrupt.contains(&number);
        let v1: Vec<(Topic, Utf8Bytes)> =
            Topic::ALL.map(|topic| (topic, rtds::update(topic, &coin, &tick, corrupt).into())).into();
        for id in self.conns.ids() {
            let Some(conn) = self.conns.get(id) else { continue };
            let asked = |topic: Topic| conn.rtds.v1.iter().any(|want| want.is_for(topic, &coin));
            let texts: Vec<_> =
                v1.iter().filter(|(topic, _)| asked(*topic)).map(|(_, text)| text.clone()).collect();
            self.rtds_send(id, number, texts);
            self.rtds2_tick(id, number, &coin, &tick);
        }
    }

    fn rtds2_tick(&mut self, id: u64, number: u64, coin: &str, tick: &IndexTick) {
        let faults = &self.config.rtds.faults;
        let (corrupt, overflow, rewind) = (
            faults.corrupt.contains(&number),
            faults.overflow.contains(&number),
            faults.rewind.contains(&number),
        );
        let Some(conn) = self.conns.get_mut(id) else { return };
        let channels: BTreeSet<_> =
            conn.rtds.keys.iter().filter(|key| key.is_for(coin)).map(|key| key.channel).collect();
        let mut texts = Vec::new();
        for channel in channels {
            let counts = conn.rtds.counts.entry(channel).or_default();
            if overflow {
                counts.1 += 1;
                continue;
            }
            if rewind {
                counts.0 = 0;
            }
            texts.push(conn.rtds.envelope(channel, tick.published_ms).tick(coin, tick, corrupt).into());
        }
        self.rtds_send(id, number, texts);
    }

    /// Sends the frames of one tick to one connection, faults included.
    fn rtds_send(&mut self, id: u64, number: u64, texts: Vec<Utf8Bytes>) {
        let faults = &self.config.rtds.faults;
        let (drop, twice, hold) = (
            faults.drop.contains(&number) || faults.overflow.contains(&number),
            faults.duplicate.contains(&number),
            faults.reorder.contains(&number),
        );
        let (cut, garbage, zombie) =
            (faults.cut.contains(&number), faults.garbage.contains(&number), faults.zombie.contains(&number));
        if texts.is_empty() {
            return;
        }
        if zombie && let Some(conn) = self.conns.get_mut(id) {
            conn.zombie = true;
        }
        if garbage {
            self.conns.aside(id, Utf8Bytes::from_static(rtds::MALFORMED));
        }
        if cut {
            self.cut(id);
            return;
        }
        for text in texts {
            if hold {
                self.conns.hold(id, text);
            } else if !drop {
                self.conns.data(id, text, twice);
            }
        }
    }
}
