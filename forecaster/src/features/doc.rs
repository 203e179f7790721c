//! The tables of `docs/features.md`, made from the sets' own specs; a test compares them with the file.

use std::fmt::Write as _;

use super::FeatureSet;

/// The Markdown table of a set: number, name, formula, unit, legal range, source, what makes it missing.
pub fn table(set: &FeatureSet) -> String {
    let mut out = String::from(
        "| # | name | formula | unit | range | source | missing when |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (i, spec) in set.specs.iter().enumerate() {
        let (least, most) = (number(spec.least), number(spec.most));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| {i} | `{}` | {} | {} | {least} to {most} | {} | {} |",
            spec.name,
            spec.formula,
            spec.unit,
            spec.source.name(),
            spec.missing
        );
    }
    out
}

/// As short as it can be read back.
fn number(x: f64) -> String {
    if x != 0.0 && (x.abs() < 1e-3 || x.abs() >= 1e6) { format!("{x:e}") } else { format!("{x}") }
}
