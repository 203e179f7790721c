//! The one step that live and replay share: apply an entry, queue what the machines say; never a log or a clock.

use std::collections::VecDeque;

use schemas::{Digest, Entry, Record, Stream, Timestamp};

use crate::error::BusError;

/// What machines want after one entry: records to append, and deeds for an edge to do once they are durable.
#[derive(Debug)]
pub struct Outbox<D> {
    /// Records in order, as stream and body in wire form v1.
    pub records: Vec<(Stream, Vec<u8>)>,
    /// Deeds in order.
    pub deeds: Vec<D>,
}

impl<D> Default for Outbox<D> {
    fn default() -> Self {
        Self { records: Vec::new(), deeds: Vec::new() }
    }
}

/// The machines of a process and the streams between them.
pub trait Wiring {
    /// What an edge is asked to do.
    type Deed;

    /// Gives `entry` to every machine that reads its stream and pushes what they say.
    ///
    /// The body is decoded **before** any machine sees it: [`BusError::Body`] promises that nothing changed, and
    /// the driver then refuses the submission and goes on. After any other error the driver stops for good.
    fn apply(&mut self, entry: &Entry, out: &mut Outbox<Self::Deed>) -> Result<(), BusError>;

    /// The earliest wake of all machines and the stream whose `TimeAdvanced` serves it.
    fn wake(&self) -> Option<(Timestamp, Stream)>;

    /// The body of a `TimeAdvanced` record on `stream`.
    fn time_advanced(stream: Stream, to: Timestamp) -> Vec<u8>;

    /// Equal history, equal digest.
    fn digest(&self) -> Digest;

    /// The named states of all machines.
    fn save(&self) -> Vec<(String, Vec<u8>)>;

    /// Takes states that [`Wiring::save`] gave; on an error the driver loads the states from before again.
    fn load(&mut self, states: &[(String, Vec<u8>)]) -> Result<(), BusError>;

    /// Whether `entry` may come from outside. What may not is refused by `submit`, and in a replay it is a
    /// divergence wherever the machines do not say it themselves.
    fn external(entry: &Entry) -> bool {
        !matches!(entry.stream, Stream::Market | Stream::Verdicts)
    }
}

/// A wiring without machines: a driver with it is a plain sequencer.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMachines;

impl Wiring for NoMachines {
    type Deed = ();

    fn apply(&mut self, _: &Entry, _: &mut Outbox<()>) -> Result<(), BusError> {
        Ok(())
    }

    fn wake(&self) -> Option<(Timestamp, Stream)> {
        None
    }

    fn time_advanced(_: Stream, _: Timestamp) -> Vec<u8> {
        Vec::new()
    }

    fn digest(&self) -> Digest {
        Digest::default()
    }

    fn save(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn load(&mut self, _: &[(String, Vec<u8>)]) -> Result<(), BusError> {
        Ok(())
    }

    fn external(_: &Entry) -> bool {
        true
    }
}

/// Where derived entries go: live keeps them, replay compares them with the log.
pub(crate) trait Sink {
    /// Sees a derived entry before it is applied; `false` stops before it (the log has no more).
    fn admit(&mut self, made: &Entry) -> Result<bool, BusError>;
    /// Takes it after it was applied.
    fn keep(&mut self, entry: Entry);
}

/// How a cascade ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nobody has anything left to say.
    Quiet,
    /// The sink stopped it; what is left to say stays queued.
    Open,
}

/// What machines have said and nobody has applied yet.
pub(crate) struct Cascade<D> {
    pending: VecDeque<(Stream, Vec<u8>)>,
    outbox: Outbox<D>,
}

impl<D> Default for Cascade<D> {
    fn default() -> Self {
        Self { pending: VecDeque::new(), outbox: Outbox::default() }
    }
}

impl<D> Cascade<D> {
    /// The deeds of everything applied since they were last taken.
    pub(crate) fn deeds(&mut self) -> &mut Vec<D> {
        &mut self.outbox.deeds
    }

    /// How many derived records wait.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// **The step**: the only place where an entry meets the machines.
    pub(crate) fn step<W: Wiring<Deed = D>>(
        &mut self,
        wiring: &mut W,
        entry: &Entry,
    ) -> Result<(), BusError> {
        let deeds = self.outbox.deeds.len();
        let result = wiring.apply(entry, &mut self.outbox);
        if result.is_ok() {
            self.pending.extend(self.outbox.records.drain(..));
        } else {
            self.outbox.records.clear();
            self.outbox.deeds.truncate(deeds);
        }
        result
    }

    /// Stamps, admits and steps what is pending, first in first out, until nobody has anything left to say.
    /// `cause` is the entry before the first derived one; derived entries carry its time.
    pub(crate) fn settle<W: Wiring<Deed = D>>(
        &mut self,
        wiring: &mut W,
        cause: (u64, Timestamp),
        limit: usize,
        sink: &mut dyn Sink,
    ) -> Result<Settled, BusError> {
        let (first, at) = cause;
        let mut seq = first;
        while let Some((stream, body)) = self.pending.pop_front() {
            if (seq - first) as usize >= limit {
                return Err(BusError::CascadeTooLong { seq: first, limit });
            }
            let entry = Entry { stream, record: Record { seq: seq + 1, at, body } };
            if !sink.admit(&entry)? {
                self.pending.push_front((stream, entry.record.body));
                return Ok(Settled::Open);
            }
            self.step(wiring, &entry)?;
            sink.keep(entry);
            seq += 1;
        }
        Ok(Settled::Quiet)
    }
}
