"""From a dataset to bundles and scores: `one` trains one model, `best` several and keeps the one that validates best.

The test part is opened once, at the very end, for the bundle that is kept. No wall-clock time reaches a result.
"""

import json
import platform
import time
from pathlib import Path

import numpy as np

from . import KitError, __version__, bundle, data, forecaster, scores, split


def silent(**_):
    """The progress of nobody."""


def one(data_file, model, out, identity, seed=1, calibrate="auto", progress=silent):
    """Trains one model and writes its bundle into `out`; returns the report."""
    return best(data_file, [model], out, identity, seed=seed, calibrate=calibrate, progress=progress)


def best(data_file, models, out, identity, seed=1, calibrate="auto", minutes=None, progress=silent):
    """Trains every model, keeps the one with the least log score on the validation part and writes its bundle."""
    data_file, out = Path(data_file), Path(out)
    dataset = data.read(data_file)
    parts = split.by_time(dataset)
    total = len(models) + 1
    began, trained, rows, left_out = time.monotonic(), [], [], []
    for at, model in enumerate(models):
        # A budget ends the list and never a model, so what is trained is trained alike on every machine.
        if minutes is not None and trained and time.monotonic() - began > 60.0 * minutes:
            left_out.append(model)
            continue
        progress(stage=model, done=at, of=total)
        candidate = forecaster.train(model, parts, seed, calibrate)
        trained.append(candidate)
        rows.append({**candidate.about(), "validation": forecaster.validation(candidate, parts)})
    winner = min(range(len(trained)), key=lambda k: (rows[k]["validation"]["log"], k))
    progress(stage="test", done=len(models), of=total)
    kept = trained[winner]
    shown = parts.validate.x
    bundle.write(out, identity, kept.onnx, bundle.golden_rows(shown, kept.predict(shown)), dataset, kept.fitted.scaler)
    test = parts.test.open()
    report = {
        "bundle": str(out),
        "name": identity.name,
        "topic": identity.topic,
        "license": identity.license,
        "winner": kept.model,
        "candidates": rows,
        "left_out": left_out,
        "test": scores.report(kept.predict(test.x), test),
        "verdict": "",
        "test_opened": split.times_opened(data_file, dataset.sha256),
        "split": parts.about(),
        "provenance": provenance(dataset, seed, models),
    }
    report["verdict"] = verdict(report["test"])
    (out / "training.json").write_text(json.dumps({k: v for k, v in report.items() if k not in ("bundle", "test_opened")}, indent=1) + "\n")
    (out / "CARD.md").write_text(card(report))
    progress(stage="done", done=total, of=total)
    return report


def provenance(dataset, seed, models):
    """What the bundle was made from; the same inputs give the same bytes."""
    import lightgbm
    import onnx
    import onnxruntime
    import sklearn

    return {
        "data": {
            "source": dataset.source,
            "sha256": dataset.sha256,
            "rows": len(dataset),
            "rows_not_finite": dataset.dropped,
            "first_asof_s": int(dataset.asof.min()),
            "last_close_s": int(dataset.close.max()),
            "feature_set": dataset.feature_set,
        },
        "seed": seed,
        "models": list(models),
        "kit": __version__,
        "python": platform.python_version(),
        "packages": {m.__name__: m.__version__ for m in (lightgbm, np, onnx, onnxruntime, sklearn)},
    }


def verdict(test):
    """Whether the test part says that the forecaster beats the reference; a miner that does not loses stake."""
    if test["reference"] is None:
        return "the dataset has no reference forecast to compare with"
    d = test["reference"]["brier_difference"]
    if d["se"] is None:
        return "the test part is too short to tell it from the reference"
    if d["mean"] + 1.96 * d["se"] < 0.0:
        return "it beats the reference on the test part by more than chance"
    if d["mean"] - 1.96 * d["se"] > 0.0:
        return "it is worse than the reference on the test part: as a miner it would lose stake"
    return "the test part cannot tell it from the reference: as a miner it may lose stake"


def plus_minus(d):
    if d["se"] is None:
        return f"{d['mean']:+.5f} (too few blocks for an error)"
    return f"{d['mean']:+.5f} ± {d['se']:.5f}"


def table(report):
    """Lines of the scores, for people: validation of every candidate, test of the one that was kept."""
    head = f"{'model':<12}{'part':<12}{'rows':>7}{'Brier':>10}{'log':>10}{'ECE':>8}   Brier minus reference"
    lines = [head]
    found = [(c["model"], "validation", c["validation"]) for c in report["candidates"]]
    for name, part, s in [*found, (report["winner"], "test", report["test"])]:
        against = plus_minus(s["reference"]["brier_difference"]) if s["reference"] else "no reference in the dataset"
        lines.append(f"{name:<12}{part:<12}{s['rows']:>7}{s['brier']:>10.5f}{s['log']:>10.5f}{s['ece']:>8.4f}   {against}")
    return lines


def card(report):
    """CARD.md, what a bundle is and what it was made from, for people."""
    p, t = report["provenance"], report["test"]
    reference = "There was no reference forecast in the data."
    if t["reference"]:
        r = t["reference"]
        reference = f"The reference forecast scores {r['brier']:.5f} (Brier) and {r['log']:.5f} (log) on the same rows."
    lines = [
        f"# {report['name']}",
        "",
        f"A forecaster for `{report['topic']}`, licence {report['license']}: `{report['winner']}`, trained by the Oraculo training kit.",
        "",
        "```text",
        *table(report),
        "```",
        "",
        f"{reference} A coin scores 0.25000 and 0.69315. Smaller is better; errors are over blocks of {t['coin']['brier_difference']['block_s']} s.",
        f"Verdict: {report['verdict']}.",
        "The validation part chose among the models; the test part was opened once, after that choice.",
        "",
        "## Where it comes from",
        "",
        f"- Data: {p['data']['source']}, {p['data']['rows']} rows of `{p['data']['feature_set']}`, SHA-256 `{p['data']['sha256']}`.",
        f"- Seed {p['seed']}, models tried: {', '.join(p['models'])}; kit {p['kit']}, Python {p['python']}, "
        + ", ".join(f"{k} {v}" for k, v in p["packages"].items())
        + ".",
        "- All settings and scores: `training.json`.",
    ]
    return "\n".join(lines) + "\n"


def check_models(text):
    """The models of a comma-separated list."""
    from .models import MODELS

    names = [n.strip() for n in text.split(",") if n.strip()]
    unknown = [n for n in names if n not in MODELS]
    if unknown or not names:
        raise KitError(f"models {', '.join(unknown) or 'none'}: choose from {', '.join(MODELS)}")
    return sorted(set(names), key=MODELS.index)
