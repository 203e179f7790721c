"""Logistic regression on z-scored features; the strength of its ridge comes from walk-forward folds of the past."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import LogisticRegression

from ..numeric import Scaler, log_loss, rounded
from ..split import walk_forward

STRENGTHS = (0.003, 0.03, 0.3, 3.0)
BASE_STRENGTH = 0.3


@dataclass(frozen=True)
class Fitted:
    scaler: Scaler
    weights: np.ndarray
    intercept: float
    settings: dict = field(default_factory=dict)

    def logit(self, x):
        return self.line(self.scaler.apply(x).astype(np.float64))

    def line(self, rows):
        """The logit of normalised rows."""
        return rows @ self.weights + self.intercept

    def graph(self, g, rows):
        return g.op("Gemm", rows, self.weights[:, None], np.array([self.intercept]))


def base(train):
    """A plain fit that networks start from: they learn what a straight line misses."""
    scaler = Scaler.fit(train.x)
    return Fitted(scaler, *regress(scaler.apply(train.x), train.y, BASE_STRENGTH))


def regress(x, y, strength):
    """C = strength: the inverse of the ridge. No seed: lbfgs is deterministic."""
    model = LogisticRegression(C=strength, max_iter=500, tol=1e-8).fit(x, y)
    return rounded(model.coef_[0]), float(rounded(model.intercept_[0]))


def fit(train, calibrate, seed):
    del calibrate, seed  # nothing is stopped early, nothing drawn
    losses = {c: [] for c in STRENGTHS}
    for past, block in walk_forward(train):
        scaler = Scaler.fit(train.x[past])
        x, later = scaler.apply(train.x[past]), scaler.apply(train.x[block])
        if len(np.unique(train.y[past])) < 2:
            continue
        for c in STRENGTHS:
            weights, intercept = regress(x, train.y[past], c)
            losses[c].append(log_loss(later.astype(np.float64) @ weights + intercept, train.y[block]))
    mean = {c: float(np.mean(v)) for c, v in losses.items() if v}
    strength = min(mean, key=mean.get) if mean else 0.03
    scaler = Scaler.fit(train.x)
    weights, intercept = regress(scaler.apply(train.x), train.y, strength)
    settings = {"C": strength, "walk_forward_log": {str(c): round(v, 6) for c, v in mean.items()}}
    return Fitted(scaler, weights, intercept, settings)
