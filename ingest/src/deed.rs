//! What the machines of venues say: rows for the tape and deeds for an edge; nothing here is ever done by itself.

use schemas::{Raw, RestReply, TapeRow};

/// What a venue's machine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VenueOutput {
    /// A row of the tape.
    Row(TapeRow),
    /// Something an edge must do. Replay throws these away.
    Deed(Deed),
}

/// What an edge must do for a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Open a WebSocket; answer with [`schemas::Raw::Connected`] or [`schemas::Raw::Closed`] of that number.
    Connect {
        /// Number of the connection; never used twice.
        conn: u32,
        /// Which of the configured sockets, e.g. [`SOCKET_MAIN`].
        socket: u8,
    },
    /// Send a text frame.
    Send {
        /// Number of the connection.
        conn: u32,
        /// The text.
        text: String,
    },
    /// Close a WebSocket.
    Close {
        /// Number of the connection.
        conn: u32,
    },
    /// One REST request; answer with [`schemas::Raw::Rest`] of that number, always.
    Fetch {
        /// Number of the request; never used twice.
        request: u32,
        /// Which of the configured hosts, e.g. [`HOST_MAIN`].
        host: u8,
        /// Path and query, e.g. `/markets?limit=1000`.
        path: String,
        /// JSON body: a POST if there is one, else a GET.
        body: Option<String>,
    },
}

impl Deed {
    /// What a machine is answered when this deed cannot be done; `None` for a text, which nobody answers.
    pub fn refusal(&self, reason: &str) -> Option<Raw> {
        match self {
            Self::Connect { conn, .. } | Self::Close { conn } => {
                Some(Raw::Closed { conn: *conn, reason: reason.to_owned() })
            }
            Self::Fetch { request, .. } => {
                let bytes = reason.as_bytes().to_vec();
                Some(Raw::Rest(RestReply { request: *request, status: 0, bytes }))
            }
            Self::Send { .. } => None,
        }
    }
}

/// The venue's first WebSocket: Kalshi's only one, Polymarket's market channel, a spot venue's stream.
pub const SOCKET_MAIN: u8 = 0;
/// Polymarket RTDS v1.
pub const SOCKET_RTDS: u8 = 1;
/// Polymarket RTDS v2.
pub const SOCKET_RTDS2: u8 = 2;

/// The venue's first REST host: Kalshi's trade API, Polymarket's CLOB, a spot venue's API.
pub const HOST_MAIN: u8 = 0;
/// Polymarket Gamma.
pub const HOST_GAMMA: u8 = 1;
/// Polymarket Data API.
pub const HOST_DATA: u8 = 2;
