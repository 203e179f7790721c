//! What an edge saw of a venue, verbatim; stored before anything parses it.

use minicbor::{Decode, Encode};

use crate::time::Timestamp;

/// One thing a venue's edge saw, in the order it saw it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Raw {
    /// The WebSocket of connection `conn` is open.
    #[n(0)]
    Connected {
        /// Number of the connection, as the feed's deed named it.
        #[n(0)]
        conn: u32,
    },
    /// One WebSocket text or binary frame.
    #[n(1)]
    Frame {
        /// Number of the connection.
        #[n(0)]
        conn: u32,
        /// The payload as received.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// The WebSocket closed or never opened.
    #[n(2)]
    Closed {
        /// Number of the connection.
        #[n(0)]
        conn: u32,
        /// Why, in the edge's words.
        #[n(1)]
        reason: String,
    },
    /// A REST answer.
    #[n(3)]
    Rest(#[n(0)] RestReply),
    /// The clock reached what [`crate::Machine::wake_at`] asked for.
    #[n(4)]
    TimeAdvanced {
        /// The instant reached.
        #[n(0)]
        to: Timestamp,
    },
}

/// The answer to one REST request of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RestReply {
    /// Number of the request, as the feed's deed named it.
    #[n(0)]
    pub request: u32,
    /// HTTP status; 0 when no answer came.
    #[n(1)]
    pub status: u16,
    /// The body as received, or the transport error's text when `status` is 0.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}
