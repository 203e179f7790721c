//! Everything that is encoded decodes to itself; everything else is an error, never a panic.

use proptest::prelude::*;
use schemas::*;

use crate::samples;

#[test]
fn every_body_comes_back() {
    for (name, body) in samples::intakes() {
        assert_eq!(decode::<Intake>(&encode(&body)).unwrap(), body, "{name}");
    }
    for (name, body) in samples::verdicts() {
        assert_eq!(decode::<Verdict>(&encode(&body)).unwrap(), body, "{name}");
    }
    for (name, body) in samples::market_events() {
        assert_eq!(decode::<MarketEvent>(&encode(&body)).unwrap(), body, "{name}");
    }
    for (name, body) in samples::raws() {
        assert_eq!(decode::<Raw>(&encode(&body)).unwrap(), body, "{name}");
    }
}

#[test]
fn truncated_and_padded_bytes_are_errors() {
    for (name, body) in samples::intakes() {
        let bytes = encode(&body);
        for cut in 0..bytes.len() {
            assert!(decode::<Intake>(&bytes[..cut]).is_err(), "{name} cut at {cut}");
        }
        let padded = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode::<Intake>(&padded).unwrap_err().code(), "wire_trailing");
    }
}

#[test]
fn a_commitment_binds_every_part() {
    let reveal = samples::reveal();
    let sealed = reveal.commit_hash(&[0; 32]);
    let changed = [
        Reveal { miner: MinerId([8; 32]), ..reveal.clone() },
        Reveal { question: QuestionId([1; 32]), ..reveal.clone() },
        Reveal { bundle: BundleId([1; 32]), ..reveal.clone() },
        Reveal { nonce: [1; 32], ..reveal.clone() },
        Reveal { forecast: Forecast::Probability(Ppm(561_205)), ..reveal.clone() },
    ];
    for other in changed {
        assert_ne!(other.commit_hash(&[0; 32]), sealed);
    }
    assert_ne!(reveal.commit_hash(&[1; 32]), sealed, "another network");
}

#[test]
fn reject_codes_are_unique_and_plain() {
    let mut codes: Vec<_> = RejectCode::ALL.iter().map(|c| c.code()).collect();
    assert!(codes.iter().all(|c| c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), RejectCode::ALL.len());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode::<Intake>(&bytes);
        let _ = decode::<Verdict>(&bytes);
        let _ = decode::<Raw>(&bytes);
        let _ = decode::<MarketEvent>(&bytes);
    }

    #[test]
    fn index_price_prints_what_it_parses(atoms in 0i128..=999_999_999_999_999_999_999_999_999) {
        let price = IndexPrice(atoms);
        prop_assert_eq!(IndexPrice::from_decimal(&price.to_string()), Some(price));
        prop_assert_eq!(IndexPrice::from_atoms(&atoms.to_string()), Some(price));
        prop_assert_eq!(decode::<IndexPrice>(&encode(&price)).unwrap(), price);
    }

    #[test]
    fn q32_product_is_within_one_unit(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
        let (x, y) = (Q32::ratio(a.into(), 1_000_000), Q32::ratio(b.into(), 1_000_000));
        prop_assert!((x.times(y).as_f64() - x.as_f64() * y.as_f64()).abs() < 1e-9);
    }
}
