//! The settings of the Polymarket twin; plain data with defaults.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::faults::RestFault;
use crate::venues::polymarket::Mix;
use crate::wire_faults::WireFaults;

/// How the books of one subscribe are packed; both occur at the venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SnapshotForm {
    /// The first subscribe of a twin gets arrays, the second single objects, and so on.
    #[default]
    Alternate,
    /// Arrays of at most [`super::BOOKS_PER_FRAME`] books.
    Array,
    /// A frame for each book.
    Single,
}

/// Where the `timestamp` of a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VenueTime {
    /// From this instant (Unix milliseconds), zero to three milliseconds a happening: repeatable.
    Virtual(i64),
    /// The machine's clock.
    Wall,
}

/// What a corrupted message gets wrong ([`WireFaults::corrupt`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corruption {
    /// `best_bid` is a tick off; a `book` gets a wrong hash.
    #[default]
    BestPrice,
    /// The hash is of something else.
    Hash,
}

/// The settings of the real-time data sockets.
#[derive(Clone, Debug, PartialEq)]
pub struct RtdsConfig {
    /// Coins, lower case, e.g. `btc`: RTDS v1 names them `btcusdt` and `btc/usd`, v2 `btcusd`.
    pub coins: Vec<String>,
    /// Ticks a second over all coins; `None` steps by hand.
    pub rate: Option<f64>,
    /// What goes wrong; numbers count the ticks of all coins from 0, in every form a tick is said.
    pub faults: WireFaults,
    /// API key of the CLOB account that v2 asks for.
    pub api_key: String,
    /// Its secret.
    pub secret: String,
    /// Its passphrase.
    pub passphrase: String,
    /// Most (channel, filter) pairs of a v2 connection.
    pub max_keys: usize,
    /// Largest v2 frame a client may send, bytes.
    pub max_frame: usize,
    /// Least time between two v2 ops (pings are free); a breach closes with 4008.
    pub min_op_gap: Duration,
    /// Most failed or repeated `auth` ops of a v2 connection.
    pub max_auths: u32,
}

impl Default for RtdsConfig {
    fn default() -> Self {
        Self {
            coins: vec!["btc".to_owned(), "eth".to_owned()],
            rate: None,
            faults: WireFaults::default(),
            api_key: "00000000-0000-4000-8000-000000000001".to_owned(),
            secret: "dHdpbi1zZWNyZXQ=".to_owned(),
            passphrase: "twin-passphrase".to_owned(),
            max_keys: 64,
            max_frame: 60_000,
            min_op_gap: Duration::from_millis(110),
            max_auths: 8,
        }
    }
}

/// The settings of a Polymarket twin.
#[derive(Clone, Debug, PartialEq)]
pub struct PolymarketTwinConfig {
    /// Where to listen; port 0 picks a free one.
    pub addr: SocketAddr,
    /// The seed of markets and happenings.
    pub seed: u64,
    /// Binary markets; each has two assets.
    pub markets: usize,
    /// Levels a side at the start.
    pub levels: usize,
    /// What happens how often.
    pub mix: Mix,
    /// Data messages a second; `None` steps by hand.
    pub rate: Option<f64>,
    /// What goes wrong on the market channel; [`WireFaults::overflow`] and [`WireFaults::rewind`] have no meaning there.
    pub faults: WireFaults,
    /// What a corrupted message gets wrong.
    pub corruption: Corruption,
    /// Connections with more assets than this get no `book` at all, only changes.
    pub snapshot_limit: usize,
    /// Data messages of the twin between a subscribe or a grid change and the `book` it leads to.
    pub book_delay: u64,
    /// How the books of a subscribe are packed.
    pub snapshots: SnapshotForm,
    /// So many of a market's last `price_change` frames are said again, old timestamps and all, after a subscribe.
    pub replay: usize,
    /// Every so many data messages prices are written without the leading zero; 0 is never.
    pub bare_every: u64,
    /// Levels with the best first, instead of the best last.
    pub best_first: bool,
    /// Where timestamps come from.
    pub time: VenueTime,
    /// Requests about a freshly listed market that the CLOB answers with 404.
    pub unlisted_requests: u32,
    /// REST requests that go wrong, by their number from 0 in order of arrival.
    pub rest: BTreeMap<u64, RestFault>,
    /// Every REST request after this many is answered with 429 until [`super::PolymarketHandle::refill`].
    pub rest_budget: Option<u64>,
    /// Frames that may wait for one connection; one more and it is cut.
    pub queue: usize,
    /// Connections at a time; one more and it is refused with 503.
    pub max_connections: usize,
    /// The real-time data sockets.
    pub rtds: RtdsConfig,
}

impl Default for PolymarketTwinConfig {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            markets: 10,
            levels: 8,
            mix: Mix::default(),
            rate: None,
            faults: WireFaults::default(),
            corruption: Corruption::default(),
            snapshot_limit: 500,
            book_delay: 0,
            snapshots: SnapshotForm::default(),
            replay: 0,
            bare_every: 0,
            best_first: false,
            time: VenueTime::Virtual(1_790_000_000_000),
            unlisted_requests: 3,
            rest: BTreeMap::new(),
            rest_budget: None,
            queue: 16_384,
            max_connections: 256,
            rtds: RtdsConfig::default(),
        }
    }
}
