"""A network of two tanh layers that corrects a straight line, trained with Adam in plain numpy and stopped early on
the calibration part.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ..numeric import Scaler, adam, log_loss, sigmoid
from . import logistic

HIDDEN = (32, 16)
OPTIONS = {"epochs": 60, "batch": 512, "rate": 4e-3, "decay": 1e-2, "patience": 8}


@dataclass(frozen=True)
class Fitted:
    scaler: Scaler
    weights: dict
    base: logistic.Fitted
    settings: dict = field(default_factory=dict)

    def logit(self, x):
        rows = self.scaler.apply(x).astype(np.float64)
        return forward(self.weights, rows)[-1][:, 0] + self.base.line(rows)

    def graph(self, g, rows):
        w = self.weights
        a = g.op("Tanh", g.op("Gemm", rows, w["w1"], w["b1"]))
        a = g.op("Tanh", g.op("Gemm", a, w["w2"], w["b2"]))
        return g.op("Add", g.op("Gemm", a, w["w3"], w["b3"]), self.base.graph(g, rows))


def start(width, rng):
    """Weights that keep the variance of their inputs; the last layer starts at nothing."""
    sizes = (width, *HIDDEN)
    w = {}
    for k, (inner, outer) in enumerate(zip(sizes[:-1], sizes[1:]), start=1):
        w[f"w{k}"], w[f"b{k}"] = rng.standard_normal((inner, outer)) / math.sqrt(inner), np.zeros(outer)
    w["w3"], w["b3"] = np.zeros((HIDDEN[-1], 1)), np.zeros(1)
    return w


def forward(w, x):
    a1 = np.tanh(x @ w["w1"] + w["b1"])
    a2 = np.tanh(a1 @ w["w2"] + w["b2"])
    return a1, a2, a2 @ w["w3"] + w["b3"]


def backward(w, x, y, line):
    """The gradient of the mean log loss of the network's output plus `line`."""
    a1, a2, out = forward(w, x)
    d3 = ((sigmoid(out[:, 0] + line) - y) / len(y))[:, None]
    d2 = (d3 @ w["w3"].T) * (1.0 - a2 * a2)
    d1 = (d2 @ w["w2"].T) * (1.0 - a1 * a1)
    return {
        "w1": x.T @ d1, "b1": d1.sum(axis=0),
        "w2": a1.T @ d2, "b2": d2.sum(axis=0),
        "w3": a2.T @ d3, "b3": d3.sum(axis=0),
    }  # fmt: skip


def fit(train, calibrate, seed):
    base = logistic.base(train)
    scaler = base.scaler
    x, watch = scaler.apply(train.x).astype(np.float64), scaler.apply(calibrate.x).astype(np.float64)
    line, watch_line = base.line(x), base.line(watch)
    weights = adam(
        start(x.shape[1], np.random.default_rng(seed)),
        lambda w, rows: backward(w, x[rows], train.y[rows], line[rows]),
        lambda w: log_loss(forward(w, watch)[-1][:, 0] + watch_line, calibrate.y),
        len(train),
        seed=seed,
        **OPTIONS,
    )
    return Fitted(scaler, weights, base, {"hidden": list(HIDDEN), **OPTIONS})
