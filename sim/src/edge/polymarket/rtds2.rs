//! RTDS v2 sockets of the twin: auth, ops, limits and close codes. Never lets a price out without a credential.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use tokio::time::Instant;

use super::hub::Hub;
use super::{Shared, socket};
use crate::venues::polymarket::rtds2::{CLOSE_AUTH, CLOSE_DRAIN, CLOSE_POLICY, Frame, Key, ack};

/// `GET /rtds2/ws`.
pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    socket::accept(shared, ws, |shared, id, text| shared.hub().rtds2_handle(id, text))
}

impl Hub {
    fn rtds2_handle(&mut self, id: u64, text: &str) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.rtds.is_v2 = true;
        }
        if text.len() > self.config.rtds.max_frame {
            return self.breach(id, "frame_too_large", None);
        }
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            return self.acknowledge(id, "error", Some("invalid_frame"), None, None);
        };
        let rid = frame.rid.as_deref();
        if frame.op == "ping" {
            return self.acknowledge(id, "pong", None, None, rid);
        }
        if self.is_hasty(id) {
            return self.breach(id, "rate_limited", rid);
        }
        match frame.op.as_str() {
            "auth" => self.authenticate(id, &frame),
            "subscribe" => self.rtds2_subscribe(id, &frame),
            "unsubscribe" => self.rtds2_unsubscribe(id, &frame),
            _ => self.acknowledge(id, "error", Some("unknown_op"), None, rid),
        }
    }

    fn acknowledge(
        &mut self,
        id: u64,
        op: &str,
        code: Option<&str>,
        channel: Option<&str>,
        rid: Option<&str>,
    ) {
        self.conns.send(id, ack(op, code, channel, rid).into());
    }

    /// A broken rule: says which, and closes.
    fn breach(&mut self, id: u64, code: &str, rid: Option<&str>) {
        self.acknowledge(id, "error", Some(code), None, rid);
        self.forget(id);
        self.conns.end(id, Some((CLOSE_POLICY, "policy violation")));
    }

    /// Whether an op comes too soon after the one before.
    fn is_hasty(&mut self, id: u64) -> bool {
        let gap = self.config.rtds.min_op_gap;
        let Some(conn) = self.conns.get_mut(id) else { return false };
        let now = Instant::now();
        let before = conn.rtds.last_op.replace(now);
        before.is_some_and(|before| now.duration_since(before) < gap)
    }

    fn authenticate(&mut self, id: u64, frame: &Frame) {
        let rid = frame.rid.as_deref();
        let (config, shown) = (&self.config.rtds, frame.credentials());
        let right = shown.is_some_and(|shown| {
            shown.api_key == config.api_key
                && shown.secret == config.secret
                && shown.passphrase == config.passphrase
        });
        let most = config.max_auths;
        let Some(conn) = self.conns.get_mut(id) else { return };
        conn.rtds.auths += 1;
        if conn.rtds.auths > most {
            return self.breach(id, "too_many_auths", rid);
        }
        conn.rtds.authed |= right;
        if right {
            return self.acknowledge(id, "authed", None, None, rid);
        }
        self.acknowledge(id, "error", Some("auth_failed"), None, rid);
        self.forget(id);
        self.conns.end(id, Some((CLOSE_AUTH, "authentication failed")));
    }

    fn rtds2_subscribe(&mut self, id: u64, frame: &Frame) {
        let rid = frame.rid.as_deref();
        let most = self.config.rtds.max_keys;
        for key in frame.keys() {
            let key = match key {
                Ok(key) => key,
                Err((channel, code)) => {
                    self.acknowledge(id, "error", Some(code), Some(&channel), rid);
                    continue;
                }
            };
            let channel = key.channel.word();
            let Some(conn) = self.conns.get_mut(id) else { return };
            if !conn.rtds.authed {
                self.acknowledge(id, "error", Some("auth_required"), Some(channel), rid);
                continue;
            }
            let new = !conn.rtds.keys.contains(&key);
            if new && conn.rtds.keys.len() >= most {
                return self.breach(id, "too_many_subscriptions", rid);
            }
            conn.rtds.keys.insert(key.clone());
            self.acknowledge(id, "subscribed", None, Some(channel), rid);
            if new {
                self.rtds2_snapshot(id, &key);
            }
        }
    }

    fn rtds2_snapshot(&mut self, id: u64, key: &Key) {
        let now_ms = self.index.now_ms();
        let coin = self.index.coins().iter().position(|coin| key.is_for(coin));
        let Some(conn) = self.conns.get_mut(id) else { return };
        let envelope = conn.rtds.envelope(key.channel, now_ms);
        let ticks = coin.into_iter().flat_map(|coin| self.index.history(coin));
        let text = envelope.snapshot(key, ticks);
        self.conns.aside(id, text.into());
    }

    fn rtds2_unsubscribe(&mut self, id: u64, frame: &Frame) {
        for key in frame.keys().into_iter().flatten() {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.rtds.keys.remove(&key);
            }
            self.acknowledge(id, "unsubscribed", None, Some(key.channel.word()), frame.rid.as_deref());
        }
    }

    /// Closes the connections of this version as a server does that drains.
    pub(super) fn drain_rtds2(&mut self) {
        for id in self.conns.filter(|conn| conn.rtds.is_v2) {
            self.forget(id);
            self.conns.end(id, Some((CLOSE_DRAIN, "draining")));
        }
    }
}
