//! Identifiers of made-up markets in the venue's forms; each follows from the seed and the market's number alone.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use super::decimal::push_hex;

/// Powers of ten that fit a limb, for the decimal text of 256 bits.
const CHUNK: u128 = 1_000_000_000_000_000_000;

/// 32 bytes for one purpose.
fn bytes(seed: u64, number: u64, purpose: &str) -> [u8; 32] {
    let mut input = Vec::with_capacity(64);
    input.extend_from_slice(&seed.to_be_bytes());
    input.extend_from_slice(&number.to_be_bytes());
    input.extend_from_slice(purpose.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, &input).as_ref());
    out
}

/// `0x` and 64 hex digits: condition ids, question ids, transaction hashes.
pub fn hex32(seed: u64, number: u64, purpose: &str) -> String {
    let mut out = String::with_capacity(66);
    out.push_str("0x");
    push_hex(&mut out, &bytes(seed, number, purpose));
    out
}

/// `0x` and 40 hex digits: wallets and contracts.
pub fn address(seed: u64, number: u64, purpose: &str) -> String {
    let mut out = String::with_capacity(42);
    out.push_str("0x");
    push_hex(&mut out, &bytes(seed, number, purpose)[..20]);
    out
}

/// A token id: 256 bits as decimal text, up to 78 digits.
pub fn token(seed: u64, number: u64, outcome: u8) -> String {
    let bytes = bytes(seed, number, if outcome == 0 { "token-yes" } else { "token-no" });
    let mut limbs: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|chunk| chunk.iter().fold(0_u64, |acc, &b| acc << 8 | u64::from(b)))
        .collect();
    let mut chunks = Vec::with_capacity(5);
    while limbs.iter().any(|&limb| limb != 0) {
        let mut rest = 0_u128;
        for limb in &mut limbs {
            let value = rest << 64 | u128::from(*limb);
            // The quotient fits: `rest` is below CHUNK, so `value` is below CHUNK · 2^64.
            *limb = (value / CHUNK) as u64;
            rest = value % CHUNK;
        }
        chunks.push(rest as u64);
    }
    let mut out = chunks.pop().unwrap_or(0).to_string();
    for chunk in chunks.iter().rev() {
        write!(out, "{chunk:018}").expect("writing to a String cannot fail");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_venues_forms_and_follow_from_the_seed() {
        let id = hex32(7, 3, "condition");
        assert!(id.len() == 66 && id.starts_with("0x") && id == hex32(7, 3, "condition"));
        assert_ne!(id, hex32(8, 3, "condition"));
        assert_eq!(address(7, 3, "wallet").len(), 42);
        let tokens: std::collections::BTreeSet<_> =
            (0..500).flat_map(|n| [token(7, n, 0), token(7, n, 1)]).collect();
        assert_eq!(tokens.len(), 1_000);
        for token in tokens {
            assert!((60..=78).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_digit()), "{token}");
        }
    }
}
