//! The `intake` stream: everything the validator must know, in one total order.

use minicbor::{Decode, Encode};

use crate::account::{AccountCommand, Usage};
use crate::fixed::{Micros, Ppm};
use crate::id::{AccountId, MinerId, ValidatorId, derive};
use crate::prediction::{Commitment, Reveal};
use crate::question::Question;
use crate::resolution::ResolutionReport;
use crate::time::Timestamp;
use crate::topic::TopicRules;

/// Domain of the signature over a registration.
const REGISTRATION_SIG_DOMAIN: &[u8] = b"oraculo/registration-sig/v1\0";

/// A validator's seat.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ValidatorSeat {
    /// Its key.
    #[n(0)]
    pub id: ValidatorId,
    /// A name for people.
    #[n(1)]
    pub name: String,
    /// Its stake; 2/3 of all stake must agree.
    #[n(2)]
    pub stake: Micros,
}

/// The rules of a network: the first record of every intake stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NetworkRules {
    /// The network's name; its hash is inside every commitment.
    #[n(0)]
    pub network: String,
    /// Length of an epoch, ns.
    #[n(1)]
    pub epoch_ns: i64,
    /// A miner's largest possible loss per epoch as a fraction of its stake (rho).
    #[n(2)]
    pub max_loss: Ppm,
    /// Emission per epoch into the pool that pays gains.
    #[n(3)]
    pub emission_per_epoch: Micros,
    /// The validators.
    #[n(4)]
    pub validators: Vec<ValidatorSeat>,
    /// Revenue split [platform, data, validators, miners]; sums to one million.
    #[n(5)]
    pub revenue_split: [Ppm; 4],
}

impl NetworkRules {
    /// The hash that commitments carry.
    pub fn network_hash(&self) -> [u8; 32] {
        derive("oraculo/network/1", &[self.network.as_bytes()])
    }
}

/// A miner joins with stake.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MinerJoined {
    /// Its key.
    #[n(0)]
    pub miner: MinerId,
    /// A name for people.
    #[n(1)]
    pub name: String,
    /// What it says it is, e.g. `model`, `baseline`, `poor`, `copycat`. Never used in scoring.
    #[n(2)]
    pub kind: String,
    /// The stake it brings.
    #[n(3)]
    pub stake: Micros,
    /// What its host takes of its earnings; none for a miner that runs itself.
    #[n(4)]
    pub host: Option<HostFee>,
    /// Ed25519 of a miner that registers itself, over [`MinerJoined::signing_bytes`]; none in the network's first records.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: Option<[u8; 64]>,
    /// Whose prepaid money becomes the stake of a miner that registers itself; none in the network's first records.
    #[n(6)]
    pub account: Option<AccountId>,
}

impl MinerJoined {
    /// What the signature covers: domain, network, key, length and bytes of name and of kind, stake; lengths are u32 and
    /// the stake is i64, big-endian. The account is not in it: who pays is for the payer to allow.
    pub fn signing_bytes(
        network: &[u8; 32],
        miner: &MinerId,
        name: &str,
        kind: &str,
        stake: Micros,
    ) -> Vec<u8> {
        let mut out = [REGISTRATION_SIG_DOMAIN, network, &miner.0].concat();
        for text in [name, kind] {
            out.extend((text.len() as u32).to_be_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(stake.0.to_be_bytes());
        out
    }
}

/// What an operator takes for running a miner's model: a part of the miner's cash earnings, rounded down.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct HostFee {
    /// The part.
    #[n(0)]
    pub part: Ppm,
    /// Whom it is owed.
    #[n(1)]
    pub account: AccountId,
}

impl HostFee {
    /// The fee on earnings of this many micro-units: never negative, never more than them, rounded down.
    pub fn of(&self, earned: u64) -> u64 {
        let one = u128::from(Ppm::ONE.0);
        let part = u128::from(self.part.0).min(one);
        u64::try_from(u128::from(earned) * part / one).unwrap_or(earned)
    }
}

/// A validator's signed root of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EpochVote {
    /// Who votes.
    #[n(0)]
    pub validator: ValidatorId,
    /// For which epoch.
    #[n(1)]
    pub epoch: u64,
    /// The root it computed.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub root: [u8; 32],
    /// Ed25519 over [`EpochVote::signing_bytes`]; 64 bytes.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

impl EpochVote {
    /// What the signature covers.
    pub fn signing_bytes(epoch: u64, root: &[u8; 32]) -> Vec<u8> {
        [b"oraculo/epoch-sig/v1\0".as_slice(), &epoch.to_be_bytes(), root].concat()
    }
}

/// One record of the intake stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Intake {
    /// The network starts.
    #[n(0)]
    Genesis(#[n(0)] NetworkRules),
    /// A topic is registered, or its rules change.
    #[n(1)]
    Topic(#[n(0)] TopicRules),
    /// A miner joins.
    #[n(2)]
    Miner(#[n(0)] MinerJoined),
    /// A question opens.
    #[n(3)]
    Question(#[n(0)] Question),
    /// A miner commits.
    #[n(4)]
    Commitment(#[n(0)] Commitment),
    /// A miner reveals.
    #[n(5)]
    Reveal(#[n(0)] Reveal),
    /// A validator reports how a market ended.
    #[n(6)]
    Report(#[n(0)] ResolutionReport),
    /// A customer's account changes.
    #[n(7)]
    Account(#[n(0)] AccountCommand),
    /// A signal is about to be delivered.
    #[n(8)]
    Usage(#[n(0)] Usage),
    /// A validator signs an epoch.
    #[n(9)]
    Vote(#[n(0)] EpochVote),
    /// The clock reached what a machine asked for.
    #[n(10)]
    TimeAdvanced {
        /// The instant reached.
        #[n(0)]
        to: Timestamp,
    },
}
