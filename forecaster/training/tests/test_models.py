"""The exported graph says what the trained model says; gradients are right; the same seed gives the same bytes."""

import tempfile
import unittest
from pathlib import Path

import lightgbm
import numpy as np
import onnx

from oraculo_training import KitError, bundle, calibration, forecaster, graph, numeric, run, split
from oraculo_training.models import MODELS, gru, lightgbm_model, mlp, trainer

from . import made


def hostile(x):
    """Rows far outside of what was trained on, all finite."""
    wild = np.random.default_rng(1).standard_normal(x[:200].shape) * 10.0 ** np.random.default_rng(2).integers(-8, 6, x[:200].shape)
    return np.vstack([x, wild.astype(np.float32), np.zeros((1, x.shape[1]), np.float32)])


class Export(unittest.TestCase):
    def test_onnx_equals_python_for_every_model_and_calibration(self):
        parts = split.by_time(made.dataset(5))
        for model in MODELS:
            fitted = trainer(model).fit(parts.train, parts.calibrate, 1)
            logit = fitted.logit(parts.calibrate.x)
            for kind in calibration.KINDS:
                calibrator = calibration.fit(kind, logit, parts.calibrate.y)
                file = forecaster.export(model, fitted, calibrator, 10)
                made_one = forecaster.Forecaster(model, fitted, calibrator, {}, file)
                x = hostile(parts.validate.x)
                gap = np.abs(made_one.python(x) - made_one.predict(x))
                self.assertLessEqual(gap.max(), 1e-5, f"{model} {kind}")
                parsed = onnx.load_from_string(file)
                self.assertEqual([o.version for o in parsed.opset_import if o.domain == ""], [17])
                self.assertLessEqual(parsed.ir_version, 9)
                shape = parsed.graph.output[0].type.tensor_type.shape.dim
                self.assertEqual((shape[0].dim_param, shape[1].dim_value), ("batch", 1))
                one, many = made_one.predict(x[:1]), made_one.predict(x[:64])
                self.assertLessEqual(abs(one[0] - many[0]), 1e-5, f"{model}: another answer in company")

    def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(self):
        parts = split.by_time(made.dataset(4))
        for model in MODELS:
            one, same = (forecaster.train(model, parts, 5).onnx for _ in range(2))
            self.assertEqual(one, same, model)
        self.assertNotEqual(forecaster.train("mlp", parts, 5).onnx, forecaster.train("mlp", parts, 6).onnx)

    def test_trees_take_the_branches_that_lightgbm_takes(self):
        parts = split.by_time(made.dataset(5))
        booster = lightgbm_model.boost(parts.train, parts.calibrate, lightgbm_model.GRID[0], 1)
        trees = [lightgbm_model.nested(t["tree_structure"]) for t in booster.dump_model()["tree_info"]]
        fitted = lightgbm_model.Fitted(trees[: booster.best_iteration])
        x = parts.validate.x
        raw = booster.predict(x.astype(np.float64), raw_score=True, num_iteration=booster.best_iteration)
        np.testing.assert_allclose(fitted.logit(x), raw, atol=1e-5)

    def test_a_rounded_threshold_divides_f32_as_the_f64_one_does(self):
        rng = np.random.default_rng(3)
        for threshold in rng.standard_normal(2_000) * 10.0 ** rng.integers(-9, 9, 2_000):
            low = lightgbm_model.floor_f32(threshold)
            near = [np.nextafter(low, np.float32(s) * np.float32(np.inf)) for s in (-1, 1)]
            for x in [low, *near]:
                self.assertEqual(float(x) <= threshold, x <= low)


class Gradients(unittest.TestCase):
    def compare(self, weights, loss, gradient):
        rng = np.random.default_rng(4)
        for key, value in weights.items():
            for _ in range(4):
                at = tuple(int(rng.integers(0, s)) for s in value.shape)
                moved = []
                for side in (1e-5, -1e-5):
                    copy = {k: v.copy() for k, v in weights.items()}
                    copy[key][at] += side
                    moved.append(loss(copy))
                self.assertAlmostEqual((moved[0] - moved[1]) / 2e-5, gradient[key][at], places=7, msg=f"{key}{at}")

    def test_of_both_networks(self):
        rng = np.random.default_rng(5)
        rows, y = rng.standard_normal((30, 10)), rng.integers(0, 2, 30).astype(np.float64)
        line = rng.standard_normal(30)
        random = lambda w: {k: rng.standard_normal(v.shape) * 0.5 for k, v in w.items()}
        w = random(mlp.start(10, rng))
        self.compare(w, lambda w: numeric.log_loss(mlp.forward(w, rows)[-1][:, 0] + line, y), mlp.backward(w, rows, y, line))
        w, path = random(gru.start(10, rng)), rng.standard_normal((30, 7))
        self.compare(w, lambda w: numeric.log_loss(gru.forward(w, rows, path)[0][:, 0] + line, y), gru.backward(w, rows, path, y, line))

    def test_the_path_of_a_set(self):
        self.assertEqual(gru.path_of(("a", "path_1", "path_0", "path_2")), [(2, None), (1, None), (3, None)])
        self.assertEqual(gru.path_of(tuple(made.NAMES)), [(6, 5), (5, 4), (4, None)])
        with self.assertRaises(KitError):
            gru.path_of(("a", "b"))
        raw = np.array([[0, 0, 0, 0, 1.0, 3.0, 7.0, 0, 0, 0]])
        np.testing.assert_allclose(gru.paths(raw, gru.path_of(tuple(made.NAMES)), np.ones(10)), [[4.0, 2.0, 1.0]])


class Learning(unittest.TestCase):
    def test_what_is_there_is_learnt(self):
        """Every model beats the reference, which misses half of the truth, by three errors on the test part."""
        with tempfile.TemporaryDirectory() as folder:
            path = made.write(Path(folder), days=12, seed=9)
            for model in MODELS:
                report = run.one(path, model, Path(folder) / model, bundle.Identity(model))
                gain = report["test"]["reference"]["brier_difference"]
                self.assertLess(gain["mean"], -3.0 * gain["se"], model)
                self.assertLess(report["test"]["ece"], 0.08, model)
                self.assertIn("beats the reference", report["verdict"], model)
            self.assertEqual(report["test_opened"], len(MODELS))

    def test_the_bundle_answers_its_golden_pairs(self):
        import json
        import tomllib

        with tempfile.TemporaryDirectory() as folder:
            path, out = made.write(Path(folder), days=4), Path(folder) / "kept"
            report = run.best(path, ["logistic", "lightgbm"], out, bundle.Identity("kept", license="CC0-1.0"))
            manifest = tomllib.loads((out / "forecaster.toml").read_text())
            self.assertEqual((manifest["schema"], manifest["model"]["license"]), (2, "CC0-1.0"))
            self.assertIn(report["winner"], (out / "CARD.md").read_text())
            n = manifest["normalise"]
            scaler = numeric.Scaler(np.array(n["mean"]), np.array(n["scale"]), n["clip"]) if n["kind"] == "zscore" else None
            session = graph.session((out / "model.onnx").read_bytes())
            for pair in json.loads((out / "golden.json").read_text())["pairs"]:
                got = graph.predict(session, np.array([pair["input"]], np.float32), scaler)
                self.assertLessEqual(abs(float(got[0, 0]) - pair["output"][0]), 1e-6)

    def test_a_set_of_which_only_some_features_are_given(self):
        """The manifest names the columns, golden inputs are whole rows of the set."""
        import json
        import tomllib
        from dataclasses import replace

        parts = split.by_time(made.dataset(4))
        kept = forecaster.train("logistic", parts, 1)
        d = replace(made.dataset(4), whole=("before", *reversed(made.NAMES), "after"))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "some"
            bundle.write(out, bundle.Identity("some"), kept.onnx, d.x[:5], d, kept.fitted.scaler)
            self.assertEqual(tomllib.loads((out / "forecaster.toml").read_text())["features"]["names"], made.NAMES)
            pairs = json.loads((out / "golden.json").read_text())["pairs"]
        for row, pair in zip(d.x[:5], pairs):
            self.assertEqual((pair["input"][0], pair["input"][-1]), (0.0, 0.0))
            np.testing.assert_array_equal(np.array(pair["input"][-2:0:-1], np.float32), row)
            self.assertAlmostEqual(pair["output"][0], kept.predict(row[None])[0], places=6)

    def test_a_budget_leaves_models_out_and_says_so(self):
        with tempfile.TemporaryDirectory() as folder:
            path = made.write(Path(folder), days=4)
            report = run.best(path, list(MODELS), Path(folder) / "b", bundle.Identity("b"), minutes=0.0)
            self.assertEqual([c["model"] for c in report["candidates"]] + report["left_out"], list(MODELS))
            self.assertEqual(report["winner"], "logistic")


if __name__ == "__main__":
    unittest.main()
