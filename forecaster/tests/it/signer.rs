//! Commitments seal, open and bind; keys sign what the validator will check, strictly.

use ed25519_dalek::{Signature, VerifyingKey};
use forecaster::MinerKey;
use schemas::{BundleId, Commitment, Forecast, MinerId, NetworkRules, Ppm, QuestionId, Reveal};

use crate::support::question_id;

const NETWORK: [u8; 32] = [3; 32];

fn key(n: u8) -> MinerKey {
    MinerKey::from_seed([n; 32])
}

fn verifies(miner: &MinerId, message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(&miner.0)
        .is_ok_and(|k| k.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

/// A field's name and how to spoil it.
type Spoil<T> = (&'static str, fn(&mut T));

fn pair(n: u8) -> (Commitment, Reveal) {
    let (q, bundle, forecast) = (question_id(9), BundleId([5; 32]), Forecast::Probability(Ppm(612_345)));
    (key(n).commit(&NETWORK, bundle, q, &forecast), key(n).reveal(&NETWORK, bundle, q, &forecast))
}

/// What a validator checks: both signatures, same miner and question, and the hash.
fn opens(network: &[u8; 32], c: &Commitment, r: &Reveal) -> bool {
    let hash = r.commit_hash(network);
    verifies(&c.miner, &Commitment::signing_bytes(&c.question, &c.miner, &c.hash), &c.signature)
        && verifies(&r.miner, &Reveal::signing_bytes(&hash), &r.signature)
        && (c.miner, c.question, c.hash) == (r.miner, r.question, hash)
}

#[test]
fn a_commitment_opens() {
    let (c, r) = pair(1);
    assert!(opens(&NETWORK, &c, &r));
    assert_eq!(pair(1), (c, r), "the same again, so a crash loses nothing");
}

#[test]
fn every_field_is_bound() {
    let (c, r) = pair(1);
    let spoil: [Spoil<Reveal>; 6] = [
        ("miner", |r| r.miner = key(2).id()),
        ("question", |r| r.question = question_id(8)),
        ("bundle", |r| r.bundle = BundleId([6; 32])),
        ("nonce", |r| r.nonce[31] ^= 1),
        ("forecast", |r| r.forecast = Forecast::Probability(Ppm(612_346))),
        ("signature", |r| r.signature[0] ^= 1),
    ];
    for (field, spoil) in spoil {
        let mut bad = r.clone();
        spoil(&mut bad);
        assert!(!opens(&NETWORK, &c, &bad), "{field} of the reveal is not bound");
    }
    let spoil: [Spoil<Commitment>; 4] = [
        ("miner", |c| c.miner = key(2).id()),
        ("question", |c| c.question = question_id(8)),
        ("hash", |c| c.hash.0[0] ^= 1),
        ("signature", |c| c.signature[63] ^= 1),
    ];
    for (field, spoil) in spoil {
        let mut bad = c.clone();
        spoil(&mut bad);
        assert!(!opens(&NETWORK, &bad, &r), "{field} of the commitment is not bound");
    }
    assert!(!opens(&[4; 32], &c, &r), "the network is not bound");
}

#[test]
fn another_miners_hash_cannot_be_opened() {
    // Miner 2 submits miner 1's hash as its own, with a sound signature, and later repeats miner 1's reveal.
    let (c1, r1) = pair(1);
    let thief = key(2);
    let bundle = r1.bundle;
    let mut stolen = thief.commit(&NETWORK, bundle, c1.question, &r1.forecast);
    assert_ne!(stolen.hash, c1.hash, "equal forecasts of two miners look different");
    stolen.hash = c1.hash;
    let mut copied = r1.clone();
    copied.miner = thief.id();
    assert_ne!(copied.commit_hash(&NETWORK), stolen.hash);
    assert!(!opens(&NETWORK, &stolen, &copied));
}

#[test]
fn nonces_differ_and_never_change() {
    let nonce = |k: u8, network: u8, q: u8| key(k).nonce(&[network; 32], &question_id(q));
    let all = [nonce(1, 1, 1), nonce(2, 1, 1), nonce(1, 2, 1), nonce(1, 1, 2)];
    for (i, a) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|b| a != b));
    }
    // Pinned: if these change, miners cannot open what they sealed before an upgrade.
    assert_eq!(key(1).id().to_string(), PINNED_ID);
    assert_eq!(QuestionId(nonce(1, 1, 1)).to_string(), PINNED_NONCE);
}

const PINNED_ID: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";
const PINNED_NONCE: &str = "ece263a2d3ff9f6c9d960d3a75f258de5969cd33ad3c573cea9726c8f6a64e7f";

#[test]
fn a_key_does_not_show_its_secret() {
    let shown = format!("{:?}", MinerKey::from_seed([0xab; 32]));
    assert!(!shown.contains("abab"), "{shown}");
    assert!(shown.starts_with("MinerKey("));
}

#[test]
fn the_network_hash_is_what_commitments_carry() {
    let rules = |name: &str| NetworkRules {
        network: name.to_owned(),
        epoch_ns: 1,
        max_loss: Ppm(1),
        emission_per_epoch: schemas::Micros(0),
        validators: vec![],
        revenue_split: [Ppm(250_000); 4],
    };
    let forecast = Forecast::Probability(Ppm(1));
    let hash = |name: &str| {
        key(1).commit(&rules(name).network_hash(), BundleId::default(), question_id(1), &forecast).hash
    };
    assert_ne!(hash("a"), hash("b"));
}
