"""Nothing leaks: parts never share an instant, shuffled labels score like a coin, a planted leak is not learnable."""

import math
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

import numpy as np

from oraculo_training import KitError, data, forecaster, scores, split
from oraculo_training.models import MODELS

from . import made


def random_dataset(rng):
    """Markets of random length at random times, rows at random moments."""
    n = int(rng.integers(3_000, 6_000))
    start = made.START + np.sort(rng.integers(0, int(rng.integers(3, 30)) * 86_400, n))
    length = int(rng.integers(60, 7_200))
    asof = start + rng.integers(0, length, n)
    meta = np.column_stack([start, start + length, asof, np.full(n, length)])
    about = {**made.ABOUT, "features": ["a"], "lookback_s": int(rng.integers(0, 7_200))}
    return data.build((rng.random((n, 1)).astype(np.float32), rng.integers(0, 2, n), meta, np.full(n, np.nan)), about, "0")


class Apart(unittest.TestCase):
    def test_parts_never_share_an_instant_or_a_market(self):
        for seed in range(40):
            dataset = random_dataset(np.random.default_rng(seed))
            try:
                parts = split.by_time(dataset)
            except KitError:  # too few days for these gaps, and said so
                continue
            row = [parts.train, parts.calibrate, parts.validate, parts.test.open()]
            for earlier, later in zip(row[:-1], row[1:]):
                self.assertLessEqual(earlier.close.max(), later.begin.min(), f"seed {seed}")
                self.assertFalse(set(earlier.start) & set(later.start), f"seed {seed}")
            self.assertEqual(sum(map(len, row)) + parts.purged, len(dataset))

    def test_folds_never_share_an_instant(self):
        for seed in range(20):
            d = random_dataset(np.random.default_rng(100 + seed))
            for train, test in [*split.walk_forward(d, 4), *split.combinatorial(d, 6, 2)]:
                # Every pair: a row of the one part may know nothing of the span of a row of the other.
                for k in test[:: max(1, len(test) // 50)]:
                    clash = (d.close[train] > d.begin[k]) & (d.begin[train] < d.close[k])
                    self.assertFalse(clash.any(), f"seed {seed}")

    def test_the_check_can_fail(self):
        d = made.dataset(2)
        with self.assertRaises(AssertionError):
            split.expect_apart(d.take(slice(0, 600)), d.take(slice(600, None)))

    def test_the_test_part_opens_once(self):
        parts = split.by_time(made.dataset(4))
        parts.test.open()
        with self.assertRaises(RuntimeError):
            parts.test.open()

    def test_too_little_data_is_said(self):
        with self.assertRaisesRegex(KitError, "export more days"):
            split.by_time(made.dataset(1))


class Leaks(unittest.TestCase):
    def test_labels_that_are_a_coin_score_like_a_coin(self):
        """Every trainer, on labels without any truth: what it gains must lie within its own error of nothing."""
        dataset = made.dataset(10, seed=5, truth=lambda z, r60: np.zeros(len(z)))
        parts = split.by_time(dataset)
        test = parts.test.open()
        for model in MODELS:
            kept = forecaster.train(model, parts, seed=3)
            gain = scores.report(kept.predict(test.x), test)["coin"]["brier_difference"]
            self.assertGreater(gain["mean"], -3.0 * gain["se"], model)
            self.assertLess(gain["mean"], 0.01, f"{model}: overfitted")

    def test_a_planted_future_is_not_learnable(self):
        """Three features name the hour, one coin a hour decides its markets: who saw a row of the hour knows them all."""
        d = made.dataset(10, seed=6)
        hour = (d.asof - made.START) // 3600
        rng = np.random.default_rng(7)
        coin, name = rng.integers(0, 2, hour.max() + 1), rng.standard_normal((hour.max() + 1, 3))
        x = d.x.copy()
        x[:, 4:7] = name[hour]
        d = replace(d, x=x, y=coin[hour].astype(np.float64))

        def log_of(parts, test):
            return scores.log_score(forecaster.train("lightgbm", parts, 1, "none").predict(test.x), test.y)

        honest = split.by_time(d)
        self.assertGreater(log_of(honest, honest.test.open()), 0.95 * math.log(2.0))
        # The control: rows dealt out at random leak, and the same trainer finds it.
        order = np.random.default_rng(8).permutation(len(d))
        cut = np.array_split(order, 4)
        leaky = split.Split(*(d.take(np.sort(c)) for c in cut[:3]), None, 0, 0)
        self.assertLess(log_of(leaky, d.take(cut[3])), 0.8 * math.log(2.0))


class Reading(unittest.TestCase):
    def test_npz_and_csv_are_one_dataset(self):
        with tempfile.TemporaryDirectory() as folder:
            path = made.write(Path(folder), days=2)
            npz = data.read(path)
            x, y, meta, reference = made.columns(2, 1)
            lines = [",".join([*data.META, "outcome", "reference", *made.NAMES])]
            for k in range(len(y)):
                lines.append(",".join(map(str, [*meta[k], y[k], repr(float(reference[k])), *(repr(float(v)) for v in x[k])])))
            path.with_suffix(".csv").write_text("\n".join(lines) + "\n")
            csv = data.read(path.with_suffix(".csv"))
        for field in ("x", "y", "start", "close", "asof", "reference"):
            np.testing.assert_array_equal(getattr(npz, field), getattr(csv, field), field)

    def test_what_cannot_be_right_is_refused(self):
        x, y, meta, reference = made.columns(1, 1)
        late = meta.copy()
        late[5, 2] = late[5, 1]
        for columns, says in [
            ((x, y, late, reference), "label would be known"),
            ((x[:, :3], y, meta, reference), "names 10 features"),
            ((x, y + 1, meta, reference), "0 and 1"),
        ]:
            with self.assertRaisesRegex(KitError, says):
                data.build(columns, made.ABOUT, "0")
        with self.assertRaisesRegex(KitError, "oraculo features export"):
            data.read("nowhere.npz")

    def test_rows_that_are_not_finite_are_left_out_and_counted(self):
        x, y, meta, reference = made.columns(1, 1)
        x[[3, 9], 2] = np.nan, np.inf
        d = data.build((x, y, meta, reference), made.ABOUT, "0")
        self.assertEqual((len(d), d.dropped), (len(y) - 2, 2))


if __name__ == "__main__":
    unittest.main()
