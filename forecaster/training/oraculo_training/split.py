"""Splits by time that cannot leak: markets never straddle a border, and rows whose past or future touches another
part are purged (Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 7). Never shuffles.

A row knows of [asof - lookback, asof] and its label of everything up to the close. Two rows of different parts may not
share an instant of these spans.
"""

import itertools
import json
from dataclasses import dataclass

import numpy as np

from . import KitError

# Shares of the time: to fit, to stop early and calibrate, to compare models, to judge the winner.
SHARES = {"train": 0.55, "calibrate": 0.15, "validate": 0.10, "test": 0.20}
LEAST_ROWS = 100


class Sealed:
    """The test part. It can be opened once."""

    def __init__(self, part):
        self._part, self._opened = part, False

    def __len__(self):
        return len(self._part)

    @property
    def first_asof(self):
        return int(self._part.asof.min())

    @property
    def last_close(self):
        return int(self._part.close.max())

    def open(self):
        if self._opened:
            raise RuntimeError("the test part was opened before; a second look would be a choice made on it")
        self._opened = True
        return self._part


@dataclass(frozen=True)
class Split:
    train: object
    calibrate: object
    validate: object
    test: Sealed
    gap_s: int
    purged: int  # rows in the gaps

    def about(self):
        """Spans and sizes, for reports."""
        span = lambda p: {"rows": len(p), "first_asof_s": int(p.asof.min()), "last_close_s": int(p.close.max())}
        parts = {name: span(getattr(self, name)) for name in ("train", "calibrate", "validate")}
        parts["test"] = {"rows": len(self.test), "first_asof_s": self.test.first_asof, "last_close_s": self.test.last_close}
        return {"parts": parts, "gap_s": self.gap_s, "purged_rows": self.purged}


def by_time(dataset, shares=SHARES):
    """Four parts one after the other with a gap of lookback + horizon before each border."""
    gap = dataset.gap_s
    begin = np.minimum(dataset.asof, dataset.start)
    if len(dataset) == 0:
        raise KitError("the dataset has no rows")
    # Borders lie between markets, at shares of the markets and not of the rows.
    starts = np.unique(begin)
    ends = np.cumsum(list(shares.values()))[:-1]
    borders = [int(starts[min(int(e * len(starts)), len(starts) - 1)]) for e in ends]
    edges = [int(starts[0])] + borders + [int(dataset.close.max()) + gap + 1]
    parts = []
    for name, low, high in zip(shares, edges[:-1], edges[1:]):
        part = dataset.take((begin >= low) & (dataset.close <= high - gap))
        if len(part) < LEAST_ROWS or len(np.unique(part.y)) < 2:
            days = (dataset.close.max() - begin.min()) / 86400
            raise KitError(
                f"the {name} part has only {len(part)} rows of {len(np.unique(part.y))} outcomes; the dataset spans "
                f"{days:.1f} days and {gap} s are kept free at each border: export more days"
            )
        parts.append(part)
    for earlier, later in itertools.combinations(parts, 2):
        expect_apart(earlier, later)
    return Split(*parts[:3], Sealed(parts[3]), gap, len(dataset) - sum(map(len, parts)))


def expect_apart(earlier, later):
    """Every label of the earlier part is known before anything that the later part's features look at."""
    if earlier.close.max() > later.begin.min():
        raise AssertionError("two parts share an instant: a bug in the split")


def purge(dataset, train, test):
    """The rows of `train` (positions) that share no instant with the span of `test` (positions, one block of time)."""
    low, high = dataset.begin[test].min(), dataset.close[test].max()
    return train[(dataset.close[train] <= low) | (dataset.begin[train] >= high)]


def blocks(dataset, count):
    """Positions of `count` blocks of markets, in time."""
    begin = np.minimum(dataset.asof, dataset.start)
    starts = np.unique(begin)
    if len(starts) < count:
        raise KitError(f"{len(starts)} markets are too few for {count} folds: export more days")
    number = np.minimum(np.searchsorted(starts, begin) * count // len(starts), count - 1)
    return [np.flatnonzero(number == k) for k in range(count)]


def walk_forward(dataset, folds=3):
    """(train, test) positions: the past up to a block, purged, and that block; the first block is only trained on."""
    parts = blocks(dataset, folds + 1)
    for k in range(1, folds + 1):
        train = purge(dataset, np.concatenate(parts[:k]), parts[k])
        if len(train) >= LEAST_ROWS and len(parts[k]) >= LEAST_ROWS:
            yield train, parts[k]


def combinatorial(dataset, groups=6, held=2):
    """(train, test) positions for every choice of `held` of `groups` blocks; the rest, purged around each, trains."""
    parts = blocks(dataset, groups)
    for chosen in itertools.combinations(range(groups), held):
        train = np.concatenate([parts[k] for k in range(groups) if k not in chosen])
        for k in chosen:
            train = purge(dataset, train, parts[k])
        yield train, np.concatenate([parts[k] for k in chosen])


def times_opened(path, sha256):
    """Counts beside the dataset how often its test part was opened; 1 is the honest number. None: it cannot be kept."""
    ledger = path.with_name(path.name + ".opened.json")
    try:
        counts = json.loads(ledger.read_text()) if ledger.is_file() else {}
        counts[sha256] = int(counts.get(sha256, 0)) + 1
        ledger.write_text(json.dumps(counts, indent=1) + "\n")
    except (OSError, ValueError):
        return None
    return counts[sha256]
