"""Calibration: what turns a model's logit into a probability that comes true as often as it says.

Fitted on the calibration part only, exported inside the graph. Never sees the rows a model was trained on.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from . import KitError
from .numeric import log_loss, rounded, sigmoid

KINDS = ("none", "temperature", "platt", "isotonic")
# The share of a part that `auto` fits on before it compares on the rest.
FIT_SHARE = 0.5
# Log score that a less plain kind must gain.
MARGIN = 1e-3
KNOTS = 12
# Knots nearer than this in logit would need slopes that f32 cannot carry to 1e-5.
KNOT_GAP = 0.1
PROBABILITY_FLOOR = 0.005


@dataclass(frozen=True)
class Linear:
    """Platt: sigmoid(slope x logit + shift); a temperature has no shift, `none` changes nothing."""

    kind: str
    slope: float = 1.0
    shift: float = 0.0

    def apply(self, logit):
        return sigmoid(self.slope * logit + self.shift)

    def graph(self, g, logit):
        if self.kind != "none":
            logit = g.op("Mul", logit, [[self.slope]])
        if self.shift:
            logit = g.op("Add", logit, [[self.shift]])
        return g.op("Sigmoid", logit)

    def about(self):
        return {"kind": self.kind, "slope": self.slope, "shift": self.shift}


@dataclass(frozen=True)
class Isotonic:
    """A rising piecewise linear curve from logit to probability, flat outside its knots."""

    knots: np.ndarray
    values: np.ndarray
    kind: str = "isotonic"

    def apply(self, logit):
        low, width, slope = self.knots[:-1], np.diff(self.knots), np.diff(self.values) / np.diff(self.knots)
        return self.values[0] + np.clip(logit[:, None] - low, 0.0, width) @ slope

    def graph(self, g, logit):
        width = np.diff(self.knots)
        slope = np.diff(self.values) / width
        past = g.op("Sub", logit, self.knots[None, :-1])
        past = g.op("Min", g.op("Max", past, [[0.0]]), width[None, :])
        return g.op("Add", g.op("MatMul", past, slope[:, None]), [[self.values[0]]])

    def about(self):
        return {"kind": self.kind, "knots": self.knots.tolist(), "values": self.values.tolist()}


def fit(kind, logit, y):
    """A calibrator of this kind."""
    if kind == "none":
        return Linear("none")
    if kind in ("temperature", "platt"):
        slope, shift = newton(logit, y, kind == "platt")
        return Linear(kind, float(rounded(slope)), float(rounded(shift)))
    if kind == "isotonic":
        return isotonic(logit, y)
    raise KitError(f"calibration {kind!r} is not one of auto, {', '.join(KINDS)}")


def choose(logit, y):
    """The kind that scores best on the later half of rows in time after a fit on the earlier half, fitted on all."""
    half = int(len(y) * FIT_SHARE)
    scores = {}
    for kind in KINDS:
        p = np.clip(fit(kind, logit[:half], y[:half]).apply(logit[half:]), 1e-6, 1 - 1e-6)
        scores[kind] = log_loss(np.log(p / (1.0 - p)), y[half:])
    # The plainest kind that is about as good as the best: what little more the others promise is mostly chance.
    least = min(scores.values())
    best = next(kind for kind in KINDS if scores[kind] <= least + MARGIN)
    return fit(best, logit, y), {kind: round(score, 6) for kind, score in scores.items()}


def newton(logit, y, with_shift):
    """Logistic regression of y on the logit; the slope stays positive, so that no calibration turns a model round."""
    basis = np.column_stack([logit, np.ones(len(y))]) if with_shift else logit[:, None]
    w = np.array([1.0, 0.0])[: basis.shape[1]]
    ridge = 1e-3 * np.eye(len(w))
    for _ in range(50):
        p = sigmoid(basis @ w)
        step = np.linalg.solve((basis * (p * (1 - p))[:, None]).T @ basis + ridge, basis.T @ (p - y) + ridge @ (w - [1.0, 0.0][: len(w)]))
        # A long step overshoots where the model is far off.
        step *= min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        w = w - step
        if np.abs(step).max() < 1e-10:
            break
    return max(float(w[0]), 0.01), float(w[1]) if with_shift else 0.0


def isotonic(logit, y):
    curve = IsotonicRegression(out_of_bounds="clip", y_min=PROBABILITY_FLOOR, y_max=1.0 - PROBABILITY_FLOOR).fit(logit, y)
    knots = [float(rounded(logit.min()))]
    for mark in rounded(np.quantile(logit, np.arange(1, KNOTS) / KNOTS)):
        if mark >= knots[-1] + KNOT_GAP:
            knots.append(float(mark))
    knots.append(max(float(rounded(logit.max())), knots[-1] + KNOT_GAP))
    knots = np.array(knots)
    # The mean of the curve around a knot: one knot must not sit on a step by chance.
    middle = 0.5 * (knots[1:] + knots[:-1])
    side = np.concatenate([[knots[0]], middle, [knots[-1]]])
    fine = [np.linspace(a, b, 33) for a, b in zip(side[:-1], side[1:])]
    values = np.array([curve.predict(points).mean() for points in fine])
    return Isotonic(knots, np.maximum.accumulate(rounded(values)))
