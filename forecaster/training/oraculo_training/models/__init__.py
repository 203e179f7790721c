"""The trainers, one file each. A trainer has `fit(train, calibrate, seed) -> fitted`; a fitted model has

- `scaler`: what the manifest normalises rows with, or None;
- `logit(x)`: f64 [n] of raw rows;
- `graph(g, rows)`: adds the same to a graph, returns the name of the logit [batch, 1];
- `settings`: a plain dict for the report.

A trainer never sees the validation or test part.
"""

from importlib import import_module

from .. import KitError

# Cheapest first: a time budget ends the list from the back.
MODELS = ("logistic", "lightgbm", "mlp", "gru")


def trainer(name):
    """The module of a trainer."""
    if name not in MODELS:
        raise KitError(f"model {name!r} is not one of {', '.join(MODELS)}")
    return import_module(f".{name}_model" if name == "lightgbm" else f".{name}", __name__)
