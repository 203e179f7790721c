//! Deterministic ids: 32 bytes, written as lower-case hex; none is ever drawn at random here.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

/// Text that is not the 64 hex digits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 64 lower-case hex digits")]
pub struct BadId;

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The first 8 hex digits, for people.
            pub fn short(&self) -> String {
                hex::encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(BadId);
                }
                let mut out = [0; 32];
                hex::decode_to_slice(text, &mut out).map_err(|_| BadId)?;
                Ok(Self(out))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                let bytes = d.bytes()?.try_into();
                bytes.map(Self).map_err(|_| minicbor::decode::Error::message("an id has 32 bytes"))
            }
        }
    };
}

id32!(/// A miner: its Ed25519 public key (RFC 8032).
    MinerId);
id32!(/// A validator: its Ed25519 public key (RFC 8032).
    ValidatorId);
id32!(/// A question, derived from topic, rules version, market and opening time.
    QuestionId);
id32!(/// The salted hash that seals a forecast until the reveal.
    CommitHash);
id32!(/// A model bundle: BLAKE3 over its manifest and model bytes.
    BundleId);
id32!(/// A signal, derived from its question.
    SignalId);
id32!(/// A billable unit: one (subscription, topic, slot).
    UnitId);
id32!(/// A ledger transaction, derived from what caused it.
    TxnId);
id32!(/// A 64-byte signature's first half is no id; this is the hash of evidence bytes.
    EvidenceHash);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub String);

        impl $name {
            /// Checks length (1 ..= 64) and alphabet (`a-z 0-9 . _ -`).
            pub fn new(text: &str) -> Option<Self> {
                crate::id::is_name(text).then(|| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
pub(crate) use name_id;

name_id!(/// A customer's account.
    AccountId);
name_id!(/// A customer's subscription.
    SubscriptionId);

/// Whether `text` may name a topic, account or subscription: 1 ..= 64 of `a-z 0-9 . _ -`.
pub fn is_name(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(ok)
}

/// BLAKE3 of `domain`, a zero byte, and each part prefixed with its length (u64, big-endian).
///
/// The length prefix makes `("ab", "c")` and `("a", "bc")` different.
pub fn derive(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain.as_bytes());
    hasher.update(&[0]);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trip_and_bad_forms() {
        let id = QuestionId(derive("test", &[b"a"]));
        assert_eq!(id.to_string().parse::<QuestionId>(), Ok(id));
        for bad in ["", "00", &id.to_string().to_uppercase(), &format!("{id}00")] {
            assert_eq!(bad.parse::<QuestionId>(), Err(BadId));
        }
    }

    #[test]
    fn parts_cannot_slide_into_each_other() {
        assert_ne!(derive("d", &[b"ab", b"c"]), derive("d", &[b"a", b"bc"]));
        assert_ne!(derive("d", &[b"ab"]), derive("da", &[b"b"]));
    }

    #[test]
    fn names_are_plain() {
        assert!(is_name("btc-usd.up-5m.60s"));
        for bad in ["", "A", "a b", "a/b", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
