"""Times Python's onnxruntime (and lleaves) for `oraculo bench inference`, one slice at a time, as it is asked.

    python bench_peer.py DIR          DIR is what bench_models.py wrote

Reads lines of JSON from stdin, {"kind": "ort" | "lleaves", "model": "mlp", "batch": 64, "seconds": 0.05}, and answers each
with one line, {"nanos": [...]}: the time of each call, rows rotating. Between slices it sleeps on stdin, so that whoever
asks can measure in turns. One thread, as on the other side.
"""

import json
import pathlib
import sys
import time

import numpy as np


class Peer:
    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self.index = {m["name"]: m for m in json.loads((directory / "index.json").read_text())}
        self.calls, self.rows, self.at = {}, {}, {}

    def call(self, kind: str, name: str):
        if (kind, name) not in self.calls:
            make = {"ort": self.ort, "lleaves": self.lleaves}[kind]
            self.calls[kind, name] = make(name)
        return self.calls[kind, name]

    def ort(self, name: str):
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = str(self.directory / f"{name}.onnx")
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = self.index[name]
        outputs, key = [entry["output"]], entry["input"]
        return lambda x: session.run(outputs, {key: x})

    def lleaves(self, name: str):
        import lleaves

        model = lleaves.Model(model_file=str(self.directory / f"{name}.txt"))
        model.compile(cache=str(self.directory / f"{name}.lleaves"))
        return lambda x: model.predict(x, n_jobs=1)

    def slice(self, kind: str, model: str, batch: int, seconds: float) -> list[int]:
        if model not in self.rows:
            shape = self.index[model]["shape"]
            self.rows[model] = np.fromfile(self.directory / f"{model}.rows", np.float32).reshape(-1, *shape)
        rows, call = self.rows[model], self.call(kind, model)
        if batch > len(rows):
            rows = np.concatenate([rows] * -(-batch // len(rows)))
        group = max(1, 16 // batch)
        at = self.at.get((kind, model, batch), 0)
        views = [rows[i : i + batch] for i in range(0, len(rows) - batch + 1, batch)]
        if batch == 1:
            views = [np.ascontiguousarray(v) for v in views]
        clock, nanos = time.perf_counter_ns, []
        call(views[at % len(views)])
        end = clock() + int(seconds * 1e9)
        while len(nanos) < 3 or clock() < end:
            turn = [views[(at + i) % len(views)] for i in range(group)]
            at += group
            start = clock()
            for x in turn:
                call(x)
            nanos.append((clock() - start) // group)
        self.at[kind, model, batch] = at
        return nanos


def main() -> None:
    peer = Peer(pathlib.Path(sys.argv[1]))
    for line in sys.stdin:
        try:
            answer = {"nanos": peer.slice(**json.loads(line))}
        except Exception as error:  # The other side decides what a failure means.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
