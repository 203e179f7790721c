//! Feeds a machine the way an importer does: the clock, the socket, and answers to its own requests.

use ingest::venue::VenueMachine;
use ingest::{Deed, VenueOutput};
use schemas::{Raw, Record, RestReply, TapeBody, TapeRow, Timestamp};

use crate::Line;

pub(crate) struct Driver<M> {
    pub(crate) machine: M,
    pub(crate) now: Timestamp,
    pub(crate) rows: Vec<TapeRow>,
    pub(crate) sent: Vec<String>,
    /// Requests that wait for their answer: number, path.
    pub(crate) asked: Vec<(u32, String)>,
    /// The newest connection.
    pub(crate) conn: u32,
    /// Whether connections open.
    pub(crate) opens: bool,
    pub(crate) closes: u32,
    seq: u64,
}

impl<M: VenueMachine> Driver<M> {
    pub(crate) fn new(machine: M, now: Timestamp) -> Self {
        Self {
            machine,
            now,
            rows: Vec::new(),
            sent: Vec::new(),
            asked: Vec::new(),
            conn: 0,
            opens: true,
            closes: 0,
            seq: 0,
        }
    }

    /// The first look at the clock: the machine connects.
    pub(crate) fn start(&mut self) {
        self.advance(self.now);
    }

    pub(crate) fn apply(&mut self, body: Raw) {
        self.seq += 1;
        let mut out = Vec::new();
        self.machine.apply(&Record { seq: self.seq, at: self.now, body }, &mut out);
        assert!(self.machine.wake_at().unwrap() > self.now, "asks again for what it was just given");
        for said in out {
            match said {
                VenueOutput::Row(row) => self.rows.push(row),
                VenueOutput::Deed(Deed::Connect { conn, .. }) => {
                    assert!(conn > self.conn, "a connection number is used twice");
                    self.conn = conn;
                    if self.opens {
                        self.apply(Raw::Connected { conn });
                    }
                }
                VenueOutput::Deed(Deed::Send { text, .. }) => self.sent.push(text),
                VenueOutput::Deed(Deed::Close { .. }) => self.closes += 1,
                VenueOutput::Deed(Deed::Fetch { request, path, .. }) => self.asked.push((request, path)),
            }
        }
    }

    /// The clock goes on to an instant; the machine is woken whenever it asked to be.
    pub(crate) fn advance(&mut self, to: Timestamp) {
        while let Some(wake) = self.machine.wake_at().filter(|wake| *wake <= to) {
            self.now = self.now.max(wake);
            self.apply(Raw::TimeAdvanced { to: self.now });
        }
        self.now = self.now.max(to);
    }

    pub(crate) fn frame(&mut self, bytes: &[u8]) {
        self.apply(Raw::Frame { conn: self.conn, bytes: bytes.to_vec() });
    }

    pub(crate) fn reply(&mut self, request: u32, status: u16, bytes: &[u8]) {
        self.apply(Raw::Rest(RestReply { request, status, bytes: bytes.to_vec() }));
    }

    /// Answers every request whose body is there and due. Bodies wait for a request that names their symbol.
    pub(crate) fn answer(&mut self, bodies: &[Line]) {
        let symbol = |text: &str| text.split_once("symbol=").map(|(_, rest)| rest.to_owned());
        let due = |path: &str| {
            let want = symbol(path);
            bodies
                .iter()
                .find(|line| line.at <= self.now && symbol(line.url.as_deref().unwrap_or("")) == want)
        };
        let ready: Vec<_> = self
            .asked
            .iter()
            .filter_map(|(request, path)| due(path).map(|line| (*request, line.body.clone())))
            .collect();
        for (request, body) in ready {
            self.asked.retain(|(asked, _)| *asked != request);
            self.reply(request, 200, &body);
        }
    }

    /// A whole recording: every frame at its receive time, every body at its own or when it is asked for.
    pub(crate) fn replay(&mut self, frames: &[Line], bodies: &[Line]) {
        for line in frames.iter().filter(|line| line.url.is_none()) {
            for body in bodies {
                if body.at > self.now && body.at <= line.at {
                    self.advance(body.at);
                    self.answer(bodies);
                }
            }
            self.advance(line.at);
            self.answer(bodies);
            self.frame(&line.body);
            self.answer(bodies);
        }
    }

    pub(crate) fn count(&self, wanted: impl Fn(&TapeBody) -> bool) -> usize {
        self.rows.iter().filter(|row| wanted(&row.body)).count()
    }
}
