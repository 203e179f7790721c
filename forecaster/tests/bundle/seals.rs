//! Signatures of bundles: taken when they are of the key and the bundle, refused with one code when anything differs.

use forecaster::MinerKey;
use forecaster::bundle::{BundleLimits, Parts, Policy};

use crate::support::{code, parts};

fn check(parts: Parts) -> &'static str {
    code(parts.check(Policy::Local, &BundleLimits::default()))
}

#[test]
fn a_signature_is_of_one_bundle_and_one_key() {
    let key = MinerKey::from_seed([7; 32]);
    let bundle = parts().check(Policy::Hosted, &BundleLimits::default()).unwrap();
    assert!(bundle.seal().is_none());
    let text = key.seal(&bundle.id()).to_json(&bundle.id());
    let signed = Parts { signature: Some(text.clone()), ..parts() };
    let taken = signed.clone().check(Policy::Hosted, &BundleLimits::default()).unwrap();
    assert_eq!(taken.seal().unwrap().pubkey, key.id().0);
    assert_eq!(taken.id(), bundle.id(), "a signature does not change what is signed");
    // The golden pairs and the read-me may change; manifest and model may not.
    let other = Parts { readme: Some("read me".to_owned()), ..signed.clone() };
    assert_eq!(check(other), "ok");
    let other = Parts { manifest: signed.manifest.replace("1.0.0", "1.0.1"), ..signed.clone() };
    assert_eq!(check(other), "bundle_signature");
    let bad = [
        "{}".to_owned(),
        text.replace("ed25519", "rsa"),
        text.replace("\"schema\": 1", "\"schema\": 2"),
        text.replace("\"schema\"", "\"extra\": 1, \"schema\""),
        text.replace(&hex::encode(key.id().0), &hex::encode(MinerKey::from_seed([8; 32]).id().0)),
        text.replace(&hex::encode(key.id().0), &hex::encode([0; 32])),
        text.replace(&hex::encode(key.id().0), "abc"),
        text.replace(&hex::encode(taken.seal().unwrap().signature), &"0".repeat(128)),
    ];
    for text in bad {
        assert_eq!(check(Parts { signature: Some(text.clone()), ..parts() }), "bundle_signature", "{text}");
    }
}
