"""A gated recurrent unit that reads the path of the price, beside the other features, and corrects a straight line;
plain numpy, no deep-learning framework. Trained with Adam through time, stopped early on the calibration part.

The path is the set's own (features `path_0`, `path_1`, …, oldest first); a set without one gives the returns it has as
a short path, from the oldest window to the newest.
"""

import math
import re
from dataclasses import dataclass, field

import numpy as np

from .. import KitError
from ..numeric import Scaler, adam, log_loss, rounded, sigmoid
from . import logistic

HIDDEN, HEAD = 16, 16
OPTIONS = {"epochs": 30, "batch": 512, "rate": 5e-3, "decay": 1e-2, "patience": 5}


def path_of(names):
    """[(column, columns to take away)] oldest first: the steps of the path."""
    numbered = sorted((int(m[1]), k) for k, n in enumerate(names) if (m := re.fullmatch(r".*path_(\d+)s?", n)))
    if len(numbered) >= 3:
        return [(k, None) for _, k in numbered]
    windows = sorted((int(m[1]), k) for k, n in enumerate(names) if (m := re.fullmatch(r"ret_(\d+)s", n)))
    if not windows:
        raise KitError("the feature set has neither a path nor returns ret_<seconds>s: choose another model than gru")
    columns = [k for _, k in reversed(windows)]
    # What happened between two windows is the difference of their returns.
    return [(k, columns[at + 1] if at + 1 < len(columns) else None) for at, k in enumerate(columns)]


@dataclass(frozen=True)
class Fitted:
    scaler: Scaler
    weights: dict
    steps: tuple
    base: logistic.Fitted
    settings: dict = field(default_factory=dict)

    def logit(self, x):
        rows = self.scaler.apply(x).astype(np.float64)
        return forward(self.weights, rows, paths(rows, self.steps, self.scaler.scale))[0][:, 0] + self.base.line(rows)

    def graph(self, g, rows):
        w = self.weights
        path = g.op("Gather", rows, g.constant([k for k, _ in self.steps], np.int64), axis=1)
        if any(other is not None for _, other in self.steps):
            path = g.op("MatMul", path, difference(self.steps, self.scaler.scale))
        path = g.op("Transpose", path, perm=[1, 0])
        path = g.op("Unsqueeze", path, g.constant([2], np.int64))
        bias = np.concatenate([w["bx"], w["bh"]])[None, :]
        inputs = [path, g.constant(w["wx"].T[None]), g.constant(w["wh"].T[None]), g.constant(bias)]
        last = g.op("GRU", *inputs, skip=1, hidden_size=HIDDEN, linear_before_reset=1)
        last = g.op("Squeeze", last, g.constant([0], np.int64))
        both = g.op("Concat", last, rows, axis=1)
        a = g.op("Tanh", g.op("Gemm", both, w["w1"], w["b1"]))
        return g.op("Add", g.op("Gemm", a, w["w2"], w["b2"]), self.base.graph(g, rows))


def difference(steps, scale):
    """The matrix that turns scaled windows, each containing the later ones, into the steps between them."""
    position = {k: at for at, (k, _) in enumerate(steps)}
    matrix = np.eye(len(steps))
    for at, (k, other) in enumerate(steps):
        if other is not None:
            matrix[position[other], at] = -scale[other] / scale[k]
    return rounded(matrix)


def paths(rows, steps, scale):
    """f64 [n, steps], oldest first, of scaled rows."""
    return rows[:, [k for k, _ in steps]] @ difference(steps, scale)


def start(width, rng):
    """Gates in the order of ONNX: update, reset, candidate."""
    draw = lambda *shape: rng.standard_normal(shape) / math.sqrt(shape[0])
    return {
        "wx": draw(1, 3 * HIDDEN), "bx": np.zeros(3 * HIDDEN),
        "wh": draw(HIDDEN, 3 * HIDDEN), "bh": np.zeros(3 * HIDDEN),
        "w1": draw(HIDDEN + width, HEAD), "b1": np.zeros(HEAD),
        "w2": np.zeros((HEAD, 1)), "b2": np.zeros(1),
    }  # fmt: skip


def forward(w, rows, path):
    """(logit [n, 1], what `backward` needs)."""
    h, trace = np.zeros((len(rows), HIDDEN)), []
    for t in range(path.shape[1]):
        x = path[:, t : t + 1]
        gx, gh = x @ w["wx"] + w["bx"], h @ w["wh"] + w["bh"]
        z, r = sigmoid(gx[:, :HIDDEN] + gh[:, :HIDDEN]), sigmoid(gx[:, HIDDEN : 2 * HIDDEN] + gh[:, HIDDEN : 2 * HIDDEN])
        inner = gh[:, 2 * HIDDEN :]
        c = np.tanh(gx[:, 2 * HIDDEN :] + r * inner)
        trace.append((x, h, z, r, c, inner))
        h = (1.0 - z) * c + z * h
    both = np.hstack([h, rows])
    a = np.tanh(both @ w["w1"] + w["b1"])
    return a @ w["w2"] + w["b2"], (trace, both, a)


def backward(w, rows, path, y, line):
    """The gradient of the mean log loss of the network's output plus `line`, through time."""
    out, (trace, both, a) = forward(w, rows, path)
    grad = {k: np.zeros_like(v) for k, v in w.items()}
    d2 = ((sigmoid(out[:, 0] + line) - y) / len(y))[:, None]
    d1 = (d2 @ w["w2"].T) * (1.0 - a * a)
    grad["w2"], grad["b2"], grad["w1"], grad["b1"] = a.T @ d2, d2.sum(axis=0), both.T @ d1, d1.sum(axis=0)
    dh = (d1 @ w["w1"].T)[:, :HIDDEN]
    for x, h, z, r, c, inner in reversed(trace):
        dc = dh * (1.0 - z) * (1.0 - c * c)
        dz = dh * (h - c) * z * (1.0 - z)
        dr = dc * inner * r * (1.0 - r)
        gx, gh = np.hstack([dz, dr, dc]), np.hstack([dz, dr, dc * r])
        grad["wx"] += x.T @ gx
        grad["bx"] += gx.sum(axis=0)
        grad["wh"] += h.T @ gh
        grad["bh"] += gh.sum(axis=0)
        dh = dh * z + gh @ w["wh"].T
    return grad


def fit(train, calibrate, seed):
    steps = tuple(path_of(train.names))
    base = logistic.base(train)
    scaler = base.scaler
    x, watch = scaler.apply(train.x).astype(np.float64), scaler.apply(calibrate.x).astype(np.float64)
    path, watch_path = paths(x, steps, scaler.scale), paths(watch, steps, scaler.scale)
    line, watch_line = base.line(x), base.line(watch)
    weights = adam(
        start(x.shape[1], np.random.default_rng(seed)),
        lambda w, rows: backward(w, x[rows], path[rows], train.y[rows], line[rows]),
        lambda w: log_loss(forward(w, watch, watch_path)[0][:, 0] + watch_line, calibrate.y),
        len(train),
        seed=seed,
        **OPTIONS,
    )
    return Fitted(scaler, weights, steps, base, {"hidden": HIDDEN, "steps": len(steps), **OPTIONS})
