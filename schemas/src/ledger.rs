//! Double-entry postings in integers; every transaction sums to zero per asset.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::fixed::Micros;
use crate::id::{AccountId, MinerId, TxnId, ValidatorId};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Asset {
    /// Cash, micro-USD.
    #[n(0)]
    Usd,
    /// Stake and emission, micro-units.
    #[n(1)]
    Stake,
}

/// One account of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum LedgerAccount {
    /// Where stake is created from; negative by as much as was ever issued.
    #[n(0)]
    Issuance,
    /// Stake that is gone for good.
    #[n(1)]
    Burned,
    /// Emission set aside for an epoch's gains.
    #[n(2)]
    EmissionPool,
    /// A miner's stake at risk.
    #[n(3)]
    MinerStake(#[n(0)] MinerId),
    /// The outside world's money rail; negative by as much as customers ever paid in.
    #[n(4)]
    Clearing,
    /// A customer's prepaid money.
    #[n(5)]
    Prepaid(#[n(0)] AccountId),
    /// Revenue of the running epoch, before it is split.
    #[n(6)]
    Revenue,
    /// The platform's part.
    #[n(7)]
    Platform,
    /// The data source's part.
    #[n(8)]
    DataFees,
    /// What a validator is owed.
    #[n(9)]
    ValidatorPayable(#[n(0)] ValidatorId),
    /// What a miner is owed.
    #[n(10)]
    MinerPayable(#[n(0)] MinerId),
    /// What a host of miners is owed.
    #[n(11)]
    HostPayable(#[n(0)] AccountId),
    /// Money that miners who registered themselves paid for their stake.
    #[n(12)]
    StakePaid,
}

impl fmt::Display for LedgerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuance => f.write_str("issuance"),
            Self::Burned => f.write_str("burned"),
            Self::EmissionPool => f.write_str("emission:pool"),
            Self::MinerStake(m) => write!(f, "miner:{m}:stake"),
            Self::Clearing => f.write_str("rail:clearing"),
            Self::Prepaid(a) => write!(f, "cust:{a}:prepaid"),
            Self::Revenue => f.write_str("revenue:epoch"),
            Self::Platform => f.write_str("fee:platform"),
            Self::DataFees => f.write_str("fee:data"),
            Self::ValidatorPayable(v) => write!(f, "val:{v}:payable"),
            Self::MinerPayable(m) => write!(f, "miner:{m}:payable"),
            Self::HostPayable(a) => write!(f, "host:{a}:payable"),
            Self::StakePaid => f.write_str("stake:paid"),
        }
    }
}

/// One leg of a transaction; positive is credit to the account.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Posting {
    /// The account.
    #[n(0)]
    pub account: LedgerAccount,
    /// The asset.
    #[n(1)]
    pub asset: Asset,
    /// The signed amount.
    #[n(2)]
    pub amount: Micros,
}

/// Why money moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum TxnKind {
    /// A miner joined with stake.
    #[n(0)]
    Join,
    /// Emission of an epoch into the pool.
    #[n(1)]
    Emission,
    /// A question's gains and losses.
    #[n(2)]
    Settle,
    /// A customer paid in.
    #[n(3)]
    TopUp,
    /// A signal was sold.
    #[n(4)]
    Charge,
    /// An epoch's revenue was split.
    #[n(5)]
    RevenueSplit,
}

/// One transaction: postings that sum to zero per asset, chained by hash.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Txn {
    /// Deterministic: derived from kind and cause, so a repeat is recognised.
    #[n(0)]
    pub id: TxnId,
    /// Why.
    #[n(1)]
    pub kind: TxnKind,
    /// The legs.
    #[n(2)]
    pub postings: Vec<Posting>,
    /// Hash of the previous transaction; zero for the first.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub prev: [u8; 32],
}

impl Txn {
    /// The hash the next transaction chains to.
    pub fn hash(&self) -> [u8; 32] {
        crate::id::derive("oraculo/txn/1", &[&crate::encode(self)])
    }
}
