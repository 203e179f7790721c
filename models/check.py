#!/usr/bin/env python3
"""Verify forecaster bundles with ONNX Runtime.

    python3 models/check.py                 # every bundle beside this file
    python3 models/check.py DIR [DIR ...]   # these bundles
    python3 models/check.py --root FOLDER   # every bundle in FOLDER

One line per finding, with the code of the check; exit status 1 if any fails.
`note` lines are facts about a model (what NaN does, symmetry), not verdicts.
"""

import argparse
import hashlib
import json
import math
import sys
import tomllib
from pathlib import Path

import train  # first: it pins the thread count before numpy is loaded

import numpy as np
import onnx
import onnxruntime as ort

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-5
MAX_BYTES = 300_000
DOMAINS = {"": 17, "ai.onnx": 17, "ai.onnx.ml": 3}
MAX_IR = 9
FORBIDDEN_OPS = {"Loop", "Scan", "If", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}

SHAPE = {
    "": {"schema", "name", "version", "kind", "topic", "engine", "model", "input", "normalise", "output", "limits"},
    "model": {"file", "sha256", "opset", "license"},
    "input": {"name", "dtype", "feature_set", "features", "lookback_s", "missing"},
    "output": {"name", "kind", "range"},
    "limits": {"max_batch", "deadline_ms"},
}


def probes(count=1000, seed=1):
    """Plausible feature rows: every volatility regime, every moment, both sides."""
    rng = np.random.default_rng(seed)
    v60 = np.exp(rng.uniform(math.log(1e-6), math.log(1e-3), count))
    v15 = v60 * np.exp(rng.normal(0.0, 0.4, count))
    tau = rng.uniform(1.0, 299.0, count)
    moneyness = rng.standard_t(4, count) * v60 * np.sqrt(300.0 - tau)
    returns = [rng.standard_t(4, count) * v60 * math.sqrt(s) for s in (60, 300, 900)]
    z = [np.clip(moneyness / (v * np.sqrt(tau)), -train.Z_CLIP, train.Z_CLIP) for v in (v15, v60)]
    return np.column_stack([moneyness, tau, v15, v60, *returns, *z, 300.0 - tau]).astype(np.float32)


class Report:
    def __init__(self, name):
        self.name, self.failed = name, 0

    def expect(self, code, ok, text):
        self.failed += not ok
        print(f"{'ok  ' if ok else 'FAIL'}  {self.name:<12} {code}  {text}")

    def note(self, code, text):
        print(f"note  {self.name:<12} {code}  {text}")


def check_manifest(r, m, folder):
    problems = []
    for table, keys in SHAPE.items():
        found = m if table == "" else m.get(table, {})
        if set(found) != keys:
            odd = sorted(set(found) ^ keys)
            problems.append(f"[{table or 'top'}] missing or unknown: {', '.join(odd)}")
    if not problems:
        n = m["normalise"]
        want = {"none": {"kind"}, "zscore": {"kind", "mean", "scale", "clip"}}.get(n.get("kind"))
        if want is None or set(n) != want:
            problems.append("[normalise] must be kind none, or zscore with mean, scale and clip")
        elif n["kind"] == "zscore":
            if not len(n["mean"]) == len(n["scale"]) == len(m["input"]["features"]):
                problems.append("[normalise] mean and scale need one number a feature")
            elif not all(s > 0.0 for s in n["scale"]) or not n["clip"] > 0.0:
                problems.append("[normalise] scale and clip must be positive")
        if m["schema"] != 1:
            problems.append("schema must be 1")
        if m["name"] != folder.name:
            problems.append(f"name {m['name']!r} is not the folder's name")
        if m["kind"] not in ("model", "baseline", "poor"):
            problems.append(f"kind {m['kind']!r} is unknown")
        if m["input"]["feature_set"] != "updown-1" or m["input"]["features"] != train.FEATURES:
            problems.append("features are not those of updown-1, in order")
        if "/" in m["model"]["file"] or m["model"]["file"].startswith("."):
            problems.append("model.file must be a plain file name")
    r.expect("C08", not problems, "; ".join(problems) or f"manifest: {m['name']} {m['version']}, kind {m['kind']}")
    return not problems


def check_graph(r, m, data):
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    r.expect("C03", not outside, f"external data: {outside or 'none'}")
    bad = [f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import if o.version != DOMAINS.get(o.domain)]
    main = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    ok = not bad and main == [m["model"]["opset"]] and model.ir_version <= MAX_IR
    r.expect("C05", ok, f"opset {main}, ir_version {model.ir_version}" + (f", not supported: {bad}" if bad else ""))
    ops = sorted({n.op_type for n in model.graph.node})
    r.expect("C06", not FORBIDDEN_OPS & set(ops), "operators: " + " ".join(ops))


def check_bundle(folder):
    r = Report(folder.name)
    try:
        m = tomllib.loads((folder / "forecaster.toml").read_text())
        pairs = json.loads((folder / "golden.json").read_text())
    except (OSError, ValueError) as error:
        r.expect("C08", False, f"cannot read the bundle: {error}")
        return r.failed
    if not check_manifest(r, m, folder):
        return r.failed
    try:
        data = (folder / m["model"]["file"]).read_bytes()
    except OSError as error:
        r.expect("C01", False, f"cannot read the model: {error}")
        return r.failed
    digest = hashlib.sha256(data).hexdigest()
    if digest != m["model"]["sha256"]:
        r.expect("C01", False, f"SHA-256 is {digest}, the manifest says {m['model']['sha256']}")
        return r.failed
    r.expect("C01", len(data) <= MAX_BYTES, f"{len(data)} bytes, SHA-256 {digest[:16]} as in the manifest")
    try:
        check_graph(r, m, data)
        run = train.session(data)
    except Exception as error:  # a broken file may fail in many ways
        r.expect("C02", False, f"not a usable graph: {str(error).splitlines()[0]}")
        return r.failed

    n = m["normalise"]
    scaler = None if n["kind"] == "none" else (np.array(n["mean"]), np.array(n["scale"]), n["clip"])
    inputs, outputs = run.get_inputs(), run.get_outputs()
    named = [(i.name, i.type, i.shape[1:]) for i in inputs] + [(o.name, o.type, o.shape[1:]) for o in outputs]
    want = [(m["input"]["name"], "tensor(float)", [len(train.FEATURES)]), (m["output"]["name"], "tensor(float)", [1])]
    r.expect("C08", named == want, f"inputs and outputs: {named}")
    if named != want:
        return r.failed

    def predict(x):
        return train.predict(run, x, scaler)

    x = probes()
    biggest = m["limits"]["max_batch"]
    shapes = {b: predict(x[:b]).shape for b in (1, 2, biggest)}
    r.expect("C09", all(s == (b, 1) for b, s in shapes.items()), f"output shapes {list(shapes.values())}")

    rows = np.array([p["input"] for p in pairs["pairs"]], dtype=np.float32)
    stated = np.array([p["output"] for p in pairs["pairs"]], dtype=np.float32)
    gap = max(float(np.abs(predict(row[None, :])[0] - out).max()) for row, out in zip(rows, stated))
    r.expect("C10", len(rows) >= 5 and gap <= TOLERANCE, f"{len(rows)} golden pairs, largest difference {gap:.1e}")

    single = np.vstack([predict(row[None, :]) for row in x])
    again = np.vstack([predict(row[None, :]) for row in x])
    r.expect("C11", single.tobytes() == again.tobytes(), "same bytes when run twice")
    worst = 0.0
    for b in (2, 7, 64, biggest):
        batched = np.vstack([predict(x[k : k + b]) for k in range(0, len(x), b)])
        worst = max(worst, float(np.abs(batched - single).max()))
    r.expect("C12", worst <= TOLERANCE, f"batches of 2, 7, 64 and {biggest} against single rows: largest difference {worst:.1e}")

    low, high = m["output"]["range"]
    inside = bool(np.all(np.isfinite(single)) and single.min() >= low and single.max() <= high)
    r.expect("C15", inside and float(single.std()) > 0.0, f"range {single.min():.4f} to {single.max():.4f}, deviation {single.std():.3f}")

    swallowed = []
    for k, feature in enumerate(train.FEATURES):
        row = x[:1].copy()
        row[0, k] = np.nan
        if np.isfinite(predict(row)).all():
            swallowed.append(feature)
    everything = np.isfinite(predict(np.full((1, len(train.FEATURES)), np.nan))).all()
    text = "none" if not swallowed else "all" if len(swallowed) == len(train.FEATURES) else ", ".join(swallowed)
    r.note("C14", f"NaN gives a finite answer in: {text}; an all-NaN row: {'finite' if everything else 'NaN'} "
                  "(so the runtime must reject such rows first: missing = \"reject\")")  # fmt: skip

    mirror = x.copy()
    mirror[:, [0, 4, 5, 6, 7, 8]] *= -1.0
    odd = float(np.abs(predict(mirror) + single - 1.0).max())
    calm = x.copy()
    calm[:, [0, 2, 3, 4, 5, 6]] *= 0.5
    usual = np.full(len(x), True)
    if scaler is not None:  # rows that the manifest's clip does not bend
        usual = np.all(np.abs((x - scaler[0]) / scaler[1]) < scaler[2], axis=1)
    scale_free = float(np.abs(predict(calm) - single)[usual].max())
    clipped = "" if usual.all() else f" ({len(x) - usual.sum()} of {len(x)} probe rows reach the manifest's clip and are left out)"
    r.note("info", f"mirrored market: 1 - p within {odd:.1e}; all returns halved: p within {scale_free:.1e}{clipped}")
    return r.failed


def main(argv=None):
    parser = argparse.ArgumentParser(description="Verify forecaster bundles with ONNX Runtime.")
    parser.add_argument("bundles", nargs="*", type=Path, help="bundle folders (default: all under --root)")
    parser.add_argument("--root", type=Path, default=HERE, help="folder that holds bundles (default: models/)")
    args = parser.parse_args(argv)
    bundles = [b.resolve() for b in args.bundles] or sorted(p.parent for p in args.root.resolve().glob("*/forecaster.toml"))
    if not bundles:
        print(f"check: no bundle under {args.root}; run models/train.py first", file=sys.stderr)
        return 1
    if ort.__version__ != "1.31.1":
        print(f"check: ONNX Runtime {ort.__version__} here; the golden pairs were made with 1.31.1", file=sys.stderr)
    failed = sum(check_bundle(b) for b in bundles)
    print(f"check: {len(bundles)} bundles, {failed} failures", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
