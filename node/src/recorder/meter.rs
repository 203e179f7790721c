//! What a recording measures of itself: messages, bytes, latency per connection; it never changes what is recorded.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use ingest::VenueOutput;
use schemas::{Raw, Record};
use serde::Serialize;

/// Connections whose figures are kept; the oldest go first.
const MAX_CONNS: usize = 256;
/// Longest latency that is told apart, microseconds.
const MAX_LATENCY_US: u64 = 600_000_000;

/// Figures of one connection.
#[derive(Clone, Debug)]
struct Conn {
    frames: u64,
    bytes: u64,
    /// Receive minus venue time, microseconds, of the first row of each frame that has a venue time.
    latency: Histogram<u64>,
    /// Frames that came before the venue's own time: the clocks differ.
    ahead: u64,
    closed: Option<String>,
}

impl Default for Conn {
    fn default() -> Self {
        let latency =
            Histogram::new_with_bounds(1, MAX_LATENCY_US, 2).expect("the bounds are constants in range");
        Self { frames: 0, bytes: 0, latency, ahead: 0, closed: None }
    }
}

/// Figures of a recording.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Everything archived, clock and answers included.
    pub records: u64,
    /// WebSocket frames.
    pub frames: u64,
    /// REST answers.
    pub answers: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Rows the machine said.
    pub rows: u64,
    conns: BTreeMap<u32, Conn>,
}

/// One connection's line in the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnSummary {
    /// Number of the connection; with two legs the lowest bit names the leg.
    pub conn: u32,
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
    /// Frames whose latency was measured.
    pub measured: u64,
    /// Median of receive minus venue time, microseconds.
    pub p50_us: u64,
    /// 99th percentile of it.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Frames that came before the venue's own time.
    pub ahead: u64,
    /// Why it ended, if it did.
    pub closed: Option<String>,
}

impl Meter {
    /// A record and what the machine said to it.
    pub fn saw(&mut self, record: &Record<Raw>, said: &[VenueOutput]) {
        self.records += 1;
        self.rows += said.iter().filter(|output| matches!(output, VenueOutput::Row(_))).count() as u64;
        match &record.body {
            Raw::Frame { conn, bytes } => {
                self.frames += 1;
                self.bytes += bytes.len() as u64;
                let conn = self.conn(*conn);
                conn.frames += 1;
                conn.bytes += bytes.len() as u64;
                conn.measure(said);
            }
            Raw::Rest(reply) => {
                self.answers += 1;
                self.bytes += reply.bytes.len() as u64;
            }
            Raw::Connected { conn } => {
                self.conn(*conn);
            }
            Raw::Closed { conn, reason } => self.conn(*conn).closed = Some(reason.clone()),
            Raw::TimeAdvanced { .. } => {}
        }
    }

    fn conn(&mut self, no: u32) -> &mut Conn {
        if !self.conns.contains_key(&no) && self.conns.len() >= MAX_CONNS {
            self.conns.pop_first();
        }
        self.conns.entry(no).or_default()
    }

    /// The connections' figures.
    pub fn connections(&self) -> Vec<ConnSummary> {
        let line = |(no, conn): (&u32, &Conn)| ConnSummary {
            conn: *no,
            frames: conn.frames,
            bytes: conn.bytes,
            measured: conn.latency.len(),
            p50_us: conn.latency.value_at_quantile(0.5),
            p99_us: conn.latency.value_at_quantile(0.99),
            max_us: conn.latency.max(),
            ahead: conn.ahead,
            closed: conn.closed.clone(),
        };
        self.conns.iter().map(line).collect()
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.conns.values().filter(|conn| conn.closed.is_none()).count()
    }

    /// Median and 99th percentile of the latency over all connections, microseconds.
    pub fn latency_us(&self) -> (u64, u64) {
        let mut all = Conn::default().latency;
        for conn in self.conns.values() {
            all.add(&conn.latency).expect("all histograms have the same bounds");
        }
        (all.value_at_quantile(0.5), all.value_at_quantile(0.99))
    }
}

impl Conn {
    fn measure(&mut self, said: &[VenueOutput]) {
        let times = said.iter().find_map(|output| match output {
            VenueOutput::Row(row) => row.times.venue_at.map(|at| (at, row.times.recv_at)),
            VenueOutput::Deed(_) => None,
        });
        let Some((venue_at, recv_at)) = times else { return };
        let Ok(nanos) = u64::try_from(recv_at.since(venue_at)) else {
            self.ahead += 1;
            return;
        };
        self.latency.saturating_record((nanos / 1_000).max(1));
    }
}
