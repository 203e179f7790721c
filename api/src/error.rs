//! Every way a request can fail, each with one status and one stable code; no text of a stranger becomes a code.

use schemas::RejectCode;

use crate::desk::DeskError;
use crate::hosted::HostError;

/// Why a request was not answered with what it asked for, or a key file not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// A query parameter is unknown, repeated or out of range.
    #[error("the query is not understood: {0}")]
    QueryInvalid(String),
    /// A part of the path is not what it must be.
    #[error("the path is not understood: {0}")]
    PathInvalid(&'static str),
    /// The cursor was not made here, or for another topic.
    #[error("the cursor was not made by this resource")]
    CursorInvalid,
    /// The cursor is of another history.
    #[error("the cursor belongs to a history that is gone; start over")]
    CursorExpired,
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    JsonMalformed(String),
    /// An object of the body has a key twice.
    #[error("an object has the same key twice")]
    JsonDuplicateKey,
    /// The body is nested too deeply.
    #[error("the body is nested deeper than {0}")]
    JsonTooDeep(u32),
    /// No key.
    #[error("send `Authorization: Bearer <key>`")]
    Unauthenticated,
    /// The key has not the form of a key: a typo.
    #[error("this is not a key: its check sum is wrong")]
    KeyMalformed,
    /// No such key.
    #[error("no such key")]
    KeyUnknown,
    /// The key was revoked.
    #[error("this key was revoked")]
    KeyRevoked,
    /// The key expired.
    #[error("this key expired")]
    KeyExpired,
    /// The key may not do this.
    #[error("this key lacks the scope {0}")]
    ScopeMissing(&'static str),
    /// No subscription of the account covers this.
    #[error("no subscription of this account covers this now")]
    NotEntitled,
    /// No such route.
    #[error("there is nothing at this path")]
    RouteNotFound,
    /// No such topic.
    #[error("no such topic")]
    TopicNotFound,
    /// No such market.
    #[error("no question is or was about this market")]
    MarketNotFound,
    /// No such miner.
    #[error("no such miner")]
    MinerNotFound,
    /// The key's account was never opened.
    #[error("the account of this key was never opened")]
    AccountNotFound,
    /// The route has no such method.
    #[error("this path does not take this method")]
    MethodNotAllowed,
    /// The body is too large.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// The body has another type than this one.
    #[error("send {0}")]
    MediaTypeUnsupported(&'static str),
    /// The body is JSON, but not what the resource takes.
    #[error("the body is not what this resource takes: {0}")]
    ValidationFailed(String),
    /// The resource speaks WebSocket only.
    #[error("this path speaks WebSocket (RFC 6455, version 13)")]
    WebSocketRequired,
    /// Too many requests.
    #[error("too many requests; wait {retry_after_s} s")]
    RateLimited {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// Too many WebSocket connections.
    #[error("too many connections")]
    TooManyConnections,
    /// There is no signal, or none that is young enough.
    #[error("there is no signal that is young enough")]
    SignalAbsent,
    /// The validator refused.
    #[error("refused: {0}")]
    Refused(RejectCode),
    /// The submission was not taken.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The submission was not judged in time; it may still be. Ask again: nothing is charged twice.
    #[error("no verdict in time; ask again, nothing is charged twice")]
    NoVerdict,
    /// The key file cannot be read or written.
    #[error("the key file cannot be used: {0}")]
    KeyFileIo(std::io::ErrorKind),
    /// A line of the key file is not understood.
    #[error("line {0} of the key file is not understood")]
    KeyFileMalformed(usize),
    /// The key file is full.
    #[error("there are {0} keys already")]
    KeyLimit(usize),
    /// The system gave no random bytes.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// A name that is no account.
    #[error("an account is named with 1 to 64 of a-z 0-9 . _ -")]
    AccountInvalid,
    /// Nobody runs other people's bundles here.
    #[error("this operator hosts no bundles")]
    HostingOff,
    /// The host did not do it.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ApiError {
    /// The HTTP status and the stable code.
    pub const fn status_and_code(&self) -> (u16, &'static str) {
        match self {
            Self::QueryInvalid(_) => (400, "query_invalid"),
            Self::PathInvalid(_) => (400, "path_invalid"),
            Self::CursorInvalid => (400, "cursor_invalid"),
            Self::CursorExpired => (410, "cursor_expired"),
            Self::JsonMalformed(_) => (400, "json_malformed"),
            Self::JsonDuplicateKey => (400, "json_duplicate_key"),
            Self::JsonTooDeep(_) => (400, "json_too_deep"),
            Self::Unauthenticated => (401, "unauthenticated"),
            Self::KeyMalformed => (401, "key_malformed"),
            Self::KeyUnknown => (401, "key_unknown"),
            Self::KeyRevoked => (401, "key_revoked"),
            Self::KeyExpired => (401, "key_expired"),
            Self::ScopeMissing(_) => (403, "scope_missing"),
            Self::NotEntitled => (403, "not_entitled"),
            Self::RouteNotFound => (404, "route_not_found"),
            Self::TopicNotFound => (404, "topic_not_found"),
            Self::MarketNotFound => (404, "market_not_found"),
            Self::MinerNotFound => (404, "miner_not_found"),
            Self::AccountNotFound => (404, "account_not_found"),
            Self::MethodNotAllowed => (405, "method_not_allowed"),
            Self::BodyTooLarge(_) => (413, "body_too_large"),
            Self::BodyTimeout => (408, "body_timeout"),
            Self::MediaTypeUnsupported(_) => (415, "media_type_unsupported"),
            Self::ValidationFailed(_) => (422, "validation_failed"),
            Self::WebSocketRequired => (426, "websocket_required"),
            Self::RateLimited { .. } => (429, "rate_limited"),
            Self::TooManyConnections => (503, "too_many_connections"),
            Self::SignalAbsent => (503, "signal_absent"),
            Self::Refused(code) => (refused_status(*code), code.code()),
            Self::Desk(error) => (503, error.code()),
            Self::NoVerdict => (504, "no_verdict"),
            Self::KeyFileIo(_) => (500, "key_file_io"),
            Self::KeyFileMalformed(_) => (500, "key_file_malformed"),
            Self::KeyLimit(_) => (500, "key_limit"),
            Self::NoRandomness => (500, "no_randomness"),
            Self::AccountInvalid => (422, "account_invalid"),
            Self::HostingOff => (503, "hosting_off"),
            Self::Host(error) => error.status_and_code(),
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        self.status_and_code().1
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.status_and_code().0
    }
}

/// The HTTP status of a refusal: who must do what about it.
const fn refused_status(code: RejectCode) -> u16 {
    match code {
        RejectCode::CreditsExhausted => 402,
        RejectCode::NotEntitled | RejectCode::PriceAboveLimit | RejectCode::NoStake => 403,
        RejectCode::DuplicateMiner
        | RejectCode::NameTaken
        | RejectCode::CommitTooEarly
        | RejectCode::CommitTooLate
        | RejectCode::DuplicateCommitment
        | RejectCode::CommitmentReplayed
        | RejectCode::RevealTooEarly
        | RejectCode::RevealTooLate
        | RejectCode::DuplicateReveal => 409,
        RejectCode::LimitReached | RejectCode::NoGenesis => 503,
        _ => 422,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_keep_their_code_and_get_a_client_status() {
        for code in RejectCode::ALL {
            let error = ApiError::Refused(*code);
            assert_eq!(error.code(), code.code());
            assert!(matches!(error.status(), 402 | 403 | 409 | 422 | 503), "{code}");
        }
    }
}
