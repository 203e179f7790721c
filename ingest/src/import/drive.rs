//! Plays recordings to a machine as an edge would, with the recording as the world: it keeps no clock of its own and
//! makes up neither a frame nor a time.
//!
//! | the machine asks for | it gets |
//! | --- | --- |
//! | a connection | it is open at once |
//! | a text to be sent | nothing: what came back is in the recording |
//! | a REST answer | the first unused recorded exchange that answers it, at its own time or when asked, whichever is later; if there is none, status 0: a machine has to live with that from a real host too |
//! | the clock | [`Raw::TimeAdvanced`], while the recording's time passes that instant |
//!
//! REST bodies nobody asked for are handed over at the end under numbers that were never used, so that the archive holds
//! everything the files held; a machine counts them as strays.

use std::collections::BTreeMap;

use schemas::{Raw, Record, RestReply, TapeRow, Timestamp};

use super::{Exchange, ImportError, Pool, Tape};
use crate::archive::Stamp;
use crate::deed::Deed;

/// Requests without a recorded answer that are answered at one instant; a machine that asks more often than that without
/// waiting gets no answer.
const MAX_UNANSWERED_AT_ONCE: u32 = 1_000;
/// Longest reconnect delay that is skipped over where a recording has no times, ns.
const MAX_SKIP_NS: i64 = 60_000_000_000;

/// Where records and rows go.
pub trait Sink {
    /// Keeps a record before the machine sees it, and numbers it.
    fn record(&mut self, stamp: Stamp, raw: &Raw) -> Result<u64, ImportError>;

    /// Takes a row and its bytes (length and wire form v1).
    fn row(&mut self, _row: &TapeRow, _bytes: &[u8]) -> Result<(), ImportError> {
        Ok(())
    }
}

/// What was played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverStats {
    /// Frames and REST bodies out of the files.
    pub frames: u64,
    /// Records written, wake-ups and connections included.
    pub records: u64,
    /// Connections the recordings show beyond the first.
    pub reconnects: u64,
    /// REST bodies that answered a request.
    pub answered: u64,
    /// REST bodies nobody asked for.
    pub unasked: u64,
    /// Requests without a recorded answer.
    pub unanswered: u64,
    /// Texts the machine would have sent.
    pub sends: u64,
}

/// The edge of a recording.
pub struct Driver<S> {
    tape: Tape,
    sink: S,
    pool: Pool,
    now: Timestamp,
    fresh: bool,
    /// Answers on their way: when, and the recorded time.
    replies: Vec<(Timestamp, Option<Timestamp>, RestReply)>,
    /// The open connection of each socket, and how many frames it brought.
    open: BTreeMap<u8, (u32, u64)>,
    deeds: Vec<Deed>,
    unanswered_now: u32,
    last_wake: Option<(Timestamp, Timestamp)>,
    stats: DriverStats,
}

impl<S: Sink> Driver<S> {
    /// An edge that answers from these exchanges.
    pub fn new(tape: Tape, pool: Pool, sink: S) -> Self {
        Self {
            tape,
            sink,
            pool,
            now: Timestamp::ZERO,
            fresh: true,
            replies: Vec::new(),
            open: BTreeMap::new(),
            deeds: Vec::new(),
            unanswered_now: 0,
            last_wake: None,
            stats: DriverStats::default(),
        }
    }

    /// The recording begins; `at` is its first time, 0 where it has none.
    pub fn start(&mut self, at: Timestamp) -> Result<(), ImportError> {
        self.feed(Stamp::default(), Raw::TimeAdvanced { to: at })?;
        self.settle()
    }

    /// A frame of the recording.
    pub fn frame(&mut self, at: Option<Timestamp>, socket: u8, bytes: Vec<u8>) -> Result<(), ImportError> {
        self.advance(at.unwrap_or(self.now))?;
        // No such socket was asked for: the frame goes where the others go; without any it is a stray.
        let socket =
            if self.open.contains_key(&socket) { Some(socket) } else { self.open.keys().next().copied() };
        let (conn, no) = match socket.and_then(|socket| self.open.get_mut(&socket)) {
            Some((conn, no)) => {
                *no += 1;
                (*conn, *no)
            }
            None => (0, 0),
        };
        self.stats.frames += 1;
        let wall = at.unwrap_or_default();
        self.feed(Stamp { no, wall, mono_ns: 0 }, Raw::Frame { conn, bytes })?;
        self.settle()
    }

    /// The recording shows a new connection: the old ones end, and the machine opens others.
    pub fn reconnect(&mut self, at: Option<Timestamp>) -> Result<(), ImportError> {
        self.advance(at.unwrap_or(self.now))?;
        self.stats.reconnects += 1;
        for (conn, _) in std::mem::take(&mut self.open).into_values() {
            let reason = "the recording shows a new connection".to_owned();
            self.feed(Stamp::default(), Raw::Closed { conn, reason })?;
            self.settle()?;
        }
        // Backoff is for venues, not for files; where there is no time it is skipped over.
        for _ in 0..8 {
            let wake = self.tape.machine().wake_at().unwrap_or(Timestamp::MAX);
            let soon = wake.since(self.now) <= if at.is_none() { MAX_SKIP_NS } else { 0 };
            if !self.open.is_empty() || !soon {
                break;
            }
            self.wake(wake)?;
            self.settle()?;
        }
        Ok(())
    }

    /// The recording is over: what is on its way arrives, and what nobody asked for is kept.
    pub fn finish(mut self) -> Result<(DriverStats, Tape, S), ImportError> {
        while let Some(at) = self.replies.iter().map(|(at, _, _)| *at).min() {
            self.advance(at)?;
        }
        for (at, exchange) in self.pool.rest().into_iter().enumerate() {
            let Exchange { at: wall, status, body, .. } = exchange;
            self.stats.unasked += 1;
            self.stats.frames += 1;
            let request = u32::MAX - at as u32;
            let stamp = Stamp { wall: wall.unwrap_or_default(), ..Stamp::default() };
            self.feed(stamp, Raw::Rest(RestReply { request, status, bytes: body }))?;
            self.settle()?;
        }
        Ok((self.stats, self.tape, self.sink))
    }

    /// What the machine counted, and what was played so far.
    pub fn stats(&self) -> &DriverStats {
        &self.stats
    }

    /// Lets time pass to `to`: wake-ups and answers that are due before it come first, in order.
    fn advance(&mut self, to: Timestamp) -> Result<(), ImportError> {
        loop {
            let wake = self.tape.machine().wake_at().unwrap_or(Timestamp::MAX).max(self.now);
            let wake = if self.last_wake == Some((self.now, wake)) { Timestamp::MAX } else { wake };
            let reply = self.replies.iter().map(|(at, _, _)| *at).min().unwrap_or(Timestamp::MAX);
            let due = wake.min(reply);
            if due > to || due == Timestamp::MAX {
                return Ok(());
            }
            if reply <= wake {
                self.answer(reply)?;
            } else {
                self.wake(wake)?;
            }
            self.settle()?;
        }
    }

    fn wake(&mut self, wake: Timestamp) -> Result<(), ImportError> {
        let to = wake.max(self.now);
        self.feed(Stamp::default(), Raw::TimeAdvanced { to })?;
        let next = self.tape.machine().wake_at().unwrap_or(Timestamp::MAX).max(self.now);
        // A machine that wants to be woken at this very instant again has had its turn.
        self.last_wake = Some((self.now, next)).filter(|_| next <= self.now);
        Ok(())
    }

    /// Hands over the answers that are due at this instant.
    fn answer(&mut self, at: Timestamp) -> Result<(), ImportError> {
        let Some(place) = self.replies.iter().position(|(due, _, _)| *due == at) else { return Ok(()) };
        let (_, wall, reply) = self.replies.remove(place);
        if reply.status != 0 {
            self.stats.answered += 1;
            self.stats.frames += 1;
        }
        let stamp = Stamp { wall: wall.unwrap_or_default(), ..Stamp::default() };
        self.feed(stamp, Raw::Rest(reply))
    }

    /// Keeps a record, then gives it to the machine.
    fn feed(&mut self, stamp: Stamp, body: Raw) -> Result<(), ImportError> {
        let mut now = self.now.max(stamp.wall);
        if let Raw::TimeAdvanced { to } = body {
            now = now.max(to);
        }
        if now > self.now {
            self.unanswered_now = 0;
        }
        self.now = now;
        let seq = self.sink.record(stamp, &body)?;
        self.stats.records += 1;
        let record = Record { seq, at: now, body };
        let fresh = std::mem::replace(&mut self.fresh, false);
        let sink = &mut self.sink;
        self.tape.apply(&record, fresh, &mut self.deeds, &mut |row, bytes| sink.row(row, bytes))
    }

    /// Does deeds until there are none and nothing is due at this instant.
    fn settle(&mut self) -> Result<(), ImportError> {
        loop {
            for deed in std::mem::take(&mut self.deeds) {
                self.deed(deed)?;
            }
            let due = self.replies.iter().map(|(at, _, _)| *at).min().filter(|at| *at <= self.now);
            match due {
                Some(at) => self.answer(at)?,
                None if self.deeds.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    fn deed(&mut self, deed: Deed) -> Result<(), ImportError> {
        match deed {
            Deed::Connect { conn, socket } => {
                self.open.insert(socket, (conn, 0));
                self.feed(Stamp::default(), Raw::Connected { conn })
            }
            Deed::Close { conn } => {
                self.open.retain(|_, (open, _)| *open != conn);
                Ok(())
            }
            Deed::Send { .. } => {
                self.stats.sends += 1;
                Ok(())
            }
            Deed::Fetch { request, path, body, .. } => {
                self.fetch(request, &path, body.is_some());
                Ok(())
            }
        }
    }

    fn fetch(&mut self, request: u32, path: &str, post: bool) {
        if let Some(Exchange { at, status, body, .. }) = self.pool.take(path, post) {
            let due = at.unwrap_or(self.now).max(self.now);
            self.replies.push((due, at, RestReply { request, status, bytes: body }));
            return;
        }
        self.stats.unanswered += 1;
        self.unanswered_now += 1;
        if self.unanswered_now <= MAX_UNANSWERED_AT_ONCE {
            let bytes = b"the recording has no answer".to_vec();
            self.replies.push((self.now, None, RestReply { request, status: 0, bytes }));
        }
    }
}
