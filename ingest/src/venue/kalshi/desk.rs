//! The REST side.

use schemas::Timestamp;

use super::machine::Kalshi;
use crate::deed::VenueOutput;
use crate::shelf::Origin;

/// Requests.
#[derive(Clone, Debug)]
pub(crate) struct Desk;

impl Desk {
    pub(crate) fn new(_tokens: u32) -> Self {
        Self
    }
}

impl Kalshi {
    pub(crate) fn on_reply(&mut self, _r: u32, _s: u16, _b: &[u8], _o: &Origin, _out: &mut Vec<VenueOutput>) {
        self.shelf.counts.stray += 1;
    }
    pub(crate) fn run_desk(&mut self, _out: &mut Vec<VenueOutput>) {}
    pub(crate) fn desk_wake_at(&self) -> Timestamp {
        Timestamp::MAX
    }
}
