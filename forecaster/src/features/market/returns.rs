//! Family returns: log returns over several windows, and where the price stands in its recent range.

use super::series::Grid;
use super::{Frame, spec};
use crate::features::{Source, Spec};

/// The windows of the returns, seconds; those below a minute need a fine index.
const WINDOWS_S: [usize; 8] = [10, 30, 60, 120, 300, 900, 1800, 3600];
const ENDS: &str =
    "the history is shorter, or the value at either end was over 60 s old then (15 s for 10 s and 30 s)";
const RANGE: &str = "the history is shorter, or over a tenth of it has no value within 60 s";

const fn ret(name: &'static str, formula: &'static str, source: Source) -> Spec {
    spec(name, formula, "1", [-0.5, 0.5], source, ENDS)
}

/// The features.
pub const SPECS: [Spec; 11] = [
    ret("ret_10s", "ln S − ln S(10 s ago)", Source::FineIndex),
    ret("ret_30s", "ln S − ln S(30 s ago)", Source::FineIndex),
    ret("ret_60s", "ln S − ln S(60 s ago)", Source::Index),
    ret("ret_120s", "ln S − ln S(120 s ago)", Source::Index),
    ret("ret_300s", "ln S − ln S(300 s ago)", Source::Index),
    ret("ret_900s", "ln S − ln S(900 s ago)", Source::Index),
    ret("ret_1800s", "ln S − ln S(1800 s ago)", Source::Index),
    ret("ret_3600s", "ln S − ln S(3600 s ago)", Source::Index),
    spec("range_300s", "ln(highest / lowest) of the last 300 s", "1", [0.0, 0.5], Source::Index, RANGE),
    spec("range_900s", "ln(highest / lowest) of the last 900 s", "1", [0.0, 0.5], Source::Index, RANGE),
    spec(
        "range_pos_900s",
        "ln(S / lowest) / ln(highest / lowest) of the last 900 s; 0.5 if they are equal",
        "1",
        [0.0, 1.0],
        Source::Index,
        RANGE,
    ),
];

/// Computes them.
pub(super) fn put(grid: &Grid, frame: &mut Frame, from: usize) {
    for (i, window) in WINDOWS_S.iter().enumerate() {
        let fine = *window < 60;
        let ret = grid.back(0, fine).and_then(|now| Ok(now - grid.back(*window, fine)?));
        frame.put(from + i, ret);
    }
    frame.put(from + 8, grid.range(5).map(|(high, low)| high - low));
    let range = grid.range(15);
    frame.put(from + 9, range.map(|(high, low)| high - low));
    let place = |(high, low): (f64, f64), now: f64| if high > low { (now - low) / (high - low) } else { 0.5 };
    frame.put(from + 10, range.and_then(|range| Ok(place(range, grid.back(0, false)?))));
}
