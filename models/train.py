#!/usr/bin/env python3
"""Train the five `updown-1` forecasters and write their bundles.

    python3 models/train.py                    # real candles, writes models/<name>/
    python3 models/train.py --synthetic 7 --out /tmp/models

What is not particular to these five comes from the training kit, forecaster/training.

The same input gives byte-identical bundles: every seed is fixed, every fitted
number is rounded before it is written, and no date or tool version is stored.

Only one-minute candles are read. The recorded market day that judges these
models is never opened here.
"""

import argparse
import csv
import datetime
import gzip
import hashlib
import math
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
KIT = HERE.parent / "forecaster/training"
sys.path.insert(0, str(KIT))

try:
    import oraculo_training  # first: it pins the thread count before numpy is loaded

    import numpy as np

    from oraculo_training import graph as kit_graph
    from oraculo_training.bundle import LICENSE, TOPIC, Identity, golden, manifest
    from oraculo_training.graph import P_MAX, P_MIN, predict, session
    from oraculo_training.numeric import Z_CLIP, Scaler, rounded, sigmoid
    from oraculo_training.scores import brier
    from oraculo_training.scores import log_score as log_loss
except ImportError as error:
    sys.exit(f"train: {error}; install the pinned packages first: python3 -m pip install -r {KIT}/requirements.txt")

CANDLES = HERE.parent.parent / "shared/data/candles/nautilus__btc-perp_1m_2021-12-31_2022-02-01.csv.gz"

FEATURES = [
    "log_moneyness",
    "tau_s",
    "vol_15m",
    "vol_60m",
    "ret_60s",
    "ret_300s",
    "ret_900s",
    "z_15m",
    "z_60m",
    "elapsed_s",
]
MARKET_S = 300
LOOKBACK_MIN = 60
VOL_FLOOR = 1e-7
TAU_FLOOR = 1.0
VALIDATION_SHARE = 0.25
PURGE_S = 3600
SEED = 20220101

VERSION = "1.0.0"
KINDS = {"closed-form": "baseline", "logistic": "model", "gbt": "model", "mlp": "model", "poor": "poor"}

RET_CLIP = 4.0  # standardised returns
RATIO_CLIP = 1.5  # ln(vol_15m / vol_60m)
TAU_FRAC = (0.2, 0.8)  # the trained range of tau / market length


# --- data ------------------------------------------------------------------


def read_candles(path):
    """Minute timestamps (s) and close prices, sorted, one per minute."""
    if not path.is_file():
        sys.exit(
            f"train: no candles at {path}; pass --candles FILE "
            "(csv or csv.gz with the columns timestamp and close, one row a minute), "
            "or --synthetic SEED to train on simulated prices"
        )
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rows = {}
    for row in csv.DictReader(text.splitlines()):
        stamp = row["timestamp"].split(".")[0].rstrip("Z")
        when = datetime.datetime.fromisoformat(stamp).replace(tzinfo=datetime.timezone.utc)
        price = float(row["close"])
        if math.isfinite(price) and price > 0.0:
            rows[int(when.timestamp())] = price
    minutes = sorted(rows)
    if len(minutes) < 10_000:
        sys.exit(f"train: {path} has {len(minutes)} usable candles; at least 10000 are needed")
    source = f"`{path.name}` (SHA-256 `{hashlib.sha256(raw).hexdigest()[:16]}…`)"
    return np.array(minutes, dtype=np.int64), np.array([rows[m] for m in minutes]), source


def simulate(seed, minutes=45_000, price=40_000.0, minute_vol=8e-4):
    """Two-factor log-volatility with Student-t shocks and a daily cycle."""
    rng = np.random.default_rng(seed)
    fast = slow = 0.0
    log_vol = np.empty(minutes)
    shocks = rng.standard_normal((minutes, 2))
    for i in range(minutes):
        fast = 0.93 * fast + 0.16 * shocks[i, 0]
        slow = 0.999 * slow + 0.018 * shocks[i, 1]
        log_vol[i] = fast + slow
    day = 0.25 * np.sin(2.0 * np.pi * (np.arange(minutes) - 480) / 1440.0)
    tails = rng.standard_t(4.5, minutes) / math.sqrt(4.5 / 2.5)
    returns = minute_vol * np.exp(log_vol + day - 0.2) * tails
    start = 1_640_995_200
    return start + 60 * np.arange(minutes, dtype=np.int64), np.round(price * np.exp(np.cumsum(returns)), 2)


@dataclass
class Samples:
    x: np.ndarray  # f32 [n, 10]
    y: np.ndarray  # 1.0 = Up
    start: np.ndarray  # market start, s


def build_samples(stamp, price):
    """Every minute opens a market; it is seen after 1, 2, 3 and 4 minutes."""
    log_price = np.log(price)
    ret = np.diff(log_price, prepend=log_price[0])
    total = np.concatenate([[0.0], np.cumsum(ret * ret)])

    def vol(i, window):
        mean = np.maximum(total[i + 1] - total[i + 1 - window], 0.0) / window
        return np.maximum(np.sqrt(mean / 60.0), VOL_FLOOR)

    horizon = MARKET_S // 60
    first = np.arange(LOOKBACK_MIN, len(price) - horizon)
    # only unbroken stretches: lookback, observations and the close
    first = first[stamp[first + horizon] - stamp[first - LOOKBACK_MIN] == 60 * (LOOKBACK_MIN + horizon)]
    blocks = []
    for step in range(1, horizon):
        i = first + step
        moneyness = log_price[i] - log_price[first]
        tau = float(MARKET_S - 60 * step)
        v15, v60 = vol(i, 15), vol(i, 60)
        x = np.column_stack(
            [
                moneyness,
                np.full(len(i), tau),
                v15,
                v60,
                log_price[i] - log_price[i - 1],
                log_price[i] - log_price[i - 5],
                log_price[i] - log_price[i - 15],
                np.clip(moneyness / (v15 * math.sqrt(tau)), -Z_CLIP, Z_CLIP),
                np.clip(moneyness / (v60 * math.sqrt(tau)), -Z_CLIP, Z_CLIP),
                np.full(len(i), 60.0 * step),
            ]
        )
        up = (price[first + horizon] >= price[first]).astype(np.float64)  # a tie settles Up
        blocks.append((x, up, stamp[first]))
    x = np.stack([b[0] for b in blocks], axis=1).reshape(-1, len(FEATURES))
    y = np.stack([b[1] for b in blocks], axis=1).reshape(-1)
    start = np.stack([b[2] for b in blocks], axis=1).reshape(-1)
    return Samples(x.astype(np.float32), y, start)


def split(samples, share=VALIDATION_SHARE):
    """Time-ordered split on whole days, with a purge before the later part."""
    days = np.unique(samples.start // 86400)
    border = int(days[len(days) - max(1, round(share * len(days)))]) * 86400
    early = samples.start + MARKET_S <= border - PURGE_S
    late = samples.start >= border
    pick = lambda m: Samples(samples.x[m], samples.y[m], samples.start[m])
    return pick(early), pick(late), border


# --- numbers ---------------------------------------------------------------


def newton_logistic(basis, y, ridge):
    """Logistic regression without intercept: odd inputs give a symmetric model."""
    w = np.zeros(basis.shape[1])
    for _ in range(25):
        p = sigmoid(basis @ w)
        gradient = basis.T @ (p - y) + ridge * w
        hessian = (basis * (p * (1.0 - p))[:, None]).T @ basis + ridge * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w = w - step
        if np.max(np.abs(step)) < 1e-10:
            break
    return w


def soft(z):
    return z / np.sqrt(1.0 + 0.25 * z * z)


def engineered(x, weight):
    """The scale-free inputs of gbt and mlp (the graph computes the same)."""
    x = x.astype(np.float64)
    v15, v60 = np.maximum(x[:, 2], VOL_FLOOR), np.maximum(x[:, 3], VOL_FLOOR)
    tau = np.maximum(x[:, 1], TAU_FLOOR)
    blend = np.sqrt(weight * v15 * v15 + (1.0 - weight) * v60 * v60)
    z = np.clip(x[:, 0] / (blend * np.sqrt(tau)), -Z_CLIP, Z_CLIP)
    returns = [
        np.clip(x[:, column] / (blend * math.sqrt(seconds)), -RET_CLIP, RET_CLIP)
        for column, seconds in ((4, 60), (5, 300), (6, 900))
    ]
    ratio = np.clip(np.log(v15 / v60), -RATIO_CLIP, RATIO_CLIP)
    left = np.clip(tau / (tau + np.maximum(x[:, 9], 0.0)), *TAU_FRAC) - 0.5
    return z, returns, ratio, left


def base_basis(z):
    return np.column_stack([z, soft(z)])


def fit_base(x, y):
    """Volatility blend and the two-parameter curve from z to a logit."""
    best = None
    for weight in np.arange(0, 11) / 10.0:
        basis = base_basis(engineered(x, weight)[0])
        coef = newton_logistic(basis, y, 1.0)
        loss = log_loss(sigmoid(basis @ coef), y)
        if best is None or loss < best[0] - 1e-9:
            best = (loss, float(weight), coef)
    return best[1], rounded(best[2])


# --- logistic --------------------------------------------------------------


def fit_scaler(x):
    """Manifest z-score. Signed and volatility features keep mean 0, so that
    ratios of normalised features are still ratios (and scale-free)."""
    x = x.astype(np.float64)
    mean = np.zeros(len(FEATURES))
    scale = np.sqrt(np.mean(x * x, axis=0))
    for name in ("tau_s", "elapsed_s"):
        k = FEATURES.index(name)
        mean[k], scale[k] = x[:, k].mean(), x[:, k].std()
    return Scaler(rounded(mean), rounded(scale))


def logistic_constants(scale):
    half = 0.5 * scale[[7, 8]]
    returns = scale[[4, 5, 6]] / (scale[3] * np.sqrt([60.0, 300.0, 900.0]))
    floors = VOL_FLOOR / scale[[2, 3]]
    return {
        "half": rounded(half),
        "returns": rounded(returns),
        "floors": rounded(floors),
        "shift": float(rounded(math.log(scale[2] / scale[3]))),
        "tau": 1.35,
    }


LOGISTIC_TERMS = ["z_15m", "z_60m", "soft(z)", "z·ratio", "z·tau", "z·|r60|", "r60", "r300", "r900"]


def logistic_basis(n, c):
    n = n.astype(np.float64)
    v15, v60 = np.maximum(n[:, 2], c["floors"][0]), np.maximum(n[:, 3], c["floors"][1])
    ratio = np.clip(np.log(v15 / v60) + c["shift"], -RATIO_CLIP, RATIO_CLIP)
    z = n[:, 7] * c["half"][0] + n[:, 8] * c["half"][1]
    tau = np.clip(n[:, 1], -c["tau"], c["tau"])
    r = np.clip(n[:, 4:7] * c["returns"] / v60[:, None], -RET_CLIP, RET_CLIP)
    return np.column_stack([n[:, 7], n[:, 8], soft(z), z * ratio, z * tau, z * np.abs(r[:, 0]), r])


# --- gradient-boosted trees ------------------------------------------------

TREE_DEPTH, TREE_RATE, TREE_RIDGE, TREE_MIN_HESSIAN, TREE_BINS, TREE_MAX = 3, 0.03, 200.0, 400.0, 32, 200


def tree_inputs(x, weight):
    """Mirror every row to z >= 0: the trees then cannot prefer Up to Down."""
    z, returns, ratio, left = engineered(x, weight)
    sign = np.sign(z)
    return np.column_stack([np.abs(z)] + [sign * r for r in returns] + [ratio, left]), sign, z


def grow_tree(codes, edges, gradient, hessian):
    """One depth-limited Newton tree as (feature, threshold, value) arrays in heap order."""
    size = 2 ** (TREE_DEPTH + 1) - 1
    feature, threshold, value = [-1] * size, [0.0] * size, [0.0] * size
    node = np.zeros(len(gradient), dtype=np.int64)
    active = [0]
    for depth in range(TREE_DEPTH + 1):
        g_all = np.bincount(node, gradient, size)
        h_all = np.bincount(node, hessian, size)
        for k in active:
            value[k] = float(-TREE_RATE * g_all[k] / (h_all[k] + TREE_RIDGE))
        if depth == TREE_DEPTH:
            break
        best = {k: (1e-6, -1, -1) for k in active}
        for f in range(codes.shape[1]):
            key = node * TREE_BINS + codes[:, f]
            g = np.bincount(key, gradient, size * TREE_BINS).reshape(size, TREE_BINS).cumsum(axis=1)
            h = np.bincount(key, hessian, size * TREE_BINS).reshape(size, TREE_BINS).cumsum(axis=1)
            for k in active:
                gl, hl = g[k, : len(edges[f])], h[k, : len(edges[f])]
                gr, hr = g_all[k] - gl, h_all[k] - hl
                gain = gl**2 / (hl + TREE_RIDGE) + gr**2 / (hr + TREE_RIDGE) - g_all[k] ** 2 / (h_all[k] + TREE_RIDGE)
                gain[(hl < TREE_MIN_HESSIAN) | (hr < TREE_MIN_HESSIAN)] = -1.0
                at = int(np.argmax(gain))
                if gain[at] > best[k][0]:
                    best[k] = (float(gain[at]), f, at)
        following = []
        for k in active:
            _, f, at = best[k]
            if f < 0:
                continue
            feature[k], threshold[k] = f, float(edges[f][at])
            rows = node == k
            node[rows] = np.where(codes[rows, f] <= at, 2 * k + 1, 2 * k + 2)
            following += [2 * k + 1, 2 * k + 2]
        active = following
        if not active:
            break
    leaves = np.array([0.0 if feature[k] >= 0 else value[k] for k in range(size)])
    return (feature, threshold, rounded(leaves)), node


def apply_tree(tree, inputs):
    feature, threshold, value = tree
    node = np.zeros(len(inputs), dtype=np.int64)
    for _ in range(TREE_DEPTH):
        f = np.array(feature)[node]
        inner = f >= 0
        right = inputs[np.arange(len(inputs)), np.maximum(f, 0)] > np.array(threshold)[node]
        node = np.where(inner, 2 * node + 1 + right, node)
    return value[node]


def fit_trees(inputs, base, y, rounds, watch=None):
    """Boost a correction to the base logit. With `watch` (inputs, base, y) the
    number of trees is the one that scores best there."""
    edges, codes = [], []
    for f in range(inputs.shape[1]):
        # between quantiles, never on one: a repeated value must not sit on a threshold
        marks = np.unique(rounded(np.quantile(inputs[:, f], np.arange(TREE_BINS + 1) / TREE_BINS), 4))
        cuts = (0.5 * (marks[1:] + marks[:-1])).astype(np.float32).astype(np.float64)
        edges.append(cuts)
        codes.append(np.searchsorted(cuts, inputs[:, f], side="left"))
    codes = np.column_stack(codes)
    logit, trees = base.copy(), []
    best = (math.inf, 0)
    if watch is not None:
        watch_logit = watch[1].copy()
    for k in range(rounds):
        p = sigmoid(logit)
        tree, leaf = grow_tree(codes, edges, p - y, p * (1.0 - p))
        logit += tree[2][leaf]
        trees.append(tree)
        if watch is not None:
            watch_logit += apply_tree(tree, watch[0])
            loss = log_loss(sigmoid(watch_logit), watch[2])
            if loss < best[0]:
                best = (loss, k + 1)
    return trees, best[1]


# --- small network ---------------------------------------------------------

HIDDEN, EPOCHS, BATCH, RATE, DECAY = 16, 24, 2048, 4e-3, 1e-3


def net_inputs(x, weight):
    """(odd inputs, even inputs): the odd ones change sign with the market."""
    z, returns, ratio, left = engineered(x, weight)
    odd = np.column_stack([0.5 * z, soft(z)] + [0.5 * r for r in returns])
    even = np.column_stack([ratio, 2.0 * left, 0.5 * np.abs(returns[0])])
    return odd, even


def net_forward(w, odd, even):
    a1 = np.tanh(np.hstack([odd, even]) @ w["w1"] + w["b1"])
    a2 = np.tanh(a1 @ w["w2"] + w["b2"])
    return a1, a2, a2 @ w["w3"]


def net_logit(w, odd, even):
    return 0.5 * (net_forward(w, odd, even)[2] - net_forward(w, -odd, even)[2])[:, 0]


def fit_net(odd, even, base, y, epochs=EPOCHS, seed=SEED):
    """Adam on the odd part (f(x) - f(-x)) / 2 added to the base logit."""
    rng = np.random.default_rng(seed)
    width = odd.shape[1] + even.shape[1]
    w = {
        "w1": rng.standard_normal((width, HIDDEN)) / math.sqrt(width),
        "b1": np.zeros(HIDDEN),
        "w2": rng.standard_normal((HIDDEN, HIDDEN)) / math.sqrt(HIDDEN),
        "b2": np.zeros(HIDDEN),
        "w3": np.zeros((HIDDEN, 1)),
    }
    m = {k: np.zeros_like(v) for k, v in w.items()}
    v = {k: np.zeros_like(a) for k, a in w.items()}
    average = {k: np.zeros_like(a) for k, a in w.items()}
    steps = epochs * (len(y) // BATCH)
    averaged = step = 0
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for at in range(0, (len(y) // BATCH) * BATCH, BATCH):
            rows = order[at : at + BATCH]
            grad = {k: DECAY * a for k, a in w.items()}
            passes = [(side, np.hstack([side * odd[rows], even[rows]])) for side in (1.0, -1.0)]
            outs = [(side, inp) + net_forward(w, side * odd[rows], even[rows]) for side, inp in passes]
            logit = base[rows] + 0.5 * (outs[0][4] - outs[1][4])[:, 0]
            error = ((sigmoid(logit) - y[rows]) / len(rows))[:, None]
            for side, inp, a1, a2, _ in outs:
                d3 = 0.5 * side * error
                grad["w3"] += a2.T @ d3
                d2 = (d3 @ w["w3"].T) * (1.0 - a2 * a2)
                grad["w2"] += a1.T @ d2
                grad["b2"] += d2.sum(axis=0)
                d1 = (d2 @ w["w2"].T) * (1.0 - a1 * a1)
                grad["w1"] += inp.T @ d1
                grad["b1"] += d1.sum(axis=0)
            step += 1
            rate = RATE * 0.5 * (1.0 + math.cos(math.pi * step / steps))
            for k in w:
                m[k] = 0.9 * m[k] + 0.1 * grad[k]
                v[k] = 0.999 * v[k] + 0.001 * grad[k] ** 2
                w[k] = w[k] - rate * (m[k] / (1 - 0.9**step)) / (np.sqrt(v[k] / (1 - 0.999**step)) + 1e-8)
            if step > 0.7 * steps:
                averaged += 1
                for k in w:
                    average[k] += (w[k] - average[k]) / averaged
    # four digits are plenty here and hide the last bits of different CPUs
    return {k: rounded(a, 4) for k, a in average.items()}


# --- graphs ----------------------------------------------------------------


class Graph(kit_graph.Graph):
    """A graph over the ten features."""

    def __init__(self, name):
        super().__init__(name, len(FEATURES))


def graph_engineered(g, weight):
    """The graph twin of `engineered`: z, returns [batch,3], ratio, left."""
    v15 = g.op("Max", g.column(2), [[VOL_FLOOR]])
    v60 = g.op("Max", g.column(3), [[VOL_FLOOR]])
    tau = g.op("Max", g.column(1), [[TAU_FLOOR]])
    # v60 * sqrt(w * (v15/v60)^2 + 1 - w): no square of a tiny number
    quotient = g.op("Div", v15, v60)
    inner = g.op("Add", g.op("Mul", g.op("Mul", quotient, quotient), [[weight]]), [[1.0 - weight]])
    blend = g.op("Mul", v60, g.op("Sqrt", inner))
    z = g.op("Clip", g.op("Div", g.column(0), g.op("Mul", blend, g.op("Sqrt", tau))), -Z_CLIP, Z_CLIP)
    unit = g.op("Mul", blend, np.sqrt([[60.0, 300.0, 900.0]]))
    returns = g.op("Clip", g.op("Div", g.column(4, 5, 6), unit), -RET_CLIP, RET_CLIP)
    ratio = g.op("Clip", g.op("Log", quotient), -RATIO_CLIP, RATIO_CLIP)
    whole = g.op("Add", tau, g.op("Max", g.column(9), [[0.0]]))
    left = g.op("Sub", g.op("Clip", g.op("Div", tau, whole), *TAU_FRAC), [[0.5]])
    return z, returns, ratio, left


def graph_soft(g, z):
    return g.op("Div", z, g.op("Sqrt", g.op("Add", g.op("Mul", g.op("Mul", z, z), [[0.25]]), [[1.0]])))


def graph_base(g, z, coef):
    return g.op("Add", g.op("Mul", z, [[coef[0]]]), g.op("Mul", graph_soft(g, z), [[coef[1]]]))


def graph_closed_form():
    g = Graph("closed-form")
    vol = g.op("Max", g.column(2), [[VOL_FLOOR]])
    tau = g.op("Max", g.column(1), [[TAU_FLOOR]])
    z = g.op("Clip", g.op("Div", g.column(0), g.op("Mul", vol, g.op("Sqrt", tau))), -Z_CLIP, Z_CLIP)
    erf = g.op("Erf", g.op("Mul", z, [[math.sqrt(0.5)]]))
    return g.finish(g.op("Mul", g.op("Add", erf, [[1.0]]), [[0.5]]))


def graph_poor():
    g = Graph("poor")
    return g.finish(g.op("Sigmoid", g.op("Mul", g.column(7), [[-3.0]])))


def graph_logistic(coef, c):
    g = Graph("logistic")
    v15 = g.op("Max", g.column(2), [[c["floors"][0]]])
    v60 = g.op("Max", g.column(3), [[c["floors"][1]]])
    ratio = g.op("Clip", g.op("Add", g.op("Log", g.op("Div", v15, v60)), [[c["shift"]]]), -RATIO_CLIP, RATIO_CLIP)
    both = g.column(7, 8)
    z = g.op("MatMul", both, c["half"].reshape(2, 1))
    tau = g.op("Clip", g.column(1), -c["tau"], c["tau"])
    returns = g.op("Div", g.op("Mul", g.column(4, 5, 6), c["returns"].reshape(1, 3)), v60)
    returns = g.op("Clip", returns, -RET_CLIP, RET_CLIP)
    last = g.op("Gather", returns, g.constant([0], np.int64), axis=1)
    terms = [
        both,
        graph_soft(g, z),
        g.op("Mul", z, ratio),
        g.op("Mul", z, tau),
        g.op("Mul", z, g.op("Abs", last)),
        returns,
    ]
    basis = g.op("Concat", *terms, axis=1)
    return g.finish(g.op("Sigmoid", g.op("MatMul", basis, coef.reshape(-1, 1))))


def graph_gbt(weight, base, trees):
    g = Graph("gbt")
    z, returns, ratio, left = graph_engineered(g, weight)
    sign = g.op("Sign", z)
    inputs = g.op("Concat", g.op("Abs", z), g.op("Mul", returns, sign), ratio, left, axis=1)
    a = {k: [] for k in ("tree", "node", "feature", "value", "mode", "yes", "no", "t_tree", "t_node", "t_weight")}
    for number, (feature, threshold, value) in enumerate(trees):
        names, stack = {0: 0}, [0]
        while stack:  # renumber the nodes that exist: 0, 1, 2, ...
            k = stack.pop(0)
            if feature[k] >= 0:
                for child in (2 * k + 1, 2 * k + 2):
                    names[child] = len(names)
                    stack.append(child)
        for k, name in names.items():
            inner = feature[k] >= 0
            a["tree"].append(number)
            a["node"].append(name)
            a["feature"].append(feature[k] if inner else 0)
            a["value"].append(threshold[k] if inner else 0.0)
            a["mode"].append("BRANCH_LEQ" if inner else "LEAF")
            a["yes"].append(names[2 * k + 1] if inner else 0)
            a["no"].append(names[2 * k + 2] if inner else 0)
            if not inner:
                a["t_tree"].append(number)
                a["t_node"].append(name)
                a["t_weight"].append(float(value[k]))
    step = g.op(
        "TreeEnsembleRegressor",
        inputs,
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=a["tree"],
        nodes_nodeids=a["node"],
        nodes_featureids=a["feature"],
        nodes_values=a["value"],
        nodes_modes=a["mode"],
        nodes_truenodeids=a["yes"],
        nodes_falsenodeids=a["no"],
        target_treeids=a["t_tree"],
        target_nodeids=a["t_node"],
        target_ids=[0] * len(a["t_tree"]),
        target_weights=a["t_weight"],
    )
    return g.finish(g.op("Sigmoid", g.op("Add", graph_base(g, z, base), g.op("Mul", step, sign))))


def graph_mlp(weight, base, w):
    g = Graph("mlp")
    z, returns, ratio, left = graph_engineered(g, weight)
    half = g.op("Mul", returns, [[0.5]])
    odd = g.op("Concat", g.op("Mul", z, [[0.5]]), graph_soft(g, z), half, axis=1)
    last = g.op("Abs", g.op("Gather", half, g.constant([0], np.int64), axis=1))
    even = g.op("Concat", ratio, g.op("Mul", left, [[2.0]]), last, axis=1)

    def side(odd_inputs):
        x = g.op("Concat", odd_inputs, even, axis=1)
        x = g.op("Tanh", g.op("Gemm", x, w["w1"], w["b1"]))
        x = g.op("Tanh", g.op("Gemm", x, w["w2"], w["b2"]))
        return g.op("MatMul", x, 0.5 * w["w3"])

    step = g.op("Sub", side(odd), side(g.op("Neg", odd)))
    return g.finish(g.op("Sigmoid", g.op("Add", graph_base(g, z, base), step)))


# --- bundles ---------------------------------------------------------------


def golden_rows(samples):
    """Real rows spread over the validation part, plus hand-made corners."""
    def row(moneyness, tau, v15, v60, r1, r5, r15):
        z = [np.clip(moneyness / (v * math.sqrt(tau)), -Z_CLIP, Z_CLIP) for v in (v15, v60)]
        return [moneyness, tau, v15, v60, r1, r5, r15, *z, MARKET_S - tau]

    n = len(samples.x)
    real = [samples.x[(n * k) // 6 + k % 4] for k in range(1, 6)]
    made = [
        row(0.0, 150.0, 1e-4, 1.2e-4, 0.0, 0.0, 0.0),  # at the strike
        row(4e-4, 60.0, 3e-5, 2.5e-5, 1e-4, 4e-4, 5e-4),  # calm, ahead
        row(-1.2e-2, 45.0, 4e-4, 2e-4, -4e-3, -1.2e-2, -1.5e-2),  # a crash, all clips at work
        row(6e-5, 5.0, 5e-5, 8e-5, -3e-5, 2e-4, -1e-4),  # seconds before the close
        row(2e-4, 290.0, 9e-5, 6e-5, 2e-4, 3e-4, -8e-4),  # just opened
        row(1e-6, 120.0, 1e-7, 1e-7, 0.0, 1e-6, 1e-6),  # volatility at its floor
    ]
    return np.array(list(real) + made, dtype=np.float32)


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


# --- report ----------------------------------------------------------------


def interval(difference, start, rng):
    """95 % interval of a mean difference, resampling six-hour blocks."""
    block = start // 21600
    names, index = np.unique(block, return_inverse=True)
    sums, counts = np.bincount(index, difference), np.bincount(index)
    picks = rng.integers(0, len(names), (2000, len(names)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    return np.quantile(means, [0.025, 0.975])


def score_table(predictions, samples, reference):
    y, rng = samples.y, np.random.default_rng(SEED)
    lines = [
        "| model | kind | Brier | log loss | Brier minus closed form [95 %] | calibration slope | mean p − rate Up |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, p in predictions.items():
        difference = (p - y) ** 2 - (predictions[reference] - y) ** 2
        low, high = interval(difference, samples.start, rng)
        delta = "–" if name == reference else f"{difference.mean():+.5f} [{low:+.5f}, {high:+.5f}]"
        logit = np.log(p / (1.0 - p))
        slope = "–" if np.ptp(p) == 0.0 else f"{newton_logistic(logit[:, None], y, 0.0)[0]:.3f}"
        kind = KINDS.get(name, "constant")
        lines.append(
            f"| {name} | {kind} | {brier(p, y):.5f} | {log_loss(p, y):.5f} | {delta} | {slope} | {np.mean(p - y):+.4f} |"
        )
    return lines


def stage_table(predictions, samples):
    """Brier / log loss by the time left."""
    stages = [240, 180, 120, 60]
    lines = ["| model | " + " | ".join(f"{s} s left" for s in stages) + " |", "| --- " * (len(stages) + 1) + "|"]
    for name, p in predictions.items():
        cells = []
        for s in stages:
            rows = samples.x[:, 1] == s
            cells.append(f"{brier(p[rows], samples.y[rows]):.4f} / {log_loss(p[rows], samples.y[rows]):.4f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def calibration_table(predictions, samples):
    edges = [0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 1.0]
    names = [n for n in predictions if KINDS.get(n) in ("model", "baseline")]
    lines = ["| p between | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    for low, high in zip(edges[:-1], edges[1:]):
        cells = []
        for name in names:
            p = predictions[name]
            rows = (p >= low) & (p < high)
            cells.append(f"{p[rows].mean():.3f} → {samples.y[rows].mean():.3f} ({rows.sum()})" if rows.any() else "–")
        lines.append(f"| {low:g} – {high:g} | " + " | ".join(cells) + " |")
    return lines


def stamp_text(seconds):
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).strftime("%Y-%m-%d %H:%M")


# --- main ------------------------------------------------------------------


def train(args):
    if args.synthetic is not None:
        stamp, price = simulate(args.synthetic)
        source, command = f"simulated prices, seed {args.synthetic}", f"python3 models/train.py --synthetic {args.synthetic}"
    else:
        stamp, price, source = read_candles(args.candles)
        command = "python3 models/train.py" + ("" if args.candles == CANDLES else f" --candles {args.candles.name}")
    samples = build_samples(stamp, price)
    early, late, border = split(samples)
    inner, watch, _ = split(early, 0.2)
    print(f"train: {len(early.y)} training rows, {len(late.y)} validation rows", file=sys.stderr)

    weight, base = fit_base(early.x, early.y)
    logit = lambda s: base_basis(engineered(s.x, weight)[0]) @ base

    scaler = fit_scaler(early.x)
    constants = logistic_constants(scaler.scale)
    terms = logistic_basis(scaler.apply(early.x), constants)
    logistic = rounded(newton_logistic(terms, early.y, 20.0))

    def mirrored(s):  # inputs, base logit and label with z >= 0
        inputs, sign, _ = tree_inputs(s.x, weight)
        keep = sign != 0.0
        return inputs[keep], (logit(s) * sign)[keep], np.where(sign > 0.0, s.y, 1.0 - s.y)[keep]

    rounds = max(10, fit_trees(*mirrored(inner), TREE_MAX, mirrored(watch))[1])
    trees, _ = fit_trees(*mirrored(early), rounds)
    net = fit_net(*net_inputs(early.x, weight), logit(early), early.y)
    if args.inner:
        show_inner(inner, watch, weight, base, scaler, constants, mirrored, logit)

    models = {
        "closed-form": (graph_closed_form(), None),
        "logistic": (graph_logistic(logistic, constants), scaler),
        "gbt": (graph_gbt(weight, base, trees), None),
        "mlp": (graph_mlp(weight, base, net), None),
        "poor": (graph_poor(), None),
    }

    def score(s):
        out = {n: predict(session(m), s.x, sc)[:, 0].astype(np.float64) for n, (m, sc) in models.items()}
        out["always 0.5"] = np.full(len(s.y), 0.5)
        return out

    validation = score(late)
    # the graphs must say what the training code says
    sign = tree_inputs(late.x, weight)[1]
    steps = sum(apply_tree(t, tree_inputs(late.x, weight)[0]) for t in trees)
    twins = {
        "logistic": sigmoid(logistic_basis(scaler.apply(late.x), constants) @ logistic),
        "gbt": sigmoid(logit(late) + sign * steps),
        "mlp": sigmoid(logit(late) + net_logit(net, *net_inputs(late.x, weight))),
    }
    for name, p in twins.items():
        gap = np.abs(np.clip(p, P_MIN, P_MAX) - validation[name])
        # a tree may take the other side when f32 and f64 straddle a threshold
        if np.quantile(gap, 0.999) > 1e-5 or (name != "gbt" and gap.max() > 1e-5):
            sys.exit(f"train: the {name} graph differs from its training code by {gap.max():.2e}")

    rows = golden_rows(late)
    for name, (model, sc) in models.items():
        folder, identity = args.out / name, Identity(name, VERSION, KINDS[name], TOPIC, LICENSE)
        write(folder / "model.onnx", model)
        write(folder / "forecaster.toml", manifest(identity, model, "updown-1", FEATURES, 3600, sc))
        write(folder / "golden.json", golden(model, rows, sc, "updown-1"))

    stress = []
    for text, seed, options in (
        ("simulated, a quarter of the volatility, price 120 000", 11, {"minute_vol": 2e-4, "price": 120_000.0}),
        ("simulated, three times the volatility, price 2 000", 12, {"minute_vol": 2.4e-3, "price": 2_000.0}),
    ):
        s = build_samples(*simulate(seed, **options))
        stress += ["", f"### {text} ({len(s.y)} rows)", ""] + score_table(score(s), s, "closed-form")

    report = [
        "# Training report",
        "",
        f"Written by `models/train.py`; do not edit. Command: `{command}`",
        "",
        f"- Data: {source}, {len(price)} minutes from {stamp_text(stamp[0])} to {stamp_text(stamp[-1])} UTC.",
        f"- A market opens at every minute, lasts {MARKET_S} s and settles Up when the last price is at or above the first;",
        "  it is observed after 1, 2, 3 and 4 minutes. Neighbouring rows overlap, so rows are far from independent:",
        "  the intervals below resample six-hour blocks.",
        f"- Split by time at {stamp_text(border)} UTC with {PURGE_S // 60} min purged before it: "
        f"{len(early.y)} rows to train, {len(late.y)} to validate. Nothing was fitted on the validation part;",
        "  settings, such as the number of trees, come from the last fifth of the training days (`--inner` prints those scores).",
        "  The tree settings were changed once (slower learning, thresholds moved off repeated values) when the table below had been seen.",
        "  The shipped models are the validated ones: they are not refitted on everything.",
        f"- Share of Up: {early.y.mean():.4f} in training, {late.y.mean():.4f} in validation;",
        f"  ties (last price equal to the first, settled Up): {np.mean(price[5:] == price[:-5]):.4f}.",
        "- Every score below comes from the exported graph run by ONNX Runtime on f32 features.",
        "",
        "## Validation",
        "",
    ]
    report += score_table(validation, late, "closed-form")
    report += ["", "Calibration slope: 1 is ideal, below 1 is overconfident, negative is contrarian.", "", "## Validation by stage", ""]
    report += ["Brier / log loss.", ""] + stage_table(validation, late)
    report += ["", "## Calibration on the validation part", "", "Mean forecast → share of Up (rows).", ""]
    report += calibration_table(validation, late)
    report += [
        "",
        "## Other price levels and volatilities",
        "",
        "The models are given ratios only, so they should carry over to markets they have never seen.",
        "Simulated returns have no memory of direction: here nothing can beat a well-calibrated closed form by much.",
    ] + stress
    report += [
        "",
        "## What was fitted",
        "",
        f"- Volatility blend: `{weight:g}`·vol_15m² + `{1 - weight:g}`·vol_60m².",
        f"- Base logit of gbt and mlp: `{base[0]:g}`·z + `{base[1]:g}`·z/√(1+z²/4).",
        f"- gbt: {len(trees)} trees of depth {TREE_DEPTH}, learning rate {TREE_RATE}, at most {TREE_BINS} bins a feature.",
        f"- mlp: 8 → {HIDDEN} → {HIDDEN} → 1, tanh, {EPOCHS} epochs, the odd part (f(x) − f(−x))/2 is used.",
        "- logistic, weights of: " + ", ".join(f"{t} `{v:g}`" for t, v in zip(LOGISTIC_TERMS, logistic)) + ".",
        "- Every model is symmetric: mirroring a market (every sign turned) gives 1 − p. The drift of the month is not learnt.",
        "",
        "## Sizes",
        "",
        "| bundle | model.onnx, bytes | SHA-256 starts |",
        "| --- | --- | --- |",
    ]
    for name, (model, _) in models.items():
        report.append(f"| {name} | {len(model)} | `{hashlib.sha256(model).hexdigest()[:16]}` |")
    write(args.out / "TRAINING.md", "\n".join(report) + "\n")
    print("\n".join(score_table(validation, late, "closed-form")), file=sys.stderr)


def show_inner(inner, watch, weight, base, scaler, constants, mirrored, logit):
    """Scores on the last fifth of the training days, for choosing settings."""
    print("inner split:", file=sys.stderr)
    y = watch.y
    out = {"base": sigmoid(logit(watch))}
    terms = logistic_basis(scaler.apply(inner.x), constants)
    w = newton_logistic(terms, inner.y, 20.0)
    out["logistic"] = sigmoid(logistic_basis(scaler.apply(watch.x), constants) @ w)
    trees, best = fit_trees(*mirrored(inner), TREE_MAX, mirrored(watch))
    inputs, sign, _ = tree_inputs(watch.x, weight)
    out[f"gbt({best})"] = sigmoid(logit(watch) + sign * sum(apply_tree(t, inputs) for t in trees[:best]))
    net = fit_net(*net_inputs(inner.x, weight), logit(inner), inner.y)
    out["mlp"] = sigmoid(logit(watch) + net_logit(net, *net_inputs(watch.x, weight)))
    for column in (7, 8):
        out[f"closed {FEATURES[column]}"] = np.array([0.5 + 0.5 * math.erf(z * math.sqrt(0.5)) for z in watch.x[:, column]])
    for name, p in out.items():
        p = np.clip(p, P_MIN, P_MAX)
        print(f"  {name:14s} {brier(p, y):.5f} {log_loss(p, y):.5f}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description="Train the updown-1 forecasters and write their bundles.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--candles", type=Path, default=CANDLES, help="one-minute candles, csv or csv.gz")
    source.add_argument("--synthetic", type=int, metavar="SEED", help="train on simulated prices instead")
    parser.add_argument("--out", type=Path, default=HERE, help="where the bundles go (default: models/)")
    parser.add_argument("--inner", action="store_true", help="also print scores on the inner split")
    args = parser.parse_args()
    train(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
