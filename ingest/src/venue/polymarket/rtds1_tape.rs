//! RTDS v1 as rows of the tape: Binance, Chainlink, their averages and equities, each value with its own time and the
//! relay's; it never asks for anything but prices.
//!
//! Sources: docs.polymarket.com (real-time data service), the recorded frames in `shared/data/polymarket`. The values
//! of Chainlink topics settle markets: their `full_accuracy_value` must be there. The list that answers a subscription
//! (`type: "subscribe"`) holds rounded values and no time of sending; where both tell the same instant the first one
//! said stands.

use std::borrow::Cow;

use schemas::time::NANOS_PER_SEC;
use schemas::{Digest, GapReason, Machine, Raw, Record, Timestamp, Venue};

use super::index::{Board, Exactness, Payload, Said, millis, put};
use super::market_wire::WireError;
use crate::deed::{Deed, SOCKET_RTDS, VenueOutput};
use crate::link::{Link, LinkConfig};
use crate::scan::Scan;
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// A price topic and how its values are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Topic {
    name: &'static str,
    exactness: Exactness,
    window_s: u32,
}

const TOPICS: [Topic; 5] = [
    Topic { name: "crypto_prices", exactness: Exactness::Rounded, window_s: 0 },
    Topic { name: "crypto_prices_chainlink", exactness: Exactness::Atoms, window_s: 0 },
    Topic { name: "crypto_prices_twap_thirty", exactness: Exactness::Atoms, window_s: 30 },
    Topic { name: "crypto_prices_twap_sixty", exactness: Exactness::Atoms, window_s: 60 },
    Topic { name: "equity_prices", exactness: Exactness::Rounded, window_s: 0 },
];

/// Settings of [`RtdsV1`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtdsV1Config {
    /// Topics and symbols, e.g. `crypto_prices_chainlink` and `btc/usd`.
    pub streams: Vec<(String, String)>,
    /// The connection.
    pub link: LinkConfig,
    /// Reads a recording: says every stream it shows and depends on no clock.
    pub capture: bool,
}

impl RtdsV1Config {
    /// For these streams, live: `PING` every 5 s, a new connection after 30 s without values.
    pub fn new(streams: impl IntoIterator<Item = (String, String)>) -> Self {
        let link = LinkConfig {
            socket: SOCKET_RTDS,
            ping: Some(("PING".to_owned(), 5 * NANOS_PER_SEC)),
            idle_ns: 15 * NANOS_PER_SEC,
            zombie_ns: 30 * NANOS_PER_SEC,
            ..LinkConfig::default()
        };
        Self { streams: streams.into_iter().collect(), link, capture: false }
    }

    /// For recordings.
    pub fn capture() -> Self {
        let link = LinkConfig { socket: SOCKET_RTDS, ..super::PolymarketConfig::capture().link };
        Self { streams: Vec::new(), link, capture: true }
    }
}

/// RTDS v1.
#[derive(Clone, Debug)]
pub struct RtdsV1 {
    config: RtdsV1Config,
    board: Board,
    link: Link,
    next_conn: u32,
    now: Timestamp,
}

struct Frame<'a> {
    topic: Cow<'a, str>,
    kind: Cow<'a, str>,
    published: Option<i64>,
    payload: Option<Payload<'a>>,
}

fn read(bytes: &[u8]) -> Result<Frame<'_>, WireError> {
    let (mut topic, mut kind, mut published, mut raw) = (None, None, None, None);
    let mut scan = Scan::new(bytes);
    scan.object()?;
    while let Some(key) = scan.key()? {
        match key {
            b"topic" => put(&mut topic, scan.text()?, "topic")?,
            b"type" => put(&mut kind, scan.text()?, "type")?,
            b"timestamp" => put(&mut published, millis(&mut scan, "timestamp")?, "timestamp")?,
            b"payload" => put(&mut raw, scan.raw()?, "payload")?,
            _ => scan.skip()?,
        }
    }
    scan.end()?;
    let topic = topic.ok_or(WireError::Missing("topic"))?;
    let kind = kind.ok_or(WireError::Missing("type"))?;
    // Payloads of other topics have other forms.
    let ours = TOPICS.iter().any(|known| known.name == topic);
    let payload = raw.filter(|_| ours).map(|raw| Payload::read(&mut Scan::new(raw))).transpose()?;
    Ok(Frame { topic, kind, published, payload })
}

impl RtdsV1 {
    /// A machine that has seen nothing; the first record makes it connect.
    pub fn new(config: RtdsV1Config) -> Self {
        let link = Link::new(config.link.clone());
        Self { config, board: Board::default(), link, next_conn: 0, now: Timestamp::ZERO }
    }

    fn subscribe(&self, conn: u32, out: &mut Vec<VenueOutput>) {
        if self.config.streams.is_empty() {
            return;
        }
        let list = self.config.streams.iter().map(|(topic, symbol)| {
            let filters = serde_json::json!({ "symbol": symbol }).to_string();
            serde_json::json!({ "topic": topic, "type": "*", "filters": filters })
        });
        let list: Vec<serde_json::Value> = list.collect();
        let text = serde_json::json!({ "action": "subscribe", "subscriptions": list }).to_string();
        out.push(VenueOutput::Deed(Deed::Send { conn, text }));
    }

    fn on_frame(&mut self, bytes: &[u8], origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.board.shelf.counts.frames += 1;
        let text = bytes.trim_ascii();
        if text.is_empty() || text.eq_ignore_ascii_case(b"pong") {
            return self.link.heard(self.now);
        }
        self.link.heard(self.now);
        if read(text).and_then(|frame| self.say(&frame, origin, out)).is_err() {
            self.board.shelf.counts.quarantined += 1;
        }
    }

    fn say(
        &mut self,
        frame: &Frame<'_>,
        origin: &Origin,
        out: &mut Vec<VenueOutput>,
    ) -> Result<(), WireError> {
        let Some(topic) = TOPICS.iter().find(|topic| topic.name == frame.topic) else {
            self.board.shelf.counts.foreign += 1;
            return Ok(());
        };
        let payload = frame.payload.as_ref().ok_or(WireError::Missing("payload"))?;
        let symbol = payload.symbol()?;
        let wanted = |(name, of): &(String, String)| name == topic.name && of == symbol;
        if !self.config.capture && !self.config.streams.iter().any(wanted) {
            self.board.shelf.counts.foreign += 1;
            return Ok(());
        }
        let (points, history) = match frame.kind.as_ref() {
            "update" => {
                if topic.window_s > 0 && payload.window != Some(i64::from(topic.window_s)) {
                    return Err(WireError::Bad("window_s"));
                }
                (vec![payload.point(topic.exactness)?], false)
            }
            "subscribe" => (payload.points(Exactness::Rounded)?, true),
            _ => return Err(WireError::UnknownType),
        };
        // The time of sending belongs to the value that is sent, not to what went before.
        let published = frame.published.filter(|_| !history).map(Timestamp::from_millis);
        self.link.data(self.now);
        for point in points {
            let (stream, window_s, carried) = (topic.name, topic.window_s, payload.carried);
            let said = Said { stream, symbol, point, window_s, carried, published, history };
            self.board.say(&said, 0, origin, out);
        }
        Ok(())
    }

    fn disconnected(&mut self, origin: &Origin, out: &mut Vec<VenueOutput>) {
        self.board.shelf.counts.disconnects += 1;
        self.board.lose(|_| true, GapReason::Disconnected, origin, out);
    }
}

impl Machine for RtdsV1 {
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
            Raw::Frame { conn, bytes } if self.link.owns(*conn) => self.on_frame(bytes, &origin, out),
            Raw::Connected { conn } if self.link.opened(*conn, self.now) => self.subscribe(*conn, out),
            Raw::Closed { conn, .. } if self.link.closed(*conn, self.now) => self.disconnected(&origin, out),
            Raw::TimeAdvanced { .. } => {}
            _ => self.board.shelf.counts.stray += 1,
        }
        let wake = self.link.wake_at();
        // A recording's clock may stand still: the next connection opens at once.
        let now = if self.config.capture && wake < Timestamp::MAX { self.now.max(wake) } else { self.now };
        if self.link.run(now, &mut self.next_conn, out).is_some() {
            self.disconnected(&origin, out);
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        Some(self.link.wake_at()).filter(|at| *at < Timestamp::MAX)
    }

    fn digest(&self) -> Digest {
        self.board.digest()
    }
}

impl VenueMachine for RtdsV1 {
    fn venue(&self) -> Venue {
        Venue::Polymarket
    }

    fn shelf(&self) -> &Shelf {
        &self.board.shelf
    }
}
