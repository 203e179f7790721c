//! Plans as they are kept in an archive, and the machine that reads a session of it: the one it was recorded with, never
//! another one in silence. Nothing secret is ever in a plan.

use anyhow::Result;
use ingest::archive::ArchiveError;
use ingest::edge::archive::ArchiveReader;
use ingest::import::ReaderKind;
use ingest::venue::VenueMachine;
use ingest::venue::polymarket::rtds2::Key;
use schemas::{Digest, Venue};
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// The form of plans this build writes and reads.
const FORM: u32 = 1;

/// Why a session of an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// The archive, its plan included, is not what it was.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The plan is the one that was kept, and this build cannot make its machine.
    #[error("plan {plan} cannot be used: {why}")]
    Unknown {
        /// Its hash.
        plan: String,
        /// What this build does not know.
        why: String,
    },
}

impl KeptError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Archive(error) => error.code(),
            Self::Unknown { .. } => "plan_unknown",
        }
    }
}

/// A plan on disk; the order of the fields is that of its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    form: u32,
    venue: String,
    names: Vec<String>,
    indices: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rtds: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rtds2: Vec<KeptKey>,
    ab: bool,
    seed: String,
}

/// A stream of RTDS v2: channel, symbol, seconds of the average.
#[derive(Debug, Serialize, Deserialize)]
struct KeptKey(String, String, Option<u32>);

impl From<Key> for KeptKey {
    fn from(key: Key) -> Self {
        Self(key.channel, key.symbol, key.window_s)
    }
}

impl From<KeptKey> for Key {
    fn from(KeptKey(channel, symbol, window_s): KeptKey) -> Self {
        Self { channel, symbol, window_s }
    }
}

impl Plan {
    /// The plan as the bytes that are kept: JSON without spaces, fields in a fixed order.
    pub fn to_json(&self) -> Vec<u8> {
        let kept = Kept {
            form: FORM,
            venue: self.venue.name().to_owned(),
            names: self.names.clone(),
            indices: self.indices.clone(),
            rtds: self.rtds.clone(),
            rtds2: self.rtds2.iter().cloned().map(KeptKey::from).collect(),
            ab: self.ab,
            seed: Digest(self.seed).to_string(),
        };
        serde_json::to_vec(&kept).expect("the form has no maps and no floats")
    }

    /// Reads what [`Plan::to_json`] wrote. Errors: what this build does not know, in words.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if kept.form != FORM {
            return Err(format!("form {}, this build reads form {FORM}", kept.form));
        }
        let venue: Venue = kept.venue.parse().map_err(|()| format!("venue {:?}", kept.venue))?;
        let seed = hex::decode(&kept.seed).ok().and_then(|seed| seed.try_into().ok());
        let seed = seed.ok_or_else(|| "a seed that is not 32 bytes".to_owned())?;
        let plan = Self {
            venue,
            names: kept.names,
            indices: kept.indices,
            rtds: kept.rtds,
            rtds2: kept.rtds2.into_iter().map(Key::from).collect(),
            ab: kept.ab,
            seed,
        };
        if plan.to_json() == bytes { Ok(plan) } else { Err("it is not in the canonical form".to_owned()) }
    }
}

/// What reads a session.
pub struct Session {
    /// Hash of the plan, where the session was recorded; none for imports.
    pub plan: Option<Digest>,
    /// How its rows are counted.
    pub kind: ReaderKind,
    /// A fresh machine.
    pub machine: Box<dyn VenueMachine>,
}

/// A fresh machine for the session that `reader` is at: the recording's own where its segment names a plan, else the one
/// for imports of its kind.
///
/// # Errors
/// The plan is missing, was changed, is another venue's or cannot be read: nothing else reads the session then.
pub fn session(reader: &ArchiveReader) -> Result<Session, KeptError> {
    let Some((digest, bytes)) = reader.plan()? else {
        let kind = ReaderKind::of_source(reader.source());
        return Ok(Session { plan: None, kind, machine: kind.machine(reader.venue()) });
    };
    let unknown = |why| KeptError::Unknown { plan: digest.to_string(), why };
    let plan = Plan::from_json(&bytes).map_err(unknown)?;
    if plan.venue != reader.venue() {
        return Err(unknown(format!("it is for {}, the archive is of {}", plan.venue, reader.venue())));
    }
    let machine = plan.machine().ok_or_else(|| unknown("no machine records this venue".to_owned()))?;
    Ok(Session { plan: Some(digest), kind: ReaderKind::Wire, machine: Box::new(machine) })
}
