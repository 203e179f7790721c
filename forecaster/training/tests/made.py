"""Made-up datasets with a known truth. Never a file of somebody else's data."""

import json
import math

import numpy as np

from oraculo_training import data

NAMES = ["log_moneyness", "tau_s", "vol_15m", "vol_60m", "ret_60s", "ret_300s", "ret_900s", "z_15m", "z_60m", "elapsed_s"]
START = 1_780_876_800
HORIZONS = (60, 150, 240)


def columns(days, seed, truth=None):
    """(X, y, meta, reference) of back-to-back five-minute markets seen three times each.

    `truth(z, r60)` is the logit of Up; by default a curve that the closed form misses.
    """
    rng = np.random.default_rng(seed)
    markets = days * 288
    start = START + 300 * np.repeat(np.arange(markets, dtype=np.int64), len(HORIZONS))
    elapsed = np.tile(HORIZONS, markets).astype(np.int64)
    n, tau = len(start), 300.0 - elapsed
    vol = 8e-5 * np.exp(0.4 * np.repeat(rng.standard_normal(markets), len(HORIZONS)))
    z = rng.standard_normal(n) * np.sqrt(elapsed / tau)
    ret = [vol * math.sqrt(s) * rng.standard_normal(n) for s in (60, 300, 900)]
    money = z * vol * np.sqrt(tau)
    r60 = ret[0] / (vol * math.sqrt(60))
    logit = truth(z, r60) if truth else 1.2 * z + 0.8 * np.tanh(2.0 * r60) * (np.abs(z) < 1.0)
    # One price decides a market: the rows of a market share their luck.
    luck = np.repeat(rng.random(markets), len(HORIZONS))
    y = (luck < 1.0 / (1.0 + np.exp(-logit))).astype(np.uint8)
    x = np.column_stack([money, tau, vol, vol * 1.1, *ret, z, z / 1.1, elapsed]).astype(np.float32)
    meta = np.column_stack([start, start + 300, start + elapsed, elapsed]).astype(np.int64)
    reference = 0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0)))
    return x, y, meta, reference


ABOUT = {"feature_set": "updown-1", "features": NAMES, "lookback_s": 3600, "source": "made up"}


def dataset(days=8, seed=1, **options):
    return data.build(columns(days, seed, **options), ABOUT, "0" * 64)


def write(folder, days=8, seed=1, **options):
    """FILE.npz and FILE.json as `oraculo features export` writes them."""
    x, y, meta, reference = columns(days, seed, **options)
    np.savez(folder / "made.npz", X=x, y=y, meta=meta, reference=reference)
    (folder / "made.json").write_text(json.dumps(ABOUT))
    return folder / "made.npz"
