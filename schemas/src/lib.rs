//! The words every part of Oraculo shares; this crate never opens a socket, reads a clock or judges anything.
//!
//! Everything that happens is a [`Record`] on a [`Stream`]; deterministic [`Machine`]s read records and write
//! records. All numbers that cross a boundary are integers (see [`fixed`]), all ids are deterministic (see
//! [`id`]), and every type has exactly one binary form, wire form v1 (see [`wire`]).

pub mod account;
pub mod fixed;
pub mod forecast;
pub mod id;
pub mod inference;
pub mod intake;
pub mod ledger;
pub mod market;
pub mod prediction;
#[cfg(feature = "public")]
pub mod public;
pub mod question;
pub mod raw;
pub mod record;
pub mod reject;
pub mod resolution;
pub mod score;
pub mod signal;
pub mod tape;
pub mod time;
pub mod topic;
pub mod verdict;
pub mod wire;

pub use account::{AccountCommand, Subscription, Usage, unit_id};
pub use fixed::{IndexPrice, Micros, Ppm, Price, Q32};
pub use forecast::Forecast;
pub use id::{
    AccountId, BundleId, CommitHash, MinerId, QuestionId, SignalId, SubscriptionId, UnitId, ValidatorId,
};
pub use inference::{InferenceRequest, InferenceResult};
pub use intake::{EpochVote, HostFee, Intake, MinerJoined, NetworkRules, ValidatorSeat};
pub use ledger::{Asset, LedgerAccount, Posting, Txn, TxnKind};
pub use market::{FeedState, IndexTick, Market, MarketEvent, MarketId, Quote, Venue, VenueResolution};
pub use prediction::{Commitment, Reveal};
pub use question::Question;
pub use raw::{Raw, RestReply};
pub use record::{Digest, Entry, Machine, Record, Snapshot, Stream};
pub use reject::RejectCode;
pub use resolution::{Determination, ResolutionReport, VoidReason};
pub use score::{Score, ScoreStatus, Settlement};
pub use signal::{Contributor, MarketView, NoSignalReason, Signal};
pub use tape::{
    BookSide, BookState, CandleRow, GapReason, IndexRow, Instrument, InstrumentKind, InstrumentNo,
    LifecycleRow, Phase, TapeBody, TapeRow, Times, TopRow, TradeRow,
};
pub use time::Timestamp;
pub use topic::{ScoringRule, TopicId, TopicRules};
pub use verdict::{AccountView, ChargeOutcome, EpochSummary, Verdict};
pub use wire::{WireError, decode, encode};
