//! The exchange's own state and the account's limits, as told; nobody is logged in here.

use serde::Deserialize;

use super::num::Time;

/// `/exchange/status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExchangeStatus {
    /// The exchange answers at all.
    pub exchange_active: bool,
    /// Orders are matched.
    pub trading_active: bool,
    /// When it is expected back.
    pub exchange_estimated_resume_time: Option<Time>,
    /// State of each shard, where it is told.
    #[serde(default)]
    pub exchange_index_statuses: Vec<IndexStatus>,
}

/// One shard's state.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct IndexStatus {
    /// The shard.
    pub exchange_index: i64,
    /// It answers.
    pub exchange_active: bool,
    /// Its orders are matched.
    pub trading_active: bool,
}

/// `/exchange/schedule`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Schedule {
    /// The schedule.
    pub schedule: Window,
}

/// Weekly hours and maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Window {
    /// Weekly hours, each valid from a day to a day.
    pub standard_hours: Vec<StandardHours>,
    /// Maintenance windows.
    pub maintenance_windows: Vec<Maintenance>,
}

/// Hours of a week (US Eastern time, `HH:MM`).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StandardHours {
    /// Valid from.
    pub start_time: Time,
    /// Valid until.
    pub end_time: Time,
    /// Sessions.
    pub monday: Vec<DayHours>,
    /// Sessions.
    pub tuesday: Vec<DayHours>,
    /// Sessions.
    pub wednesday: Vec<DayHours>,
    /// Sessions.
    pub thursday: Vec<DayHours>,
    /// Sessions.
    pub friday: Vec<DayHours>,
    /// Sessions.
    pub saturday: Vec<DayHours>,
    /// Sessions.
    pub sunday: Vec<DayHours>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct DayHours {
    /// `HH:MM`.
    pub open_time: String,
    /// `HH:MM`.
    pub close_time: String,
}

/// One maintenance window.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Maintenance {
    /// Start.
    pub start_datetime: Time,
    /// End.
    pub end_datetime: Time,
}

/// `/account/limits`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AccountLimits {
    /// E.g. `basic`.
    pub usage_tier: String,
    /// Reads.
    pub read: Bucket,
    /// Writes.
    pub write: Bucket,
}

/// One bucket of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Bucket {
    /// Tokens per second.
    pub refill_rate: u32,
    /// Tokens at most.
    pub bucket_capacity: u32,
}

/// `/account/endpoint_costs`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EndpointCosts {
    /// Tokens of a request that is not listed.
    pub default_cost: u32,
    /// The exceptions.
    pub endpoint_costs: Vec<EndpointCost>,
}

/// One exception.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EndpointCost {
    /// HTTP method.
    pub method: String,
    /// Route.
    pub path: String,
    /// Tokens.
    pub cost: u32,
}
