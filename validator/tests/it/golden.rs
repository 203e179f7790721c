//! Golden vectors made by others: binary scores, CRPS, pools; skipped loudly where the shared folder is absent.

use schemas::Ppm;
use serde_json::Value;
use validator::blend::{linear_pool, log_odds_pool};
use validator::score::{
    brier, crps_ensemble, crps_ensemble_fair, crps_quantile, log_loss, log_score, squared_error,
};

const DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors");

/// Runs `check(input, expected)` on every case of a calculation; at least `least` cases must be there.
fn cases(file: &str, calc: &str, least: usize, check: impl Fn(&Value, &Value)) {
    let Ok(text) = std::fs::read_to_string(format!("{DIR}/{file}")) else {
        eprintln!("SKIPPED: {DIR}/{file} is absent, {calc} is not checked against golden vectors");
        return;
    };
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_calc: Vec<Value> = all.filter(|case| case["calc"] == calc).collect();
    assert!(of_calc.len() >= least, "{calc}: {} cases", of_calc.len());
    for case in of_calc {
        check(&case["input"], &case["expected"]);
    }
}

fn list(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Relative 1e-9, with absolute 1e-12 near zero.
fn near(got: f64, want: &Value, what: &str) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= 1e-9 * want.abs() + 1e-12, "{what}: {got} is not {want}");
}

#[test]
fn binary_scores() {
    cases("scores.jsonl", "binary", 8, |input, expected| {
        let outcomes: Vec<bool> = list(&input["y"]).iter().map(|y| *y == 1.0).collect();
        let pairs: Vec<(f64, bool)> = list(&input["p"]).into_iter().zip(outcomes).collect();
        let mean = |f: &dyn Fn(f64, bool) -> f64| {
            pairs.iter().map(|(p, y)| f(*p, *y)).sum::<f64>() / pairs.len() as f64
        };
        let in_ppm = pairs.iter().all(|(p, _)| (p * 1e6 - (p * 1e6).round()).abs() < 1e-6);
        if in_ppm {
            let ppm = |p| Ppm::from_f64(p).unwrap();
            near(mean(&|p, y| squared_error(ppm(p), y) as f64 / 1e12), &expected["brier"], "brier");
            let q32 = mean(&|p, y| 1.0 - brier(ppm(p), y).as_f64());
            assert!((q32 - expected["brier"].as_f64().unwrap()).abs() < 1.0 / 4_294_967_296.0);
            if let Some(log) = expected["log_score_nats"].as_f64() {
                // The clip at 1e-6 shows where a forecast was certain.
                assert!((mean(&|p, y| log_score(ppm(p), y).as_f64()) - log).abs() < 1.1e-6);
            }
        } else {
            near(mean(&|p, y| (p - f64::from(u8::from(y))).powi(2)), &expected["brier"], "brier");
        }
        if !expected["log_score_nats"].is_null() {
            near(mean(&log_loss), &expected["log_score_nats"], "log");
        }
        let clipped = mean(&|p, y| log_loss(p.clamp(0.01, 0.99), y));
        near(clipped, &expected["log_score_clipped_01_99"], "log clipped");
    });
}

#[test]
fn crps_of_quantiles() {
    cases("scores.jsonl", "crps.quantile", 1, |input, expected| {
        let got = crps_quantile(
            input["obs"].as_f64().unwrap(),
            &list(&input["levels"]),
            &list(&input["quantiles"]),
        );
        near(got, &expected["crps"], "crps");
    });
}

#[test]
fn crps_of_ensembles() {
    cases("scores.jsonl", "crps.ensemble", 9, |input, expected| {
        let (obs, ensemble) = (input["obs"].as_f64().unwrap(), list(&input["ensemble"]));
        near(crps_ensemble(obs, &ensemble), &expected["crps"], "crps");
        match crps_ensemble_fair(obs, &ensemble) {
            Some(fair) => near(fair, &expected["crps_fair"], "fair"),
            None => assert!(expected["crps_fair"].is_null()),
        }
    });
}

#[test]
fn log_odds_and_linear_pools() {
    cases("mechanisms.jsonl", "pools", 5, |input, expected| {
        let (probs, weights) = (list(&input["probs"]), list(&input["weights"]));
        near(linear_pool(&probs, &weights), &expected["linear"], "linear");
        near(log_odds_pool(&probs, &weights, 1.0), &expected["log_odds"], "log odds");
        let extremise = input["extremise"].as_f64().unwrap();
        near(log_odds_pool(&probs, &weights, extremise), &expected["log_odds_extremised"], "extremised");
    });
}
