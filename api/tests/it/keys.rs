//! The key file: private, hashed, shared between processes, never the secret.

use std::os::unix::fs::PermissionsExt as _;

use api::keys::{KeyStore, Scope};
use schemas::{AccountId, Timestamp};

fn account() -> AccountId {
    AccountId::new("demo").unwrap()
}

#[test]
fn no_secret_is_at_rest_and_the_file_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/keys.jsonl");
    let store = KeyStore::open(&path).unwrap();
    let key = store.create(&account(), &[Scope::Stream], None, Timestamp::from_secs(1)).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        let bytes = std::fs::read(entry.path()).unwrap();
        let secret = &key.secret.as_bytes()["orc_live_".len() + 8..];
        assert!(!bytes.windows(12).any(|w| secret.windows(12).any(|s| s == w)), "{entry:?} has the secret");
        files += 1;
    }
    assert!(files >= 1);
    assert!(!format!("{key:?}").contains(&key.secret), "debug output hides the secret");
}

#[test]
fn a_key_lives_and_dies() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let store = KeyStore::open(&path).unwrap();
    let at = Timestamp::from_secs;
    let good = store.create(&account(), &Scope::ALL, None, at(1)).unwrap();
    let short = store.create(&account(), &[Scope::AccountRead], Some(at(10)), at(2)).unwrap();
    assert_eq!(store.check(&good.secret, at(5)).unwrap().scopes, Scope::ALL);
    assert_eq!(store.check(&short.secret, at(9)).unwrap().account, account());
    let code = |secret: &str, now| store.check(secret, at(now)).unwrap_err().code();
    assert_eq!(code(&short.secret, 10), "key_expired");
    let mut typo = good.secret.clone();
    typo.pop();
    assert_eq!(code(&typo, 5), "key_malformed");
    // Another process: its changes are seen, and ours by it.
    let other = KeyStore::open(&path).unwrap();
    other.revoke(&good.info.hint, at(6)).unwrap();
    assert_eq!(code(&good.secret, 7), "key_revoked");
    assert_eq!(store.recheck(&good.info, at(7)).unwrap_err().code(), "key_revoked");
    assert_eq!(store.revoke("orc_live_nobody", at(6)).unwrap_err().code(), "key_unknown");
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|k| (k.hint, k.revoked_at)).collect();
    assert_eq!(listed, [(good.info.hint, Some(at(6))), (short.info.hint, None)]);
    let stranger = KeyStore::open(dir.path().join("other.jsonl")).unwrap();
    let unknown = stranger.create(&account(), &[], None, at(1)).unwrap();
    assert_eq!(code(&unknown.secret, 5), "key_unknown");
}

#[test]
fn a_broken_file_is_refused_and_names_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.jsonl");
    let store = KeyStore::open(&path).unwrap();
    let key = store.create(&account(), &Scope::ALL, None, Timestamp::from_secs(1)).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}{{\"hint\":1}}\n")).unwrap();
    let error = store.check(&key.secret, Timestamp::from_secs(2)).unwrap_err();
    assert_eq!((error.code(), error.to_string().contains('2')), ("key_file_malformed", true));
    assert_eq!(KeyStore::open(&path).unwrap_err().code(), "key_file_malformed");
    assert_eq!(
        store.create(&AccountId("No!".into()), &[], None, Timestamp::ZERO).unwrap_err().code(),
        "account_invalid"
    );
}
