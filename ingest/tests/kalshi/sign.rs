//! The signature against an independent implementation; the keys are made here and used nowhere else.

use base64::Engine as _;
use ingest::edge::kalshi_sign::{KalshiSigner, message};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::sha2::Sha256;
use rsa::signature::Verifier as _;

const AT: i64 = 1_782_873_105_000;
const PATH: &str = "/trade-api/v2/markets?limit=10";

fn verifies(key: &rsa::RsaPrivateKey, signature: &str, text: &str) -> bool {
    let bytes = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
    let signature = rsa::pss::Signature::try_from(&bytes[..]).unwrap();
    // The verifier insists on a salt of 32 bytes.
    let verifying = rsa::pss::VerifyingKey::<Sha256>::new_with_salt_len(key.to_public_key(), 32);
    verifying.verify(text.as_bytes(), &signature).is_ok()
}

#[test]
fn another_implementation_accepts_the_signature_and_nothing_else() {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap();
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).unwrap();
    let pkcs8 = key.to_pkcs8_pem(LineEnding::CRLF).unwrap();
    for pem in [pkcs1, pkcs8] {
        let signer = KalshiSigner::from_pem("key-1", pem.as_bytes()).unwrap();
        let [(id_name, id), (at_name, at), (name, signature)] = signer.headers("GET", PATH, AT).unwrap();
        assert_eq!((id_name, id.as_str()), ("KALSHI-ACCESS-KEY", "key-1"));
        assert_eq!((at_name, at), ("KALSHI-ACCESS-TIMESTAMP", AT.to_string()));
        assert_eq!(name, "KALSHI-ACCESS-SIGNATURE");
        assert!(verifies(&key, &signature, &format!("{AT}GET/trade-api/v2/markets")));
        for (method, path, at) in
            [("POST", PATH, AT), ("GET", "/trade-api/v2/events", AT), ("GET", PATH, AT + 1)]
        {
            assert!(!verifies(&key, &signature, &message(method, path, at).unwrap()), "{method} {path} {at}");
        }
        let [_, _, (_, again)] = signer.headers("GET", PATH, AT).unwrap();
        assert_ne!(again, signature, "the salt is fresh");
        let [_, _, (_, handshake)] = signer.handshake(AT).unwrap();
        assert!(verifies(&key, &handshake, &format!("{AT}GET/trade-api/ws/v2")));
        assert_eq!(format!("{signer:?}"), r#"KalshiSigner { key_id: "key-1", .. }"#);
    }
}

#[test]
fn unusable_keys_are_refused_with_a_reason() {
    let small = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1_024).unwrap();
    let small = small.to_pkcs8_pem(LineEnding::LF).unwrap();
    let ec = "-----BEGIN EC PRIVATE KEY-----\nMAUCAQEEAA==\n-----END EC PRIVATE KEY-----\n";
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (id, pem, code) in [
        ("", small.as_str(), "bad_key_id"),
        ("a\nb", small.as_str(), "bad_key_id"),
        ("k", "no key at all", "not_pem"),
        ("k", ec, "not_rsa"),
        ("k", garbage, "bad_key"),
        ("k", small.as_str(), "bad_key"),
    ] {
        assert_eq!(KalshiSigner::from_pem(id, pem.as_bytes()).unwrap_err().code(), code);
    }
}
