//! Which machine reads which recording; it is noted in the archive, so that a replay takes the same one.

use schemas::Venue;

use super::IndexHistory;
use crate::venue::VenueMachine;
use crate::venue::polymarket::history::History;
use crate::venue::polymarket::{Polymarket, PolymarketConfig};

/// The kinds of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReaderKind {
    /// Frames and REST bodies as the venue sends them.
    #[default]
    Wire,
    /// Canonical rows: recorded snapshots and polled quotes.
    Rows,
    /// Recorded index prices and market lists.
    Index,
}

impl ReaderKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Wire, Self::Rows, Self::Index];

    /// The source an archive of this kind names.
    pub const fn source(self) -> &'static str {
        match self {
            Self::Wire => "import/wire",
            Self::Rows => "import/rows",
            Self::Index => "import/index",
        }
    }

    /// The kind of an archive by its source; what a live node writes is read like a recording of its frames.
    pub fn of_source(source: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.source() == source).unwrap_or_default()
    }

    /// A machine that has seen nothing, follows whatever a recording shows and lets no clock end a connection: what a
    /// recording does not show did not happen.
    pub fn machine(self, venue: Venue) -> Box<dyn VenueMachine> {
        match (self, venue) {
            (Self::Index, _) => Box::new(IndexHistory::default()),
            (Self::Rows, venue) | (Self::Wire, venue @ Venue::PolymarketUs) => Box::new(History::new(venue)),
            (Self::Wire, _) => Box::new(Polymarket::new(PolymarketConfig::capture())),
        }
    }
}
