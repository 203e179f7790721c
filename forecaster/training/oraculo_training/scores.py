"""What forecasts are worth, with errors that respect that neighbouring rows are not independent. Never fits anything."""

import math

import numpy as np

HOUR = 3600
# A block is a day; where there are fewer than ten days, six hours, an hour at last.
BLOCKS_S = (24 * HOUR, 6 * HOUR, HOUR)
LEAST_BLOCKS = 10
BINS = 15
SEED = 20220101


def brier(p, y):
    return float(np.mean((p - y) ** 2))


def log_score(p, y):
    """Mean negative log likelihood, nats; smaller is better."""
    return float(np.mean(log_each(p, y)))


def log_each(p, y):
    p = np.clip(p, 1e-6, 1.0 - 1e-6)
    return -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))


def reliability(p, y, bins=BINS):
    """[(mean forecast, share of Up, rows)] of bins that hold equally many rows."""
    order = np.argsort(p, kind="stable")
    return [(float(p[r].mean()), float(y[r].mean()), len(r)) for r in np.array_split(order, bins) if len(r)]


def ece(p, y, bins=BINS):
    """Expected calibration error: the mean gap between forecast and frequency over the bins."""
    return sum(abs(mean - share) * n for mean, share, n in reliability(p, y, bins)) / len(p)


def block_of(asof):
    """(block number of each row, length of a block in s)."""
    for length in BLOCKS_S:
        number = asof // length
        if len(np.unique(number)) >= LEAST_BLOCKS or length == BLOCKS_S[-1]:
            return np.unique(number, return_inverse=True)[1], length


def mean_with_error(values, asof):
    """Mean, its standard error and a bootstrap 95 % interval, all over blocks of time.

    The error is Newey and West's (1987) with Bartlett weights on the sums of consecutive blocks, so rows of one block
    may depend on each other in any way and blocks on their neighbours.
    """
    number, length = block_of(asof)
    sums, counts = np.bincount(number, values), np.bincount(number)
    mean, blocks = float(values.mean()), len(sums)
    out = {"mean": mean, "blocks": blocks, "block_s": length, "se": None, "low": None, "high": None}
    if blocks < 3:
        return out
    deviation = sums - mean * counts
    lag = min(int(4.0 * (blocks / 100.0) ** (2.0 / 9.0)), blocks - 2)
    total = float(deviation @ deviation)
    for k in range(1, lag + 1):
        total += 2.0 * (1.0 - k / (lag + 1.0)) * float(deviation[k:] @ deviation[:-k])
    # Bartlett weights keep the sum non-negative; rounding may not.
    out["se"] = math.sqrt(max(total, 0.0) * blocks / (blocks - 1)) / len(values)
    picks = np.random.default_rng(SEED).integers(0, blocks, (2000, blocks))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    out["low"], out["high"] = (float(q) for q in np.quantile(means, [0.025, 0.975]))
    return out


def report(p, part):
    """All scores of forecasts on a part: alone, against the reference where there is one, and against the coin."""
    y, asof = part.y, part.asof
    known = np.isfinite(part.reference)
    out = {
        "rows": len(y),
        "share_up": float(y.mean()),
        "brier": brier(p, y),
        "log": log_score(p, y),
        "ece": ece(p, y),
        "reliability": [[round(m, 5), round(s, 5), n] for m, s, n in reliability(p, y)],
        "coin": {"brier": 0.25, "log": math.log(2.0), "brier_difference": mean_with_error((p - y) ** 2 - 0.25, asof)},
        "reference": None,
    }
    if known.any():
        q, yk, pk = part.reference[known], y[known], p[known]
        out["reference"] = {
            "rows": int(known.sum()),
            "brier": brier(q, yk),
            "log": log_score(q, yk),
            "ece": ece(q, yk),
            "brier_difference": mean_with_error((pk - yk) ** 2 - (q - yk) ** 2, asof[known]),
            "log_difference": mean_with_error(log_each(pk, yk) - log_each(q, yk), asof[known]),
        }
    return out
