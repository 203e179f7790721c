#!/usr/bin/env python3
"""Trains @NAME@ and writes its bundle beside this file.

    "$(oraculo automl --python)" train.py

The first run makes data.npz, simulated days to begin with. For your own prices put a dataset there:

    oraculo features export --candles FILE.csv.gz --out data.npz
"""

import os
import subprocess
from pathlib import Path

from oraculo_training import bundle, run

HERE = Path(__file__).resolve().parent
DATA = HERE / "data.npz"
ORACULO = os.environ.get("ORACULO", "oraculo")

if not DATA.exists():
    subprocess.run([ORACULO, "features", "export", "--sim", "1", "--days", "10", "--out", str(DATA)], check=True)

# Any change of the model is a new version.
identity = bundle.Identity("@NAME@", version="0.1.0", topic="@TOPIC@", license="@LICENSE@")
report = run.one(DATA, "@MODEL@", HERE, identity, seed=1)
print("\n".join(run.table(report)))
print(report["verdict"])
