//! One folder per venue: wire forms and the machine that keeps its books; only the spot venues share a connection's life.

pub mod binance;
pub mod coinbase;
pub mod kalshi;
pub mod kraken;
pub mod polymarket;
mod spot;

use schemas::{Machine, Raw, Venue};

use crate::deed::VenueOutput;
use crate::shelf::Shelf;

/// A venue's machine: raw records in, rows and deeds out, its books on a shelf.
pub trait VenueMachine: Machine<Input = Raw, Output = VenueOutput> {
    /// The venue.
    fn venue(&self) -> Venue;
    /// Its books and counters.
    fn shelf(&self) -> &Shelf;
}
