"""Makes the Python environment of the benchmark once, under the user's cache folder, and prints its interpreter.

Needs Python 3.10 or newer with venv and a package index that can be reached; exits with 3 and one line when there is none.
It never touches the system's own packages.
"""

import fcntl
import hashlib
import os
import pathlib
import subprocess
import sys

PINS = [
    "lightgbm==4.7.0",
    "lleaves==1.3.0",
    "llvmlite==0.44.0",
    "numpy==2.4.6",
    "onnx==1.18.0",
    "onnxmltools==1.16.0",
    "onnxruntime==1.31.1",
    "protobuf==6.33.0",
    "scikit-learn==1.9.1",
    "skl2onnx==1.20.0",
    "xgboost-cpu==3.2.0",
]


def main() -> int:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "oraculo"
    name = hashlib.sha256("\n".join([sys.version, *PINS]).encode()).hexdigest()[:12]
    home = cache / f"bench-{name}"
    ready, python = home / "ready", home / "bin" / "python"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"bench-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            print(f"making {home} (about a minute, once)", file=sys.stderr)
            steps = [
                [sys.executable, "-m", "venv", "--clear", str(home)],
                [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *PINS],
            ]
            for step in steps:
                done = subprocess.run(step, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                    print(f"`{' '.join(step[:4])}` failed: {last}", file=sys.stderr)
                    return 3
            ready.touch()
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
