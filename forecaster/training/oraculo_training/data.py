"""Datasets made by `oraculo features export`. Reads and checks them; never computes a feature."""

import csv
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from . import KitError

META = ("start_s", "close_s", "asof_s", "horizon_s")


@dataclass(frozen=True)
class Dataset:
    """Rows in the order of time. A row is one market seen at one moment."""

    x: np.ndarray  # f32 [n, w], raw features
    y: np.ndarray  # f64 [n], 1 = Up
    start: np.ndarray  # i64 [n], start of the market, s
    close: np.ndarray  # i64 [n], its close, s: when the label becomes known
    asof: np.ndarray  # i64 [n], the moment of the row, s: when the features were known
    reference: np.ndarray  # f64 [n], probability of the reference forecast; NaN where there is none
    names: tuple[str, ...]  # the columns of x
    whole: tuple[str, ...]  # the features of the set, in the order of its rows
    feature_set: str
    lookback_s: int
    source: str
    sha256: str
    dropped: int = 0  # rows left out because a feature was not finite

    def __len__(self):
        return len(self.y)

    def take(self, rows):
        """The rows of a mask or of positions."""
        fields = ("x", "y", "start", "close", "asof", "reference")
        return replace(self, **{name: getattr(self, name)[rows] for name in fields})

    @property
    def begin(self):
        """First moment of which a row's features may know something, s."""
        return np.minimum(self.asof, self.start) - self.lookback_s

    @property
    def gap_s(self):
        """Seconds to keep free between two parts: the lookback and the longest way from a row to its close."""
        return int(self.lookback_s + np.max(self.close - np.minimum(self.asof, self.start), initial=0))


def read(path):
    """Reads FILE.npz or FILE.csv with its sidecar FILE.json."""
    path = Path(path)
    if not path.is_file():
        raise KitError(f"no dataset at {path}; make one: oraculo features export --help")
    raw = path.read_bytes()
    about = sidecar(path)
    if path.suffix == ".npz":
        columns = from_npz(path)
    elif path.suffix == ".csv":
        columns = from_csv(raw.decode(), about["features"])
    else:
        raise KitError(f"{path}: a dataset ends in .npz or .csv")
    return build(columns, about, hashlib.sha256(raw).hexdigest())


def sidecar(path):
    """What FILE.json says of the columns."""
    beside = [path.with_suffix(".json"), path.with_name(path.name + ".json")]
    found = next((p for p in beside if p.is_file()), None)
    if found is None:
        raise KitError(f"{beside[0]} is missing; `oraculo features export` writes it beside the dataset")
    about = json.loads(found.read_text())
    for key in ("feature_set", "features", "lookback_s"):
        if about.get(key) is None:
            raise KitError(f"{found} has no `{key}`; export the dataset again with this version of oraculo")
    return about


def from_npz(path):
    with np.load(path, allow_pickle=False) as file:
        missing = {"X", "y", "meta"} - set(file.files)
        if missing:
            raise KitError(f"{path} has no array {', '.join(sorted(missing))}")
        reference = file["reference"] if "reference" in file.files else np.full(len(file["y"]), np.nan)
        return file["X"], file["y"], file["meta"], reference


def from_csv(text, names):
    rows = list(csv.DictReader(text.splitlines()))
    wanted = [*META, "outcome", *names]
    absent = [c for c in wanted if rows and c not in rows[0]]
    if absent:
        raise KitError(f"the CSV has no column {', '.join(absent)}")
    column = lambda name, kind: np.array([kind(row[name]) for row in rows])
    number = lambda text: float(text) if text else float("nan")
    x = np.array([[np.float32(row[n]) for n in names] for row in rows], dtype=np.float32).reshape(len(rows), len(names))
    meta = np.column_stack([column(name, int) for name in META]) if rows else np.zeros((0, 4), np.int64)
    has = bool(rows) and "reference" in rows[0]
    reference = column("reference", number) if has else np.full(len(rows), np.nan)
    return x, column("outcome", int), meta, reference


def build(columns, about, sha256):
    x, y, meta, reference = columns
    names = tuple(about["features"])
    whole = tuple(about.get("set_features") or names)
    if not set(names) <= set(whole):
        raise KitError(f"the sidecar names columns that {about['feature_set']} does not have")
    if x.ndim != 2 or x.shape != (len(y), len(names)) or meta.shape != (len(y), len(META)):
        raise KitError(f"X is {x.shape}, y {y.shape}, meta {meta.shape}, the sidecar names {len(names)} features")
    if not np.isin(y, (0, 1)).all():
        raise KitError("y holds something else than 0 and 1")
    start, close, asof = (meta[:, k].astype(np.int64) for k in range(3))
    if (asof >= close).any():
        raise KitError("a row was taken at or after the close of its market: the label would be known")
    # Rows that the runtime would abstain from are not learnt from either.
    sound = np.isfinite(x).all(axis=1)
    order = np.flatnonzero(sound)
    order = order[np.lexsort((start[order], asof[order]))]
    dataset = Dataset(
        np.ascontiguousarray(x, dtype=np.float32),
        y.astype(np.float64),
        start,
        close,
        asof,
        reference.astype(np.float64),
        names,
        whole,
        about["feature_set"],
        int(about["lookback_s"]),
        str(about.get("source", "unknown")),
        sha256,
        int((~sound).sum()),
    )
    return dataset.take(order)
