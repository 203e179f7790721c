//! What the scheduler and the resolver read: facts of a venue and the intake; never raw frames.

use schemas::{Intake, MarketEvent, Record, Timestamp};

/// A record of the market stream or of the intake stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FactInput {
    /// A decoded fact of a venue.
    Market(MarketEvent),
    /// A record of the intake; machines here use topics and the clock only.
    Intake(Intake),
}

/// The latest instant a record speaks of: its stamp, or what a `TimeAdvanced` reached.
pub(crate) fn time_of(record: &Record<FactInput>) -> Timestamp {
    match &record.body {
        FactInput::Intake(Intake::TimeAdvanced { to }) => record.at.max(*to),
        _ => record.at,
    }
}
