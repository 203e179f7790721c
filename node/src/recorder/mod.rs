//! The recorder of one venue: what a socket brought is archived first, then the venue's machine reads it, then its rows
//! go to a consumer and its deeds back to the sockets. It never parses a frame itself.
//!
//! The clock's records are archived like frames, so an archive read again through a fresh machine of the same
//! [`Plan`] gives the same digest ([`replay`]).

pub mod kept;
pub mod meter;
pub mod mirror;
mod outlet;
pub mod plan;
pub mod replay;
pub mod run;
pub mod sink;
pub mod subject;

pub use meter::Meter;
pub use plan::Plan;
pub use run::{Outcome, RunLimits, record};
pub use sink::{ArchiveSink, MemorySink, RawSink};
pub use subject::{Subject, VenueBox};

use anyhow::Result;
use ingest::edge::Seen;
use ingest::{Deed, VenueOutput};
use schemas::{Machine as _, Raw, Record, TapeRow, Timestamp};

/// Archive, machine and measurements in lockstep; the sockets and the consumer are its caller's.
pub struct Recorder<S> {
    subject: Subject,
    sink: S,
    last_at: Timestamp,
    said: Vec<VenueOutput>,
    /// Measurements.
    pub meter: Meter,
}

impl<S: RawSink> Recorder<S> {
    /// A recorder that continues after what the sink holds.
    pub fn new(subject: Subject, sink: S) -> Self {
        let last_at = sink.last_at();
        Self { subject, sink, last_at, said: Vec::new(), meter: Meter::default() }
    }

    /// The venue's machine.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Archives one thing, then lets the machine read it. Errors: the archive refuses; nothing was read then.
    pub fn take(&mut self, seen: Seen, rows: &mut Vec<TapeRow>, deeds: &mut Vec<Deed>) -> Result<()> {
        let seq = self.sink.append(&seen)?;
        self.last_at = at_of(self.last_at, seen.wall, &seen.raw);
        let record = Record { seq, at: self.last_at, body: seen.raw };
        self.subject.apply(&record, &mut self.said);
        self.meter.saw(&record, &self.said);
        for output in self.said.drain(..) {
            match output {
                VenueOutput::Row(row) => rows.push(row),
                VenueOutput::Deed(deed) => deeds.push(deed),
            }
        }
        Ok(())
    }

    /// When the machine needs the clock.
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.subject.wake_at()
    }

    /// The sink, to sync it while nothing comes.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Ends the recording: the machine and its measurements, and the sink to be closed.
    pub fn into_parts(self) -> (Subject, Meter, S) {
        (self.subject, self.meter, self.sink)
    }
}

/// The time of a record: the receive time, never earlier than that of the one before, as archives are read.
pub fn at_of(last: Timestamp, wall: Timestamp, raw: &Raw) -> Timestamp {
    match raw {
        Raw::TimeAdvanced { to } => last.max(wall).max(*to),
        _ => last.max(wall),
    }
}
