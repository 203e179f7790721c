//! The market channel's commands: the first frame, operations, `PING`. Never answers a subscribe with anything but books.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::{Utf8Bytes, WebSocketUpgrade};
use axum::response::Response;
use serde::Deserialize;

use super::{Shared, socket};
use crate::venues::polymarket::wire;

/// A command: the first frame has a `type`, every later one an `operation`.
#[derive(Deserialize)]
struct Command {
    #[serde(rename = "type")]
    kind: Option<String>,
    operation: Option<String>,
    #[serde(default)]
    assets_ids: Vec<String>,
    #[serde(default)]
    custom_feature_enabled: bool,
}

/// `GET /ws/market`.
pub(super) async fn upgrade(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    socket::accept(shared, ws, handle)
}

fn handle(shared: &Shared, id: u64, text: &str) {
    let mut hub = shared.hub();
    if text.eq_ignore_ascii_case("PING") {
        hub.conns.send(id, Utf8Bytes::from_static(wire::PONG));
        return;
    }
    let command: Option<Command> = serde_json::from_str(text).ok();
    let word = |c: &Command| match (c.kind.as_deref(), c.operation.as_deref()) {
        (Some("market" | "MARKET"), None) | (None | Some(_), Some("subscribe")) => Some(true),
        (None | Some(_), Some("unsubscribe")) => Some(false),
        _ => None,
    };
    match command.as_ref().and_then(|c| word(c).map(|subscribe| (c, subscribe))) {
        Some((c, true)) => hub.subscribe(id, &c.assets_ids, c.custom_feature_enabled),
        Some((c, false)) => hub.unsubscribe(id, &c.assets_ids),
        None => {
            hub.conns.send(id, Utf8Bytes::from_static(wire::INVALID));
        }
    }
}
