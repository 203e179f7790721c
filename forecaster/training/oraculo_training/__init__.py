"""Trains forecasters for Oraculo: datasets, leak-free splits, models, calibration, ONNX export, bundles and scores.

It never downloads data and never runs a forecaster in a market; the program `oraculo` does that.
"""

import os

# One thread, before numpy is imported: sums must not depend on the machine.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

__version__ = "0.1.0"


class KitError(Exception):
    """Something the user can put right; the text says how."""
