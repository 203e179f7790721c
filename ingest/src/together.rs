//! Several machines of one venue as one: books beside price streams, each over connections of its own; one archive, one
//! numbering of instruments, one stream of rows. It never judges what a part says, and the parts never hear each other.
//!
//! With `n` parts the number of a connection or request modulo `n` names the part, and the rest is the part's own
//! number. Parts must not name the same instrument. Limit: a part whose venue cuts its books to a depth without a word
//! (Kraken) must not be among several.

use schemas::{Digest, InstrumentNo, Machine, Raw, Record, TapeBody, TapeRow, Timestamp, Venue};

use crate::counts::Counts;
use crate::deed::{Deed, VenueOutput};
use crate::shelf::{Origin, Shelf};
use crate::venue::VenueMachine;

/// Machines of one venue as one.
#[derive(Clone, Debug)]
pub struct Together<M> {
    venue: Venue,
    parts: Vec<M>,
    /// The outgoing number of each part's instruments.
    outer: Vec<Vec<InstrumentNo>>,
    shelf: Shelf,
    /// Reused: what a part is told, and what it says.
    told: Record<Raw>,
    said: Vec<VenueOutput>,
}

impl<M: VenueMachine> Together<M> {
    /// Fresh machines as one of the first one's venue; `None` without any.
    pub fn new(parts: Vec<M>) -> Option<Self> {
        let venue = parts.first()?.venue();
        Some(Self {
            venue,
            outer: vec![Vec::new(); parts.len()],
            parts,
            shelf: Shelf::default(),
            told: Record { seq: 0, at: Timestamp::ZERO, body: Raw::TimeAdvanced { to: Timestamp::ZERO } },
            said: Vec::new(),
        })
    }

    /// The machines.
    pub fn parts(&self) -> &[M] {
        &self.parts
    }

    /// Lets a part read `self.told` and passes on what it says.
    fn run(&mut self, part: usize, out: &mut Vec<VenueOutput>) {
        let mut said = std::mem::take(&mut self.said);
        self.parts[part].apply(&self.told, &mut said);
        for output in said.drain(..) {
            match output {
                VenueOutput::Deed(deed) => {
                    out.push(VenueOutput::Deed(numbered(deed, part as u32, self.parts.len() as u32)));
                }
                VenueOutput::Row(row) => self.row(part, row, out),
            }
        }
        self.said = said;
    }

    fn row(&mut self, part: usize, row: TapeRow, out: &mut Vec<VenueOutput>) {
        let origin = Origin { raw_seq: row.raw_seq, venue_seq: row.venue_seq, times: row.times };
        let inner = row.instrument.0 as usize;
        let outer = &mut self.outer[part];
        match (row.body, outer.get(inner)) {
            (body, _) if row.instrument == InstrumentNo::NONE => {
                self.shelf.push(InstrumentNo::NONE, body, &origin, out);
            }
            (body, Some(no)) => self.shelf.follow(*no, body, &origin, out),
            // Every machine introduces its instruments in the order of their numbers.
            (TapeBody::Instrument(instrument), None) => {
                debug_assert_eq!(inner, outer.len(), "a part skipped a number");
                let native = instrument.native.clone();
                outer.push(self.shelf.intern(native.as_bytes(), &origin, out, || *instrument));
            }
            (_, None) => {}
        }
    }

    /// What the parts counted is what there is to count.
    fn count(&mut self) {
        let parts = self.parts.iter().map(|part| part.shelf().counts);
        self.shelf.counts = parts.fold(Counts::default(), Counts::plus);
    }
}

/// A part's deed under the numbers that name the part.
fn numbered(deed: Deed, part: u32, parts: u32) -> Deed {
    let outer = |no: u32| no * parts + part;
    match deed {
        Deed::Connect { conn, socket } => Deed::Connect { conn: outer(conn), socket },
        Deed::Send { conn, text } => Deed::Send { conn: outer(conn), text },
        Deed::Close { conn } => Deed::Close { conn: outer(conn) },
        Deed::Fetch { request, host, path, body } => {
            Deed::Fetch { request: outer(request), host, path, body }
        }
    }
}

/// Writes a record under the part's own numbers into `told`, reusing its memory; says which part, `None` for all.
fn address(record: &Record<Raw>, told: &mut Record<Raw>, parts: u32) -> Option<usize> {
    told.seq = record.seq;
    told.at = record.at;
    let outer = match &record.body {
        Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } => Some(*conn),
        Raw::Rest(reply) => Some(reply.request),
        Raw::TimeAdvanced { .. } => None,
    };
    let inner = outer.unwrap_or_default() / parts;
    if let (Raw::Frame { bytes, .. }, Raw::Frame { conn, bytes: old }) = (&record.body, &mut told.body) {
        *conn = inner;
        old.clone_from(bytes);
    } else {
        told.body = record.body.clone();
        match &mut told.body {
            Raw::Connected { conn } | Raw::Frame { conn, .. } | Raw::Closed { conn, .. } => *conn = inner,
            Raw::Rest(reply) => reply.request = inner,
            Raw::TimeAdvanced { .. } => {}
        }
    }
    outer.map(|outer| (outer % parts) as usize)
}

impl<M: VenueMachine> Machine for Together<M> {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        match address(record, &mut self.told, self.parts.len() as u32) {
            Some(part) => self.run(part, out),
            None => (0..self.parts.len()).for_each(|part| self.run(part, out)),
        }
        self.count();
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.parts.iter().filter_map(Machine::wake_at).min()
    }

    fn digest(&self) -> Digest {
        let mut all = vec![self.shelf.digest()];
        all.extend(self.parts.iter().map(Machine::digest));
        Digest::combine(&all)
    }
}

impl<M: VenueMachine> VenueMachine for Together<M> {
    fn venue(&self) -> Venue {
        self.venue
    }

    fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}
