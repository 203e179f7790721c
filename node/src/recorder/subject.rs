//! The machine that is recorded with: one venue's, two of them as one, or several side by side; chosen at run time,
//! judged nowhere.

use ingest::redundancy::{LegStats, Redundant, RedundantConfig};
use ingest::together::Together;
use ingest::venue::VenueMachine;
use ingest::{Shelf, VenueOutput};
use schemas::{Digest, Machine, Raw, Record, Timestamp, Venue};

/// Any venue's machine.
pub struct VenueBox(pub Box<dyn VenueMachine + Send>);

impl Machine for VenueBox {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        self.0.apply(record, out);
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.0.wake_at()
    }

    fn digest(&self) -> Digest {
        self.0.digest()
    }
}

impl VenueMachine for VenueBox {
    fn venue(&self) -> Venue {
        self.0.venue()
    }

    fn shelf(&self) -> &Shelf {
        self.0.shelf()
    }
}

/// What is recorded.
pub enum Subject {
    /// One connection's machine.
    Single(VenueBox),
    /// Two of them, A and B.
    Pair(Box<Redundant<VenueBox>>),
    /// Books and price streams.
    Together(Box<Together<Subject>>),
}

impl Subject {
    /// Two machines as one.
    pub fn pair(legs: [VenueBox; 2]) -> Self {
        Self::Pair(Box::new(Redundant::new(RedundantConfig::default(), legs)))
    }

    /// Machines side by side; `None` without any.
    pub fn together(parts: Vec<Self>) -> Option<Self> {
        Together::new(parts).map(|together| Self::Together(Box::new(together)))
    }

    /// What A and B did, if there are two.
    pub fn legs(&self) -> Option<&[LegStats; 2]> {
        match self {
            Self::Single(_) => None,
            Self::Pair(pair) => Some(pair.stats()),
            Self::Together(together) => together.parts().iter().find_map(Self::legs),
        }
    }

    fn machine(&self) -> &dyn VenueMachine {
        match self {
            Self::Single(machine) => machine,
            Self::Pair(pair) => &**pair,
            Self::Together(together) => &**together,
        }
    }
}

impl Machine for Subject {
    type Input = Raw;
    type Output = VenueOutput;

    fn apply(&mut self, record: &Record<Raw>, out: &mut Vec<VenueOutput>) {
        match self {
            Self::Single(machine) => machine.apply(record, out),
            Self::Pair(pair) => pair.apply(record, out),
            Self::Together(together) => together.apply(record, out),
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.machine().wake_at()
    }

    fn digest(&self) -> Digest {
        self.machine().digest()
    }
}

impl VenueMachine for Subject {
    fn venue(&self) -> Venue {
        self.machine().venue()
    }

    fn shelf(&self) -> &Shelf {
        self.machine().shelf()
    }
}
