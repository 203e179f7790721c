"""Small numbers work shared by the models: rounding, sigmoid, scaler, Adam with early stopping. Never draws unseeded."""

import math
from dataclasses import dataclass

import numpy as np

Z_CLIP = 8.0


def rounded(values, digits=6):
    """Fitted numbers keep six significant digits: last-bit noise never reaches a file."""
    return np.vectorize(lambda v: float(f"{v:.{digits - 1}e}"), otypes=[np.float64])(np.asarray(values, dtype=np.float64))


def sigmoid(v):
    return 0.5 * (1.0 + np.tanh(0.5 * v))


@dataclass(frozen=True)
class Scaler:
    """The manifest's z-score: clip((x - mean) / scale) in f32, as the runtime applies it."""

    mean: np.ndarray
    scale: np.ndarray
    clip: float = Z_CLIP

    @classmethod
    def fit(cls, x):
        x = x.astype(np.float64)
        deviation = x.std(axis=0)
        # A feature that never moved must not become infinite when it moves a little.
        scale = np.where(deviation > 1e-12, deviation, np.maximum(np.abs(x).mean(axis=0), 1.0))
        return cls(rounded(x.mean(axis=0)), rounded(scale))

    def apply(self, x):
        mean, scale = self.mean.astype(np.float32), self.scale.astype(np.float32)
        clip = np.float32(self.clip)
        return np.clip((x.astype(np.float32) - mean) / scale, -clip, clip)


def log_loss(logit, y):
    """Mean of ln(1 + e^l) - y l, without overflow."""
    return float(np.mean(np.logaddexp(0.0, logit) - y * logit))


def adam(weights, gradient, evaluate, rows, *, seed, epochs, batch, rate, decay, patience):
    """Minimises with Adam and a cosine rate; returns the weights of the epoch that `evaluate` likes best.

    `gradient(weights, rows) -> dict`, `evaluate(weights) -> loss` on rows that are not trained on.
    """
    rng = np.random.default_rng(seed)
    m = {k: np.zeros_like(v) for k, v in weights.items()}
    v = {k: np.zeros_like(a) for k, a in weights.items()}
    per_epoch = max(1, rows // batch)
    best, best_weights, since, step = math.inf, weights, 0, 0
    for _ in range(epochs):
        order = rng.permutation(rows)
        for at in range(per_epoch):
            grad = gradient(weights, order[at * batch : (at + 1) * batch])
            step += 1
            now = rate * 0.5 * (1.0 + math.cos(math.pi * min(step / (epochs * per_epoch), 1.0)))
            fresh = {}
            for k, w in weights.items():
                g = grad[k]
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                move = (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.999**step)) + 1e-8)
                fresh[k] = w - now * (move + decay * w)
            weights = fresh
        loss = evaluate(weights)
        if loss < best - 1e-6:
            best, best_weights, since = loss, weights, 0
        else:
            since += 1
            if since >= patience:
                break
    return {k: rounded(a) for k, a in best_weights.items()}
