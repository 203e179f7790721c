//! Everything that can go wrong while facts come in, as one closed list of stable codes; nothing here is ever retried
//! or logged.

/// Longest text of a stranger that is repeated in an error, characters.
const MAX_QUOTED: usize = 120;

/// Why a frame, an answer or a deed could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// A frame or body above the configured size.
    #[error("{bytes} bytes, at most {limit} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The configured limit.
        limit: usize,
    },
    /// Not JSON.
    #[error("not JSON: {0}")]
    BadJson(String),
    /// JSON, but a field is missing or has another type.
    #[error("unexpected shape: {0}")]
    BadShape(String),
    /// A message type of our own topic that nobody has described.
    #[error("unknown message type {0:?}")]
    UnknownType(String),
    /// A time outside 1970 to 2100, or not RFC 3339 where that is due.
    #[error("{field} is no usable time: {text}")]
    BadTime {
        /// The field.
        field: &'static str,
        /// What it held.
        text: String,
    },
    /// A value stamped further ahead of our clock than is allowed.
    #[error("value of {feed_ms} ms lies {ahead_ms} ms ahead of the clock")]
    FromFuture {
        /// The value's own time.
        feed_ms: i64,
        /// How far ahead it is.
        ahead_ms: i64,
    },
    /// A number that is missing, negative, written with an exponent or out of range.
    #[error("{field} is no usable number: {text}")]
    BadNumber {
        /// The field.
        field: &'static str,
        /// What it held.
        text: String,
    },
    /// `value` and `full_accuracy_value` of one tick are different prices.
    #[error("value {value} and full_accuracy_value {full} disagree")]
    ValueMismatch {
        /// The JSON number.
        value: String,
        /// The exact text.
        full: String,
    },
    /// The answer is about another event than the one asked for.
    #[error("asked for {want}, got {got}")]
    WrongEvent {
        /// The slug asked for.
        want: String,
        /// The slug received.
        got: String,
    },
    /// The event has no market of that slug.
    #[error("event {slug} has {markets} markets and none of that slug")]
    MarketMissing {
        /// The slug.
        slug: String,
        /// How many markets it has.
        markets: usize,
    },
    /// The condition id is not 0x and 64 hex digits.
    #[error("condition id {0:?}")]
    BadConditionId(String),
    /// The outcomes are not exactly Up and Down.
    #[error("outcomes {0}")]
    BadOutcomes(String),
    /// The prices do not match the outcomes.
    #[error("outcome prices {0}")]
    BadOutcomePrices(String),
    /// The token ids are not two different decimal numbers.
    #[error("token ids {0}")]
    BadTokens(String),
    /// The market's own times contradict the interval its slug names.
    #[error("{field} is {got}, the slug says {want}")]
    IntervalMismatch {
        /// The field.
        field: &'static str,
        /// Seconds by the slug.
        want: i64,
        /// Seconds by the field.
        got: i64,
    },
    /// The market settles on another index than the one that is followed.
    #[error("settles on {got:?}, not on {want}")]
    WrongBasis {
        /// The end of the stream's name that is expected.
        want: String,
        /// The resolution source named.
        got: String,
    },
    /// Best bid at or above best ask.
    #[error("crossed quote: bid {bid}, ask {ask} (1e-6 dollars)")]
    CrossedQuote {
        /// Bid in 1e-6 dollars.
        bid: i64,
        /// Ask in 1e-6 dollars.
        ask: i64,
    },
    /// The venue changed what must not change: condition id or strike.
    #[error("{field} of {slug} changed from {from} to {to}; the first one stands")]
    Restated {
        /// The market's slug.
        slug: String,
        /// The field.
        field: &'static str,
        /// What was published first.
        from: String,
        /// What it says now.
        to: String,
    },
    /// An HTTP status that no retry will mend.
    #[error("HTTP status {0}")]
    HttpStatus(u16),
    /// More markets are open than are followed; the oldest is given up.
    #[error("{slug} given up: more than {limit} markets are open")]
    MarketLimit {
        /// The market given up.
        slug: String,
        /// The configured limit.
        limit: u32,
    },
    /// The venue did not resolve a market in time; it is no longer polled.
    #[error("{slug} is not resolved {waited_s} s after its end")]
    ResolutionTimeout {
        /// The market given up.
        slug: String,
        /// How long it was polled after its end, seconds.
        waited_s: i64,
    },
    /// An address that is neither ws:// nor wss://, http:// nor https://.
    #[error("endpoint {0:?} has no known scheme")]
    BadEndpoint(String),
    /// An address needs TLS and the crate was built without the feature `tls`.
    #[error("endpoint {0:?} needs the feature `tls`")]
    TlsMissing(String),
    /// A deed names a socket or host that is not configured.
    #[error("no {kind} {no} is configured")]
    NoEndpoint {
        /// `socket` or `host`.
        kind: &'static str,
        /// Its number.
        no: u8,
    },
    /// Production and demo addresses in one configuration.
    #[error("{production} is production and {demo} is demo: use one of the two worlds")]
    MixedWorlds {
        /// The first production address.
        production: String,
        /// The first demo address.
        demo: String,
    },
    /// A request could not be signed.
    #[error("{detail}")]
    Unsigned {
        /// The signer's own stable code.
        code: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The edge has more deeds waiting than its queue holds.
    #[error("the edge's queue of {0} deeds is full")]
    QueueFull(usize),
    /// The edge was shut down.
    #[error("the edge has stopped")]
    EdgeStopped,
}

impl IngestError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::BadJson(_) => "bad_json",
            Self::BadShape(_) => "bad_shape",
            Self::UnknownType(_) => "unknown_type",
            Self::BadTime { .. } => "bad_time",
            Self::FromFuture { .. } => "from_future",
            Self::BadNumber { .. } => "bad_number",
            Self::ValueMismatch { .. } => "value_mismatch",
            Self::WrongEvent { .. } => "wrong_event",
            Self::MarketMissing { .. } => "market_missing",
            Self::BadConditionId(_) => "bad_condition_id",
            Self::BadOutcomes(_) => "bad_outcomes",
            Self::BadOutcomePrices(_) => "bad_outcome_prices",
            Self::BadTokens(_) => "bad_tokens",
            Self::IntervalMismatch { .. } => "interval_mismatch",
            Self::WrongBasis { .. } => "wrong_basis",
            Self::CrossedQuote { .. } => "crossed_quote",
            Self::Restated { .. } => "restated",
            Self::HttpStatus(_) => "http_status",
            Self::MarketLimit { .. } => "market_limit",
            Self::ResolutionTimeout { .. } => "resolution_timeout",
            Self::BadEndpoint(_) => "bad_endpoint",
            Self::TlsMissing(_) => "tls_missing",
            Self::NoEndpoint { .. } => "no_endpoint",
            Self::MixedWorlds { .. } => "mixed_worlds",
            Self::Unsigned { code, .. } => code,
            Self::QueueFull(_) => "queue_full",
            Self::EdgeStopped => "edge_stopped",
        }
    }

    /// From a JSON error: syntax and shape are different codes.
    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let text = quoted(&error.to_string());
        if error.is_data() { Self::BadShape(text) } else { Self::BadJson(text) }
    }

    /// A number that cannot be used.
    pub(crate) fn number(field: &'static str, text: &str) -> Self {
        Self::BadNumber { field, text: quoted(text) }
    }

    /// A time that cannot be used.
    pub(crate) fn time(field: &'static str, text: &str) -> Self {
        Self::BadTime { field, text: quoted(text) }
    }
}

/// The beginning of a stranger's text, short enough to be repeated.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED).collect()
}
