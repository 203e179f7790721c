//! Every code of a check has its line in the documents.

use forecaster::Check;

#[test]
fn every_code_is_documented() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md")).unwrap();
    let missing: Vec<&str> =
        Check::ALL.iter().map(|c| c.code()).filter(|c| !text.contains(&format!("| `{c}` |"))).collect();
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}
