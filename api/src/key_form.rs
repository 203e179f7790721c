//! The form of an API key: `orc_live_`, 30 base62 characters, 6 of CRC-32; it knows no store and no clock.

use sha2::{Digest as _, Sha256};

/// What every key begins with; secret scanners look for it.
pub(crate) const PREFIX: &str = "orc_live_";
/// Characters of secret: 178 bits.
const BODY: usize = 30;
/// Characters of check sum.
const SUM: usize = 6;
/// Characters after the prefix that a store may show.
const HINT: usize = 8;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Random bytes to draw for one key; enough that too few usable ones are out of the question.
pub(crate) const RANDOM_BYTES: usize = 64;

/// A key from random bytes; bytes of 248 and more are skipped so that all digits are equally likely.
/// `None` if too few bytes are usable.
pub(crate) fn from_random(bytes: &[u8]) -> Option<String> {
    let usable = bytes.iter().filter(|b| **b < 248).map(|b| DIGITS[usize::from(b % 62)]);
    let body: Vec<u8> = usable.take(BODY).collect();
    if body.len() < BODY {
        return None;
    }
    let sum = base62(crc32(&body));
    let ascii = [PREFIX.as_bytes(), &body, &sum].concat();
    String::from_utf8(ascii).ok()
}

/// Whether the text has the form and its check sum is right: a typo never reaches the store.
pub(crate) fn is_well_formed(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let bytes = rest.as_bytes();
    if bytes.len() != BODY + SUM || !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return false;
    }
    let (body, sum) = bytes.split_at(BODY);
    base62(crc32(body)) == sum
}

/// The part of a well-formed key that may be stored and shown.
pub(crate) fn hint(text: &str) -> &str {
    text.get(..PREFIX.len() + HINT).unwrap_or_default()
}

/// SHA-256 of a key; what is stored.
pub(crate) fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn base62(mut value: u32) -> [u8; SUM] {
    let mut out = [b'0'; SUM];
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(value % 62) as usize];
        value /= 62;
    }
    out
}

/// CRC-32 (ISO 3309, polynomial 0xEDB88320), bit by bit: keys are short.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_gives_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn every_typo_of_one_character_is_seen() {
        let key = from_random(&[7; RANDOM_BYTES]).unwrap();
        assert_eq!(key.len(), 45);
        assert!(is_well_formed(&key));
        for at in PREFIX.len()..key.len() {
            let mut typo = key.clone().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(&String::from_utf8(typo).unwrap()), "{at}");
        }
        for bad in ["", "orc_live_", "orc_test_", &key[1..], &key[..44], &format!("{key}0")] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn bytes_that_would_favour_digits_are_skipped() {
        assert_eq!(from_random(&[248; RANDOM_BYTES]), None);
        assert_eq!(from_random(&[5; 29]), None);
    }
}
