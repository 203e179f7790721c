//! Families strike and time: how far the price is from the strike, in σ of the time left, and how much time that is.

use std::f64::consts::SQRT_2;

use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

use super::{Basis, Frame, Why, spec};
use crate::features::updown::Z_CLIP;
use crate::features::{Query, Source, Spec};

const fn z(name: &'static str, formula: &'static str, source: Source) -> Spec {
    spec(
        name,
        formula,
        "σ",
        [-Z_CLIP, Z_CLIP],
        source,
        "the volatility is missing, or the strike is not positive",
    )
}

/// The features.
pub const SPECS: [Spec; 11] = [
    spec("tau_s", "seconds until the close, at least 1", "s", [1.0, 1e7], Source::Clock, "never"),
    spec("sqrt_tau", "√tau_s", "√s", [1.0, 3163.0], Source::Clock, "never"),
    spec(
        "elapsed_s",
        "seconds since the start; negative before it",
        "s",
        [-1e7, 1e7],
        Source::Clock,
        "never",
    ),
    spec(
        "tau_share",
        "tau_s / seconds from start to close, clipped to 0 … 1",
        "1",
        [0.0, 1.0],
        Source::Clock,
        "never",
    ),
    spec(
        "log_moneyness",
        "ln S − ln K",
        "1",
        [-1.0, 1.0],
        Source::Index,
        "no value, too old, or the strike is not positive",
    ),
    z("z_rv_300s", "log_moneyness / (rv_300s · √tau_s), clipped to ±8", Source::FineIndex),
    z("z_rv_900s", "log_moneyness / (rv_900s · √tau_s), clipped to ±8", Source::Index),
    z("z_rv_3600s", "log_moneyness / (rv_3600s · √tau_s), clipped to ±8", Source::Index),
    z("z_ewma_300s", "log_moneyness / (ewma_300s · √tau_s), clipped to ±8", Source::FineIndex),
    z("z_gk_900s", "log_moneyness / (gk_900s · √tau_s), clipped to ±8", Source::FineIndex),
    spec(
        "p_rv_900s",
        "Φ(z_rv_900s): the chance of Up for a driftless walk",
        "1",
        [0.0, 1.0],
        Source::Index,
        "z_rv_900s is missing",
    ),
];

/// Computes them; returns `p_rv_900s` for the family of the market price.
pub(super) fn put(
    query: &Query<'_>,
    at: Timestamp,
    basis: &Basis,
    frame: &mut Frame,
    from: usize,
) -> Result<f64, Why> {
    let tau = seconds(query.resolves_at.since(at)).max(1.0);
    let whole = seconds(query.resolves_at.since(query.starts_at)).max(1.0);
    let root = libm::sqrt(tau);
    frame.put(from, Ok(tau));
    frame.put(from + 1, Ok(root));
    frame.put(from + 2, Ok(seconds(at.since(query.starts_at))));
    frame.put(from + 3, Ok((tau / whole).clamp(0.0, 1.0)));
    let strike = if query.strike.0 > 0 { Ok(libm::log(query.strike.as_f64())) } else { Err(Why::NotFinite) };
    let moneyness = basis.ln.and_then(|spot| Ok(spot - strike?));
    frame.put(from + 4, moneyness);
    let z = |vol: Result<f64, Why>| {
        let vol = vol?;
        moneyness.map(|m| (m / (vol * root)).clamp(-Z_CLIP, Z_CLIP))
    };
    let z_900 = z(basis.rv_900s);
    let all = [z(basis.rv_300s), z_900, z(basis.rv_3600s), z(basis.ewma_300s), z(basis.gk_900s)];
    for (i, z) in all.into_iter().enumerate() {
        frame.put(from + 5 + i, z);
    }
    let p = z_900.map(|z| 0.5 * libm::erfc(-z / SQRT_2));
    frame.put(from + 10, p);
    p
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / NANOS_PER_SEC as f64
}
