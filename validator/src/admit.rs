//! Admission of predictions: the only place where an [`Admitted`] is made; it never changes the state.
//!
//! Checks run from cheap to dear: look-ups, windows, shape, hash, and the signature last. Lateness is decided by log
//! order: a record is late when it, or any record before it, is stamped at or after the end of the window.

use ed25519_dalek::{Signature, VerifyingKey};
use schemas::{Commitment, Forecast, MinerId, Ppm, QuestionId, RejectCode, Reveal, ScoringRule};

use crate::round::{Entry, Round};
use crate::validator::Validator;

/// Proof that a record passed admission; only this module can make one.
#[derive(Debug)]
pub struct Admitted<T>(T);

impl<T> Admitted<T> {
    /// The record.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Whether `signature` is the key's strict Ed25519 signature (RFC 8032, no malleability, no weak keys) of `message`.
pub fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// `Ok` if the condition holds, the code otherwise.
pub(crate) fn ensure(holds: bool, code: RejectCode) -> Result<(), RejectCode> {
    if holds { Ok(()) } else { Err(code) }
}

impl Validator {
    /// Checks a commitment.
    pub(crate) fn admit_commitment(&self, c: &Commitment) -> Result<Admitted<Commitment>, RejectCode> {
        let (round, entry) = self.participant(&c.question, &c.miner)?;
        ensure(self.now >= round.question.opens_at, RejectCode::CommitTooEarly)?;
        ensure(self.now < round.question.commit_closes_at, RejectCode::CommitTooLate)?;
        let entry = entry.ok_or(RejectCode::NoStake)?;
        ensure(entry.seal.is_none(), RejectCode::DuplicateCommitment)?;
        ensure(self.seals.get(&c.hash).is_none_or(|who| *who == c.miner), RejectCode::CommitmentReplayed)?;
        let message = Commitment::signing_bytes(&c.question, &c.miner, &c.hash);
        ensure(is_signed(&c.miner.0, &message, &c.signature), RejectCode::BadSignature)?;
        Ok(Admitted(c.clone()))
    }

    /// Checks a reveal; a refused one uses nothing up, a right one may still follow.
    pub(crate) fn admit_reveal(&self, r: &Reveal) -> Result<Admitted<(Reveal, Ppm)>, RejectCode> {
        let (round, entry) = self.participant(&r.question, &r.miner)?;
        ensure(self.now >= round.question.commit_closes_at, RejectCode::RevealTooEarly)?;
        ensure(self.now < round.question.reveal_closes_at, RejectCode::RevealTooLate)?;
        let entry = entry.ok_or(RejectCode::NoCommitment)?;
        let seal = entry.seal.ok_or(RejectCode::NoCommitment)?;
        ensure(entry.p.is_none(), RejectCode::DuplicateReveal)?;
        let p = probability(round.scoring, &r.forecast)?;
        let network = self.network.as_ref().ok_or(RejectCode::NoGenesis)?;
        let hash = r.commit_hash(&network.hash);
        ensure(hash == seal, RejectCode::HashMismatch)?;
        ensure(is_signed(&r.miner.0, &Reveal::signing_bytes(&hash), &r.signature), RejectCode::BadSignature)?;
        Ok(Admitted((r.clone(), p)))
    }

    /// The round and the miner's part in it, if it has stake at risk there.
    fn participant(&self, id: &QuestionId, miner: &MinerId) -> Result<(&Round, Option<&Entry>), RejectCode> {
        let round = self.rounds.get(id).ok_or(RejectCode::UnknownQuestion)?;
        ensure(self.miners.contains_key(miner), RejectCode::UnknownMiner)?;
        Ok((round, round.entries.get(miner)))
    }
}

/// The probability of a forecast, if the rule wants one.
fn probability(rule: ScoringRule, forecast: &Forecast) -> Result<Ppm, RejectCode> {
    match (rule, forecast) {
        (ScoringRule::Brier, Forecast::Probability(p)) => {
            ensure(forecast.is_valid(), RejectCode::InvalidForecast)?;
            Ok(*p)
        }
        _ => Err(RejectCode::WrongForecastKind),
    }
}
