//! Why a submission is refused: a closed set of stable codes.

use std::fmt;

use minicbor::{Decode, Encode};

macro_rules! reject_codes {
    ($($(#[$doc:meta])* $n:literal $name:ident = $code:literal),* $(,)?) => {
        /// Why the validator refused a record. Numbers and texts never change; new ones are added at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(index_only)]
        pub enum RejectCode {
            $($(#[$doc])* #[n($n)] $name,)*
        }

        impl RejectCode {
            /// Every code, for documents and tests.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text of the code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
        }
    };
}

reject_codes! {
    /// The network has not started: no genesis record yet.
    0 NoGenesis = "no_genesis",
    /// The network has started already.
    1 GenesisRepeated = "genesis_repeated",
    /// The rules contradict themselves (windows, weights, stake, split).
    2 InvalidRules = "invalid_rules",
    /// A topic version that is not newer than the one in force.
    3 StaleRules = "stale_rules",
    /// No such topic.
    4 UnknownTopic = "unknown_topic",
    /// No such question, or it is long settled.
    5 UnknownQuestion = "unknown_question",
    /// The question exists already.
    6 DuplicateQuestion = "duplicate_question",
    /// The question's times, id or rules hash do not follow from its topic.
    7 InvalidQuestion = "invalid_question",
    /// No miner with this key.
    8 UnknownMiner = "unknown_miner",
    /// The miner has joined already.
    9 DuplicateMiner = "duplicate_miner",
    /// The miner's stake is gone.
    10 NoStake = "no_stake",
    /// The Ed25519 signature does not verify (strict).
    11 BadSignature = "bad_signature",
    /// Before the question opened.
    12 CommitTooEarly = "commit_too_early",
    /// At or after the end of the commit window, by log order.
    13 CommitTooLate = "commit_too_late",
    /// The miner has committed on this question already; the first one counts.
    14 DuplicateCommitment = "duplicate_commitment",
    /// This hash was committed by somebody else before.
    15 CommitmentReplayed = "commitment_replayed",
    /// The commit window is still open.
    16 RevealTooEarly = "reveal_too_early",
    /// At or after the end of the reveal window.
    17 RevealTooLate = "reveal_too_late",
    /// Nothing was committed.
    18 NoCommitment = "no_commitment",
    /// The miner has revealed on this question already.
    19 DuplicateReveal = "duplicate_reveal",
    /// The reveal does not open the commitment.
    20 HashMismatch = "hash_mismatch",
    /// The numbers make no distribution.
    21 InvalidForecast = "invalid_forecast",
    /// The topic wants another kind of forecast.
    22 WrongForecastKind = "wrong_forecast_kind",
    /// No validator with this key.
    23 UnknownValidator = "unknown_validator",
    /// The validator has reported on this market already.
    24 DuplicateReport = "duplicate_report",
    /// No open question is about this market.
    25 UnknownMarket = "unknown_market",
    /// The market has not closed yet.
    26 ReportTooEarly = "report_too_early",
    /// The validator has voted on this epoch already.
    27 DuplicateVote = "duplicate_vote",
    /// The epoch is not closed, or long final.
    28 UnknownEpoch = "unknown_epoch",
    /// No such account.
    29 UnknownAccount = "unknown_account",
    /// The account exists already.
    30 DuplicateAccount = "duplicate_account",
    /// The payment was booked already.
    31 DuplicatePayment = "duplicate_payment",
    /// The amount is not positive or too large.
    32 InvalidAmount = "invalid_amount",
    /// No such subscription.
    33 UnknownSubscription = "unknown_subscription",
    /// The subscription exists already.
    34 DuplicateSubscription = "duplicate_subscription",
    /// The subscription's times, topics or price make no sense.
    35 InvalidSubscription = "invalid_subscription",
    /// The subscription does not cover this topic now.
    36 NotEntitled = "not_entitled",
    /// The prepaid balance does not cover the price.
    37 CreditsExhausted = "credits_exhausted",
    /// No such signal on this topic and slot.
    38 UnknownSignal = "unknown_signal",
    /// The signal costs more than the subscription allows.
    39 PriceAboveLimit = "price_above_limit",
    /// A bound of the configuration is reached.
    40 LimitReached = "limit_reached",
    /// A name that is empty, too long or outside its alphabet.
    41 InvalidName = "invalid_name",
    /// Another miner has this name.
    44 NameTaken = "name_taken",
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
