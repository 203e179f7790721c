"""Scores and their errors against known values; calibration mends what was spoilt."""

import math
import unittest

import numpy as np

from oraculo_training import calibration, numeric, scores


class Scores(unittest.TestCase):
    def test_known_values(self):
        p, y = np.array([0.8, 0.4]), np.array([1.0, 0.0])
        self.assertAlmostEqual(scores.brier(p, y), (0.04 + 0.16) / 2)
        self.assertAlmostEqual(scores.log_score(p, y), -(math.log(0.8) + math.log(0.6)) / 2)
        self.assertAlmostEqual(scores.ece(np.full(300, 0.7), np.tile([1.0, 0, 0], 100)), 0.7 - 1 / 3, places=6)

    def test_the_error_sees_through_copies(self):
        """Every row ten times: naive errors shrink by the root of ten, errors over blocks do not move."""
        rng = np.random.default_rng(1)
        asof = 86_400 * np.arange(60)
        values = rng.standard_normal(60)
        one = scores.mean_with_error(values, asof)
        ten = scores.mean_with_error(np.repeat(values, 10), np.repeat(asof, 10))
        self.assertAlmostEqual(one["se"], ten["se"])
        self.assertAlmostEqual(one["mean"], ten["mean"])

    def test_the_interval_covers(self):
        """Days that lean together: the mean of the truth lies within two errors nineteen times of twenty, roughly."""
        hits = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            asof = 600 * np.arange(144 * 40)
            values = 0.3 + np.repeat(rng.standard_normal(40), 144) + rng.standard_normal(144 * 40)
            found = scores.mean_with_error(values, asof)
            hits += abs(found["mean"] - 0.3) <= 2.0 * found["se"]
        self.assertGreater(hits, 170)

    def test_few_days_fall_back_to_shorter_blocks(self):
        for hours, length in [(24 * 12, 86_400), (24 * 4, 21_600), (12, 3_600)]:
            self.assertEqual(scores.block_of(600 * np.arange(6 * hours))[1], length)


class Calibration(unittest.TestCase):
    def spoilt(self, seed):
        rng = np.random.default_rng(seed)
        truth = rng.standard_normal(4_000) * 1.5
        y = (rng.random(4_000) < numeric.sigmoid(truth)).astype(np.float64)
        return 3.0 * truth + 1.0, truth, y  # overconfident and too high

    def test_every_kind_mends_an_overconfident_model_out_of_sample(self):
        logit, _, y = self.spoilt(1)
        fresh, truth, later = self.spoilt(2)
        raw = numeric.log_loss(fresh, later)
        for kind in ("temperature", "platt", "isotonic"):
            p = calibration.fit(kind, logit, y).apply(fresh)
            self.assertLess(scores.log_score(p, later), raw - 0.1, kind)
            if kind != "temperature":  # which cannot undo a shift
                self.assertLess(scores.log_score(p, later), numeric.log_loss(truth, later) + 0.01, kind)

    def test_auto_leaves_a_calibrated_model_alone(self):
        _, truth, y = self.spoilt(3)
        chosen, tried = calibration.choose(truth, y)
        self.assertLess(np.abs(chosen.apply(truth) - numeric.sigmoid(truth)).max(), 0.05)
        self.assertEqual(set(tried), set(calibration.KINDS))

    def test_no_calibration_turns_a_model_round(self):
        logit, _, y = self.spoilt(4)
        for kind in calibration.KINDS:
            p = calibration.fit(kind, -logit, y).apply(np.linspace(-9, 9, 500))
            self.assertTrue((np.diff(p) >= 0).all(), kind)


if __name__ == "__main__":
    unittest.main()
