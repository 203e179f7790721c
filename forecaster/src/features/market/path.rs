//! Family path: the last 32 ten-second log returns, oldest first, so that a recurrent model can read `[batch, 32, 1]`.

use super::series::Grid;
use super::{Frame, spec};
use crate::features::{Source, Spec};

/// How many steps.
pub const LEN: usize = 32;

const NAMES: [&str; LEN] = [
    "path_00", "path_01", "path_02", "path_03", "path_04", "path_05", "path_06", "path_07", "path_08",
    "path_09", "path_10", "path_11", "path_12", "path_13", "path_14", "path_15", "path_16", "path_17",
    "path_18", "path_19", "path_20", "path_21", "path_22", "path_23", "path_24", "path_25", "path_26",
    "path_27", "path_28", "path_29", "path_30", "path_31",
];

/// The features.
pub const SPECS: [Spec; LEN] = specs();

const fn specs() -> [Spec; LEN] {
    let missing = "the history is shorter than 320 s, or over a tenth of it has no value within 15 s";
    let formula = "ln S(10·(31−i) s ago) − ln S(10·(32−i) s ago), i the number in the name";
    let mut out = [spec("", formula, "1", [-0.5, 0.5], Source::FineIndex, missing); LEN];
    let mut i = 0;
    while i < LEN {
        out[i].name = NAMES[i];
        i += 1;
    }
    out
}

/// Computes them.
pub(super) fn put(grid: &Grid, frame: &mut Frame, from: usize) {
    let window = grid.window(LEN * 10, true);
    for i in 0..LEN {
        let newest = LEN - 1 - i;
        frame.put(from + i, window.map(|ln| ln[newest] - ln[newest + 1]));
    }
}
