"""Gradient-boosted trees by LightGBM; the number of trees is stopped early on the calibration part.

The graph takes exactly the branches that LightGBM takes: rows are f32, so every threshold is rounded down to an f32.
"""

from dataclasses import dataclass, field

import lightgbm
import numpy as np

from ..numeric import log_loss, rounded
from ..split import walk_forward

GRID = (
    {"num_leaves": 7, "min_data_in_leaf": 100},
    {"num_leaves": 15, "min_data_in_leaf": 200},
    {"num_leaves": 4, "min_data_in_leaf": 50},
)
ROUNDS, PATIENCE = 600, 40


@dataclass(frozen=True)
class Fitted:
    trees: list  # of nested nodes: (feature, threshold, left, right) or a leaf's value
    settings: dict = field(default_factory=dict)
    scaler: None = None

    def logit(self, x):
        return sum((apply(tree, x) for tree in self.trees), np.zeros(len(x)))

    def graph(self, g, rows):
        return g.op("TreeEnsembleRegressor", rows, domain="ai.onnx.ml", **attributes(self.trees))


def apply(tree, x):
    """The leaf values of rows."""
    out = np.empty(len(x))
    stack = [(tree, np.arange(len(x)))]
    while stack:
        node, rows = stack.pop()
        if not isinstance(node, tuple):
            out[rows] = node
            continue
        feature, threshold, left, right = node
        low = x[rows, feature] <= threshold
        stack += [(left, rows[low]), (right, rows[~low])]
    return out


def attributes(trees):
    """The attributes of one ONNX TreeEnsembleRegressor; nodes of a tree are numbered in the order of their visit."""
    a = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")}
    leaves = {k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        queue, known = [tree], 1
        for at, node in enumerate(queue):  # grows while it is read
            inner = isinstance(node, tuple)
            feature, threshold, yes, no = (node[0], node[1], known, known + 1) if inner else (0, 0.0, 0, 0)
            mode = "BRANCH_LEQ" if inner else "LEAF"
            for key, value in zip(a, (number, at, feature, float(threshold), mode, yes, no)):
                a[key].append(value)
            if inner:
                queue += [node[2], node[3]]
                known += 2
            else:
                for key, value in zip(leaves, (number, at, 0, float(node))):
                    leaves[key].append(value)
    nodes = {f"nodes_{k}": v for k, v in a.items()}
    targets = {f"target_{k}": v for k, v in leaves.items()}
    return {**nodes, **targets, "n_targets": 1, "aggregate_function": "SUM", "post_transform": "NONE"}


def floor_f32(threshold):
    """The greatest f32 that is not above: x <= t and x <= floor_f32(t) are the same for every f32 x."""
    low = np.float32(threshold)
    return np.nextafter(low, np.float32(-np.inf)) if float(low) > threshold else low


def nested(node):
    if "leaf_value" in node:
        return float(rounded(node["leaf_value"]))
    if node["decision_type"] != "<=":
        raise ValueError(f"a split of kind {node['decision_type']} has no place here")
    return (int(node["split_feature"]), floor_f32(node["threshold"]), nested(node["left_child"]), nested(node["right_child"]))


def boost(train, watch, setting, seed):
    options = {
        "objective": "binary",
        "learning_rate": 0.03,
        "lambda_l2": 5.0,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "max_bin": 127,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        **setting,
    }
    data = lightgbm.Dataset(train.x.astype(np.float64), train.y, free_raw_data=False)
    seen = lightgbm.Dataset(watch.x.astype(np.float64), watch.y, reference=data)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(options, data, ROUNDS, valid_sets=[seen], callbacks=[stop])


def fit(train, calibrate, seed):
    losses = {}
    folds = list(walk_forward(train, 2))
    for at, setting in enumerate(GRID):
        losses[at] = []
        for past, block in folds:
            # Early stopping looks at the block too, for every setting alike.
            booster = boost(train.take(past), train.take(block), setting, seed)
            raw = booster.predict(train.x[block].astype(np.float64), raw_score=True)
            losses[at].append(log_loss(raw, train.y[block]))
    best = min(losses, key=lambda at: float(np.mean(losses[at]))) if folds else 0
    booster = boost(train, calibrate, GRID[best], seed)
    dump = booster.dump_model(num_iteration=max(booster.best_iteration, 1))
    trees = [nested(tree["tree_structure"]) for tree in dump["tree_info"]]
    settings = {**GRID[best], "trees": len(trees), "walk_forward_log": [round(float(np.mean(v)), 6) for v in losses.values() if v]}
    return Fitted(trees, settings)
