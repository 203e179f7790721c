"""Writes a bundle: model.onnx, forecaster.toml (schema 2) and golden.json. Never trains; the manifest's reference is
docs/bundles.md.
"""

import hashlib
import json
import re
from dataclasses import dataclass

import numpy as np
import onnxruntime

from . import KitError, graph

SCHEMA = 2
LICENSE = "MIT OR Apache-2.0"
TOPIC = "btc-usd.up-5m"
GOLDEN_ROWS = 12


@dataclass(frozen=True)
class Identity:
    """What a bundle is called and what it is for."""

    name: str
    version: str = "0.1.0"
    kind: str = "model"
    topic: str = TOPIC
    license: str = LICENSE

    def __post_init__(self):
        for what in ("name", "topic"):
            if not re.fullmatch(r"[a-z0-9._-]{1,64}", getattr(self, what)):
                raise KitError(f"{what} {getattr(self, what)!r} is not 1 to 64 of a-z 0-9 . _ -")
        if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", self.version):
            raise KitError(f"version {self.version!r} is not major.minor.patch")


def number(v):
    text = repr(float(v))
    return text.replace("e-0", "e-").replace("e+0", "e+") if "e" in text else text


def numbers(values):
    return "[" + ", ".join(number(v) for v in values) + "]"


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def manifest(identity, model, feature_set, names, lookback_s, scaler):
    """The text of forecaster.toml."""
    normalise = ['kind = "none"']
    if scaler is not None:
        normalise = ['kind = "zscore"', f"mean = {numbers(scaler.mean)}", f"scale = {numbers(scaler.scale)}", f"clip = {scaler.clip}"]
    lines = [
        f"schema = {SCHEMA}",
        *(f"{key} = {quoted(getattr(identity, key))}" for key in ("name", "version", "kind", "topic")),
        'engine = "auto"',
        "",
        "[model]",
        'file = "model.onnx"',
        f'sha256 = "{hashlib.sha256(model).hexdigest()}"',
        f"opset = {graph.OPSET}",
        f"license = {quoted(identity.license)}",
        "",
        "[features]",
        f"set = {quoted(feature_set)}",
        "names = [" + ", ".join(quoted(n) for n in names) + "]",
        f"lookback_s = {lookback_s}",
        'missing = "reject"',
        "",
        "[normalise]",
        *normalise,
        "",
        "[[inputs]]",
        'name = "features"',
        'dtype = "f32"',
        f'shape = ["batch", {len(names)}]',
        'source = "features"',
        "",
        "[[outputs]]",
        'name = "p_up"',
        'kind = "probability"',
        'shape = ["batch", 1]',
        "range = [0.0, 1.0]",
        "",
        "[limits]",
        "max_batch = 256",
        "deadline_ms = 200",
    ]
    return "\n".join(lines) + "\n"


def short(v):
    """A double that prints few digits and still is this f32 again."""
    return float(str(np.float32(v)))


def golden(model, rows, scaler, feature_set, places=None):
    """The text of golden.json: raw whole rows of the set, each answered alone.

    `places` are the columns of a whole row that the model sees, where it does not see all.
    """
    run = graph.session(model)
    pairs = []
    for x in rows:
        x = np.array([short(v) for v in x], dtype=np.float32)
        p = graph.predict(run, x[None, :] if places is None else x[None, places], scaler)
        pairs.append({"input": [short(v) for v in x], "output": [short(p[0, 0])]})
    lines = ",\n".join("    " + json.dumps(pair) for pair in pairs)
    return (
        f'{{\n  "schema": 1,\n  "feature_set": {quoted(feature_set)},\n  "engine": "onnxruntime {onnxruntime.__version__}",\n'
        f'  "tolerance": 1e-5,\n  "pairs": [\n{lines}\n  ]\n}}\n'
    )


def golden_rows(x, p):
    """Rows from the least to the greatest answer."""
    order = np.argsort(p, kind="stable")
    return x[order[np.linspace(0, len(order) - 1, GOLDEN_ROWS).astype(int)]]


def write(folder, identity, model, rows, dataset, scaler):
    """Writes the three files; the manifest last, so a folder with a manifest is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    # A golden input is the set's whole row; what the model does not see is zero there.
    places = [dataset.whole.index(n) for n in dataset.names]
    whole = np.zeros((len(rows), len(dataset.whole)), dtype=np.float32)
    whole[:, places] = rows
    (folder / "model.onnx").write_bytes(model)
    (folder / "golden.json").write_text(golden(model, whole, scaler, dataset.feature_set, places))
    text = manifest(identity, model, dataset.feature_set, dataset.names, dataset.lookback_s, scaler)
    (folder / "forecaster.toml").write_text(text)
