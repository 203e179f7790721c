//! Key files: made once, private, never overwritten.

use forecaster::edge::key_file::{generate, load, load_or_generate};

#[test]
fn made_once_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("miner.key");
    let made = generate(&path).unwrap();
    assert_eq!(load(&path).unwrap().id(), made.id());
    assert_eq!(load_or_generate(&path).unwrap().id(), made.id());
    let again = generate(&path).unwrap_err();
    assert_eq!(again.code(), "key_file");
    assert_eq!(load(&path).unwrap().id(), made.id(), "the file was not touched");
    assert_ne!(generate(&dir.path().join("other.key")).unwrap().id(), made.id());
}

#[cfg(unix)]
#[test]
fn what_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("miner.key");
    generate(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let secret = std::fs::read_to_string(&path).unwrap();
    let check = |name: &str, content: &str, mode: u32, part: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = load(&path).unwrap_err();
        assert_eq!(error.code(), "key_file");
        let text = error.to_string();
        assert!(text.contains(part) && !text.contains(secret.trim()), "{name}: {text}");
    };
    check("group", &secret, 0o640, "chmod 600");
    check("world", &secret, 0o604, "chmod 600");
    check("short", &secret[..60], 0o600, "64 hex digits");
    check("long", &format!("{}ab\n", secret.trim()), 0o600, "64 hex digits");
    check("empty", "", 0o600, "64 hex digits");
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    assert!(load(&dir.path().join("link")).unwrap_err().to_string().contains("not a plain file"));
    assert!(load(&dir.path().join("none")).is_err());
}
