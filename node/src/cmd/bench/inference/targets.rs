//! The targets T1 to T9 with what was measured and whether that is enough; it never measures anything itself.

use serde_json::{Map, Value, json};

/// What the parts found.
#[derive(Default)]
pub(super) struct Measured {
    /// `{model: {batch: figures}}`.
    pub(super) calls: Map<String, Value>,
    pub(super) batching: Option<Map<String, Value>>,
    pub(super) cadence: Map<String, Value>,
    pub(super) reload: Option<Value>,
    /// MB by model.
    pub(super) growth: Option<Map<String, Value>>,
}

/// One line of the report.
struct Target {
    id: &'static str,
    text: &'static str,
    measured: Option<f64>,
    least: bool,
    bound: f64,
}

impl Target {
    fn at_least(id: &'static str, text: &'static str, bound: f64, measured: Option<f64>) -> Self {
        Self { id, text, measured, least: true, bound }
    }

    fn at_most(id: &'static str, text: &'static str, bound: f64, measured: Option<f64>) -> Self {
        Self { id, text, measured, least: false, bound }
    }

    fn json(&self) -> Value {
        let met = self.measured.map(|m| if self.least { m >= self.bound } else { m <= self.bound });
        let relation = if self.least { "at least" } else { "at most" };
        let reason = self.measured.is_none().then(|| self.reason());
        json!({"id": self.id, "target": self.text, "bound": self.bound, "relation": relation,
            "measured": self.measured, "met": met, "reason": reason})
    }

    fn reason(&self) -> &'static str {
        match self.id {
            "T5" => "needs the Open Inference Protocol endpoint and its FastAPI peer in this command",
            "T7" => "needs the sandbox's worker in this command",
            _ => "this part was skipped; see `skipped`",
        }
    }
}

impl Measured {
    fn call(&self, model: &str, batch: &str, figure: &str) -> Option<f64> {
        self.calls.get(model)?.get(batch)?.get(figure)?.as_f64()
    }

    /// The least value of a figure over all models and batch sizes from 64 up.
    fn least(&self, figure: &str) -> Option<f64> {
        let large = |(batch, figures): (&String, &Value)| {
            (batch.parse::<usize>().ok()? >= 64).then(|| figures[figure].as_f64()).flatten()
        };
        let batches = self.calls.values().filter_map(Value::as_object).flatten();
        batches.filter_map(large).reduce(f64::min)
    }

    fn gain(&self, model: &str) -> Option<f64> {
        self.batching.as_ref()?.get(model)?.get("gain")?.as_f64()
    }

    fn reload(&self, figure: &str) -> Option<f64> {
        self.reload.as_ref()?.get(figure)?.as_f64()
    }

    fn cadence(&self, model: &str) -> Option<f64> {
        self.cadence.get(model)?.get("min_ms")?.as_f64()
    }

    fn trees(&self, batch: &str) -> Option<f64> {
        self.call("lgbm", batch, "ort_over_trees")
    }

    fn differences(&self) -> Option<f64> {
        let batches = self.calls.values().filter_map(Value::as_object).flat_map(Map::values);
        batches.filter_map(|f| f["max_difference"].as_f64()).reduce(f64::max)
    }

    fn targets(&self) -> Vec<Target> {
        let gains = self.batching.iter().flat_map(Map::values).filter_map(|g| g["gain"].as_f64());
        let rate = self.batching.as_ref().and_then(|b| b.get("mlp")?.get("rows_per_s")?.as_f64());
        let wrong = ["lost", "doubled", "mixed"].map(|figure| self.reload(figure));
        let wrong = wrong.into_iter().try_fold(0.0, |sum, n| n.map(|n| sum + n));
        let growth = self.growth.iter().flat_map(Map::values).filter_map(Value::as_f64).reduce(f64::max);
        let large = ["64", "4096"].map(|b| self.trees(b));
        let large = large.into_iter().flatten().reduce(f64::min);
        vec![
            Target::at_most(
                "T1",
                "call over the C interface, mlp, 1 row",
                1.10,
                self.call("mlp", "1", "overhead"),
            ),
            Target::at_least(
                "T2",
                "Python's call over ours, mlp, 1 row",
                1.6,
                self.call("mlp", "1", "python_over_ours"),
            ),
            Target::at_least(
                "T2",
                "Python's call over ours, least from 64 rows up",
                0.98,
                self.least("python_over_ours"),
            ),
            Target::at_least("T3", "ONNX Runtime over our trees, least from 64 rows up", 5.0, large),
            Target::at_least("T3", "ONNX Runtime over our trees, 1 row", 2.5, self.trees("1")),
            Target::at_least(
                "T3",
                "lleaves over our trees, 64 rows",
                3.0,
                self.call("lgbm", "64", "lleaves_over_trees"),
            ),
            Target::at_most("T3", "greatest difference of trees to ONNX Runtime", 2e-6, self.differences()),
            Target::at_least("T4", "batching gain of mlp, 1,024 callers", 9.0, self.gain("mlp")),
            Target::at_least("T4", "rows a second of mlp, 1,024 callers", 600_000.0, rate),
            Target::at_least("T4", "batching gain, least of all models", 0.97, gains.reduce(f64::min)),
            Target::at_least("T5", "requests a second over HTTP, to FastAPI's", 12.0, None),
            Target::at_most("T6", "10,000 markets, mlp, ms", 12.0, self.cadence("mlp")),
            Target::at_most("T6", "10,000 markets, 200 trees, ms", 20.0, self.cadence("lgbm")),
            Target::at_most("T7", "a process of its own, 1 row, microseconds", 10.0, None),
            Target::at_most("T8", "rows lost, doubled or mixed over the reloads", 0.0, wrong),
            Target::at_most("T8", "p99 during reloads to steady", 1.5, self.reload("p99_ratio")),
            Target::at_most("T9", "memory over the reloads, most of any model, MB", 2.0, growth),
        ]
    }
}

/// The whole report.
pub(super) fn report(measured: &Measured, skipped: Vec<(String, String)>) -> Value {
    let pick = |of: &Map<String, Value>, figure: &str| -> Map<String, Value> {
        of.iter().map(|(key, figures)| (key.clone(), figures[figure].clone())).collect()
    };
    let vs_python: Map<String, Value> = measured
        .calls
        .iter()
        .filter_map(|(model, batches)| {
            Some((model.clone(), Value::Object(pick(batches.as_object()?, "python_over_ours"))))
        })
        .collect();
    let trees: Map<String, Value> =
        ["1", "64", "4096"].map(|b| (b.to_owned(), json!(measured.trees(b)))).into_iter().collect();
    let skipped: Vec<Value> =
        skipped.into_iter().map(|(part, why)| json!({"part": part, "reason": why})).collect();
    json!({
        "overhead_ratio_mlp_b1": measured.call("mlp", "1", "overhead"),
        "vs_python": vs_python,
        "trees_vs_ort": trees,
        "batching_gain": measured.batching.as_ref().map(|b| pick(b, "gain")),
        "cadence_10k_mlp_ms": measured.cadence("mlp"),
        "cadence_10k_trees_ms": measured.cadence("lgbm"),
        "reload": measured.reload,
        "rss_growth_mb": measured.growth,
        "targets": measured.targets().iter().map(Target::json).collect::<Vec<_>>(),
        "detail": {"calls_ns": measured.calls, "batching": measured.batching, "cadence": measured.cadence},
        "skipped": skipped,
    })
}
