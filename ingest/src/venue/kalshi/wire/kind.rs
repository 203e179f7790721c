//! The types of Kalshi's frames by their names; an unknown one is never taken for a known one.

/// What a frame is, by its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `subscribed`.
    Subscribed,
    /// `ok`.
    Ok,
    /// `unsubscribed`.
    Unsubscribed,
    /// `error`.
    Error,
    /// `orderbook_snapshot`.
    Snapshot,
    /// `orderbook_delta`.
    Delta,
    /// `ticker`.
    Ticker,
    /// `trade`.
    Trade,
    /// `fill`.
    Fill,
    /// `market_lifecycle_v2` and `multivariate_market_lifecycle`.
    Market,
    /// `event_lifecycle`.
    Event,
    /// `event_fee_update`.
    Fee,
    /// `cfbenchmarks_value`.
    Index,
    /// `cfbenchmarks_value_5hz`.
    Index5,
    /// `cfbenchmarks_value_indexlist` and its 5 Hz sister.
    IndexList,
    /// A type that is described and of no concern to a reader of market data.
    Foreign,
    /// A type nobody has described.
    Unknown,
}

impl Kind {
    /// By the `type` of a frame.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"orderbook_delta" => Self::Delta,
            b"orderbook_snapshot" => Self::Snapshot,
            b"ticker" => Self::Ticker,
            b"trade" => Self::Trade,
            b"ok" => Self::Ok,
            b"subscribed" => Self::Subscribed,
            b"unsubscribed" => Self::Unsubscribed,
            b"error" => Self::Error,
            b"fill" => Self::Fill,
            b"market_lifecycle_v2" | b"multivariate_market_lifecycle" => Self::Market,
            b"event_lifecycle" => Self::Event,
            b"event_fee_update" => Self::Fee,
            b"cfbenchmarks_value" => Self::Index,
            b"cfbenchmarks_value_5hz" => Self::Index5,
            b"cfbenchmarks_value_indexlist" | b"cfbenchmarks_value_5hz_indexlist" => Self::IndexList,
            b"market_position"
            | b"user_order"
            | b"order_group_updates"
            | b"rfq_created"
            | b"rfq_deleted"
            | b"quote_created"
            | b"quote_accepted"
            | b"quote_executed"
            | b"pyth_value"
            | b"pyth_value_underlying_list" => Self::Foreign,
            _ => Self::Unknown,
        }
    }
}
