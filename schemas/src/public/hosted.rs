//! What a miner hears about a bundle that the operator runs; never the bundle's content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing a check of an uploaded bundle found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostedFinding {
    /// The check's stable code, e.g. `c10_golden`.
    pub code: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// A bundle the operator runs: the receipt of an upload, and how it fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostedBundle {
    /// The bundle's id, hex.
    pub bundle: String,
    /// Public key of the miner that predicts with it, hex; its earnings and scores are found under it.
    pub miner: String,
    /// Name and version in its manifest.
    pub name: String,
    /// Topics it answers start with this.
    pub topic: String,
    /// `checking`, `live`, `refused` or `broken`.
    pub state: String,
    /// Why it is refused or broken.
    pub code: Option<String>,
    /// The host's part of its cash earnings, parts per million.
    pub fee_ppm: u32,
    /// When it was taken.
    #[schema(format = DateTime)]
    pub since: String,
    /// What the checks found.
    pub findings: Vec<HostedFinding>,
}

/// The caller's bundles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostedList {
    /// In the order of their ids.
    pub bundles: Vec<HostedBundle>,
}
