//! `docs/features.md` says what the code computes: its tables are made from the code's own.

use std::path::Path;

use forecaster::features::{SETS, doc};

#[test]
fn the_document_has_every_table_as_the_code_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/features.md");
    let text = std::fs::read_to_string(&path).unwrap();
    for set in SETS {
        assert!(
            text.contains(&doc::table(set)),
            "docs/features.md is not up to date: put `oraculo features list --set {} --markdown` there",
            set.name
        );
        assert!(text.contains(&format!("`{}`", set.name)));
    }
}
