//! Where uploaded bundles go; this module knows no model, no engine and no disk.

use std::future::Future;
use std::pin::Pin;

use schemas::{AccountId, BundleId, MinerId, Ppm, Timestamp};

/// Runs strangers' bundles for a part of what they earn.
pub trait Host: Send + Sync + 'static {
    /// Largest archive that is taken, bytes.
    fn max_bytes(&self) -> usize;

    /// Checks an archive and, if it is sound, keeps it and runs it. The same bundle twice is one bundle: the second
    /// answer is as the first, with `false` for "new".
    fn upload(&self, account: AccountId, archive: Vec<u8>) -> Answer<(Hosted, bool)>;

    /// The account's bundles, in the order of their ids.
    fn list(&self, account: &AccountId) -> Vec<Hosted>;

    /// Stops a bundle of the account and forgets it.
    fn remove(&self, account: AccountId, bundle: BundleId) -> Answer<()>;
}

/// What a host answers in time.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, HostError>> + Send>>;

/// A bundle at its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// Its id.
    pub bundle: BundleId,
    /// The miner that predicts with it.
    pub miner: MinerId,
    /// Name and version in its manifest.
    pub name: String,
    /// Topics it answers start with this.
    pub topic: String,
    /// How it fares.
    pub state: HostedState,
    /// The host's part of its cash earnings.
    pub fee: Ppm,
    /// When it was taken.
    pub since: Timestamp,
    /// What the checks found.
    pub findings: Vec<Finding>,
}

/// One thing a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's stable code.
    pub code: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// How a hosted bundle fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostedState {
    /// It is looked at.
    Checking,
    /// It answers questions.
    Live,
    /// It was sound once and is not now.
    Refused(String),
    /// Its worker fails.
    Broken(String),
}

impl HostedState {
    /// The stable name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Checking => "checking",
            Self::Live => "live",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
        }
    }

    /// Why it is not live.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Checking | Self::Live => None,
            Self::Refused(code) | Self::Broken(code) => Some(code),
        }
    }
}

/// Why a host did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The bundle failed a check; the code is the check's.
    #[error("{detail}")]
    Refused {
        /// Stable code of the check or the worker's fault.
        code: &'static str,
        /// What was seen.
        detail: String,
    },
    /// Another account has this very bundle here.
    #[error("another account has uploaded this bundle")]
    Taken,
    /// All places are taken.
    #[error("all {0} places are taken")]
    Full(usize),
    /// Others are being checked.
    #[error("other bundles are being checked; try again")]
    Busy,
    /// The account has no such bundle here.
    #[error("no such bundle of this account")]
    Unknown,
    /// The operator's machine failed.
    #[error("the bundle could not be kept or run: {0}")]
    Failed(String),
}

impl HostError {
    /// The HTTP status and the stable code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::Refused { code, .. } => (422, code),
            Self::Taken => (409, "bundle_taken"),
            Self::Full(_) => (503, "hosting_full"),
            Self::Busy => (503, "hosting_busy"),
            Self::Unknown => (404, "bundle_not_found"),
            Self::Failed(_) => (500, "hosting_failed"),
        }
    }
}
