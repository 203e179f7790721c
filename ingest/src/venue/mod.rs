//! One module per venue: pure decoders from bytes to facts; none reads a clock or keeps state.

pub mod polymarket;
