//! Recordings of others as if they came over our own sockets: files in, raw records out, first into the archive and then
//! through the venue's machine; it opens no file and makes no time up.
//!
//! [`Recording`] reads one file's bytes by what they hold: JSON lines, recorded REST exchanges, captures with receive
//! times, canonical rows, index prices. [`Driver`] plays recordings to a machine, answers its deeds from them and hands
//! every record to a [`Sink`] before the machine sees it, so that a replay of the archive says the same, byte for byte.

mod drive;
mod error;
mod exchange;
mod history;
mod play;
mod reader;
mod sniff;
mod tape;
mod text;
mod unpack;

pub use drive::{Driver, DriverStats, Sink};
pub use error::{Complaint, ImportError};
pub use exchange::{Exchange, Pool};
pub use history::IndexHistory;
pub use play::{Lines, Play};
pub use reader::ReaderKind;
pub use sniff::{sniff_frame, sniff_url};
pub use tape::{OnRow, RowFold, Tape};
pub use text::{Item, Payload, Recording, What};
pub use unpack::unpack;
